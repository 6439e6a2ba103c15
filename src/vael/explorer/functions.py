"""What a page without Python computes of a model, each as a graph: decode, encode, draw, weigh."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vael.data import Batch
from vael.errors import StateError
from vael.explorer.graphs import KeptWeights, PageGraph, page_graph
from vael.explorer.scene import SIDE, Scene
from vael.models import CellWise, Codes, Decodes, LatentModel, LatentVector, has, needs, prior_levels
from vael.models.core import Levels
from vael.models.vae import context_of
from vael.probability import Noise, Recorded, Replayed, Stream, draw, draw_wide, total_log_prob

ROWS_AT_ONCE = 64  # of a table or a series, that pass through a graph together


@dataclass(frozen=True)
class DrawingGraph:
    """A graph that takes noise, last of its inputs: a kind of standard variate for each, normal or uniform."""

    graph: PageGraph
    noise: tuple[str, ...]


@dataclass(frozen=True)
class Functions:
    """What of a model runs on a page; None for what it has not, or what takes Python.

    All take their rows `[batch, ...]`; of a conditional model the condition `[batch, features]` comes after them.
    """

    batch: int
    decode: PageGraph  # z -> the mean of p(x | z)
    encode: PageGraph | None  # x -> z
    draw: DrawingGraph | None  # z, noise -> a draw of p(x | z)
    prior: DrawingGraph | None  # noise -> z
    weigh: PageGraph | None  # z, x -> log p(cell | z) of each cell of rows, 0 where x is not finite
    log_prior: PageGraph | None  # z -> log p(z)
    joint: PageGraph | None  # z, x of a picture and two latents -> log p(x, z), log q(z | x); a row of a map at once

    def told(self, weights: KeptWeights) -> dict[str, Any]:
        """In a form that JSON has."""
        found: dict[str, Any] = {"batch": self.batch}
        for name in ("decode", "encode", "weigh", "log_prior", "joint"):
            graph: PageGraph | None = getattr(self, name)
            found[name] = None if graph is None else graph.told(weights)
        for name in ("draw", "prior"):
            one: DrawingGraph | None = getattr(self, name)
            found[name] = None if one is None else {**one.graph.told(weights), "noise": list(one.noise)}
        return found


class Tracing:
    """The functions of the model of a scene. Errors: as `page_graph` for a decoder that the page cannot run."""

    def __init__(self, scene: Scene) -> None:
        self.scene, model = scene, copy.deepcopy(scene.run.model).cpu().float().eval()
        self.model: Decodes = needs(model, Decodes, "a page to explore it")
        self.event, self.shapes = scene.run.spec.data.event, scene.shapes
        self.types = tuple(level.dtype for level in scene.first)
        self.batch = 1 if scene.pictured else ROWS_AT_ONCE
        self.features, self.context = sum(shape.numel() for shape in self.shapes), context_of(self.model)

    @property
    def by_hand(self) -> bool:
        """Whether a picture can be drawn by hand; whatever else is encoded comes with its code."""
        return self.scene.pictured and not self.context

    def functions(self) -> Functions:
        """All of them."""
        latent = has(self.model, LatentModel)
        draws = self._optional(self.draw) if self.model.states_likelihood else None
        return Functions(
            self.batch,
            self.decode(),
            self._optional(self.encode) if self.by_hand else None,
            draws,
            self._optional(self.prior) if latent and draws else None,
            self._optional(self.weigh) if self.scene.asks and draws else None,
            self._optional(self.log_prior) if self.scene.asks and draws else None,
            self._optional(self.joint) if self.scene.exact else None,
        )

    def _optional(self, trace: Callable[[], Any]) -> Any:
        """What the page can do without."""
        try:
            return trace()
        except StateError:
            return None

    def law(self, model: nn.Module, z: Tensor, c: Tensor | None) -> Distribution:
        """p(x | z) for flat latents of all levels, side by side."""
        parts = z.split([shape.numel() for shape in self.shapes], 1)
        levels: Levels = tuple(
            part.unflatten(1, shape)[None].to(kind)
            for part, shape, kind in zip(parts, self.shapes, self.types, strict=True)
        )
        return needs(model, Decodes, "decoding").decode(levels, c)

    def latents(self) -> tuple[Tensor, ...]:
        """Some z, and the condition where there is one, to trace with."""
        z = torch.zeros(self.batch, self.features)
        return (z, *self.conditions())

    def conditions(self) -> tuple[Tensor, ...]:
        """Some condition, where there is one."""
        return (torch.zeros(self.batch, self.context),) if self.context else ()

    def decode(self) -> PageGraph:
        """Z to the mean of p(x | z), or the reconstruction."""
        what = "decoding an example"
        return page_graph(
            self.model,
            lambda model, z, c=None: self.law(model, z, c).mean[0].reshape(self.batch, -1),
            self.latents(),
            what,
        )

    def encode(self) -> PageGraph:
        """X to the mean of q(z | x), or the code."""

        def encoded(model: nn.Module, x: Tensor, c: Tensor | None = None) -> Tensor:
            encoder, batch = needs(model, Decodes, "encoding"), Batch(x=x, context=c)
            levels = encoder.latents(batch) if has(model, Codes) else (encoder.encode(batch)[None],)
            return torch.cat([level[0].flatten(1).float() for level in levels], 1)

        x = torch.zeros(self.batch, *self.event)
        return page_graph(self.model, encoded, (x, *self.conditions()), "encoding an example")

    def _drawing(self, draws: Callable[..., Tensor], inputs: tuple[Tensor, ...], what: str) -> DrawingGraph:
        """`draws(model, noise, *inputs)` with its noise among the inputs."""
        recorded = Recorded(Stream(torch.Generator().manual_seed(0)))
        with torch.no_grad():
            draws(self.model, recorded, *inputs)
        many = len(inputs)
        graph = page_graph(
            self.model,
            lambda model, *given: draws(model, Replayed(given[many:]), *given[:many]),
            (*inputs, *recorded.variates),
            what,
        )
        return DrawingGraph(graph, tuple(kind for kind, _ in recorded.requests))

    def draw(self) -> DrawingGraph:
        """Z and noise to a draw of p(x | z), rows of a table in float64."""

        def drawn(model: nn.Module, noise: Noise, z: Tensor, c: Tensor | None = None) -> Tensor:
            law = self.law(model, z, c)
            found = (draw_wide if self.scene.rows_of_columns and len(law.batch_shape) == 3 else draw)(law, 1, noise)
            return found[0, 0].reshape(self.batch, -1)

        return self._drawing(drawn, self.latents(), "drawing an example")

    def prior(self) -> DrawingGraph:
        """Noise to a draw of all levels of z."""

        def drawn(model: nn.Module, noise: Noise, c: Tensor | None = None) -> Tensor:
            levels = prior_levels(needs(model, LatentModel, "drawing latents"), self.batch, noise, context=c)
            return torch.cat([level[0].flatten(1).float() for level in levels], 1)

        return self._drawing(drawn, self.conditions(), "drawing latents")

    def weigh(self) -> PageGraph:
        """Z and x to log p(cell | z) of each cell of x."""

        def weighed(model: nn.Module, z: Tensor, x: Tensor) -> Tensor:
            needs(model, CellWise, "what follows from given columns")
            return self.law(model, z, None).log_prob(x)[0]

        x = torch.zeros(self.batch, *self.event)
        return page_graph(self.model, weighed, (*self.latents(), x), "weighing a row")

    def joint(self) -> PageGraph:
        """A row of places z and one picture x to log p(x, z) and log q(z | x), `[places, 2]`."""

        def both(model: nn.Module, z: Tensor, x: Tensor) -> Tensor:
            vector, batch = needs(model, LatentVector, "log p(x, z)"), Batch(x=x)
            q, law = vector.infer(batch), vector.decode((z[:, None],))
            log_joint = total_log_prob(law, x)[:, 0] + vector.prior(None).log_prob(z)
            return torch.stack([log_joint, q.log_prob(z)], 1)

        inputs = (torch.zeros(SIDE, 2), torch.zeros(1, *self.event))
        return page_graph(self.model, both, inputs, "weighing places of a map")

    def log_prior(self) -> PageGraph:
        """Z to log p(z)."""

        def logged(model: nn.Module, z: Tensor) -> Tensor:
            return needs(model, LatentVector, "log p(z)").prior(None).log_prob(z)

        return page_graph(self.model, logged, self.latents(), "weighing latents")
