"""Fréchet distance of features: the estimator against numpy and scipy, its floor, its warnings, and the classifier
that gives features.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch

from vael.data import load
from vael.errors import ShapeError, StateError, SupportError
from vael.evaluation import (
    ClassifierSettings,
    accuracy,
    classifier_features,
    feature_moments,
    frechet_distance,
    train_classifier,
)


def features(seed: int, examples: int, dimension: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(examples, dimension, generator=torch.Generator().manual_seed(seed)) + shift


def test_moments_are_those_of_numpy() -> None:
    x = features(0, 50, 4)
    found = feature_moments(x)
    np.testing.assert_allclose(found.mean, x.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(x.double().numpy(), rowvar=False), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.variance, x.double().numpy().var(0, ddof=1), rtol=1e-12)


def test_distance_and_floor_are_the_formula_with_the_matrix_square_root() -> None:
    sampled, test, train = features(1, 200, 5, 0.3), features(2, 300, 5), features(3, 500, 5)
    found = frechet_distance(sampled, test, train, features="noise")

    def formula(a: torch.Tensor, b: torch.Tensor) -> float:
        x, y = a.double().numpy(), b.double().numpy()
        s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s + t - 2 * np.real(scipy.linalg.sqrtm(s @ t))))

    assert found.squared == pytest.approx(formula(sampled, test), rel=1e-8)
    assert found.floor == pytest.approx(formula(train[:200], test), rel=1e-8)
    assert found.squared > found.floor
    assert found.above_floor == found.squared / found.floor
    assert found.warnings == ()
    assert str(found).startswith("noise: ")


def test_images_are_features_cell_by_cell_and_equal_sets_are_at_zero() -> None:
    x = features(4, 40, 12).unflatten(1, (3, 2, 2))
    found = frechet_distance(x, x, x, features="pixels")
    assert found.squared < 1e-20
    assert len(found.test.mean) == 12


def test_too_few_examples_are_flagged() -> None:
    found = frechet_distance(features(5, 20, 30), features(6, 50, 30), features(7, 10, 30), features="noise")
    assert len(found.warnings) == 2
    assert "singular" in found.warnings[0]
    assert "floor is too high" in found.warnings[1]


def test_different_laws_with_the_same_moments_are_at_nearly_zero() -> None:
    """Signs ±1 against N(0, 1), 20,000 each in one dimension: about 1/n, far below any difference that can be seen;
    seeds are fixed.
    """
    normal = features(8, 20_000, 1)
    signs = features(9, 20_000, 1).sign()
    assert frechet_distance(signs, normal, features(10, 20_000, 1), features="numbers").squared < 1e-3


def test_bad_features_are_refused() -> None:
    x = features(11, 5, 2)
    with pytest.raises(ShapeError, match="at least two examples"):
        frechet_distance(x[:1], x, x, features="noise")
    with pytest.raises(SupportError, match="not finite"):
        frechet_distance(x * math.nan, x, x, features="noise")
    with pytest.raises(ShapeError, match="2 and 3 dimensions"):
        frechet_distance(x, features(12, 5, 3), x, features="noise")


def test_the_classifier_learns_digits_the_same_way_each_time() -> None:
    digits = load("digits")
    how = ClassifierSettings(hidden=(64, 16), epochs=15, batch=50)
    state = torch.get_rng_state()
    model = train_classifier(digits.train, how)
    assert torch.equal(torch.get_rng_state(), state)
    assert accuracy(model, digits.test) > 0.93
    again = train_classifier(digits.train, how)
    x = digits.test.batch(torch.arange(30)).x
    found = classifier_features(model, x)
    assert found.shape == (30, 16)
    assert torch.equal(found, classifier_features(again, x))
    torch.testing.assert_close(model.network.last(found), model(x))


def test_a_classifier_needs_labels_of_two_classes() -> None:
    train = load("digits").train
    with pytest.raises(StateError, match="one class only"):
        train_classifier(train.subset(torch.nonzero(train.label == 0)[:, 0]))
    with pytest.raises(StateError, match="has no labels"):
        accuracy(train_classifier(train, ClassifierSettings(epochs=1)), replace(train, label=None))
