"""Algorithms of several stages by name."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch

from vael.data import Source, Splits
from vael.errors import StateError
from vael.inference import GradientAscent
from vael.inference.parts import AlgorithmPart, ExpectationMaximizationPart, GradientAscentPart
from vael.models import VQVAE, Autoencoder, GaussianMixture
from vael.models.autoencoders.stacked import layers_of
from vael.models.core import Model
from vael.models.families import Size
from vael.models.flows.density import FlowDensity
from vael.objectives import Reconstruction
from vael.training.coding import coded_splits
from vael.training.loop import run
from vael.training.pretraining import encoded_splits, pretrain
from vael.training.settings import Resolved, Settings


class LayerwisePart(GradientAscentPart):
    """Layer after layer first, each on the codes of the one before, then gradient ascent on the whole."""

    kind: Literal["layer-wise"] = "layer-wise"  # type: ignore[bad-override]
    layer_epochs: Size = 10

    def before(self, model: Model, data: Splits, resolved: Resolved) -> None:
        """Each layer trained alone, from the outermost on.

        Errors: `StateError` for a model without layers, `KeyboardInterrupt` where it was interrupted.
        """
        if not isinstance(model, Autoencoder):
            raise StateError(f"{type(model).__name__} has no layers to train one by one; take a stacked autoencoder")

        def ascent(layer: Model) -> GradientAscent:
            return GradientAscent(layer, Reconstruction(), optimizer=self.optimizer.build(), ema=self.average)

        fits = pretrain(layers_of(model), data, ascent, shortened(resolved, self.layer_epochs))
        if fits[-1].interrupted:
            raise KeyboardInterrupt


class TwoStagesPart(GradientAscentPart):
    """Gradient ascent on the model, then a density that is fitted to its codes."""

    kind: Literal["two-stages"] = "two-stages"  # type: ignore[bad-override]
    second: AlgorithmPart = ExpectationMaximizationPart()
    second_epochs: Size = 20
    second_batch: ClassVar[int] = 64

    def check(self, model: Model, data: Source) -> None:
        """Errors: `StateError` for a second stage by which the density of the codes is not fitted."""
        density = getattr(model, "density", None)
        if density is not None and isinstance(density, GaussianMixture) != self.second.full_batch:
            way = "expectation-maximization" if isinstance(density, GaussianMixture) else "gradient-ascent"
            raise StateError(
                f"the second stage is to fit {type(density).__name__} to the codes by {self.second.name}, which is "
                f"not for it; choose another one (--set algorithm.second={way})"
            )

    def after(self, model: Model, data: Splits, resolved: Resolved) -> bool:
        """The density fitted to the codes. Errors: `KeyboardInterrupt` where it was interrupted."""
        codes, density = second_stage(model, data)
        density.requires_grad_(not isinstance(density, GaussianMixture))
        whole = self.second.full_batch
        settings = shortened(resolved, self.second_epochs, len(codes.train) if whole else self.second_batch)
        fit = run(self.second.build(density, codes.train), codes, settings)
        density.requires_grad_(False).to(next(model.parameters()).device).eval()
        if fit.interrupted:
            raise KeyboardInterrupt
        return True


def second_stage(model: Model, data: Splits) -> tuple[Splits, Model]:
    """The codes of the data as data of their own, and the density that is to be fitted to them.

    Errors: `StateError` for a model that has none.
    """
    if isinstance(model, VQVAE) and isinstance(model.prior, Model):
        return coded_splits(model, data), model.prior
    if isinstance(model, Autoencoder) and model.density is not None:
        codes = encoded_splits(model, data)
        whole = {
            name: replace(getattr(codes, name), x=getattr(codes, name).x.double()) for name in ("train", "validation")
        }
        if isinstance(model.density, FlowDensity):
            model.density.scale_to(codes.train.x)
        return replace(codes, **whole), model.density
    raise StateError(
        f"{type(model).__name__} has no density over its codes that a second stage could fit; give it one "
        "(model.density, or model.prior of a VQ-VAE), or train in one stage (algorithm gradient-ascent)"
    )


def shortened(resolved: Resolved, epochs: int, batch: int | None = None) -> Settings:
    """The settings of a stage beside the main one: eager, in one process, for so many epochs."""
    known = resolved.settings
    return replace(
        known,
        epochs=epochs,
        batch=batch or known.batch,
        time_limit=None,
        patience=None,
        judge_start=False,
        compiled=False,
        precision=torch.float32,
    )
