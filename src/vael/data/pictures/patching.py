"""How patches are cut from pictures: kept in run.json, so that pictures that come later are cut alike."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PatchSide = Annotated[int, Field(ge=2, le=2**12)]


class Patching(BaseModel):
    """Examples are patches of `height` × `width` pixels: of training at random places that are new in every epoch, of
    validation and test at fixed ones.

    `regions`: so few pictures that the splits are regions of the same pictures, which do not overlap.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: PatchSide
    width: PatchSide
    regions: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def __str__(self) -> str:
        return f"{self.height} × {self.width}"
