"""The report's pictures: panels that stand alone on the page and side by side in a PNG.

The same results give the same bytes: no time, no version and no random number gets into a picture.
Each variant of the question and each control has one colour, on the page too. Text in a panel is as
wide as a telephone allows: a panel is WIDTH units wide, drawn at about one pixel a unit.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw, ImageFont

from wm.core import artifacts
from wm.core.car_racing import FRAME_SIZE, ROAD_HALF_WIDTH

COLOURS = {
    "vae": "#1d6a8a",
    "vaegan": "#c8561e",
    "untrained-memory": "#72757e",
    "z": "#4d7f35",
    "z-hidden": "#8a7310",
    "all-weights": "#2f8f83",
    "return-alone": "#b0443a",
    "networks": "#6a58a8",
    "vaegan-networks": "#a8447a",
}
"""The colour of each variant but the sources'."""
OTHER = "#4a5160"
"""The colour of every other run."""
INK, MUTED, LINE, PAPER = "#1d232b", "#69707c", "#e3e1da", "#ffffff"
GRASS, ROAD = "#edf2e6", "#cfcfcb"
WIDTH = 360
"""Width of a panel, in units; there are POINTS in an inch."""
LABEL_WIDTH = 54
"""Characters in a line of a row's label: what fits into a panel's width."""
PNG_WIDTH, DPI = 1200, 100
POINTS = 72
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 11.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11.5,
    "axes.titlesize": 12.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#b9b7b0",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.pad": 6.0,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
}
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
ROUND = (500, 100, 50, 20, 10, 5, 1)
"""Ticks of the axis of returns are multiples of these, the roundest first."""


@dataclass(frozen=True)
class Panel:
    """One picture of a section."""

    title: str
    """The title; an SVG is without it."""
    says: str
    """What there is to see, for those who do not see it."""
    draw: Callable[[Axes], None]
    """Draws the picture into axes."""
    height: int = 225
    """The height in units."""


def svg(panel: Panel) -> bytes:
    """Returns the panel alone and without its title, as SVG in the reader's own font."""
    with style.context(["default", STYLE]):
        layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
        figure = Figure((WIDTH / POINTS, panel.height / POINTS), layout=layout)
        figure.patch.set_alpha(0.0)
        panel.draw(figure.add_subplot())
        content = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", metadata=nothing)
    return content.getvalue().replace("'DejaVu Sans'", FONTS).encode()


def sheet(
    path: Path | str, panels: Sequence[Panel], columns: int, key: Mapping[str, str] | None = None
) -> None:
    """Writes panels with their titles as one PNG of PNG_WIDTH, under a key of names to colours."""
    rows = -(-len(panels) // columns)  # ceil
    scale = PNG_WIDTH / columns / WIDTH
    height = rows * (scale * max(panel.height for panel in panels) + 40) + (30 if key else 0)
    with style.context(["default", STYLE]):
        layout = ConstrainedLayoutEngine(hspace=0.05, wspace=0.04)
        size = (PNG_WIDTH / DPI, height / DPI)
        figure = Figure(size, dpi=DPI, layout=layout, facecolor=PAPER)
        for number, panel in enumerate(panels):
            axes = figure.add_subplot(rows, columns, number + 1)
            panel.draw(axes)
            axes.set_title(panel.title, pad=8)
        if key:
            lines = [Line2D([], [], color=colour, linewidth=5) for colour in key.values()]
            figure.legend(lines, list(key), loc="outside upper left", ncols=len(key),
                          frameon=False, fontsize=12, handlelength=1.0)  # fmt: skip
        content = io.BytesIO()
        FigureCanvasAgg(figure).print_png(content, metadata={"Software": None})
    _write(path, Image.open(content).convert("RGB").quantize(256, dither=Image.Dither.NONE))


def curves(
    runs: Mapping[str, Sequence[pd.DataFrame]], x: str, y: str, label: str
) -> Callable[[Axes], None]:
    """Returns what draws column y over column x: of each variant every run (a table each), their
    mean and the band between the least and the most, where all of its runs have a value."""

    def draw(axes: Axes) -> None:
        for variant, tables in runs.items():
            colour = COLOURS.get(variant, OTHER)
            lines = [table.dropna(subset=[y]).set_index(x)[y] for table in tables]
            for line in lines:
                axes.plot(line.index, line, color=colour, linewidth=0.7, alpha=0.45)
            together = pd.concat(lines, axis=1, join="inner").sort_index()
            axes.fill_between(together.index, together.min(axis=1), together.max(axis=1),
                              color=colour, alpha=0.16, linewidth=0)  # fmt: skip
            axes.plot(together.index, together.mean(axis=1), color=colour, linewidth=2.2)
        axes.set_xlabel(label)
        axes.margins(x=0.02)

    return draw


def returns_range(values: Iterable[np.ndarray]) -> tuple[float, float]:
    """Returns the least and the most of all returns, (N,) each, with room for a dot on either
    side."""
    everything = np.concatenate(list(values))
    ends = _closeness(np.array([everything.min(), everything.max()]))
    low, high = _return(ends + np.array([-0.04, 0.04]) * max(np.ptp(ends), 0.1))
    return float(low), float(high)


def swarms(rows: Mapping[str, np.ndarray], limits: tuple[float, float]) -> Callable[[Axes], None]:
    """Returns what draws every return as a dot: a row a variant (name -> returns (N,)), its mean as
    a tick. `limits` are the ends of the axis."""

    def draw(axes: Axes) -> None:
        _return_axis(axes, limits)
        for place, (variant, values) in enumerate(rows.items()):
            colour = COLOURS.get(variant, OTHER)
            axes.scatter(values, place + _stacked(values, limits), s=13, color=colour, alpha=0.6,
                         linewidths=0)  # fmt: skip
            mean = values.mean()
            axes.plot([mean, mean], [place - 0.45, place + 0.45], color=INK, linewidth=1.4)
            axes.annotate(f"mean {mean:.1f}", (0.0, place - 0.3), color=colour,
                          xycoords=("axes fraction", "data"), weight="bold",
                          va="center")  # fmt: skip
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(rows) - 0.45, -0.55)

    return draw


def distributions(
    runs: Mapping[str, Sequence[np.ndarray]], limits: tuple[float, float]
) -> Callable[[Axes], None]:
    """Returns what draws the share of episodes below a return: of each variant every run (N,), and
    all together. `limits` are the ends of the axis."""

    def draw(axes: Axes) -> None:
        _return_axis(axes, limits)
        for variant, samples in runs.items():
            colour = COLOURS.get(variant, OTHER)
            for values in samples:
                axes.ecdf(values, color=colour, linewidth=0.7, alpha=0.45)
            axes.ecdf(np.concatenate(list(samples)), color=colour, linewidth=2.2)
        axes.set_ylim(-0.04, 1.04)
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")

    return draw


def by_variant(
    rows: Sequence[tuple[str, str, np.ndarray]],
) -> Callable[[Axes], None]:
    """Returns what draws a row a variant (name, title, mean returns (S,)): a dot a seed, their mean
    as a tick."""

    def draw(axes: Axes) -> None:
        _return_axis(axes, returns_range(values for _, _, values in rows))
        for place, (variant, title, values) in enumerate(rows):
            colour = COLOURS.get(variant, OTHER)
            axes.axhline(place, color=LINE, linewidth=0.8, zorder=0)
            axes.scatter(values, np.full(len(values), place), s=34, color=colour, alpha=0.6,
                         linewidths=0)  # fmt: skip
            axes.plot(np.full(2, values.mean()), [place - 0.24, place + 0.24], color=colour,
                      linewidth=2.6)  # fmt: skip
            text = textwrap.fill(f"{title}: {values.mean():.1f}", LABEL_WIDTH)
            axes.annotate(text, (0.0, place - 0.46), xycoords=("axes fraction", "data"),
                          color=colour, weight="bold", va="center", fontsize=10.5,
                          in_layout=False)  # fmt: skip
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(rows) - 0.6, -0.75)

    return draw


def off_road(path: np.ndarray) -> np.ndarray:
    """Returns whether the car is off the road, bool (T,), along a path (T, 3): x, y and the offset
    from the centre line, in units of length."""
    return np.abs(path[:, 2]) > ROAD_HALF_WIDTH


def stretches(where: np.ndarray) -> list[slice]:
    """Returns the unbroken stretches of True in bool (T,), in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int)))
    return [slice(start, end) for start, end in edges.reshape(-1, 2)]


def trajectory(
    track: np.ndarray, path: np.ndarray, variant: str, finished: bool
) -> Callable[[Axes], None]:
    """Returns what draws a map in units of length: the road around its centre line (n, 2), the path
    of the car (T, 3) and, heavy, where it was off the road; a ring where it finished the lap, a
    cross where it did not."""

    def draw(axes: Axes) -> None:
        axes.set_facecolor(GRASS)
        axes.add_patch(PathPatch(_ring(track), facecolor=ROAD, linewidth=0))
        axes.plot(*path[:, :2].T, color=COLOURS.get(variant, OTHER), linewidth=1.5)
        for stretch in stretches(off_road(path)):
            axes.plot(*path[stretch, :2].T, color=INK, linewidth=3.4, solid_capstyle="round")
        axes.plot(*path[0, :2], marker="o", markersize=5, color=PAPER, markeredgecolor=INK)
        end = {"marker": "o", "markersize": 12} if finished else {"marker": "X", "markersize": 12}
        axes.plot(*path[-1, :2], color="none" if finished else INK,
                  markeredgecolor=INK if finished else PAPER, markeredgewidth=1.4,
                  **end)  # type: ignore[arg-type]  # fmt: skip
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.margins(0.06)

    return draw


def frames_sheet(
    path: Path | str, rows: Sequence[tuple[str, str, np.ndarray]], columns: Sequence[str]
) -> None:
    """Writes rows of frames (label, colour, uint8 (len(columns), 64, 64, 3)) under the columns'
    labels as one PNG of about PNG_WIDTH, each pixel as large as fits."""
    gap, head, left = 14, 34, 128
    scale = max((PNG_WIDTH - left) // len(columns) // FRAME_SIZE, 1)
    step = FRAME_SIZE * scale + gap
    image = Image.new(
        "RGB", (left + len(columns) * step - gap, head + len(rows) * step - gap), PAPER
    )
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(21)
    for column, label in enumerate(columns):
        pen.text((left + column * step, 4), label, MUTED, font)
    for row, (label, colour, frames) in enumerate(rows):
        top = head + row * step
        pen.text((2, top + step // 2 - 22), label, colour, font)
        for column, frame in enumerate(frames):
            large = Image.fromarray(frame.repeat(scale, axis=0).repeat(scale, axis=1))
            image.paste(large, (left + column * step, top))
    _write(path, image)


def frame_png(frame: np.ndarray) -> bytes:
    """Returns a frame, or several side by side, uint8 (H, W, 3), as PNG."""
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "PNG", optimize=True)
    return content.getvalue()


def _write(path: Path | str, image: Image.Image) -> None:
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    artifacts.write_bytes(path, content.getvalue())


def _closeness(values: np.ndarray) -> np.ndarray:
    """Returns where values (N,) lie on the axis of returns: minus the logarithm of how many points
    are missing to 1,000, which no episode can reach. Good episodes are told apart, and bad ones are
    still on the page."""
    return -np.log10(np.maximum(1000.0 - np.asarray(values, np.float64), 1e-3))


def _return(closeness: np.ndarray) -> np.ndarray:
    return 1000.0 - 10.0 ** -np.asarray(closeness, np.float64)


def _return_axis(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set_xscale("function", functions=(_closeness, _return))
    axes.set_xlim(*limits)
    low, high = _closeness(np.array(limits))
    ticks: list[int] = []
    for step in ROUND:
        if step == 1 and len(ticks) > 2:
            break
        first, last = np.ceil(limits[0] / step), np.floor(limits[1] / step)
        for tick in np.arange(first, last + 1).astype(int) * step:
            room = np.abs(_closeness(np.array([*ticks])) - _closeness(tick))
            if (room > 0.15 * (high - low)).all():
                ticks.append(int(tick))
    axes.set_xticks(ticks, [str(tick).replace("-", "\N{MINUS SIGN}") for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("return")


def _stacked(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Returns offsets (N,) that put dots of nearly the same return beside one another, 0 the
    middle."""
    low, high = _closeness(np.array(limits))
    bins = np.floor((_closeness(values) - low) / (high - low) * 75).astype(int)
    offsets = np.zeros(len(values))
    most = int(np.bincount(bins).max())
    for number in np.unique(bins):
        here = np.flatnonzero(bins == number)
        here = here[np.argsort(values[here], kind="stable")]
        offsets[here] = np.arange(len(here)) - (len(here) - 1) / 2
    return offsets * min(0.08, 0.84 / most)


def _ring(centre: np.ndarray) -> Outline:
    """Returns the road as a closed band around its centre line (n, 2): an outline with a hole."""
    along = np.roll(centre, -1, axis=0) - np.roll(centre, 1, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    sides = (centre + ROAD_HALF_WIDTH * normal, (centre - ROAD_HALF_WIDTH * normal)[::-1])
    codes = [Outline.MOVETO, *[Outline.LINETO] * (len(centre) - 1), Outline.CLOSEPOLY]
    points = [np.concatenate([side, side[:1]]) for side in sides]
    return Outline(np.concatenate(points), codes * 2)
