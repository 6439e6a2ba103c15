"""The divergence in three parts: weights that sum to one, parts that sum to the divergence, and their exact values."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent

import vael
from oracles import Given, LinearGaussian
from vael.cli.main import main
from vael.cli.wording import sentences
from vael.data import Batch, Kind, Source
from vael.evaluation.divergence_parts import decomposed_divergence, rows_taken, told_apart
from vael.evaluation.evaluate import evaluate_encoder
from vael.models import VAE, BernoulliHead
from vael.objectives import Weights
from vael.objectives.total_correlation import stratified_log_weights, under_every_posterior
from vael.probability import PerExample, draw


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("examples", [None, 64, 1000, 60_000])
def test_how_much_every_example_counts_sums_to_one_in_every_row(batch, examples):
    """Of examples alone, and of examples among rows that fill a batch up. Three published programs have a row that sums
    to 1.3 where the others sum to 1 (four examples of a hundred).
    """
    like = torch.zeros(batch, dtype=torch.float64)
    log_weight, real = stratified_log_weights(like, examples=examples)
    assert real.all()
    torch.testing.assert_close(log_weight.exp().sum(1), torch.ones_like(like), rtol=0, atol=1e-12)
    own = 1 if batch == 1 else 1 / (examples or batch)
    torch.testing.assert_close(log_weight.exp().diagonal(), torch.full_like(like, own), rtol=1e-12, atol=0)
    order = torch.arange(batch + 3) % (batch + 3) >= 2  # two rows before and one after fill the batch up
    order[-1] = False
    filled, real = stratified_log_weights(torch.zeros(batch + 3).double(), Weights(order.double()), examples)
    kept = torch.where(real, filled.exp(), 0.0)[order]
    torch.testing.assert_close(kept.sum(1), torch.ones_like(like), rtol=0, atol=1e-12)


def test_on_a_set_that_can_be_enumerated_the_parts_are_exact():
    """Three examples, two bits: mutual information, total correlation and divergences by their own definitions from the
    table of q(x, z), and by the expectation of the three logarithms.
    """
    on = np.array([[0.9, 0.2], [0.3, 0.7], [0.6, 0.6]])  # q(z_j = 1 | x)
    prior = np.array([0.5, 0.4])
    bits = np.array(list(itertools.product((0, 1), repeat=2)))
    given = np.prod(np.where(bits[None], on[:, None], 1 - on[:, None]), -1)  # q(z | x) [examples, values]
    both, p = given / 3, np.prod(np.where(bits, prior, 1 - prior), -1)
    q, marginal = both.sum(0), on.mean(0)
    each = np.prod(np.where(bits, marginal, 1 - marginal), -1)
    information = (both * np.log(both / (both.sum(1, keepdims=True) * q))).sum()
    total_correlation = (q * np.log(q / each)).sum()
    dimensions = sum(
        m * np.log(m / r) + (1 - m) * np.log((1 - m) / (1 - r)) for m, r in zip(marginal, prior, strict=True)
    )

    posterior = Independent(Bernoulli(probs=torch.from_numpy(on), validate_args=False), 1, validate_args=False)
    z = torch.from_numpy(bits).double()[:, None].expand(-1, 3, -1)
    joint, alone = under_every_posterior((posterior,), (z,))
    log_weight, _ = stratified_log_weights(torch.zeros(3).double())
    log_q, log_p = posterior.log_prob(z), torch.from_numpy(np.log(p))[:, None].expand(-1, 3)
    levels = (log_q, (joint + log_weight).logsumexp(2), (alone + log_weight[..., None]).logsumexp(2).sum(-1), log_p)
    expected = [float((log_q.exp() / 3 * (a - b)).sum()) for a, b in itertools.pairwise(levels)]
    assert expected == pytest.approx([information, total_correlation, dimensions], rel=1e-12)
    assert sum(expected) == pytest.approx(float((given / 3 * np.log(given / p)).sum()), rel=1e-12)


def batch_of(oracle, examples):
    return Batch(x=oracle.sample(examples), index=torch.arange(examples))


def test_the_parts_sum_to_the_divergence_of_the_same_draws():
    oracle = LinearGaussian.of_size(5, 3, seed=2, orthogonal=True)
    batch = batch_of(oracle, 60)
    model = oracle.vae()
    found = decomposed_divergence(model, batch, seed=3)
    q = model.posterior_at((), batch)
    z = draw(q, 1, PerExample(3, batch.rows))
    sampled = float((q.log_prob(z) - model.prior(None).log_prob(z)).mean())
    assert found.sampled == pytest.approx(sampled, rel=1e-12)
    assert 0 < found.information <= math.log(60)


def test_of_an_aggregate_that_is_gaussian_they_are_in_closed_form():
    """x of a linear Gaussian model and its exact posterior: q(z) is the prior, so total correlation and distance of
    latents are 0 and the mutual information is the mean divergence; with 1,500 examples for the aggregate, whose
    estimate of log q(z) is too high by what examples are too few for, below 0.1 here, and 5 standard errors.
    """
    oracle = LinearGaussian.of_size(4, 2, sigma=1.5, seed=5, orthogonal=True)
    batch = batch_of(oracle, 1500)
    found = decomposed_divergence(oracle.vae(), batch)
    posterior = oracle.diagonal_posterior(batch.x)
    mean, variance = posterior.mean, posterior.variance
    divergence = float(0.5 * (mean.square() + variance - 1 - variance.log()).sum(1).mean())
    assert abs(found.information - divergence) <= 5 * found.information_error + 0.1
    assert abs(found.total_correlation) <= 5 * found.total_correlation_error + 0.1
    assert abs(found.dimensions) <= 5 * found.dimensions_error + 0.1


def test_blocks_of_pairs_change_nothing(monkeypatch):
    oracle = LinearGaussian.of_size(5, 3, seed=2, orthogonal=True)
    batch = batch_of(oracle, 40)
    whole = decomposed_divergence(oracle.vae(), batch, examples=500)
    monkeypatch.setattr("vael.evaluation.divergence_parts.PAIRS", 40 * 3 * 7)
    assert vars(decomposed_divergence(oracle.vae(), batch, examples=500)) == pytest.approx(vars(whole), rel=1e-12)


def test_where_latents_have_no_known_marginals_there_are_no_parts():
    logits = torch.zeros(3).double()
    model = VAE(
        Given(lambda _: Categorical(logits=logits, validate_args=False)),
        Given(lambda z: BernoulliHead()(z[..., None].double().expand(*z.shape, 2))),
        Given(lambda x: Categorical(logits=logits.expand(len(x), 3), validate_args=False)),
    )
    assert decomposed_divergence(model, Batch(x=torch.zeros(4, 2).double(), index=torch.arange(4))) is None
    oracle = LinearGaussian.of_size(5, 3, orthogonal=True)
    assert decomposed_divergence(oracle.vae(), batch_of(oracle, 1)) is None


def test_rows_that_are_taken():
    assert rows_taken(5).tolist() == [0, 1, 2, 3, 4]
    many = rows_taken(60_000)
    assert (len(many), int(many[0]), int(many[-1])) == (1000, 0, 59_999)
    record = told_apart(*(torch.tensor(level) for level in ([3.0, 5.0], [2.0, 2.0], [1.0, 1.0], [0.5, 0.5])), 9)
    assert (record.information, record.total_correlation, record.dimensions, record.sampled) == (2.0, 1.0, 0.5, 3.5)
    assert record.information_error == pytest.approx(math.sqrt(2) / math.sqrt(2))


def test_evaluation_has_them(tmp_path, capsys):
    """As many figures as `--json` promises; text and record say the same, and the sum is near the divergence."""
    oracle = LinearGaussian.of_size(5, 2, seed=1, orthogonal=True)
    source = Source("made", oracle.sample(300), Kind.REAL, "made")
    found = evaluate_encoder(oracle.vae(), source, importance_samples=20)
    error = (found.elbo_per_example.std() / math.sqrt(300)).item()
    assert found.parts is not None
    assert abs(found.parts.sampled - found.divergence) < 5 * error
    how = {"epochs": 1, "batch": 512, "hidden": (8,), "latent": 2, "precision": "float32", "compile": False}
    run = vael.train("digits", run=tmp_path / "run", callbacks=(), **how)
    capsys.readouterr()
    [line] = [line for line in sentences(found, run.spec) if "mutual information" in line]
    assert f"mutual information {found.parts.information:.2f}" in line
    assert main(["evaluate", str(tmp_path / "run"), "--importance-samples", "2", "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert parts["sampled"] == pytest.approx(sum(parts[k] for k in ("information", "total_correlation", "dimensions")))
