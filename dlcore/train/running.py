"""What is gathered while training: sums of an epoch on the device, and the history of all epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from backends import host
from dlcore import ops
from dlcore.tensors import Tensor, tensor
from dlcore.train.metrics import Metric, name_of, wide


class History(dict[str, list[float]]):
    """The results of each epoch by name: ``history["loss"]``, ``history["val_accuracy"]``.

        >>> history = History()
        >>> history.append({"loss": 0.5, "val_loss": 0.75})
        >>> history
        epoch  loss  val_loss
            1   0.5      0.75
    """

    @property
    def epochs(self) -> int:
        """How many epochs it holds."""
        return max(map(len, self.values()), default=0)

    def append(self, results: Mapping[str, float]) -> None:
        """Add the results of an epoch; what was not measured in one is nan there."""
        before = self.epochs
        for name in (*self, *(n for n in results if n not in self)):
            self.setdefault(name, [math.nan] * before).append(results.get(name, math.nan))

    def __repr__(self) -> str:
        columns = [["epoch", *(str(i + 1) for i in range(self.epochs))],
                   *([name, *(f"{v:.5g}" for v in values)] for name, values in self.items())]
        padded = ([cell.rjust(max(map(len, column))) for cell in column] for column in columns)
        return "\n".join("  ".join(row) for row in zip(*padded, strict=True))


class Running:
    """The loss and the metrics of the batches so far, added up where they are computed.

    Nothing is read before :meth:`read`, which copies all of them in one go.
    """

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self.metrics = metrics
        self.count = self.batches = 0
        self.sums: dict[str, Tensor] = {}

    def add(self, loss: Tensor, outputs: Any, targets: Any, size: int) -> None:
        """Count a batch of ``size`` examples."""
        self.count += size
        self.batches += 1
        self._add("loss", wide(loss.detach()) * size)
        for name, metric in self.metrics.items():
            if isinstance(metric, Metric):
                self._add(name, wide(metric.counts(outputs, targets)))
                continue
            value = metric(outputs, targets)
            if not isinstance(value, Tensor):
                value = tensor(float(value))
            if value.shape != ():
                raise ValueError(f"metric {name!r} ({name_of(metric)}) must give one number, not a tensor of "
                                 f"shape {value.shape}; take its mean")
            self._add(name, wide(value.detach()) * size)

    def _add(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def read(self) -> dict[str, float]:
        """The means so far, as numbers of Python."""
        if not self.count:
            return {}
        values = []
        for name, total in self.sums.items():
            metric = self.metrics.get(name)
            values.append(wide(metric.value(total) if isinstance(metric, Metric) else total / self.count))
        return dict(zip(self.sums, ops.stack(values).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The sums and the count, as a checkpoint can hold them."""
        sums = {name: x.numpy() for name, x in self.sums.items()}
        return {"count": self.count, "batches": self.batches, "sums": sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.count, self.batches = state["count"], state["batches"]
        self.sums = {name: tensor(host.array(x)) for name, x in state["sums"].items()}
