"""Where the importance weights of an example have a heavy tail: a proposal that is fitted to the example, and draws
that decide about it.

What an example's draws come from is decided, and a proposal is fitted, by draws that enter no estimate (a pilot from
the encoder's posterior, a trial from Laplace's approximation); the K draws of the estimate are fresh. Given those
decisions the K draws are independent draws of one law with E[w] = p(x), so E[log 1/K Σ w] ≤ log p(x) (Jensen) whatever
was decided. Choosing by a look at the K weights themselves would not keep it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from vael.data import Batch
from vael.data.batch import some
from vael.errors import StateError
from vael.evaluation.classification import over_classes
from vael.evaluation.estimation import ProposalPlan, Proposals
from vael.evaluation.likelihood import Draws, Judged, latents, log_weights_of, under_posterior, weigh
from vael.evaluation.weights import ImportanceWeights
from vael.inference import DiagonalFit, LaplacePosterior, LogJoint, approximation, differentiable_at_once, joint_of
from vael.models import Classifies, LatentModel
from vael.probability import PerExample, law_at
from vael.probability.factorization import tried_cholesky

# draws from the encoder's posterior that decide whether an example gets a proposal of its own, and give the bound
PILOT = 100
HEAVY = 0.3  # k-hat of pilot or trial above which it does: below 0.7, because so few weights say k-hat to ± 0.15 or so
# of the pilot's draws: below this effective sample size it does too, because a heavy tail may not show among few draws
WORTH = 0.8
TRIAL = 200  # draws from Laplace's approximation that its mean and covariance are corrected by
TURNS = 3  # corrections at most
PILOT_BLOCK, TRIAL_BLOCK, TURN_BLOCKS = (
    1 << 30,
    1 << 31,
    1 << 20,
)  # numbers of noise that no draw of an estimate reaches
MOST_CORRELATED = 256  # latents of a proposal with full covariance: of more it is diagonal
ROOM = 1 << 22  # numbers that fitting may hold at once for each of the few tensors it needs


def posterior_of(model: LatentModel, given: Batch) -> Distribution | None:
    """q(z | x) of a model with one level of latents; None where there are several, each to be drawn given the others.

    Errors: `StateError` for one level that is not one vector.
    """
    if model.depth(tuple(given.x.shape[1:])) > 1:
        return None
    posterior = model.posterior_at((), given)
    if len(posterior.event_shape) != 1:
        raise StateError(
            f"{type(model).__name__} has latents of shape {tuple(posterior.event_shape)}; importance sampling is for "
            "one vector, or for several levels"
        )
    return posterior


def widening(features: int) -> float:
    """√(1 + 2.2 / √features), at most 1.25: by how much a fitted proposal is wider than what was fitted.

    Tails thinner than those of p(z | x) make weights whose variance is infinite; wider ones cost draws. Of a Gaussian
    the effective sample size is ((2c² - 1)^½ / c²)^features of K: this c leaves a share of 0.93 for one latent, 0.45
    for 16 and 0.2 for 200.
    """
    return min(1.25, math.sqrt(1 + 2.2 / math.sqrt(features)))


def fitting_cost(features: int) -> int:
    """How many latents of an example could be decoded in the time that pilot, fit and trial of its proposal take."""
    if features > MOST_CORRELATED:
        return PILOT + DiagonalFit().cost
    return PILOT + TRIAL + LaplacePosterior.cost(features)


def judged(model: LatentModel, given: Batch, plan: ProposalPlan) -> Judged:
    """The examples of a batch, each by the proposal that the plan gives it; classes are enumerated."""
    if isinstance(model, Classifies):
        size = max(1, plan.together(plan.samples) // model.classes)
        return joined([over_classes(model, part, plan.draws(plan.samples)) for part in _parts(given, size)])
    if plan.how.proposals is Proposals.ENCODER:
        return joined(
            [
                under_posterior(model, part, posterior_of(model, part), plan.draws(plan.samples))
                for part in _parts(given, plan.together(plan.samples))
            ]
        )
    pilot = joined(
        [
            under_posterior(model, part, posterior_of(model, part), plan.draws(PILOT, PILOT_BLOCK))
            for part in _parts(given, plan.together(PILOT))
        ]
    )
    trusted = pilot.effective_samples >= WORTH * PILOT
    if pilot.k_hat is not None:
        trusted &= pilot.k_hat <= HEAVY
    wanted = torch.ones_like(trusted) if plan.how.proposals is Proposals.FITTED else ~trusted
    fitted = _fitted(model, given, wanted.nonzero()[:, 0], plan)
    chosen = torch.cat([wanted.nonzero()[:0, 0], *(rows for rows, _ in fitted)])
    left, size = (
        torch.ones_like(wanted).index_fill(0, chosen, False).nonzero()[:, 0],
        plan.together(plan.samples),
    )
    found = [_weighed(model, some(given, part), None, plan) for part in _split(left, size)]
    for rows, law in fitted:
        for part in torch.arange(len(rows), device=rows.device).split(size):
            found.append(_weighed(model, some(given, rows[part]), law_at(law, part), plan))
    order, k_hat = torch.cat((left, chosen)).argsort(), _side_by_side([weights.k_hat() for weights in found])
    return replace(
        pilot,
        log_likelihood=torch.cat([weights.log_mean() for weights in found])[order],
        effective_samples=torch.cat([weights.effective_samples() for weights in found])[order],
        k_hat=None if k_hat is None else k_hat[order],
        fitted=torch.zeros_like(pilot.fitted).index_fill(0, chosen, 1),
    )


def _split(rows: Tensor, size: int) -> list[Tensor]:
    return list(rows.split(size)) if len(rows) else []


def _weighed(model: LatentModel, given: Batch, proposal: Distribution | None, plan: ProposalPlan) -> ImportanceWeights:
    about = joint_of(model, given)
    return weigh(about, given, proposal or about.own, plan.draws(plan.samples))


def _fitted(
    model: LatentModel, given: Batch, chosen: Int64[Tensor, " heavy"], plan: ProposalPlan
) -> list[tuple[Tensor, Distribution]]:
    """The examples whose proposal has finite numbers, which are nearly all that were chosen, in parts with their
    proposals.
    """
    if not len(chosen):
        return []
    found = []
    with torch.inference_mode(False), torch.no_grad():
        about = joint_of(model, _cloned(some(given, chosen[:1])))
        narrow = about.features <= MOST_CORRELATED
        numbers = about.features * max(about.features if narrow else 1, TRIAL)
        differentiated = differentiable_at_once(about) // (1 if narrow else DiagonalFit.draws)
    for part in chosen.split(max(1, min(plan.how.batch, ROOM // numbers, differentiated))):
        law = fitted_proposal(model, some(given, part), plan.draws(TRIAL, TRIAL_BLOCK))
        proper = (law.mean.isfinite() & law.stddev.isfinite()).all(1)
        if bool(proper.any()):
            found.append((part[proper], law_at(law, proper.nonzero()[:, 0])))
    return found


def fitted_proposal(model: LatentModel, given: Batch, how: Draws) -> Distribution:
    """N(m, c² S) for each example: Laplace's approximation N(z*, H⁻¹), corrected by weighted draws from it; c is
    `widening`.

    Where p(z | x) is highest, at z*, is not where the mass of a skew density is, nor says the curvature there how far
    its tails go. Where the weights of the corrected proposal's own draws still have a heavy tail, it is corrected
    again, `TURNS` times at most. With more than `MOST_CORRELATED` latents S is diagonal and climbs the bound
    (`DiagonalFit`). Several levels of latents are one vector of standard normal variates here (`Whitens`).
    """
    with torch.inference_mode(False), torch.no_grad():  # slopes are needed here even where a number is being judged
        about = joint_of(model, _cloned(given))
        factor = widening(about.features)
        if about.features > MOST_CORRELATED:
            return DiagonalFit()(about, PerExample(how.seed, given.rows, skip=how.first), factor)
        wide = approximation(about, widen=factor)
    loc, low, rows = wide.loc, wide.scale_tril / factor, torch.arange(len(given), device=given.x.device)
    for turn in range(TURNS):
        trial = replace(how, first=how.first + turn * TURN_BLOCKS)
        mean, root, k_hat = _corrected(
            about.part(rows),
            some(given, rows),
            MultivariateNormal(loc[rows], scale_tril=factor * low[rows], validate_args=False),
            trial,
        )
        loc, low = loc.index_copy(0, rows, mean), low.index_copy(0, rows, root / factor)
        rows = rows[:0] if k_hat is None else rows[~(k_hat <= HEAVY)]
        if not len(rows):
            break
    return MultivariateNormal(loc, scale_tril=factor * low, validate_args=False)


def _cloned(given: Batch) -> Batch:
    """The same in memory of its own, so that gradients may pass through it."""
    return some(given, torch.arange(len(given), device=given.x.device))


def _corrected(
    about: LogJoint, given: Batch, q: MultivariateNormal, how: Draws
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mean and Cholesky factor of q after a look at weighted draws from it, and k-hat of their weights.

    The mean is moved towards that of the draws by the share n / (n + d), the covariance (without the widening) towards
    theirs by n / (n + d²): n is their effective sample size, d the number of latents, so few draws move little. Weights
    are cut (`_cut`).
    """
    features = q.event_shape[0]
    factor = widening(features)
    z = torch.cat(list(latents(q, given, how)))
    log_w = log_weights_of(about, q, z, how.rows)
    weights = ImportanceWeights(how.samples, len(given), log_w)
    weights.add(log_w)
    share = _cut(log_w.double()).to(z.dtype)
    worth = 1 / share.square().sum(0)
    mean = q.loc + (worth / (worth + features))[:, None] * (torch.einsum("sb,sbi->bi", share, z) - q.loc)
    apart = z - mean
    spread = torch.einsum("sbi,sbj->bij", share[..., None] * apart, apart)
    narrow = q.scale_tril / factor
    low, fits = tried_cholesky(torch.lerp(narrow @ narrow.mT, spread, (worth / (worth + features**2))[:, None, None]))
    return mean, factor * torch.where(fits[:, None, None], low, narrow), weights.k_hat()


def _cut(log_w: Float[Tensor, "draws batch"]) -> Float[Tensor, "draws batch"]:
    """Weights that sum to one, none above √draws times their mean before they are normalised again (Ionides 2008)."""
    log_w = log_w.nan_to_num(nan=-math.inf, posinf=-math.inf)
    return (log_w - log_w.logsumexp(0)).clamp(max=-0.5 * math.log(len(log_w))).softmax(0)


def _parts(given: Batch, size: int) -> list[Batch]:
    return [some(given, rows) for rows in _split(torch.arange(len(given), device=given.x.device), size)]


def joined(parts: Sequence[Judged]) -> Judged:
    """The figures of all examples."""
    return Judged(
        log_likelihood=torch.cat([part.log_likelihood for part in parts]),
        distortion=torch.cat([part.distortion for part in parts]),
        divergence=torch.cat([part.divergence for part in parts]),
        effective_samples=torch.cat([part.effective_samples for part in parts]),
        k_hat=_side_by_side([part.k_hat for part in parts]),
        mean=torch.cat([part.mean for part in parts]),
        divergence_per_latent=_side_by_side([part.divergence_per_latent for part in parts]),
        fitted=torch.cat([part.fitted for part in parts]),
        class_log_probability=_side_by_side([part.class_log_probability for part in parts]),
        class_bound=_side_by_side([part.class_bound for part in parts]),
    )


def _side_by_side(parts: Sequence[Tensor | None]) -> Tensor | None:
    """All parts, or None where one of them is."""
    known = [part for part in parts if part is not None]
    return torch.cat(known) if len(known) == len(parts) else None
