"""Data sets with a name: found, downloaded, described, or made."""

from vael.data.catalog.description import Description, catalogue, describe
from vael.data.catalog.finding import folder_of, located
from vael.data.catalog.named import is_name, known, read_named, unknown
from vael.data.catalog.synthetic import moving_digits

__all__ = [
    "Description",
    "catalogue",
    "describe",
    "folder_of",
    "is_name",
    "known",
    "located",
    "moving_digits",
    "read_named",
    "unknown",
]
