"""Where randomness comes from: draws by the law, noise that belongs to examples, noise that is written down and
given again.
"""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Bernoulli, Categorical, Independent, Laplace, MultivariateNormal, Normal, Poisson

from vael.errors import StateError
from vael.probability import (
    PerExample,
    Recorded,
    Replayed,
    Stream,
    as_noise,
    detached,
    diagonal_gaussian,
    draw,
    register_draw,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


LOC = torch.tensor([[-1.0, 0.0], [2.0, 5.0]], dtype=torch.float64)
LAWS = {
    "normal": Normal(LOC, LOC.exp(), validate_args=False),
    "laplace": Laplace(LOC, LOC.exp(), validate_args=False),
    "bernoulli": Bernoulli(logits=LOC, validate_args=False),
    "categorical": Categorical(logits=LOC, validate_args=False),
    "diagonal gaussian": diagonal_gaussian(LOC, LOC.exp()),
    "multivariate normal": MultivariateNormal(LOC, torch.tensor([[2.0, 0.6], [0.6, 1.0]], dtype=torch.float64)),
}
EACH = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


@EACH
def test_draws_have_the_mean_and_the_variance_of_the_law(law):
    """Means of 40 000 draws within 5 standard errors, variances within 10 %: false-alarm rate below 1e-5."""
    x = draw(law, 40_000, generator())
    assert x.shape == (40_000, *law.batch_shape, *law.event_shape)
    if isinstance(law, Categorical):
        x, mean = (x == 1).double(), law.probs[:, 1]
        assert ((x.mean(0) - mean).abs() <= 5 * (mean * (1 - mean) / 40_000).sqrt()).all()
        return
    assert ((x.mean(0) - law.mean).abs() <= 5 * (law.variance / 40_000).sqrt()).all()
    torch.testing.assert_close(x.var(0), law.variance, rtol=0.1, atol=1e-3)


def test_draws_of_a_multivariate_normal_have_its_covariance():
    """20 000 draws of the covariance 0.6: within 6 standard errors of 0.011."""
    x = draw(LAWS["multivariate normal"], 20_000, generator())[:, 0]
    assert abs(float(torch.cov(x.T)[0, 1]) - 0.6) < 0.07


@EACH
def test_equal_seeds_give_equal_draws(law, random_state_untouched):
    assert torch.equal(draw(law, 3, generator(1)), draw(law, 3, generator(1)))
    assert not torch.equal(draw(law, 50, generator(1)), draw(law, 50, generator(2)))


@pytest.mark.parametrize("kind", [Normal, Laplace])
def test_draws_carry_the_gradient_of_their_parameters(kind):
    loc, scale = (
        torch.zeros(3, dtype=torch.float64, requires_grad=True),
        torch.ones(3, dtype=torch.float64, requires_grad=True),
    )
    noise = Recorded(Stream(generator()))
    draw(kind(loc, scale), 1, noise)

    def replayed(loc, scale):
        return draw(kind(loc, scale, validate_args=False), 1, Replayed(noise.variates))

    assert torch.autograd.gradcheck(replayed, (loc, scale))


def test_a_laplace_draw_is_finite_at_the_ends_of_the_uniform():
    ends = torch.tensor([0.0, torch.finfo(torch.float32).tiny, 0.5, 1 - 2.0**-24])
    x = draw(Laplace(torch.zeros(4), torch.ones(4)), 1, Replayed([ends[None]]))
    assert x.isfinite().all()


def test_a_law_without_a_way_to_draw_is_refused_until_one_is_registered():
    class Own(Poisson):
        """A law that nobody knows."""

    law = Own(torch.tensor([3.0]))
    with pytest.raises(StateError, match=r"Own.*register_draw"):
        draw(law, 1, generator())
    register_draw(Own)(lambda law, shape, noise: noise.uniform(shape, law.rate))
    assert draw(law, 2, generator()).shape == (2, 1)


def by_example(index, shape=(3, 2), seed=7, skip=0, calls=1):
    noise, like = PerExample(seed, torch.tensor(index), skip), torch.zeros(1)
    return [noise.normal((shape[0], len(index), *shape[1:]), like) for _ in range(calls)][-1]


def test_noise_of_an_example_does_not_depend_on_its_companions():
    whole = by_example([5, 9, 2, 1_000_000])
    assert torch.equal(by_example([2, 5]), whole[:, [2, 0]])
    assert torch.equal(by_example([1_000_000]), whole[:, [3]])


def test_noise_of_examples_differs_by_seed_example_and_call():
    first = by_example([1, 2])
    for other in (by_example([1, 2], seed=8), by_example([3, 4]), by_example([1, 2], calls=2)):
        assert not torch.isclose(first, other).any()
    assert torch.equal(by_example([1, 2], skip=1), by_example([1, 2], calls=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_noise_of_examples_is_standard(dtype):
    """10 000 variates: mean within 5 standard errors, mean square within 8 %; uniforms stay in [0, 1)."""
    noise, like = PerExample(0, torch.arange(100)), torch.zeros(1, dtype=dtype)
    normal, uniform = noise.normal((100, 100), like), noise.uniform((100, 100), like)
    assert normal.dtype == uniform.dtype == dtype
    assert abs(float(normal.mean())) < 0.05
    assert abs(float(normal.square().mean()) - 1) < 0.08
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    assert abs(float(uniform.mean()) - 0.5) < 0.015


@pytest.mark.parametrize(("kind", "dtype"), [(np.float32, torch.float32), (np.float64, torch.float64)], ids=str)
def test_noise_of_examples_is_numpys_philox_by_seed_example_and_call(kind, dtype):
    """What every version gave: figures of one version are figures of the next."""
    noise, like = PerExample(7, torch.tensor([4, 9]), skip=2), torch.zeros(1, dtype=dtype)
    uniform, normal = noise.uniform((3, 2, 5), like), noise.normal((3, 2), like)
    for place, row in enumerate((4, 9)):
        sources = [np.random.Generator(np.random.Philox(key=[7, row], counter=[0, 0, 0, call])) for call in (2, 3)]
        assert np.array_equal(uniform[:, place].numpy(), sources[0].random((3, 5), dtype=kind))
        assert np.array_equal(normal[:, place].numpy(), sources[1].standard_normal(3, dtype=kind))


@pytest.mark.parametrize("high", [1, 2, 3, 129, 254, 255, 256])
def test_bytes_below_a_number_are_uniform_below_it(high):
    """From a stream as from noise of examples: every one of them, none above; chi-square, false-alarm rate 1e-6."""
    for source in (Stream(generator(high)), PerExample(high, torch.arange(40))):
        found = source.bytes_below(high, (40, 3, 7, 51), torch.device("cpu"))
        assert (found.dtype, found.shape) == (torch.uint8, (40, 3, 7, 51))
        counts = torch.bincount(found.flatten().long(), minlength=high)
        assert len(counts) == high
        assert high == 1 or stats.chisquare(counts.numpy()).pvalue > 1e-6


def test_noise_of_examples_wants_the_examples_on_the_second_axis():
    with pytest.raises(StateError, match="2 examples"):
        PerExample(0, torch.tensor([1, 2])).normal((2, 3), torch.zeros(1))


def test_what_is_written_down_can_be_given_again():
    law, recorder = diagonal_gaussian(torch.zeros(4, 2), torch.ones(4, 2)), Recorded(Stream(generator()))
    first, second = draw(law, 3, recorder), draw(Bernoulli(logits=torch.zeros(4)), 2, recorder)
    assert recorder.requests == [("normal", (3, 4, 2)), ("uniform", (2, 4))]
    again = Replayed(recorder.variates)
    assert torch.equal(draw(law, 3, again), first)
    assert torch.equal(draw(Bernoulli(logits=torch.zeros(4)), 2, again), second)
    with pytest.raises(StateError, match="number 1"):
        draw(law, 2, Replayed(recorder.variates))


def test_a_generator_is_a_source_of_noise():
    noise = Stream(generator())
    assert as_noise(noise) is noise
    assert torch.equal(as_noise(generator()).normal((5,), LOC), noise.normal((5,), LOC))


def test_detached_reaches_into_laws_within_laws():
    loc = torch.zeros(4, 2, requires_grad=True)
    law = diagonal_gaussian(loc, loc.exp())
    cut = detached(law)
    assert isinstance(cut, Independent)
    assert not cut.base_dist.loc.requires_grad
    assert not cut.base_dist.scale.requires_grad
    assert law.base_dist.loc.requires_grad  # the law itself stays as it was
    z = torch.ones(4, 2, requires_grad=True)
    cut.log_prob(z).sum().backward()
    assert z.grad is not None
    assert loc.grad is None
