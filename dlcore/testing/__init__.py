"""Tests of derivatives: for the operations here, and for your own."""

from dlcore.testing.gradients import check_grads

__all__ = ["check_grads"]
