"""Lossless compression: bits-back coding of examples with a trained model."""

from vael.applications.compression.archive import Compressed, Decompressed, compress, decompress, fingerprint
from vael.applications.compression.container import Header, Layout
from vael.applications.compression.contents import Contents, from_array, from_cells, from_folder, safe_names
from vael.applications.compression.level import Level
from vael.applications.compression.safe import SafeLevel
from vael.applications.compression.table_level import TableLevel
from vael.applications.compression.tables import Original, table_contents

__all__ = [
    "Compressed", "Contents", "Decompressed", "Header", "Layout", "Level", "Original", "SafeLevel", "TableLevel", "compress", "decompress",
    "fingerprint", "from_array", "from_cells", "from_folder", "safe_names", "table_contents",
]  # fmt: skip
