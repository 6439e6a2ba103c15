"""A flow as a model of vectors: its scale is part of the density, and it is what an autoencoder is sampled from."""

import numpy as np
import pytest
import torch

import vael
from oracles import generator
from vael.data import Batch
from vael.errors import StateError
from vael.models import Samples, has
from vael.models.flows.density import FlowDensity
from vael.models.flows.parts import CouplingPart


def density(features=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FlowDensity(features, CouplingPart(layers=2, hidden=(8,)).build(features)).double()


def test_the_scale_of_the_data_is_part_of_the_density():
    x = torch.randn(50, 2, generator=generator(), dtype=torch.float64) * torch.tensor([3.0, 0.01]) + 5
    plain, scaled = density(), density()
    scaled.scale_to(x)
    std = x.std(0, correction=0)
    expected = plain.log_prob((x - x.mean(0)) / std) - std.log().sum()
    torch.testing.assert_close(scaled.log_prob(x), expected)
    z = (scaled.sample(9, generator=generator(1)) - x.mean(0)) / std
    torch.testing.assert_close(z, plain.sample(9, generator=generator(1)))
    again = density()
    again.load_state_dict(scaled.state_dict())
    assert torch.equal(again.log_prob(x), scaled.log_prob(x))


def test_a_number_that_never_varies_has_a_density_too():
    made = density()
    made.scale_to(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    assert bool(made.log_prob(torch.tensor([[2.0, 2.0]])).isfinite().all())


def test_it_takes_whole_vectors():
    batch = Batch(x=torch.zeros(3, 2), observed=torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(StateError, match="neither a mask nor latents"):
        density()(batch, generator=generator())


def test_an_autoencoder_is_sampled_from_it(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32))
    leaves = {
        "model.density": "flow",
        "algorithm.second": "gradient-ascent",
        "algorithm.second_epochs": 12,
        "model.latent": 2,
        "model.network.hidden": (4,),
    }
    how = {"epochs": 1, "compile": False, "callbacks": (), "precision": "float32"}
    run = vael.train(tmp_path / "rows.npy", model="autoencoder", run=tmp_path / "run", set=leaves, **how)
    again = vael.load(tmp_path / "run").model
    assert has(again, Samples)
    assert not torch.equal(again.density.std, torch.ones(2))  # that of the codes
    drawn = again.sample(4, generator=generator())
    assert drawn.shape == (4, 3)
    assert torch.equal(drawn, run.model.sample(4, generator=generator()))
    moved = [
        name for name, weights in again.density.named_parameters() if name.endswith("bias") and bool(weights.any())
    ]
    assert moved  # biases start at 0
