"""What the pages of the gallery share: how figures look, images side by side, and which digits there are on this
machine.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from vael.data import Binarize, Splits, load
from vael.errors import VaelError
from vael.explorer.graphs import KeptWeights, page_graph
from vael.models import VAE
from vael.report.grid import Display, grid_image
from vael.report.style import CLASSES, SETTINGS, TRAIN, VALIDATION

__all__ = [
    "CLASSES", "TRAIN", "VALIDATION", "derivation", "images", "live", "live_attributes", "live_decoder", "mnist",
    "picture", "style",
]  # fmt: skip
LARGE = 100_000  # weights of a decoder from which on they are rounded to 16 bits on a page


def style() -> None:
    """Figures as the house draws them, on white."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    plt.rcParams.update(
        {
            **SETTINGS,
            "text.parse_math": True,  # labels here are ours: $z_1$ is a formula
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.dpi": 130,
            "figure.constrained_layout.use": True,
        }
    )
    plt.rcParams["axes.prop_cycle"] = plt.cycler(color=CLASSES)


def images(x: Tensor, *, columns: int | None = None, low: float = 0.0, high: float = 1.0) -> Image.Image:
    """Images `[count, channels, height, width]` (or `[count, height, width]`) as one picture; black is `low`, white
    is `high`.
    """
    sheet = grid_image(x if x.dim() == 4 else x[:, None], Display(low, high), columns=columns)
    white = Image.new("RGBA", sheet.size, "white")
    return Image.alpha_composite(white, sheet).convert("RGB")


def picture(figure: Figure) -> Image.Image:
    """A figure that pyplot does not know of, as a picture that every notebook shows."""
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=130)
    return Image.open(written)


def mnist(binarize: Binarize | None = None) -> Splits:
    """MNIST where it can be found (`VAEL_DATA` names a folder that has it, or it was fetched before), else the
    digits of the install.
    """
    try:
        return load("mnist", binarize=binarize)
    except (VaelError, OSError):
        print("MNIST is not at hand, so this page was built with the 1,797 digits of 8 × 8 that come with the install")
        return load("digits", binarize=binarize)


@dataclass(frozen=True)
class Table:
    """A table in Markdown, which a notebook sets as one."""

    data: str

    def _repr_markdown_(self) -> str:
        return self.data


def derivation(steps: Sequence[tuple[str, str, float | Tensor]], unit: str = "nats") -> Table:
    """Lines of a derivation as a table: number, formula (TeX), why it may be written, and its checked value."""
    lines = [f"| | formula | reason | {unit} |", "|---|:--|:--|--:|"]
    for number, (formula, reason, value) in enumerate(steps, 1):
        equals = "= " if number > 1 else ""
        cells = f"$\\displaystyle {equals}{formula}$ | {reason}"
        for bar, word in (("\\|", "\\Vert "), ("(z|x)", "(z \\mid x)"), ("(x|z)", "(x \\mid z)")):
            cells = cells.replace(bar, word)  # a bar would begin another column
        lines.append(f"| {number} | {cells} | {float(value):.4f} |")
    return Table("\n".join(lines))


@dataclass(frozen=True)
class Live:
    """What docs/live makes a part of the page that can be moved: its kind, what it is given, and `told`, numbers of
    the cell that it must find again. Elsewhere, as in a notebook, the numbers are a table.
    """

    kind: str
    given: Mapping[str, Any] = field(repr=False)  # weights and points, too long to be read
    told: Mapping[str, float]

    def _repr_html_(self) -> str:
        facts = {"kind": self.kind, "given": self.given, "told": self.told}
        rows = "".join(f"<tr><td>{name}</td><td>{value:.6f}</td></tr>" for name, value in self.told.items())
        words = "<p>Sliders are here where this page is built (make docs) and scripts may run.</p>"
        kept = html.escape(json.dumps(facts, separators=(",", ":"), allow_nan=False))
        return f'<div class="live" data-live="{kept}"><table>{rows}</table>{words}</div>'


def live(kind: str, told: Mapping[str, float | Tensor] | None = None, **given: Any) -> Live:
    """A part of the page that can be moved; tensors become lists."""
    return Live(kind, plain(given), {name: float(value) for name, value in (told or {}).items()})


def plain(value: Any) -> Any:
    """What JSON has in place of tensors, at whatever depth."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.detach().tolist() if isinstance(value, Tensor) else value


def decoder_facts(model: VAE, z: Tensor) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A decoder of pictures of one channel for the page to run, and what it gives at `z` `[1, latents]`."""
    half = sum(one.numel() for one in model.likelihood.parameters()) > LARGE
    weights = KeptWeights(half)
    graph = page_graph(model, lambda one, z: one.decode((z[None],)).mean[0].flatten(1), (z,), "decoding a picture")
    height, width = model.decode((z[None],)).mean.shape[-2:]
    log_prior = model.prior(None).log_prob(z.double())[0]  # as the page computes it
    told = {"log p(z)": log_prior, "mean of the pixels": graph(z, half=half).double().mean()}
    facts = {"graph": graph.told(weights), "about": weights.about, "height": height, "width": width}
    return facts | {"z": z[0], "weights": base64.b64encode(weights.content).decode()}, told


def live_decoder(model: VAE, codes: Tensor, labels: Sequence[int], z: Sequence[float] = (0.0, 0.0)) -> Live:
    """The decoder of a model with two latents, over codes `[examples, 2]` with labels."""
    facts, told = decoder_facts(model, torch.tensor([z], dtype=codes.dtype))
    places = [[round(one, 3) for one in row] for row in codes.tolist()]
    reach = round(float(codes.abs().max()) + 0.5, 1)
    return live("decoder", told, **facts, reach=reach, codes=places, labels=list(labels))


def live_attributes(model: VAE, z: Tensor, directions: Mapping[str, Tensor]) -> Live:
    """The decoder at a code `[latents]` that is moved along directions `[latents]`, each by its name."""
    facts, told = decoder_facts(model, z[None])
    named = [{"name": name, "direction": one} for name, one in directions.items()]
    return live("attributes", told | {"length of z": z.double().norm()}, **facts, directions=named)
