"""Tutorial 0: an adaptive linear unit learns y = 2x + 1 from one sample at a time.

The graph is built by hand, as in part 5 of the OurDL tutorials: mul = x * w, add = mul + b,
loss = |label - add|.  The first eleven lines that this prints are, character by character, those of
the article.
"""

from collections.abc import Iterable

from common import arguments

import dlcore as dl
import dlcore.graph as g
from dlcore import viz

ARTICLE = [2.6, 4.6, -4.4, -3.2, 7.8, 6.0, 3.8, -6.4, -8.8, 7.4]  # read off its printed lines


class Unit:
    """The graph of figure 1: seven nodes, of which w and b learn, each at its own rate."""

    def __init__(self) -> None:
        self.x, self.label = g.Placeholder("x"), g.Placeholder("label")
        self.w, self.b = g.Variable(0.0, name="w"), g.Variable(0.0, name="b")
        mul = g.Mul(self.x, self.w, name="mul")
        add = g.Add(mul, self.b, name="add")
        self.graph = g.Graph(g.AbsLoss(self.label, add, name="loss"))

    def learn(self, samples: Iterable[float], *, aloud: bool = False) -> None:
        """One pass over the samples, one update each."""
        for x in samples:
            self.graph.forward({self.x: x, self.label: 2 * x + 1})
            self.graph.backward()
            self.w.update(lr=0.05)
            self.b.update(lr=0.1)
            if aloud:
                print(f"w:{self.w.value.item():.2f}, b:{self.b.value.item():.2f}")

    def line(self) -> str:
        """What it has learnt."""
        return f"{self.w.value.item():.2f}x+{self.b.value.item():.2f}"


def main() -> None:
    """Retell the article, then go on where it ends."""
    given = arguments(__doc__)
    dl.set_default_dtype("float64")  # the article computes in Python's floats

    unit = Unit()
    unit.learn(ARTICLE, aloud=True)
    print(f"最终结果:{unit.line()}")

    print("\nThe last step backwards:")
    print(unit.graph.backward_steps())
    unit.graph.draw().save(given.out / "tutorial_0_graph.svg")
    viz.function_plot(
        lambda w: dl.abs(6.2 - 2.6 * w), -1.0, 6.0, 36, given.out / "tutorial_0_loss.png",
        title="loss at x = 2.6 for each slope w, with b = 0")

    print("\nWith more samples it does not settle: |error| is as steep at 0.01 as at 10, so every")
    print("step is as long as the first.  Random data, uniform from -10 to 10:")
    for count in (10, 20, 200, 2000):
        unit = Unit()
        unit.learn(dl.random.uniform((count,), -10.0, 10.0).tolist())
        print(f"after {count:4} samples: {unit.line()}")
    print(f"\npictures in {given.out}: tutorial_0_graph.svg, tutorial_0_loss.png")


if __name__ == "__main__":
    main()
