"""Which numbers of a model stand in the file of its weights: those that training or data have made, under names that do
not change, as runs that were written before are to be read.
"""

import json
from dataclasses import replace
from pathlib import Path

import columns_of_tables as c
import pytest
from test_parts import FAMILIES, IMAGE, SERIES, TABLE, WHOLE, first_that_fits
from torch import nn

from vael.models import CodeGrid, GaussianPosterior
from vael.models.likelihoods.parts import ColumnsPart
from vael.networks import Dense
from vael.parts import members

KNOWN = json.loads((Path(__file__).parent / "names_of_buffers.json").read_text())


def likelihood(part):
    if isinstance(part, ColumnsPart):
        return nn.ModuleList([c.MIXED_COUNT, c.ORDINAL])
    return first_that_fits(lambda one: part.settled(one).build(one), IMAGE, WHOLE, TABLE)[0]


def prior(part):
    return part.build(2, replace(TABLE, context=2 * part.conditional), GaussianPosterior(Dense((3,), (4,))))


BUILD = {
    "likelihood": likelihood,
    "model": lambda part: first_that_fits(lambda one: part.settled(one).build(one), IMAGE, TABLE, SERIES)[0],
    "posterior": lambda part: part.build(Dense((3,), (part.numbers(2),)), 2, sees_gaps=False),
    "prior": prior,
    "density": lambda part: part.build(2),
    "flow": lambda part: part.build(2),
    "quantizer": lambda part: part.build(),
    "code-prior": lambda part: part.build((CodeGrid(1, 2, 5), CodeGrid(2, 4, 7))),
}


def buffers(module):
    """Of tensors that no gradient reaches those that are kept."""
    return sorted({name for name, _ in module.named_buffers()} & module.state_dict().keys())


def found(family):
    """Of each kind of a family that has a module."""
    kinds = {kind: part for kind, part in members(FAMILIES[family]).items() if part.__module__.startswith("vael.")}
    built = {kind: BUILD[family](part()) for kind, part in kinds.items()}
    return {kind: buffers(one) for kind, one in built.items() if isinstance(one, nn.Module)}


@pytest.mark.parametrize("family", BUILD)
def test_what_is_kept_beside_learned_weights_has_the_names_it_had(family):
    """Whoever keeps a tensor more, or one less, or renames one, can no longer read the runs of before; what follows
    from the sizes of a model is not kept. Kinds that came later need not stand in the table.
    """
    now = found(family)
    assert {kind: now.get(kind) for kind in KNOWN[family]} == KNOWN[family]
