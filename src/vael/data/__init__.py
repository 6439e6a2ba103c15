"""Where batches come from; no models."""

from vael.data.batch import Batch
from vael.data.catalog.description import Description, catalogue, describe
from vael.data.catalog.synthetic import moving_digits
from vael.data.corruption import Corruption, GaussianNoise, Masking, SaltAndPepper
from vael.data.files.images import Images, Resample
from vael.data.loading import load
from vael.data.sequences import load_sequences
from vael.data.source import AsFloat, Kind, Source, Splits, Transform
from vael.data.summary import Statistics, statistics
from vael.data.tabular import load_table
from vael.data.transforms import Binarize, unit_interval
from vael.data.windowing import Windowing
from vael.tables.reading import OnError, Table, read_table
from vael.tables.schema import Column, ColumnKind, Schema

__all__ = [
    "AsFloat",
    "Batch",
    "Binarize",
    "Column",
    "ColumnKind",
    "Corruption",
    "Description",
    "GaussianNoise",
    "Images",
    "Kind",
    "Masking",
    "OnError",
    "Resample",
    "SaltAndPepper",
    "Schema",
    "Source",
    "Splits",
    "Statistics",
    "Table",
    "Transform",
    "Windowing",
    "catalogue",
    "describe",
    "load",
    "load_sequences",
    "load_table",
    "moving_digits",
    "read_table",
    "statistics",
    "unit_interval",
]
