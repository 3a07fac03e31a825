"""Tests of derivatives: for the operations here, and for your own."""

from dlcore.testing.gradients import check_grads
from dlcore.testing.records import ledger

__all__ = ["check_grads", "ledger"]
