"""KL(q || p): closed forms where they are registered, a Monte-Carlo estimate where they are not."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.distributions.kl import _dispatch_kl, kl_divergence, register_kl

_registered: dict[tuple[type, type], bool] = {}  # remembered, since the search by PyTorch cannot be compiled


def has_closed_form(q: Distribution, p: Distribution) -> bool:
    """Whether KL(q || p) is registered with `torch.distributions.kl.register_kl`."""
    if isinstance(q, Independent) and isinstance(p, Independent):
        return has_closed_form(q.base_dist, p.base_dist)
    for full, other in ((q, p), (p, q)):
        if isinstance(full, MultivariateNormal) and isinstance(other, Independent):
            return isinstance(other.base_dist, Normal) and other.event_shape == full.event_shape
    kinds = (type(q), type(p))
    if kinds not in _registered:
        _registered[kinds] = _dispatch_kl(*kinds) is not NotImplemented
    return _registered[kinds]


@register_kl(MultivariateNormal, Independent)
def _correlated_from_independent(q: MultivariateNormal, p: Independent) -> Tensor:
    """½ Σ_j ((Σ_jj + (μ_j - m_j)²) / s_j² - 1 + log s_j²) - Σ_j log L_jj for N(μ, L Lᵀ) from N(m, diag s²): no
    solve is needed.
    """
    if not isinstance(p.base_dist, Normal):
        raise NotImplementedError
    loc, scale, tril = p.base_dist.loc, p.base_dist.scale, q.scale_tril
    spread = (tril.square().sum(-1) + (q.loc - loc).square()) / scale.square()
    return (0.5 * (spread - 1) + scale.log() - tril.diagonal(dim1=-2, dim2=-1).log()).sum(-1)


@register_kl(Independent, MultivariateNormal)
def _independent_from_correlated(q: Independent, p: MultivariateNormal) -> Tensor:
    """As between two full covariances, of which the first is diagonal."""
    if not isinstance(q.base_dist, Normal):
        raise NotImplementedError
    return kl_divergence(
        MultivariateNormal(q.base_dist.loc, scale_tril=q.base_dist.scale.diag_embed(), validate_args=False), p
    )


def divergence(q: Distribution, p: Distribution, latent: Tensor) -> Tensor:
    """KL(q || p) in nats, one for each draw: `[samples, *batch_shape]`.

    Closed form where one is registered (then equal for all draws); otherwise log q(z) - log p(z) at the draws `latent ~
    q`, whose mean over draws is the divergence.
    """
    if has_closed_form(q, p):
        exact = kl_divergence(q, p)
        return exact.expand(latent.shape[0], *exact.shape)
    return q.log_prob(latent) - p.log_prob(latent)
