"""What is asked of an estimate: one record, which keywords fill in."""

from dataclasses import fields, replace

import pytest
import torch

from vael.data import Batch, Kind, Source
from vael.evaluation import Estimation, Proposals, evaluate, evaluate_encoder, evaluate_refined, forecast, judge
from vael.evaluation.estimation import EstimationOptions
from vael.evaluation.likelihood import NOISE_BLOCK, Draws, latents
from vael.models import BernoulliHead
from vael.networks import seeded
from vael.probability import diagonal_gaussian
from vael.recipes import dense

ASKED = Estimation(split="validation", importance_samples=120, seed=4, batch=3, memory=1 << 16)
NUMBERS = ("split", "importance_samples", "seed", "elbo", "log_likelihood", "estimator")


def model():
    with seeded(0):
        return dense((4,), BernoulliHead(), latent=2, hidden=(3,))


def rows():
    x = torch.bernoulli(torch.full((5, 4), 0.5), generator=torch.Generator().manual_seed(0))
    return Source("bits", x, Kind.BINARY, "f")


def numbers(found):
    return [getattr(found, name) for name in NUMBERS]


def keywords(how):
    return {one.name: getattr(how, one.name) for one in fields(how)}


def test_every_field_is_a_keyword():
    assert EstimationOptions.__annotations__.keys() == {one.name for one in fields(Estimation)}


@pytest.mark.parametrize("proposals", Proposals)
def test_a_record_and_keywords_ask_for_the_same(proposals):
    how = replace(ASKED, proposals=proposals)
    ways = {
        Proposals.ADAPTIVE: evaluate,
        Proposals.ENCODER: evaluate_encoder,
        Proposals.FITTED: evaluate_refined,
    }
    without = {name: value for name, value in keywords(how).items() if name != "proposals"}
    found = [
        numbers(one)
        for one in (
            judge(model(), rows(), how),
            judge(model(), rows(), **keywords(how)),
            evaluate(model(), rows(), how),
            ways[proposals](model(), rows(), **without),
        )
    ]
    assert found.count(found[0]) == len(found)
    assert found[0][:3] == ["validation", 120, 4]


def test_keywords_come_before_the_record():
    assert numbers(evaluate(model(), rows(), ASKED, seed=9)) == numbers(
        evaluate(model(), rows(), replace(ASKED, seed=9))
    )
    assert numbers(evaluate(model(), rows(), ASKED, seed=9)) != numbers(evaluate(model(), rows(), ASKED))


@pytest.mark.parametrize("way", [evaluate, evaluate_encoder, evaluate_refined, judge, forecast])
def test_a_keyword_that_there_is_not_is_refused(way):
    with pytest.raises(TypeError, match="sampels"):
        way(model(), rows(), sampels=3)


@pytest.mark.parametrize("first", [0, 1, 7])
def test_draws_are_the_blocks_of_noise_from_the_first_on(first):
    """Block after block, each from where it stands: fewer draws begin more, and those of a later first block are the
    later draws of an earlier one.
    """
    q = diagonal_gaussian(torch.zeros(3, 2).double(), torch.ones(3, 2).double())
    batch = Batch(x=torch.zeros(3, 1), index=torch.tensor([4, 0, 9]))

    def drawn(samples, first):
        return list(latents(q, batch, Draws(samples, 5, 100, first)))

    blocks = drawn(2 * NOISE_BLOCK + 3, first)
    assert [len(one) for one in blocks] == [NOISE_BLOCK, NOISE_BLOCK, 3]
    assert all(
        torch.equal(one, other) for one, other in zip(drawn(NOISE_BLOCK + 3, first + 1), blocks[1:], strict=True)
    )
    assert [len(one) for one in drawn(NOISE_BLOCK, first)] == [NOISE_BLOCK]
    assert len(torch.cat(blocks).unique()) == 2 * 3 * (2 * NOISE_BLOCK + 3)
