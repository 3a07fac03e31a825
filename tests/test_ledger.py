"""The gradient ledger: every operation has a row, the row is of this code, and a wrong rule turns it red."""

import copy
import json
import time

import pytest
from hypothesis import settings

import dlcore as dl
from dlcore.core import PRIMITIVES, PerPosition
from dlcore.pages import ledger as pages
from dlcore.pages.operations import public
from dlcore.testing import records
from dlcore.testing.calls import subjects
from dlcore.testing.fingerprint import Place, Sources
from dlcore.testing.rows import measured, rounded
from tests.mutants import MUTANTS, as_the_rules_give_them, is_equivalent, sites

AGAIN = "run nox -s ledger"
LEDGER = json.loads(records.CHECKOUT.read_text("utf-8"))
ENTRIES = LEDGER["operations"]
SOURCES = Sources()
DECLARED = list(subjects())
CPU = Place("backends.numpy_backend", "NumpyBackend")


def source(module):
    """The text of a module of ours."""
    return (pages.ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")


def edited(module, old, new):
    """All sources, but with ``old`` replaced in one module."""
    assert old in source(module)
    return Sources({module: source(module).replace(old, new)})


def declaration(name, sources=SOURCES):
    return sources.declaration(sources.place_of(subjects()[name]))


# --- the rows that are published ---------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["cpu", "strict"])
@pytest.mark.parametrize("name", DECLARED)
def test_a_row_is_there_and_green_and_of_this_code(name, backend):
    assert records.state(name, backend, ENTRIES, SOURCES) == "green", AGAIN


def test_every_operation_and_public_function_has_an_entry_and_there_are_200_of_them():
    entries = pages.described(ENTRIES, SOURCES)

    assert set(ENTRIES) == set(entries), AGAIN
    assert [n for n in public() if n not in ENTRIES and f"{n}()" not in ENTRIES] == []
    assert [n for n, e in ENTRIES.items() if n not in subjects() and not e["made of"]] == []
    assert len(ENTRIES) >= 200


def test_the_page_says_what_the_file_says():
    assert pages.PAGE.read_text("utf-8") == pages.page(LEDGER, SOURCES), AGAIN


def test_the_laws_are_counted_from_the_tests():
    assert LEDGER["laws"] == pages.laws(), "run python -m dlcore ledger --page"


def test_telling_what_is_stale_takes_less_than_three_seconds():
    start = time.process_time()  # of this process, however busy the machine is

    sources = Sources()
    for name in DECLARED:
        for backend in ("cpu", "strict"):
            records.state(name, backend, ENTRIES, sources)

    assert time.process_time() - start < 3.0


# --- what turns a row red -------------------------------------------------------------------------------


def broken(name, field, position, rule):
    """A copy of a primitive in which one rule is another; None deletes it."""
    found = copy.copy(PRIMITIVES[name])
    vars(found).pop("call", None)  # it is made from the primitive, on its first call
    rules = getattr(found, field)

    def chosen(i):
        return rules[i] if i != position else rule and rule(rules[i])

    setattr(found, field, PerPosition(chosen))
    return found


def scaled(right):
    return lambda *args, **params: right(*args, **params) * 1.001


def zero(right):
    return lambda *args, **params: right(*args, **params) * 0.0


@pytest.mark.parametrize(("name", "position"), [("tanh", 0), ("matmul", 1), ("logsumexp", 0)])
@pytest.mark.parametrize(("field", "mode"), [("vjp", "reverse"), ("jvp", "forward")])
@pytest.mark.parametrize("rule", [scaled, zero, None])
def test_scaling_or_deleting_a_rule_turns_the_row_red(name, position, field, mode, rule):
    row = measured(broken(name, field, position, rule), "cpu")

    assert measured(PRIMITIVES[name], "cpu")["red"] == []
    assert any(reason.startswith(f"{mode} mode, order 1") for reason in row["red"]) or (
        rule is None and row["red"])


@pytest.mark.skipif(settings().max_examples < 1000, reason="a nightly run does it to every rule")
@pytest.mark.parametrize("change", ["zero", "0.1 % too large"])
def test_scaling_or_deleting_any_rule_turns_its_row_red(change):
    mutant = next(m for m in MUTANTS if m.name == change)

    green = [site for site in sites() if not measured(mutant.planted(site), "cpu")["red"]]

    assert [str(site) for site in green if not is_equivalent(mutant, site)] == []


def test_deleting_all_rules_turns_the_row_red():
    flat = copy.copy(PRIMITIVES["tanh"])
    flat.vjp, flat.jvp, flat.differentiable = (), (), False

    assert measured(flat, "cpu")["red"] == ["it declares no derivative, but has one"]


def test_an_error_while_measuring_is_told_and_stops_nothing():
    failing = copy.copy(PRIMITIVES["tanh"])
    failing.forward = lambda xp, x: x.nothing

    assert "derivatives: TypeError" in measured(failing, "cpu")["red"][0]


def test_a_result_that_differs_from_run_to_run_turns_the_row_red():
    drifting = copy.copy(PRIMITIVES["negative"])
    runs = iter(range(10**6))
    drifting.forward = lambda xp, x: -x + 1e-14 * next(runs)

    row = measured(drifting, "cpu")

    assert "10 runs gave 10 different results" in row["red"]
    assert row["repeats"] == 0


def test_a_layout_that_matters_turns_the_row_red():
    careless = copy.copy(PRIMITIVES["negative"])
    careless.forward = lambda xp, x: -x if x.flags.c_contiguous else x * 2.0

    red = measured(careless, "cpu")["red"]

    assert "transposed arrays give another result than contiguous ones" in red


@pytest.mark.parametrize("name", ["softmax", "mse_loss()", "take"])
def test_a_row_measured_now_is_green(name, backend):
    row = measured(subjects()[name], backend.name)

    assert row["red"] == []
    assert row["gradients"] == {dtype: f"{dtype} on {backend.name}" for dtype in row["gradients"]}
    assert set(row["gradients"]) >= set(row["ulp"])
    assert max(row["reverse"] + row["forward"]) <= 1e-6
    assert {"contiguous", "transposed", "strided", "empty"} <= set(row["layouts"])
    assert row["excluded"].get("0-d", "").startswith(name.removesuffix("()")) or "0-d" in row["layouts"]


def test_a_gradient_of_another_dtype_turns_the_row_red_and_is_told():
    widening = broken("softplus", "vjp", 0, lambda right: lambda *args: right(*args).astype("float64"))

    with as_the_rules_give_them():
        row = measured(widening, "cpu")

    assert "a gradient of float32 on cpu is float64 on cpu" in row["red"]
    assert row["gradients"]["float32"] == "float64 on cpu"
    entries = {"tanh": {**ENTRIES["tanh"], "cpu": row_of(gradients=row["gradients"])}}
    page = pages.page({"laws": 1, "operations": entries}, SOURCES)
    assert next(line for line in page.splitlines() if "dl.tanh" in line).split(" | ")[3] == "✗"


def test_errors_are_rounded_upwards_to_one_digit():
    assert [rounded(x) for x in (0.0, 1.2e-13, 3e-12, 9.5)] == [0.0, 2e-13, 3e-12, 10.0]


# --- what makes a row stale -----------------------------------------------------------------------

ARITHMETIC = "dlcore.ops.arithmetic"


def test_a_change_of_a_function_that_is_called_changes_the_hash():
    now = edited(ARITHMETIC, "where(equal(d, 0.0), 0.0, x)", "where(equal(d, 0.0), 1.0, x)")

    assert declaration("safe_multiply", now) != declaration("safe_multiply")
    assert declaration("log", now) != declaration("log")  # whose rule divides by a function that calls it
    assert declaration("sin", now) == declaration("sin")


@pytest.mark.parametrize(("old", "new"), [
    ('"""Elementwise', '"""\n\n\nElementwise'),
    ("def _where(", "# a remark\n\n\ndef _where("),
    ('"""``x``, as an array if it is a number."""', '"""Something else."""'),
    ("where: Primitive = elementwise(", "where = elementwise("),
    ("def _beside(xp: Any, x: Array, like: Array) -> Array:", "def _beside(xp, x, like):"),
])
def test_comments_docstrings_annotations_and_lines_change_no_hash(old, new):
    now = edited(ARITHMETIC, old, new)

    assert [n for n in DECLARED if declaration(n, now) != declaration(n)] == []


def test_a_change_of_a_sample_or_a_rule_changes_the_hash():
    rule = edited(ARITHMETIC, "lambda d, out, x: d * (x + x)", "lambda d, out, x: d * (x * 2.0)")
    sample = edited(ARITHMETIC, 'sample("a, ", (Domain(2.1, 2.9)', 'sample("a, ", (Domain(2.2, 2.9)')

    assert declaration("square", rule) != declaration("square")
    assert declaration("remainder", sample) != declaration("remainder")


def test_a_change_of_a_backend_member_changes_the_hash_of_those_who_ask_for_it():
    now = edited("backends.numpy_backend", "np.multiply(d, r)", "np.multiply(r, d)")
    first, second = (SOURCES.place_of(PRIMITIVES[n]) for n in ("safe_multiply", "where"))

    assert now.members(first, CPU) != SOURCES.members(first, CPU)
    assert now.members(second, CPU) == SOURCES.members(second, CPU)


def test_what_a_backend_member_calls_counts_too():
    now = edited("backends.numpy_backend", "_VIEW_FROM = 4096", "_VIEW_FROM = 4095")
    place = SOURCES.place_of(PRIMITIVES["broadcast_to"])

    assert now.members(place, CPU) != SOURCES.members(place, CPU)


def test_the_source_of_the_cuda_backend_is_hashed_without_a_device():
    cuda = Place("backends.cupy_backend", "CupyBackend")
    place = SOURCES.place_of(PRIMITIVES["safe_multiply"])
    now = edited("backends.cupy_backend", "def zero_safe_multiply(self", "def zero_safe_multiplied(self")

    assert now.members(place, cuda) != SOURCES.members(place, cuda)


@pytest.mark.parametrize("name", DECLARED)
def test_every_declaration_has_a_place(name):
    assert SOURCES.place_of(subjects()[name]) is not None


def test_finding_declarations_asks_nothing_of_objects_of_other_libraries(monkeypatch):
    class Deprecated:  # PyTorch has one that warns
        @property
        def __class__(self):
            raise AssertionError("asked for its class")

    monkeypatch.setattr(dl, "an_object_of_another_library", Deprecated(), raising=False)

    assert Sources().place_of(PRIMITIVES["tanh"]) == SOURCES.place_of(PRIMITIVES["tanh"])


# --- several backends in one ledger ---------------------------------------------------------------


def row_of(**changed):
    return {**ENTRIES["tanh"]["cpu"], **changed}


def test_a_row_leaves_those_of_other_backends_alone():
    entries = {"tanh": {"cuda": row_of(date="2026-01-02"), "cpu": row_of()}}

    records.merged(entries, "tanh", "cpu", row_of(examples=7))

    assert entries["tanh"] == {"cuda": row_of(date="2026-01-02"), "cpu": row_of(examples=7)}


def test_a_row_that_says_nothing_new_keeps_its_date():
    entries = {"tanh": {"cpu": row_of(date="2026-01-02")}}

    records.merged(entries, "tanh", "cpu", row_of(date="2026-03-04"))
    assert entries["tanh"]["cpu"]["date"] == "2026-01-02"

    records.merged(entries, "tanh", "cpu", row_of(date="2026-03-04", versions={"numpy": "9"}))
    assert entries["tanh"]["cpu"]["date"] == "2026-03-04"


def test_a_row_about_cuda_says_that_it_was_never_run_or_since_when_it_is_out_of_date():
    stale = row_of(date="2026-01-02", **{"class": "backends.cupy_backend:CupyBackend"})
    entries = {"tanh": {**ENTRIES["tanh"], "cuda": stale}, "exp": {**ENTRIES["exp"]}}
    entries["exp"].pop("cuda", None)

    page = pages.page({"laws": 1, "operations": entries}, SOURCES).splitlines()

    assert next(line for line in page if "`dl.tanh`" in line).endswith("| ✓ | ✓ | not run since 2026-01-02 |")
    assert next(line for line in page if "`dl.exp`" in line).endswith("| ✓ | ✓ | never |")
    assert "| cuda | 0 | 0 | 1 | 1 |" in page


def test_a_red_row_is_on_top_of_the_page_with_its_reason():
    entries = {"tanh": {**ENTRIES["tanh"], "cpu": row_of(red=["reverse mode, order 1, is off"])}}

    page = pages.page({"laws": 1, "operations": entries}, SOURCES)

    assert "## Red rows\n\n- `tanh` on cpu: reverse mode, order 1, is off\n" in page
    assert next(line for line in page.splitlines() if "`dl.tanh`" in line).endswith("| ✗ | ✓ | never |")


def test_the_command_measures_what_is_asked_and_keeps_the_rest(tmp_path, monkeypatch, capsys):
    file = tmp_path / "ledger.json"
    file.write_text(records.text(ENTRIES, laws=0), "utf-8")
    monkeypatch.setattr(records, "CHECKOUT", file)
    monkeypatch.setattr(pages, "PAGE", tmp_path / "ledger.md")

    pages.main(["tanh", "--backend", "cpu", "--processes", "1"])

    assert capsys.readouterr().out == "1 rows measured, 0 red\n"
    written = json.loads(file.read_text("utf-8"))
    assert written["laws"] == pages.laws()
    assert written["operations"]["exp"] == ENTRIES["exp"]
    assert pages.PAGE.read_text("utf-8") == pages.page(written, SOURCES)
    with pytest.raises(SystemExit):
        pages.main(["tanhh"])
    assert "no operation tanhh is declared" in capsys.readouterr().err


def test_the_command_writes_a_red_row_and_ends_with_a_status_of_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(records, "CHECKOUT", tmp_path / "ledger.json")
    monkeypatch.setattr(pages, "PAGE", tmp_path / "ledger.md")
    monkeypatch.setattr(records, "measured_row", lambda name, backend, sources: row_of(red=["it is off"]))

    with pytest.raises(SystemExit) as ended:
        pages.main(["tanh", "--processes", "1"])

    assert ended.value.code == 1
    assert capsys.readouterr().out == "1 rows measured, 1 red: tanh\n"
    assert records.read(records.CHECKOUT)["tanh"]["cpu"]["red"] == ["it is off"]


# --- one row, for users ---------------------------------------------------------------------------


def test_a_row_is_found_by_the_name_that_users_write():
    assert dl.testing.ledger("dl.tanh").name == "tanh"
    assert dl.testing.ledger("F.mse_loss").name == "mse_loss()"
    assert dl.testing.ledger("tanh").states["cpu"] == "green"
    assert str(dl.testing.ledger("tanh")).startswith("tanh\n  cpu: green\n    reverse mode: off by ")


def test_a_row_is_measured_on_the_selected_backend(backend):
    row = dl.testing.ledger("softmax", run=True)

    assert row.states == {backend.name: "green"}
    assert f"  {backend.name}: green\n" in str(row)


def test_an_operation_that_does_not_exist_has_no_row():
    with pytest.raises(ValueError, match="no operation 'sofmax' is declared; python -m dlcore operations"):
        dl.testing.ledger("sofmax")
    with pytest.raises(TypeError, match="ledger: takes the name of an operation, such as 'softmax', got 3"):
        dl.testing.ledger(3)
