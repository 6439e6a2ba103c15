"""Algorithms of several stages against the same stages by hand: equal weights, and settings that are the run's own but
for what a stage beside the main one must not have.
"""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from test_loop import stripes
from test_loop_on_autoencoders import SETTINGS, built, splits

from vael.data import Splits
from vael.errors import StateError
from vael.inference import AdamW, ExpectationMaximization, GradientAscent
from vael.inference.parts import AdamWPart, ExpectationMaximizationPart, GradientAscentPart
from vael.models import AutoregressiveCodes, BernoulliHead, GaussianMixture, unrolled
from vael.networks import CodeBook
from vael.objectives import ELBO, Reconstruction
from vael.objectives.parts import ReconstructionPart
from vael.recipes import autoencoder, stacked, vq_vae
from vael.training import Keep, coded_splits, encoded, pretrain, run
from vael.training import parts as stages
from vael.training.parts import LayerwisePart, TwoStagesPart, second_stage, shortened
from vael.training.settings import resolve


def resolved(model, **changed):
    return resolve(replace(SETTINGS, precision=torch.float32, **changed), model, 200)


def equal(one, other) -> bool:
    known = other.state_dict()
    return all(torch.equal(weight, known[name]) for name, weight in one.state_dict().items())


def with_density():
    model = built(lambda: autoencoder((6,), latent=2, hidden=(8,)))
    model.density = GaussianMixture(2, 2)
    return model.eval()


def test_a_stage_beside_the_main_one_is_the_run_but_for_its_length_and_its_haste():
    known = replace(
        SETTINGS, time_limit=9.0, patience=2, compiled=True, precision=torch.bfloat16, threads=3, keep=Keep.LAST
    )
    found = shortened(resolve(known, with_density(), 200), 7)
    eager = {"time_limit": None, "patience": None, "compiled": False, "precision": torch.float32}
    assert found == replace(known, device=torch.device("cpu"), epochs=7, **eager)
    assert shortened(resolve(known, with_density(), 200), 7, 64) == replace(found, batch=64)


def test_layers_are_trained_one_after_another_before_the_whole():
    model = built(lambda: unrolled(stacked((6,), features=(4, 2))))
    by_hand = built(lambda: stacked((6,), features=(4, 2)))
    part = LayerwisePart(
        objective=ReconstructionPart(), optimizer=AdamWPart(learning_rate=3e-3), average=0.5, layer_epochs=2
    )

    def ascent(layer):
        return GradientAscent(layer, Reconstruction(), optimizer=AdamW(3e-3), ema=0.5)

    part.before(model, splits(), resolved(model, epochs=9))
    pretrain(by_hand, splits(), ascent, replace(SETTINGS, epochs=2, precision=torch.float32))
    assert equal(model, unrolled(by_hand))
    assert not equal(model, built(lambda: unrolled(stacked((6,), features=(4, 2)))))
    with pytest.raises(StateError, match="GaussianMixture has no layers"):
        part.before(GaussianMixture(2, 2), splits(), resolved(model))


def test_a_mixture_is_fitted_to_the_codes_in_double_precision_and_to_all_at_once():
    model, by_hand = with_density(), with_density()
    before = deepcopy(model)
    part = TwoStagesPart(second=ExpectationMaximizationPart(seed=4), second_epochs=6)
    codes, density = second_stage(model, splits())
    assert density is model.density
    for mine, given in ((codes.train, splits().train), (codes.validation, splits().validation)):
        assert mine.x.dtype == torch.float64
        assert torch.equal(mine.x, encoded(model, given).x.double())
    assert part.after(model, splits(), resolved(model, batch=32))
    fitted = ExpectationMaximization(by_hand.density, floor=part.second.floor, seed=4)
    run(fitted, codes, replace(SETTINGS, epochs=6, batch=200, precision=torch.float32))
    assert equal(model.density, by_hand.density)
    assert equal(model.encoder, before.encoder)
    assert equal(model.decoder, before.decoder)


class Stopped:
    interrupted = True


def quantized():
    """A model of images with a prior over its codes that is to be fitted."""
    model = built(lambda: vq_vae((1, 4, 4), BernoulliHead(), CodeBook(4, 2), channels=(4,)))
    return model.with_prior(built(lambda: AutoregressiveCodes(model.prior.grids, features=2, channels=2, layers=1)))


def test_a_prior_is_fitted_by_gradients_in_batches_of_its_own(monkeypatch):
    """Its weights, held by the model, are free while it is fitted, whatever the batch of the main stage."""
    model, by_hand, images = quantized(), quantized(), Splits(stripes(150, 0), stripes(50, 1), stripes(50, 2))
    codes, prior = second_stage(model, images)
    assert prior is model.prior
    assert torch.equal(codes.train.x, coded_splits(model, images).train.x)
    model.prior.requires_grad_(False)
    part = TwoStagesPart(
        second=GradientAscentPart(optimizer=AdamWPart(learning_rate=1e-2), average=0.5), second_epochs=2
    )
    assert part.after(model, images, resolved(model, batch=32)) is True
    ascent = GradientAscent(by_hand.prior, ELBO(), optimizer=AdamW(1e-2), ema=0.5)
    run(ascent, codes, replace(SETTINGS, epochs=2, batch=64, precision=torch.float32))
    assert equal(prior, by_hand.prior)
    assert not equal(prior, quantized().prior)
    assert not any(weight.requires_grad for weight in prior.parameters())
    assert not prior.training
    monkeypatch.setattr(stages, "run", lambda *given: Stopped)
    with pytest.raises(KeyboardInterrupt):
        part.after(model, images, resolved(model))


def test_a_layer_that_was_interrupted_ends_the_run(monkeypatch):
    monkeypatch.setattr(stages, "pretrain", lambda *given: [Stopped])
    model = built(lambda: unrolled(stacked((6,), features=(4, 2))))
    with pytest.raises(KeyboardInterrupt):
        LayerwisePart().before(model, splits(), resolved(model))


def test_what_has_no_density_over_its_codes_has_no_second_stage():
    book = built(lambda: vq_vae((1, 4, 4), BernoulliHead(), CodeBook(4, 2), channels=(4,)))
    for model in (built(lambda: autoencoder((6,), latent=2, hidden=(8,))), GaussianMixture(2, 6), book):
        with pytest.raises(StateError, match=f"{type(model).__name__} has no density"):
            second_stage(model, splits())
