"""Chains of commands over a table, and what must hold between what goes in and what comes out."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from commands import TINY, Chain, Outcome
from tables_to_try import TextTable

from vael.domains.coding import trimmed
from vael.tables.reading import given_rows

FEWEST_SET_ASIDE = 10


def trained(chain: Chain, data: Path, rows: int) -> bool:
    """Whether a table could be trained on; `data info` says so beforehand."""
    known = chain("data", "info", data)
    split = ("--validation", "10", "--test", "10") if rows >= 60 else ()
    run = chain("train", data, "--run", chain.folder / "run", "--hidden", "8", *TINY, *split)
    if run.done:
        assert known.done, f"what can be trained on cannot be described\n{known}"
    return run.done


def names_were_read(chain: Chain) -> bool:
    """Whether the first line was taken for what it is; a line of names that look like cells is not always, which is
    said.
    """
    return not any("the first line was taken for a row" in one.out for one in chain.outcomes)


def used(chain: Chain, data: Path, rows: int, *, deep: bool) -> None:
    """Every command that a trained run serves."""
    folder = chain.folder
    run = folder / "run"
    chain.succeeds("evaluate", run, "--importance-samples", "2")
    for kind in (".csv", ".parquet"):
        chain.succeeds("sample", run, "-n", "7", "-o", folder / f"sample{kind}")
    scored = with_few_rows_left_out(
        chain, "score", run, data, "-o", folder / "scores.csv", "--explain", "--reasons", "2"
    )
    assert scored.done or rows < 60 or "set aside" in scored.message, scored
    with_few_rows_left_out(chain, "encode", run, data, "-o", folder / "codes.csv", must=True)
    chain.succeeds("reconstruct", run, data, "-o", folder / "again.csv")
    compressed(chain, data)
    if deep:
        chain.succeeds("evaluate", run, "--proposal", "laplace", "--importance-samples", "2")
        chain("sample", run, "-n", "40", "-o", folder / "judged.csv", "--quality", folder / "quality.html")
        chain.succeeds("report", run, "--importance-samples", "2")
        chain("export", run)


def with_few_rows_left_out(chain: Chain, *words: object, must: bool = False) -> Outcome:
    """A command; where it refuses a row without a cell, the same with the way out that it names."""
    found = chain(*words)
    if not found.done and "every cell of the row is missing" in found.message:
        found = chain(*words, "--on-error", "skip")
    assert found.done or not must, found
    return found


def compressed(chain: Chain, data: Path) -> None:
    """A table that can be compressed comes back to the last byte, or, where that is said, to the last cell."""
    packed, back = (
        chain.folder / "packed.vael",
        chain.folder / f"back{data.suffix if data.suffix == '.parquet' else '.csv'}",
    )
    done = chain("compress", chain.folder / "run", data, "-o", packed)
    if done.done:
        chain.succeeds("decompress", chain.folder / "run", packed, "-o", back)
        if data.suffix == ".csv":
            exact = back.read_bytes() == data.read_bytes()
            assert exact or "comes back byte for byte" not in done.out, (
                f"a table came back otherwise than it was\n{done}"
            )
            assert exact or trimmed(given_rows(back).table).equals(trimmed(given_rows(data).table)), (
                "cells came back otherwise than they were"
            )
        elif data.suffix == ".parquet":
            assert repr(pq.read_table(back).to_pydict()) == repr(pq.read_table(data).to_pydict()), (
                "a table came back otherwise than it was"
            )
            types_stay(data, back, views=False)


def filled(chain: Chain, data: Path, *, how: tuple[str, ...] = ()) -> list[Path]:
    """The tables that `vael impute` made of one, none where it refuses; what it refuses it says."""
    many = "--multiple" in how
    target = chain.folder / f"filled{data.suffix if data.suffix == '.parquet' else '.csv'}"
    done = chain("impute", chain.folder / "run", data, "-o", target, "--samples", "8", *how).done
    found = sorted(chain.folder.glob("filled*"))
    assert bool(found) == done, f"{found} after a status of {'done' if done else 'refused'}"
    assert not done or len(found) == (2 if many else 1), found
    return found


def seen_cells_stay(table: TextTable, path: Path) -> None:
    """A filled table is the one that came, byte for byte, besides its gaps."""
    text = path.read_bytes().decode(table.dialect.encoding, errors="replace")
    came = table.encoded().decode(table.dialect.encoding, errors="replace")
    head = came[: len(table.head())]
    assert text.startswith(head), f"the first lines changed: {text[: len(head) + 50]!r}, they were {head!r}"
    place = len(head)
    for number, record in enumerate(table.records()):
        written = "".join(
            '(?:"(?:[^"]|"")*"|[^"\r\n]*?)'
            if gap
            else re.escape(
                piece.encode(table.dialect.encoding, errors="replace").decode(table.dialect.encoding).lstrip("\ufeff")
            )
            for piece, gap in record
        )
        last = number == table.rows - 1
        found = re.compile(written + (r"\Z" if last else "")).match(text, place)
        assert found, (
            f"row {number + 1} was {''.join(piece for piece, _ in record)!r} and is {text[place : place + 200]!r}"
        )
        place = found.end()


def summary(outcomes: list[Outcome]) -> str:
    """What was run and how it ended, for whoever explores."""
    return " ".join(f"{one.words[0]}{'' if one.done else '!'}" for one in outcomes)


def types_stay(data: Path, path: Path, *, views: bool = True) -> None:
    """A filled Parquet table has the columns and types that came, and every cell that was seen; texts may have lost
    their `views`.
    """
    came, found = pq.read_table(data), pq.read_table(path)
    assert found.schema.names == came.schema.names, f"{found.schema.names} came back of {came.schema.names}"
    expected = [pa.string() if not views and kind == pa.string_view() else kind for kind in came.schema.types]
    assert found.schema.types == expected, f"{found.schema} came back of {came.schema}"
    for name, before, after in zip(came.schema.names, came.columns, found.columns, strict=True):
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        assert all(one == other for one, other in pairs if one is not None and one == one), (
            f"cells of {name} that were seen have changed"
        )


def samples_are_typed(data: Path, path: Path) -> None:
    """Synthetic rows have the types of the columns that they are of."""
    came, found = pq.read_table(data).schema, pq.read_table(path).schema
    wrong = [name for name in found.names if found.field(name).type != came.field(name).type]
    assert not wrong, f"columns {wrong} of {came} came as {found}"
