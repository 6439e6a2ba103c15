"""Latents to generate from: the prior at a temperature, one class, attributes added and taken away, and codes made
better for each example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal, kl_divergence

from vael.applications.generation import AT_ONCE, batches, drawn_rows, levels_at, seeded
from vael.counting import Progress
from vael.data import Batch, Source
from vael.errors import ShapeError, StateError
from vael.inference import LogJoint, can_be_joint, joint_of
from vael.inference.optimizers import Optimizer, Updates
from vael.models import CodeVector, LatentModel, LatentVector, Model, has, needs, posterior_levels
from vael.probability import Common, PerExample, diagonal_gaussian, draw
from vael.probability.factorization import lower_factor

REQUIRES = frozenset({"divergence"})
CLIMB = Optimizer(torch.optim.Adam, options={"betas": (0.9, 0.99), "maximize": True})
JUDGES = 64  # variates that say whether a fitted posterior is better than the encoder's


def prior_latents(
    model: Model, count: int, *, temperature: float = 1.0, seed: int = 0
) -> Float[Tensor, "examples features"]:
    """Draws from the prior, their distance from its mean multiplied by `temperature`: variance temperature² times the
    prior's. Of several levels of latents, side by side, each level is drawn given those above it, all at that
    temperature.

    Below 1 they are more usual and less varied. At any temperature but 1 what is decoded from them is no draw from
    p(x). Errors: `StateError` for a temperature below 0 or fewer than one draw.
    """
    if has(model, CodeVector) and has(model, LatentModel) and not has(model, LatentVector):
        return torch.cat([z[0] for z in levels_at(model, count, temperatures=(temperature,), seed=seed)], 1)
    return _tempered(prior_of(model), count, temperature, seed)


def prior_of(model: Model) -> Distribution:
    """p(z). Errors: `StateError` for a model that has none, with what can be done with codes where it has these."""
    if has(model, CodeVector) and not has(model, LatentVector):
        raise StateError(
            f"drawing latents needs a prior, which this model, {type(model).__name__}, has not: its codes follow no "
            "distribution; draw from a Gaussian fitted to those of some examples (aggregate_gaussian; on the command "
            "line those of a class, --class NAME), or train a model with a prior, such as a VAE"
        )
    return needs(model, LatentVector, "drawing latents").prior(None)


def _tempered(law: Distribution, count: int, temperature: float, seed: int) -> Tensor:
    if not 0 <= temperature < math.inf:
        raise StateError(
            f"temperature {temperature}: expected a finite number of at least 0, where 1 leaves the law as it is"
        )
    with torch.no_grad():
        return law.mean + temperature * (draw(law, count, seeded(count, seed)) - law.mean)


@torch.no_grad()
def drawn(model: Model, z: Float[Tensor, "examples features"], seed: int = 0) -> Float[Tensor, "examples *event"]:
    """One draw from p(x | z) at each latent; `vael.applications.traversal.decoded` gives the means."""
    model = needs(model, CodeVector, "decoding latents")
    noise = seeded(len(z), seed)
    return torch.cat([drawn_rows(model, part, noise) for part in z.split(AT_ONCE)])


@dataclass(frozen=True)
class LatentGaussian:
    """A Gaussian over latents: mean and covariance of the aggregate posterior of some examples."""

    mean: Float[Tensor, " features"]
    covariance: Float[Tensor, "features features"]
    examples: int

    def sample(self, count: int, *, temperature: float = 1.0, seed: int = 0) -> Float[Tensor, "examples features"]:
        """Draws, their distance from the mean multiplied by `temperature`. Errors: as `prior_latents`."""
        law = MultivariateNormal(
            self.mean, scale_tril=lower_factor(self.covariance), validate_args=False
        )  # of few examples it may be singular
        return _tempered(law, count, temperature, seed)


@torch.no_grad()
def aggregate_gaussian(model: Model, source: Source) -> LatentGaussian:
    """The Gaussian with the moments of q(z) = 1/N Σ q(z | x_n): covariance of the posterior means, plus the mean
    posterior covariance, which is 0 of a model that has codes and no posterior; of several levels of latents the
    moments of one draw for each example.
    """
    model = needs(model, CodeVector, "the distribution of codes")
    if isinstance(model, LatentVector):
        laws = [model.infer(batch) for batch in batches(source)]
        like = torch.cat([law.mean for law in laws])
        within = torch.stack([_covariance(law).double().sum(0) for law in laws]).sum(0) / len(like)
    elif isinstance(model, LatentModel):
        like, within = aggregate_draws(model, source), 0.0
    else:
        like, within = torch.cat([model.encode(batch) for batch in batches(source)]), 0.0
    means = like.double()
    centred = means - means.mean(0)
    covariance = within + centred.mT @ centred / len(means)
    return LatentGaussian(means.mean(0).to(like), ((covariance + covariance.mT) / 2).to(like), len(means))


def aggregate_draws(model: LatentModel, source: Source, seed: int = 0) -> Float[Tensor, "examples features"]:
    """One draw from q(z | x) for each example, its levels side by side; its noise is the example's own."""
    found, first = [], 0
    for batch in batches(source, seed=seed):
        noise = PerExample(seed, torch.arange(first, first + len(batch)))
        found.append(torch.cat([z[0] for z in posterior_levels(model, batch, 1, noise)], 1))
        first += len(batch)
    return torch.cat(found)


def _covariance(law: Distribution) -> Tensor:
    return law.covariance_matrix if isinstance(law, MultivariateNormal) else torch.diag_embed(law.variance)


def of_class(source: Source, name: str) -> Source:
    """The examples of a class, named by its label's name or number.

    Errors: `StateError` for data without labels or without that class.
    """
    if source.label is None:
        raise StateError(
            f"{source.name} has no labels, so a class cannot be picked; give data with labels, or leave the class out"
        )
    numbers = sorted(int(number) for number in source.label.unique() if number >= 0)
    names = {
        source.label_names[number] if number < len(source.label_names) else str(number): number for number in numbers
    }
    names = {str(number): number for number in numbers} | names
    if name not in names:
        raise StateError(f"{source.name} has no class {name!r}; its classes are {', '.join(names)}")
    return source.subset((source.label == names[name]).nonzero()[:, 0])


def attribute_direction(
    codes: Float[Tensor, "examples features"], has: Bool[Tensor, " marks"]
) -> Float[Tensor, " features"]:
    """Mean code of the examples that have an attribute minus that of those that have not (Larsen et al. 2016, section
    4.2).

    Add a multiple of it to a latent to give or take the attribute. Errors: `StateError` where all examples have it or
    none, `ShapeError`.
    """
    if len(codes) != len(has):
        raise ShapeError(
            f"{len(codes)} codes and {len(has)} marks: expected one mark, whether the attribute is there, for each code"
        )
    if bool(has.all()) or not bool(has.any()):
        raise StateError(
            f"{int(has.sum())} of {len(has)} examples have the attribute: expected some that have it and some that "
            "have not"
        )
    return codes[has].mean(0) - codes[~has].mean(0)


def with_attribute(
    z: Float[Tensor, " features"], direction: Float[Tensor, " features"], amounts: Sequence[float]
) -> Float[Tensor, "frames features"]:
    """Z + a × direction for each amount a: 1 gives all of an attribute, -1 takes it, 0 is z itself."""
    return z + torch.as_tensor(list(amounts), dtype=z.dtype)[:, None] * direction


@dataclass(frozen=True)
class Optimized:
    """Posteriors fitted to examples one by one, and what that gained: both bounds in nats by the same variates,
    `bound` never the lower. Of several levels of latents the posterior is that of the standard normal variates that the
    model's own posterior makes them of (`Whitens`).
    """

    posterior: Distribution
    bound: Float[Tensor, " batch"]
    bound_of_encoder: Float[Tensor, " batch"]


BoundAt = Callable[[Distribution, int, Common], Float[Tensor, " batch"]]  # of a posterior, by so many variates


def optimized(
    model: Model, batch: Batch, *, steps: int = 100, samples: int = 8, rate: float = 0.1, seed: int = 0
) -> Optimized:
    """Climb the ELBO of each example in shift and scales of q(z | x), from the encoder's (semi-amortised: Kim et al.
    2018).

    By Adam (Kingma & Ba 2015) in units of the encoder's width, over `samples` new variates a step, in opposite pairs.
    Encoder and result are then judged with `JUDGES` other variates, and the better is kept, so none gets worse. Errors:
    `StateError` for sizes below 1.
    """
    if steps < 1 or samples < 1 or not rate > 0:
        raise StateError(
            f"steps={steps}, samples={samples}, rate={rate}: expected at least one step and one sample, and a rate "
            "above 0"
        )
    q, bound_at = _from_encoder(model, batch)
    start = torch.zeros(2, *q.mean.shape, dtype=q.mean.dtype)
    # shared by all examples: what comes out is a code for each and what it gained, compared between codes of one
    # example; no draw comes out
    noise = Common(seed)
    rates = [rate * 0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    reached = _climbed(bound_at, q, start, rates, samples, noise)
    before, after = (_bound(bound_at, q, move, JUDGES, Common(seed + 1))[0] for move in (start, reached))
    kept = torch.where((after > before)[:, None], reached, start)
    return Optimized(_moved(q, kept), torch.where(after > before, after, before), before)


@dataclass(frozen=True)
class Reconstructed:
    """Examples, the mean of p(x | z) at the best code found for each, and what the search gained, in nats."""

    x: Float[Tensor, "examples *event"]
    mean: Float[Tensor, "examples *event"]
    gained: Float[Tensor, " examples"]


def optimized_reconstructions(
    model: Model, source: Source, limit: int | None = None, *, steps: int = 100, progress: Progress | None = None
) -> Reconstructed:
    """The first `limit` examples, or all, from codes that `optimized` made better one by one; deterministic.

    `progress(done, total)` is called as they are made.

    Errors: as `optimized`.
    """
    parts = []
    for batch in batches(source, limit, progress=progress):
        found = optimized(model, batch, steps=steps)
        latent = needs(model, LatentModel, "making codes better")
        with torch.no_grad():
            z = found.posterior.mean[None]
            levels = (z,) if isinstance(model, LatentVector) else joint_of(latent, batch).levels(z)
            mean = latent.decode(levels, batch.context).mean[0]
        parts.append((batch.x, mean, found.bound - found.bound_of_encoder))
    return Reconstructed(*(torch.cat(part) for part in zip(*parts, strict=True)))


@torch.no_grad()
def _from_encoder(model: Model, batch: Batch) -> tuple[Distribution, BoundAt]:
    """The posterior that the climb begins with, and what is climbed."""
    if can_be_joint(model) and not isinstance(model, LatentVector):
        about = joint_of(needs(model, LatentModel, "making codes better"), batch)
        return about.own, _over_variates(about)
    vector = needs(model, LatentVector, "making codes better")
    return vector.infer(batch), _closed(vector, batch)


def _climbed(
    bound_at: BoundAt, q: Distribution, move: Tensor, rates: Sequence[float], samples: int, noise: Common
) -> Tensor:
    """Adam with a rate for each step."""
    move = move.clone()
    updates = Updates(CLIMB, {"move": move})
    for rate in rates:
        updates([_bound(bound_at, q, move, samples, noise)[1]], rate, None, None)
    return move


def _moved(q: Distribution, move: Float[Tensor, "2 batch features"]) -> Distribution:
    """Q shifted by multiples of its width, and stretched along the axes."""
    loc, stretch = q.mean + q.stddev * move[0], move[1].exp()
    if isinstance(q, MultivariateNormal):
        return MultivariateNormal(loc, scale_tril=stretch[..., None] * q.scale_tril, validate_args=False)
    return diagonal_gaussian(loc, q.stddev * stretch)


def _bound(bound_at: BoundAt, q: Distribution, move: Tensor, samples: int, noise: Common) -> tuple[Tensor, Tensor]:
    """The ELBO of each example, and its slope in `move`."""
    with torch.enable_grad():
        leaf = move.clone().requires_grad_()
        bound = bound_at(_moved(q, leaf), samples, noise)
        (slope,) = torch.autograd.grad(bound.sum(), leaf)
    return bound.detach(), slope


def _closed(model: LatentVector, batch: Batch) -> BoundAt:
    """With the divergence in closed form where one is registered."""

    def bound_at(law: Distribution, samples: int, noise: Common) -> Tensor:
        terms = model.terms(batch, samples=samples, generator=noise, requires=REQUIRES, posterior=(law,))
        return terms.log_likelihood.mean(0) - terms.divergence.sum(0).mean(0)

    return bound_at


def _over_variates(about: LogJoint) -> BoundAt:
    """In the variates of the encoder's own posterior: what the data add, minus the divergence from N(0, I)."""

    def bound_at(law: Distribution, samples: int, noise: Common) -> Tensor:
        return about.terms(draw(law, samples, noise))[0].mean(0) - kl_divergence(law, about.own)

    return bound_at
