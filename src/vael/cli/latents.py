"""The part of `vael sample` that draws latents in another way than from the prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vael.cli.parser import Parser, number

if TYPE_CHECKING:
    from torch import Tensor

    from vael.specs import Run

LATENT_OPTIONS = ("class", "temperature")


def latent_options(parser: Parser) -> None:
    """What `vael sample` takes for drawing latents in another way than from the prior."""
    parser.heading("where z comes from")
    parser.option(
        "--class", metavar="NAME", help="a Gaussian fitted to the codes of the training examples of a class, by its name or number; needs labels"
    )
    parser.option(
        "--temperature", metavar="T", type=number(float, 0),
        help="multiply the distance of z from its mean by T: below 1 more usual and less varied; the examples are then no draws from p(x)",
    )  # fmt: skip


def wants_latents(options: Mapping[str, object]) -> bool:
    """Whether z is to be drawn in such a way."""
    return any(name in options for name in LATENT_OPTIONS)


def latent_samples(run: Run, count: int, options: Mapping[str, object]) -> Tensor:
    """Examples from such latents. Errors: `StateError` for data without labels or without the class."""
    from vael.applications import latents, traversal

    seed, temperature = int(str(options.get("seed", 0))), float(str(options.get("temperature", 1.0)))
    if "class" in options:
        chosen = latents.of_class(run.splits().train, str(options["class"]))
        z = latents.aggregate_gaussian(run.model, chosen).sample(count, temperature=temperature, seed=seed)
    else:
        z = latents.prior_latents(run.model, count, temperature=temperature, seed=seed)
    return traversal.decoded(run.model, z) if options.get("mean") else latents.drawn(run.model, z, seed + 1)
