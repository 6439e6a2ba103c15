"""Where batches come from; no models."""

from vael.data.batch import Batch
from vael.data.loading import load
from vael.data.source import AsFloat, Kind, Source, Splits, Transform
from vael.data.transforms import Binarize

__all__ = ["AsFloat", "Batch", "Binarize", "Kind", "Source", "Splits", "Transform", "load"]
