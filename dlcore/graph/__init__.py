"""The graph to watch: built by hand, fed, run forwards and backwards, and drawn.

    >>> import dlcore.graph as g
    >>> x, w, b = g.Placeholder("x"), g.Variable(0.5, name="w"), g.Variable(0.0, name="b")
    >>> label = g.Placeholder("label")
    >>> product = g.Mul(x, w, name="mul")
    >>> graph = g.Graph(g.AbsLoss(g.Add(product, b, name="add"), label, name="loss"))
    >>> graph.forward({x: 2.0, label: 5.0})
    tensor(4., float32)
    >>> graph.backward()
    >>> print(graph.backward_steps())
    step  node  operation  incoming  parent  local  outgoing
    ----  ----  ---------  --------  ------  -----  --------
    1     loss  AbsLoss    1         add     -1     -1
                                     label   1      1
    2     add   Add        -1        mul     1      -1
                                     b       1      -1
    3     mul   Mul        -1        x       0.5    -0.5
                                     w       2      -2
    >>> graph.update(lr=0.1); w.value
    tensor(0.7, float32)

``nodes`` has the nodes, ``passes`` what walks over them, ``operations`` the constructors named as in
the tutorials, ``graph`` the whole; ``layout`` and ``drawing`` make the picture, ``steps`` the table.
"""

from dlcore.graph.drawing import Drawing
from dlcore.graph.graph import Graph
from dlcore.graph.nodes import Constant, Node, Operation, Placeholder, Variable
from dlcore.graph.operations import (
    Abs,
    AbsLoss,
    Add,
    Div,
    Exp,
    LeakyReLU,
    Linear,
    Log,
    MatMul,
    Mean,
    MSELoss,
    Mul,
    Neg,
    ReLU,
    Sigmoid,
    Sqrt,
    Square,
    Step,
    Sub,
    Sum,
    Tanh,
    node,
)
from dlcore.graph.steps import BackwardSteps

__all__ = [
    "Abs", "AbsLoss", "Add", "BackwardSteps", "Constant", "Div", "Drawing", "Exp", "Graph",
    "LeakyReLU", "Linear", "Log", "MSELoss", "MatMul", "Mean", "Mul", "Neg", "Node", "Operation",
    "Placeholder", "ReLU", "Sigmoid", "Sqrt", "Square", "Step", "Sub", "Sum", "Tanh", "Variable",
    "node",
]
