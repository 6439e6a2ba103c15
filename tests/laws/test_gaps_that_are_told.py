"""A model that is made for data with gaps, or for windows in which there may be some later, tells a cell that was not
seen from one that was seen with the value that stands for it.
"""

from dataclasses import replace

import pytest
import torch
from test_parts import FAMILIES, SERIES, TABLE

from vael.data import Batch
from vael.errors import VaelError
from vael.models import Encodes, ExactLikelihood
from vael.models.capabilities import has
from vael.parts import members

KINDS = {kind: part for kind, part in members(FAMILIES["model"]).items() if part.__module__.startswith("vael.")}
WINDOWS, GAPS = replace(SERIES, channels_last=True), replace(TABLE, gaps=True)
NOT_TOLD = {"autoencoder", "stacked-autoencoder", "vq-vae"}  # gaps count for nothing in their error


def models(facts):
    """Those that encode such data, their weights moved away from zeros that they may begin with."""
    found = {}
    for kind in KINDS.keys() - NOT_TOLD:
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = KINDS[kind]().settled(facts).build(facts).eval()
        except VaelError:
            continue  # not for such data
        if has(model, Encodes) and not has(model, ExactLikelihood):
            numbers = torch.Generator().manual_seed(1)
            for weights in model.requires_grad_(False).parameters():
                weights.add_(0.1 * torch.randn(weights.shape, generator=numbers).to(weights))
            found[kind] = model
    return found


def told(model, event):
    """How far codes go apart when a cell is taken away that held what stands for a gap."""
    x = torch.randn(4, *event, generator=torch.Generator().manual_seed(0)).to(next(model.parameters()))
    x[..., 0] = 0
    whole = torch.ones_like(x, dtype=torch.bool)
    hidden = whole.clone()
    hidden[..., 0] = False
    with torch.no_grad():
        one, other = (
            model.encode(Batch(x=x, observed=observed, index=torch.arange(4))) for observed in (whole, hidden)
        )
    return float((one - other).abs().max())


@pytest.mark.parametrize(
    ("facts", "least"),
    [
        (WINDOWS, {"vae", "hierarchical", "state-space", "kalman", "jumpy"}),
        (GAPS, {"vae", "hierarchical", "semi-supervised"}),
    ],
    ids=["windows", "table"],
)
def test_what_was_not_seen_is_told_from_what_was(facts, least):
    made = models(facts)
    assert least <= made.keys()
    assert {kind for kind, model in made.items() if told(model, facts.event) < 1e-3} == set()
