"""What variational inference goes without: log p(x), p(z | x) and KL(q(z | x) || p(z | x)) of a model with few
latents, by adaptive cubature.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from vael.data import Batch
from vael.errors import StateError, SupportError
from vael.models import LatentVector, Model, needs
from vael.probability import Grid, divergence, gauss_legendre, has_closed_form

MOST_FEATURES = 3
RULE = 3  # Gauss-Legendre points on each axis of a box
AT_ONCE = 2**14  # latents that are decoded together
PRIOR_BREAKS = (
    1.0,
    2.0,
    4.0,
    8.0,
)  # where the coarse scan is cut, in deviations of the prior; the last is how far it goes
POSTERIOR_BREAKS = (0.0, 3.0, 8.0)  # and in deviations of q, about its mean
STEEP = 8.0  # nats between the nodes of one cell, beyond which a mode may hide among them
NEGLIGIBLE = 1e-2  # share of the tolerance that a cell may at most be worth to be left alone
# a halving that changed 1 leaves 1/15, as a rule of the fourth order would; on smooth integrands this one has the sixth
# or more
FALL = 15.0
WIDENINGS = 4
IGNORED = 1e-12  # share of p(z | x) and of q(z | x) below which a node is not kept
REQUIRES = frozenset({"log_prior", "log_posterior"})


@dataclass(frozen=True)
class GridPosterior:
    """One example's evidence and exact posterior, float64, in nats. log p(x) = ELBO + KL up to `residual`, which
    nothing here forces to be zero.

    The nodes are those that matter to p(z | x) or to q(z | x): Σ exp(log_weight + log_posterior) over them is 1 to
    within rounding and `error`.
    """

    log_evidence: float  # log p(x) = log ∫ p(x, z) dz
    elbo: float  # reconstruction - rate
    divergence: float  # KL(q(z | x) || p(z | x)) = ∫ q(z | x) log q(z | x) / p(z | x) dz
    reconstruction: float  # E_q[log p(x | z)]
    rate: float  # KL(q(z | x) || p(z)), in closed form where there is one
    error: float  # estimate of what the integrals still miss, from what the last halvings changed
    converged: bool  # whether `error` is within the tolerance that was asked for
    evaluations: int  # latents that were decoded, in scans that were too narrow as well
    latent: Float[Tensor, "points features"]
    log_weight: Float[Tensor, " points"]  # of the nodes: log Δz
    log_joint: Float[Tensor, " points"]  # log p(x, z)
    log_q: Float[Tensor, " points"]  # log q(z | x)

    @property
    def residual(self) -> float:
        """What is left of log p(x) - ELBO - KL(q(z | x) || p(z | x))."""
        return self.log_evidence - self.elbo - self.divergence

    @property
    def log_posterior(self) -> Float[Tensor, " points"]:
        """Log density p(z | x) at the nodes."""
        return self.log_joint - self.log_evidence

    @property
    def probability(self) -> Float[Tensor, " points"]:
        """p(z | x) Δz at the nodes."""
        return (self.log_weight + self.log_posterior).exp()

    @property
    def mean(self) -> Float[Tensor, " features"]:
        """E[z | x]."""
        return self.probability @ self.latent

    @property
    def covariance(self) -> Float[Tensor, "features features"]:
        """Cov[z | x]."""
        centred = self.latent - self.mean
        return (self.probability[:, None] * centred).T @ centred


def posterior_on_grid(
    model: Model, batch: Batch, *, tolerance: float = 1e-5, most: int = 4_000_000
) -> tuple[GridPosterior, ...]:
    """Evidence, posterior and KL(q || p(z | x)) of every example of a trained VAE with at most three latents, example
    by example.

    The latent space is cut into boxes: coarse ones over all that the prior allows, so that modes far from q are found,
    and finer ones about the mean of q(z | x). A box holds a Gauss-Legendre rule of three points an axis; it is halved
    on every axis as long as that changes an integral by more than its part of `tolerance` (in nats), or as the joint
    density is so steep in it that a mode might hide between its points. Where p(x, z) has not died out at the edge, the
    whole is widened. A record says `converged=False` where `most` evaluations of the decoder in one scan did not
    suffice. The model is copied to float64 and not changed; memory grows with `most`, not with the batch.

    Errors: `SupportError` for more than three latents, for discrete ones, or a tolerance or number that means nothing;
    `StateError` for a model without prior, likelihood and posterior over one vector of latents.
    """
    if not 1e-12 <= tolerance < 1 or most < 1:
        raise SupportError(
            f"tolerance {tolerance} nats with at most {most} points; expected between 1e-12 and 1 nat, and a number "
            "above 0"
        )
    model = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        return tuple(examined(OneExample.of(model, one), tolerance, most) for one in singly(batch))


def singly(batch: Batch) -> Iterator[Batch]:
    """The examples one by one, in float64."""
    for k in range(len(batch)):
        rows = slice(k, k + 1)
        context = None if batch.context is None else batch.context[rows].double()
        yield Batch(
            x=batch.x[rows].double(), context=context, observed=None if batch.observed is None else batch.observed[rows]
        )


@dataclass(frozen=True)
class OneExample:
    """log p(x | z), log p(z) and log q(z | x) as functions of z, for one x."""

    model: LatentVector
    batch: Batch
    q: Distribution
    prior: Distribution

    @staticmethod
    def of(model: Model, batch: Batch) -> OneExample:
        """The factors of p(x, z) at a batch.

        Errors: `StateError` where the latents are no vector of real numbers, or the model is no VAE.
        """
        model = needs(model, LatentVector, "a posterior on a grid")
        q, prior = model.infer(batch), model.prior(batch.context)
        if len(q.event_shape) != 1 or q.support is None or q.support.is_discrete:
            raise SupportError(
                f"{type(q).__name__} over {tuple(q.event_shape)}: a grid is for one vector of continuous latents"
            )
        if q.event_shape[0] > MOST_FEATURES:
            cells = len(breaks(torch.zeros(1), torch.ones(1), 1.0)) + 2 * len(POSTERIOR_BREAKS)
            raise SupportError(
                f"{q.event_shape[0]} latents: a first scan alone would take about {(3 * cells) ** q.event_shape[0]:,} "
                "points an example; "
                f"a grid is for {MOST_FEATURES} at most. Use importance weights (vael.evaluation.evaluate) instead"
            )
        return OneExample(model, batch, q, prior)

    def __call__(self, z: Float[Tensor, "points features"]) -> tuple[Tensor, Tensor, Tensor]:
        """All three, `[points]`, with at most `AT_ONCE` latents decoded together."""
        parts = [self.at(part) for part in z.split(AT_ONCE)]
        log_likelihood, log_prior, log_q = (torch.cat(kind) for kind in zip(*parts, strict=True))
        return log_likelihood, log_prior, log_q

    def at(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log p(x | z), log p(z) and log q(z | x) of so many latents, `[points]` each, all decoded together."""
        z = z.to(self.batch.x.device)
        terms = self.model.terms(
            self.batch,
            samples=len(z),
            generator=torch.Generator(),
            requires=REQUIRES,
            posterior=(self.q,),
            latent=(z[:, None],),
        )  # the latent is given, so nothing is drawn
        return terms.log_likelihood[:, 0].cpu(), terms.log_prior[0, :, 0].cpu(), terms.log_posterior[0, :, 0].cpu()

    def edges(self, reach: float) -> list[Tensor]:
        """Where each axis is cut at first: coarsely over the prior, finely about q."""
        (loc, scale), (mean_of_q, width_of_q) = centred(self.prior), centred(self.q)
        columns = zip(loc.expand_as(mean_of_q), scale.expand_as(mean_of_q), mean_of_q, width_of_q, strict=True)
        return [
            torch.cat(
                [breaks(m, s, reach), *(mean + sign * k * width for k in POSTERIOR_BREAKS for sign in SIGNS)]
            ).unique()
            for m, s, mean, width in columns
        ]


def centred(law: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and deviation of a law over one vector, `[features]`. Errors: `StateError` where it does not know them."""
    try:
        return law.mean.reshape(-1).double().cpu(), law.stddev.reshape(-1).double().cpu()
    except (NotImplementedError, AttributeError):
        raise StateError(
            f"{type(law).__name__} does not know its mean or its deviation, so a grid cannot be laid around it"
        ) from None


SIGNS = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)


def breaks(loc: Tensor, scale: Tensor, reach: float) -> Tensor:
    """The cuts of the coarse scan, `reach` times as far as usual."""
    steps = torch.tensor(
        [0.0, *PRIOR_BREAKS, *(PRIOR_BREAKS[-1] * 2.0**k for k in range(1, 1 + round(math.log2(reach))))],
        dtype=torch.float64,
    )
    return loc + scale * torch.cat([-steps.flip(0), steps[1:]])


@dataclass(frozen=True)
class Cells:
    """Boxes side by side, and what the rule of three points an axis says of each."""

    low: Float[Tensor, "cells features"]
    width: Float[Tensor, "cells features"]
    latent: Float[Tensor, "cells nodes features"]
    log_weight: Float[Tensor, "cells nodes"]
    log_joint: Float[Tensor, "cells nodes"]
    log_q: Float[Tensor, "cells nodes"]
    log_evidence: Float[Tensor, " cells"]  # log ∫ p(x, z) dz over the box
    under_q: Float[
        Tensor, "cells four"
    ]  # ∫ q · (1, log p(x | z), log q - log p(z), log q - log p(x, z)) dz over the box

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, rows: Tensor) -> Cells:
        return Cells(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def cat(parts: list[Cells]) -> Cells:
        """The cells of all parts, one after another."""
        return Cells(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Cells)))

    @staticmethod
    def measured(joint: OneExample, low: Tensor, width: Tensor) -> Cells:
        """Evaluate the boxes."""
        unit, log_unit = Grid.power(gauss_legendre(0.0, 1.0, RULE), low.shape[1]).nodes()
        latent = low[:, None] + width[:, None] * unit
        log_weight = width.log().sum(1)[:, None] + log_unit
        log_likelihood, log_prior, log_q = (
            values.unflatten(0, latent.shape[:2]) for values in joint(latent.flatten(0, 1))
        )
        log_joint = log_likelihood + log_prior
        q = (log_q + log_weight).exp()
        integrands = torch.stack([torch.ones_like(q), log_likelihood, log_q - log_prior, log_q - log_joint], dim=2)
        under_q = torch.where(q[:, :, None] > 0, q[:, :, None] * integrands, 0.0).sum(1)
        return Cells(
            low, width, latent, log_weight, log_joint, log_q, torch.logsumexp(log_joint + log_weight, 1), under_q
        )

    def halved(self, joint: OneExample) -> Cells:
        """Every box in two on every axis: the parts of the first box, then those of the second, and so on."""
        features = self.low.shape[1]
        corner = torch.cartesian_prod(*[torch.tensor([0.0, 0.5], dtype=torch.float64)] * features).reshape(-1, features)
        low = self.low[:, None] + self.width[:, None] * corner
        return Cells.measured(joint, low.flatten(0, 1), (self.width[:, None] / 2).expand_as(low).flatten(0, 1))

    @property
    def spread(self) -> Tensor:
        """Nats between the highest and the lowest node of each box."""
        return self.log_joint.amax(1) - self.log_joint.amin(1)

    @property
    def summit(self) -> Tensor:
        """How high log p(x, z) may rise in each box: of a parabola three nodes an axis miss an eighth of their
        spread; half of it is allowed for.
        """
        return self.log_joint.amax(1) + self.spread.clamp(max=1e6) / 2

    def promise(self, total: Tensor) -> Tensor:
        """The most that each box may be worth, as a share of the evidence and in nats under q."""
        volume = self.width.log().sum(1)
        evidence = self.summit + volume - total
        under_q = (self.log_q.amax(1) + volume).exp() * (1 + (self.log_q - self.log_joint).abs().amax(1).clamp(max=1e6))
        return evidence.clamp(max=50.0).exp() + under_q

    def hides(self, total: Tensor, floor: float) -> Tensor:
        """Whether a mode that matters might stand between the nodes of a box."""
        evidence = self.summit + self.width.log().sum(1) - total
        return (self.spread > STEEP) & (evidence > math.log(floor))


@dataclass(frozen=True)
class Refined:
    """Boxes that need no more halving, and what is known of what they miss."""

    cells: Cells
    error: float
    evaluations: int


def changes(parents: Cells, parts: Cells, total: Tensor) -> Tensor:
    """By how much halving changed the integrals of each box: the evidence as a share of all, the others in nats."""
    log_sum = parts.log_evidence.unflatten(0, (len(parents), -1)).logsumexp(1)
    evidence = ((log_sum - total).exp() - (parents.log_evidence - total).clamp(max=50.0).exp()).abs()
    return evidence + (parts.under_q.unflatten(0, (len(parents), -1)).sum(1) - parents.under_q).abs().amax(1)


def refined(joint: OneExample, edges: list[Tensor], tolerance: float, most: int) -> Refined:
    """Halve boxes until what that changes adds up to less than the tolerance, or until `most` points were decoded."""
    low = torch.cartesian_prod(*[edge[:-1] for edge in edges]).reshape(-1, len(edges))
    width = torch.cartesian_prod(*[edge.diff() for edge in edges]).reshape(-1, len(edges))
    active, done, error, pending = Cells.measured(joint, low, width), [], 0.0, math.inf
    evaluations, floor = active.log_joint.numel(), tolerance * NEGLIGIBLE
    while True:
        total = torch.logsumexp(torch.cat([part.log_evidence for part in [*done, active]]), 0)
        open_ = active.promise(total) > floor
        done.append(active[~open_])
        parents = active[open_]
        cost = parents.log_joint.numel() * 2 ** len(edges)
        if not len(parents) or evaluations + cost > most:
            return Refined(Cells.cat([*done, parents]), error + (pending if len(parents) else 0.0), evaluations)
        parts, evaluations = parents.halved(joint), evaluations + cost
        total = torch.logsumexp(torch.cat([part.log_evidence for part in [*done, parts]]), 0)
        hidden = parts.hides(total, tolerance).unflatten(0, (len(parents), -1)).any(1)
        change = torch.where(hidden, math.inf, changes(parents, parts, total) / FALL)
        order = change.argsort()
        settled = torch.zeros_like(hidden)
        settled[order] = change[order].cumsum(0) <= (tolerance - error) / 3
        error, pending = error + float(change[settled].sum()), float(change[~settled].sum())
        of_parts = settled.repeat_interleave(2 ** len(edges))
        done.append(parts[of_parts])
        active = parts[~of_parts]


def examined(joint: OneExample, tolerance: float, most: int) -> GridPosterior:
    """The record of one example, from a scan that is wide enough."""
    decoded = 0
    for widening in range(WIDENINGS + 1):
        edges = joint.edges(2.0**widening)
        found = refined(joint, edges, tolerance, most)
        decoded += found.evaluations
        beyond = at_the_edge(found.cells, edges)
        if beyond < tolerance:
            break
    return record(joint, replace(found, evaluations=decoded), beyond, tolerance)


def at_the_edge(cells: Cells, edges: list[Tensor]) -> float:
    """Share of the evidence in boxes that touch the edge of the scan: about what lies beyond it."""
    first, last = torch.stack([edge[0] for edge in edges]), torch.stack([edge[-1] for edge in edges])
    slack = 1e-9 * (last - first)
    outer = ((cells.low <= first + slack) | (cells.low + cells.width >= last - slack)).any(1)
    return float((cells.log_evidence[outer].logsumexp(0) - cells.log_evidence.logsumexp(0)).exp())


def record(joint: OneExample, found: Refined, beyond: float, tolerance: float) -> GridPosterior:
    """Sums over all boxes, and the nodes that matter."""
    cells = found.cells
    log_evidence = float(cells.log_evidence.logsumexp(0))
    mass, reconstruction, rate, free_energy = cells.under_q.sum(0).tolist()  # the last is KL(q || p(z | x)) - log p(x)
    if has_closed_form(joint.q, joint.prior):
        rate = float(divergence(joint.q, joint.prior, joint.q.mean[None])[0, 0])
    error = found.error + beyond + abs(1 - mass)
    node = (cells.log_joint + cells.log_weight - log_evidence > math.log(IGNORED)) | (
        cells.log_q + cells.log_weight > math.log(IGNORED)
    )
    return GridPosterior(
        log_evidence=log_evidence,
        elbo=reconstruction - rate,
        divergence=free_energy + mass * log_evidence,
        reconstruction=reconstruction,
        rate=rate,
        error=error,
        converged=error <= 2 * tolerance,
        evaluations=found.evaluations,
        latent=cells.latent[node],
        log_weight=cells.log_weight[node],
        log_joint=cells.log_joint[node],
        log_q=cells.log_q[node],
    )
