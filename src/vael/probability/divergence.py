"""KL(q || p): closed forms where they are registered, a Monte-Carlo estimate where they are not."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.kl import _dispatch_kl, kl_divergence


def has_closed_form(q: Distribution, p: Distribution) -> bool:
    """Whether KL(q || p) is registered with `torch.distributions.kl.register_kl`."""
    if isinstance(q, Independent) and isinstance(p, Independent):
        return has_closed_form(q.base_dist, p.base_dist)
    return _dispatch_kl(type(q), type(p)) is not NotImplemented


def divergence(q: Distribution, p: Distribution, latent: Tensor) -> Tensor:
    """KL(q || p) in nats, one for each draw: `[samples, *batch_shape]`.

    Closed form where one is registered (then equal for all draws); otherwise log q(z) - log p(z) at the draws `latent ~ q`, whose
    mean over draws is the divergence.
    """
    if has_closed_form(q, p):
        exact = kl_divergence(q, p)
        return exact.expand(latent.shape[0], *exact.shape)
    return q.log_prob(latent) - p.log_prob(latent)
