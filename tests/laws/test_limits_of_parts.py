"""Which numbers a leaf of a part takes: its limits stand in a table, and at them it is as the table says."""

import json
import math
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError
from test_parts import FAMILIES

from vael.parts import members

LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minItems", "maxItems")
TABLE = json.loads((Path(__file__).parent / "limits_of_parts.json").read_text())


def limits(node):
    """The limits of a leaf, also of those that it has alternatives or items for; what is another part has its own."""
    found = {name: node[name] for name in LIMITS if name in node}
    inner = [one for name in ("anyOf", "prefixItems") for one in node.get(name, ())]
    inner += [node[name] for name in ("items", "additionalProperties") if isinstance(node.get(name), dict)]
    below = [one for one in map(limits, inner) if one]
    return {**found, **({"of": below} if below else {})}


def limits_of(part):
    leaves = part.model_json_schema()["properties"].items()
    return {name: known for name, node in leaves if (known := limits(node)) and name != "kind"}


def kinds(family):
    return {kind: part for kind, part in members(FAMILIES[family]).items() if ":" not in kind}


@pytest.mark.parametrize("family", TABLE)
def test_a_leaf_takes_what_it_took(family):
    """Whoever changes a limit changes which runs can be read: it stands in the table and in CHANGELOG.md. Parts and
    leaves that came later need not stand there.
    """
    parts = kinds(family)
    for kind, known in TABLE[family].items():
        now = limits_of(parts[kind])
        assert {name: now.get(name) for name in known} == known


NUMBERS = [
    (family, kind, name, known)
    for family, of in TABLE.items()
    for kind, leaves in of.items()
    for name, known in leaves.items()
    if any("inimum" in limit or "aximum" in limit for limit in known)
]


@pytest.mark.parametrize(("family", "kind", "name", "known"), NUMBERS, ids=[" ".join(row[:3]) for row in NUMBERS])
def test_a_number_is_taken_at_its_limit_and_not_beyond(family, kind, name, known):
    """A limit that belongs to the numbers that are taken, and one that does not."""
    field = members(FAMILIES[family])[kind].model_fields[name]
    leaf = TypeAdapter(field.rebuild_annotation())

    def taken(value):
        try:
            leaf.validate_python(value)
        except ValidationError:
            return False
        return True

    for limit, value in known.items():
        if "inimum" in limit or "aximum" in limit:
            outward = -math.inf if "inimum" in limit else math.inf
            step = (lambda at, to: at + int(math.copysign(1, to))) if field.annotation is int else math.nextafter
            assert taken(value) is not limit.startswith("exclusive")
            assert not taken(step(value, outward))
            assert not taken(math.nan)
