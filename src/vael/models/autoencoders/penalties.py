"""What an autoencoder states about its codes besides the error: named penalties, per example, weighted by the
objective alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vjp

from vael.errors import ShapeError, SupportError
from vael.probability import Noise


@dataclass(frozen=True)
class Coded:
    """An encoder, what it was given and what it made of it."""

    encoder: nn.Module
    x: Float[Tensor, "batch *event"]  # damaged, where there is a corruption
    code: Float[Tensor, "batch features"]
    noise: Noise
    weight: Tensor | None = None  # of the examples, 0 pads


class Penalty(ABC):
    """Abstract: a number for each example that is to be small."""

    @abstractmethod
    def __call__(self, coded: Coded) -> Float[Tensor, " batch"]:
        """The penalty, unweighted."""


@dataclass(frozen=True)
class AbsoluteActivation(Penalty):
    """Σ_j |h_j|: most numbers of a code are driven to 0 (the L1 penalty of sparse coding, Olshausen & Field 1996)."""

    def __call__(self, coded: Coded) -> Float[Tensor, " batch"]:
        return coded.code.abs().sum(1)


@dataclass(frozen=True)
class ActivationDivergence(Penalty):
    """Σ_j KL(ρ || ρ̂_j) in nats, ρ̂_j the mean activation of unit j over the batch: each unit is on for a share ρ of
    the data (Ng 2011).

    KL(ρ || ρ̂) = ρ log(ρ / ρ̂) + (1 - ρ) log((1 - ρ) / (1 - ρ̂)). Codes must lie in [0, 1], as a logistic activation
    gives them. The mean is over the examples of a batch, so every one of them has the same penalty, and it depends on
    who shares the batch.

    Errors: `SupportError` for a target outside (0, 1) and for codes outside [0, 1].
    """

    target: float | int = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise SupportError(
                f"the mean activation is to be {self.target}; expected a number between 0 and 1, such as 0.05"
            )

    def __call__(self, coded: Coded) -> Float[Tensor, " batch"]:
        code, rho = coded.code, self.target
        if not torch.compiler.is_compiling():
            in_unit_interval(code.detach())
        weight = code.new_ones(len(code)) if coded.weight is None else coded.weight.to(code.dtype)
        mean = (weight @ code / weight.sum().clamp(min=1)).clamp(1e-6, 1 - 1e-6)
        divergence = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
        return divergence.sum().expand(len(code))


def in_unit_interval(code: Tensor) -> None:
    """Refuse codes that are no activations between 0 and 1. Errors: `SupportError`."""
    low, high = float(code.min()), float(code.max())
    if low < 0 or high > 1:
        raise SupportError(
            f"codes lie in [{low:.3g}, {high:.3g}], but a divergence between activations needs them in [0, 1]; end the "
            "encoder in torch.nn.Sigmoid()"
        )


@dataclass(frozen=True)
class Contraction(Penalty):
    """‖∂h/∂x‖²_F, the squared Frobenius norm of the encoder's Jacobian (Rifai, Vincent, Muller, Glorot & Bengio 2011,
    eq. 1).

    With `probes` None it is exact, at the price of one backward pass for each number of the code: for small codes. With
    probes it is estimated without bias as the mean of ‖vᵀ ∂h/∂x‖² over that many v with signs ±1 (Hutchinson 1990). The
    encoder must not mix the examples of a batch.
    """

    probes: int | None = None

    def __post_init__(self) -> None:
        if self.probes is not None and self.probes < 1:
            raise ShapeError(
                f"a Jacobian was to be estimated from {self.probes} probes; expected at least 1, or None for the exact "
                "norm"
            )

    def __call__(self, coded: Coded) -> Float[Tensor, " batch"]:
        given = vjp(coded.encoder, coded.x)
        code, pull = given[0], given[1]
        directions = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)[:, None].expand(-1, *code.shape)
        if self.probes is not None:
            directions = 1 - 2 * (coded.noise.uniform((self.probes, *code.shape), code) < 0.5).to(code.dtype)
        norms = torch.stack([pull(v)[0].flatten(1).square().sum(1) for v in directions])
        return norms.sum(0) if self.probes is None else norms.mean(0)


@dataclass(frozen=True)
class LogisticContraction(Penalty):
    """`Contraction` of an encoder h = σ(W x + b), in closed form: Σ_j (h_j (1 - h_j))² Σ_i W_ji² (Rifai et al. 2011,
    section 5.3).

    Errors: `ShapeError` if there is more in the encoder than one linear layer, a logistic activation, and reshaping.
    """

    def __call__(self, coded: Coded) -> Float[Tensor, " batch"]:
        weight = only_layer(leaves(coded.encoder)).weight
        return (coded.code * (1 - coded.code)).square() @ weight.square().sum(1)


def leaves(network: nn.Module) -> list[nn.Module]:
    """The layers of a network that do something."""
    return [
        layer
        for layer in network.modules()
        if not list(layer.children()) and not isinstance(layer, nn.Flatten | nn.Identity | nn.Sequential)
    ]


def only_layer(layers: Iterable[nn.Module]) -> nn.Linear:
    """The linear layer of linear-then-logistic. Errors: `ShapeError` for any other layers."""
    found = list(layers)
    if len(found) == 2 and isinstance(found[0], nn.Linear) and isinstance(found[1], nn.Sigmoid):
        return found[0]
    raise ShapeError(
        f"the closed form of the Jacobian is for one linear layer and torch.nn.Sigmoid(), but the encoder has "
        f"{', '.join(type(layer).__name__ for layer in found) or 'no layers'}; use Contraction() or "
        "Contraction(probes=1)"
    )
