"""One operation on one backend, measured: what a row of the ledger says.

The numbers come from the samples that the operation declares, so a new operation has a row by being
declared.  Nothing here is a tolerance of its own but two: a gradient in float32 that has lost more
than half its bits is red, and so is a layout that changes a float64 result by more than rounding.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import backends
from backends import BackendError
from dlcore.core import dtype_of
from dlcore.samples import Sample
from dlcore.tensors import Tensor
from dlcore.testing.calls import Call, called, letters, outputs
from dlcore.testing.differences import EPSILON
from dlcore.testing.gradients import GradientError, grad_errors
from dlcore.transforms import vjp

__all__ = ["measured"]

SIZES = ((2, 2, 2), (3, 1, 2))
"""The sizes of the letters of a sample, in turn; an example for each of the two."""

REPEATS = 10
HALF_THE_BITS = 2.0**12
"""ULPs of float32, of the largest element, by which its gradient may differ from float64's."""

CANCELLED = 1e-6
"""A gradient below this times result over argument is 0 but for rounding, and its error relative to that."""

LAYOUT = 1e-10
"""By how much a result in float64 may depend on strides: sums are taken in another order."""

_REPEATS = "it is never given numbers without axes, which it would repeat"
NO_NUMBERS = {"unresolved": "of numbers without axes it is constant but for rounding",
              "missing sum": _REPEATS, "wrong shape": _REPEATS}
"""Kinds of failure that are none where an operation that needs axes is tried without, and what they mean."""

NARROW = ("float32", "float16", "bfloat16")
LAYOUTS = ("transposed", "strided", "broadcast", "0-d", "empty")
REFUSALS = (ValueError, TypeError, IndexError, BackendError)  # no NotImplementedError: a stub is red


class RefusedError(Exception):
    """An example that says nothing, with the reason."""


def measured(subject: Any, backend: str) -> dict[str, Any]:
    """The row of ``subject``, a primitive or an operation, on ``backend``: plain data, for JSON.

    A row whose list ``red`` is not empty is red, and the list says why.
    """
    with backends.use_backend(backend), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the layouts meet ties and poles that no sample declares
        row = _Row(subject)
        for part in (row.derivatives, row.precision, row.repeated, row.layouts):
            try:
                part()
            except Exception as error:  # noqa: BLE001  whatever breaks is what the row has to tell
                row.fails(f"{part.__name__}: {type(error).__name__}: {_one_line(error)}")
    return row.data()


class _Row:
    """The measurements of one operation on the selected backend."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject
        self.xp = backends.current()
        self.flat = not getattr(subject, "differentiable", True)
        self.red: list[str] = []
        self.worst: dict[tuple[str, int], float] = {}
        self.ulps: dict[str, float] = {}
        self.gradients: dict[str, str] = {}
        self.wrong: dict[str, str] = {}
        self.passed: dict[str, int] = {"contiguous": 0}
        self.excluded: dict[str, str] = {}
        self.examples = 0
        self.agree = True

    def data(self) -> dict[str, Any]:
        """What was found, rounded so that it is the same on the next run."""
        found: dict[str, Any] = {"red": self.red}
        for mode in ("reverse", "forward"):
            if (mode, 1) in self.worst:
                found[mode] = [rounded(self.worst[mode, order]) for order in (1, 2)]
        return found | {
            "gradients": self.gradients, "ulp": {dtype: rounded(e) for dtype, e in self.ulps.items()},
            "layouts": [name for name, count in self.passed.items() if count],
            "repeats": REPEATS if self.agree else 0, "examples": self.examples, "excluded": self.excluded}

    def calls(self) -> Iterator[Call]:
        """Calls by every sample, in two sizes."""
        for sample in self.subject.samples:
            for seed, sizes in enumerate(SIZES):
                yield called(self.subject, sample, _sizes(sample, sizes), seed)

    def fails(self, reason: str) -> None:
        """Turn the row red."""
        if reason not in self.red:
            self.red.append(reason)

    # --- derivatives --------------------------------------------------------------------------------

    def derivatives(self) -> None:
        """Both modes at both orders against finite differences, in float64."""
        for seed, call in enumerate(self.calls()):
            self.examples += 1
            if call.floats and not self.flat:
                self.check(call, seed)
            elif self.steep(call):
                self.fails("it declares no derivative, but has one")
        if not self.worst:
            self.flat = True
            self.excluded["derivatives"] = "none: the result changes only in jumps"
        self.passed["contiguous"] = self.examples

    def steep(self, call: Call) -> bool:
        """Whether a result changes with the arguments by other than jumps; the call must work in any case."""
        tensors = call.tensors()
        f = call.between_floats(tensors)
        xs = [tensors[i] for i in call.floats]
        return bool(f(*xs) and xs) and any(e.error > 0.0 for e in grad_errors(f, *xs, order=1, modes=["rev"]))

    def check(self, call: Call, seed: int) -> None:
        """Compare one call with finite differences."""
        tensors = call.tensors()
        f = call.between_floats(tensors)
        if not f(*(tensors[i] for i in call.floats)):
            return
        for mode, order, error, allowed in grad_errors(f, *(tensors[i] for i in call.floats), seed=seed):
            key = ("reverse" if mode == "rev" else "forward", order)
            self.worst[key] = _larger(self.worst.get(key, 0.0), error)
            if not error <= allowed:
                self.fails(f"{key[0]} mode, order {order}, is off by {rounded(error):.0e} of {allowed:.0e}")

    def precision(self) -> None:
        """Gradients in narrower dtypes against those in float64, at the same rounded numbers."""
        for dtype in NARROW if not self.flat else ():
            if not self.xp.supports(dtype):
                self.excluded[dtype] = f"{self.xp.name} has none"
                continue
            for call in self.calls():
                if not call.floats:
                    continue
                try:
                    self.narrow(call, dtype)
                except RefusedError:
                    continue
                except REFUSALS as error:
                    self.excluded[dtype] = _one_line(error)
        for reason in self.wrong.values():
            self.fails(reason)
        if not self.ulps.get("float32", 0.0) <= HALF_THE_BITS:
            self.fails("the gradient in float32 has lost half its bits")

    def narrow(self, call: Call, dtype: str) -> None:
        """Measure one call in one narrower dtype."""
        narrow = call.tensors(dtype)
        kinds = {"float": "float64", "complex": "complex128"}
        wide = [x.astype(kinds[dtype_of(x).kind]) if i in call.floats else x for i, x in enumerate(narrow)]
        here, there = gradients(call, narrow, dtype), gradients(call, wide, dtype)
        scale = max(map(_largest, call.between_floats(wide)(*(wide[i] for i in call.floats))))
        self.examples += 1
        for i, g, exact in zip(call.floats, here, there, strict=True):
            self.gradients[str(narrow[i].dtype)] = f"{g.dtype} on {g.backend}"
            if (g.dtype, g.backend) != (narrow[i].dtype, narrow[i].backend):
                wrong = f"a gradient of {narrow[i].dtype} on {narrow[i].backend} is {g.dtype} on {g.backend}"
                self.wrong[dtype] = wrong
            size, natural = _largest(exact), scale / (_largest(wide[i]) or 1.0)
            size = natural if size < CANCELLED * natural else size  # what is left is rounding of larger terms
            error = _largest(g.astype(exact.dtype) - exact)
            ulps = error / (size * EPSILON[dtype]) if size else math.inf if error else 0.0
            self.ulps[dtype] = _larger(self.ulps.get(dtype, 0.0), ulps)

    def repeated(self) -> None:
        """Ten runs of each first example, which must agree bit for bit."""
        for call in list(self.calls())[::len(SIZES)]:
            runs = {tuple(x.numpy().tobytes() for x in results(call, call.tensors()))
                    for _ in range(REPEATS)}
            self.examples += REPEATS
            if len(runs) > 1:
                self.agree = False
                self.fails(f"{REPEATS} runs gave {len(runs)} different results")

    # --- layouts ------------------------------------------------------------------------------------

    def layouts(self) -> None:
        """Views in place of contiguous arrays, arrays without axes, arrays without elements."""
        for layout in LAYOUTS:
            reasons = []
            self.passed[layout] = 0
            for sample in self.subject.samples:
                try:
                    self.arranged(layout, sample)
                except RefusedError as reason:
                    reasons.append(str(reason))
                    continue
                self.passed[layout] += 1
                self.examples += 1
            if reasons and not self.passed[layout]:
                self.excluded[layout] = max(reasons, key=reasons.count)

    def arranged(self, layout: str, sample: Sample) -> None:
        """Try one layout on one sample."""
        if layout == "empty":
            self.nothing(sample)
        elif layout == "0-d":
            self.scalars(sample)
        else:
            self.viewed(sample, layout)

    def viewed(self, sample: Sample, layout: str) -> None:
        """A view must give what a contiguous array of the same numbers gives."""
        call = called(self.subject, sample, _sizes(sample, SIZES[0]), 0)
        views = [_view(self.xp, x.data, layout) for x in call.tensors()]
        if all(v is None for v in views):
            raise RefusedError("no argument has axes for it")
        tensors = [Tensor(x.data if v is None else v) for v, x in zip(views, call.tensors(), strict=True)]
        copies = [Tensor(self.xp.from_host(x.numpy().copy())) for x in tensors]
        expected = self.attempted(call, copies)
        for x, y in zip(results(call, tensors), expected, strict=True):
            if not (x.shape == y.shape and x.dtype == y.dtype and _near(x, y)):
                self.fails(f"{layout} arrays give another result than contiguous ones")

    def attempted(self, call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The results of a call that may be refused, for a reason that the operation gives."""
        try:
            return results(call, tensors)
        except REFUSALS as error:
            raise RefusedError(_one_line(error)) from None

    def scalars(self, sample: Sample) -> None:
        """Numbers without axes: the operation differentiates them, or says why not."""
        kinds = tuple(s.split()[0] if s[:1] in ("?", "#", "~") else "" for s in sample.shapes)
        none = sample._replace(shapes=kinds)
        call = called(self.subject, none, _sizes(sample, SIZES[0]), 0)
        self.attempted(call, call.tensors())
        if not call.floats or self.flat:
            return
        try:
            self.check(call, 0)
        except GradientError as error:
            if error.kind not in NO_NUMBERS:
                raise
            raise RefusedError(NO_NUMBERS[error.kind]) from None

    def nothing(self, sample: Sample) -> None:
        """Arrays of no elements: gradients have their shape, or the operation says why not."""
        sizes = letters(sample)
        call = called(self.subject, sample, sizes, 0)
        if all(a.size for a in call.args):
            raise RefusedError("the sample leaves no size open that could be 0")
        found = self.attempted(call, call.tensors())
        count = len(outputs(call(*call.tensors())))
        expected = [x.shape for i, x in enumerate(call.tensors()) if i in call.floats]
        if found[count:] and [g.shape for g in found[count:]] != expected:
            self.fails("gradients of empty arrays have other shapes than these")


# --- values and gradients ------------------------------------------------------------------------------


def gradients(call: Call, tensors: Sequence[Tensor], rounded_to: Any = None) -> list[Tensor]:
    """The gradients of the float arguments, for cotangents that are not all ones.

    Raises:
        RefusedError: there is no float result.
    """
    ys, pull = vjp(call.between_floats(tensors), *(tensors[i] for i in call.floats))
    if not ys:
        raise RefusedError("no float result")
    return list(pull([_cotangent(y, rounded_to or y.dtype) for y in ys]))


def _cotangent(y: Tensor, rounded_to: Any) -> Tensor:
    """Numbers from -1.5 to 1.5 in the shape of ``y``, none near 0; the same for every dtype."""
    real = {"complex64": "float32", "complex128": "float64"}.get(rounded_to, rounded_to)
    xp = backends.current()
    places = xp.reshape(xp.arange(0, y.size, dtype="float64"), y.shape)
    wave = Tensor(xp.asarray(xp.sin(places * 2.4 + 0.7))).astype(real).astype("float64")
    found = (wave + 0.5 * (wave > 0) - 0.5 * (wave <= 0)).astype(real).astype(y.dtype)
    return found * (1.0 + 0.5j) if dtype_of(y).kind == "complex" else found


def results(call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
    """What a call returns, and then the gradients, if there are any."""
    found = [y for y in outputs(call(*tensors)) if isinstance(y, Tensor)]
    if not call.floats or not getattr(call.subject, "differentiable", True):
        return found
    try:
        return found + gradients(call, tensors)
    except RefusedError:
        return found


# --- arrangements ------------------------------------------------------------------------------------------


def _sizes(sample: Sample, sizes: Sequence[int]) -> dict[str, int]:
    open_ = enumerate(letters(sample).items())
    return {letter: max(sizes[i % len(sizes)], least) for i, (letter, least) in open_}


def _view(xp: Any, x: Any, layout: str) -> Any:
    """``x`` with other strides; broadcast, its first slice repeated; None if it has too few axes."""
    if layout == "transposed":
        if x.ndim < 2:
            return None
        backwards = tuple(reversed(range(x.ndim)))
        turned = xp.to_host(xp.permute_dims(x, backwards)).copy()  # a backend's own may keep strides
        return xp.permute_dims(xp.from_host(turned), backwards)
    if x.ndim < 1:
        return None
    if layout == "strided":
        twice = xp.namespace.stack([x, x], axis=x.ndim)
        return twice[(..., 0)]
    return xp.namespace.broadcast_to(x[(slice(0, 1), ...)], x.shape)


def _largest(x: Tensor) -> float:
    """The largest absolute value, 0 of nothing; nan if there is one."""
    values = abs(x.numpy())
    return float(values.max()) if values.size else 0.0


def _near(x: Tensor, y: Tensor) -> bool:
    """Whether two results differ by rounding only."""
    if dtype_of(x).kind not in ("float", "complex"):
        return bool((x.numpy() == y.numpy()).all())
    a, b = x.numpy(), y.numpy()
    alike = (a == b) | ((a != a) & (b != b))  # noqa: PLR0124  nan beside nan
    apart = abs(a - b) <= LAYOUT * (1.0 + abs(b))
    return bool((alike | apart).all())


def _larger(x: float, y: float) -> float:
    """The larger of two errors, of which nan is the largest."""
    return y if math.isnan(y) or y > x else x


def rounded(x: float) -> float:
    """One digit, upwards: a bound that the next run on another machine keeps more often than a figure."""
    if x == 0 or not math.isfinite(x):
        return x
    scale = 10.0 ** math.floor(math.log10(x))
    return float(f"{math.ceil(x / scale - 1e-9) * scale:.0e}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
