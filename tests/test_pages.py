"""The page of operations: by subject, with formulas as they are written, and nothing kept by hand."""

import pytest

from dlcore.core import OPERATIONS, PRIMITIVES
from dlcore.pages import operations as pages
from dlcore.pages.shapes import shapes
from dlcore.pages.sources import formula
from tests.strategies import SUBJECTS

PAGE = pages.operations()


def line(start):
    """The line of the page that begins so."""
    found, = (line for line in PAGE.splitlines() if line.startswith(f"| {start}"))
    return found


def test_every_primitive_and_every_public_operation_is_on_the_page():
    assert [n for n, p in PRIMITIVES.items() if f"\n| {pages.call_of(n, p)} |" not in PAGE] == []
    assert [n for n in pages.public() if f".{n}(" not in PAGE] == []
    assert [n for n in OPERATIONS if f"{n}(" not in PAGE] == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("exp", "elementwise"),
        ("multiply", "elementwise"),
        ("where", "elementwise"),
        ("sum", "linear"),
        ("broadcast_to", "linear"),
        ("matmul", "bilinear"),
        ("logsumexp", "general"),
        ("einsum", "general"),
        ("argmax", "flat"),
        ("equal", "flat"),
    ],
)
def test_the_page_knows_the_family_of_a_primitive(name, kind):
    assert pages.kind_of(PRIMITIVES[name]) == kind


def test_a_line_tells_the_call_the_formulas_what_is_drawn_what_is_read_and_the_convention():
    kinks = "[Kinks](subgradients.md#kinks-one-side-or-the-middle)"
    powers = "[Powers of 0](subgradients.md#powers-of-0)"

    assert line("`dl.divide(") == (
        "| `dl.divide(x, y)` | elementwise | `... x / y` | x: `safe_divide(d, y)`; "
        "y: `-safe_divide(safe_multiply(d, out), y)` | "
        "a b, a b → a b; a b, b → a b; a 1, 1 b → a b; (), a → a | -2..2 but 0; ~ -2..2 but 0 | "
        "`out`, `y` |  |")
    assert line("`F.relu(") == (
        "| `F.relu(x)` | elementwise | `xp.maximum(x, 0)` | `masked(d, greater(out, 0.0))` | "
        f"a b → a b; () → () | -2..2 but 0 | `out` | {kinks} |")
    assert powers in line("`dl.pow(")
    assert "| linear | The mean of `x` over `axis`, nan if there is nothing" in line("`dl.mean(")
    assert line("`F.hardswish(").startswith("| `F.hardswish(x)` | composition | `x * hardsigmoid(x)`. |  |")


def test_operations_stand_under_the_title_of_their_file():
    section = PAGE[PAGE.index("## Reductions"):].partition("\n## ")[0]

    assert "`dl.logsumexp(" in section
    assert "`dl.exp(" not in section


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("add", ["d", "d"]),
        ("matmul", ["... sum_to(matmul(g, matrix_transpose(y)), x.shape)",
                    "... sum_to(matmul(matrix_transpose(x), g), y.shape)"]),
        ("negative", ["-d"]),
        ("square", ["d * (x + x)"]),
        ("broadcast_to", ["sum_to(g, x.shape)"]),
        ("where", ["where(c, d, 0.0)", "where(c, 0.0, d)"]),
    ],
)
def test_a_formula_is_what_the_declaration_says(name, rules):
    found = [formula(rule, i) for i, rule in enumerate(PRIMITIVES[name].vjp) if rule is not None]

    assert found == rules


@pytest.mark.parametrize(("name", "expected"), [
    ("matmul", "m k, k n → m n"), ("sum", "a b c → b; a b → a 1"), ("svd", "3 n → 3 3, 3, 3 n"),
    ("reshape", "a b → ab"), ("concat", "a b, 2 b, 1 b → a+3 b; a b, a c → a b+c"),
    ("unstack", "a b → b, ..., b"), ("nonzero", "? a b → as many as the values say"),
    ("layer_norm()", "a 2 3, weight: 2 3, bias: 2 3 → a 2 3"), ("angle()", "~ a b → a b"),
    ("unfold()", "a b 4 3 → a 4b 20"),
])
def test_shapes_are_told_in_the_letters_of_the_samples(name, expected):
    assert expected in shapes(SUBJECTS[name])


@pytest.mark.parametrize(("name", "computed"), [
    ("exp", "xp.exp(x)"), ("log2", "xp.log2(x)"), ("gelu", "xp.erfc(x * -_SQRT_HALF) * (x * 0.5)")])
def test_a_formula_is_read_through_what_keeps_warnings_quiet(name, computed):
    assert formula(PRIMITIVES[name].forward) == computed
    assert "`forward(xp" not in PAGE
