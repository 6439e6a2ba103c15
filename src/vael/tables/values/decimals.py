"""How many digits after the point the numbers of a column have: as they are written, or as their type holds them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vael.tables import columnwise as pc
from vael.tables.schema import MOST_DIGITS

MOST_DECIMALS = 12  # that a type is looked through for
ULPS = 2  # steps of float64 by which a number computed in it may miss its decimals


def written_decimals(column: pa.ChunkedArray, absent: np.ndarray) -> int | None:
    """Most digits after the point that cells are written with, trailing zeros apart; a cell with an exponent has those
    of the number that it stands for.

    None for more than `MOST_DIGITS`, for infinite numbers, and where every cell has an exponent, which says how many
    digits are known rather than where they end.
    """
    shown = pc.utf8_lower(pc.utf8_trim_whitespace(column.filter(pa.array(~absent))))
    powers = pc.match_substring(shown, "e")
    if pc.all(powers).as_py() or pc.any(pc.match_substring(shown, "inf")).as_py():
        return None
    found = pc.extract_regex(shown, r"^[^.e]*\.?(?P<after>[^e]*?)0*(?:e\+?(?P<power>.*))?$")
    after = pc.utf8_length(pc.struct_field(found, "after"))
    power = pc.cast(pc.if_else(powers, pc.struct_field(found, "power"), "0"), pa.int32())
    most = max(0, int(pc.max(pc.subtract(after, power)).as_py() or 0))
    return most if most <= MOST_DIGITS else None


def decimals_of(values: np.ndarray, kind: pa.DataType | None = None) -> int | None:
    """Least number of digits after the point that holds every value, as its type has it; None where it takes more than
    there are.

    A float32 has the decimals of the number that it is nearest to; numbers computed in float64 may miss theirs by
    `ULPS` steps.
    """
    seen = values[np.isfinite(values)]
    if not len(seen):
        return 0
    narrow = kind is not None and pa.types.is_floating(kind) and kind.bit_width < 64
    stored = seen.astype(kind.to_pandas_dtype()) if narrow and kind is not None else seen
    step = np.spacing(np.abs(stored)).astype(np.float64)
    for digits in range(MOST_DECIMALS + 1):
        if 10.0**-digits < 8 * step.max():
            return digits if digits == 0 and (seen == np.floor(seen)).all() else None
        room = 0.5 * step if narrow else np.maximum(ULPS * step, np.minimum(1e-12 * np.abs(seen), 1e-4 * 10.0**-digits))
        if (np.abs(np.round(seen, digits) - seen) <= room).all():
            return digits
    return None
