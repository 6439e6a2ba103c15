from dataclasses import replace
from statistics import NormalDist

import pytest
import torch

from vael import domains
from vael.data import Kind, Source, Splits
from vael.models import BernoulliHead
from vael.recipes import dense
from vael.report import ReportInput, gather
from vael.report.record import Encoded


def record(latent=3, examples=40):
    x = torch.randint(0, 2, (examples, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    source = Source("bits", x, Kind.BINARY, "00" * 32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = dense((1, 4, 4), BernoulliHead(), latent=latent, hidden=(8,))
    return ReportInput(model, Splits(source, source, source), view=domains.of(source))


def test_quantiles_are_the_inverse_normal_distribution_at_the_middles():
    stats = pytest.importorskip("scipy.stats")
    assert gather.quantiles(7).tolist() == pytest.approx(stats.norm.ppf((torch.arange(7) + 0.5) / 7).tolist(), abs=1e-6)


def test_the_manifold_grows_to_the_right_and_upwards():
    z = gather.manifold_points(3).view(3, 3, 2)
    edge = NormalDist().inv_cdf(5 / 6)
    assert z[0, 0].tolist() == pytest.approx([-edge, edge])
    assert z[2, 0].tolist() == pytest.approx([-edge, -edge])
    assert z[0, 2].tolist() == pytest.approx([edge, edge])
    assert z[1, 1].tolist() == pytest.approx([0, 0])


def test_traversals_move_one_latent_over_three_sigma_and_hold_the_others_at_zero():
    z = gather.traversal_points(4, [2, 0], 5)
    assert z[0, :, 2].tolist() == z[1, :, 0].tolist() == [-3.0, -1.5, 0.0, 1.5, 3.0]
    z[0, :, 2] = z[1, :, 0] = 0
    assert not z.any()


def test_latents_are_ordered_by_their_mean_divergence():
    seen = Encoded(torch.zeros(2, 3), torch.tensor([[0.1, 3.0, 1.0], [0.3, 1.0, 5.0]]), None)
    assert seen.order == [2, 1, 0]


def test_divergence_of_each_latent_sums_to_that_of_the_model():
    given = record()
    seen = gather.encoded(given)
    batch = given.shown.batch(torch.arange(40))
    terms = given.model(batch, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen.divergence.sum(1), terms.divergence[0, 0].detach())
    torch.testing.assert_close(seen.mean, given.model.encode(batch).detach())


def test_looking_leaves_the_model_as_it_was(monkeypatch):
    given = record()
    given.model.train()
    gather.encoded(given)
    assert given.model.training


def test_at_most_so_many_points_are_encoded_and_always_the_same(monkeypatch):
    monkeypatch.setattr(gather, "POINTS", 7)
    first, second = gather.encoded(record()), gather.encoded(record())
    assert len(first.mean) == 7
    assert torch.equal(first.mean, second.mean)


@pytest.mark.parametrize(("most", "shown", "trained"), [(5000, 40, 25), (20, 20, 5), (10, 10, 0), (6, 6, 0)])
def test_a_map_shows_the_split_first_and_fills_up_with_the_others(monkeypatch, most, shown, trained):
    """10 of the test split, 5 of validation, 25 of training, as many as there is room for."""
    monkeypatch.setattr(gather, "POINTS", most)
    whole = record().shown
    parts = [whole.subset(torch.arange(begin, end)) for begin, end in ((15, 40), (10, 15), (0, 10))]
    given = replace(record(), splits=Splits(*parts))
    seen = gather.mapped(given)
    assert len(seen.mean) == shown
    assert (f"{trained} of which trained" in seen.told) == (trained > 0)
    assert torch.equal(seen.mean[: min(most, 10)], gather.encoded(given).mean)


def test_detail_is_that_of_neighbouring_pixels():
    """A checkerboard of 0 and 1 differs by 1 everywhere; a constant has no detail."""
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2
    assert gather.detail(board.float().expand(3, 1, 4, 4)) == 1.0
    assert gather.detail(torch.full((3, 1, 4, 4), 7.0)) == 0.0


def test_large_examples_are_encoded_in_smaller_parts_with_the_same_result(monkeypatch):
    whole = gather.encoded(record())
    monkeypatch.setattr(gather, "CELLS_AT_ONCE", 16 * 3)
    torch.testing.assert_close(gather.encoded(record()).mean, whole.mean)


def test_samples_are_those_of_the_seed_and_draws_are_binary():
    means, draws = gather.prior_samples(record(), 70)
    again, _ = gather.prior_samples(record(), 70)
    assert torch.equal(means, again)
    assert means.shape == draws.shape == (70, 1, 4, 4)
    assert set(draws.unique().tolist()) == {0.0, 1.0}


def test_global_random_state_is_not_touched():
    before = torch.get_rng_state()
    gather.prior_samples(record(), 4)
    gather.encoded(record())
    assert torch.equal(torch.get_rng_state(), before)


def test_principal_components_are_those_of_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition")
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 4.0, 2.0, 0.5, 1.0])
    points, shares = gather.principal(x)
    oracle = decomposition.PCA(2).fit(x.double().numpy())
    assert shares == pytest.approx(tuple(oracle.explained_variance_ratio_))
    torch.testing.assert_close(
        points.abs(), torch.from_numpy(oracle.transform(x.double().numpy())).abs().float(), atol=1e-5, rtol=1e-5
    )


def test_correlations_are_pearson_s_and_zero_for_constant_columns():
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gather.correlations(x), torch.corrcoef(x.T), atol=1e-6, rtol=1e-5)
    x[:, 1] = 2.0
    assert gather.correlations(x)[0, 1] == 0
