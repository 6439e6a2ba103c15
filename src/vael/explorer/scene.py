"""What the page asks of a run: codes of examples, what is decoded at a point, and what follows from given columns.

The page is drawn in the browser; everything here is numbers about the model, so that it can be called and tested
without one.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from vael import domains
from vael.applications import generation
from vael.applications.conditional import conditional_samples
from vael.applications.generation import levels_of_seeds
from vael.counting import counted
from vael.data import Batch, Source, Splits
from vael.errors import ShapeError, StateError, SupportError
from vael.explorer.looks import Looks, NumberLooks, PictureLooks, RowLooks
from vael.explorer.strangeness import Strangeness
from vael.inference import posterior_on_grid, weighed
from vael.models import CellWise, Codes, Decodes, LatentModel, LatentVector, Samples, Whitens, has, needs
from vael.models.vae import context_of
from vael.probability import PerExample, draw
from vael.report.gather import looking, principal, single_latents
from vael.report.grid import display_of
from vael.specs import Run
from vael.tables.reading import RowError, exact, read_table

MOST = 100_000  # examples on the map
SENT = 64  # coordinates of every example that the page gets, the most informative ones
AT_ONCE = 512  # points that one request may decode, and examples that it may ask for
DRAWS = 400  # rows that a question about given columns is answered by
SIDE = 61  # places of a posterior on each axis
REACH = 3.0  # standard deviations of the prior that a slider goes to either side


@dataclass(frozen=True)
class Mapped:
    """Codes of the examples of a split, the most informative coordinate first."""

    codes: Float[Tensor, "examples features"]
    order: tuple[int, ...]  # places of the coordinates in a code, from the most informative one on
    divergence: tuple[float, ...] | None  # mean nats of each, in their own order; None where there is none
    plane: Float[Tensor, "examples 2"]  # first two principal components
    axes: Float[Tensor, "features 2"]  # what a step along each of these is in a code
    shares: tuple[float, float]  # of the variance


class Scene:
    """A finished run and one of its splits. Errors: `StateError` for a model that decodes nothing."""

    def __init__(self, run: Run, name: str, splits: Splits, source: Source) -> None:
        self.run, self.name, self.splits = run, name, splits
        self.source = source.fewer(MOST)
        self.model: Decodes = needs(run.model, Decodes, "a page to explore it")
        self.lock = threading.RLock()  # requests come from several threads, and a model is used by one at a time

    @cached_property
    def looks(self) -> Looks:
        """How its examples are shown."""
        data = self.run.spec.data
        domain = domains.of(data)
        columns = domain.columns(data)
        if domain.pictured:
            return PictureLooks(tuple(data.event), display_of(self.splits.train))
        return NumberLooks() if columns is None else RowLooks(columns)

    @cached_property
    def first(self) -> tuple[Tensor, ...]:
        """Latents of the first example, level by level: their shapes and types are those of every point."""
        index = torch.arange(1)
        with self.lock, looking(self.model):
            return tuple(self.model.latents(self.source.batch(index, PerExample(0, index))))

    @cached_property
    def shapes(self) -> tuple[torch.Size, ...]:
        """Shape of each level of the latents of one example."""
        return tuple(level.shape[2:] for level in self.first)

    @property
    def moves(self) -> bool:
        """Whether its latents are real numbers, so that one can be moved along."""
        if has(self.model, Codes):
            return False
        if not isinstance(self.model, LatentVector):
            return True
        support = self.model.prior(self._context(1)).support
        return support is not None and not support.is_discrete

    @property
    def pictured(self) -> bool:
        """Whether examples are shown as pictures."""
        return isinstance(self.looks, PictureLooks)

    @property
    def rows_of_columns(self) -> bool:
        """Whether examples are shown as rows of columns."""
        return isinstance(self.looks, RowLooks)

    @property
    def asks(self) -> bool:
        """Whether p(rest | given) can be asked for."""
        model = self.model
        able = self.rows_of_columns and has(model, CellWise) and has(model, LatentVector)
        return able and not context_of(model)

    @property
    def steps(self) -> int:
        """How many rows one example is shown as; 1 where it is no series."""
        return int(np.prod(self.source.event[:-1], dtype=int)) if isinstance(self.looks, RowLooks) else 1

    def facts(self) -> dict[str, Any]:
        """What the page has to know at first."""
        data, model = self.run.spec.data, self.model
        labels = self.source.label
        return {
            "title": self.run.folder.name if self.run.folder else data.name,
            "data": f"{data.name}, {self.name} split: {counted(len(self.source), 'example')}",
            "example": domains.of(data).told(data),
            "model": self.run.spec.recipe,
            "latents": has(model, LatentModel),
            "moves": self.moves,
            "samples": has(model, Samples),
            "condition": ", ".join(self.source.conditions),
            "asks": self.asks,
            "draws": model.states_likelihood,
            "reasons": self.strangeness.explains,
            "levelled": self.levelled,
            "exact": self.exact,
            "judges": True,
            "alone": False,  # whether the page has no server
            "draws_by_hand": self.pictured and not context_of(model),
            "looks": self.looks.facts(),
            "colours": list(self.looks.schema.names) if self.steps == 1 and isinstance(self.looks, RowLooks) else [],
            "classes": None if labels is None else class_names(self.source),
            "folder": str(self.run.folder or ""),
            "levels": [int(shape.numel()) for shape in self.shapes],
            "reach": REACH,
        }

    @cached_property
    def mapped(self) -> Mapped:
        """Codes of all examples, in bounded memory."""
        means, divergences = [], []
        with self.lock, looking(self.model):
            for batch in generation.batches(self.source):
                mean, divergence = single_latents(self.model, batch)
                means.append(mean.flatten(1).float())
                divergences.append(divergence)
        codes = torch.cat(means)
        known = [one for one in divergences if one is not None]
        nats = torch.cat(known).mean(0) if len(known) == len(divergences) else None
        measure = codes.var(0, correction=0) if nats is None else nats
        order = torch.argsort(measure, descending=True, stable=True)
        plane, shares = principal(codes) if codes.shape[1] > 1 else (torch.cat([codes, codes * 0], 1), (1.0, 0.0))
        # the components are uncorrelated, so that each direction is that of its own slopes
        slopes = (codes - codes.mean(0)).double().T @ plane.double()
        axes = (slopes / plane.double().square().sum(0).clamp(min=1e-30)).float()
        return Mapped(codes, tuple(order.tolist()), None if nats is None else tuple(nats.tolist()), plane, axes, shares)

    def map_facts(self) -> dict[str, Any]:
        """What goes with the coordinates that `coordinates` gives."""
        found = self.mapped
        return {
            "examples": len(found.codes),
            "features": found.codes.shape[1],
            "order": found.order[:SENT],
            "divergence": None
            if found.divergence is None
            else [found.divergence[place] for place in found.order[:SENT]],
            "axes": found.axes.tolist(),
            "inverse": found.axes.T.tolist(),
            "shares": found.shares,
            "mean": found.codes.mean(0).tolist(),
        }

    def coordinates(self) -> bytes:
        """Of every example float32, little-endian: its place in the plane (2), then its most informative coordinates
        (up to `SENT`), then its class (-1 where it has none).
        """
        found = self.mapped
        label = self.source.label
        classes = torch.full((len(found.codes), 1), -1.0) if label is None else label[:, None].float()
        parts = [found.plane, found.codes[:, list(found.order[:SENT])], classes]
        return np.ascontiguousarray(torch.cat(parts, 1).numpy(), "<f4").tobytes()

    def code(self, example: int) -> list[float]:
        """What an example is decoded from: its whole code, of discrete codes their numbers."""
        self._known([example])
        if not has(self.model, Codes):
            return self.mapped.codes[example].tolist()
        index = torch.tensor([example])
        with self.lock, looking(self.model):
            levels = self.model.latents(self.source.batch(index, PerExample(0, index)))
        return torch.cat([level[0].flatten(1) for level in levels], 1)[0].float().tolist()

    def examples(self, chosen: Sequence[int]) -> dict[str, Any]:
        """Some examples as they are, with their names and classes."""
        self._known(chosen)
        index = torch.tensor(list(chosen), dtype=torch.int64)
        found = self.looks.drawn(self.source.batch(index, PerExample(0, index)).x)
        return {**found, "labels": self.source.label_texts(index), "examples": list(chosen)}

    def decoded(self, z: Sequence[Sequence[float]], example: int = 0) -> dict[str, Any]:
        """The mean of p(x | z), or the reconstruction, at some points; of a conditional model at the condition of an
        example.
        """
        self._known([example])
        points = self._points(z)
        with self.lock, looking(self.model):
            law = self.model.decode(self._levels(points), self._context(len(points), example))
            return self.looks.drawn(law.mean[0])

    def drawn_at(self, z: Sequence[float], count: int, seed: int, example: int = 0) -> dict[str, Any]:
        """Draws from p(x | z) at one point and the condition of an example, as `decoded`.

        Errors: `SupportError` for a model that states no likelihood.
        """
        self._known([example])
        points = self._points([z]).expand(self._count(count), -1)
        if not self.model.states_likelihood:
            raise SupportError("this model has no p(x | z) to draw from; look at what it decodes")
        with self.lock, looking(self.model):
            noise = torch.Generator().manual_seed(seed)
            law = self.model.decode(self._levels(points), self._context(len(points), example))
            return self.looks.drawn(draw(law, 1, noise)[0, 0])

    def reconstructed(self, chosen: Sequence[int]) -> dict[str, Any]:
        """What the model makes of some examples."""
        self._known(chosen)
        with self.lock, looking(self.model):
            index = torch.tensor(list(chosen))
            return self.looks.drawn(self.model.reconstruct(self.source.batch(index, PerExample(0, index))))

    def samples(self, count: int, seed: int) -> dict[str, Any]:
        """New examples; of a conditional model at the conditions of examples in their order.

        Errors: `StateError` for a model that does not draw.
        """
        model, given = needs(self.model, Samples, "drawing new examples"), self.source.context
        context = None if given is None else given[torch.arange(self._count(count)) % len(given)]
        with self.lock, looking(self.model):
            return self.looks.drawn(generation.samples(model, self._count(count), seed=seed, context=context))

    def levels(self, seeds: Sequence[int], temperatures: Sequence[float]) -> dict[str, Any]:
        """One draw of all levels of latents and the mean of p(x | z) there: each level by a seed and at a temperature
        of its own, the top level first.

        Errors: as `levels_of_seeds`; `SupportError` for a model of one level.
        """
        if not self.levelled:
            raise SupportError("this model has no levels of latents that are drawn one after another")
        with self.lock, looking(self.model):
            found = levels_of_seeds(self.model, seeds, temperatures)
            law = self.model.decode(found, None)
            z = torch.cat([level[0].flatten(1) for level in found], 1)[0]
            return {"z": z.tolist(), **self.looks.drawn(law.mean[0])}

    @property
    def levelled(self) -> bool:
        """Whether it has several levels of Gaussian latents, each given those above it."""
        alone = len(self.shapes) > 1 and self.steps == 1 and not context_of(self.model)
        return alone and has(self.model, LatentModel) and not has(self.model, Codes)

    def read(self, grey: Sequence[float]) -> dict[str, Any]:
        """The code of a picture drawn by hand, how sure it is, and what comes back of it.

        Errors: `SupportError` where examples are no pictures; `ShapeError` for another number of pixels.
        """
        looks = self.looks
        if not isinstance(looks, PictureLooks):
            raise SupportError("examples of this run are no pictures, so none can be drawn by hand")
        batch = Batch(x=looks.cells(self._pixels(grey)))
        with self.lock, looking(self.model):
            code = self.model.encode(batch)
            found = {"code": code[0].tolist(), **self.looks.drawn(self.model.reconstruct(batch))}
            if has(self.model, LatentVector) or has(self.model, Whitens):
                found["spread"] = spread_of(needs(self.model, LatentModel, "how sure a code is"), batch)[0].tolist()
        return found

    @property
    def exact(self) -> bool:
        """Whether a picture drawn by hand has a posterior that can be laid out on a map: two latents, p(x, z) known."""
        able = self.pictured and has(self.model, LatentVector) and self.moves and not context_of(self.model)
        return able and self.shapes == (torch.Size([2]),)

    def posterior(self, grey: Sequence[float]) -> dict[str, Any]:
        """p(z | x) and q(z | x) of a picture drawn by hand, on a grid of `SIDE` times `SIDE` places `REACH` + 1 to
        either side: rows from the lowest z2 on, each as a share of its highest value; and KL(q || p(z | x)) in nats.

        The picture is rounded to values that the data can have: p(x | z) is of these alone.
        Errors: as `read`; `SupportError` for another number of latents than two.
        """
        looks, model = self.looks, self.model
        if not (self.exact and isinstance(looks, PictureLooks) and isinstance(model, LatentVector)):
            raise SupportError("the exact posterior is laid out for pictures of models with two latents")
        x = looks.cells(self._pixels(grey))
        batch = Batch(x=x.round() if self.source.highest is not None else x)
        ends = torch.linspace(-REACH - 1, REACH + 1, SIDE)
        z = torch.stack([ends.repeat(SIDE), ends.repeat_interleave(SIDE)], 1)
        with self.lock, looking(model):
            q = model.infer(batch)
            log_joint = weighed(model, batch, (z[:, None],), q).log_weight[:, 0] + q.log_prob(z)
            found = posterior_on_grid(model, batch, tolerance=1e-3)[0]
        shares = [(one - one.max()).exp().tolist() for one in (log_joint, q.log_prob(z))]
        return {
            "side": SIDE,
            "reach": REACH + 1,
            "exact": shares[0],
            "encoder": shares[1],
            "divergence": found.divergence if found.converged else None,
        }

    def _pixels(self, grey: Sequence[float]) -> np.ndarray:
        """Pixels of a picture drawn by hand, from 0 to 1. Errors: `ShapeError` for another number of them."""
        looks, pixels = self.looks, np.asarray(grey, np.float64)
        sizes = looks.event[1:] if isinstance(looks, PictureLooks) else (0, 0)
        if len(pixels) != sizes[0] * sizes[1] or not np.isfinite(pixels).all():
            raise ShapeError(f"{len(pixels)} pixels were drawn, but a picture has {sizes[0]} × {sizes[1]}")
        return pixels.clip(0, 1).astype(np.float32)

    def given(self, values: Mapping[str, str], seed: int = 0) -> dict[str, Any]:
        """RowLooks from p(rest | given), beside rows from p(x): 400 of each, as columns of numbers.

        Errors: `StateError` for a column that there is not, or a value that it cannot have.
        """
        looks = self.looks
        if not isinstance(looks, RowLooks):
            raise SupportError("only rows of columns can be given in part")
        row = given_row(looks, values) if values else None
        with self.lock:
            before = columns_of(generation.samples(self.model, DRAWS, seed=seed))
            if row is None:
                return {"columns": before, "before": before, "worth": None}
            found = conditional_samples(self.model, row, DRAWS, seed)
        return {"columns": columns_of(found.x), "before": before, "worth": found.effective_samples}

    def column(self, name: str) -> dict[str, Any]:
        """One column of all examples, as numbers: for rows that are one step each.

        Errors: `StateError` for a column that there is not.
        """
        names = self.looks.schema.names if isinstance(self.looks, RowLooks) else ()
        if name not in names or self.steps != 1:
            raise StateError(f"examples of this run have no column {name!r}; there are {', '.join(names) or 'none'}")
        place = names.index(name)
        cells = torch.cat([batch.x[:, place].double() for batch in generation.batches(self.source)])
        return {"values": columns_of(cells[:, None])[0]}

    @cached_property
    def strangeness(self) -> Strangeness:
        """How strange its examples are, and why."""
        return Strangeness(self.run.model, self.splits, self.source, self.looks, self.lock)

    def reasons(self, chosen: Sequence[int]) -> dict[str, Any]:
        """As `Strangeness.reasons`."""
        self._known(chosen)
        return self.strangeness.reasons(chosen)

    def _levels(self, points: Float[Tensor, "points features"]) -> tuple[Tensor, ...]:
        parts = points.split([shape.numel() for shape in self.shapes], 1)
        return tuple(
            part.unflatten(1, level.shape[2:])[None].to(level.dtype)
            for part, level in zip(parts, self.first, strict=True)
        )

    def _context(self, count: int, example: int = 0) -> Tensor | None:
        """The condition of an example, for all that is decoded."""
        given = self.source.context
        return None if given is None else given[example : example + 1].expand(count, -1)

    def _points(self, z: Sequence[Sequence[float]]) -> Float[Tensor, "points features"]:
        features = sum(shape.numel() for shape in self.shapes)
        if not 0 < len(z) <= AT_ONCE or any(len(one) != features for one in z):
            raise ShapeError(
                f"{counted(len(z), 'point')} came; give 1 to {AT_ONCE}, each of {counted(features, 'number')}"
            )
        points = torch.tensor(z, dtype=torch.float32)
        if not torch.isfinite(points).all():
            raise SupportError("a point has a number that is not finite; give finite numbers")
        sizes = self.model.sizes if isinstance(self.model, Codes) else ()
        if sizes and not (points.ge(0) & points.lt(min(sizes))).all():
            raise SupportError(f"a code has a number outside of 0 to {min(sizes) - 1}; give numbers of codes")
        return points

    def _known(self, chosen: Sequence[int]) -> None:
        if not 0 < len(chosen) <= AT_ONCE or min(chosen) < 0 or max(chosen) >= len(self.source):
            raise ShapeError(
                f"{counted(len(chosen), 'example')} were asked for; ask for 1 to {AT_ONCE} of the "
                f"{len(self.source):,} that there are, counted from 0"
            )

    def _count(self, count: int) -> int:
        if not 0 < count <= AT_ONCE:
            raise ShapeError(f"{count} draws were asked for; ask for 1 to {AT_ONCE}")
        return count


def spread_of(model: LatentModel, batch: Batch) -> Float[Tensor, "batch features"]:
    """How far a code may be off: deviations of q(z | x), those of each level at the means of the levels above."""
    means, found, posterior_at = model.latents(batch), [], model.posterior_given(batch)
    for level in range(len(means)):
        deviation = posterior_at(means[:level]).stddev
        found.append(deviation[0] if level else deviation)
    return torch.cat(found, -1)


def scene_of(run: Run, split: str | None = None) -> Scene:
    """The page's view of a run. Errors: as `Run.split` and `Scene`."""
    splits = run.splits()
    name = split or ("test" if splits.test else "validation")
    source: Source | None = getattr(splits, name, None)
    if source is None:
        raise StateError(f"{run.spec.data.name} has no {name} split; choose train or validation")
    return Scene(run, name, splits, source)


def class_names(source: Source) -> list[str]:
    """What each class is called, by its number."""
    most = 0 if source.label is None else int(source.label.max()) + 1
    return [source.label_names[one] if one < len(source.label_names) else str(one) for one in range(most)]


def given_row(looks: RowLooks, values: Mapping[str, str]) -> Float[Tensor, " columns"]:
    """A row with these cells, read as the table has them, and gaps elsewhere.

    Errors: `StateError` for a column that there is not, or a value that it cannot have.
    """
    names = looks.schema.names
    for name in values:
        if name not in names:
            raise StateError(f"there is no column {name!r}; there are {', '.join(names)}")
    cells = pa.table({name: pa.array([values.get(name)], pa.string()) for name in names})
    try:
        row = exact(read_table(cells, looks.schema))[0].float()
    except RowError as error:
        raise StateError(f"{error.row.reason}; give a value as the table has it") from error
    for name, value in values.items():
        if bool(torch.isnan(row[names.index(name)])):
            raise StateError(f"{value!r} stands for a missing value of {name!r}; leave the column out to have it drawn")
    return row


def columns_of(x: Float[Tensor, "rows columns"]) -> list[list[float | None]]:
    """Cells column by column; None where there is none."""
    return [[None if np.isnan(cell) else cell for cell in column] for column in x.double().T.tolist()]
