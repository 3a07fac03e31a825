"""Pictures of learning: curves, images, films and surfaces, drawn by matplotlib without a display.

Each function returns a matplotlib Figure, which a notebook shows, and writes it to ``path`` if
there is one.  Numbers may be lists, NumPy arrays or tensors.  A :class:`Film` gathers data first
and draws afterwards, so its frames can be tested, kept, or shown in another way.

It needs matplotlib and pillow: ``pip install "dlcore[viz]"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from io import BytesIO
from itertools import cycle
from os import PathLike
from typing import Any

from backends import host
from dlcore.tensors import Tensor, tensor

Numbers = Any  # a list, a NumPy array or a tensor of one axis
Figure = Any  # matplotlib's
Path = str | PathLike[str]
Series = tuple[list[float], list[float]]  # places and heights

INK, MARKED = "#2c3e50", "#c0392b"
PALETTE = ("#2f7dd1", "#d1662f", "#23915a", "#8a2f86", "#b9802a", "#5f6d7c")


def numbers(x: Numbers) -> list[float]:
    """``x`` as a list of Python numbers."""
    if isinstance(x, Tensor):
        return list(x.reshape(-1).tolist())
    return [float(v) for v in x]


def library(name: str) -> Any:
    """An optional library.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        needs = f'dlcore.viz needs {package}: pip install "dlcore[viz]" ({error})'
        raise ImportError(needs) from error


@cache
def figure_class() -> Any:
    """The class of figures; matplotlib's own is shown by a notebook only if pyplot has been imported."""

    class Figure(library("matplotlib.figure").Figure):  # type: ignore[misc]  # a class that is found late
        def _repr_png_(self) -> bytes:
            file = BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return Figure


def blank(width: float, height: float) -> Figure:
    """An empty figure, in inches, that never asks for a display."""
    canvas = library("matplotlib.backends.backend_agg").FigureCanvasAgg
    figure = figure_class()(figsize=(width, height), layout="constrained")
    canvas(figure)
    return figure


def finished(figure: Figure, path: Path | None) -> Figure:
    """``figure``, saved if there is a ``path``; its ending chooses the format."""
    if path is not None:
        figure.savefig(path)
    return figure


def curves(series: Mapping[str, Numbers], path: Path | None = None, *, title: str = "",
           xlabel: str = "epoch", ylabel: str = "loss", log: bool = False) -> Figure:
    """Several rows of numbers over their places, counted from 1, with their names.

    Args:
        series: one number for each epoch or step, by name.
        path: where to save it: ``.png``, ``.svg`` or ``.pdf``.
        title: above the picture.
        xlabel: what the numbers are counted by.
        ylabel: what is drawn.
        log: on a logarithmic axis.
    """
    figure = blank(7, 4)
    axes = figure.add_subplot()
    for (name, given), color in zip(series.items(), cycle(PALETTE), strict=False):
        ys = numbers(given)
        axes.plot(range(1, len(ys) + 1), ys, color=color, linewidth=1.4, label=name,
                  marker="." if len(ys) < 50 else "")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    axes.grid(alpha=0.25)
    if len(series) > 1:
        axes.legend()
    return finished(figure, path)


def loss_curve(losses: Numbers, path: Path | None = None, *, title: str = "",
               xlabel: str = "step", ylabel: str = "loss", log: bool = False) -> Figure:
    """The losses of a training run, one after the other.

    Args:
        losses: one number for each step or epoch.
        path: where to save it: ``.png``, ``.svg`` or ``.pdf``.
        title: above the picture.
        xlabel: what the losses are counted by.
        ylabel: what is drawn.
        log: on a logarithmic axis.
    """
    return curves({ylabel: losses}, path, title=title, xlabel=xlabel, ylabel=ylabel, log=log)


def images(pictures: Any, path: Path | None = None, *, titles: Sequence[object] = (),
           marked: Sequence[bool] = (), columns: int = 10, title: str = "", cmap: str = "gray_r",
           limits: tuple[float, float] | None = None) -> Figure:
    """Pictures side by side, in rows, on one scale of colours.

    Args:
        pictures: (n, h, w), (n, 1, h, w), or in colours from 0 to 1 (n, 3, h, w).
        path: where to save it.
        titles: what stands above each picture, one for each, or none.
        marked: which of them stand out, their titles in red; one for each, or none.
        columns: how many pictures a row has.
        title: above all of them.
        cmap: matplotlib's name for the colours of numbers: ``"gray_r"`` is ink on paper.
        limits: the numbers that have the first and the last colour; if None, the least and the greatest of
            all pictures.

    Raises:
        ValueError: no pictures, another shape, or titles or marks for another number of them.
    """
    shown = _pixels(pictures)
    for name, given in (("titles", titles), ("marked", marked)):
        if len(given) not in (0, len(shown)):
            raise ValueError(f"viz.images: {len(given)} {name} for {len(shown)} pictures")
    columns = min(columns, len(shown))
    high, wide = shown.shape[1:3]
    across, down = 1.08 * wide, high + (0.33 if titles else 0.08) * wide  # from one to the next, in pixels
    rows = -(-len(shown) // columns)
    figure = blank(0.9 * columns, 0.9 * rows * down / across + (0.4 if title else 0.0))
    axes = figure.add_subplot(title=title)
    axes.set_axis_off()
    least, greatest = limits or (shown.min(), shown.max())
    for i, pixels in enumerate(shown):
        left, bottom = i % columns * across + 0.04 * wide, (i // columns + 1) * down
        axes.imshow(pixels, cmap=cmap, vmin=least, vmax=greatest, interpolation="nearest",
                    extent=(left, left + wide, bottom, bottom - high))
        if titles:
            axes.text(left + wide / 2, bottom - high - 0.04 * wide, str(titles[i]), fontsize=9, ha="center",
                      color=MARKED if marked and marked[i] else INK)
    axes.set(xlim=(0, columns * across), ylim=(rows * down, 0))  # imshow has moved them
    return finished(figure, path)


def _pixels(pictures: Any) -> Any:
    """Pictures as a host array, (n, h, w) or (n, h, w, 3)."""
    found = pictures.numpy() if isinstance(pictures, Tensor) else host.array(pictures)
    if found.ndim != 3 and (found.ndim != 4 or found.shape[1] not in (1, 3)):
        raise ValueError(f"viz.images: pictures must be (n, h, w), (n, 1, h, w) or (n, 3, h, w), got "
                         f"{found.shape}")
    if not found.size:
        raise ValueError(f"viz.images: there is nothing to see in pictures of shape {found.shape}")
    if found.ndim == 3:
        return found
    return found[:, 0] if found.shape[1] == 1 else found.transpose(0, 2, 3, 1)


def function_plot(function: Callable[[Tensor], Tensor], low: float = -5.0, high: float = 5.0,
                  points: int = 20, path: Path | None = None, *, title: str = "") -> Figure:
    """``function`` of a tensor from ``low`` to ``high``: a line through ``points`` that are marked.

    Args:
        function: maps a tensor of one axis to one of the same shape.
        low: the first place.
        high: the last place.
        points: how many places, at least two.
        path: where to save it.
        title: above the picture.
    """
    xs = [low + (high - low) * i / (points - 1) for i in range(points)]
    ys = numbers(function(tensor(xs)))
    figure = blank(5, 4)
    axes = figure.add_subplot()
    axes.plot(xs, ys, color=PALETTE[0], linewidth=1.2)
    axes.scatter(xs, ys, color=PALETTE[1], s=14, zorder=3)
    axes.set(title=title)
    axes.grid(alpha=0.25)
    return finished(figure, path)


def surface(x: Numbers, y: Numbers, z: Numbers, labels: tuple[str, str, str] = ("x", "y", "z"),
            path: Path | None = None, *, color: str = "green",
            azimuth: float = -60.0) -> Figure:
    """Heights ``z`` over scattered places (``x``, ``y``) as triangles in space.

    Args:
        x: of the places.
        y: likewise.
        z: of the points above them.
        labels: of the three axes.
        path: where to save it.
        color: of the surface.
        azimuth: the side from which it is seen, in degrees.
    """
    figure = blank(10, 10)
    axes = figure.add_subplot(projection="3d")
    axes.plot_trisurf(numbers(x), numbers(y), numbers(z), color=color, edgecolor="white",
                      linewidth=0.15)
    axes.view_init(elev=25.0, azim=azimuth)
    axes.set_box_aspect(None, zoom=0.9)  # or the label of the third axis is cut off
    axes.set(xlabel=labels[0], ylabel=labels[1], zlabel=labels[2])
    return finished(figure, path)


class Film:
    """Curves that change while something learns: recorded as data, drawn side by side, as a GIF.

    Args:
        panes: the title of each pane, and the names of the series that it shows.
        width: of a frame, in inches.
        height: likewise.

    ``frames`` has one dict for each :meth:`record`, from the name of a series to its places and
    heights; ``captions`` has one text each.

        >>> film = Film({"fit": ["truth", "model"]})
        >>> film.record("step 0", truth=([0.0, 1.0], [0.0, 1.0]), model=([0.0, 1.0], [0.5, 0.5]))
        >>> film.frames[0]["model"]
        ([0.0, 1.0], [0.5, 0.5])
    """

    def __init__(self, panes: Mapping[str, Sequence[str]], width: float = 15.0,
                 height: float = 4.0) -> None:
        self.panes = {title: tuple(series) for title, series in panes.items()}
        self.size = (width, height)
        self.frames: list[dict[str, Series]] = []
        self.captions: list[str] = []

    def record(self, caption: str, **series: tuple[Numbers, Numbers]) -> None:
        """Add a frame.

        Args:
            caption: stands above it.
            series: for each name that a pane shows, the places and the heights.

        Raises:
            ValueError: a series is missing, unknown, or has more places than heights.
        """
        known = {name for names in self.panes.values() for name in names}
        if series.keys() != known:
            raise ValueError(f"Film: a frame has the series {', '.join(sorted(known))}; got "
                             f"{', '.join(sorted(series)) or 'none'}")
        frame = {name: (numbers(x), numbers(y)) for name, (x, y) in series.items()}
        for name, (x, y) in frame.items():
            if len(x) != len(y):
                raise ValueError(f"Film: series {name} has {len(x)} places, but {len(y)} heights")
        self.frames.append(frame)
        self.captions.append(caption)

    def still(self, position: int, path: Path | None = None) -> Figure:
        """The frame at ``position`` as a figure."""
        figure, lines = self._prepared()
        self._show(position, figure, lines)
        return finished(figure, path)

    def save(self, path: Path, *, fps: float = 8.0, dpi: int = 72) -> None:
        """Write all frames as a GIF that plays again and again.

        Args:
            path: of the file.
            fps: frames in a second; the last one stays for two seconds.
            dpi: dots in an inch.

        Raises:
            ValueError: nothing was recorded.
        """
        image = library("PIL.Image")
        figure, lines = self._prepared()
        figure.set_dpi(dpi)
        pictures = []
        for position in range(len(self.frames)):
            self._show(position, figure, lines)
            figure.canvas.draw()
            figure.set_layout_engine("none")  # the first frame has placed everything
            size, pixels = figure.canvas.get_width_height(), bytes(figure.canvas.buffer_rgba())
            picture = image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1)
            pictures.append(picture.convert("RGB").quantize(64))
        pause = round(1000 / fps)
        pictures[0].save(path, format="GIF", save_all=True, append_images=pictures[1:], loop=0,
                         duration=[pause] * (len(pictures) - 1) + [2000])

    def _prepared(self) -> tuple[Figure, dict[tuple[str, str], Any]]:
        """Panes that share the horizontal axis, each with a line at zero; and their curves."""
        if not self.frames:
            raise ValueError("Film: nothing was recorded; call record() first")
        figure = blank(*self.size)
        axes = figure.subplots(1, len(self.panes), sharex=True, squeeze=False)[0]
        lines = {}
        for pane, (title, names) in zip(axes, self.panes.items(), strict=True):
            pane.axhline(0.0, color="#8a97a6", linewidth=0.8)
            for name, color in zip(names, cycle(PALETTE), strict=False):
                lines[title, name] = pane.plot([], [], color=color, linewidth=1.8, label=name)[0]
            pane.set(title=title, xlim=self._limits(names, 0), ylim=self._limits(names, 1))
            pane.legend(loc="upper left")
        return figure, lines

    def _show(self, position: int, figure: Figure, lines: Mapping[tuple[str, str], Any]) -> None:
        """Let the curves have the course of one frame."""
        for (_, name), line in lines.items():
            line.set_data(*self.frames[position][name])
        figure.suptitle(self.captions[position])

    def _limits(self, names: Sequence[str], side: int) -> tuple[float, float]:
        """What holds the named series in every frame, so that the picture does not jump."""
        values = [v for frame in self.frames for name in names for v in frame[name][side]]
        low, high = min(values), max(values)
        margin = 0.05 * (high - low) or 1.0
        return low - margin, high + margin
