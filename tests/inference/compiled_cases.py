"""The compiled step against the eager one; run by test_gradient.py, by the compiler without checked annotations and
by the graph as it was captured.
"""

import pytest
import torch
from torch import nn

from vael.errors import StateError
from vael.inference import AdamW, GradientAscent, Moment, World
from vael.inference.compiled import CompiledGradients
from vael.objectives import ImportanceWeighted
from vael.probability import Stream


def test_the_compiled_step_makes_the_moves_of_the_eager_one_and_skips_what_it_skips():
    from test_gradient import climb, model, source

    how = {"objective": ImportanceWeighted(), "samples": 2, "optimizer": AdamW(learning_rate=0.01, weight_decay=0.1)}
    eager, eager_totals = climb(GradientAscent(model(), **how), 12)
    ascent = GradientAscent(model(), **how)
    compiled, compiled_totals = climb(ascent, 12, World(compiled=True))
    assert isinstance(compiled.apply.gradients, CompiledGradients)
    torch.testing.assert_close(eager_totals, compiled_totals, rtol=1e-5, atol=1e-4)
    for name, tensor in eager.tensors().items():
        torch.testing.assert_close(
            tensor, compiled.tensors()[name], rtol=1e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}"
        )

    before = [p.detach().clone() for p in compiled.parameters]
    broken = source(bad=3).batch(torch.arange(32))
    totals = ascent.step(compiled, broken, Moment(0.0, 1.0, Stream(torch.Generator().manual_seed(0)), 32)).totals
    assert ascent.skipped(compiled) == 1
    assert totals.tolist() == [0.0] * 4
    assert all(torch.equal(a, b) for a, b in zip(before, compiled.parameters, strict=True))

    kept = {name: tensor.clone() for name, tensor in compiled.tensors().items()}
    ends = []
    for _ in range(2):  # what is loaded is what the graph goes on from, bit for bit
        for step in range(5):
            noise = Stream(torch.Generator().manual_seed(100 + step))
            ascent.step(compiled, source().batch(torch.arange(32)), Moment(0.5, 1.0, noise, 32))
        ends.append({name: tensor.clone() for name, tensor in compiled.tensors().items()})
        compiled.load(kept)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in kept)
    assert not torch.equal(ends[0]["steps"], kept["steps"])

    other = climb(GradientAscent(model(nn.SiLU), **how), 3)[1]  # the first model's graph must not serve the second
    other_compiled = climb(GradientAscent(model(nn.SiLU), **how), 3, World(compiled=True))[1]
    torch.testing.assert_close(other, other_compiled, rtol=1e-5, atol=1e-4)
    assert not torch.allclose(other, eager_totals[:3], rtol=1e-5, atol=1e-4)

    with pytest.raises(StateError, match="pad the batch"):
        ascent.step(compiled, source().batch(torch.arange(8)), Moment(0.0, 1.0, Stream(torch.Generator()), 8))
