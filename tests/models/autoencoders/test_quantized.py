"""VQ-VAE, VQ-VAE-2 and models of codes: bounds against sums over all codes, and what training must leave in order."""

import itertools
import math
import os
import signal
from dataclasses import replace

import pytest
import torch

from vael.data import Batch, Kind, Source, Splits
from vael.errors import ShapeError, StateError, SupportError
from vael.evaluation import evaluate_codes
from vael.inference import AdamW, GradientAscent, World
from vael.models import (
    AutoregressiveCodes,
    BernoulliHead,
    CodeGrid,
    DiscretizedLogisticHead,
    Encodes,
    LatentModel,
    Reconstructs,
    UniformCodes,
    needs,
)
from vael.networks import CodeBook, FiniteScalar, RotationTrick, moving_buffers
from vael.objectives import ELBO, Reconstruction
from vael.probability import PerExample
from vael.recipes import finite_scalar, vq_vae, vq_vae_2
from vael.training import Callback, Settings, coded_splits, run
from vael.training.checkpoint import read_tensors

EVENT = (1, 4, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(make, seed=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def bars(examples=192, seed=0, event=EVENT):
    """Rows or columns that are on, with a tenth of the cells turned over."""
    g = generator(seed)
    side = event[1]
    on = torch.rand(examples, 2, side, generator=g) < 0.3
    x = on[:, 0, :, None] | on[:, 1, None, :]
    x = x ^ (torch.rand(examples, side, side, generator=g) < 0.02)
    return Source("bars", x[:, None].to(torch.uint8), Kind.BINARY, f"bars-{examples}-{seed}-{side}")


def splits():
    return Splits(bars(192, 0), bars(64, 1), bars(64, 2))


def one():
    return built(lambda: vq_vae(EVENT, BernoulliHead(), CodeBook(6, 3, decay=0.8, least=0.1), channels=(8,)))


def rotated():
    return built(
        lambda: vq_vae(EVENT, BernoulliHead(), CodeBook(6, 3, decay=0.8, passes=RotationTrick()), channels=(8,))
    )


def two():
    return built(
        lambda: vq_vae_2(EVENT, BernoulliHead(), CodeBook(4, 2, decay=0.8), CodeBook(3, 2, decay=0.8), channels=(8,))
    )


def scalar():
    return built(lambda: finite_scalar(EVENT, BernoulliHead(), 3, 2, channels=(8,)))


EVERY = pytest.mark.parametrize("make", [one, rotated, two, scalar])
OBJECTIVE = Reconstruction({"commitment": 0.25})
SETTINGS = Settings(epochs=4, batch=32, seed=5, compiled=False)


def climbing(model, objective=OBJECTIVE, ema=0.9):
    return GradientAscent(model, objective, optimizer=AdamW(1e-2), ema=ema)


def batch(source=None, rows=32):
    return (source or bars()).batch(torch.arange(rows))


def fitted(make):
    return run(climbing(make()), splits(), SETTINGS).model


# bounds


@EVERY
def test_the_bound_is_below_the_sum_over_all_codes_for_every_example(make):
    """log p(x) = log Σ_c p(c) p(x|c), all codes listed; the model says log p(x, c(x)), and log p(x) - that is -log
    p(c(x)|x).
    """
    model, x = fitted(make), batch(rows=6)
    grids = [CodeGrid(g.height, g.width, min(g.size, 3)) for g in model.prior.grids]
    terms = model(x, generator=generator(), requires=ELBO().requires)
    bound = ELBO()(terms).bound
    every = itertools.product(*(range(grid.size) for grid in model.prior.grids for _ in range(grid.positions)))
    listed = torch.tensor(list(every)) if math.prod(g.size**g.positions for g in model.prior.grids) < 20000 else None
    assert listed is not None, grids
    codes = tuple(level[:, None].expand(-1, len(x), -1, -1) for level in model.prior.split(listed))
    joint = torch.cat(
        [
            given.log_likelihood + given.log_prior.sum(0)
            for block in torch.arange(len(listed)).split(2000)
            for given in [
                model(
                    x,
                    generator=generator(),
                    latent=tuple(level[block] for level in codes),
                    requires=frozenset({"log_prior"}),
                )
            ]
        ]
    )
    evidence = joint.double().logsumexp(0)
    assert (bound <= evidence + 1e-4).all()
    place = (listed == model.codes(x)[:, None]).all(2).float().argmax(1)
    posterior = joint.double().log_softmax(0)[place, torch.arange(len(x))]
    torch.testing.assert_close(evidence + posterior, bound.double(), rtol=0, atol=1e-4)


def test_the_rate_under_the_uniform_prior_is_the_logarithm_of_the_number_of_codes():
    terms = fitted(two)(batch(), generator=generator(), samples=2)
    assert terms.divergence.shape == (2, 2, 32)
    torch.testing.assert_close(terms.divergence[:, 0, 0], torch.tensor([1 * math.log(4), 4 * math.log(3)]))
    torch.testing.assert_close(terms.log_posterior - terms.log_prior, terms.divergence)


@pytest.mark.parametrize("grids", [(CodeGrid(2, 2, 3),), (CodeGrid(1, 1, 3), CodeGrid(2, 2, 2))])
def test_the_probabilities_of_all_codes_add_up_to_one(grids):
    model = built(lambda: AutoregressiveCodes(grids, features=4, channels=8, layers=2))
    with torch.no_grad():
        for level in model.networks:
            for p in level.parameters():
                p.add_(0.5 * torch.randn(p.shape, generator=generator(1)))
    every = torch.tensor(list(itertools.product(*(range(grid.size) for grid in grids for _ in range(grid.positions)))))
    total = model.log_codes(model.split(every)).detach().sum(0).double().logsumexp(0)
    assert float(total) == pytest.approx(0, abs=1e-5)
    uniform = UniformCodes(grids).log_codes(UniformCodes(grids).split(every)).sum(0).double().logsumexp(0)
    assert float(uniform) == pytest.approx(0, abs=1e-6)


def test_codes_are_drawn_as_often_as_their_probability_says():
    """4000 draws over 16 codes; each share within 4.5 standard errors: a false alarm in about 1e-4 of seeds, and
    the seed is fixed.
    """
    model = built(lambda: AutoregressiveCodes((CodeGrid(2, 2, 2),), features=4, channels=8, layers=2))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator(1)))
    drawn = model.sample(4000, generator=generator(2)).long() @ torch.tensor([8, 4, 2, 1])
    every = torch.tensor(list(itertools.product(range(2), repeat=4)))
    p = model.log_codes(model.split(every)).sum(0).exp().detach()
    share = torch.bincount(drawn, minlength=16) / 4000
    assert ((share - p).abs() < 4.5 * (p * (1 - p) / 4000).sqrt()).all()


@EVERY
def test_under_another_prior_a_model_has_the_same_codes_and_errors_and_that_prior(make):
    model, given = make().eval(), batch(rows=6)
    prior = built(lambda: AutoregressiveCodes(model.prior.grids, features=2, channels=2, layers=1))
    other = model.with_prior(prior)
    assert (other.training, model.train().with_prior(prior).training) == (False, True)
    model.eval()
    codes = model.codes(given)
    assert torch.equal(other.codes(given), codes)
    one, two = (m(given, generator=generator(), requires=frozenset({"log_prior"})) for m in (model, other))
    assert torch.equal(one.log_likelihood, two.log_likelihood)
    torch.testing.assert_close(two.log_prior[:, 0], prior.log_codes(prior.split(codes)))
    assert not torch.allclose(one.log_prior, two.log_prior)
    assert other.with_prior(model.prior).prior is model.prior


def test_a_prior_over_codes_lowers_the_bits_of_the_whole():
    model, data = fitted(two), splits()
    codes = coded_splits(model, data)
    assert codes.train.event == (5,)
    prior = built(lambda: AutoregressiveCodes(model.prior.grids, features=8, channels=16, layers=2))
    run(GradientAscent(prior, ELBO(), optimizer=AdamW(1e-2), ema=0.9), codes, replace(SETTINGS, epochs=15))
    before, after = (evaluate_codes(m, data.test) for m in (model, model.with_prior(prior)))
    assert after.distortion == before.distortion
    assert after.rate < 0.95 * before.rate
    assert after.bits_per_dim == pytest.approx((after.distortion + after.rate) / (16 * math.log(2)))
    assert [use.size for use in after.use] == [4, 3]
    drawn = model.with_prior(prior).sample(5, generator=generator())
    assert drawn.shape == (5, *EVENT)
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}


# what training leaves


def tensors(model):
    return {**dict(model.named_parameters()), **moving_buffers(model)}


def same(one, other):
    first, second = tensors(one), tensors(other)
    return all(torch.equal(value, second[name]) for name, value in first.items())


@EVERY
def test_training_raises_the_bound_and_equal_seeds_give_equal_models(make):
    first, second = (run(climbing(make()), splits(), replace(SETTINGS, epochs=8)) for _ in range(2))
    assert same(first.model, second.model)
    bounds = [row.elbo for row in first.history if row.split == "validation"]
    assert bounds[-1] > bounds[0] + 0.5


class KillAt(Callback):
    """Sends this process a signal once a given step is past."""

    def __init__(self, step):
        self.step, self.done = step, False

    def row(self, row):
        if row.step >= self.step and row.split == "train" and not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGTERM)


@EVERY
def test_a_run_stopped_by_a_signal_and_resumed_ends_in_an_equal_model_and_code_book(tmp_path, make):
    whole = run(climbing(make()), splits(), SETTINGS, folder=tmp_path / "whole")
    half = run(climbing(make()), splits(), SETTINGS, folder=tmp_path / "half", callbacks=[KillAt(8)])
    assert half.interrupted
    resumed = run(climbing(make()), splits(), SETTINGS, folder=tmp_path / "half", resume=True)
    assert same(whole.model, resumed.model)
    saved, _ = read_tensors(tmp_path / "half" / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in tensors(resumed.model).items())


def test_the_rehearsal_leaves_no_trace():
    """After a run of no step but the rehearsal's, the book has not started."""
    model = one()
    algorithm = climbing(model, ema=0.0)
    from vael.training.loop import Training
    from vael.training.settings import resolve

    training = Training(algorithm, splits(), resolve(SETTINGS, model, 192), None, ())
    before = {name: value.clone() for name, value in training.stepping.state.tensors().items()}
    training.stepping.rehearse()
    assert all(torch.equal(before[name], value) for name, value in training.stepping.state.tensors().items())
    assert not bool(model.coder.quantizers[0].started)


def test_validation_moves_nothing_and_judges_the_averaged_book():
    model = one()
    algorithm = climbing(model)
    fit = run(algorithm, splits(), replace(SETTINGS, epochs=6))
    live = moving_buffers(model)
    assert int(live["coder.books.0.steps"])
    reached = [row.elbo for row in fit.history if row.split == "validation"]
    again = evaluate_codes(fit.model, splits().validation)
    assert -again.distortion == pytest.approx(max(reached), abs=1e-3)


def test_a_step_that_is_skipped_moves_no_code_book():
    model, data = one(), splits()
    x = data.train.x.float()
    x[:] = float("nan")
    bad = Splits(replace(data.train, x=x, kind=Kind.REAL), data.validation, None)
    run(climbing(model, ema=0.0), bad, replace(SETTINGS, epochs=1))
    assert not bool(model.coder.quantizers[0].started)


def test_several_processes_and_compiled_steps_are_refused():
    with pytest.raises(StateError, match="compiled=False in one process"):
        run(climbing(one()), splits(), replace(SETTINGS, compiled=True))
    with pytest.raises(StateError, match="compiled=False in one process"):
        climbing(one()).init(splits().train, World(size=2))
    assert moving_buffers(scalar()) == {}, "nothing moves in a fixed grid"


def test_the_automatic_choice_is_eager():
    fit = run(climbing(one()), splits(), replace(SETTINGS, epochs=1, compiled=None))
    assert not fit.resolved.world.compiled


# the rest


@EVERY
def test_codes_do_not_depend_on_the_companions(make):
    model, whole = fitted(make), batch(rows=30)
    parts = torch.cat([model.codes(Batch(x=x)) for x in whole.x.split(7)])
    assert torch.equal(model.codes(whole), parts)
    assert torch.equal(model.encode(whole), torch.cat([model.encode(Batch(x=x)) for x in whole.x.split(30)]))


@EVERY
def test_the_decoder_gets_the_same_from_codes_as_from_the_encoder(make):
    model, given = fitted(make), batch(rows=9)
    direct = model(given, generator=PerExample(0, torch.arange(9)), requires=frozenset({"log_likelihood"}))
    again = model(given, generator=generator(), latent=direct.latent)
    torch.testing.assert_close(direct.log_likelihood, again.log_likelihood, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.reconstruct(given), model.decode(direct.latent).mean[0])


def test_examples_of_weight_nothing_change_no_gradient_and_no_book():
    model, given = one(), batch(rows=8)
    padded = replace(batch(rows=12), weight=torch.tensor([1.0] * 8 + [0.0] * 4))
    model(given, generator=PerExample(0, torch.arange(8)))
    first = dict(model.coder.quantizers[0].staged)
    model(padded, generator=PerExample(0, torch.arange(12)))
    assert int(first["steps"]) == 1
    assert all(torch.equal(value, first[name]) for name, value in model.coder.quantizers[0].staged.items())


def test_integer_pixels_have_bits_too():
    model = built(lambda: vq_vae((1, 7, 5), DiscretizedLogisticHead(16), CodeBook(5, 3), channels=(8, 8)))
    x = torch.randint(0, 16, (4, 1, 7, 5), generator=generator()).to(torch.uint8)
    found = evaluate_codes(model, Source("noise", x, Kind.INTEGER, "noise", levels=16))
    assert found.bits_per_dim is not None
    assert found.rate == pytest.approx(2 * 2 * math.log(5))


def test_what_makes_no_sense_is_refused():
    model = one()
    with pytest.raises(ShapeError, match="prior over"):
        model.with_prior(UniformCodes([CodeGrid(2, 2, 5)]))
    with pytest.raises(StateError, match="latent="):
        model(batch(), generator=generator(), posterior=())
    with pytest.raises(ShapeError, match="positions in all"):
        model.prior.split(torch.zeros(3, 7))
    codes = AutoregressiveCodes((CodeGrid(2, 2, 3),))
    with pytest.raises(SupportError, match="expected 0 to 2"):
        codes(Batch(x=torch.full((1, 4), 3.0)), generator=generator())
    for capability in (LatentModel, Reconstructs, Encodes):
        with pytest.raises(StateError, match="AutoregressiveCodes, has not"):
            needs(codes, capability, "this test")
    with pytest.raises(ShapeError, match="at least"):
        CodeGrid(2, 2, 1)
    assert FiniteScalar((3, 2)).size == 6
