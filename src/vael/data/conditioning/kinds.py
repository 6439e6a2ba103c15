"""All conditions that run.json can tell of."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vael.data.conditioning.arrays import FileCondition
from vael.data.conditioning.columns import ColumnsCondition, SeriesCondition
from vael.data.conditioning.conditions import LabelCondition

AnyCondition = Annotated[
    LabelCondition | ColumnsCondition | SeriesCondition | FileCondition, Field(discriminator="kind")
]
