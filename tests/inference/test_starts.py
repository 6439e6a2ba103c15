"""Where a mixture starts, against the same rules in numpy on the same uniform numbers."""

import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2

from vael.data import Batch
from vael.errors import StateError
from vael.inference import BestOf, KMeans, KMeansPlusPlus, RandomExamples
from vael.inference.starts import AsGiven, nearest, units
from vael.models import Diagonal, Full, GaussianMixture
from vael.probability import Stream
from vael.probability.sampling import Replayed

SIZES = [(12, 1, 3), (30, 2, 5), (7, 3, 7), (40, 2, 1)]  # examples, features, components
EACH = pytest.mark.parametrize(("examples", "features", "components"), SIZES)


def points(examples, features, seed=0):
    x = torch.randn(examples, features, generator=torch.Generator().manual_seed(seed)).double()
    return x * torch.arange(1, features + 1) + 3


def uniforms(*shapes, seed=1):
    noise = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=noise).double() for shape in shapes]


def plus_plus(x, numbers):
    """One example by the first number; each further one by where its number lies in the running sum of D²."""
    chosen = [int(numbers[0] * len(x))]
    for number in numbers[1:]:
        near = np.min([np.sum((x - x[one]) ** 2, 1) for one in chosen], 0)
        chosen.append(next(place for place, below in enumerate(np.cumsum(near)) if below > number * near.sum()))
    return x[chosen]


@EACH
@pytest.mark.parametrize("seed", range(5))
def test_seeds_are_spread_by_the_squared_distance_to_the_nearest_one(examples, features, components, seed):
    x, numbers = points(examples, features), uniforms(*[(1, 1)] * components, seed=seed)
    found = KMeansPlusPlus().means(x, components, Replayed(numbers))
    np.testing.assert_array_equal(found.numpy(), plus_plus(x.numpy(), [float(one) for one in numbers]))


def test_where_no_distance_is_left_any_example_is_as_good():
    x = torch.ones(4, 2).double()
    for number in (0.0, 0.3, 0.99):
        numbers = [torch.full((1, 1), one).double() for one in (0.5, number)]
        torch.testing.assert_close(KMeansPlusPlus().means(x, 2, Replayed(numbers)), x[:2])
    different = torch.tensor([[0.0], [0.0], [1.0], [0.0]]).double()  # the only distance that is left
    for number in (0.0, 0.3, 0.99):
        numbers = [torch.full((1, 1), one).double() for one in (0.1, number)]
        assert KMeansPlusPlus().means(different, 2, Replayed(numbers)).flatten().tolist() == [0.0, 1.0]


@EACH
def test_random_seeds_are_the_examples_of_the_largest_numbers(examples, features, components):
    x, (numbers,) = points(examples, features), uniforms((1, examples))
    found = RandomExamples().means(x, components, Replayed([numbers]))
    np.testing.assert_array_equal(found.numpy(), x.numpy()[np.argsort(-numbers.numpy()[0])[:components]])


@EACH
@pytest.mark.parametrize("iterations", [1, 2, 100])
def test_iterations_are_those_of_lloyd(examples, features, components, iterations):
    """As scipy's from the same seeds."""
    x, noise = points(examples, features), uniforms(*[(1, 1)] * components)
    found = KMeans(iterations=iterations).means(x, components, Replayed(noise))
    seeds = plus_plus(x.numpy(), [float(one) for one in noise])
    wanted, _ = kmeans2(x.numpy(), seeds, iter=iterations, minit="matrix")
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)


def test_a_mean_that_loses_its_examples_stays():
    class Far(RandomExamples):
        def means(self, x, components, noise):
            return torch.tensor([[0.0], [1.0], [99.0]]).double()

    x = torch.tensor([[0.0], [0.2], [1.0], [1.2]]).double()
    assert KMeans(Far()).means(x, 3, Stream(torch.Generator())).flatten().tolist() == pytest.approx([0.1, 1.1, 99.0])


def started(start, x, components, kind, whole, seed=0):
    model = GaussianMixture(components, x.shape[1], kind).double()
    start(model, x, whole, Stream(torch.Generator().manual_seed(seed)))
    return model.components


@pytest.mark.parametrize("kind", [Full(), Diagonal()], ids=["full", "diagonal"])
def test_weights_and_one_covariance_are_those_of_the_nearest_examples(kind):
    """Shares of examples and one more each; the covariance about their means, in columns of unit variance nearest."""
    x = torch.cat((points(20, 2, 1), points(25, 2, 2) + torch.tensor([20.0, -300.0]).double()))
    whole = kind.estimate(
        kind.second_moment(torch.ones(45, 1).double(), x, x[:1] * 0), torch.tensor([45.0]).double(), x[:1] * 0
    )
    found = started(KMeans(), x, 2, kind, whole)
    apart = x.numpy() / x.numpy().std(0)
    means = found.mean.numpy() / x.numpy().std(0)
    code = np.argmin([((apart - one) ** 2).sum(1) for one in means], 0)
    np.testing.assert_allclose(found.mean.numpy(), [x.numpy()[code == k].mean(0) for k in range(2)], rtol=1e-9)
    np.testing.assert_allclose(found.weight.numpy(), (np.bincount(code) + 1) / 47, rtol=1e-12)
    rest = x.numpy() - found.mean.numpy()[code]
    within = rest.T @ rest / 45
    wanted = within if isinstance(kind, Full) else np.diag(within)
    np.testing.assert_allclose(found.covariance.numpy(), np.stack([wanted] * 2), rtol=1e-9)


def test_clusters_without_width_get_the_covariance_of_all_data():
    x = torch.tensor([[0.0, 0.0], [1.0, 5.0], [2.0, 1.0]]).double()
    whole = torch.tensor([[[2.0, 0.5], [0.5, 3.0]]]).double()
    found = started(KMeansPlusPlus(), x, 3, Full(), whole)
    assert torch.equal(found.covariance, whole.expand(3, 2, 2))
    with pytest.raises(StateError, match="3 examples for 4 components"):
        started(KMeansPlusPlus(), x, 4, Full(), whole)
    given = GaussianMixture(3, 2, Full()).double()
    before = given.components.mean.clone()
    AsGiven()(given, x, whole, Stream(torch.Generator()))
    assert torch.equal(given.components.mean, before)


def test_the_best_of_several_is_the_best_of_those_that_follow_each_other():
    """By log p(X) after so many iterations of each, from one stream of noise; the first where two are equal."""
    x = torch.cat([points(15, 2, seed) + 9 * seed for seed in range(4)])
    whole = torch.cov(x.T)[None]
    noise, tried = Stream(torch.Generator().manual_seed(3)), []
    for _ in range(6):
        model = GaussianMixture(4, 2, Full()).double()
        RandomExamples()(model, x, whole, noise)
        for _ in range(2):
            model.assign(model.maximizer(model.statistics(x, model.encode(Batch(x=x)))))
        tried.append((float(model.log_prob(x).mean()), model.components.mean.clone()))
    found = started(BestOf(RandomExamples(), tries=6, iterations=2), x, 4, Full(), whole, seed=3)
    assert len({value for value, _ in tried}) > 1
    assert torch.equal(found.mean, max(tried, key=lambda one: one[0])[1])


def test_columns_are_in_their_deviations_and_a_constant_one_as_it_is():
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0]]).double()
    assert units(x).tolist() == [1.0, 1.0]
    assert units(10 * x).tolist() == [10.0, 1.0]
    assert nearest(x, torch.tensor([[3.0, 5.0], [0.0, 5.0], [1.5, 5.0]]).double()).tolist() == [2, 0]
