"""What a recipe returns: a model, how it is fitted, for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vael.inference.parts import AdamWPart, AlgorithmPart, GradientAscentPart
from vael.models.families import ModelPart
from vael.models.parts import VAEPart
from vael.objectives.parts import ELBOPart, ObjectivePart


@dataclass(frozen=True)
class Composition:
    """A model and the algorithm that fits it, with the training defaults that suit them."""

    model: ModelPart
    algorithm: AlgorithmPart
    batch: int = 128  # for many examples
    steps: int = 2000  # at least, where no length is asked for
    epochs: int | None = None  # where no length is asked for, instead
    suits_data: bool = False  # network, sizes and optimiser are those that are recommended for the data


def climbing(objective: ObjectivePart, model: VAEPart | None = None) -> Composition:
    """A VAE that climbs this objective; what the model leaves open is as recommended for the data."""
    how = GradientAscentPart(objective=objective, samples=objective.samples)
    return Composition(model or VAEPart(), how, suits_data=True)


def on_recommended(found: Composition, base: Composition) -> Composition:
    """The composition on the network, the sizes and the optimiser of `base`, for as long; what it fixes itself stays.

    A `base` that is no VAE by gradient ascent has nothing to offer: then the composition stays as it is.
    """
    model, how, own = base.model, base.algorithm, found.algorithm
    if not (isinstance(model, VAEPart) and isinstance(how, GradientAscentPart) and isinstance(own, GradientAscentPart)):
        return found
    fixed = {name: getattr(found.model, name) for name in found.model.model_fields_set - {"kind"}}
    model = VAEPart.model_validate({name: getattr(model, name) for name in VAEPart.model_fields} | fixed)
    algorithm = own.model_copy(update={"optimizer": how.optimizer, "average": how.average})
    return replace(base, model=model, algorithm=algorithm)


def ascent(learning_rate: float = 1e-3, weight_decay: float = 0.0, warmup: float = 0.0) -> GradientAscentPart:
    """AdamW on the bound with its divergence in closed form."""
    return GradientAscentPart(
        objective=ELBOPart(warmup=warmup),
        optimizer=AdamWPart(learning_rate=learning_rate, weight_decay=weight_decay),
    )
