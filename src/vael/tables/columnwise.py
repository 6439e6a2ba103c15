"""Functions of Arrow over whole columns: pyarrow makes its own when it is imported, so here they have names and types.

`None` in, `None` out, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute

Cells = pa.Array | pa.ChunkedArray


def _made(name: str) -> Callable[..., Any]:
    return getattr(pyarrow.compute, name)


OfCells = Callable[[Cells], Any]  # an array as long as the column, or a scalar of the whole of it

# the whole of a column
all: OfCells = _made("all")
any: OfCells = _made("any")
count_distinct: OfCells = _made("count_distinct")
max: OfCells = _made("max")
sum: OfCells = _made("sum")
unique: OfCells = _made("unique")
value_counts: OfCells = _made("value_counts")

# cell by cell
binary_length: OfCells = _made("binary_length")
drop_null: OfCells = _made("drop_null")
invert: OfCells = _made("invert")
is_valid: OfCells = _made("is_valid")
utf8_length: OfCells = _made("utf8_length")
utf8_lower: OfCells = _made("utf8_lower")
utf8_trim_whitespace: OfCells = _made("utf8_trim_whitespace")

# cells beside cells, or beside one value
OfTwo = Callable[[Any, Any], Any]
and_: OfTwo = _made("and_")
and_not: OfTwo = _made("and_not")
equal: OfTwo = _made("equal")
fill_null: OfTwo = _made("fill_null")
greater_equal: OfTwo = _made("greater_equal")
less: OfTwo = _made("less")
not_equal: OfTwo = _made("not_equal")
or_: OfTwo = _made("or_")
subtract: OfTwo = _made("subtract")

# texts, a pattern or characters
OfPattern = Callable[[Cells, str], Any]
extract_regex: OfPattern = _made("extract_regex")
match_substring: OfPattern = _made("match_substring")
match_substring_regex: OfPattern = _made("match_substring_regex")
utf8_rtrim: OfPattern = _made("utf8_rtrim")
replace_substring: Callable[[Cells, str, str], Any] = _made("replace_substring")
replace_substring_regex: Callable[[Cells, str, str], Any] = _made("replace_substring_regex")
utf8_lpad: Callable[[Cells, int, str], Any] = _made("utf8_lpad")

# what needs more than that
binary_join_element_wise: Callable[..., Any] = _made("binary_join_element_wise")
call_function: Callable[..., Any] = _made("call_function")
cast: Callable[..., Any] = _made("cast")
coalesce: Callable[..., Any] = _made("coalesce")
dictionary_encode: OfCells = _made("dictionary_encode")
if_else: Callable[[Any, Any, Any], Any] = _made("if_else")
index_in: Callable[..., Any] = _made("index_in")
is_in: Callable[[Cells, Cells], Any] = _made("is_in")
is_null: Callable[..., Any] = _made("is_null")  # with nan_is_null, NaN is one too
replace_with_mask: Callable[[Cells, Any, Any], Any] = _made("replace_with_mask")
strptime: Callable[..., Any] = _made("strptime")
struct_field: Callable[[Any, Any], Any] = _made("struct_field")
