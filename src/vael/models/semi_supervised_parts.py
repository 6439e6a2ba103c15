"""Models that learn classes from labels, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from vael.data.facts import Facts
from vael.data.source import Source
from vael.errors import StateError
from vael.models.assembly import encoder
from vael.models.core import Model
from vael.models.families import Size
from vael.models.likelihoods.columns import ColumnsHead
from vael.models.parts import VAEPart
from vael.models.semi_supervised import ClassPosterior, ClassShares, SemiSupervised


class SemiSupervisedPart(VAEPart):
    """A variational autoencoder whose examples belong to classes, of which few or all are known (M2)."""

    kind: Literal["semi-supervised"] = "semi-supervised"  # type: ignore[bad-override]
    latent: Size = 20
    shares: Literal["labels", "equal"] = "labels"  # p(y): as among the labels of training, or the same for all classes
    compiles: ClassVar[bool] = False
    learns_classes: ClassVar[bool] = True

    def build(self, facts: Facts) -> SemiSupervised:  # type: ignore[bad-override]
        """Errors: `StateError` for data without labels, and for latents or a start that it has not."""
        if not facts.classes:
            raise StateError(
                f"the model {self.name} learns classes from labels, but {facts.name} has none; say where they are "
                "(--labels)"
            )
        if self.begin != "mean" or self.posterior.latents != "real":
            raise StateError(
                f"the model {self.name} has real latents and begins at the mean of the data, but "
                f"{self.posterior.name} latents beginning at {self.begin} were asked for; leave both out"
            )
        head = self.likelihood.build(facts)
        sees_gaps = facts.gaps or isinstance(head, ColumnsHead)
        network = encoder(self.network, replace(facts, context=0), head, facts.classes)
        given = self.around(head, replace(facts, context=facts.classes))
        return SemiSupervised(ClassShares(facts.classes), ClassPosterior(network, sees_gaps=sees_gaps), given)

    def start(self, model: Model, source: Source) -> None:
        if isinstance(model, SemiSupervised) and source.label is not None and self.shares == "labels":
            model.shares.assign(source.label)
