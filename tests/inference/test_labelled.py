"""Labelled examples beside a batch: what is climbed stays what it was in expectation."""

from dataclasses import replace

import pytest
import torch

from vael.data import Kind, Source
from vael.errors import StateError
from vael.inference import GradientAscent, LabelledAscent, Moment
from vael.inference.labelled import LabelledAscentPart
from vael.models import VAE
from vael.models.families import ModelPart
from vael.parts import read
from vael.probability import Stream

EXAMPLES, KNOWN, BATCH = 200, 10, 16


def data(known=KNOWN):
    noise = torch.Generator().manual_seed(2)
    label = torch.full((EXAMPLES,), -1)
    label[torch.randperm(EXAMPLES, generator=noise)[:known]] = torch.arange(known) % 2
    return Source("rows", torch.randn(EXAMPLES, 3, generator=noise), Kind.REAL, "f", label=label)


class Nothing(torch.nn.Module):
    """Stands where no model is asked."""


def ascent(source):
    found = object.__new__(GradientAscent)
    found.model, found.warmup = Nothing(), 0.0
    return LabelledAscent(found, source)


def test_what_is_climbed_is_the_same_in_expectation():
    """Any function of the rows, another for labelled ones: 600 batches, within 5 standard errors."""
    source = data()
    of = torch.linspace(-1, 2, EXAMPLES) + 5 * (source.label >= 0)
    algorithm, noise = ascent(source), Stream(torch.Generator().manual_seed(0))
    sums, some = [], torch.Generator().manual_seed(1)
    for _ in range(600):
        index = torch.randperm(EXAMPLES, generator=some)[:BATCH]
        found = algorithm.stratified(source.batch(index), Moment(0.0, 1.0, noise, BATCH))
        assert len(found) == BATCH + BATCH // 4
        assert (found.label[BATCH:] >= 0).all()
        sums.append(float((found.weight * of[found.index]).sum()) / BATCH)
    sums = torch.tensor(sums).double()
    assert abs(float(sums.mean() - of.double().mean())) < 5 * float(sums.std()) / len(sums) ** 0.5
    with_chance = BATCH**-0.5 * float(of.std())
    assert float(sums.std()) < with_chance


def test_padding_counts_nothing():
    source = data()
    batch = replace(source.batch(torch.arange(BATCH)), weight=(torch.arange(BATCH) < 9).float())
    found = ascent(source).stratified(batch, Moment(0.0, 1.0, Stream(torch.Generator().manual_seed(0)), 9))
    assert (found.weight[9:BATCH] == 0).all()
    assert found.weight[BATCH:].sum() == pytest.approx(KNOWN * 9 / EXAMPLES)


@pytest.mark.parametrize("known", [0, EXAMPLES // 4, EXAMPLES])
def test_where_labels_are_none_or_many_the_batch_stays_as_it_is(known):
    source = data(known)
    batch = source.batch(torch.arange(BATCH))
    assert ascent(source).stratified(batch, Moment(0.0, 1.0, Stream(torch.Generator()), BATCH)) is batch


def test_a_model_without_classes_and_an_objective_without_its_bound_are_refused():
    part = LabelledAscentPart()
    with pytest.raises(StateError, match="learns no classes"):
        part.check(object.__new__(VAE), data())
    other = LabelledAscentPart.model_validate({"objective": "importance-weighted"})
    with pytest.raises(StateError, match="its own bound, not importance-weighted"):
        other.check(object.__new__(VAE), data())
    assert read(ModelPart, "semi-supervised").learns_classes
