"""Pictures of learning: what is in them, and that they need no display."""

import os
import subprocess
import sys

import matplotlib.colors
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

import dlcore as dl
from dlcore import viz


@pytest.fixture
def film():
    made = viz.Film({"inside": ["a", "b"], "fit": ["truth"]})
    for step in range(5):
        made.record(f"step {step}", a=([0.0, 1.0], [0.0, step]), b=([0.0], [1.0]), truth=([0, 2], [3, 4]))
    return made


def test_a_loss_curve_has_every_loss(backend, tmp_path):
    figure = viz.loss_curve(dl.tensor([3.0, 2.0, 1.0]), tmp_path / "curve.png", title="falling")
    axes = figure.axes[0]

    assert axes.lines[0].get_ydata().tolist() == [3.0, 2.0, 1.0]
    assert axes.get_title() == "falling"
    assert axes.get_yscale() == "linear"
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (700, 400)


def test_a_notebook_shows_a_figure_by_itself():
    assert viz.loss_curve([3.0, 2.0])._repr_png_().startswith(b"\x89PNG")


def test_a_loss_curve_can_be_logarithmic():
    assert viz.loss_curve([3.0, 2.0], log=True).axes[0].get_yscale() == "log"


def test_a_loss_curve_is_counted_from_one_as_curves_are():
    alone, among = viz.loss_curve([3.0, 2.0]).axes[0], viz.curves({"a": [3.0, 2.0]}).axes[0]

    assert alone.lines[0].get_xdata().tolist() == among.lines[0].get_xdata().tolist() == [1, 2]
    assert (alone.get_xlabel(), among.get_xlabel()) == ("step", "epoch")


@pytest.mark.parametrize("shape", [(7, 4, 3), (7, 1, 4, 3)])
def test_images_stand_in_rows_on_one_scale(backend, shape, tmp_path):
    x = dl.random.normal(shape)

    figure = viz.images(x, tmp_path / "images.png", columns=5, title="some")

    shown = figure.axes[0].images
    assert_array_equal([image.get_array() for image in shown], x.reshape(7, 4, 3).numpy())
    assert {image.get_clim() for image in shown} == {(dl.min(x).item(), dl.max(x).item())}
    places = [image.get_extent() for image in shown]
    assert len({left for left, *_ in places}) == 5
    assert len({bottom for _, _, bottom, _ in places}) == 2
    assert figure.axes[0].get_title() == "some"
    assert (tmp_path / "images.png").is_file()


def test_images_in_colours_have_their_channels_first():
    x = dl.random.uniform((2, 3, 4, 5))

    assert_array_equal(viz.images(x).axes[0].images[1].get_array(), dl.moveaxis(x, 1, 3)[1].numpy())


def test_images_can_be_given_the_limits_of_their_colours():
    assert viz.images([[[0.5]]], limits=(-1, 2)).axes[0].images[0].get_clim() == (-1, 2)


def test_marked_images_have_red_titles():
    texts = viz.images(dl.zeros((2, 3, 3)), titles=[4, "nine"], marked=[False, True]).axes[0].texts

    assert [(t.get_text(), t.get_color()) for t in texts] == [("4", viz.INK), ("nine", viz.MARKED)]


@pytest.mark.parametrize(("x", "options", "message"), [
    (dl.zeros((3, 3)), {}, r"pictures must be \(n, h, w\), .* got \(3, 3\)"),
    (dl.zeros((2, 2, 3, 3)), {}, r"got \(2, 2, 3, 3\)"),
    (dl.zeros((0, 3, 3)), {}, r"nothing to see in pictures of shape \(0, 3, 3\)"),
    (dl.zeros((2, 3, 3)), {"titles": [1]}, "1 titles for 2 pictures"),
    (dl.zeros((2, 3, 3)), {"marked": [True] * 3}, "3 marked for 2 pictures"),
])
def test_images_that_cannot_be_shown_are_refused(x, options, message):
    with pytest.raises(ValueError, match=rf"viz\.images: .*{message}"):
        viz.images(x, **options)


def test_a_function_is_drawn_through_its_points(backend):
    axes = viz.function_plot(dl.abs, -1.0, 1.0, 5).axes[0]

    assert axes.lines[0].get_xdata().tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert axes.lines[0].get_ydata().tolist() == [1.0, 0.5, 0.0, 0.5, 1.0]
    assert len(axes.collections[0].get_offsets()) == 5


def test_a_surface_is_green_ten_by_ten_and_labelled(backend, tmp_path):
    x, y = dl.tensor([0.0, 1.0, 0.0, 1.0]), [0.0, 0.0, 1.0, 1.0]

    figure = viz.surface(x, y, [0.0, 1.0, 1.0, 2.0], ("RM", "%", "Price"), tmp_path / "s.png")
    axes = figure.axes[0]

    assert tuple(figure.get_size_inches()) == (10.0, 10.0)
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()) == ("RM", "%", "Price")
    red, green, blue, _ = axes.collections[0].get_facecolor()[0]
    assert green > red == blue == 0.0
    assert matplotlib.colors.to_rgb("green")[0] == 0.0


def test_a_film_is_data_first(film):
    assert len(film.frames) == 5
    assert film.frames[3]["a"] == ([0.0, 1.0], [0.0, 3.0])
    assert film.captions[3] == "step 3"


def test_a_frame_has_a_pane_for_each_group_that_share_the_horizontal_axis(film):
    figure = film.still(2)
    left, right = figure.axes

    assert tuple(figure.get_size_inches()) == (15.0, 4.0)
    assert left.get_shared_x_axes().joined(left, right)
    assert not left.get_shared_y_axes().joined(left, right)
    for pane, names in ((left, ["a", "b"]), (right, ["truth"])):
        zero, *curves = pane.lines
        assert list(zero.get_ydata()) == [0.0, 0.0]
        assert [c.get_label() for c in curves] == names
    assert left.lines[1].get_ydata() == [0.0, 2.0]
    assert figure.get_suptitle() == "step 2"


def test_the_axes_of_a_film_hold_still(film):
    assert film.still(0).axes[0].get_ylim() == film.still(4).axes[0].get_ylim()


def test_a_film_is_saved_as_a_gif_with_a_frame_each(film, tmp_path):
    film.save(tmp_path / "film.gif", fps=10.0)

    with Image.open(tmp_path / "film.gif") as picture:
        assert picture.n_frames == 5
        assert picture.size == (1080, 288)
        assert picture.info["duration"] == 100
        assert picture.info["loop"] == 0
        picture.seek(4)
        assert picture.info["duration"] == 2000


def test_a_film_refuses_frames_that_do_not_fit(film):
    with pytest.raises(ValueError, match="Film: a frame has the series a, b, truth; got a"):
        film.record("", a=([0.0], [0.0]))
    with pytest.raises(ValueError, match="Film: series b has 2 places, but 1 heights"):
        film.record("", a=([0.0], [0.0]), b=([0.0, 1.0], [0.0]), truth=([0.0], [0.0]))


def test_an_empty_film_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="Film: nothing was recorded"):
        viz.Film({"pane": ["a"]}).save(tmp_path / "film.gif")


@pytest.mark.parametrize("missing", ["matplotlib", "PIL"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(film, monkeypatch, missing, tmp_path):
    for module in [m for m in sys.modules if m.split(".", maxsplit=1)[0] == missing]:
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ImportError, match=rf'dlcore\.viz needs {missing}: pip install "dlcore\[viz\]"'):
        film.save(tmp_path / "film.gif")


def test_no_display_is_needed_and_importing_viz_loads_no_matplotlib():
    code = (
        "import sys, dlcore.viz as viz\n"
        "assert 'matplotlib' not in sys.modules\n"
        "viz.loss_curve([1.0, 2.0])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n")
    environment = {k: v for k, v in os.environ.items() if k != "DISPLAY"}

    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, check=False,
                          capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
