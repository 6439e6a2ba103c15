"""An evaluation as Python shows it: its figures, however many examples there are."""

import re
from dataclasses import fields, replace

import torch

from vael.evaluation.record import Evaluation, untrusted

MANY = 10_000
JUDGED = Evaluation(
    data="bits",
    split="test",
    examples=MANY,
    elbo=-43.0,
    distortion=40.0,
    divergence=3.0,
    log_likelihood=-42.0,
    standard_error=0.4,
    importance_samples=500,
    bits_per_dim=None,
    effective_sample_size=None,
    worst_effective_sample_size=None,
    k_hat=None,
    k_hat_above_limit=None,
    active_units=2,
    latent_features=2,
    divergence_per_latent=torch.zeros(2),
    elbo_per_example=torch.zeros(MANY),
    log_likelihood_per_example=torch.zeros(MANY),
    k_hat_per_example=None,
    seed=0,
    seconds=0.0,
    estimator="",
    warnings=("few draws",),
)


def test_every_figure_is_shown_and_nothing_of_single_examples():
    shown = repr(JUDGED)
    assert len(shown) < 700
    for one in fields(JUDGED):
        assert (f"{one.name}=" in shown) != isinstance(getattr(JUDGED, one.name), torch.Tensor)


def test_a_line_says_what_was_found():
    assert str(JUDGED) == (
        "bits, test split of 10,000 examples: log p(x) -42.00 ± 0.40 (K = 500), bound -43.00 = −(40.00 distortion + "
        "3.00 divergence) nats, "
        "2 of 2 latents active; 1 warning in .warnings"
    )


def cells(shown):
    """Of the table each row's texts."""
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in shown.split("<tr>")[1:]]


def test_a_notebook_shows_every_figure_with_its_digits_and_what_is_not_known_not_at_all():
    shown = JUDGED._repr_html_()
    assert "bits, test split: 10,000 examples, nats per example, K = 500" in shown
    assert cells(shown) == [
        ["log p(x)", "-42.00 ± 0.40", "importance-weighted"],
        ["bound", "-43.00", ""],
        ["distortion", "40.00", "expected -log p(x | z)"],
        ["divergence", "3.00", "2 of 2 latents active"],
        ["warning", "few draws", ""],
    ]
    more = {"bits_per_dim": 1.23456, "effective_sample_size": 87.654, "k_hat": 0.456, "notes": ("made up",)}
    whole = replace(JUDGED, **more, conditioned_on=("class",), standard_error=None, warnings=())
    assert cells(whole._repr_html_())[0] == ["log p(x | c)", "-42.00", "importance-weighted"]
    assert cells(whole._repr_html_())[4:] == [
        ["bits per dimension", "1.2346", ""],
        ["effective sample size", "87.7", ""],
        ["k-hat", "0.46", ""],
        ["note", "made up", ""],
    ]
    error = replace(JUDGED, is_bound=False, log_likelihood=None)
    assert cells(error._repr_html_())[:2] == [["objective", "-43.00", ""], ["distortion", "40.00", ""]]
    assert "split: 10,000 examples, per example, K = 500" in error._repr_html_()


def test_weights_are_not_trusted_where_they_are_worth_few_draws_or_many_tails_are_heavy():
    for effective, share, doubted in (
        (None, None, False),
        (10.0, 0.1, False),
        (9.99, None, True),
        (9.99, 0.0, True),
        (10.0, 0.11, True),
        (None, 0.11, True),
        (None, 0.1, False),
    ):
        found = replace(JUDGED, effective_sample_size=effective, k_hat_above_limit=share)
        assert untrusted(found) is doubted
