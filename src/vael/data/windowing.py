"""How sequences are cut into windows: kept in run.json, so that data that come later are cut alike."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Steps = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Windowing(BaseModel):
    """Which column is the time, which one names the series, and how long windows are; what is None is chosen from the
    data.

    Training takes a window every `stride` steps, so that they may overlap; those of validation and test never do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: Annotated[str, Field(max_length=4096)] = ""  # a column; empty for an array, whose second axis is the time
    id: Annotated[str, Field(max_length=4096)] = ""  # a column; empty where all rows are one series
    apart: tuple[Annotated[str, Field(max_length=4096)], ...] = ()  # columns of one value for each series: no channels
    window: Annotated[int, Field(ge=2, le=2**31 - 1)] | None = None  # steps
    stride: Steps | None = None  # steps
    columns: dict[str, Any] | None = None  # what time and channels of a table are, as a schema file has it
