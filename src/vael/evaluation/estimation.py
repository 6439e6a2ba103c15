"""How numbers are to be estimated: what a caller asks for in one record, and what it comes to for one model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypedDict

from vael.counting import Progress
from vael.data import Source
from vael.errors import StateError
from vael.evaluation.likelihood import Draws


class Proposals(Enum):
    """What the draws for log p(x) come from."""

    ENCODER = auto()  # the encoder's posterior
    ADAPTIVE = (
        auto()
    )  # a proposal fitted to the example where the encoder's weights have a heavy tail, else the encoder's posterior
    FITTED = auto()  # a proposal fitted to each example


class EstimationOptions(TypedDict, total=False):
    """The fields of `Estimation`, as keywords of the functions that judge a model."""

    split: str
    importance_samples: int
    proposals: Proposals
    seed: int
    batch: int
    memory: int
    progress: Progress | None


@dataclass(frozen=True, kw_only=True)
class Estimation:
    """How a split is judged, as it was asked for: of draws K `importance_samples` for each example and where they come
    from, the rest of every model.
    """

    split: str = "test"  # its name, which the record keeps
    importance_samples: int = 100
    proposals: Proposals = Proposals.ADAPTIVE
    seed: int = 0
    batch: int = 256  # examples encoded together; no number depends on it
    memory: int = 256 << 20  # bytes for intermediate results of the network; no number depends on it
    progress: Progress | None = None  # told (done, total) as examples are finished

    def check(self, source: Source) -> None:
        """Errors: `StateError` for what cannot be done."""
        if len(source) == 0:
            raise StateError(
                f"{source.name}: the split has no examples, so there is nothing to evaluate; choose another split"
            )
        for name in ("importance_samples", "batch", "memory"):
            if getattr(self, name) < 1:
                raise StateError(f"{name}={getattr(self, name)}: expected at least 1")
        if self.seed < 0:
            raise StateError(f"seed={self.seed}: expected a whole number of at least 0")


USUAL = Estimation()


@dataclass(frozen=True)
class ProposalPlan:
    """How examples are judged: as was asked for, with the proposals that the model allows; latents decoded at once;
    whether a proposal could be fitted to an example, and whether the divergence has a closed form.
    """

    how: Estimation
    rows: int
    can_fit: bool
    closed: bool

    @property
    def samples(self) -> int:
        """Draws of the estimate for each example, K."""
        return self.how.importance_samples

    def draws(self, samples: int, first: int = 0) -> Draws:
        """So many draws, of the noise from block `first` on; a seed of their own, as examples are drawn too."""
        return Draws(samples, self.how.seed + 1, self.rows, first)

    def together(self, samples: int) -> int:
        """Examples whose draws are decoded at once."""
        return min(self.how.batch, max(1, self.rows // min(samples, 500)))
