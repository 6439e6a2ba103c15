"""The part of `vael sample` that draws latents in another way than from the prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vael.cli.parser import Parser, number
from vael.errors import SupportError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from vael.specs import Run

LATENT_OPTIONS = ("class", "temperature")
FILMS = (".gif", ".html")
FILMED = 25  # samples in a film unless told
STATIONS, STEPS = 4, 10  # draws of z that each of them passes, and frames from one to the next


def latent_options(parser: Parser) -> None:
    """What `vael sample` takes for drawing latents in another way than from the prior."""
    parser.heading("where z comes from")
    parser.option(
        "--class",
        metavar="NAME",
        help="a Gaussian fitted to the codes of the training examples of a class, by its name or number; needs labels",
    )
    parser.option(
        "--temperature",
        metavar="T",
        type=number(float, 0),
        help="multiply the distance of z from its mean by T: below 1 more usual and less varied; the examples are then "
        "no draws from p(x)",
    )


def wants_latents(options: Mapping[str, object]) -> bool:
    """Whether z is to be drawn in such a way."""
    return any(name in options for name in LATENT_OPTIONS)


def drawn_latents(run: Run, count: int, seed: int, options: Mapping[str, object]) -> Tensor:
    """Latents of a class or from the prior, at a temperature.

    Errors: `StateError` for data without labels or without the class.
    """
    from vael.applications import latents

    temperature = float(str(options.get("temperature", 1.0)))
    if "class" in options:
        chosen = latents.of_class(run.splits().train, str(options["class"]))
        return latents.aggregate_gaussian(run.model, chosen).sample(count, temperature=temperature, seed=seed)
    return latents.prior_latents(run.model, count, temperature=temperature, seed=seed)


def latent_samples(run: Run, count: int, options: Mapping[str, object]) -> Tensor:
    """Examples from such latents. Errors: as `drawn_latents`."""
    from vael.applications import latents, traversal

    seed = int(str(options.get("seed", 0)))
    z = drawn_latents(run, count, seed, options)
    return traversal.decoded(run.model, z) if options.get("mean") else latents.drawn(run.model, z, seed + 1)


def film(run: Run, target: Path, count: int, options: Mapping[str, object]) -> Path:
    """A film of a grid of samples, each on its way between draws of z and back to the first: means of p(x | z), as
    draws of x would flicker.

    Errors: `SupportError` for examples that are no images; as `drawn_latents`.
    """
    from vael.applications import traversal
    from vael.report import display_of, grid_image, on_white

    if len(run.spec.data.event) != 3:
        raise SupportError(
            f"{target}: examples of shape {run.spec.data.event} are no images, so there is no film; write .npy, .csv "
            "or .parquet"
        )
    z = drawn_latents(run, STATIONS * count, int(str(options.get("seed", 0))), options).unflatten(0, (STATIONS, count))
    path = traversal.round_trip(z, STEPS)
    shown = display_of(run.splits().train)
    images = [on_white(grid_image(x, shown)) for x in traversal.decoded(run.model, path.flatten(0, 1)).split(count)]
    if target.suffix.lower() == ".gif":
        return traversal.write_gif(target, images)
    return traversal.write_html(target, images, f"Samples of {run.spec.data.name}")
