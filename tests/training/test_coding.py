"""Data as codes of a model: those of every example, in order, in evaluation mode, with noise of each example's own."""

import pytest
import torch

from vael.data import Kind, Source, Splits
from vael.data.transforms import DynamicBinarization
from vael.models import BernoulliHead
from vael.networks import CodeBook
from vael.probability import PerExample
from vael.recipes import autoencoder, vq_vae, vq_vae_2
from vael.training import coded, coded_splits, coding, encoded, pretraining
from vael.training.pretraining import encoded_splits

EVENT = (1, 4, 4)


def images(examples: int) -> Source:
    """Grey images that are made black and white by chance whenever they are looked at."""
    x = torch.randint(0, 256, (examples, *EVENT), generator=torch.Generator().manual_seed(examples), dtype=torch.uint8)
    label = torch.arange(examples) % 2
    return Source(
        "grey",
        x,
        Kind.BINARY,
        f"grey-{examples}",
        transform=DynamicBinarization(255.0),
        label=label,
        label_names=("a", "b"),
        notes=("by chance",),
    )


def built(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def one_level(codes: int = 6):
    return spread(built(lambda: vq_vae(EVENT, BernoulliHead(), CodeBook(codes, 3), channels=(8,))))


def spread(model):
    """Codes as far apart as the vectors that they stand for."""
    for book in model.coder.books:
        book.sums.copy_(0.3 * torch.randn(book.sums.shape, generator=torch.Generator().manual_seed(1)))
    return model


def seen(source: Source, seed: int):
    index = torch.arange(len(source))
    return source.batch(index, PerExample(seed, index))


def test_codes_are_those_of_the_model_at_the_noise_of_the_examples(monkeypatch):
    model, source = one_level().double(), images(23)
    monkeypatch.setattr(coding, "AT_ONCE", 5)
    found = coded(model, source, seed=3)
    assert torch.equal(found.x.long(), one_level().eval().codes(seen(source, 3)))
    assert (found.kind, found.levels, found.x.dtype, found.label_names) == (Kind.INTEGER, 6, torch.uint8, ("a", "b"))
    assert torch.equal(found.label, source.label)
    assert not torch.equal(coded(model, source, seed=4).x, found.x)
    assert torch.equal(coded(model, source).x, coded(model, source, seed=0).x)
    assert found.fingerprint == coded(model, source, seed=3).fingerprint != coded(model, source, seed=4).fingerprint


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_left_in_the_mode_that_it_was_in(training):
    model = one_level().train(training)
    coded(model, images(9))
    assert model.training is training


@pytest.mark.parametrize(("codes", "stored"), [(256, torch.uint8), (257, torch.int32)])
def test_many_codes_are_stored_in_more_bytes(codes, stored):
    found = coded(one_level(codes), images(9))
    assert (found.x.dtype, found.levels) == (stored, codes)


def test_every_split_is_coded_and_the_levels_are_of_the_largest_book():
    model = spread(built(lambda: vq_vae_2(EVENT, BernoulliHead(), CodeBook(4, 2), CodeBook(3, 2), channels=(8,))))
    data = Splits(images(20), images(11), images(7))
    found = coded_splits(model, data, 2)
    for mine, given in ((found.train, data.train), (found.validation, data.validation), (found.test, data.test)):
        assert torch.equal(mine.x, coded(model, given, 2).x)
        assert not torch.equal(mine.x, coded(model, given).x)
        assert mine.levels == 4
    assert coded_splits(model, Splits(data.train, data.validation, None)).test is None


def test_layers_are_trained_on_codes_at_the_noise_of_the_examples(monkeypatch):
    model, source = built(lambda: autoencoder(EVENT, latent=2, hidden=(8,))), images(23)
    monkeypatch.setattr(pretraining, "AT_ONCE", 5)
    found = encoded(model, source, seed=3)
    torch.testing.assert_close(found.x, model.encode(seen(source, 3)).detach())
    assert (found.kind, found.name, found.label_names, found.notes) == (
        Kind.REAL,
        "codes of grey",
        ("a", "b"),
        ("by chance",),
    )
    assert torch.equal(encoded(model, source).x, encoded(model, source, seed=0).x)
    assert found.fingerprint == encoded(model, source, seed=3).fingerprint != encoded(model, source, seed=4).fingerprint
    assert not torch.equal(found.x, encoded(model, source, seed=4).x)
    assert encoded(model.double(), source).x.dtype == torch.float64
    splits = encoded_splits(model, Splits(source, images(11), images(7)))
    assert splits.test is None
    assert torch.equal(splits.validation.x, encoded(model, images(11)).x)
