"""Where batches come from; no models."""

from vael.data.batch import Batch
from vael.data.source import AsFloat, Kind, Source, Splits, Transform

__all__ = ["AsFloat", "Batch", "Kind", "Source", "Splits", "Transform"]
