"""A flow knows the density of its last draw, and goes back for any other vector."""

import pytest
import torch

from oracles import generator
from vael.probability import Stream, draw
from vael.probability.flows.flow import Bijection, Carried, Flow
from vael.probability.standard import standard_gaussian

SHIFT, SCALE = torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 3.0]).double()


class OneWay(Bijection):
    """u ↦ scale u + shift, and how often it was asked to go back."""

    def __init__(self):
        self.back = 0

    def forward(self, u):
        return Carried(SCALE * u + SHIFT, SCALE.log().sum().expand(u.shape[:-1]))

    def inverse(self, z):
        self.back += 1
        return Carried((z - SHIFT) / SCALE, -SCALE.log().sum().expand(z.shape[:-1]))

    def without_gradient(self):
        return self

    def at_rows(self, which):
        return self


def law(step):
    return Flow(standard_gaussian(torch.zeros(2).double(), torch.ones(2).double()), [step])


def gaussian(z):
    return torch.distributions.Normal(SHIFT, SCALE).log_prob(z).sum(-1)


def test_the_density_of_the_last_draw_takes_no_way_back_and_that_of_others_does():
    step = OneWay()
    flow = law(step)
    one = draw(flow, 4, generator(0))
    torch.testing.assert_close(flow.log_prob(one), gaussian(one))
    assert step.back == 0
    other = draw(flow, 4, generator(1))
    torch.testing.assert_close(flow.log_prob(one), gaussian(one))
    assert step.back == 1  # it is no longer the last one
    torch.testing.assert_close(flow.log_prob(other), gaussian(other))
    assert step.back == 1
    torch.testing.assert_close(flow.log_prob(other.clone()), gaussian(other))
    assert step.back == 2
    torch.testing.assert_close(law(step).log_prob(other), gaussian(other))  # nothing was drawn
    assert step.back == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_draws_and_moments_are_those_of_the_map(seed):
    flow = law(OneWay())
    u = Stream(generator(seed)).normal((5, 2), SHIFT)
    torch.testing.assert_close(draw(flow, 5, generator(seed)), SCALE * u + SHIFT)
    torch.testing.assert_close(flow.mean, SHIFT)  # draws stand beside their opposites
    torch.testing.assert_close(flow.variance, SCALE.square(), rtol=0.4, atol=0)  # 128 free draws: 3 standard errors
