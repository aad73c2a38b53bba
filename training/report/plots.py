"""Figures become pictures: inline SVG whose colours the page decides, the same bytes for the same figures."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from training.evaluation.results import MetricEstimate
from training.metrics.calibration import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 5.0
"""Inches of 72 units: 360 wide, so that letters keep their size on a phone."""
MAX_NAME = 26
MAX_LABEL = 42
BAR = 0.21
"""Inches that one bar takes."""

# Colours that stand for a variable of the page, which is dark at night and light in print.
INK, FAINT, LINE = "#010101", "#020202", "#030303"
SERIES = ("#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04", "#0a0a05", "#0a0a06")
_VARIABLES = {INK: "--ink", FAINT: "--faint", LINE: "--line"} | {
    color: f"--series-{number}" for number, color in enumerate(SERIES, start=1)
}
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))

STYLE = Path(__file__).with_name("plots.mplstyle")

Figures = Mapping[str, Mapping[str, MetricEstimate]]
"""Series → name of a bar or point → figure."""


def bars(figures: Figures, *, label: str, order: Sequence[str] = ()) -> str:
    """Horizontal bars with their intervals: a group per name, in it a bar per series, first on top.

    A series has the colour of its place in `order`, so that it looks alike where others are missing.
    """
    names = list(dict.fromkeys(name for series in figures.values() for name in series))

    def draw(axes: "Axes") -> None:
        height = 0.8 / len(figures)
        for number, (series, values) in enumerate(figures.items()):
            places = [
                place + (number - (len(figures) - 1) / 2) * height for place, name in enumerate(names) if name in values
            ]
            shown = [values[name] for name in names if name in values]
            means = [one.mean for one in shown]
            ends = [[one.mean - one.low for one in shown], [one.high - one.mean for one in shown]]
            # Error bars of no width would still be drawn, as caps.
            has_width = any(one.high > one.low for one in shown)
            axes.barh(
                places,
                means,
                height * 0.9,
                label=series,
                color=_color(order.index(series) if series in order else number),
                xerr=ends if has_width else None,
                error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 1.5},
            )
        axes.set_yticks(range(len(names)), [_short(name, MAX_NAME) for name in names], color=INK)
        # Matplotlib counts upwards: limits the other way round put the first name on top.
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(_short(label, MAX_LABEL))
        if len(figures) > 1:
            _legend_above(axes)

    count = sum(len(series) for series in figures.values())
    return _picture(draw, height=max(1.5, 0.75 + BAR * count + 0.12 * len(names) + 0.12 * len(figures)))


def lines(curves: Mapping[str, Sequence[float]], *, label: str) -> str:
    """One line per series over 1, 2, … as many places as it has."""

    def draw(axes: "Axes") -> None:
        for number, (series, values) in enumerate(curves.items()):
            axes.plot(
                range(1, len(values) + 1),
                values,
                label=series,
                color=_color(number),
                linestyle=_STYLES[number % len(_STYLES)],
                linewidth=2.2 if number == 0 else 1.5,
            )
        axes.set_xlabel("places shown (k)")
        axes.set_ylabel(label)
        axes.set_xlim(left=1)
        axes.set_ylim(bottom=0)
        axes.set_xticks([1, 5, 10, 15, 20])
        _legend_above(axes)

    return _picture(draw, height=3.3)


def reliability_diagram(reliability: Reliability) -> str:
    """Share bought over mean probability, a point with its interval per bin, and the line of perfect calibration."""

    def draw(axes: "Axes") -> None:
        top = max([0.01, *(max(one.probability, one.high) for one in reliability.bins)]) * 1.05
        axes.plot([0, top], [0, top], color=FAINT, linestyle=":", linewidth=1.2, label="as predicted")
        axes.errorbar(
            [one.probability for one in reliability.bins],
            [one.bought for one in reliability.bins],
            yerr=[
                [one.bought - one.low for one in reliability.bins],
                [one.high - one.bought for one in reliability.bins],
            ],
            fmt="o-",
            markersize=4,
            linewidth=1,
            capsize=2,
            color=SERIES[0],
            ecolor=INK,
            elinewidth=1,
            label="observed, with 95 % interval",
        )
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_xlabel("predicted probability (mean of the bin)")
        axes.set_ylabel("share bought")
        _legend_above(axes)

    return _picture(draw, height=3.6)


def trials(scores: Sequence[float], *, label: str) -> str:
    """Each trial's score in the order tried, and the best so far."""

    def draw(axes: "Axes") -> None:
        order = range(1, len(scores) + 1)
        best = [max(scores[:count]) for count in order]
        axes.step(order, best, where="post", color=SERIES[0], linewidth=1.5, label="best so far")
        axes.plot(order, scores, "o", color=SERIES[1], markersize=5, label="trial")
        axes.set_xlabel("trial")
        axes.set_ylabel(label)
        axes.set_xticks(range(1, len(scores) + 1, max(1, len(scores) // 8)))
        _legend_above(axes)

    return _picture(draw, height=2.8)


def _color(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _legend_above(axes: "Axes") -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0.1)


def _picture(draw: Callable[["Axes"], None], *, height: float) -> str:
    """The SVG element of one plot; matplotlib is loaded here, because only reports need it."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(fname=STYLE), warnings.catch_warnings():
        # A name in letters that the measuring font lacks is drawn by the reader's own font all the same.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        # Not by pyplot, which keeps every figure that it makes and looks for a screen.
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        written = StringIO()
        figure.savefig(
            written,
            format="svg",
            transparent=True,
            # Each has to be None, or matplotlib writes time and version into what should be the same bytes.
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _inline(written.getvalue())


def _inline(document: str) -> str:
    """The bare svg element: no declaration, size, style, font or idle id, colours by the page's variables."""
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r'^<svg[^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', svg)
    svg = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]*)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    return svg


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
