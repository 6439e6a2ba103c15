"""Laws of every flow, with every map of single numbers: invertible, with the log-determinant of its Jacobian, and what
it makes of a Gaussian is normalised and drawn as its density says.
"""

import itertools
import math

import pytest
import torch
from torch.func import jacrev

from oracles import generator
from vael.models.flows.parts import FlowPart
from vael.parts import members
from vael.probability import detached, diagonal_gaussian, draw, standard_gaussian

MAPS = FlowPart.model_fields["map"].annotation.__args__
SIZES, CONTEXT = (1, 2, 5), 3
EACH = pytest.mark.parametrize(("kind", "each"), list(itertools.product(members(FlowPart), MAPS)))


def layers(kind, each, features, *, context=0, spread=0.15, dtype=torch.float64):
    """Layers away from where they start."""
    with torch.random.fork_rng():
        torch.manual_seed(features)
        made = members(FlowPart)[kind](layers=3, hidden=(8,), map=each, bins=4).build(features, context).to(dtype)
        with torch.no_grad():
            for weights in made.parameters():
                weights += spread * torch.randn(weights.shape, dtype=dtype)
    return made


def standard(features, dtype=torch.float64):
    return standard_gaussian(torch.zeros(features, dtype=dtype), torch.ones(features, dtype=dtype))


@EACH
@pytest.mark.parametrize("features", SIZES)
def test_it_goes_back_and_its_determinant_is_that_of_its_jacobian(kind, each, features):
    made = layers(kind, each, features, context=CONTEXT)
    c = torch.randn(4, CONTEXT, generator=generator(1), dtype=torch.float64)
    u = 3 * torch.randn(2, 4, features, generator=generator(), dtype=torch.float64)  # some beyond the span of a spline
    for step in made.after(standard(features), c).steps:
        there = step.forward(u)
        back = step.inverse(there.value)
        torch.testing.assert_close(back.value, u, rtol=0, atol=1e-9)
        torch.testing.assert_close(back.log_det, -there.log_det, rtol=0, atol=1e-9)

    def whole(one):  # of the third row
        flow = made.after(standard(features), c[2])
        return flow.carried(one).value

    known = made.after(standard(features), c).carried(u).log_det[0, 2]
    jacobian = jacrev(whole)(u[0, 2])
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], known, rtol=0, atol=1e-9)


@EACH
@pytest.mark.parametrize("features", [1, 2])
def test_it_integrates_to_one_and_draws_are_those_of_the_density(kind, each, features):
    """Means, squares and products of 8,000 draws within 5 standard errors: false-alarm rate 3e-6 a flow. A spline has
    bends, so that a grid sums it to 2e-3 only.
    """
    with torch.no_grad():
        flow = layers(kind, each, features).after(standard(features))
        step = 0.08 if features == 2 else 0.005
        line = torch.arange(-9, 9 + step, step, dtype=torch.float64)
        points = torch.cartesian_prod(*[line] * features).reshape(-1, features)
        mass = (flow.log_prob(points) + features * math.log(step)).exp()
        assert mass.sum().item() == pytest.approx(1, abs=2e-3 if each == "spline" else 1e-5)
        z = draw(flow, 8000, generator(2))

    def looked_at(z):
        return torch.cat((z, z.square(), z.prod(-1, keepdim=True), z.sin()), -1)

    error = looked_at(z).std(0) / math.sqrt(len(z))
    assert ((looked_at(z).mean(0) - mass @ looked_at(points)).abs() <= 5 * error + 2e-3 * (each == "spline")).all()
    assert ((flow.mean - z.mean(0)).abs() <= 5 * (flow.variance / 128).sqrt()).all()


@EACH
def test_the_density_of_a_draw_is_the_same_by_both_ways_in_float32(kind, each):
    """What is remembered from the way on which it came, and what is found by going back."""
    with torch.no_grad():
        made = layers(kind, each, 8, context=CONTEXT, dtype=torch.float32)
        c = torch.randn(6, CONTEXT, generator=generator(1))
        flow = made.after(diagonal_gaussian(torch.randn(6, 8, generator=generator()), torch.ones(6, 8) / 4), c)
        z = draw(flow, 10, generator(3))
        assert flow.log_prob(z).shape == (10, 6)
        torch.testing.assert_close(flow.log_prob(z), flow.log_prob(z.clone()), rtol=1e-4, atol=2e-3)


@EACH
def test_held_it_is_the_same_density_without_a_gradient_of_its_own(kind, each):
    """What gradients along paths take: the slope in z stays, that in the weights, the context and the base goes."""
    made = layers(kind, each, 3, context=CONTEXT)
    c = torch.randn(4, CONTEXT, generator=generator(1), dtype=torch.float64).requires_grad_()
    loc = torch.zeros(4, 3, dtype=torch.float64).requires_grad_()
    flow = made.after(diagonal_gaussian(loc, torch.ones_like(loc)), c)
    z = draw(flow, 2, generator())
    held, free = detached(flow), z.detach().requires_grad_()
    torch.testing.assert_close(held.log_prob(z), flow.log_prob(z))
    given = [free, c, loc, *made.parameters()]
    of_held = torch.autograd.grad(held.log_prob(free).sum(), given, allow_unused=True)
    of_flow = torch.autograd.grad(flow.log_prob(free).sum(), given, allow_unused=True)
    torch.testing.assert_close(of_held[0], of_flow[0])
    assert all(gradient is None for gradient in of_held[1:])
    assert all(gradient is not None for gradient in of_flow[:3])


@EACH
def test_no_weights_break_it(kind, each):
    for scale in (-100.0, 100.0):
        made = layers(kind, each, 3, dtype=torch.float32)
        with torch.no_grad():
            for number, weights in enumerate(made.parameters()):
                weights.copy_(scale * torch.randn(weights.shape, generator=generator(number)))
        z = (3 * torch.randn(50, 3, generator=generator())).requires_grad_()
        log_prob = made.after(standard(3, torch.float32)).log_prob(z)
        gradients = torch.autograd.grad(log_prob.sum(), [z, *made.parameters()])
        assert bool(log_prob.isfinite().all())
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
