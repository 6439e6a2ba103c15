"""Whole chains of commands over tables, arrays and pictures that Hypothesis draws: every command keeps the laws of
`commands.Chain`.

What could be trained on can be described, judged, sampled, encoded, scored, filled and packed; cells that were seen
stay as they came; types stay. `VAEL_FUZZ=SEED:EXAMPLES` looks for more: other cases by another seed, so many of each
kind.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from arrays_to_try import ArrayCase, PictureCase, arrays, chain_of, pictures
from commands import Chain
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from table_chains import filled, names_were_read, samples_are_typed, seen_cells_stay, trained, types_stay, used
from tables_to_try import Asked, Dialect, TextTable, text_tables
from typed_tables import Typed, TypedTable, typed_tables

SEED, EXPLORED = (int(part) for part in os.environ.get("VAEL_FUZZ", "0:0").split(":"))
LONG = 150  # cases of each kind in `make slow`


def searched(examples: int) -> Callable[[Callable], Callable]:
    """As many cases, the same in every run unless `VAEL_FUZZ` asks for others."""
    known = {} if EXPLORED else {"derandomize": True}
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if EXPLORED else [])]
    how = settings(
        max_examples=EXPLORED or examples,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        **known,
    )
    return (lambda test: how(seed(SEED)(test))) if EXPLORED else how


def in_a_folder(chain: Callable[[Chain], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        chain(Chain(Path(folder)))


def ways(chain: Chain, number: int) -> tuple[str, ...]:
    """Of filling a table: each with some seeds."""
    return ((), ("--fitted",), ("--multiple", "2"), ("--uncertainty", str(chain.folder / "unsure.csv")))[number % 4]


def of_text(chain: Chain, table: TextTable, *, deep: bool = False) -> None:
    data = table.write(chain.folder)
    if trained(chain, data, table.rows):
        used(chain, data, table.rows, deep=deep)
        found = filled(chain, data, how=ways(chain, table.seed))
        for path in found if not table.dialect.packed and names_were_read(chain) else ():
            seen_cells_stay(table, path)


def of_types(chain: Chain, table: TypedTable, *, deep: bool = False) -> None:
    data = table.write(chain.folder)
    if trained(chain, data, table.rows):
        used(chain, data, table.rows, deep=deep)
        samples_are_typed(data, chain.folder / "sample.parquet")
        for path in filled(chain, data, how=ways(chain, table.seed)):
            types_stay(data, path)


QUOTED = Dialect(delimiter=";", end="\r\n", encoding="utf-8-sig", quoted=True, last_end=False)
# what was found once: brackets as a minus in a block of negative numbers alone, no end of the last line, quotation
# marks around nothing
FOUND_IN_TEXT = TextTable(
    (Asked("a", "accounting", "NULL", 0.1), Asked("b", "spike", "", 0.3), Asked("1", "levels")), 12, 305, QUOTED
)
QUOTED_NOTHING = TextTable(
    (Asked("date", "european days", "", 0.3),), 30, 5176, Dialect("\t", "\r\n", "utf-16", quoted=True, last_end=False)
)
# rows without a cell in any modelled column, of a table with kinds
EMPTY_ROWS = TextTable((Asked("moment", "moments with T", "NA", 0.3),), 62, 3, Dialect())
NESTED = TypedTable(
    (Typed("a", "duration", 0.3), Typed("b", "struct", 0.3), Typed("c", "string"), Typed("d", "float64 with NaN", 0.3)),
    30,
    3,
)


@searched(1)
@example(FOUND_IN_TEXT)
@given(text_tables)
def test_tables_of_text(table):
    in_a_folder(lambda chain: of_text(chain, table))


@searched(1)
@example(NESTED)
@given(typed_tables)
def test_tables_of_types(table):
    in_a_folder(lambda chain: of_types(chain, table))


@searched(1)
@example(ArrayCase("grey", "uint8", (1, 6, 6), 32, 0, ".npz with labels"))
@given(arrays)
def test_arrays(case):
    in_a_folder(lambda chain: chain_of(chain, case))


@searched(1)
@example(PictureCase(("L",), (".png", ".jpg"), ((8, 8), (9, 12)), 32, 0, 3, True, size="6x8"))
@given(pictures)
def test_pictures(case):
    in_a_folder(lambda chain: chain_of(chain, case))


@pytest.mark.slow
@searched(LONG)
@example(QUOTED_NOTHING)
@example(EMPTY_ROWS)
@given(text_tables)
def test_many_tables_of_text(table):
    in_a_folder(lambda chain: of_text(chain, table, deep=table.seed % 25 == 0))


@pytest.mark.slow
@searched(LONG)
@given(typed_tables)
def test_many_tables_of_types(table):
    in_a_folder(lambda chain: of_types(chain, table, deep=table.seed % 25 == 0))


@pytest.mark.slow
@searched(LONG)
@given(arrays)
def test_many_arrays(case):
    in_a_folder(lambda chain: chain_of(chain, case, deep=case.seed % 25 == 0))


@pytest.mark.slow
@searched(LONG)
@given(pictures)
def test_many_folders_of_pictures(case):
    in_a_folder(lambda chain: chain_of(chain, case, deep=case.seed % 25 == 0))
