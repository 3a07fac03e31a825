"""Every example runs from its command line, says what it learnt, and leaves the pictures it names.

Most run shorter than they are; what they claim to learn is wanted of whole runs by ``nox -s examples``.
That leaves pictures in out/; to show those on docs/examples.md::

    python -m tests.test_examples out
"""

import re
import runpy
import statistics
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

import dlcore as dl

ROOT = Path(__file__).parent.parent
EXAMPLES, PICTURES, PAGE = ROOT / "examples", ROOT / "docs" / "pictures", ROOT / "docs" / "examples.md"
SCRIPTS = sorted(p.stem for p in EXAMPLES.glob("*.py") if p.stem != "common")
QUICK = {  # options that shorten what would take more than two seconds
    "autoencoder": ["--epochs", "1"],
    "digits_mlp": ["--epochs", "2"],
    "gradient_penalty": ["--steps", "20"],
    "heat_equation": ["--iterations", "20"],
    "mnist_cnn": ["--epochs", "1"],
    "mnist_mlp": ["--epochs", "2"],
    "sequence_lstm": ["--epochs", "1"],
    "text_transformer": ["--epochs", "1"],
    "tutorial_1_quadratic_fit": ["--steps", "200"],
    "tutorial_3_boston_housing": ["--epochs", "20"],
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run an example as a script; what it prints."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def main(name, *options, torch=False):
        if not torch:  # it takes as long to import as most examples take to run
            monkeypatch.setitem(sys.modules, "safetensors.torch", None)
        monkeypatch.setattr(sys, "argv", [name, "--out", str(tmp_path / "out"), *options])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    before = dl.get_default_dtype()
    yield main
    dl.set_default_dtype(before)
    dl.set_backend("cpu")


def shown_on_the_page():
    """The names of the pictures on docs/examples.md."""
    return re.findall(r"\(pictures/(\S+\.png)\)", PAGE.read_text("utf-8"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_runs_and_leaves_the_pictures_it_names(name, run, tmp_path):
    printed = run(name, *QUICK.get(name, []))

    named = re.findall(r"[\w-]+\.(?:png|svg|gif|safetensors)", printed.splitlines()[-1])
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


def test_the_page_of_examples_names_each_and_shows_small_pictures_that_they_draw():
    scripts = {name: (EXAMPLES / f"{name}.py").read_text("utf-8") for name in SCRIPTS}
    page, shown = PAGE.read_text("utf-8"), shown_on_the_page()

    assert [name for name in scripts if f"{name}.py" not in page and not name.startswith("tutorial_")] == []
    assert [name for name in shown if not any(f'"{name}"' in source for source in scripts.values())] == []
    assert [p.name for p in PICTURES.iterdir() if p.name not in shown or p.stat().st_size > 60_000] == []


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


def test_weights_of_pytorch_are_read_right_without_pytorch(run):
    printed = run("torch_weights")

    assert "PyTorch is not installed" in printed
    assert float(re.search(r"dlcore reads (\S+) of the unseen", printed)[1]) > 0.97


@pytest.mark.peers
def test_pytorch_and_dlcore_say_the_same_before_and_after_training_on(run):
    pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)

    printed = run("torch_weights", torch=True)

    differences = [float(d) for d in re.findall(r"differ from dlcore's by (\S+)", printed)]
    assert len(differences) == 2
    assert max(differences) < 1e-4  # float32, scores up to 15


# --- what the examples claim, on docs/examples.md -------------------------------------------------------


@pytest.fixture
def figure(run):
    """What an example, run to its end, has printed after some words, as a number."""
    def found(name, words, *options):
        return float(re.findall(rf"{words}\s*(\d+(?:\.\d+)?)", run(name, *options))[-1])

    return found


@pytest.mark.figures
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_runs_on_another_backend_too(name, run):
    assert run(name, "--backend", "strict", *QUICK.get(name, []))


@pytest.mark.figures
def test_the_convolutional_network_reads_97_percent_in_a_minute_on_two_cores(figure):
    begun = time.process_time()

    read = [figure("mnist_cnn", "test accuracy", "--seed", str(seed)) for seed in range(3)]

    assert statistics.median(read) > 0.97
    assert (time.process_time() - begun) / 3 < 60


@pytest.mark.figures
def test_the_perceptron_reads_93_percent(figure):
    assert figure("mnist_mlp", "test accuracy") >= 0.93


@pytest.mark.figures
def test_the_lstm_reads_nearly_as_much_after_half_a_digit_as_after_all(run):
    printed = run("sequence_lstm")

    after = {int(rows): float(share) for rows, share in re.findall(r"after +(\d+) rows: (\S+)", printed)}
    assert after[7] < 0.7
    assert after[14] > 0.85
    assert after[28] > 0.93


@pytest.mark.figures
def test_the_transformer_needs_two_and_a_half_bits_for_a_character(figure):
    assert figure("text_transformer", "in the first epoch,") < 2.5


@pytest.mark.figures
def test_two_numbers_explain_a_third_of_784_pixels_and_tell_half_the_digits_apart(run):
    printed = run("autoencoder")

    assert float(re.search(r"two numbers explain (\S+)", printed)[1]) > 0.33
    assert float(re.search(r"(\S+) of the unseen digits have one of their own", printed)[1]) > 0.5


@pytest.mark.figures
def test_the_heat_equation_is_solved_to_three_thousandths(figure):
    assert figure("heat_equation", "largest error:") < 0.003


@pytest.mark.figures
def test_the_points_that_a_generator_makes_lie_on_the_moons_and_all_over_them(run):
    printed = run("gradient_penalty")

    made, missed = map(float, re.search(r"after : .* is (\S+) from .* one (\S+) from", printed).groups())
    assert max(made, missed) < 0.06


@pytest.mark.cuda
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_runs_on_cuda(name, run):
    assert run(name, "--backend", "cuda", *QUICK.get(name, []))


if __name__ == "__main__":
    for picture in shown_on_the_page():  # with 256 colours they are half as large
        drawn = Image.open(Path(sys.argv[1]) / picture).convert("RGB")
        drawn.quantize(256).save(PICTURES / picture, optimize=True)
