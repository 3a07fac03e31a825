"""The drawing of a graph: valid, complete, without overlaps, and telling what it should."""

import re
import time
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlcore as dl
from dlcore import graph as g
from dlcore.graph.layout import layered, spread
from dlcore.text import clipped, short, table

SVG = "{http://www.w3.org/2000/svg}"


class Picture:
    """What a reader of the SVG sees: boxes by name, arrows, texts."""

    def __init__(self, svg):
        self.root = ET.fromstring(svg)  # noqa: S314  our own text
        self.nodes, self.edges = {}, []
        for group in self.root.iter(f"{SVG}g"):
            if group.get("class") == "node":
                self.nodes[group.get("data-name")] = group
            if group.get("class") == "edge":
                self.edges.append(group)

    def box(self, name):
        """Left, top, right and bottom."""
        group = self.nodes[name]
        x, y = map(float, re.findall(r"[\d.]+", group.get("transform")))
        rect = next(r for r in group.iter(f"{SVG}rect") if r.get("class") == "box")
        return x, y, x + float(rect.get("width")), y + float(rect.get("height"))

    def texts(self, name):
        return [t.text for t in self.nodes[name].iter(f"{SVG}text")]

    def kind(self, name):
        return self.nodes[name].get("data-kind")

    def pairs(self):
        return Counter((e.get("data-from"), e.get("data-to")) for e in self.edges)

    def ends(self, edge):
        """Where its line begins, and where the tip of its arrow is."""
        line, head = (p.get("d") for p in edge.iter(f"{SVG}path"))
        start = tuple(map(float, re.findall(r"-?[\d.]+", line)[:2]))
        tip = tuple(map(float, re.findall(r"-?[\d.]+", head)[:2]))
        return start, tip


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def assert_readable(picture, graph):
    """Every node once, every arrow from its box to its box, and nothing on top of another."""
    names = [n.name for n in graph.order]
    assert sorted(picture.nodes) == sorted(names)
    assert picture.pairs() == Counter((p.name, n.name) for n in graph.order for p in n.parents)
    boxes = {name: picture.box(name) for name in names}
    for a, b in combinations(boxes.values(), 2):
        assert not overlap(a, b)
    for edge in picture.edges:
        (x, y), (u, v) = picture.ends(edge)
        left, _, right, bottom = boxes[edge.get("data-from")]
        assert left <= x <= right
        assert y == pytest.approx(bottom, abs=0.11)  # coordinates have one decimal
        left, top, right, _ = boxes[edge.get("data-to")]
        assert left <= u <= right
        assert v == pytest.approx(top, abs=0.11)
    width, height = float(picture.root.get("width")), float(picture.root.get("height"))
    for left, top, right, bottom in boxes.values():
        assert min(left, top) >= 0
        assert right <= width
        assert bottom <= height


@pytest.fixture
def adaline(backend):
    x, label = g.Placeholder("x"), g.Placeholder("label")
    w, b = g.Variable(np.float64(0.5), name="w"), g.Variable(np.float64(0.25), name="b")
    loss = g.AbsLoss(label, g.Add(g.Mul(x, w, name="mul"), b, name="add"), name="loss")
    graph = g.Graph(loss)
    graph.feeds = {x: np.float64(2.6), label: np.float64(6.2)}
    return graph


@st.composite
def graphs(draw):
    """A graph of up to thirty operations on each other, with constants and repeated operands."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes = [g.Placeholder("x"), g.Variable(1.0, name="w"), g.Variable(2.0, name="b")]
    reach = draw(st.integers(2, 12))
    for number in range(draw(st.integers(1, 30))):
        recent = nodes[-reach:]
        count = int(rng.integers(1, 4))
        operands = [recent[i] for i in rng.integers(0, len(recent), count)]
        operands += [float(number)] if rng.random() < 0.2 else []
        nodes.append(g.Add(*operands, name=f"node {number}"))
    graph = g.Graph(g.Add(*nodes[-3:], name="end"))
    for number, constant in enumerate(n for n in graph.order if n.kind == "Constant"):
        constant._name = f"constant {number}"  # a reader may see two alike; this test must not
    return graph


@given(graph=graphs(), run=st.booleans())
def test_no_box_overlaps_another_and_every_edge_is_there(graph, run):
    if run:
        graph.forward({n: 1.0 for n in graph.order if n.kind == "Placeholder"})
        graph.backward()

    assert_readable(Picture(graph.draw()), graph)


@given(data=st.data())
def test_no_edge_runs_through_a_box(data):
    count = data.draw(st.integers(2, 25))
    starts = data.draw(st.lists(st.integers(0, count - 2), min_size=1, max_size=40))
    edges = [(start, data.draw(st.integers(start + 1, count - 1))) for start in starts]
    sizes = data.draw(st.lists(
        st.tuples(st.floats(20, 200), st.floats(20, 90)), min_size=count, max_size=count))

    layout = layered(sizes, edges)

    for line, (start, end) in zip(layout.edges, edges, strict=True):
        for (x, y), (u, v) in pairwise(line):
            assert y <= v + 1e-9
            if x == u:  # beside boxes a line goes straight down; it bends between the layers
                for i, box in enumerate(layout.boxes):
                    inside = box.x < x < box.x + box.width
                    if i not in (start, end) and inside:
                        assert v <= box.y or box.y + box.height <= y


def test_the_first_tutorial_has_seven_nodes_and_six_edges(adaline):
    picture = Picture(adaline.draw())

    assert_readable(picture, adaline)
    assert set(picture.nodes) == {"x", "w", "mul", "b", "add", "label", "loss"}
    assert len(picture.edges) == 6


def test_cards_show_operation_shape_value_and_gradient(adaline):
    adaline.forward(adaline.feeds)
    adaline.backward()

    picture = Picture(adaline.draw())

    assert picture.texts("mul") == ["mul", "Mul", "shape", "() float64", "value", "1.3", "grad", "-1"]
    assert picture.texts("w")[-4:] == ["value", "0.5", "grad", "-2.6"]


def test_before_a_backward_pass_no_gradient_is_shown_and_before_a_run_no_value(adaline):
    fresh = Picture(adaline.draw())
    adaline.forward(adaline.feeds)
    run = Picture(adaline.draw())
    adaline.backward()
    adaline.clear()
    cleared = Picture(adaline.draw())

    assert fresh.texts("mul") == cleared.texts("mul") == ["mul", "Mul"]
    assert fresh.texts("w") == ["w", "Variable", "shape", "() float64", "value", "0.5"]
    assert all("grad" not in run.texts(name) for name in run.nodes)
    assert "value" in run.texts("mul")


def test_each_kind_of_node_looks_different():
    x, w = g.Placeholder("x"), g.Variable(1.0, name="w")
    frozen = g.Variable(1.0, name="frozen", trainable=False)
    graph = g.Graph(g.Add(g.Mul(x, w, name="mul"), frozen, 2.0, name="out"))

    picture = Picture(graph.draw())
    looks = {name: next(picture.nodes[name].iter(f"{SVG}path")).get("fill") for name in ("w", "2.0")}
    kinds = {name: picture.kind(name) for name in picture.nodes}

    assert kinds == {"x": "placeholder", "w": "trainable variable", "frozen": "frozen variable",
                     "2.0": "constant", "mul": "operation", "out": "output"}
    assert looks["w"] != looks["2.0"]
    legend = next(e for e in picture.root.iter(f"{SVG}g") if e.get("class") == "legend")
    assert {t.text for t in legend.iter(f"{SVG}text")} == set(kinds.values())


def test_names_are_escaped_and_long_ones_abbreviated():
    x = g.Variable(1.0, name='<a & "b">')
    long = g.Mul(x, x, name="a very long name that nobody could read on a card")

    picture = Picture(g.Graph(long).draw())

    assert picture.texts('<a & "b">')[0] == '<a & "b">'
    assert picture.texts(long.name)[0] == "a very long name that nob…"
    assert long.name in picture.nodes[long.name].find(f"{SVG}title").text


def test_large_values_are_shown_by_their_range(backend):
    x = g.Variable(np.linspace(-1.0, 2.0, 50).reshape(5, 10), name="x")

    texts = Picture(g.Graph(g.Sum(x)).draw()).texts("x")

    assert texts[-3:] == ["(5, 10) float64", "value", "-1 … 2"]


def test_a_graph_of_one_node_can_be_drawn():
    graph = g.Graph(g.Variable(1.0, name="alone"))

    assert_readable(Picture(graph.draw()), graph)


def test_from_left_to_right_the_arrows_lead_right(adaline):
    picture = Picture(adaline.draw(direction="right"))
    boxes = [picture.box(n) for n in picture.nodes]

    assert not any(overlap(a, b) for a, b in combinations(boxes, 2))
    for edge in picture.edges:
        assert picture.box(edge.get("data-from"))[2] < picture.box(edge.get("data-to"))[0]


def test_a_direction_is_one_of_two():
    with pytest.raises(ValueError, match="draw: direction is 'down' or 'right', got 'up'"):
        g.Graph(g.Variable(1.0)).draw("up")


def test_a_drawing_is_text_that_can_be_saved(adaline, tmp_path):
    drawing = adaline.draw()

    drawing.save(tmp_path / "graph.svg")

    assert isinstance(drawing, str)
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == drawing


def test_a_notebook_shows_graphs_and_drawings_by_itself(adaline):
    assert adaline._repr_svg_() == adaline.draw()
    assert adaline.draw()._repr_svg_() == adaline.draw()
    assert re.fullmatch(r"<a drawing, \d+ characters of SVG; .*>", repr(adaline.draw()))
    assert repr(adaline) == "<graph of 7 nodes that lead to loss>"


def test_a_notebook_shows_a_huge_graph_as_text():
    x = g.Variable(1.0)
    for _ in range(300):
        x = g.Neg(x)

    assert g.Graph(x)._repr_svg_() is None


def test_a_graph_of_a_few_hundred_nodes_is_drawn_in_no_time():
    rng = np.random.default_rng(0)
    nodes = [g.Variable(1.0), g.Variable(2.0)]
    for _ in range(300):
        a, b = rng.integers(0, min(len(nodes), 10), 2)
        nodes.append(nodes[-1 - a] * nodes[-1 - b])
    start = time.perf_counter()

    g.Graph(g.Add(*nodes[-8:])).draw()

    assert time.perf_counter() - start < 5.0  # 0.2 s on an idle core


def test_a_graph_prints_as_a_table(adaline):
    adaline.forward(adaline.feeds)

    assert str(adaline).splitlines()[:4] == [
        "node   operation    value  gradient",
        "-----  -----------  -----  --------",
        "x      Placeholder  2.6    -",
        "label  Placeholder  6.2    -",
    ]


@given(data=st.data())
def test_spreading_keeps_the_distances_and_is_the_best_that_does(data):
    count = data.draw(st.integers(1, 8))
    numbers = st.lists(st.floats(-100, 100), min_size=count, max_size=count)
    wishes = data.draw(numbers)
    distances = [abs(d) for d in data.draw(numbers)][1:]

    places = spread(wishes, [1.0] * count, distances)
    cost = sum((p - w) ** 2 for p, w in zip(places, wishes, strict=True))

    for (a, b), distance in zip(pairwise(places), distances, strict=True):
        assert b - a >= distance - 1e-9
    for i in range(count):  # to move all from one place on, either way, is no better
        for step, moved in ((0.01, range(i, count)), (-0.01, range(i + 1))):
            other = [p + step if j in moved else p for j, p in enumerate(places)]
            assert cost <= sum((p - w) ** 2 for p, w in zip(other, wishes, strict=True)) + 1e-9


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "?"), (1.0, "1"), ([0.123456], "0.1235"), ([[1.0, 2.0]], "[[1, 2]]"),
     ([1.0, 5.0, -3.0, 2.0, 0.5], "-3 … 5"), ([2.0] * 9, "all 2"), ([1e-7, 1e20], "[1e-07, 1e+20]")])
def test_values_are_shortened(value, expected):
    assert short(None if value is None else dl.tensor(value), "?") == expected


def test_chinese_text_takes_two_columns_a_character():
    assert clipped("最终结果是这样", 9) == "最终结果…"
    assert table([["名", "b"], ["xyz", "1"]]) == "名   b\n---  -\nxyz  1"
