"""Every example runs from its command line, says what it learnt, and leaves the pictures it names."""

import re
import runpy
import sys
from pathlib import Path

import pytest

import dlcore as dl

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem != "common")
QUICK = {  # options that shorten what would take more than two seconds
    "digits_mlp": ["--epochs", "2"],
    "tutorial_1_quadratic_fit": ["--steps", "200"],
    "tutorial_3_boston_housing": ["--epochs", "20"],
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run an example as a script; what it prints."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def main(name, *options):
        monkeypatch.setattr(sys, "argv", [name, "--out", str(tmp_path / "out"), *options])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    before = dl.get_default_dtype()
    yield main
    dl.set_default_dtype(before)
    dl.set_backend("cpu")


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_runs_and_leaves_the_pictures_it_names(name, run, tmp_path):
    printed = run(name, *QUICK.get(name, []))

    named = re.findall(r"[\w-]+\.(?:png|svg|gif)", printed.splitlines()[-1])
    made = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert named
    assert set(named) == set(made)
    assert all(path.stat().st_size > 1000 for path in made.values())


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_explains_its_command_line(name, run, capsys):
    with pytest.raises(SystemExit) as ended:
        run(name, "--help")

    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--backend", "--seed", "--out"))


def test_more_than_96_percent_of_the_digits_are_read_right(run):
    printed = run("digits_mlp")

    assert float(re.findall(r"test accuracy (0\.\d+)", printed)[-1]) > 0.96


def test_an_example_computes_on_the_backend_it_is_given(run):
    printed = run("tutorial_2_linear_regression", "--backend", "strict")

    assert float(re.search(r"epoch 3, loss (\S+)", printed)[1]) < 6e-5
    assert dl.get_backend().name == "strict"


def test_momentum_and_lbfgs_reach_the_least_loss_and_plain_descent_does_not(run):
    printed = run("three_optimizers")

    pairs = re.findall(r"^(.+): w .* loss (\S+) after", printed, re.MULTILINE)
    found = {name: float(loss) for name, loss in pairs}
    least = found["L-BFGS-B"]
    assert found["SGD with momentum"] == pytest.approx(least, rel=0.01)
    assert least < found["Adam, cosine schedule"] < found["SGD"] < 2 * least


@pytest.mark.cuda
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_runs_on_cuda(name, run):
    assert run(name, "--backend", "cuda", *QUICK.get(name, []))
