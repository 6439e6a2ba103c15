import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent

from vael.data import Batch
from vael.inference import approximation, differentiable_at_once
from vael.inference.joint import LatentJoint
from vael.inference.memory import MOST, TIMES, kept
from vael.models import Conditional
from vael.probability import diagonal_gaussian

WIDE, FEATURES, PIXELS, EXAMPLES = 2**14, 3, 4, 40  # 64 KiB of float32 for each latent


class Prior(Conditional):
    def forward(self, context=None):
        return diagonal_gaussian(torch.zeros(FEATURES), torch.ones(FEATURES))


class Wide(Conditional):
    """Its layers keep little, its density 64 KiB for each latent; it notes how many latents came at once."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.most = nn.Linear(FEATURES, PIXELS), 0
        self.register_buffer("directions", torch.randn(WIDE // PIXELS))

    def forward(self, z, context=None):
        self.most = max(self.most, z.shape[:-1].numel())
        logits = (self.first(z)[..., None] * self.directions).tanh().mean(-1)  # tanh keeps its result
        return Independent(Bernoulli(logits=20 * logits), 1)


class Narrow(Conditional):
    def forward(self, z, context=None):
        return Independent(Bernoulli(logits=z[..., :1].expand(*z.shape[:-1], PIXELS)), 1)


def joint(likelihood, examples=EXAMPLES):
    x = (torch.rand(examples, PIXELS, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    own = diagonal_gaussian(torch.zeros(examples, FEATURES), torch.ones(examples, FEATURES))
    return LatentJoint(Prior(), likelihood, Batch(x), own)


def test_what_a_latent_keeps_is_counted_also_inside_a_density():
    about = joint(Wide())
    each = kept(about, 2) - kept(about, 1)
    assert 4 * WIDE <= each < 2.2 * 4 * WIDE  # the result of tanh, and that of the product at most
    assert differentiable_at_once(about, memory=10 * TIMES * each) == 10
    assert differentiable_at_once(about, memory=1) == 1
    assert differentiable_at_once(joint(Narrow())) == MOST


@pytest.mark.parametrize("at_once", [2, 7, 40, 1000])
def test_a_fit_differentiates_no_more_latents_than_memory_holds(monkeypatch, at_once):
    wide = Wide()
    whole = approximation(joint(wide))
    assert wide.most == EXAMPLES * FEATURES  # columns of all Hessians together, where nothing limits them
    wide.most = 0
    monkeypatch.setattr("vael.inference.laplace.differentiable_at_once", lambda about: at_once)
    parts = approximation(joint(wide))
    assert wide.most <= at_once
    torch.testing.assert_close(parts.loc, whole.loc, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts.scale_tril, whole.scale_tril, rtol=1e-3, atol=1e-4)
