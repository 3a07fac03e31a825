"""Tests of derivatives: for the operations here, and for your own functions, also of other libraries.

:func:`check_grads` compares derivatives with finite differences, and :func:`grad_errors` tells how far they
are off; :func:`numpy_function`, :func:`torch_function` and :func:`jax_function` let them look at functions
of those libraries.
:func:`ledger` tells what was measured of the operations here.
:mod:`dlcore.testing.strategies` draws shapes, arrays and calls with Hypothesis, and is imported by its name.
"""

from dlcore.testing.gradients import GradError, GradientError, check_grads, grad_errors
from dlcore.testing.peers import jax_function, numpy_function, torch_function
from dlcore.testing.records import ledger

__all__ = ["GradError", "GradientError", "check_grads", "grad_errors", "jax_function", "ledger",
           "numpy_function", "torch_function"]
