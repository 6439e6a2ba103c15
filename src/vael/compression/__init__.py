"""Lossless compression: bits-back coding of examples with a trained model."""

from vael.compression.archive import Compressed, Decompressed, compress, decompress, fingerprint
from vael.compression.container import Header, Layout
from vael.compression.contents import (
    Contents,
    from_array,
    from_cells,
    from_folder,
    from_pictures,
    pictures_of,
    safe_names,
)
from vael.compression.level import GivenLevels, Level, OneCondition, given_levels
from vael.compression.safe import SafeLevel
from vael.compression.tabular.column_laws import TableLevel
from vael.compression.tabular.tables import Original, table_contents
from vael.compression.tiles import TiledLevel

__all__ = [
    "Compressed",
    "Contents",
    "Decompressed",
    "GivenLevels",
    "Header",
    "Layout",
    "Level",
    "OneCondition",
    "Original",
    "SafeLevel",
    "TableLevel",
    "TiledLevel",
    "compress",
    "decompress",
    "fingerprint",
    "from_array",
    "from_cells",
    "from_folder",
    "from_pictures",
    "given_levels",
    "pictures_of",
    "safe_names",
    "table_contents",
]
