"""What an evaluation found."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from vael.counting import counted
from vael.evaluation.classification import Classification
from vael.evaluation.divergence_parts import DecomposedDivergence

K_HAT_LIMIT = 0.7  # Vehtari et al. 2024
UNTRUSTED_SHARE = 0.1  # of the examples, above which a warning is due
LEAST_EFFECTIVE = 10.0  # draws that the weights are worth on average


@runtime_checkable
class Weighed(Protocol):
    """What is known of the weights of an estimate of log p(x)."""

    @property
    def effective_sample_size(self) -> float | None: ...

    @property
    def k_hat_above_limit(self) -> float | None: ...


def untrusted(found: Weighed) -> bool:
    """Whether the weights say that log p(x) lacks more than its error bar shows: the one rule for cards, sentences
    and warnings.
    """
    few = found.effective_sample_size is not None and found.effective_sample_size < LEAST_EFFECTIVE
    return few or (found.k_hat_above_limit is not None and found.k_hat_above_limit > UNTRUSTED_SHARE)


@dataclass(frozen=True)
class Evaluation:
    """Numbers of a model on one split: nats per example, means over all examples, unless the name says otherwise.

    `log_likelihood` and what follows from it are None where the model has no likelihood (`notes` says so); `is_bound`
    is false then, and `elbo` is the objective, minus `distortion` and `divergence`, which bounds nothing.
    """

    data: str
    split: str
    examples: int
    elbo: float
    distortion: float  # -E_q[log p(x | z)]
    divergence: float  # KL(q(z | x) || p(z))
    log_likelihood: float | None  # importance-weighted estimate of log p(x), a lower bound in expectation
    standard_error: float | None  # over examples, of log_likelihood; None for a single example
    importance_samples: int
    bits_per_dim: float | None  # of log_likelihood; None for densities
    effective_sample_size: float | None  # of the K weights, mean over examples
    worst_effective_sample_size: float | None
    k_hat: float | None  # of the weights, median over examples; None where K is too small
    k_hat_above_limit: float | None  # share of examples above 0.7
    active_units: int
    latent_features: int
    divergence_per_latent: Float[Tensor, " features"] | None
    elbo_per_example: Float[Tensor, " examples"]
    log_likelihood_per_example: Float[Tensor, " examples"] | None
    k_hat_per_example: Float[Tensor, " examples"] | None
    seed: int
    seconds: float
    estimator: str  # how the numbers were estimated, in a sentence
    warnings: tuple[str, ...] = ()  # reasons not to trust a number
    notes: tuple[str, ...] = ()  # what every figure must say
    is_bound: bool = True  # whether `elbo` is a lower bound on log p(x)
    conditioned_on: tuple[str, ...] = ()  # what c is made of, where every p(x) is p(x | c)
    classification: Classification | None = None  # of a model of classes, where labels are known
    steps: float | None = None  # of sequences: at how many times something was seen, mean over windows
    fitted_share: float = (
        0.0  # of the examples whose draws for log p(x) came from a proposal fitted to them, not from the encoder
    )

    parts: DecomposedDivergence | None = None  # of the divergence; None where it cannot be taken apart

    @property
    def elbo_per_step(self) -> float | None:
        """`elbo` for each time at which something was seen; None where examples are no sequences."""
        return self.elbo / self.steps if self.steps else None

    @property
    def log_likelihood_per_step(self) -> float | None:
        """`log_likelihood` for each time at which something was seen; None where examples are no sequences."""
        return self.log_likelihood / self.steps if self.steps and self.log_likelihood is not None else None

    def __repr__(self) -> str:
        """Every figure, without what belongs to single examples."""
        known = [(one.name, getattr(self, one.name)) for one in fields(self)]
        said = [
            f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value!r}"
            for name, value in known
            if not isinstance(value, Tensor)
        ]
        return f"Evaluation({', '.join(said)})"

    def __str__(self) -> str:
        """The figures in one line, as a person says them."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        given = f" given {', '.join(self.conditioned_on)}" if self.conditioned_on else ""
        weighed = (
            ""
            if self.log_likelihood is None
            else f"log p(x){given} {self.log_likelihood:.2f}{error} (K = {self.importance_samples:,}), "
        )
        what = "bound" if self.is_bound else "objective"
        doubts = f"; {counted(len(self.warnings), 'warning')} in .warnings" if self.warnings else ""
        return (
            f"{self.data}, {self.split} split of {counted(self.examples, 'example')}: {weighed}{what} {self.elbo:.2f} "
            "= "
            f"−({self.distortion:.2f} distortion + {self.divergence:.2f} divergence) nats, "
            f"{self.active_units} of {counted(self.latent_features, 'latent')} active{doubts}"
        )
