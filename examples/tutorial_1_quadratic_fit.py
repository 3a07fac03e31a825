"""Tutorial 1: two LeakyReLU units learn y = x * x, and a film shows how.

The graph of part 6 of the OurDL tutorials: x goes through two branches w * leaky(w * x + b), which
are added with a last bias.  With one set of first weights it learns in 1500 samples (figure 8 of
the article); with both first weights lowered by 0.3 it has then not begun (figure 7).
"""

from collections.abc import Iterator

from common import arguments

import dlcore as dl
import dlcore.graph as g
from dlcore import viz

NAMES = ("w_11", "w_12", "b_11", "b_12", "w_21", "w_22", "b_21")
FIGURE_8 = (-0.1571950013426796, -0.1070365984042347, 0.3791639008324807, 0.31960284774415215,
            0.4263410176300597, 0.5097967360623379, 0.7597168751185974)
FIGURE_7 = (-0.4571950013426796, -0.4070365984042347, *FIGURE_8[2:])
RECORDED = {0: 1.0843024870642974, 9: 0.3160126225308538, 99: 0.9465936436162554,
            499: 0.3406279439590879, 999: 0.15507245969696148, 1499: 0.07308487716463596}


class Net:
    """The graph of the article; its seven parameters come in the order of ``NAMES``."""

    def __init__(self, parameters: tuple[float, ...]) -> None:
        self.x, self.label = g.Placeholder("x"), g.Placeholder("label")
        self.parameters = [
            g.Variable(value, name=name) for name, value in zip(NAMES, parameters, strict=True)]
        w_11, w_12, b_11, b_12, w_21, w_22, b_21 = self.parameters
        self.add_11 = g.Add(g.Mul(self.x, w_11, name="mul_11"), b_11, name="add_11")
        self.add_12 = g.Add(g.Mul(self.x, w_12, name="mul_12"), b_12, name="add_12")
        self.mul_21 = g.Mul(g.LeakyReLU(self.add_11, 0.1, name="relu_11"), w_21, name="mul_21")
        self.mul_22 = g.Mul(g.LeakyReLU(self.add_12, 0.1, name="relu_12"), w_22, name="mul_22")
        self.add_21 = g.Add(self.mul_21, self.mul_22, b_21, name="add_21")
        self.graph = g.Graph(g.AbsLoss(self.label, self.add_21, name="loss"))

    def learn(self, steps: int, film: viz.Film | None = None) -> list[float]:
        """The losses of so many steps; with a film, a frame every 40 and a line every 200."""
        losses = []
        for i, x in enumerate(stream(steps)):
            losses.append(self.graph.forward({self.x: x, self.label: x * x}).item())
            if film is not None and i % 40 == 0:
                film.record(f"step {i}", **self.inside())
            self.graph.backward()
            self.graph.update(lr=0.01)
            if film is not None and i % 200 == 0:
                print(f"[{i}]:loss={losses[i]:.6f}, {self.learnt()}")
        return losses

    def learnt(self) -> list[float]:
        """The parameters, as far as a reader wants to see them."""
        return [round(p.value.item(), 4) for p in self.parameters]

    def inside(self) -> dict[str, tuple[dl.Tensor, dl.Tensor]]:
        """What the inner nodes make of a range of x; looking does not disturb the learning."""
        fine, coarse = dl.linspace(-0.5, 2.5, 30), dl.linspace(-0.5, 2.5, 10)
        nodes = (self.add_11, self.add_12, self.mul_21, self.mul_22)
        series = {n.name: (coarse, self.graph.predict(n, {self.x: coarse})) for n in nodes}
        fit = self.graph.predict(self.add_21, {self.x: coarse})
        return {**series, "x * x": (fine, fine * fine), "fit": (coarse, fit)}


def stream(steps: int) -> Iterator[float]:
    """Samples in (0, 2) that are the same everywhere: multiples of the golden ratio, folded."""
    return (2.0 * ((i * 0.6180339887498949) % 1.0) for i in range(steps))


def mean(values: list[float]) -> float:
    """Of the losses."""
    return sum(values) / len(values)


def main() -> None:
    """Retell both figures."""
    given = arguments(__doc__, steps=(1500, "samples to learn from"))
    dl.set_default_dtype("float64")  # the article computes in Python's floats
    film = viz.Film({"before the units": ["add_11", "add_12"], "weighted": ["mul_21", "mul_22"],
                     "fit": ["x * x", "fit"]})

    net = Net(FIGURE_8)
    losses = net.learn(given.steps, film)
    print("figure 8: loss at step i, and what a replay in plain Python has recorded")
    for i, recorded in RECORDED.items():
        if i < given.steps:
            print(f"[{i}]:loss={losses[i]:.12f}  recorded {recorded:.12f}")
    print(f"mean loss of the first 100 steps {mean(losses[:100]):.6f} (recorded 1.011966), "
          f"of the last 100 {mean(losses[-100:]):.6f} (recorded 0.089865 after 1500)")

    slow = Net(FIGURE_7)
    stuck = slow.learn(given.steps)
    print(f"\nfigure 7: mean loss of the last 100 steps {mean(stuck[-100:]):.6f} "
          "(recorded 1.004256 after 1500): no better than a constant")
    late = Net(FIGURE_7).learn(10 * given.steps)
    print(f"ten times as many steps: {mean(late[-100:]):.6f} (recorded 0.145182 after 15000): "
          "as the article says, this one takes more than 10000")

    net.graph.draw().save(given.out / "tutorial_1_graph.svg")
    recent = [mean(losses[max(0, i - 99):i + 1]) for i in range(len(losses))]
    viz.curves({"each sample": losses, "mean of the last 100": recent}, given.out / "tutorial_1_losses.png",
               title="figure 8", xlabel="step")
    film.save(given.out / "tutorial_1_film.gif")
    print(f"\npictures in {given.out}: tutorial_1_graph.svg, tutorial_1_losses.png, "
          f"tutorial_1_film.gif ({len(film.frames)} frames)")


if __name__ == "__main__":
    main()
