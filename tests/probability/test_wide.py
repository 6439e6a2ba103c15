"""Laws in float64: the same parameters and the same variates with more digits, and laws without a wider form as they
are.
"""

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Laplace, Normal

from vael.probability import draw
from vael.probability.wide import draw_wide, widened

LOC, SCALE = torch.tensor([0.1, 123_456.7]), torch.tensor([0.3, 1e4])


def generator():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("kind", [Normal, Laplace])
def test_a_wider_law_has_the_parameters_and_the_draws_of_its_own_with_more_digits(kind):
    law = kind(LOC, SCALE, validate_args=False)
    wide = widened(law)
    assert type(wide) is kind
    assert torch.equal(wide.loc, LOC.double())
    assert torch.equal(wide.scale, SCALE.double())
    narrow, found = draw(law, 500, generator()), draw_wide(law, 500, generator())
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, narrow.double(), rtol=1e-5, atol=1e-4)
    assert not torch.equal(found, narrow.double())  # digits beyond those of float32


@pytest.mark.parametrize("kind", [Bernoulli, Categorical])
def test_a_law_of_whole_numbers_stays_as_it_is(kind):
    law = kind(logits=LOC, validate_args=False)
    assert widened(law) is law
    assert torch.equal(draw_wide(law, 9, generator()), draw(law, 9, generator()))
