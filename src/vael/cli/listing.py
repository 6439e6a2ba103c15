"""`vael data` and `vael models`."""

from __future__ import annotations

import argparse
import inspect
import json

from vael.cli.parser import Parser, UsageError, nearest

ACTIONS = ("list", "info")


def data_options(parser: Parser) -> None:
    """Everything that `vael data` takes."""
    parser.usage = "vael data list [--json]\n       vael data info NAME [--json]"
    parser.option("action", metavar="list | info", nargs="?", help="list: data sets that have a name; info: what is known of one")
    parser.option("name", metavar="NAME", nargs="?", help="a name, or the path of your own data")
    parser.option("--json", action="store_true", help="print one JSON object")


def models_options(parser: Parser) -> None:
    """Everything that `vael models` takes."""
    parser.option("--json", action="store_true", help="print one JSON object")


def data(given: argparse.Namespace) -> int:
    """List data sets, or look at one."""
    options = vars(given)
    action = options.get("action", "list")
    if action not in ACTIONS:
        raise UsageError(f"unknown action {action}{nearest(action, ACTIONS)}; the actions are list and info NAME")
    if action == "list":
        return listed(bool(options.get("json")))
    if "name" not in options:
        raise UsageError("data info needs the name of a data set (`vael data list`) or a path")
    return informed(options["name"], bool(options.get("json")))


def listed(json_wanted: bool) -> int:
    """Every data set with a name, and whether its files are here."""
    from vael.data import catalogue

    rows = [{"name": entry.name, "summary": entry.summary, "here": entry.found is not None} for entry in catalogue()]
    if json_wanted:
        print(json.dumps({"data": rows}))
        return 0
    for row in rows:
        print(f"{row['name']:<18} {'here' if row['here'] else 'not here':<9} {row['summary']}")
    print("\nYour own: a path to .npy, .npz, .csv, IDX or CIFAR files, or a folder of images. `vael data info PATH` says how it would be read.")
    return 0


def informed(name: str, json_wanted: bool) -> int:
    """How data would be read: kind, shape, splits, notes, source."""
    from vael.data import describe, load

    found = describe(load(name))
    facts = {
        "name": found.name, "event": found.event, "kind": found.kind.value, "levels": found.levels, "examples": dict(found.examples),
        "labels": found.label_names, "columns": found.columns, "notes": found.notes, "fingerprint": dict(found.fingerprints)["train"],
        "origin": found.origin, "citation": found.citation,
    }  # fmt: skip
    if json_wanted:
        print(json.dumps(facts))
        return 0
    for key, value in facts.items():
        if value:
            print(f"{key:<12} {plain(value)}")
    return 0


def plain(value: object) -> str:
    """A fact as people write it."""
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {part}" for part, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def models(given: argparse.Namespace) -> int:
    """Recipes with their options, likelihoods and estimators."""
    from vael.specs.likelihoods import LIKELIHOODS
    from vael.specs.names import ESTIMATORS, RECIPES, arguments_of

    groups = {
        "recipes": {name: first_line(recipe) for name, recipe in RECIPES.items()},
        "likelihoods": {name: known.summary for name, known in LIKELIHOODS.items()},
        "estimators": dict(ESTIMATORS),
    }
    if vars(given).get("json"):
        print(json.dumps(groups))
        return 0
    options = {name: ", ".join(f"{key} {shown(known.default)}" for key, known in arguments_of(name).items()) for name in RECIPES}
    for group, members in groups.items():
        print(f"{group} (--{OPTION[group]})")
        for name, summary in members.items():
            print(f"  {name:<28} {summary}" + (f"\n{'':<31}{options[name]}" if group == "recipes" else ""))
        print()
    return 0


OPTION = {"recipes": "model", "likelihoods": "likelihood", "estimators": "estimator"}


def first_line(documented: object) -> str:
    """The first line of a docstring, without its full stop."""
    return (inspect.getdoc(documented) or "").splitlines()[0].rstrip(".")


def shown(default: object) -> str:
    """A default as it is written on the command line."""
    if default is inspect.Parameter.empty:
        return "(needed)"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
