"""A model that is held at one condition is the model that is given this condition."""

from dataclasses import replace

import pytest
import torch
from test_parts import FAMILIES, SERIES, TABLE

from vael.data import Batch
from vael.errors import ShapeError
from vael.parts import members
from vael.probability import PerExample

ROWS = torch.arange(4)
CONDITION = torch.tensor([0.5, -1.5])


def model(kind, facts):
    part = members(FAMILIES["model"])[kind]()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = part.settled(facts).build(replace(facts, context=2)).requires_grad_(False)
        for weights in made.parameters():
            weights.add_(0.1 * torch.randn(weights.shape))
    return made


@pytest.mark.parametrize(("kind", "facts"), [("vae", TABLE), ("state-space", SERIES), ("jumpy", SERIES)])
def test_it_states_the_same_terms_and_makes_the_same_of_an_example(kind, facts):
    given = model(kind, facts)
    x = torch.rand(4, *facts.event, generator=torch.Generator().manual_seed(1)).round()
    batch = Batch(x=x, context=CONDITION.expand(4, -1), index=ROWS)
    held, other = given.at(CONDITION), given.at(-CONDITION)
    known = [one(part, generator=PerExample(3, ROWS)) for one, part in ((given, batch), (held, Batch(x, index=ROWS)))]
    for name in ("log_likelihood", "log_prior", "log_posterior", "divergence"):
        one, two = (getattr(terms, name) for terms in known)
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two)
    torch.testing.assert_close(held.encode(Batch(x)), given.encode(batch))
    assert not torch.allclose(other.encode(Batch(x)), given.encode(batch))
    if kind != "jumpy":  # what it makes of a frame it draws
        torch.testing.assert_close(held.reconstruct(Batch(x)), given.reconstruct(batch))
        assert not torch.allclose(other.reconstruct(Batch(x)), given.reconstruct(batch))
    drawn = [
        one.sample(4, generator=torch.Generator().manual_seed(0), **c)
        for one, c in ((given, {"context": batch.context}), (held, {}))
    ]
    assert torch.equal(*drawn)
    assert (given.train().at(CONDITION).training, given.eval().at(CONDITION).training) == (True, False)
    with pytest.raises(ShapeError):
        given.at(torch.zeros(3))
