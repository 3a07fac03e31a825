"""Callbacks that tell others how the training goes: files, TensorBoard, a picture."""

from __future__ import annotations

import csv
import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from dlcore import viz
from dlcore.train.callbacks import Callback


class RateLog(Callback):
    """Adds the learning rate of the first group to the results, as ``"lr"``."""

    def on_epoch_end(self, trainer: Any, results: dict[str, float]) -> None:
        """Add it."""
        rate = trainer.optimizer.param_groups[0]["lr"]
        results["lr"] = float(rate(trainer.optimizer.steps) if callable(rate) else rate)


class _FileLog(Callback):
    """Writes a row for each epoch to a file, which is begun anew unless a run is resumed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_fit_begin(self, trainer: Any) -> None:
        """Begin the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not trainer.epoch:
            self.path.write_text("", encoding="utf-8")


class CSVLog(_FileLog):
    """Writes the results to a table of comma-separated values, a row for each epoch."""

    def on_epoch_logged(self, trainer: Any, results: dict[str, float]) -> None:
        """Write a row, and before the first one the names."""
        row = {"epoch": trainer.epoch, **results}
        begun = self.path.exists() and self.path.stat().st_size > 0
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, row)
            if not begun:
                writer.writeheader()
            writer.writerow(row)


class JSONLog(_FileLog):
    """Writes the results as a line of JSON for each epoch."""

    def on_epoch_logged(self, trainer: Any, results: dict[str, float]) -> None:
        """Write a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": trainer.epoch, **results}) + "\n")


class TensorBoardLog(Callback):
    """Writes the results for TensorBoard; needs ``pip install "dlcore[tensorboard]"``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            library = import_module("tensorboardX")
        except ImportError as error:
            raise ImportError("TensorBoardLog needs tensorboardX: pip install 'dlcore[tensorboard]' "
                              f"({error})") from error
        self.writer = library.SummaryWriter(os.fspath(folder))

    def on_epoch_logged(self, trainer: Any, results: dict[str, float]) -> None:
        """Write every result as a scalar."""
        for name, value in results.items():
            self.writer.add_scalar(name, value, trainer.epoch)

    def on_fit_end(self, trainer: Any) -> None:
        """Bring it to the disk."""
        self.writer.close()  # it opens the file anew if there is more to come


class ProgressPlot(Callback):
    """Draws the losses anew after every epoch; needs ``pip install "dlcore[viz]"``.

    Args:
        path: of the picture: ``.png``, ``.svg`` or ``.pdf``.
        log: on a logarithmic axis.
    """

    def __init__(self, path: str | os.PathLike[str], *, log: bool = False) -> None:
        self.path, self.log = path, log

    def on_epoch_logged(self, trainer: Any, results: dict[str, float]) -> None:
        """Draw all losses so far."""
        losses = {name: values for name, values in trainer.history.items() if name.endswith("loss")}
        viz.curves(losses, self.path, log=self.log)
