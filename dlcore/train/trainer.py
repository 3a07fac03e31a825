"""The loop: epochs of batches, shown while they run, stopped without loss, resumed to the bit."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

from dlcore import checkpoint, ops
from dlcore.tensors import Tensor
from dlcore.train.callbacks import Callback, Checkpoint
from dlcore.train.running import History, Running
from dlcore.transforms import no_grad

SHOWN_EVERY = 0.25
"""Seconds between two looks at the running loss, each of which waits for the device."""

INTERRUPTED = "interrupted.safetensors"
"""Where an interrupted run is saved if no :class:`Checkpoint` says where."""


class Trainer:
    """Trains a model, and measures it.

    A batch is a tuple whose last part is the target and whose others are the model's inputs; of a
    batch of one part, that part is both.

    Args:
        model: a module.
        loss: ``loss(outputs, targets)`` → a 0-d tensor, the mean over the batch.
        optimizer: of the model's parameters.
        metrics: by name, what else is measured: ``metric(outputs, targets)``, averaged by batch size.
        callbacks: what is done at the ends of batches and epochs, in this order.

    Attributes:
        history: the results of all epochs so far.
        epoch: how many epochs are done.
        step: how many batches are done.
        interrupted: whether Ctrl-C ended the last :meth:`fit`.

        >>> import dlcore as dl
        >>> model = dl.nn.Linear(1, 1)
        >>> x = dl.linspace(0, 1, 8).reshape(8, 1)
        >>> trainer = Trainer(model, dl.nn.MSELoss(), dl.optim.SGD(model.parameters(), lr=0.5))
        >>> loader = dl.data.DataLoader(dl.data.ArrayDataset(x, 3 * x + 1), 4, shuffle=True)
        >>> history = trainer.fit(loader, epochs=100)
        >>> history.epochs, history["loss"][-1] < 1e-6
        (100, True)
    """

    def __init__(self, model: Any, loss: Callable[[Any, Any], Tensor], optimizer: Any,
                 metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
                 callbacks: Sequence[Callback] = ()) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.metrics, self.callbacks = dict(metrics or {}), list(callbacks)
        taken = [name for name in self.metrics if name == "loss" or name.startswith("val_")]
        if taken:
            raise ValueError(f"Trainer: {taken[0]!r} cannot be the name of a metric; results have that name")
        self.history = History()
        self.epoch = self.step = 0
        self.interrupted = False
        self._stopped: str | None = None
        self._loader: Any = None
        self._running = Running(self.metrics)

    # --- training ------------------------------------------------------------------------------

    def fit(self, loader: Any, epochs: int, validation: Iterable[Any] | None = None, *,
            resume: str | os.PathLike[str] | None = None) -> History:
        """Train for ``epochs`` epochs; returns the history of all epochs of this trainer.

        A bar shows the running loss and metrics where there is a terminal or a notebook.  Ctrl-C ends
        the training after the batch at hand, saves the run, and says how to go on; a second one ends it
        at once.

        Args:
            loader: gives the batches of an epoch each time it is iterated over.
            epochs: how many more; with ``resume`` how many in all, those before included.
            validation: a loader of other examples, measured after every epoch: ``"val_loss"``, ….
            resume: a checkpoint of :class:`Checkpoint` or :meth:`save` to go on from.

        Raises:
            ValueError: no batches, or ``epochs`` is negative.
            FloatingPointError: the loss was nan or infinite when it was next looked at.
        """
        if epochs < 0:
            raise ValueError(f"fit: epochs must not be negative, got {epochs}")
        if resume is not None:
            self.load(resume, loader)
        last = epochs if resume is not None else self.epoch + epochs
        self._loader, self._stopped, self.interrupted = loader, None, False
        for callback in self.callbacks:
            callback.on_fit_begin(self)
        if self._running.count and hasattr(loader, "load_state_dict"):
            loader.load_state_dict(loader.state_dict())  # go on within the epoch that was broken off
        try:
            with _interruptible() as asked:
                while self.epoch < last and self._stopped is None and not self.interrupted:
                    if (results := self._train_epoch(loader, last, asked)) is not None:
                        self._finish_epoch(results, validation)
                    self.interrupted = asked()
        finally:
            for callback in self.callbacks:
                callback.on_fit_end(self)
        if self.interrupted:
            self._save_interrupted(last)
        return self.history

    def stop(self, reason: str) -> None:
        """End the training after the epoch at hand; a callback calls it."""
        self._stopped = reason
        _say(f"stopped after epoch {self.epoch}: {reason}")

    def _train_epoch(self, loader: Any, last: int,
                     asked: Callable[[], bool]) -> dict[str, float] | None:
        """The results of an epoch, or what is left of one; None if it was broken off."""
        self.model.train()
        total = len(loader) if isinstance(loader, Sized) else None
        with _Bar(total, self._running.batches, f"epoch {self.epoch + 1}/{last}") as bar:
            for batch in loader:
                self._train_batch(*_parts(batch))
                bar.advance(self._look)
                if asked() and self._running.batches != total:
                    return None
            if not self._running.count:
                raise ValueError("fit: the loader gave no batches; is the dataset smaller than a batch that "
                                 "drop_last drops, or an iterator that was used up?")
            results = self._look()
            bar.show(results)
        return results

    def _train_batch(self, inputs: tuple[Any, ...], targets: Any) -> None:
        self.optimizer.zero_grad()
        outputs = self.model(*inputs)
        loss = self.loss(outputs, targets)
        if loss.shape != ():
            raise ValueError(f"fit: the loss must be one number, got shape {loss.shape}; use its mean")
        loss.backward()
        for callback in self.callbacks:
            callback.on_backward_end(self)
        self.optimizer.step()
        self.step += 1
        with no_grad():
            self._running.add(loss, outputs, targets, len(targets))
        for callback in self.callbacks:
            callback.on_batch_end(self)

    def _look(self) -> dict[str, float]:
        """The running results; this is where the host waits, and where a broken loss is seen."""
        results = self._running.read()
        if not math.isfinite(results["loss"]):
            self._running = Running(self.metrics)  # for whoever goes on, with other weights
            self._break_off(f"the loss is {results['loss']} in epoch {self.epoch + 1}")
        return results

    def check_weights(self) -> None:
        """Raise FloatingPointError if a parameter is nan or infinite, and no checkpoint worth having."""
        parameters = self.model.named_parameters()
        if wrong := [name for name, p in parameters if not ops.all(ops.isfinite(p.detach()))]:
            self._break_off(f"{', '.join(wrong[:3])}{', …' * (len(wrong) > 3)} became nan or infinite")

    def _break_off(self, what: str) -> NoReturn:
        kept = [c.written for c in self.callbacks if isinstance(c, Checkpoint) and c.written]
        held = f"the last checkpoint is {kept[-1]}" if kept else "no checkpoint was written before"
        raise FloatingPointError(
            f"fit: {what}, at step {self.step} or before; {held}. To find the cause, run it again under "
            "dl.debug_nans(), which stops at the operation that makes the first nan, or with inf=True the "
            "first infinity; likely are a learning rate that is too high, and log, sqrt or a division at the "
            "edge of its domain")

    def _finish_epoch(self, results: dict[str, float], validation: Iterable[Any] | None) -> None:
        if validation is not None:
            results |= {f"val_{name}": value for name, value in self.evaluate(validation).items()}
        self._running = Running(self.metrics)
        self.epoch += 1
        for callback in self.callbacks:
            callback.on_epoch_end(self, results)
        self.history.append(results)
        for callback in self.callbacks:
            callback.on_epoch_logged(self, results)

    def _save_interrupted(self, last: int) -> None:
        own = [c for c in self.callbacks if isinstance(c, Checkpoint)]
        path = own[0].save(self) if own else self.save(INTERRUPTED)
        _say(f"interrupted in epoch {self.epoch + 1}, after step {self.step}; the run is saved.\n"
             f"To go on: trainer.fit(loader, epochs={last}, resume={str(path)!r})")

    # --- measuring -----------------------------------------------------------------------------

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics over all batches, with the model predicting, not training."""
        running = Running(self.metrics)
        for targets, outputs in self._predicted(loader):
            running.add(self.loss(outputs, targets), outputs, targets, len(targets))
        if not running.count:
            raise ValueError("evaluate: the loader gave no batches")
        return running.read()

    def predict(self, loader: Iterable[Any]) -> Tensor:
        """The outputs for all batches, one after the other along the first axis."""
        found = [outputs for _, outputs in self._predicted(loader)]
        if not found:
            raise ValueError("predict: the loader gave no batches")
        return ops.concat(found)

    def _predicted(self, loader: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """The targets and outputs of every batch, with the model predicting."""
        was = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            for batch in loader:
                inputs, targets = _parts(batch)
                with no_grad():
                    outputs = self.model(*inputs)
                    yield targets, outputs
        finally:
            for module, training in was.items():
                module.training = training

    # --- saving and loading --------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], keep_last: int | None = None) -> Path:
        """Write the whole run to a file: model, optimizer, loader, random state, history, callbacks."""
        loader = self._loader if hasattr(self._loader, "state_dict") else None
        state = {"epoch": self.epoch, "step": self.step, "history": dict(self.history),
                 "running": self._running.state_dict(),
                 "callbacks": [[type(c).__name__, c.state_dict()] for c in self.callbacks]}
        return checkpoint.save(path, self.model, self.optimizer, loader, {"trainer": state}, keep_last)

    def load(self, path: str | os.PathLike[str], loader: Any = None) -> None:
        """Go on from where :meth:`save` was called; ``loader`` is put to where it was, too.

        Raises:
            ValueError: the file is of another model, or has not been written by a trainer.
        """
        loader = loader if hasattr(loader, "state_dict") else None
        state = (checkpoint.load(path) or {}).get("trainer")
        if state is None:
            raise ValueError(f"Trainer.load: {os.fspath(path)} was not written by a trainer; "
                             "dl.checkpoint.load reads it")
        checkpoint.load(path, self.model, self.optimizer, loader)
        self.epoch, self.step, self.history = state["epoch"], state["step"], History(state["history"])
        self._running = Running(self.metrics)
        self._running.load_state_dict(state["running"])
        waiting: dict[str, list[Any]] = {}
        for name, saved in reversed(state["callbacks"]):
            waiting.setdefault(name, []).append(saved)
        for callback in self.callbacks:
            if same_kind := waiting.get(type(callback).__name__):
                callback.load_state_dict(same_kind.pop())


def _parts(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """The inputs and the target of a batch."""
    if isinstance(batch, Tensor):
        return (batch,), batch
    *inputs, targets = batch
    return (tuple(inputs) or (targets,)), targets


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yields what tells whether Ctrl-C was pressed; pressed once more, it interrupts as ever."""
    asked = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: Any) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _say(message: str) -> None:
    """Tell the user, beside the bar and not within it."""
    from tqdm.auto import tqdm

    tqdm.write(message, file=sys.stderr)


class _Bar:
    """The progress of an epoch; silent where there is neither a terminal nor a notebook."""

    def __init__(self, total: int | None, done: int, title: str) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(total=total, initial=done, desc=title, unit="batch", disable=None)
        self._shown_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, look: Callable[[], dict[str, float]]) -> None:
        """Count a batch, and now and then show what ``look`` finds."""
        self._bar.update()
        if not self._bar.disable and time.monotonic() - self._shown_at > SHOWN_EVERY:
            self.show(look())
            self._shown_at = time.monotonic()

    def show(self, results: dict[str, float]) -> None:
        """Show results beside the bar."""
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in results.items()})
