"""Checkpoints: a training run in one file that other tools can open and that cannot run code.

The file is a safetensors file.  The entries of a model have exactly their names in its state dict, so
its weights can be read by whatever reads safetensors, and weights of PyTorch can be loaded here.  The
entries of all else start with ``optimizer/``, ``loader/``, ``random/`` or ``extra/``; what is no array,
such as a learning rate or the number of an epoch, stands as JSON in the metadata of the file.

A file is written beside its place, flushed to the disk, and renamed: at any moment the place holds the
old checkpoint or the new one, whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from backends import host
from dlcore import random
from dlcore.tensors import Tensor, tensor

__all__ = ["load", "save"]

Entries = dict[str, Any]
"""Host arrays by the names under which they stand in a file."""

FORMAT = "dlcore"
"""The key in a file's metadata under which the parts that are no arrays stand."""

PREFIXES = ("optimizer/", "loader/", "random/", "extra/")
_NUMBERED = re.compile(r"(?:.*[-_.])?(?:epoch|step)?(\d+)", re.IGNORECASE)


def save(path: str | os.PathLike[str], model: Any = None, optimizer: Any = None, loader: Any = None,
         extra: Any = None, keep_last: int | None = None) -> Path:
    """Write a training run to a file, all of it or nothing; returns the path of the file.

    Args:
        path: ends in ``.safetensors``; its folder is made if need be.
        model: a module: its parameters and buffers.
        optimizer: its settings and what it remembers of each parameter.
        loader: its epoch and the position in it.
        extra: whatever else is wanted back: tensors, NumPy arrays, numbers, strings, booleans and None,
            in nested dicts, lists and tuples.
        keep_last: how many checkpoints of the run stay, this one included.  Of a path that ends in a
            number, as ``run/epoch-12.safetensors`` does, the files with lower numbers are the earlier
            ones; else they are kept as ``name.1.safetensors``, ``name.2.safetensors``, from young to
            old.  None deletes nothing, and replaces what was at ``path``.

    Whenever there is an optimizer or a loader, the state of :data:`dlcore.random.default_generator` is
    written too, and restored by :func:`load`.

    Raises:
        ValueError: nothing to save, a path with another ending, or ``keep_last`` below 1.
        TypeError: something in ``extra`` that a file cannot hold, or complex numbers.

        >>> import tempfile
        >>> import dlcore as dl
        >>> layer = dl.nn.Linear(2, 1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save(f"{folder}/linear.safetensors", layer, extra={"epoch": 3})
        ...     load(path, dl.nn.Linear(2, 1))
        {'epoch': 3}
    """
    path = _checked_path(path)
    if keep_last is not None and keep_last < 1:
        raise ValueError(f"checkpoint.save: keep_last must be at least 1, got {keep_last}")
    if model is None and optimizer is None and loader is None and extra is None:
        raise ValueError("checkpoint.save: nothing to save; give a model, an optimizer, a loader or extra")
    entries: Entries = {}
    described: dict[str, Any] = {}
    if model is not None:
        entries |= _model_entries(model)
    parts = {"optimizer": None if optimizer is None else _named_states(optimizer, model),
             "loader": None if loader is None else loader.state_dict(),
             "random": None if optimizer is loader is None else list(random.default_generator.state),
             "extra": extra}
    for name, part in parts.items():
        if part is not None:
            described[name] = _packed(part, name, entries)
    _write(path, entries, {FORMAT: json.dumps(described)}, keep_last)
    return path


def load(path: str | os.PathLike[str], model: Any = None, optimizer: Any = None, loader: Any = None,
         extra: MutableMapping[str, Any] | None = None) -> Any:
    """Take over what :func:`save` has written; returns the extra, or None.

    Each tensor keeps its identity, dtype and backend, so a file that was written on CUDA loads on a CPU.
    A file of weights by another tool loads into a ``model``, if names and shapes are its own.

    Args:
        path: the file.
        model: takes over parameters and buffers.
        optimizer: takes over settings and memory; it need not have stepped before.
        loader: goes on at the batch after the last one.
        extra: a dict that the extra is put into, beside being returned.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut, is no checkpoint, lacks a part, or is of another model: all missing,
            unexpected and misshapen entries are listed.  Nothing has been changed then.
    """
    path = Path(path)
    entries, described = _read(path)
    given = {"optimizer": optimizer, "loader": loader}
    if absent := [name for name, x in given.items() if x is not None and name not in described]:
        raise ValueError(f"checkpoint.load: {path.name} holds no {' and no '.join(absent)}")
    parts = {name: _unpacked(part, entries, path) for name, part in described.items()}
    if extra is not None and not isinstance(parts.get("extra", {}), Mapping):
        raise ValueError(f"checkpoint.load: the extra in {path.name} is a {type(parts['extra']).__name__}, "
                         "which cannot be put into a dict; take what load returns")
    with _all_or_nothing() as change:
        if model is not None:
            change(model, _model_state(path, entries))
        if optimizer is not None:
            change(optimizer, _ordered_states(optimizer, model, parts["optimizer"]))
        if loader is not None:
            change(loader, parts["loader"])
    if "random" in parts and not (optimizer is loader is None):
        random.default_generator.state = tuple(parts["random"])
    if extra is not None:
        extra.update(parts.get("extra", {}))
    return parts.get("extra")


# --- the parts of a run --------------------------------------------------------------------------


def _model_entries(model: Any) -> Entries:
    state = model.state_dict()
    if taken := [name for name in state if name.startswith(PREFIXES)]:
        raise ValueError(f"checkpoint.save: {taken[0]!r} is a name of the checkpoint's own; rename that "
                         "attribute of the model")
    return {name: _storable(name, x) for name, x in state.items()}


def _model_state(path: Path, entries: Entries) -> Entries:
    state = {name: x for name, x in entries.items() if not name.startswith(PREFIXES)}
    if not state:
        raise ValueError(f"checkpoint.load: {path.name} holds no model")
    return state


def _labels(optimizer: Any, model: Any) -> list[str]:
    """What each parameter of an optimizer is called: as in the model, or by its position."""
    names = {} if model is None else {id(p): name for name, p in model.named_parameters()}
    params = [p for group in optimizer.param_groups for p in group["params"]]
    return [names.get(id(p), str(i)) for i, p in enumerate(params)]


def _named_states(optimizer: Any, model: Any) -> dict[str, Any]:
    """The state of an optimizer, with a name for each parameter in place of its position."""
    state = optimizer.state_dict()
    return {**state, "state": dict(zip(_labels(optimizer, model), state["state"], strict=True))}


def _ordered_states(optimizer: Any, model: Any, state: dict[str, Any]) -> dict[str, Any]:
    """The same by position again: by names, if these are the same parameters, else as they were saved."""
    saved, labels = state["state"], _labels(optimizer, model)
    same = saved.keys() == set(labels)
    return {**state, "state": [saved[name] for name in (labels if same else saved)]}


@contextmanager
def _all_or_nothing() -> Iterator[Callable[[Any, Any], None]]:
    """Yields what loads a state into a part; if one fails, the parts before it are again what they were."""
    before: list[tuple[Any, Any]] = []

    def change(part: Any, state: Any) -> None:
        old = part.state_dict()
        part.load_state_dict(state)  # which itself changes all or nothing
        before.append((part, old))

    try:
        yield change
    except Exception:
        for part, state in before:
            part.load_state_dict(state)
        raise


# --- nested data as entries and JSON -------------------------------------------------------------


def _packed(data: Any, name: str, entries: Entries) -> Any:
    """``data`` as JSON can hold it; its arrays become entries, whose names start with ``name``."""
    def below(key: Any, x: Any) -> Any:
        return _packed(x, f"{name}/{key}", entries)

    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, Mapping):
        if strange := [key for key in data if not isinstance(key, str)]:
            raise TypeError(f"checkpoint.save: {name} has the key {strange[0]!r}; keys must be strings")
        return {"dict": {key: below(key, x) for key, x in data.items()}}
    if isinstance(data, list | tuple):
        kind = "list" if isinstance(data, list) else "tuple"
        return {kind: [below(i, x) for i, x in enumerate(data)]}
    if type(data) is not Tensor and not host.is_array(data) and not host.is_scalar(data):
        raise TypeError(f"checkpoint.save: {name} is a {type(data).__name__}, which a file cannot hold; it "
                        "holds tensors, arrays, numbers, strings, None, and dicts, lists and tuples of them")
    entries[name] = _storable(name, data)
    return {"tensor" if type(data) is Tensor else "array": name}


def _unpacked(data: Any, entries: Entries, path: Path) -> Any:
    """What :func:`_packed` was given."""
    if not isinstance(data, dict):
        return data
    (kind, inside), = data.items()
    if kind == "dict":
        return {key: _unpacked(x, entries, path) for key, x in inside.items()}
    if kind in ("list", "tuple"):
        found = [_unpacked(x, entries, path) for x in inside]
        return found if kind == "list" else tuple(found)
    if inside not in entries:
        raise ValueError(f"checkpoint.load: {path.name} lacks the entry {inside!r} that it speaks of")
    return tensor(entries[inside]) if kind == "tensor" else entries[inside]


def _storable(name: str, x: Any) -> Any:
    """``x`` as a contiguous host array of a dtype that the format has."""
    values = x.numpy() if type(x) is Tensor else host.array(x)
    if values.dtype.kind == "c":
        raise TypeError(f"checkpoint.save: {name} holds {values.dtype} numbers, for which the format has no "
                        "room; save their real and imaginary parts")
    return host.contiguous(values)  # of any other layout the format would store the bytes in wrong order


# --- files -----------------------------------------------------------------------------------------


def _checked_path(path: str | os.PathLike[str]) -> Path:
    found = Path(path)
    if found.suffix != ".safetensors":
        raise ValueError(f"checkpoint.save: {found.name!r} must end in '.safetensors', which is what it is")
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def _read(path: Path) -> tuple[Entries, dict[str, Any]]:
    """The entries of a file, and the parts that its metadata describe."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"checkpoint.load: there is no file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            entries = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
            described = json.loads((file.metadata() or {}).get(FORMAT, "{}"))
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"checkpoint.load: {path.name} is cut, or no safetensors file: {error}") from error
    except (AttributeError, TypeError) as error:  # what reading bfloat16 without ml_dtypes ends in
        raise ValueError(f"checkpoint.load: {path.name} holds a dtype that is not to be had here ({error}); "
                         "bfloat16 needs pip install 'dlcore[half]'") from error
    return entries, described


def _write(path: Path, entries: Entries, metadata: dict[str, str], keep_last: int | None) -> None:
    from safetensors.numpy import save as serialized

    content = serialized(entries, metadata)
    beside = path.with_name(f".{path.name}.part")  # what a killed process leaves, the next one overwrites
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        numbered = _NUMBERED.fullmatch(path.stem)
        if keep_last is not None and not numbered and path.is_file():
            _age(path, keep_last)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    if keep_last is not None:
        for too_old in _earlier(path, numbered)[keep_last - 1:]:
            too_old.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk as well, where folders can be flushed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _age(path: Path, keep_last: int) -> None:
    """Number the checkpoint at ``path`` and those before it one higher."""
    names = [path, *(path.with_name(f"{path.stem}.{n}{path.suffix}") for n in range(1, keep_last))]
    for younger, older in reversed([*pairwise(names)]):
        if younger == path:
            older.unlink(missing_ok=True)
            os.link(path, older)  # a second name for it: the first one is never without a file
        elif younger.exists():
            younger.replace(older)


def _earlier(path: Path, numbered: re.Match[str] | None) -> list[Path]:
    """The checkpoints of the same run before the one at ``path``, from young to old."""
    if numbered is None:
        pattern, sign = re.compile(rf"{re.escape(path.stem)}\.(\d+)"), 1
    else:
        pattern, sign = re.compile(rf"{re.escape(path.stem[:numbered.start(1)])}(\d+)"), -1
    numbers = {p: int(found[1]) for p in path.parent.glob(f"*{path.suffix}")
               if (found := pattern.fullmatch(p.stem))}
    return sorted((p for p, n in numbers.items() if numbered is None or n < int(numbered[1])),
                  key=lambda p: sign * numbers[p])
