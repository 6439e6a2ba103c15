"""Diagrams of models and of what they made, for pages that teach: drawn from the live objects, on white paper.

Networks of a model are boxes, its graphical model a plate: sizes and parameters are read off a pass of one example.
Means and variances of the features of samples stand beside those of test data.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vael.counting import counted
from vael.data import Batch
from vael.evaluation import FrechetDistance
from vael.models import CodeVector, LatentModel, Model, needs
from vael.models.vae import context_of
from vael.report.style import CLASSES, INK, QUIET, new_figure, on_paper, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
if TYPE_CHECKING:
    from matplotlib.figure import Figure


NARROW, WIDE = 0.55, 2.3  # inches: heights of the smallest box and of the largest
BOX_WIDTH, ARROW, ROW = 0.95, 0.62, 3.1  # inches: widths of a box and of an arrow, height of a row


class Side(enum.Enum):
    """What a box of a diagram belongs to."""

    DATA = "data"
    ENCODER = "encoder"
    CODE = "code"
    DECODER = "decoder"


@dataclass(frozen=True)
class Box:
    """One box: what stands there, the shape of it for one example, and how many parameters lead to it."""

    name: str
    side: Side
    shape: tuple[int, ...]
    parameters: int = 0

    @property
    def size(self) -> int:
        """How many numbers an example has there."""
        return math.prod(self.shape)


def stages(model: Model, event: Sequence[int]) -> tuple[Box, ...]:
    """From x to the code and back: every layer that an example passes, in order; layers whose outputs have one shape,
    one after another, are one box. Errors: `StateError` for a model without one vector of code an example.
    """
    coded = needs(model, CodeVector, "A diagram from x to a code and back")
    like = next(model.parameters())
    given = context_of(model)
    batch = Batch(
        x=torch.zeros(1, *event, dtype=like.dtype, device=like.device),
        context=like.new_zeros(1, given) if given else None,
    )
    code, to_code = layers(model, lambda: coded.encode(batch))
    _, back = layers(model, lambda: coded.decode(coded.latents(batch), batch.context).mean)
    back = [layer for layer in back if layer[0] not in {module for module, _ in to_code}]
    size = tuple(code.shape[1:])
    found = [Box("x", Side.DATA, tuple(event))]
    if getattr(model, "corruption", None) is not None:
        found.append(Box("x̃, damaged", Side.DATA, tuple(event)))
    inward = merged(to_code, Side.ENCODER)
    if isinstance(model, LatentModel):
        name = "μ, log σ" if inward[-1].size == 2 * math.prod(size) else "q(z | x)"
        found += [*inward[:-1], *renamed(inward[-1:], name)]
        found.append(Box("z ~ q", Side.CODE, size))
        last = "p(x | z)"
    else:
        found += [*inward[:-1], *renamed(inward[-1:], "code")]
        last = "x̂"
    outward = merged(back, Side.DECODER)
    return (*found, *outward[:-1], *renamed(outward[-1:], last))


def renamed(found: Sequence[Box], name: str) -> list[Box]:
    """The same boxes under one name."""
    return [Box(name, Side.CODE if name == "code" else one.side, one.shape, one.parameters) for one in found]


def layers(model: nn.Module, work: Callable[[], Tensor]) -> tuple[Tensor, list[tuple[nn.Module, Tensor]]]:
    """What `work` gives, and each module with parameters of its own that it passed, once, with what left it."""
    passed: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            passed[module] = output

    held = [
        module.register_forward_hook(note)
        for module in model.modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    was = model.training
    try:
        with torch.no_grad():
            made = work()
    finally:
        model.train(was)
        for hook in held:
            hook.remove()
    return made, list(passed.items())


def merged(passed: Sequence[tuple[nn.Module, Tensor]], side: Side) -> list[Box]:
    """Boxes of one side; the parameters of a box are those of the layers between it and the box before."""
    found: list[Box] = []
    for module, output in passed:
        count = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        shape = tuple(output.shape[1:])
        if found and found[-1].shape == shape:
            count += found.pop().parameters
        found.append(Box("hidden", side, shape, count))
    return found


COLOURS = {Side.DATA: QUIET, Side.ENCODER: CLASSES[0], Side.CODE: CLASSES[2], Side.DECODER: CLASSES[3]}


def architecture_figure(models: Mapping[str, Model], event: Sequence[int]) -> Figure:
    """One row a model: boxes whose height grows with the logarithm of their size, with the shape inside and the
    parameters of each arrow under it.
    """
    rows = {name: stages(model, event) for name, model in models.items()}
    longest = max(map(len, rows.values()))
    with styled():
        width = longest * BOX_WIDTH + (longest - 1) * ARROW + 0.3
        figure = on_paper(new_figure(width, ROW * len(rows), layout=None))
        for place, (name, found) in enumerate(rows.items()):
            axes = figure.add_axes((0.0, 1 - (place + 1) / len(rows), 1.0, 1 / len(rows)))
            axes.set_axis_off()
            axes.set(xlim=(-0.15, longest * BOX_WIDTH + (longest - 1) * ARROW + 0.15), ylim=(-1.45, ROW - 1.45))
            parameters = sum(parameter.numel() for parameter in models[name].parameters())
            axes.text(
                -0.05, ROW - 1.55, f"{name}: {counted(parameters, 'parameter')}", va="top", fontsize=10, weight="bold"
            )
            _draw_row(axes, found)
    return figure


def _draw_row(axes: Axes, found: Sequence[Box]) -> None:
    from matplotlib.patches import FancyBboxPatch

    most = max(math.log1p(one.size) for one in found)
    for place, one in enumerate(found):
        left = place * (BOX_WIDTH + ARROW)
        tall = NARROW + (WIDE - NARROW) * math.log1p(one.size) / most * 0.8
        colour = COLOURS[one.side]
        box = FancyBboxPatch(
            (left, -tall / 2),
            BOX_WIDTH,
            tall,
            boxstyle="round,pad=0,rounding_size=0.06",
            fc=f"{colour}2a",
            ec=colour,
            lw=1.2,
        )
        axes.add_patch(box)
        axes.text(left + BOX_WIDTH / 2, 0, " × ".join(map(str, one.shape)), ha="center", va="center", fontsize=8.5)
        axes.text(left + BOX_WIDTH / 2, -tall / 2 - 0.06, one.name, ha="center", va="top", fontsize=8.5, color=INK)
        if place:
            drawn = one.name in ("z ~ q", "x̃, damaged")
            _arrow(axes, (left - ARROW + 0.05, 0.0), (left - 0.05, 0.0), drawn=drawn)
            under = "a draw" if drawn else f"{one.parameters:,}"
            axes.text(left - ARROW / 2, -0.1, under, ha="center", va="top", fontsize=7, color=QUIET)


def _arrow(axes: Axes, tail: tuple[float, float], head: tuple[float, float], *, drawn: bool, bend: float = 0.0) -> None:
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(
        FancyArrowPatch(
            tail,
            head,
            arrowstyle="-|>",
            mutation_scale=11,
            lw=1.3,
            ls="--" if drawn else "-",
            color=INK,
            shrinkA=0,
            shrinkB=0,
            connectionstyle=f"arc3,rad={bend}",
        )
    )


def plate_figure(model: Model, event: Sequence[int], examples: int) -> Figure:
    """The graphical model: z → x solid (parameters θ), the encoder's x ⇢ z dashed (parameters φ), both inside a plate
    of `examples` copies; x is shaded since it is observed. Errors: `StateError` for a model without a latent vector.
    """
    from matplotlib.patches import Circle, FancyBboxPatch

    found = stages(model, event)
    if not isinstance(model, LatentModel):
        needs(model, LatentModel, "A plate with a latent")
    latent = next(one for one in found if one.side is Side.CODE)
    phi, theta = (sum(one.parameters for one in found if one.side is side) for side in (Side.ENCODER, Side.DECODER))
    with styled():
        figure = on_paper(new_figure(5.4, 3.4, layout=None))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set(xlim=(-2.7, 2.7), ylim=(-1.75, 1.65), aspect="equal")
        axes.add_patch(
            FancyBboxPatch((-1.3, -1.5), 2.6, 2.95, boxstyle="round,pad=0,rounding_size=0.1", fc="none", ec=QUIET)
        )
        for letter, height, fill in (("z", 0.85, "none"), ("x", -0.75, f"{QUIET}55")):
            axes.add_patch(Circle((0, height), 0.36, fc=fill, ec=INK, lw=1.3))
            axes.text(0, height, letter, ha="center", va="center", fontsize=14, style="italic")
        axes.text(0.46, 0.85, f"{counted(latent.size, 'number')}", va="center", fontsize=7.5)
        axes.text(0.46, -0.75, f"{counted(math.prod(event), 'number')}", va="center", fontsize=7.5)
        axes.text(1.23, -1.44, f"n = 1 … {examples:,}", ha="right", va="bottom", fontsize=7.5, color=QUIET)
        _arrow(axes, (0.05, 0.49), (0.05, -0.39), drawn=False)
        _arrow(axes, (-0.25, -0.49), (-0.25, 0.59), drawn=True, bend=-0.45)
        sides = ((2.0, "θ", theta, "decoder p(x | z)"), (-2.0, "φ", phi, "encoder q(z | x)"))
        for place, letter, count, words in sides:
            axes.text(place, 0.05, letter, ha="center", va="center", fontsize=14, style="italic")
            axes.text(place, -0.2, f"{words}\n{counted(count, 'parameter')}", ha="center", va="top", fontsize=7.5)
        _arrow(axes, (1.8, 0.05), (0.12, 0.05), drawn=False)
        _arrow(axes, (-1.8, 0.05), (-0.54, 0.05), drawn=True)
    return figure


def moments_figure(distance: FrechetDistance, samples: str, *, test: str = "test examples") -> Figure:
    """Above, the mean and the variance of each feature in both sets; below, samples minus test. `samples` and `test`
    say what the sets are.
    """
    order = torch.arange(len(distance.test.mean))
    with styled():
        figure = on_paper(new_figure(9.0, 4.6))
        places = figure.subplots(2, 2, sharex=True)
        for column, what in enumerate(("mean", "variance")):
            ours, theirs = getattr(distance.sampled, what), getattr(distance.test, what)
            above, below = places[0, column], places[1, column]
            above.plot(order, theirs, ".", ms=4, color=CLASSES[0], label=test)
            above.plot(order, ours, ".", ms=4, color=CLASSES[1], label=samples)
            above.set(title=f"{what} of each feature")
            below.axhline(0, color="grey", lw=0.7)
            below.plot(order, ours - theirs, ".", ms=4, color=CLASSES[2])
            below.set(title=f"{samples} minus {test}", xlabel=f"feature ({distance.features})")
        places[0, 0].legend()
    return figure
