"""The graph that most tests of graphs look at, and a function that counts its calls."""

from dlcore import graph as g


class Adaline:
    """x * w + b against a label: the graph that most tests look at."""

    def __init__(self, w=0.5, b=0.25):
        self.x, self.label = g.Placeholder("x"), g.Placeholder("label")
        self.w, self.b = g.Variable(w, name="w"), g.Variable(b, name="b")
        self.mul = g.Mul(self.x, self.w, name="mul")
        self.add = g.Add(self.mul, self.b, name="add")
        self.loss = g.AbsLoss(self.label, self.add, name="loss")
        self.graph = g.Graph(self.loss)

    def feeds(self, x=2.0, label=5.0):
        return {self.x: x, self.label: label}


class Counting:
    """A function of one tensor that knows how often it was called."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x + 1.0
