"""KL(q || p): closed forms where they are registered, a Monte-Carlo estimate where they are not."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.kl import _dispatch_kl, kl_divergence

_registered: dict[tuple[type, type], bool] = {}  # remembered, since the search by PyTorch cannot be compiled


def has_closed_form(q: Distribution, p: Distribution) -> bool:
    """Whether KL(q || p) is registered with `torch.distributions.kl.register_kl`."""
    if isinstance(q, Independent) and isinstance(p, Independent):
        return has_closed_form(q.base_dist, p.base_dist)
    kinds = (type(q), type(p))
    if kinds not in _registered:
        _registered[kinds] = _dispatch_kl(*kinds) is not NotImplemented
    return _registered[kinds]


def divergence(q: Distribution, p: Distribution, latent: Tensor) -> Tensor:
    """KL(q || p) in nats, one for each draw: `[samples, *batch_shape]`.

    Closed form where one is registered (then equal for all draws); otherwise log q(z) - log p(z) at the draws `latent ~ q`, whose
    mean over draws is the divergence.
    """
    if has_closed_form(q, p):
        exact = kl_divergence(q, p)
        return exact.expand(latent.shape[0], *exact.shape)
    return q.log_prob(latent) - p.log_prob(latent)
