"""A variational autoencoder whose examples belong to classes, of which few or all are known: where it is not known, the
class is a latent (model M2 of Kingma, Rezende, Mohamed & Welling 2014).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, OneHotCategorical
from torch.nn.functional import one_hot

from vael.data.batch import Batch
from vael.errors import ShapeError, StateError, SupportError
from vael.models.capabilities import Capability, CellWise, Classifies, LatentVector
from vael.models.core import EVERYTHING, Levels, Posterior, Prior, Terms
from vael.models.likelihoods.heads import Head, at_least_float32, head_of
from vael.models.vae import VAE, filled, seen, shown
from vael.probability import Noise, Replayed, as_noise, deviation, diagonal_gaussian, draw, total_log_prob

CLASSIFICATION = "classification"  # -log q(y | x) of a class that is known, among the penalties
LEAST_LOGIT = -30.0  # of a class before the softmax, below the largest: no class has probability 0


class ClassShares(Prior):
    """p(y), a share for each class, over one-hot vectors; equal until `assign`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((classes,), 1 / classes), requires_grad=False)

    def forward(self, context: Tensor | None = None) -> OneHotCategorical:
        return OneHotCategorical(logits=self.weight.log(), validate_args=False)

    def assign(self, label: Int64[Tensor, " examples"]) -> None:
        """The shares among labels, of which those below 0 are unknown, with half an example more in each class."""
        counts = label[label >= 0].bincount(minlength=len(self.weight)).to(self.weight) + 0.5
        self.weight.data.copy_(counts / counts.sum())


class ClassPosterior(Posterior):
    """q(y | x) over one-hot vectors; the network gives a number for each class."""

    def __init__(self, network: nn.Module, *, sees_gaps: bool = False) -> None:
        super().__init__()
        self.network, self.sees_gaps = network, sees_gaps

    def forward(self, x: Tensor, context: Tensor | None = None) -> OneHotCategorical:
        raw = at_least_float32(self.network(x))
        raw = raw - raw.amax(-1, keepdim=True)
        return OneHotCategorical(logits=raw.clamp(min=LEAST_LOGIT), validate_args=False)


class SemiSupervised(Classifies, CellWise):
    """p(y) p(z) p(x | y, z) with q(y | x) q(z | x, y), the class y a level of latents above z.

    Where the class of an example is known (`batch.label`, from 0 on), its terms are those of log p(x, y); where it is
    not (-1, or no labels), y is summed out exactly by enumeration, so that the terms are expectations over q(y | x):

        L(x, y) = E_q(z|x,y)[log p(x | y, z)] + log p(y) - KL(q(z | x, y) || p(z)) ≤ log p(x, y)
        U(x) = Σ_y q(y | x) (L(x, y) - log q(y | x)) ≤ log p(x)

    A draw of noise serves all classes of an example. `penalties` has -log q(y | x) of known classes, 0 of others, which
    no bound contains. `given` is the model of x given its class, a conditional `VAE` whose context is the class as a
    one-hot vector. A prior of its own may be p(z | y).
    """

    shares: ClassShares
    given: LatentVector

    def __init__(self, shares: ClassShares, classifier: ClassPosterior, given: VAE) -> None:
        super().__init__()
        self.shares, self.classifier, self.given = shares, classifier, given

    @property
    def log_shares(self) -> Float[Tensor, " classes"]:
        return self.shares.weight.log()

    @property
    def classes(self) -> int:
        return len(self.shares.weight)

    @property
    def head(self) -> Head | None:
        """What reads the decoder's output as a distribution of x."""
        return head_of(self.given)

    def can(self, capability: type[Capability]) -> bool:
        return super().can(capability) and (capability is not CellWise or self.given.can(CellWise))

    def classify(self, batch: Batch) -> OneHotCategorical:
        return self.classifier(shown(batch.x, batch.observed, self.classifier))

    def in_class(self, batch: Batch, place: int) -> Batch:
        c = batch.x.new_zeros(len(batch), self.classes)
        c[:, place] = 1
        return Batch(x=batch.x, context=c, observed=batch.observed, index=batch.index)

    def at_class(self, place: int) -> LatentVector:
        return self.given.at(one_hot(torch.tensor(place), self.classes).to(self.shares.weight))

    # terms

    def forward(
        self,
        batch: Batch,
        *,
        samples: int = 1,
        generator: torch.Generator | Noise,
        requires: frozenset[str] = EVERYTHING,
        posterior: tuple[Distribution, ...] | None = None,
        latent: Levels | None = None,
    ) -> Terms:
        """The terms of a batch: two levels, the class and z; at given latents (y, z) those of the joint there.

        Errors: `StateError` for a posterior, `ShapeError` for latents that are not two levels.
        """
        if posterior is not None:
            raise StateError(
                "a semi-supervised model takes its own posterior; give latents by latent= to see the joint"
            )
        if latent is not None:
            return self._at(batch, latent, requires)
        q = self.classify(batch)
        share, log_q = self._shares_of(batch, q), q.logits  # [batch, classes]
        each = self._of_every_class(batch, samples, as_noise(generator), requires)

        def expected(values: Tensor) -> Tensor:
            """Σ_y share_y × value_y, of `[samples, classes × batch]` the `[samples, batch]`."""
            return (values.unflatten(1, (self.classes, len(batch))) * share.mT).sum(1)

        def levels(of_class: Tensor, of_z: Tensor) -> Tensor:
            return torch.stack((of_class.expand(samples, -1), expected(of_z[0])))

        log_p = self.log_shares
        entropy = -torch.where(share > 0, share * share.clamp(min=1e-38).log(), torch.zeros_like(share)).sum(1)
        cross = (share * log_p).sum(1)
        return Terms(
            log_likelihood=expected(each.log_likelihood),
            log_prior=levels(cross, each.log_prior) if "log_prior" in requires else None,
            log_posterior=levels(-entropy, each.log_posterior) if "log_posterior" in requires else None,
            divergence=levels(-entropy - cross, each.divergence) if "divergence" in requires else None,
            penalties={CLASSIFICATION: self._missed(batch, log_q)} if "penalties" in requires else None,
        )

    def _shares_of(self, batch: Batch, q: OneHotCategorical) -> Float[Tensor, "batch classes"]:
        """q(y | x), or 1 at the class that is known."""
        if batch.label is None:
            return q.probs
        told = one_hot(batch.label.clamp(min=0), self.classes).to(q.probs)
        return torch.where((batch.label >= 0)[:, None], told, q.probs)

    def _missed(self, batch: Batch, log_q: Float[Tensor, "batch classes"]) -> Float[Tensor, " batch"]:
        if batch.label is None:
            return torch.zeros_like(log_q[:, 0])
        own = -log_q.gather(1, batch.label.clamp(min=0)[:, None])[:, 0]
        return torch.where(batch.label >= 0, own, torch.zeros_like(own))

    def _of_every_class(self, batch: Batch, samples: int, noise: Noise, requires: frozenset[str]) -> Terms:
        """The terms of the conditional model, of all examples in the first class, then in the second, and so on."""
        times = self.classes
        x = batch.x.repeat(times, *[1] * (batch.x.dim() - 1))
        observed = None if batch.observed is None else batch.observed.repeat(times, *[1] * (batch.x.dim() - 1))
        c = torch.eye(times, dtype=batch.x.dtype, device=batch.x.device).repeat_interleave(len(batch), 0)
        features = self.latent_features
        z = noise.normal((samples, len(batch), features), at_least_float32(batch.x)).repeat(1, times, 1)
        asked = requires & {"log_prior", "log_posterior", "divergence"}
        rows = Batch(x=x, context=c, observed=observed)
        return self.given(rows, samples=samples, generator=Replayed((z,)), requires=asked)

    @property
    def latent_features(self) -> int:
        """How many numbers z has."""
        c = self.shares.weight.new_zeros(self.classes)
        return self.given.prior(c).event_shape[0]

    def _at(self, batch: Batch, latent: Levels, requires: frozenset[str]) -> Terms:
        if len(latent) != 2:
            raise ShapeError(f"{len(latent)} levels of latents were given; expected two, the class and z")
        y, z = latent
        law, x = self.given.likelihood(z, y), filled(batch.x, batch.observed)
        p, q = (self.shares(), self.prior_at((y,))), (self.classify(batch), self.posterior_at((y,), batch))

        def both(laws: Sequence[Distribution]) -> Tensor:
            return torch.stack([one.log_prob(at) for one, at in zip(laws, latent, strict=True)])

        return Terms(
            log_likelihood=total_log_prob(law, x) if batch.observed is None else seen(law.log_prob(x), batch.observed),
            log_prior=both(p) if "log_prior" in requires else None,
            log_posterior=both(q) if "log_posterior" in requires else None,
            divergence=both(q) - both(p) if "divergence" in requires else None,
            penalties={CLASSIFICATION: self._missed(batch, q[0].logits)} if "penalties" in requires else None,
            latent=latent,
            prior=p,
            posterior=q,
        )

    # latents

    def depth(self, event: Sequence[int]) -> int:
        return 2

    def prior_at(self, above: Levels, context: Tensor | None = None) -> Distribution:
        if not above:
            return self.shares()
        rows = above[0].shape[:2]
        found = self.given.prior(above[0].flatten(0, 1))
        return as_rows(found, rows) if found.batch_shape else for_rows(found, rows)

    def posterior_at(self, above: Levels, batch: Batch) -> Distribution:
        if not above:
            return self.classify(batch)
        samples, x = above[0].shape[0], batch.x
        ones = [1] * (x.dim() - 1)
        observed = None if batch.observed is None else batch.observed.repeat(samples, *ones)
        rows = Batch(x=x.repeat(samples, *ones), context=above[0].flatten(0, 1), observed=observed)
        return as_rows(self.given.infer(rows), above[0].shape[:2])

    def latents(self, batch: Batch) -> Levels:
        """The most probable class of q(y | x), and the mean of q(z | x, y) there."""
        y = one_hot(self.classify(batch).logits.argmax(1), self.classes).to(batch.x)
        return y[None], self.given.infer(Batch(x=batch.x, context=y, observed=batch.observed)).mean[None]

    def encode(self, batch: Batch) -> Tensor:
        """q(y | x) of every class, then the mean of q(z | x, y) at the most probable one, `[batch, classes +
        features]`.
        """
        return torch.cat((self.classify(batch).probs, self.latents(batch)[1][0]), 1)

    def decode(self, latent: Levels, context: Tensor | None = None) -> Distribution:
        y, z = latent
        return self.given.likelihood(z, y)

    def sample(self, samples: int, *, generator: torch.Generator | Noise, context: Tensor | None = None) -> Tensor:
        noise = as_noise(generator)
        y = draw(self.shares(), samples, noise)[None].to(self.shares.weight)
        z = draw(self.prior_at((y,)), 1, noise)[0]
        return draw(self.decode((y, z)), 1, noise)[0, 0]


def for_rows(law: Distribution, rows: Sequence[int]) -> Distribution:
    """One distribution for all of `[samples, batch]`."""
    if not isinstance(law, Independent):
        return law.expand(torch.Size(rows))
    loc, scale = law.mean, deviation(law)
    return diagonal_gaussian(loc.expand(*rows, *loc.shape), scale.expand(*rows, *scale.shape))


def as_rows(law: Distribution, rows: Sequence[int]) -> Distribution:
    """A Gaussian of `[samples × batch]` as one of `[samples, batch]`. Errors: `SupportError` for another kind."""
    if hasattr(law, "scale_tril"):
        low = law.scale_tril.unflatten(0, tuple(rows))  # type: ignore[missing-attribute]
        return type(law)(law.mean.unflatten(0, tuple(rows)), scale_tril=low, validate_args=False)  # type: ignore[bad-argument-count]
    if law.support is None or law.support.is_discrete:
        raise SupportError(f"z given its class is {type(law).__name__}; expected a Gaussian (--posterior gaussian)")
    return diagonal_gaussian(law.mean.unflatten(0, tuple(rows)), deviation(law).unflatten(0, tuple(rows)))
