"""An evaluation as Python shows it: its figures, however many examples there are."""

from dataclasses import fields

import torch

from vael.evaluation.record import Evaluation

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
