# ruff: noqa: N802  the tutorials name their nodes like classes
"""The node constructors, named as the tutorials name them; ``node`` makes one of anything else.

Operands are nodes; a number, a tensor or an array becomes a constant.  ``name`` is what errors and
drawings call the node.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from dlcore import ops
from dlcore.core import V
from dlcore.graph.nodes import Node, Operand, Operation
from dlcore.ops.activations import leaky_relu, relu, step
from dlcore.ops.losses import l1_loss, mse_loss
from dlcore.shaping import Axis

Name = str | None


def node(function: Callable[..., Any], *operands: Operand, name: Name = None,
         kind: str | None = None) -> Operation:
    """A node that applies any function of tensors, any operation of dlcore, or a module.

    Args:
        function: takes a tensor for each operand, and returns one; a number stays a number.  What
            it captures and what gathers gradients, such as the parameters of a module, does so here.
        operands: nodes, or numbers and tensors, which become constants.
        name: what errors and drawings call it; derived from ``kind`` if None.
        kind: what it does, in a word; the name of the function if None.

    Raises:
        TypeError: ``function`` cannot be called.

        >>> import dlcore as dl
        >>> from dlcore.graph import Placeholder
        >>> x = Placeholder("x")
        >>> y = node(lambda v: dl.sum(v * v), x, kind="SumOfSquares")
        >>> x.value = [1.0, 2.0]
        >>> y.forward()
        tensor(5., float32)
    """
    if not callable(function) or isinstance(function, Node):
        raise TypeError(f"node: needs a function first, got {function!r}")
    if kind is None:
        inner = function.func if isinstance(function, partial) else function
        named = getattr(inner, "__name__", None) or getattr(inner, "name", None)
        kind = "Function" if named == "<lambda>" else str(named or type(inner).__name__)
    return Operation(function, operands, kind, name)


# --- arithmetic ----------------------------------------------------------------------------------


def Add(*operands: Operand, name: Name = None) -> Operation:
    """The sum of any number of operands, added from left to right.

        >>> from dlcore.graph import Variable
        >>> Add(Variable(1.0), Variable(2.0), 3.0).forward()
        tensor(6., float32)
    """
    return Operation(_add, operands, "Add", name)


def _add(*operands: V) -> V:
    return reduce(ops.add, operands)


def Sub(x: Operand, y: Operand, *, name: Name = None) -> Operation:
    """``x - y``."""
    return Operation(ops.subtract, (x, y), "Sub", name)


def Mul(x: Operand, y: Operand, *, name: Name = None) -> Operation:
    """``x * y``, element by element."""
    return Operation(ops.multiply, (x, y), "Mul", name)


def Div(x: Operand, y: Operand, *, name: Name = None) -> Operation:
    """``x / y``, element by element."""
    return Operation(ops.divide, (x, y), "Div", name)


def Neg(x: Operand, *, name: Name = None) -> Operation:
    """``-x``."""
    return Operation(ops.negative, (x,), "Neg", name)


def MatMul(x: Operand, y: Operand, *, name: Name = None) -> Operation:
    """The matrix product ``x @ y``."""
    return Operation(ops.matmul, (x, y), "MatMul", name)


def Linear(x: Operand, w: Operand, b: Operand, *, name: Name = None) -> Operation:
    """``x @ w + b`` with ``x`` (n, in), ``w`` (in, out), ``b`` (out,); of numbers ``x * w + b``."""
    return Operation(_linear, (x, w, b), "Linear", name)


def _linear(x: V, w: V, b: V) -> V:
    scalars = not getattr(x, "shape", ()) and not getattr(w, "shape", ())
    return ops.add(ops.multiply(x, w) if scalars else ops.matmul(x, w), b)


# --- functions of each element -------------------------------------------------------------------


def Square(x: Operand, *, name: Name = None) -> Operation:
    """``x * x``."""
    return Operation(ops.square, (x,), "Square", name)


def Sqrt(x: Operand, *, name: Name = None) -> Operation:
    """The square root of ``x``."""
    return Operation(ops.sqrt, (x,), "Sqrt", name)


def Abs(x: Operand, *, name: Name = None) -> Operation:
    """The absolute value of ``x``; its derivative at 0 is 0."""
    return Operation(ops.abs, (x,), "Abs", name)


def Exp(x: Operand, *, name: Name = None) -> Operation:
    """The exponential function of ``x``."""
    return Operation(ops.exp, (x,), "Exp", name)


def Log(x: Operand, *, name: Name = None) -> Operation:
    """The natural logarithm of ``x``."""
    return Operation(ops.log, (x,), "Log", name)


def Sigmoid(x: Operand, *, name: Name = None) -> Operation:
    """``1 / (1 + exp(-x))``."""
    return Operation(ops.sigmoid, (x,), "Sigmoid", name)


def Tanh(x: Operand, *, name: Name = None) -> Operation:
    """The hyperbolic tangent of ``x``."""
    return Operation(ops.tanh, (x,), "Tanh", name)


def ReLU(x: Operand, *, name: Name = None) -> Operation:
    """``x`` where it is positive, else 0; the derivative at 0 is 0."""
    return Operation(relu, (x,), "ReLU", name)


def LeakyReLU(x: Operand, slope: float = 0.01, *, name: Name = None) -> Operation:
    """``x`` where it is positive, else ``slope * x``; the derivative at 0 is ``slope``."""
    return Operation(partial(leaky_relu, negative_slope=slope), (x,), "LeakyReLU", name)


def Step(x: Operand, *, name: Name = None) -> Operation:
    """1 where ``x`` is positive, else 0; the derivative is 0 everywhere."""
    return Operation(step, (x,), "Step", name)


# --- many numbers into one -----------------------------------------------------------------------


def Sum(x: Operand, axis: Axis = None, *, name: Name = None) -> Operation:
    """The sum over ``axis``: an axis, several, or None for all of them."""
    return Operation(partial(ops.sum, axis=axis), (x,), "Sum", name)


def Mean(x: Operand, axis: Axis = None, *, name: Name = None) -> Operation:
    """The mean over ``axis``: an axis, several, or None for all of them."""
    return Operation(partial(ops.mean, axis=axis), (x,), "Mean", name)


def MSELoss(a: Operand, b: Operand, *, name: Name = None) -> Operation:
    """The mean of ``(a - b)**2`` over all elements; ``a`` and ``b`` have the same shape."""
    return Operation(mse_loss, (a, b), "MSELoss", name)


def AbsLoss(a: Operand, b: Operand, *, name: Name = None) -> Operation:
    """The mean of ``|a - b|`` over all elements; where they agree, the gradient is 0."""
    return Operation(l1_loss, (a, b), "AbsLoss", name)
