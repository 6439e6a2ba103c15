"""Autoencoders through the one loop: linear ones find the principal subspace, and whatever is drawn, runs repeat
and go on.
"""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from torch import nn

from vael.data import Batch, Kind, Masking, Source, Splits
from vael.errors import ShapeError, StateError
from vael.inference import AdamW, GradientAscent
from vael.models import Autoencoder, Decoder, SquaredErrorHead, unrolled
from vael.networks import Dense
from vael.objectives import ELBO, Reconstruction
from vael.probability import PerExample
from vael.recipes import autoencoder, contractive, stacked
from vael.training import Callback, Settings, encoded, pretrain, run

FEATURES, LATENT, EXAMPLES = 8, 3, 300


def curve(examples=200, seed=0, cells=6):
    """Points near a bent line in `cells` dimensions, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.rand(examples, 1, generator=generator)
    x = 0.5 + 0.4 * torch.sin(t * torch.arange(1, cells + 1)) + 0.02 * torch.randn(examples, cells, generator=generator)
    return Source("curve", x, Kind.REAL, f"curve-{examples}-{seed}")


def splits():
    return Splits(curve(200, 0), curve(60, 1), curve(60, 2))


def built(make, seed=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def climbing(model, rate=3e-3):
    return GradientAscent(model, Reconstruction(), optimizer=AdamW(rate))


def denoising():
    return built(lambda: autoencoder((6,), latent=2, hidden=(16,), corruption=Masking(0.3)))


SETTINGS = Settings(epochs=5, batch=32, seed=5, compiled=False)


def test_a_linear_autoencoder_finds_the_principal_subspace():
    """Baldi & Hornik 1989: no other minimum. Angles and error against scikit-learn's PCA."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([1.5, 1.2, 1.0, 0.3, 0.3, 0.2, 0.2, 0.1], dtype=torch.float64)
    x = torch.randn(EXAMPLES, FEATURES, generator=generator, dtype=torch.float64) * scales
    x = x @ torch.linalg.qr(torch.randn(FEATURES, FEATURES, generator=generator, dtype=torch.float64)).Q + 1.0
    source = Source("linear", x, Kind.REAL, "linear")
    parts = Dense((FEATURES,), (LATENT,), ()), Decoder(Dense((LATENT,), (FEATURES,), ()), SquaredErrorHead())
    model = built(lambda: Autoencoder(*parts)).double()
    ascent = GradientAscent(model, Reconstruction(), optimizer=AdamW(0.02, betas=(0.95, 0.95)), ema=0.0)
    fit = run(ascent, Splits(source, source, None), Settings(epochs=600, batch=EXAMPLES, compiled=False))
    pca = PCA(LATENT).fit(x.numpy())
    residual = ((x.numpy() - pca.inverse_transform(pca.transform(x.numpy()))) ** 2).sum(1).mean()
    assert -fit.best_elbo == pytest.approx(residual, rel=1e-6)
    assert -fit.best_elbo >= residual * (1 - 1e-12)  # nothing linear is better
    found = model.decoder.network.last.weight.detach().numpy()
    assert subspace_angles(found, pca.components_.T).max() < 1e-4


def test_training_lowers_the_error_on_validation_data():
    fit = run(
        climbing(built(lambda: autoencoder((6,), latent=1, hidden=(32,)))), splits(), replace(SETTINGS, epochs=30)
    )
    distortion = [row.distortion for row in fit.history if row.split == "validation"]
    assert distortion[-1] < 0.2 * distortion[0]
    assert all(row.divergence == 0 for row in fit.history)


def weights(fit):
    return dict(fit.model.named_parameters())


def test_equal_seeds_give_equal_weights_and_validation_is_damaged_the_same_way_every_time():
    first, second = (run(climbing(denoising()), splits(), SETTINGS) for _ in range(2))
    assert all(torch.equal(w, weights(second)[name]) for name, w in weights(first).items())
    other = run(climbing(denoising()), splits(), replace(SETTINGS, seed=6))
    assert any(not torch.equal(w, weights(other)[name]) for name, w in weights(first).items())
    still = GradientAscent(denoising(), Reconstruction(), optimizer=AdamW(1e-12), ema=0.0)  # weights that do not move
    seen = [row.elbo for row in run(still, splits(), SETTINGS).history if row.split == "validation"]
    assert len(set(np.round(seen, 6))) == 1


class KillAt(Callback):
    """Sends this process a signal once a given step is past."""

    def __init__(self, step):
        self.step, self.done = step, False

    def row(self, row):
        if row.step >= self.step and row.split == "train" and not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    "make",
    [denoising, lambda: built(lambda: contractive((6,), latent=4, hidden=(8,)))],
    ids=["denoising", "contractive"],
)
def test_a_run_stopped_by_a_signal_and_resumed_ends_in_equal_weights(tmp_path, make):
    whole = run(climbing(make()), splits(), SETTINGS, folder=tmp_path / "whole")
    half = run(climbing(make()), splits(), SETTINGS, folder=tmp_path / "half", callbacks=[KillAt(8)])
    assert half.interrupted
    assert half.steps < whole.steps
    resumed = run(climbing(make()), splits(), SETTINGS, folder=tmp_path / "half", resume=True)
    assert all(torch.equal(w, weights(resumed)[name]) for name, w in weights(whole).items())


# stacks


def stack():
    return built(lambda: stacked((6,), features=(12, 6, 2)))


def test_pretraining_trains_each_layer_on_the_codes_of_the_one_before():
    trained = stack()
    before = [{name: w.clone() for name, w in layer.state_dict().items()} for layer in trained]
    fits = pretrain(trained, splits(), climbing, SETTINGS)
    assert [fit.model for fit in fits] == list(trained)
    for layer, was in zip(trained, before, strict=True):
        assert any(not torch.equal(was[name], w) for name, w in layer.state_dict().items())
    # the second layer by hand, on codes of the first
    again = stack()[1]
    x = splits()
    codes = [encoded(trained[0], source) for source in (x.train, x.validation)]
    torch.testing.assert_close(codes[0].x, trained[0].encode(Batch(x=x.train.x)).detach())
    run(climbing(again), Splits(codes[0], codes[1], None), SETTINGS)
    assert all(torch.equal(w, again.state_dict()[name]) for name, w in trained[1].state_dict().items())


def test_pretraining_gives_fine_tuning_a_better_start():
    x = splits()

    @torch.no_grad()
    def validation_error(layers):
        given = Batch(x=x.validation.x)
        return float((unrolled(layers).reconstruct(given) - given.x).square().sum(1).mean())

    trained = stack()
    pretrain(trained, x, climbing, replace(SETTINGS, epochs=15))
    assert validation_error(trained) < 0.5 * validation_error(stack())
    tuned = run(climbing(unrolled(trained)), x, replace(SETTINGS, epochs=8))
    assert -tuned.best_elbo < validation_error(trained)


def test_pretraining_that_was_killed_goes_on_where_it_stood(tmp_path):
    whole, halved, settings = stack(), stack(), replace(SETTINGS, epochs=2)
    pretrain(whole, splits(), climbing, settings, folder=tmp_path / "whole")
    (half,) = pretrain(halved[:1], splits(), climbing, settings, folder=tmp_path / "half")
    again = stack()
    fits = pretrain(again, splits(), climbing, settings, folder=tmp_path / "half")
    assert fits[0].history == half.history  # of the steps that it took before
    assert sorted(path.name for path in (tmp_path / "half").iterdir()) == ["layer-1", "layer-2", "layer-3"]
    for one, two in zip(whole, again, strict=True):
        assert all(torch.equal(w, two.state_dict()[name]) for name, w in one.state_dict().items())


def test_codes_of_a_source_keep_order_and_labels():
    source = replace(curve(30), label=torch.arange(30))
    found = encoded(stack()[0], source)
    assert found.kind is Kind.REAL
    assert torch.equal(found.label, source.label)
    assert found.fingerprint != source.fingerprint
    assert torch.equal(found.batch(torch.tensor([4])).x, found.x[4:5])


def test_what_cannot_be_climbed_or_stacked_is_refused():
    with pytest.raises(ShapeError, match="at least one"):
        pretrain((), splits(), climbing)
    with pytest.raises(StateError, match=r"vael\.objectives\.Reconstruction"):
        run(GradientAscent(denoising(), ELBO()), splits(), SETTINGS)


COMPILED = """
import sys, torch
sys.path.insert(0, {tests!r})
from dataclasses import replace
from test_loop_on_autoencoders import SETTINGS, built, climbing, splits, weights
from vael.data import Masking
from vael.models import AbsoluteActivation, Contraction
from vael.recipes import autoencoder
from vael.training import run
penalties = dict(jacobian=Contraction(probes=1), size=AbsoluteActivation())
make = lambda: built(lambda: autoencoder((6,), latent=2, hidden=(8,), corruption=Masking(0.3), penalties=penalties))
eager, compiled = (run(climbing(make()), splits(), replace(SETTINGS, epochs=2, compiled=on)) for on in (False, True))
for name, w in weights(eager).items():
    torch.testing.assert_close(weights(compiled)[name], w, rtol=1e-4, atol=1e-6)
"""


@pytest.mark.slow
def test_a_compiled_run_is_the_eager_run():
    """In a process of its own: annotations that are checked do not compile."""
    code = COMPILED.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_noise_that_belongs_to_examples_serves_every_batch_size():
    model, x = denoising(), splits().validation
    requires = Reconstruction().requires

    def errors(size):
        blocks = torch.arange(len(x)).split(size)
        return torch.cat(
            [model(x.batch(i), generator=PerExample(1, i), requires=requires).log_likelihood[0] for i in blocks]
        )

    torch.testing.assert_close(errors(60), errors(7), rtol=1e-5, atol=1e-6)
    assert isinstance(model.encoder, nn.Sequential)
