import dataclasses

import pytest
import torch

from vael import domains
from vael.data import AsFloat, Kind, Source
from vael.data.transforms import Threshold
from vael.domains.image import PIXELS
from vael.domains.table import ROWS
from vael.report.record import TrivialModel
from vael.report.verdict import Findings, Tone, remarks, signed

SOUND = Findings(
    elbo=-90.0,
    log_likelihood=-88.0,
    standard_error=0.2,
    importance_samples=1000,
    divergence=25.0,
    active=18,
    latents=20,
    train=(-200.0, -120.0, -95.0, -90.0, -89.0, -88.6, -88.5),
    validation=(-201.0, -121.0, -96.0, -91.0, -90.2, -90.1, -90.05),
    steps=5000,
    baseline=TrivialModel(-206.0, "independent cells"),
)


def said(**changes):
    return {one.what: one for one in remarks(dataclasses.replace(SOUND, **changes))}


def test_a_sound_run_gets_no_warning_and_a_last_word():
    assert {"baseline", "latents", "sound"} == set(said())
    assert "118.00 nats" in said()["baseline"].text


@pytest.mark.parametrize(
    ("rule", "changes", "word"),
    [
        ("baseline", {"log_likelihood": -207.0}, "no better"),
        ("collapse", {"active": 0}, "collapsed"),
        ("collapse", {"divergence": 0.05}, "0.050 nats"),
        ("overfitting", {"train": (-200.0, -60.0)}, "ahead"),
        ("overfitting", {"validation": (-200.0, -85.0, -90.0)}, "fell by 5.00"),
        ("rising", {"validation": (-200.0, -150.0, -120.0, -110.0, -100.0, -90.0)}, "more epochs"),
        ("skipped", {"skipped": 100}, "100 of 5,000"),
        ("doubts", {"warnings": ("too few samples",)}, "Too few samples."),
    ],
)
def test_each_warning_comes_with_its_cause_and_takes_the_last_word_away(rule, changes, word):
    assert rule not in said() or said()[rule].tone is not Tone.WARNING
    found = said(**changes)
    assert found[rule].tone is Tone.WARNING
    assert word in found[rule].text
    assert "sound" not in found


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("overfitting", {"train": (-200.0, -86.0)}),
        ("rising", {"validation": (-200.0, -90.1, -90.0, -90.0, -90.0, -90.0)}),
        ("rising", {"validation": (-200.0, -150.0, -90.0)}),
        ("rising", {"validation": (-91.0, -90.5, -90.2, -90.1, -90.05, -90.0)}),  # of a whole rise that is nothing
        ("skipped", {"skipped": 50}),
        ("looseness", {"log_likelihood": -87.0}),
    ],
)
def test_rules_are_silent_at_their_thresholds(rule, changes):
    assert rule not in said(**changes)


def test_a_loose_bound_is_named_with_its_size():
    assert "10.00 nats" in said(log_likelihood=-80.0)["looseness"].text


def test_a_model_that_overfits_is_not_to_be_trained_longer():
    rising = {"validation": (-200.0, -90.0), "train": (-200.0, -90.0)}
    falling = {"validation": (-200.0, -90.0, -120.0)}
    assert "train longer" in said(log_likelihood=-207.0, **rising)["baseline"].text
    assert "Training longer does not help" in said(log_likelihood=-207.0, **falling)["baseline"].text


@pytest.mark.parametrize("train", [-60.0, -90.0])
@pytest.mark.parametrize("log_likelihood", [-80.0, -88.0, -207.0])
@pytest.mark.parametrize(
    "validation",
    [(-200.0, -90.0), (-200.0, -90.0, -120.0), (-200.0, -150.0, -120.0, -110.0, -100.0, -90.0)],
)
def test_no_verdict_advises_a_thing_and_its_opposite(train, log_likelihood, validation):
    """Longer training, or a larger part, beside a smaller one for a model that overfits."""
    found = said(train=(-200.0, train), log_likelihood=log_likelihood, validation=validation, divergence=20.0)
    texts = " ".join(one.text.lower() for one in found.values())
    smaller = "smaller network" in texts
    assert not (
        smaller and any(word in texts for word in ("train longer", "longer training or", "more epochs", "larger"))
    )


def test_a_small_gain_is_called_small():
    assert "little" in said(log_likelihood=-205.0, elbo=-205.5)["baseline"].text


def test_latents_in_use():
    assert "18 of 20" in said()["latents"].text
    assert "more latents" in said(active=2, latents=2)["latents"].text
    assert said(active=2, latents=2, train=(-60.0,))["latents"].text == "All 2 latents are in use."


def test_without_an_evaluation_the_page_says_how_to_get_one():
    found = said(elbo=None, log_likelihood=None)
    assert "vael evaluate" in found["unmeasured"].text
    assert "sound" not in found


def test_every_rule_is_silent_when_nothing_is_known():
    assert [one.what for one in remarks(Findings())] == ["unmeasured"]


def test_signed_has_a_real_minus_sign():
    assert signed(-1234.5) == "−1,234.50"


@pytest.mark.parametrize(
    ("event", "kind", "transform", "helps", "never"),
    [
        ((5,), Kind.REAL, AsFloat(), "fewer latents", "inari"),
        ((3, 8, 8), Kind.INTEGER, AsFloat(), "more images", "inari"),
        ((1, 8, 8), Kind.INTEGER, AsFloat(), "more images", "inari"),
        ((1, 8, 8), Kind.BINARY, Threshold(7.5), "--binarize dynamic", "rows"),
    ],
)
def test_advice_fits_the_data(event, kind, transform, helps, never):
    """Zeros and ones can be drawn anew only where grey values were cut once; rows of a table have none, nor have
    photographs.
    """
    source = Source(
        "some",
        torch.zeros(4, *event),
        kind,
        "00" * 32,
        levels=16 if kind is Kind.INTEGER else None,
        transform=transform,
    )
    found = said(train=(-200.0, -60.0), subject=domains.of(source).subject(source))["overfitting"].text
    assert helps.lower() in found.lower()
    assert never not in found
    assert "overfits" in found


def test_the_gain_is_told_in_words_of_the_data():
    assert (
        "Modelling dependence between columns gains 118.00 nats (170.2 bits) per row"
        in said(subject=ROWS)["baseline"].text
    )
    assert "between pixels gains 118.00 nats (170.2 bits) per image" in said(subject=PIXELS)["baseline"].text


def test_blurred_samples_are_the_first_thing_said_and_nothing_is_green_beside_them():
    found = remarks(dataclasses.replace(SOUND, detail=0.2))
    assert found[0].what == "detail"
    assert "20%" in found[0].text
    assert all(one.tone is not Tone.GOOD for one in found)
    assert all(one.what != "detail" for one in remarks(dataclasses.replace(SOUND, detail=0.9)))


def test_one_latent_is_one():
    assert said(active=1, latents=1)["latents"].text.startswith("The one latent is in use")
    assert said(active=1, latents=3)["latents"].text.startswith("1 of 3 latents is in use")
