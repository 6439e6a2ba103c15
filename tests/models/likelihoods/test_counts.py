"""The head of counts: where it starts, which tables it takes, and a run on counts."""

import numpy as np
import pytest
import torch

import vael
from vael.data import Kind, Source
from vael.models.likelihoods.counts import ZeroInflatedPoissonHead
from vael.probability import draw


@pytest.mark.parametrize(("rate", "zeros"), [(3.0, 0.4), (40.0, 0.9), (0.5, 0.2), (2.0, 0.005)])
def test_a_start_has_the_moments_of_the_data(rate, zeros):
    """Mean (1 - π) λ and variance mean (1 + π λ) give back π and λ."""
    mean = torch.tensor([(1 - zeros) * rate])
    std = (mean * (1 + zeros * rate)).sqrt()
    law = ZeroInflatedPoissonHead()(ZeroInflatedPoissonHead().start(mean, std)[None, None])
    torch.testing.assert_close(law.logits.sigmoid().item(), zeros, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(law.log_rate.exp().item(), rate, rtol=1e-3, atol=1e-4)


def test_a_start_is_finite_for_elements_that_never_vary():
    start = ZeroInflatedPoissonHead().start(torch.tensor([0.0, 5.0, 1e9]), torch.zeros(3))
    assert bool(start.isfinite().all())


def test_counts_that_were_read_as_numbers_are_taken():
    head, x = ZeroInflatedPoissonHead(), torch.tensor([[0.0, 3.0], [70_000.0, 1.0]])
    assert head.check(Source("counts", x, Kind.REAL, "")) is None
    x[0, 0] = torch.nan
    assert head.check(Source("counts", x, Kind.REAL, "", gaps=True)) is None


def test_draws_of_large_rates_have_their_moments():
    """Mean and variance of 100,000 draws within 5 standard errors: false-alarm rate 1.2e-6 for each of 2 rates."""
    for log_rate in (9.0, 15.5):
        law = ZeroInflatedPoissonHead()(torch.tensor([[[-100.0, log_rate]]]))
        x = draw(law, 100_000, torch.Generator().manual_seed(0)).double().flatten()
        rate = law.log_rate.double().exp().item()
        assert abs(x.mean().item() - rate) <= 5 * (rate / 100_000) ** 0.5
        assert abs(x.var().item() / rate - 1) <= 5 * (2 / 100_000) ** 0.5


@pytest.mark.parametrize("ending", ["npy", "csv"])
def test_a_run_on_counts(tmp_path, ending):
    rng = np.random.default_rng(0)
    x = rng.poisson(3, (200, 4)) * (rng.random((200, 4)) > 0.4)
    data = tmp_path / f"counts.{ending}"
    if ending == "npy":
        np.save(data, x)
    else:
        np.savetxt(data, x, fmt="%d", delimiter=",", header="a,b,c,d", comments="")
    run = vael.train(
        data, run=tmp_path / "run", likelihood="zero-inflated-poisson", epochs=2, compile=False, callbacks=()
    )
    again = vael.load(run.folder)
    drawn = again.model.sample(50, generator=torch.Generator().manual_seed(0))
    assert bool((drawn >= 0).all())
    assert bool((drawn == drawn.floor()).all())
