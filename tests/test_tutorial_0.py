"""Tutorial 0, row by row: an adaptive linear unit on a static graph learns y = 2x + 1."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import graph as g

ROOT = Path(__file__).parent.parent
XS = [2.6, 4.6, -4.4, -3.2, 7.8, 6.0, 3.8, -6.4, -8.8, 7.4]
LOSSES = [6.2, 9.502, 6.416, 3.644, 10.828, 6.12, 2.966, 1.732, 0.272, 4.4]
PRINTED = """\
w:0.13, b:0.10
w:0.36, b:0.20
w:0.58, b:0.10
w:0.74, b:0.00
w:1.13, b:0.10
w:1.43, b:0.20
w:1.62, b:0.30
w:1.94, b:0.20
w:1.50, b:0.30
w:1.87, b:0.40
最终结果:1.87x+0.40
"""
finite = st.floats(-10, 10).map(np.float64)


class Unit:
    """Figure 1 of the article, in float64 as Python computes."""

    def __init__(self, w=0.0, b=0.0):
        self.x, self.label = g.Placeholder("x"), g.Placeholder("label")
        self.w, self.b = (g.Variable(np.asarray(v, "float64"), name=n) for v, n in ((w, "w"), (b, "b")))
        self.mul = g.Mul(self.x, self.w, name="mul")
        self.add = g.Add(self.mul, self.b, name="add")
        self.loss = g.AbsLoss(self.label, self.add, name="loss")
        self.graph = g.Graph(self.loss)

    def step(self, x, w_lr=0.05, b_lr=0.1):
        loss = self.graph.forward({self.x: x, self.label: 2 * x + 1})
        self.graph.backward()
        self.w.update(lr=w_lr)
        self.b.update(lr=b_lr)
        return loss.item()


def test_row_0_1_nodes_have_the_methods_of_the_article_under_our_names(backend):
    unit = Unit(w=3.0)
    unit.x.value, unit.label.value = np.float64(2.0), np.float64(5.0)  # set_value

    forward = unit.loss.forward()
    unit.loss.backward()  # get_grad
    gradient = unit.w.grad
    unit.w.update(lr=0.05)
    unit.loss.clear()

    assert forward.item() == 1.0
    assert gradient.item() == 2.0
    assert unit.w.value.item() == 2.9
    assert g.Add(unit.mul, unit.b).kind == "Add"


def test_row_0_2_the_rate_of_an_update_is_a_thousandth_unless_given(backend):
    unit = Unit()
    unit.graph.forward({unit.x: np.float64(2.0), unit.label: np.float64(5.0)})
    unit.graph.backward()

    unit.w.update()

    assert unit.w.value.item() == 0.001 * 2.0


def test_row_0_3_the_drawing_has_seven_nodes_and_six_edges(backend):
    svg = Unit().graph.draw()

    assert svg.count('class="node"') == 7
    assert svg.count('class="edge"') == 6
    for name in ("x", "w", "mul", "b", "add", "label", "loss"):
        assert f'data-name="{name}"' in svg


@pytest.mark.parametrize(
    ("a", "b", "value", "sign"), [(3.0, 1.0, 2.0, 1.0), (1.0, 3.0, 2.0, -1.0), (2.0, 2.0, 0.0, 0.0)])
def test_row_0_4_the_loss_is_the_distance_and_its_gradient_the_sign(backend, a, b, value, sign):
    x, y = g.Variable(a), g.Variable(b)
    loss = g.AbsLoss(x, y)

    assert loss.forward().item() == value
    loss.backward()
    assert (x.grad.item(), y.grad.item()) == (sign, -sign)  # at a tie 0; the article takes -1


def test_row_0_5_a_parent_is_computed_only_if_it_has_no_value(backend):
    calls = []
    x = g.Variable(1.0)
    shared = g.node(lambda v: (calls.append(1), v * 2.0)[1], x)
    loss = g.Add(shared, shared, g.Neg(shared))

    loss.forward()
    loss.forward()

    assert len(calls) == 1


def test_row_0_6_a_gradient_is_the_sum_over_children_and_that_of_the_sink_is_one(backend):
    x = g.Variable(3.0)
    loss = g.Add(g.Mul(x, 2.0), g.Mul(x, x))

    loss.forward()
    loss.backward()

    assert loss.grad.item() == 1.0
    assert x.grad.item() == 2.0 + 6.0


def test_row_0_7_clear_drops_gradients_and_all_values_but_those_of_variables(backend):
    unit = Unit()
    unit.step(np.float64(2.6))

    unit.loss.clear()

    assert all(n.grad is None for n in unit.graph)
    assert {n.name for n in unit.graph if n.value is not None} == {"w", "b"}


def test_rows_0_8_to_0_10_the_trace_of_the_article_comes_out_to_the_character(backend):
    unit, lines, losses = Unit(), [], []

    for x in XS:
        losses.append(unit.step(np.float64(x)))
        w, b = unit.w.value.item(), unit.b.value.item()
        lines.append(f"w:{w:.2f}, b:{b:.2f}")
    lines.append(f"最终结果:{w:.2f}x+{b:.2f}\n")

    assert "\n".join(lines) == PRINTED
    np.testing.assert_allclose(losses, LOSSES, rtol=0, atol=1e-12)


@given(x=finite, w=finite, b=finite)
def test_row_0_11_an_update_moves_by_the_rate_times_x_and_by_the_rate(backend, x, w, b):
    unit = Unit(w, b)

    loss = unit.step(x)

    slope = 0.0 if loss == 0 else unit.b.grad.item()
    assert slope in ((0.0,) if loss == 0 else (-1.0, 1.0))
    assert unit.w.grad.item() == slope * x
    assert unit.w.value.item() == w - slope * x * 0.05
    assert unit.b.value.item() == b - slope * 0.1


@pytest.mark.parametrize(
    ("count", "slope", "offset"),
    [
        (10, (1.56, 1.97, 2.39), (-0.2, 0.2, 0.6)),
        (20, (1.64, 2.00, 2.34), (0.2, 0.6, 1.0)),
        (200, None, (0.6, 1.0, 1.4)),
        (2000, (1.66, 2.01, 2.36), (0.6, 1.0, 1.4)),
    ],
)
def test_row_0_12_the_unit_never_settles(backend, count, slope, offset):
    seeds = 2000  # each column is a run of its own
    xs = np.random.default_rng(0).uniform(-10, 10, (count, seeds))
    unit = Unit(np.zeros(seeds), np.zeros(seeds))
    graph = g.Graph(g.Sum(g.Abs(unit.label - unit.add)))

    for x in xs:
        graph.forward({unit.x: x, unit.label: 2 * x + 1})
        graph.backward()
        unit.w.update(lr=0.05)
        unit.b.update(lr=0.1)

    # 2000 draws place these percentiles to about 0.02; b moves on a lattice of 0.2
    if slope is not None:
        np.testing.assert_allclose(np.percentile(unit.w.value.numpy(), [5, 50, 95]), slope, atol=0.05)
    np.testing.assert_allclose(np.percentile(unit.b.value.numpy(), [5, 50, 95]), offset, atol=0.21)


@pytest.mark.parametrize(("lr", "steps"), [(0.01, 50), (0.1, 10)])
def test_row_0_13_another_rate_and_another_number_of_samples_are_other_arguments(backend, lr, steps):
    unit = Unit()
    xs = np.linspace(1.0, 2.0, steps)

    for x in xs:
        unit.step(x, w_lr=lr, b_lr=0.0)

    assert unit.w.value.item() == pytest.approx(lr * xs.sum(), rel=1e-12)  # never reaches the label


def test_row_0_14_the_loss_as_a_function_of_the_slope_is_a_valley_with_straight_sides(backend):
    unit = Unit()
    slopes = np.linspace(-1.0, 4.0, 51)
    unit.w.value = slopes

    distance = unit.graph.predict(g.Abs(unit.label - unit.add), {unit.x: 2.0, unit.label: 5.0}).numpy()

    np.testing.assert_allclose(distance, np.abs(5.0 - 2.0 * slopes), atol=1e-12)
    np.testing.assert_allclose(np.abs(np.diff(distance))[:30], 0.2, atol=1e-12)


def test_row_0_16_the_first_lessons_come_out(backend):
    x, w, b = g.Variable(2.0), g.Variable(2.0), g.Variable(1.0)
    y = g.Add(g.Mul(x, w), b)

    assert y.forward().item() == 5.0
    y.clear()
    x.value = 3.0
    assert y.forward().item() == 7.0
    y.backward()
    assert (w.grad.item(), x.grad.item()) == (3.0, 2.0)


def test_the_example_begins_with_the_lines_of_the_article(tmp_path):
    script = ROOT / "examples" / "tutorial_0_adaptive_linear.py"

    done = subprocess.run([sys.executable, "-W", "error", str(script), "--out", str(tmp_path)], check=False,
                          capture_output=True, encoding="utf-8", cwd=ROOT)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(PRINTED)
    assert {p.name for p in tmp_path.iterdir()} == {"tutorial_0_graph.svg", "tutorial_0_loss.png"}


def test_the_steps_of_the_article_are_shown_one_by_one(backend):
    unit = Unit()
    unit.graph.forward({unit.x: np.float64(2.6), unit.label: np.float64(6.2)})

    steps = unit.graph.backward_steps()

    assert [s.node for s in steps] == [unit.loss, unit.add, unit.mul]
    assert steps[2].local[unit.w].item() == 2.6
    assert steps[2].outgoing[unit.w].item() == -2.6
    assert math.isclose(dl.sum(steps[0].outgoing[unit.label]).item(), 1.0)
