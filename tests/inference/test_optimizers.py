"""Optimisers that are named here: what Adagrad does with the factor N/M, and what is refused when one is made."""

import subprocess
import sys

import pytest
import torch

import vael
from vael.cli import main
from vael.errors import StateError
from vael.inference import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from vael.inference.optimizers import Updates


def walk(optimizer, gradients, scale=1.0):
    """A parameter after all gradients."""
    p = torch.linspace(-1, 1, 7, dtype=torch.float64)
    updates = Updates(optimizer, {"p": p})
    for g in gradients:
        updates([scale * g], optimizer.learning_rate, None, None)
    return p


def gradients(steps=500):
    generator = torch.Generator().manual_seed(0)
    spread = 10.0 ** torch.arange(-3, 4, dtype=torch.float64)
    return [spread * torch.randn(7, generator=generator, dtype=torch.float64) for _ in range(steps)]


def test_adagrad_is_its_formula_over_500_steps():
    p, total = torch.linspace(-1, 1, 7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)
    for g in gradients():
        total += g**2
        p -= 0.05 * g / (total.sqrt() + 1e-10)
    torch.testing.assert_close(walk(Adagrad(learning_rate=0.05), gradients()), p, rtol=1e-9, atol=1e-12)


def test_adamw_is_its_formula():
    """Loshchilov & Hutter 2019, algorithm 2, line by line."""
    p, m, v = torch.linspace(-1, 1, 7, dtype=torch.float64), 0.0, 0.0
    for step, g in enumerate(gradients(50), 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = p - 0.01 * (m / (1 - 0.9**step) / ((v / (1 - 0.999**step)).sqrt() + 1e-8) + 0.1 * p)
    torch.testing.assert_close(walk(AdamW(0.01, weight_decay=0.1), gradients(50)), p, rtol=1e-9, atol=1e-12)


def test_a_zero_gradient_moves_nothing():
    found = walk(Adagrad(), [torch.zeros(7, dtype=torch.float64)])
    torch.testing.assert_close(found, torch.linspace(-1, 1, 7, dtype=torch.float64), rtol=0, atol=0)


@pytest.mark.parametrize("factor", [600.0, 1 / 600])
def test_the_factor_of_a_minibatch_leaves_adagrads_steps_as_they_are(factor):
    plain, scaled = walk(Adagrad(), gradients(50)), walk(Adagrad(), gradients(50), scale=factor)
    torch.testing.assert_close(plain, scaled, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("made", "kind", "options"),
    [
        (AdamW(0.1, (0.8, 0.9), 1e-7, 0.2), torch.optim.AdamW, {"betas": (0.8, 0.9), "eps": 1e-7, "weight_decay": 0.2}),
        (Adam(0.1, (0.8, 0.9), 1e-7), torch.optim.Adam, {"betas": (0.8, 0.9), "eps": 1e-7}),
        (RMSprop(0.1, 0.8, 1e-7, True), torch.optim.RMSprop, {"alpha": 0.8, "eps": 1e-7, "centered": True}),
        (Adagrad(0.1, 1e-7), torch.optim.Adagrad, {"eps": 1e-7}),
        (SGD(0.1, 0.8, True), torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_names_of_optimisers_pass_on_what_they_are_given(made, kind, options):
    live = made.at_work([torch.zeros(2)], fused=False)
    assert isinstance(live, kind)
    (group,) = live.param_groups
    assert {name: group[name] for name in ("lr", *options)} == {"lr": 0.1, **options}


@pytest.mark.parametrize(
    ("kind", "rate", "options", "said"),
    [
        (torch.optim.LBFGS, 1.0, {}, "LBFGS evaluates the loss several times"),
        (torch.optim.AdamW, 1e-3, {"momentun": 0.9}, "momentun"),
        (torch.optim.AdamW, -1.0, {}, "learning rate"),
        (torch.optim.SGD, 0.1, {"momentum": -1.0}, "momentum"),
    ],
)
def test_what_no_run_can_use_is_refused_when_it_is_made(kind, rate, options, said):
    with pytest.raises(StateError, match=said):
        Optimizer(kind, rate, options)


@pytest.mark.parametrize("kind", [torch.optim.SparseAdam, torch.optim.Muon], ids=lambda one: one.__name__)
def test_what_cannot_step_on_the_parameters_is_refused_before_the_first_step(kind):
    """One takes sparse gradients only, the other matrices only."""
    with pytest.raises(StateError, match=kind.__name__):
        Updates(Optimizer(kind, 0.1), {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})


def test_a_state_that_is_no_tensor_is_refused():
    class Counting(torch.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                self.state[p]["steps"] = self.state[p].get("steps", 0) + 1

    with pytest.raises(StateError, match="Counting keeps steps"):
        Updates(Optimizer(Counting), {"p": torch.zeros(2)})


def test_no_step_asks_for_the_compiler(monkeypatch, tmp_path):
    """As below, of what this process has not yet called: an import of it fails."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    how = {"epochs": 1, "latent": 2, "callbacks": (), "compile": False}
    vael.train("digits", model="convolutional", run=tmp_path / "run", set={"model.network.channels": (4, 8)}, **how)
    assert main(["sample", str(tmp_path / "run"), "-n", "2", "-o", str(tmp_path / "x.npy")]) == 0


def test_no_compiler_is_imported_to_train_a_model_or_to_use_it(tmp_path):
    """It takes a second or two, which an eager run and whoever loads it need not pay."""
    code = """
import sys, torch
import vael
from vael.cli import main
from vael.inference import AdamW, RMSprop, SGD
from vael.inference.optimizers import Updates
for optimizer in (AdamW(), RMSprop(), SGD()):
    updates = Updates(optimizer, {"p": torch.zeros(3)})
    for _ in range(3):
        updates([torch.ones(3)], 0.1, None, None)
assert "torch._dynamo" not in sys.modules
folder, how = sys.argv[1], {"epochs": 1, "latent": 2, "callbacks": (), "compile": False}
vael.train("digits", model="convolutional", run=folder + "run", set={"model.network.channels": (4, 8)}, **how)
assert "torch._dynamo" not in sys.modules, "trained"
assert main(["sample", folder + "run", "-n", "2", "-o", folder + "x.npy"]) == 0
assert "torch._dynamo" not in sys.modules, "loaded"
"""
    command = [sys.executable, "-c", code, f"{tmp_path}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
