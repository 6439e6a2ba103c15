"""VampPrior against the standard normal prior (Tomczak & Welling 2018), one stochastic layer, static MNIST, at a share
of the schedule: one command, one table.

    VAEL_DATA=... python benchmarks/vamp.py [--fraction 0.1] [--rows standard vamp] [--time-limit SECONDS]
    [--runs FOLDER] [--importance-samples 5000] [--test N] [--seed 0]

784-300-300-40 on both sides, with SiLU, x σ(x), where the paper has a second layer of gates beside each; 500
pseudo-inputs; Adam 5e-4, batch 100, 2,000 passes of which a share is done, divergence warmed up over the first 100 of
2,000, best weights of the validation split. Judged and kept as in `burda.py`.
"""

from __future__ import annotations

from burda import Protocol, Row, table
from vael.inference import Adam
from vael.models.parts import VAEPart
from vael.models.priors.standard_normal import StandardNormalPart
from vael.models.priors.vamp import VampPart
from vael.networks.parts import DensePart
from vael.objectives import ELBO, Beta
from vael.training import Constant
from vael.training.settings import Keep

PRIORS = {"standard": StandardNormalPart(), "vamp": VampPart(components=500), "vamp-100": VampPart(components=100)}
CLIMBED = ELBO(Beta(1.0, 100 / 2000))
PAPER = Protocol(
    "784-300-300-40, Adam 5e-4, static binarised MNIST (Tomczak & Welling 2018, VAE with one layer)",
    "binarized-mnist",
    None,
    lambda name: VAEPart(latent=40, prior=PRIORS[name], network=DensePart(hidden=(300, 300))),
    Adam(5e-4),
    2000,
    100,
    Constant(),
    {
        "standard": Row(CLIMBED, 1, "88.56"),
        "vamp": Row(CLIMBED, 1, "85.57"),
        "vamp-100": Row(CLIMBED, 1, "not given"),
    },
    ("standard", "vamp"),
    Keep.BEST,
)

if __name__ == "__main__":
    table(PAPER, None, __doc__)
