"""Jumps against the joint Gaussian over all times: with the beliefs of a Kalman filter every weight is exact one step
ahead, and off by a known amount farther ahead.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

import vael
from vael.cli.main import main
from vael.data import Batch
from vael.errors import StateError
from vael.models import FixedScale, GaussianHead, JumpyNetworks, JumpyStateSpace
from vael.models.core import Conditional
from vael.models.sequences.jumps import Pair
from vael.objectives import SampledELBO
from vael.objectives.bounds import log_weights
from vael.probability import PerExample, Stream

TIME, LATENT, CHANNELS, FARTHEST, ROWS = 6, 2, 3, 3, 5
A = torch.tensor([[0.9, 0.2], [-0.3, 0.7]], dtype=torch.float64)
Q = torch.tensor([[0.5, 0.1], [0.1, 0.3]], dtype=torch.float64)
FIRST = torch.tensor([[1.0, 0.2], [0.2, 2.0]], dtype=torch.float64)  # covariance of z_0, of which nothing is seen
C = torch.tensor([[1.0, 0.0], [0.5, -1.0], [0.0, 2.0]], dtype=torch.float64)
NOISE = 0.6


def powers():
    """A^k, and the covariance of z_{t+k} given z_t, for k = 0 ... FARTHEST."""
    a, q = [torch.eye(LATENT).double()], [torch.zeros(LATENT, LATENT).double()]
    for _ in range(FARTHEST):
        a.append(A @ a[-1])
        q.append(A @ q[-1] @ A.mT + Q)
    return torch.stack(a), torch.stack(q)


def together(mean, covariance):
    return torch.cat((mean, covariance.flatten(-2)), -1)


def apart(belief):
    return belief[..., :LATENT], belief[..., LATENT:].unflatten(-1, (LATENT, LATENT))


class Filter(nn.Module):
    """b_t: mean and covariance of z_t given x_1 ... x_t."""

    def forward(self, x):
        mean, covariance = torch.zeros(len(x), LATENT).double(), FIRST.expand(len(x), -1, -1)
        found = []
        for t in range(x.shape[1]):
            mean, covariance = mean @ A.mT, A @ covariance @ A.mT + Q
            gain = covariance @ C.mT @ torch.linalg.inv(C @ covariance @ C.mT + NOISE**2 * torch.eye(CHANNELS).double())
            mean = mean + ((x[:, t] - mean @ C.mT)[:, None] @ gain.mT)[:, 0]
            covariance = covariance - gain @ C @ covariance
            found.append(together(mean, covariance))
        return torch.stack(found, 1)


class Believed(Conditional):
    def forward(self, belief, context=None):
        return MultivariateNormal(*apart(belief))


class Moved(Conditional):
    def forward(self, z, steps):
        a, q = powers()
        return MultivariateNormal((a[steps] @ z[..., None])[..., 0], q[steps])


class Smoothed(Conditional):
    """p(z_t1 | z_t2, x_1 ... x_t1): what stands in b_t2 besides is not looked at."""

    def forward(self, z, before, after, steps):
        (mean, covariance), (a, q) = apart(before), (one[steps] for one in powers())
        gain = covariance @ a.mT @ torch.linalg.inv(a @ covariance @ a.mT + q)
        loc = mean + (gain @ (z - (a @ mean[..., None])[..., 0])[..., None])[..., 0]
        rest = covariance - gain @ a @ covariance
        return MultivariateNormal(loc, 0.5 * (rest + rest.mT))


class Emission(nn.Module):
    def forward(self, z):
        return (z @ C.mT)[:, None]


def exact():
    head = GaussianHead(spread=FixedScale(NOISE))
    parts = JumpyNetworks(Filter(), Believed(), Smoothed(), Moved(), Emission())
    model = JumpyStateSpace(parts, head, size=LATENT + LATENT**2, farthest=FARTHEST).double()
    model.start.data.copy_(together(torch.zeros(LATENT).double(), FIRST))
    return model


SHIFT = torch.tensor([[1.0, -0.5], [0.0, 2.0], [0.3, 0.0]], dtype=torch.float64)  # of x for each number of c
BEGIN = torch.tensor([[2.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)  # of the mean of z_0


class GivenFilter(Filter):
    """Mean and covariance of z_t given x_1 ... x_t and c: of the frames without what c adds to them."""

    def forward(self, x, context):
        begins = [context @ BEGIN.mT @ torch.linalg.matrix_power(A, t).mT for t in range(1, x.shape[1] + 1)]
        moved = torch.stack(begins, 1)
        found = super().forward(x - (context @ SHIFT.mT)[:, None] - moved @ C.mT)
        return torch.cat((found[..., :LATENT] + moved, found[..., LATENT:]), -1)


class GivenEmission(nn.Module):
    def forward(self, z, context):
        return (z @ C.mT + context @ SHIFT.mT)[:, None]


def exact_given():
    parts = JumpyNetworks(GivenFilter(), Believed(), Smoothed(), Moved(), GivenEmission())
    head = GaussianHead(spread=FixedScale(NOISE))
    model = JumpyStateSpace(parts, head, size=LATENT + LATENT**2, farthest=FARTHEST, context=2).double()
    model.start.data.copy_(together(torch.zeros(LATENT).double(), FIRST))
    model.given.data[:LATENT] = BEGIN
    return model


def mean_given(context):
    """E[x_1 ... x_T | c], `[batch, TIME, CHANNELS]`."""
    each = [context @ (C @ torch.linalg.matrix_power(A, t) @ BEGIN + SHIFT).mT for t in range(1, TIME + 1)]
    return torch.stack(each, 1)


def joint():
    """Covariance of x_1 ... x_T, `[TIME · CHANNELS] * 2`."""
    blocks, variance = torch.zeros(TIME, TIME, CHANNELS, CHANNELS).double(), FIRST
    for t in range(TIME):
        variance = A @ variance @ A.mT + Q
        moved = variance
        for later in range(t, TIME):
            found = C @ moved @ C.mT
            blocks[later, t], blocks[t, later] = found, found.mT
            moved = A @ moved
        blocks[t, t] += NOISE**2 * torch.eye(CHANNELS)
    return blocks.transpose(1, 2).reshape(TIME * CHANNELS, -1)


def log_ahead(x, seen, steps):
    """log p(x_{seen + steps} | x_1 ... x_seen) by the conditional of the joint Gaussian."""
    whole, flat = joint(), x.flatten(1)
    known, asked = slice(0, seen * CHANNELS), slice((seen + steps - 1) * CHANNELS, (seen + steps) * CHANNELS)
    gain = whole[asked, known] @ torch.linalg.inv(whole[known, known]) if seen else torch.zeros(CHANNELS, 0).double()
    covariance = whole[asked, asked] - gain @ whole[known, asked]
    return MultivariateNormal(flat[:, known] @ gain.mT, covariance).log_prob(flat[:, asked])


def data():
    noise = torch.randn(ROWS, TIME * CHANNELS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x=(noise @ torch.linalg.cholesky(joint()).mT).unflatten(1, (TIME, CHANNELS)), index=torch.arange(ROWS))


def stream(seed=0):
    return Stream(torch.Generator().manual_seed(seed))


def at(seen, steps, samples=4):
    return Pair(torch.full((samples, ROWS), seen), torch.full((samples, ROWS), steps))


@pytest.mark.parametrize("seen", range(TIME))
def test_one_step_ahead_every_weight_is_the_predictive_density(seen):
    batch = data()
    terms = exact().of_pairs(batch, at(seen, 1), stream())
    wanted = log_ahead(batch.x, seen, 1)
    assert torch.allclose(log_weights(terms), wanted.expand(4, ROWS), atol=1e-8)
    assert torch.allclose(SampledELBO()(terms).bound, wanted, atol=1e-8)


def test_one_step_terms_add_up_to_the_density_of_the_series():
    batch = data()
    each = exact().log_ahead(batch, 1, 2, PerExample(0, batch.index))
    assert each.shape == (2, ROWS, TIME)
    wanted = MultivariateNormal(torch.zeros(TIME * CHANNELS).double(), joint()).log_prob(batch.x.flatten(1))
    assert torch.allclose(each.sum(-1), wanted.expand(2, ROWS), atol=1e-8)


def data_given():
    c = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    batch = data()
    return replace(batch, x=batch.x + mean_given(c), context=c)


def test_given_a_condition_every_weight_is_exact_too():
    """One step ahead log p(x_t | x_1 ... x_t-1, c) of the linear-Gaussian model, and log p(x | c) as their sum."""
    batch, model = data_given(), exact_given()
    centred = batch.x - mean_given(batch.context)
    for seen in range(TIME):
        found = log_weights(model.of_pairs(batch, at(seen, 1), stream()))
        assert torch.allclose(found, log_ahead(centred, seen, 1).expand(4, ROWS), atol=1e-8)
    each = model.log_ahead(batch, 1, 2, PerExample(0, batch.index)).sum(-1)
    wanted = MultivariateNormal(mean_given(batch.context).flatten(1), joint()).log_prob(batch.x.flatten(1))
    assert torch.allclose(each, wanted.expand(2, ROWS), atol=1e-8)
    alone, row = model.at(batch.context[0]), torch.arange(1)
    first = Batch(x=batch.x[:1], index=row)
    held = alone.log_ahead(first, 1, 2, PerExample(0, row)).sum(-1)
    assert torch.allclose(held, wanted[:1].expand(2, 1), atol=1e-8)
    with pytest.raises(StateError, match="conditioned on 2 numbers"):
        model.beliefs_of(first)


def test_drawn_sequences_have_the_mean_of_their_condition():
    """20,000 sequences for one c: 18 means within 5 standard errors; false alarms in 100,000 seeds: 1."""
    c = torch.tensor([1.0, -2.0]).double()
    drawn = exact_given().sample(20_000, generator=stream(), context=c.expand(20_000, -1), frames=TIME)
    error = (drawn.mean(0) - mean_given(c[None])[0]) / (drawn.std(0) / 20_000**0.5)
    assert error.abs().max() < 5


@pytest.mark.parametrize(("seen", "steps"), [(0, 2), (2, 2), (1, 3), (3, 3)])
def test_farther_ahead_a_weight_is_off_by_what_the_frames_between_told(seen, steps):
    """log w = log p(x_t2 | x_≤t1) + log p(z_t2 | x_≤t1, x_t2) - log p(z_t2 | x_≤t2), for every draw; so the bound lies
    below by KL(p(z_t2 | x_≤t2) || p(z_t2 | x_≤t1, x_t2)), and the mean weight does not.
    """
    batch, model = data(), exact()
    terms = model.of_pairs(batch, at(seen, steps, 4000), stream())
    z, beliefs = terms.latent[1], model.beliefs_of(batch)
    (mean, covariance), (a, q) = apart(beliefs[:, seen]), (one[steps] for one in powers())
    mean, covariance = mean @ a.mT, a @ covariance @ a.mT + q
    gain = covariance @ C.mT @ torch.linalg.inv(C @ covariance @ C.mT + NOISE**2 * torch.eye(CHANNELS).double())
    here = batch.x[:, seen + steps - 1]
    only = MultivariateNormal(
        mean + (gain @ (here - mean @ C.mT)[..., None])[..., 0], covariance - gain @ C @ covariance
    )
    filtered = MultivariateNormal(*apart(beliefs[:, seen + steps]))
    wanted = log_ahead(batch.x, seen, steps)
    log_w = log_weights(terms)
    assert torch.allclose(log_w, wanted + only.log_prob(z) - filtered.log_prob(z), atol=1e-7)
    assert (log_w.mean(0) < wanted).all()
    gap = torch.distributions.kl_divergence(filtered, only)
    error = log_w.std(0) / 4000**0.5
    assert ((wanted - log_w.mean(0) - gap).abs() < 5 * error + 1e-9).all()  # false alarms: 20 in 1.7 million


def test_no_frame_after_the_pair_reaches_its_terms():
    batch, model = data(), exact()
    other = replace(batch, x=torch.cat((batch.x[:, :3], batch.x[:, 3:] + 100), 1))
    one, two = (log_weights(model.of_pairs(b, at(1, 2), stream())) for b in (batch, other))
    assert torch.equal(one, two)


def test_pairs_are_drawn_evenly():
    """Of every number of steps alike, and of every time that it allows: 30,000 pairs, counts within 5 deviations."""
    found = exact()._pairs(data(), 6000, stream())
    assert (found.seen >= 0).all()
    assert (found.seen + found.steps <= TIME).all()
    for steps in range(1, FARTHEST + 1):
        of = found.seen[found.steps == steps]
        for times, count in ((of, len(of)),):
            share = 1 / FARTHEST
            assert abs(count - 30_000 * share) < 5 * (30_000 * share * (1 - share)) ** 0.5
            each, wanted = times.bincount(minlength=TIME - steps + 1), count / (TIME - steps + 1)
            assert len(each) == TIME - steps + 1
            assert ((each - wanted).abs() < 5 * wanted**0.5).all()


def test_what_belongs_to_its_pairs_is_not_taken_from_outside():
    with pytest.raises(StateError, match="draws its own pairs"):
        exact().terms(data(), generator=stream(), latent=(torch.zeros(1),))


# a run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two channels that turn at one speed, with noise and gaps."""
    place, noise = tmp_path_factory.mktemp("jumps"), np.random.default_rng(0)
    start = noise.uniform(0, 2 * np.pi, (60, 1))
    turns = start + 0.5 * np.arange(10)
    x = np.stack((np.sin(turns), np.cos(turns)), -1) + 0.05 * noise.normal(size=(60, 10, 2))
    x[::7, 3] = np.nan
    np.save(place / "turns.npy", x.astype(np.float32))
    vael.train(
        place / "turns.npy",
        sequence=True,
        window=10,
        model="td-vae",
        latent=2,
        set={"model.hidden": 8},
        epochs=2,
        batch=16,
        run=place / "run",
        callbacks=(),
    )
    return place


def test_its_life_from_evaluation_to_a_forecast(folder, tmp_path, capsys):
    run = str(folder / "run")
    assert main(["evaluate", run, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["one_step_bound"] <= told["one_step"]
    assert {"ahead_1", "ahead_2", "ahead_4"} <= set(told)
    assert main(["forecast", run, "--steps", "4", "-o", str(tmp_path / "next.npy")]) == 0
    assert np.isfinite(np.load(tmp_path / "next.npy")).all()
    assert main(["sample", run, "-n", "3", "-o", str(tmp_path / "drawn.npy")]) == 0
    assert np.load(tmp_path / "drawn.npy").shape == (3, 10, 2)
    assert main(["encode", run, "-o", str(tmp_path / "codes.csv")]) == 0
    assert main(["report", run]) == 0
    page = (folder / "run" / "report.html").read_text()
    assert "one step" in page
    assert "log p(x)" not in page.replace("no other log p(x) of a series", "")
    capsys.readouterr()
    assert main(["score", run]) == 2
    assert "JumpyStateSpace" in capsys.readouterr().err


def test_a_window_is_judged_alike_alone_and_among_others(folder):
    run = vael.load(folder / "run")
    source = run.split()[1]
    every = vael.evaluation.judge(run.model, source).log_likelihood_per_example
    some = vael.evaluation.judge(run.model, source.subset(torch.tensor([1])))
    assert len(every) == len(source)
    alone = vael.evaluation.judge(run.model, source, batch=1).log_likelihood_per_example
    assert torch.allclose(every, alone, atol=1e-4)
    assert some.standard_error is None


def test_a_run_goes_on_as_if_it_had_not_stopped(folder, tmp_path):
    run = vael.load(folder / "run")
    assert run.spec.model.kind == "jumpy"
    assert [row.epoch for row in run.history][-1] == 2


def test_jumps_longer_than_a_window_are_refused(folder):
    with pytest.raises(StateError, match="jumps of up to 40 steps in sequences of 10"):
        vael.train(folder / "turns.npy", sequence=True, window=10, model="td-vae", set={"model.farthest": 40})


def test_its_life_with_a_condition(folder, tmp_path, capsys):
    np.savez(tmp_path / "turns.npz", x=np.load(folder / "turns.npy"), y=np.arange(60) % 2)
    how = {"sequence": True, "model": "td-vae", "latent": 2, "set": {"model.hidden": 8}, "epochs": 1}
    vael.train(tmp_path / "turns.npz", condition_on="label", run=tmp_path / "run", callbacks=(), **how)
    run, data = str(tmp_path / "run"), str(tmp_path / "turns.npz")
    assert main(["evaluate", run, data, "--json"]) == 0
    assert np.isfinite(json.loads(capsys.readouterr().out)["one_step"])
    for command in ("encode", "forecast"):
        assert main([command, run, data, "-o", str(tmp_path / f"{command}.csv")]) == 0
    assert main(["sample", run, "-n", "3", "--class", "1", "-o", str(tmp_path / "drawn.npy")]) == 0
    assert np.load(tmp_path / "drawn.npy").shape == (3, 10, 2)
    assert main(["report", run]) == 0
    assert "conditioned on label" in (tmp_path / "run" / "report.html").read_text()
