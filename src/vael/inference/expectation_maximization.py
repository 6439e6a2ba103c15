"""Expectation maximisation of a Gaussian mixture, run by the one loop (Dempster, Laird & Rubin 1977)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

from vael.data import Batch, Source
from vael.errors import StateError, SupportError
from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.starts import SINGULAR, KMeansPlusPlus, Start
from vael.models import Components, Diagonal, GaussianMixture, Spherical, SufficientStatistics, vectors
from vael.probability import Noise, Stream
from vael.probability.factorization import spectrum

EMPTY = 1e-6  # examples in a component, below which it is taken to be empty
ROOM = 256  # rescues that are remembered
RESCUES = 10  # for each component, after which going on makes no sense
RESCUED = 1e5  # nats per example by which weights after a rescue are preferred to those before it
ROWS = 8192  # of data looked at together
START_ROWS = 20_000  # of data, chosen at random, that a start looks at


class Cause(Enum):
    """Why a component had to be rescued."""

    EMPTY = 0
    SINGULAR = 1


@dataclass(frozen=True)
class Rescue:
    """A component that was placed anew, on an example drawn at random, with the covariance of all data: from here
    the bound may start lower.
    """

    iteration: int
    component: int
    cause: Cause


@dataclass
class MixtureState(State):
    """Live θ, the statistics of the epoch so far, and what convergence and rescues are judged by."""

    components: Components
    statistics: SufficientStatistics
    sums: Float[Tensor, " 2"]  # Σ log p(x) and examples, of the epoch so far
    bounds: Float[Tensor, " 2"]  # mean log p(x) at the last two E-steps since the last rescue
    iteration: Tensor
    seats: Float[
        Tensor, "components features"
    ]  # examples of the epoch so far on which a component could be placed anew
    keys: Float[Tensor, " components"]  # by which the seats were drawn
    rescued: Tensor  # [ROOM, 3] iteration, component, cause
    rescues: Tensor
    whole: Tensor  # covariance of all data: known from the data, so no part of a checkpoint

    def tensors(self) -> dict[str, Tensor]:
        theta = {
            "weight": self.components.weight,
            "mean": self.components.mean,
            "covariance": self.components.covariance,
        }
        sums = {"count": self.statistics.count, "first": self.statistics.first, "second": self.statistics.second}
        own = {
            name: getattr(self, name) for name in ("sums", "bounds", "iteration", "seats", "keys", "rescued", "rescues")
        }
        return {**theta, **sums, **own}


class ExpectationMaximization(Algorithm[GaussianMixture, MixtureState]):
    """Climb log p(X|θ) of a Gaussian mixture: one E-step and one M-step each time all examples have been seen.

    With `Settings(batch=len(train))` a step is an iteration; with smaller batches the statistics of the E-step are
    summed up over the epoch, under one θ, and the M-step is taken at its end: the same iteration in less memory. A
    training row of the history is log p(X) *before* its M-step. `start` sets θ from the data (by k-means++ unless
    another is given; `AsGiven` leaves it); `tolerance` is the rise of mean log p(x), in nats, below which the run ends
    (0: never by itself). `floor`, in squared units of the data, is added to variances: above 0 the bound may fall by a
    trifle, with 0 it never does. A component that is left by all examples, or whose variance in some direction falls
    below 1e-8 of the data's, is placed anew; `rescued` tells when and why.

    Errors, at the start of a run: `SupportError` for data that are not finite real numbers, or whose own covariance is
    singular where there is no floor; `StateError` for fewer examples than components and for several processes.
    """

    def __init__(
        self,
        model: GaussianMixture,
        *,
        start: Start | None = None,
        floor: float = 1e-6,
        tolerance: float = 1e-6,
        seed: int = 0,
    ) -> None:
        if not (floor >= 0 and tolerance >= 0):
            raise StateError(f"floor {floor} and tolerance {tolerance}; expected numbers of at least 0")
        self.model, self.start, self.floor, self.tolerance, self.seed = (
            model,
            start or KMeansPlusPlus(),
            floor,
            tolerance,
            seed,
        )
        self.examples = 0
        self._state: MixtureState | None = None

    # the loop's doors

    def init(self, data: Source, world: World) -> MixtureState:
        """Means, covariances and weights where `start` puts them.

        Errors: `StateError` for several processes, `SupportError` for missing cells.
        """
        self._check(data, world)
        model, noise = self.model, Stream(torch.Generator(world.device).manual_seed(self.seed))
        model.to(world.device)
        self.examples, whole = len(data), covariance_of(data, model, self.floor)
        self.start(model, examples(data, START_ROWS, self.seed).to(model.components.mean), whole, noise)
        theta = model.components
        number = torch.zeros((), dtype=torch.int64, device=world.device)
        self._state = MixtureState(
            theta,
            empty(theta, model),
            sums=theta.mean.new_zeros(2),
            bounds=theta.mean.new_full((2,), -math.inf),
            iteration=number.clone(),
            seats=torch.zeros_like(theta.mean),
            keys=theta.weight.new_full(theta.weight.shape, -1.0),
            rescued=torch.zeros(ROOM, 3, dtype=torch.int64, device=world.device),
            rescues=number.clone(),
            whole=whole,
        )
        return self._state

    def _check(self, data: Source, world: World) -> None:
        components, features = self.model.components.mean.shape
        if world.size > 1:
            raise StateError(f"EM was asked of {world.size} processes together; start it in one process")
        vectors(data, features, components, "a Gaussian mixture")

    @torch.no_grad()
    def step(self, state: MixtureState, batch: Batch, moment: Moment) -> Info:
        """E-step on the batch; M-step once all examples were seen."""
        x = batch.x.to(state.components.mean)
        weight = torch.ones_like(x[:, 0]) if batch.weight is None else batch.weight.to(x)
        info, responsibilities = self._expect(x, weight)
        self._gather(state, x, responsibilities * weight[:, None], info)
        self._find_seats(state, x, weight, moment.noise)
        if float(state.sums[1]) >= self.examples:
            self._maximize(state)
        return info

    @torch.no_grad()
    def bound(self, state: MixtureState, batch: Batch, noise: Noise) -> Info:
        x = batch.x.to(state.components.mean)
        info, _ = self._expect(x, torch.ones_like(x[:, 0]) if batch.weight is None else batch.weight.to(x))
        # a component about to collapse has a huge bound and is worth nothing, so whatever comes after its rescue is
        # judged better
        return (
            replace(info, climbed=info.totals[0] + info.totals[3] * RESCUED * state.rescues)
            if int(state.rescues)
            else info
        )

    def weights(self, state: MixtureState) -> dict[str, Tensor]:
        return dict(self.model.named_parameters())

    def skipped(self, state: MixtureState) -> int:
        return 0

    def check(self, state: MixtureState) -> None:
        """Errors: `StateError` where components had to be placed anew too often."""
        count = int(state.rescues)
        if count > RESCUES * len(state.components.weight):
            raise StateError(
                f"components were placed anew {count} times in {int(state.iteration)} iterations, so the data do not "
                "hold "
                f"{len(state.components.weight)}; use fewer components, a kind of covariance with fewer parameters, or "
                f"a floor (it is {self.floor:g})"
            )

    def converged(self, state: MixtureState) -> str:
        rise = float(state.bounds[1] - state.bounds[0])
        return (
            f"log p(x) changes by less than {self.tolerance:g} nats per example" if abs(rise) < self.tolerance else ""
        )

    @property
    def rescued(self) -> tuple[Rescue, ...]:
        """Components that were placed anew in the run so far, the first 256 of them."""
        if self._state is None:
            return ()
        rows = self._state.rescued[: int(self._state.rescues)].tolist()
        return tuple(Rescue(iteration, component, Cause(cause)) for iteration, component, cause in rows)

    # E-step

    def _expect(self, x: Tensor, weight: Tensor) -> tuple[Info, Tensor]:
        """Responsibilities r = p(z|x, θ), and the sums of log p(x) = E_r[log p(x|z)] - KL(r || τ)."""
        log_joint = self.model.log_joint(x)
        log_prob = log_joint.logsumexp(1)
        log_r = log_joint - log_prob[:, None]
        r = log_r.exp()
        divergence = torch.where(r > 0, r * (log_r - self.model.components.weight.log()), torch.zeros_like(r)).sum(1)
        rows = torch.stack((log_prob, -(log_prob + divergence), divergence, torch.ones_like(log_prob)))
        return Info(rows @ weight), r

    def _gather(self, state: MixtureState, x: Tensor, responsibilities: Tensor, info: Info) -> None:
        found = self.model.statistics(x, responsibilities)
        for mine, new in (
            (state.statistics.count, found.count),
            (state.statistics.first, found.first),
            (state.statistics.second, found.second),
        ):
            mine.add_(new)
        state.sums.add_(info.totals[[0, 3]])

    def _find_seats(self, state: MixtureState, x: Tensor, weight: Tensor, noise: Noise) -> None:
        """A uniform draw of distinct examples from all batches of the epoch: those with the largest of independent
        uniform keys.
        """
        keys = torch.cat((state.keys, torch.where(weight > 0, noise.uniform((1, len(x)), x)[0], -1.0)))
        best = keys.topk(len(state.keys))
        state.seats.copy_(torch.cat((state.seats, x))[best.indices])
        state.keys.copy_(best.values)

    # M-step

    def _maximize(self, state: MixtureState) -> None:
        found, empty_now = self.model.maximizer(state.statistics, self.floor), state.statistics.count < EMPTY
        thin = ~(self.model.kind.thinness(found.covariance, state.whole) > SINGULAR)
        state.bounds.copy_(torch.stack((state.bounds[1], state.sums[0] / state.sums[1])))
        state.iteration += 1
        if self.model.kind.shared and bool(thin.any()):
            raise StateError(
                f"the covariance that all {len(found.weight)} components share has collapsed, so the means alone "
                "explain the data; "
                "use fewer components, or a floor"
            )
        lost = empty_now if self.model.kind.shared else empty_now | thin
        if bool(lost.any()):
            found = self._rescue(state, found, lost, empty_now)
        self.model.assign(found)
        for tensor in (state.statistics.count, state.statistics.first, state.statistics.second, state.sums):
            tensor.zero_()
        state.keys.fill_(-1.0)

    def _rescue(self, state: MixtureState, found: Components, lost: Tensor, empty_now: Tensor) -> Components:
        """`found` with the lost components on examples, as wide as all data and with a share of 1/K; the law of the
        bound starts anew.
        """
        weight, mean, covariance = torch.where(lost, 1 / len(lost), found.weight), found.mean.clone(), found.covariance
        for seat, component in enumerate(lost.nonzero().flatten().tolist()):
            cause = Cause.EMPTY if empty_now[component] else Cause.SINGULAR
            mean[component] = state.seats[seat]
            covariance = self.model.kind.placed(covariance, component, state.whole)
            row = min(int(state.rescues), ROOM - 1)
            state.rescued[row] = torch.tensor((int(state.iteration), component, cause.value), device=weight.device)
            state.rescues += 1
        state.bounds.fill_(-math.inf)
        return Components(weight / weight.sum(), mean, covariance)


def empty(theta: Components, model: GaussianMixture) -> SufficientStatistics:
    """Statistics of no examples."""
    second = torch.zeros_like(model.kind.second_moment(theta.weight[None], theta.mean[:1], theta.mean))
    return SufficientStatistics(torch.zeros_like(theta.weight), torch.zeros_like(theta.mean), second)


def examples(data: Source, most: int, seed: int) -> Float[Tensor, "examples features"]:
    """All examples, or as many as `most` drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    index = torch.arange(len(data)) if len(data) <= most else torch.randperm(len(data), generator=generator)[:most]
    return data.batch(index.to(data.x.device), Stream(generator)).x


def covariance_of(data: Source, model: GaussianMixture, floor: float) -> Tensor:
    """Covariance of all data in the shape that one component of the model's kind has, plus the floor.

    Errors: `SupportError` for numbers that are not finite, and for data without variance in some direction where there
    is no floor.
    """
    like, noise = model.components.mean, Stream(torch.Generator().manual_seed(0))
    blocks = [index.to(data.x.device) for index in torch.arange(len(data)).split(ROWS)]
    total, columns, whole = like.new_zeros(1, like.shape[1]), like.new_zeros(1, like.shape[1]), like.new_zeros(())
    for index in blocks:
        total += finite(data.batch(index, noise).x, data.name).to(like).sum(0)
    centre, count = total / len(data), like.new_full((1,), float(len(data)))
    for index in blocks:
        x = data.batch(index, noise).x.to(like)
        own = torch.ones_like(x[:, :1])
        columns = columns + Diagonal().second_moment(own, x, centre)
        whole = whole + model.kind.second_moment(own, x, centre)
    offset = torch.zeros_like(centre)
    variance, whole = columns[0] / len(data), model.kind.estimate(whole, count, offset)
    if floor == 0:
        varied(variance, centre[0], whole, model, data.name)
    return model.kind.raised(whole, floor)


def finite(x: Tensor, name: str) -> Tensor:
    """`x` if all of it is finite."""
    if not bool(x.isfinite().all()):
        raise SupportError(
            f"{name}: {int((~x.isfinite()).sum())} cells are not finite; expected real numbers: drop these rows, or "
            "fill the cells"
        )
    return x


def varied(variance: Tensor, centre: Tensor, whole: Tensor, model: GaussianMixture, name: str) -> None:
    """Refuse data on which even a single Gaussian would have a density without bound."""
    constant = variance <= (1e-12 * centre.abs()).square()
    bad = constant.all() if isinstance(model.kind, Spherical) else constant.any()
    way = "drop them, or give a floor above 0"
    if bool(bad):
        raise SupportError(
            f"{name}: columns {constant.nonzero().flatten().tolist()[:8]} never vary, so a density on them has no "
            f"bound; {way}"
        )
    if whole.dim() > 1 and whole.shape[-1] == whole.shape[-2] and not isinstance(model.kind, Diagonal):
        scale = variance.sqrt()
        least = float(spectrum(whole / (scale[:, None] * scale))[0].min())
        if least < 1e-12:
            raise SupportError(
                f"{name}: columns depend on each other linearly (smallest eigenvalue of their correlation "
                f"{least:.1e}); {way}"
            )
