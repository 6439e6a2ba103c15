"""What a code knows: linear probes for classes and for measured attributes, and the direction in which each
attribute grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from vael.data import Source
from vael.errors import ShapeError, StateError
from vael.models import Encodes
from vael.probability import PerExample

AT_ONCE = 512
RIDGES = (1e-3, 1e-1, 1e1, 1e3)  # chosen from by leave-one-out error on the training codes


@dataclass(frozen=True)
class ClassProbe:
    """Multinomial logistic regression on codes (Alain & Bengio 2017): the share of unseen examples it names, and that
    which the commonest class of training has among them.
    """

    accuracy: float
    baseline: float
    classes: tuple[int, ...]


@dataclass(frozen=True)
class AttributeProbe:
    """Ridge regression of a number on codes: R² on unseen examples, and the way to go.

    A step of length t along `direction`, a unit vector, changes the predicted number by t × `slope`.
    """

    name: str
    r_squared: float
    direction: Float[Tensor, " features"]
    slope: float


@torch.no_grad()
def codes_of(model: Encodes, source: Source, seed: int = 0) -> Float[Tensor, "examples features"]:
    """Posterior means of all examples; a stochastic transform takes noise that belongs to the example."""
    parts = torch.arange(len(source)).split(AT_ONCE)
    return torch.cat([model.encode(source.batch(index, PerExample(seed, index))) for index in parts])


def class_probe(
    train: Float[Tensor, "examples features"],
    train_label: Int64[Tensor, " labels"],
    test: Float[Tensor, "tested features"],
    test_label: Int64[Tensor, " tested_labels"],
) -> ClassProbe:
    """Fit on the training codes and judge on the test codes, codes at unit scale.

    Errors: `StateError` for a single class, `ShapeError` for sizes.
    """
    _same(train, train_label, test, test_label)
    classes, counts = np.unique(train_label.numpy(), return_counts=True)
    if len(classes) < 2:
        raise StateError(
            f"all training examples are of class {classes.tolist()}, so there is nothing to tell apart; give at least "
            "two classes"
        )
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(
        train.double().numpy(), train_label.numpy()
    )
    accuracy = float(fitted.score(test.double().numpy(), test_label.numpy()))
    return ClassProbe(
        accuracy, float((test_label.numpy() == classes[counts.argmax()]).mean()), tuple(map(int, classes))
    )


def linear_classifier(model: Encodes, train: Source, judged: Source) -> ClassProbe:
    """`class_probe` on the codes of a model: fitted to those examples of `train` whose class is known, and judged on
    those of another split (M1 of Kingma et al. 2014, with a linear classifier).

    Errors: `StateError` where no example of one of them has a label.
    """
    codes, labels = [], []
    for source in (train, judged):
        known = torch.empty(0, dtype=torch.int64) if source.label is None else (source.label >= 0).nonzero()[:, 0]
        if source.label is None or not len(known):
            raise StateError(
                f"no example of {source.name} has a label, so that nothing can be told; take data with some"
            )
        codes.append(codes_of(model, source.subset(known)))
        labels.append(source.label[known])
    return class_probe(codes[0], labels[0], codes[1], labels[1])


def attribute_probe(
    name: str,
    train: Float[Tensor, "examples features"],
    train_value: Float[Tensor, " values"],
    test: Float[Tensor, "tested features"],
    test_value: Float[Tensor, " tested_values"],
) -> AttributeProbe:
    """Fit on the training codes and judge on the test codes.

    Errors: `StateError` for a number that does not vary, `ShapeError` for sizes.
    """
    _same(train, train_value, test, test_value)
    if float(train_value.std()) == 0 or float(test_value.std()) == 0:
        raise StateError(
            f"the attribute {name} is the same for all examples, so there is nothing to find; measure one that varies"
        )
    fitted = RidgeCV(alphas=np.array(RIDGES)).fit(train.double().numpy(), train_value.double().numpy())
    slopes = torch.from_numpy(np.asarray(fitted.coef_))
    score = float(fitted.score(test.double().numpy(), test_value.double().numpy()))
    return AttributeProbe(name, score, (slopes / slopes.norm().clamp(min=1e-300)).to(train.dtype), float(slopes.norm()))


def _same(train: Tensor, of_train: Tensor, test: Tensor, of_test: Tensor) -> None:
    if len(train) != len(of_train) or len(test) != len(of_test) or train.shape[1] != test.shape[1]:
        raise ShapeError(
            f"codes {tuple(train.shape)} with {len(of_train)} values for training and {tuple(test.shape)} with "
            f"{len(of_test)} for test: "
            "expected one value for each code, and codes of one size"
        )


@dataclass(frozen=True)
class Strokes:
    """What can be measured on an image of writing, example by example; lengths in cells."""

    ink: Float[Tensor, " examples"]  # mean brightness
    slant: Float[Tensor, " examples"]  # cells to the right for each cell upwards, of the main axis
    width: Float[Tensor, " examples"]  # standard deviation of the ink across
    height: Float[Tensor, " examples"]  # and down


def strokes(x: Float[Tensor, "examples 1 height width"]) -> Strokes:
    """Moments of the ink: slant = -cov(across, down) / var(down), what a shear must undo.

    Errors: `StateError` for an image without ink.
    """
    ink = x[:, 0].double()
    total = ink.sum((1, 2))
    if not bool((total > 0).all()):
        raise StateError(
            f"{int((total <= 0).sum())} of {len(x)} images have no ink, so nothing can be measured on them; leave them "
            "out"
        )
    down, across = torch.meshgrid(
        torch.arange(ink.shape[1]).double(), torch.arange(ink.shape[2]).double(), indexing="ij"
    )

    def mean(values: Tensor) -> Tensor:
        return (ink * values).sum((1, 2)) / total

    middle_down, middle_across = mean(down), mean(across)
    var_down = mean(down * down) - middle_down.square()
    var_across = mean(across * across) - middle_across.square()
    covariance = mean(across * down) - middle_across * middle_down
    return Strokes(
        ink.mean((1, 2)).float(),
        (-covariance / var_down.clamp(min=1e-9)).float(),
        var_across.clamp(min=0).sqrt().float(),
        var_down.clamp(min=0).sqrt().float(),
    )
