"""How figures look, and how they are written: for paper on white, for the page in the colours of the page."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vael import files
from vael.process import ignoring
from vael.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

INK, QUIET, RULE, PAPER = "#1b1f23", "#5e6872", "#d4d9de", "#fefefe"
TRAIN, VALIDATION, DATA, MODEL = "#94a4a2", "#2f7fd0", "#8b979f", "#2f7fd0"
ACTIVE_COLOUR, IDLE_COLOUR = "#2f7fd0", "#b4bcc2"
# ten colours, no grey among them; any two are 46 apart in CIELAB, and 23 for eyes without one of the two long cones (a
# test says so)
CLASSES = (
    "#418dd9",
    "#f7a90c",
    "#ad0909",
    "#598046",
    "#ad0992",
    "#0bd9d9",
    "#5b0cf7",
    "#d97798",
    "#0bd972",
    "#4a67f7",
)
DPI = 200
KINDS = ("png", "svg", "pdf")  # files of every figure
SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "svg.fonttype": "path",
    "svg.hashsalt": "vael",
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "savefig.facecolor": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.parse_math": False,  # a $ in a name or a level is a $
}


@dataclass(frozen=True)
class Drawing:
    """One finished figure: its name (also of its files), the markup for the page, and what stands under it."""

    name: str
    markup: str
    caption: str
    width: float  # inches
    has_words: bool = True  # that must stay readable where a screen is narrow


DRAWING = threading.RLock()  # matplotlib has one set of settings for the process


@contextmanager
def styled() -> Iterator[None]:
    """Context in which matplotlib draws as the house does, one thread at a time; its global settings are as they
    were afterwards.
    """
    import matplotlib as mpl

    with DRAWING, mpl.rc_context(SETTINGS):
        yield


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """A figure of `width` × `height` inches outside pyplot's global state; `layout` as matplotlib names it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    if layout is None:
        figure.set_layout_engine("none")  # whatever rcParams say
    FigureCanvasAgg(figure)
    return figure


def on_paper(figure: Figure) -> Figure:
    """The figure on white, for a place whose own colour is not known, such as a notebook."""
    figure.set_facecolor("white")
    figure.set_dpi(130)
    return figure


def as_label(text: str, most: int = 24) -> str:
    """A text of data as a figure shows it: of one line, not too long, with nothing in it that the drawing library
    takes for its own signs.
    """
    seen = visible(text)
    seen = seen if len(seen) <= most else seen[: most - 1] + "…"
    return f" {seen}" if seen.startswith("_") else seen  # a legend leaves out what begins so


def rendered(figure: Figure, kind: str) -> bytes:
    """The figure as a file of one kind, on white where the kind has no page behind it."""
    stream = io.BytesIO()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    with ignoring(
        UserWarning, "Glyph .* missing from"
    ):  # names in other scripts: SVG keeps their letters, other kinds show a box
        figure.savefig(stream, format=kind, dpi=DPI, metadata=dates, facecolor="white" if kind == "png" else "none")
    return stream.getvalue()


def inlined(svg: bytes, name: str, *, crisp: bool) -> str:
    """SVG for use inside a page: no prologue, ids of its own, ink that follows the page from light to dark; `crisp`
    keeps cells sharp.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#|url\(#)', lambda found: f"{found[0]}{name}-", text)
    for colour, variable in ((INK, "--ink"), (QUIET, "--quiet"), (RULE, "--rule"), (PAPER, "--page")):
        text = text.replace(colour, f"var({variable})")
    looks = ' class="crisp"' if crisp else ""
    return text.replace("<svg ", f'<svg role="img" aria-label="{name.replace("_", " ")}"{looks} ', 1)


def keep(
    figure: Figure,
    folder: Path | None,
    name: str,
    caption: str,
    *,
    crisp: bool = False,
    has_words: bool = True,
) -> Drawing:
    """Write the figure's files, of every kind, into `folder` (None: nowhere), and give it for the page as inline
    SVG.
    """
    made = {kind: rendered(figure, kind) for kind in dict.fromkeys((*(KINDS if folder else ()), "svg"))}
    if folder is not None:
        for kind in KINDS:
            files.write_bytes(folder / f"{name}.{kind}", made[kind])
    return Drawing(name, inlined(made["svg"], name, crisp=crisp), caption, float(figure.get_figwidth()), has_words)


def legend_above(figure: Figure, axes: Axes) -> None:
    """What the colours mean, above all panels, where it covers nothing."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper right", ncols=len(names), handlelength=1.2, borderaxespad=0.2)


def diverging() -> LinearSegmentedColormap:
    """Colours from −1 (blue) to 1 (red) that let the page shine through at 0, so that they suit a light page and a
    dark one.
    """
    from matplotlib.colors import LinearSegmentedColormap

    blue, red = (0.13, 0.47, 0.82), (0.80, 0.22, 0.12)
    return LinearSegmentedColormap.from_list(
        "diverging", [(0.0, (*blue, 1.0)), (0.5, (*blue, 0.0)), (0.5, (*red, 0.0)), (1.0, (*red, 1.0))]
    )


def rule_lines(axes: Axes, *, axis: Literal["both", "y"] = "y") -> None:
    """Quiet lines to read values by."""
    axes.grid(True, axis=axis)
    axes.tick_params(length=2.5, width=0.6)
