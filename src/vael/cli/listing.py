"""`vael data` and `vael models`."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vael.cli.options.parser import UsageError
from vael.cli.options.shared import CommandOptions
from vael.cli.telling import answer, said
from vael.counting import counted
from vael.errors import ShapeError, StateError
from vael.nearest import hint
from vael.options.declaring import argument, option
from vael.options.values import side_or_sides

if TYPE_CHECKING:
    from torch import Tensor

    from vael.data import Column, Schema, Splits

ACTIONS = ("list", "info")
SIZES = 6  # of images that are named


@dataclass(frozen=True, kw_only=True)
class DataOptions(CommandOptions):
    """What `vael data` takes."""

    usage = "vael data list [--json]\n       vael data info NAME [--size N|HxW] [--schema FILE] [--json]"
    action: str = argument(
        "list | info", "list: data sets that have a name; info: what is known of one", default="list"
    )
    name: str | None = argument(
        "NAME", "a name, or the path of your own data", default=None, called="the data themselves"
    )
    schema: Path | None = option(
        "FILE",
        "write what the columns of a table are as JSON, to be edited and given to `vael train --schema`",
        Path,
        written=True,
    )
    size: int | tuple[int, int] | None = option(
        "N|HxW", "side, or height and width, that images of a folder are resized to", side_or_sides
    )


@dataclass(frozen=True, kw_only=True)
class ModelsOptions(CommandOptions):
    """What `vael models` takes."""

    usage = "vael models [NAME] [--json]"
    name: str | None = argument("NAME", "a recipe, to see what is in it", default=None)


def data(options: DataOptions) -> int:
    """List data sets, or look at one."""
    if options.action not in ACTIONS:
        raise UsageError(
            f"unknown action {options.action}{hint(options.action, ACTIONS)}; the actions are list and info NAME"
        )
    if options.action == "list":
        return listed(options.json)
    if options.name is None:
        raise UsageError("data info needs the name of a data set (`vael data list`) or a path")
    return informed(options.name, options.json, options.schema, options.size)


def listed(json_wanted: bool) -> int:
    """Every data set with a name, and whether its files are here."""
    from vael.data import catalogue

    rows = [{"name": entry.name, "summary": entry.summary, "here": entry.found is not None} for entry in catalogue()]
    return said(
        json_wanted,
        {"data": rows},
        *(f"{row['name']:<18} {'here' if row['here'] else 'not here':<9} {row['summary']}" for row in rows),
        "\nYour own: a path to .npy, .npz, .csv, IDX or CIFAR files, or a folder of images. `vael data info PATH` says "
        "how it would be read.",
        say=answer,
    )


def informed(
    name: str, json_wanted: bool, schema_file: Path | None = None, size: int | tuple[int, int] | None = None
) -> int:
    """How data would be read: kind, shape, splits, notes, source; of a table what its columns are."""
    from vael.data import describe, load
    from vael.data.files import images
    from vael.tables.schema_file import as_record, write_schema

    sizes = images.sizes(Path(name)) if Path(name).is_dir() else Counter()  # as they are seen, with how many of each
    if size is None and len(sizes) > 1:
        least = f"{min(height for height, _ in sizes)}x{min(width for _, width in sizes)}"
        many = f"{name}: images of {counted(len(sizes), 'size')} ({told_sizes(sizes)}), but all must have one"
        raise ShapeError(
            f"{many}: give --size HEIGHTxWIDTH, such as {least}, to which each is cropped about its centre and made "
            "smaller"
        )
    splits = load(name, size=size)
    found, columns = describe(splits), table_of(name, splits)
    if schema_file is not None:
        if columns is None:
            raise UsageError(f"{name} is no table, so there is no schema to write; leave --schema out")
        refuse_another(schema_file, columns[0])
        write_schema(schema_file, columns[0])
    facts = {
        "name": found.name,
        "event": found.event,
        "sizes": told_sizes(sizes),
        "kind": found.kind.value,
        "levels": found.levels,
        "examples": dict(found.examples),
        "labels": found.label_names,
        "columns": found.columns,
        "notes": found.notes,
        "fingerprint": dict(found.fingerprints)["train"],
        "origin": found.origin,
        "citation": found.citation,
    }
    lines = [
        f"{key:<12} {plain(value)}" for key, value in facts.items() if value and not (key == "columns" and columns)
    ]
    lines += [] if columns is None else ["columns", *column_lines(*columns)]
    if schema_file is not None:
        lines.append(f"{schema_file}: the schema; edit it and give it to `vael train {name} --schema {schema_file}`")
    record = {**facts, "schema": None if columns is None else as_record(columns[0])}
    return said(json_wanted, record, *lines, say=answer)


def told_sizes(found: Counter[tuple[int, int]]) -> str:
    """Sizes, the commonest first."""
    shown = [f"{height}×{width} ({counted(count, 'image')})" for (height, width), count in found.most_common(SIZES)]
    return ", ".join([*shown, *([f"{len(found) - SIZES:,} more"] if len(found) > SIZES else [])])


def refuse_another(path: Path, schema: Schema) -> None:
    """Errors: `StateError` for a file that says something else than what would be written, such as a schema that
    was edited.
    """
    from vael.tables.schema_file import as_text

    if path.is_file() and path.read_bytes() != as_text(schema).encode():
        raise StateError(
            f"{path} is there already and says something else, perhaps by your hand; give another name, or remove it "
            "first"
        )


def table_of(name: str, splits: Splits) -> tuple[Schema, Tensor] | None:
    """The schema of a table and its rows (of a named one those of training); None for other data."""
    from vael.data import read_table
    from vael.data.tabular import is_table_file

    if Path(name).is_file() and is_table_file(Path(name)):
        found = read_table(Path(name))
        return found.schema, found.x
    return None if splits.train.schema is None else (splits.train.schema, splits.train.x)


def column_lines(schema: Schema, x: Tensor) -> list[str]:
    """One line for each column: kind, levels or range, spikes, and how many cells are missing."""
    width = min(max(len(name) for name in (*schema.names, *schema.left_out)), 30)
    lines = []
    for place, column in enumerate(schema.columns):
        missing = float(x[:, place].isnan().float().mean())
        about = levels_of(column) if column.levels else range_of(column)
        gaps = f"; {missing:.1%} missing" if missing else ""
        lines.append(f"  {column.name:<{width}}  {column.kind.value:<11}  {about}{gaps}")
    return lines + [f"  {name:<{width}}  left out" for name in schema.left_out]


def levels_of(column: Column) -> str:
    """The levels, as many as fit on a line."""
    shown, rare = ", ".join(column.levels[:5]), f" and {len(column.rare)} rare ones" if column.rare else ""
    return f"{counted(len(column.levels), 'level')}: {shown}{', ...' if len(column.levels) > 5 else ''}{rare}"


def range_of(column: Column) -> str:
    """The range of numbers or dates, their decimals and spikes, and how they are written."""
    from vael.data import ColumnKind
    from vael.tables.values.calendar import Beat
    from vael.tables.values.dates import moment_of, written_date

    if column.minimum is None or column.maximum is None:
        return ""
    if column.kind is ColumnKind.DATE:
        ends = [written_date(moment_of(end), column.pattern) for end in (column.minimum, column.maximum)]
        often = ", ".join(written_date(moment_of(spike), column.pattern) for spike in column.spikes)
        beat = Beat(column.months, column.step if column.decimals == 0 else None)
        parts = [f"{ends[0]} to {ends[1]}", *([str(beat)] if str(beat) else []), f"written {column.pattern}"]
        return ", ".join(parts) + (f"; spikes at {often}" if often else "")
    spikes = f"; spikes at {', '.join(f'{spike:g}' for spike in column.spikes)}" if column.spikes else ""
    digits = f", {counted(column.decimals, 'decimal')}" if column.decimals else ""
    written = f"; written as {column.pattern}" if column.pattern else ""
    ends = [f"{end:.0f}" if column.kind is ColumnKind.COUNT else f"{end:g}" for end in (column.minimum, column.maximum)]
    return f"{ends[0]} to {ends[1]}{digits}{spikes}{written}"


def plain(value: object) -> str:
    """A fact as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {part}" for part, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def models(options: ModelsOptions) -> int:
    """Recipes by what they are for, and the parts of each family; or one recipe with everything that is in it."""
    from vael.inference.parts import OptimizerPart
    from vael.models.families import LikelihoodPart, PosteriorPart, PriorPart
    from vael.objectives.parts import ObjectivePart
    from vael.parts import members
    from vael.parts import summary as summary_of
    from vael.specs.recipes import GROUPS

    if options.name is not None:
        return recipe_told(options.name, options.json)
    known = {group: {name: first_line(recipe) for name, recipe in found.items()} for group, found in GROUPS.items()}
    parts = {}
    for family in (LikelihoodPart, PriorPart, PosteriorPart, ObjectivePart, OptimizerPart):
        parts[f"{family.family}s"] = {kind: summary_of(part).rstrip(".") for kind, part in members(family).items()}
    record = {
        "recipes": {name: about for found in known.values() for name, about in found.items()},
        "groups": {group: list(found) for group, found in known.items()},
    }
    lines = ["recipes (--model NAME; `vael models NAME` says what is in one)", ""]
    for group, found in known.items():
        lines += by_name(group, found, max(map(len, found)))
    for family, found in parts.items():
        lines += by_name(f"{family} (--{family[:-1]})", found, 28)
    return said(options.json, {**record, **parts}, *lines, say=answer)


def by_name(title: str, known: dict[str, str], width: int) -> list[str]:
    """A title, and a line for each name."""
    return [title, *(f"  {name:<{width}}  {about}" for name, about in known.items()), ""]


def recipe_told(name: str, json_wanted: bool) -> int:
    """What a recipe is, its parts, and every leaf of them with the option or the path that sets it."""
    from vael.specs.composing import recipe_of
    from vael.specs.leaves import leaves, option_of, written
    from vael.specs.recipes import RECIPES

    recipe = recipe_of(name)
    found = RECIPES[recipe]()
    values = {
        f"{part}.{path}".removesuffix(".kind"): value
        for part, record in (("model", found.model), ("algorithm", found.algorithm))
        for path, value in leaves(record)
    }
    about = " ".join((inspect.getdoc(RECIPES[recipe]) or "").split())
    open_leaves = " What stands below of network, sizes and optimiser is replaced by what suits the data."
    return said(
        json_wanted,
        {"recipe": recipe, "about": about, "leaves": values},
        f"{recipe}: {inspect.getdoc(RECIPES[recipe])}{open_leaves if found.suits_data else ''}\n",
        *(f"  {option_of(path):<34} {written(value)}" for path, value in values.items()),
        say=answer,
    )


def first_line(documented: object) -> str:
    """The first line of a docstring, without its full stop."""
    return (inspect.getdoc(documented) or "").splitlines()[0].rstrip(".")
