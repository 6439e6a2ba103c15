"""What is special about single laws; what they share is in tests/laws."""

import math

import pytest
import torch
import torch.nn.functional as F

from vael.errors import ShapeError
from vael.probability import CodeChoice, ContinuousBernoulli, DiscretizedLogistic, GreyCrossEntropy, draw
from vael.probability.observation import log_normalizer, softplus


def test_softplus_is_exact_in_float64():
    x = torch.tensor([-800.0, -30.0, 0.0, 19.9, 20.1, 35.0, 800.0], dtype=torch.float64)
    exact = [math.log1p(math.exp(v)) if v < 0 else v + math.log1p(math.exp(-v)) for v in x.tolist()]
    torch.testing.assert_close(softplus(x), torch.tensor(exact, dtype=torch.float64), rtol=1e-14, atol=0)


@pytest.mark.parametrize("levels", [0, 1])
def test_fewer_than_two_levels_are_refused(levels):
    with pytest.raises(ShapeError, match="at least 2"):
        DiscretizedLogistic(torch.zeros(3), torch.zeros(3), levels)


def test_both_edges_are_open_and_known_by_their_level():
    """All mass that lies beyond goes to the outermost levels, and level 254 of 256 is not one."""
    below, above = (DiscretizedLogistic(torch.tensor(loc), torch.tensor(0.0), 256) for loc in (-50.0, 305.0))
    assert float(below.log_prob(torch.tensor(0.0)).exp()) == pytest.approx(1)
    assert float(above.log_prob(torch.tensor(255.0)).exp()) == pytest.approx(1)
    assert float(above.log_prob(torch.tensor(254.0))) == pytest.approx(
        -50 + math.log(math.exp(-0.5) * (1 - math.exp(-1))), abs=1e-3
    )


def test_a_discretised_logistic_of_many_levels_has_its_mean():
    """65 536 levels, summed block by block; in the middle of the range the mean is the location."""
    law = DiscretizedLogistic(torch.tensor([30_000.25]).double(), torch.tensor([5.0]).double(), 65_536)
    assert float(law.mean) == pytest.approx(30_000.25, abs=1e-6)


def test_codes_are_told_apart_by_rounding_and_have_a_mode():
    law = CodeChoice(torch.tensor([[0.0, 2.0, 1.0]]))
    torch.testing.assert_close(law.log_prob(torch.tensor([0.9999])), law.log_prob(torch.tensor([1.0])))
    assert law.mode.tolist() == [1.0]
    assert float(law.mean) == pytest.approx(float((torch.tensor([0.0, 2.0, 1.0]).softmax(0) * torch.arange(3)).sum()))


def test_the_normaliser_of_the_continuous_bernoulli_joins_smoothly():
    """Value and slope where the series ends, in float32 and float64, and the limits 0 and l - log l."""
    for dtype, exact in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        at = torch.tensor([0.5], dtype=dtype)
        near, far = at.nextafter(torch.zeros_like(at)).requires_grad_(), at.clone().requires_grad_()
        torch.testing.assert_close(log_normalizer(near), log_normalizer(far), rtol=0, atol=exact)
        slopes = [torch.autograd.grad(log_normalizer(x).sum(), x)[0] for x in (near, far)]
        torch.testing.assert_close(*slopes, rtol=0, atol=4 * exact)
        torch.testing.assert_close(slopes[0], ContinuousBernoulli(at).mean, rtol=0, atol=4 * exact)
    ends = torch.tensor([0.0, 1000.0, -1000.0])
    torch.testing.assert_close(log_normalizer(ends), torch.tensor([0.0, 1000 - math.log(1000), -math.log(1000)]))


def test_the_cross_entropy_of_grey_values_is_the_lectures_and_is_no_density():
    logits, x = torch.linspace(-3, 3, 7), torch.linspace(0, 255, 7)
    loss = F.binary_cross_entropy(torch.sigmoid(logits), x / 255, reduction="none")
    torch.testing.assert_close(GreyCrossEntropy(logits, 255.0).log_prob(x), -loss)
    grid = torch.linspace(0, 1, 2001)
    assert float(GreyCrossEntropy(torch.zeros(1)).log_prob(grid).exp().mean()) == pytest.approx(0.5, abs=1e-6)  # not 1
    law = GreyCrossEntropy(logits, 255.0)
    torch.testing.assert_close(
        draw(law, 3, torch.Generator().manual_seed(0)), law.mean.expand(3, *logits.shape)
    )  # nothing to draw from
