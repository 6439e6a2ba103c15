"""Recipes: what the name of a paper, or of a network, stands for: a model, how it is fitted, for how long."""

from __future__ import annotations

from collections.abc import Callable

from vael.specs.recipes import literature, networks
from vael.specs.recipes.composition import Composition, on_recommended

Recipe = Callable[[], Composition]

GROUPS: dict[str, dict[str, Recipe]] = {  # by what they are for
    "networks": {
        "dense": networks.dense,
        "convolutional": networks.convolutional,
        "autoregressive": networks.autoregressive,
        "autoregressive-binary": networks.autoregressive_binary,
        "residual": networks.residual,
        "table": networks.table,
        "gapped": networks.gapped,
        "full-covariance": networks.full_covariance,
        "principal": networks.principal,
        "linear": networks.linear,
    },
    "networks of papers and lectures": {
        "lecture": networks.lecture,
        "kingma-welling": networks.kingma_welling,
        "burda": networks.burda,
    },
    "bounds on log p(x)": {
        "vae": literature.vae,
        "iwae": literature.iwae,
        "miwae": literature.miwae,
        "piwae": literature.piwae,
        "ciwae": literature.ciwae,
        "dreg": literature.dreg,
        "sticking-the-landing": literature.sticking_the_landing,
        "renyi-vae": literature.renyi_vae,
    },
    "what latents cost": {
        "beta-vae": literature.beta_vae,
        "annealed-vae": literature.annealed_vae,
        "free-bits": literature.free_bits,
        "beta-tc-vae": literature.beta_tc_vae,
        "dip-vae-i": literature.dip_vae_i,
        "dip-vae-ii": literature.dip_vae_ii,
        "info-vae": literature.info_vae,
        "mmd-vae": literature.mmd_vae,
        "wae-mmd": literature.wae_mmd,
    },
    "priors": {
        "vamp": literature.vamp,
        "vade": literature.vade,
    },
    "levels of latents": {
        "hierarchical": networks.hierarchical,
        "hierarchical-convolutional": networks.hierarchical_convolutional,
        "hierarchical-hour": networks.hierarchical_hour,
        "hierarchical-gpu": networks.hierarchical_gpu,
    },
    "latents that can be counted": {
        "vq-vae": networks.vq_vae,
        "vq-vae-2": networks.vq_vae_2,
        "bernoulli-latents": networks.bernoulli_latents,
        "vimco": literature.vimco,
    },
    "autoencoders: no bound": {
        "autoencoder": networks.autoencoder,
        "denoising": networks.denoising,
        "sparse": networks.sparse,
        "k-sparse": networks.k_sparse,
        "contractive": networks.contractive,
        "stacked": networks.stacked,
    },
    "mixtures": {
        "gaussian-mixture": networks.gaussian_mixture,
        "bayesian-mixture": networks.bayesian_mixture,
    },
    "classes from labels": {
        "semi-supervised": networks.semi_supervised,
    },
    "sequences": {
        "state-space": networks.state_space,
        "kalman": networks.kalman,
        "td-vae": networks.td_vae,
        "temporal": networks.temporal,
    },
}
RECIPES: dict[str, Recipe] = {name: recipe for group in GROUPS.values() for name, recipe in group.items()}

ELSEWHERE = {  # names of papers that are no recipe, and what is to be done instead
    "factor-vae": "it trains a second network against the first to estimate the total correlation, and what it climbs "
    "is known by that estimate only; beta-tc-vae weighs the same term without one (--model beta-tc-vae)",
    "wae-gan": "it trains a second network against the first; wae-mmd compares the same two distributions in closed "
    "form (--model wae-mmd)",
    "adversarial-autoencoder": "it trains a second network against the first; wae-mmd is the same without one (--model "
    "wae-mmd)",
    "vae-gan": "its likelihood is a second network trained against the first, which gives no log p(x); for sharper "
    "images take more levels of latents (--model hierarchical-convolutional)",
    "cvae": "any recipe is given a condition by naming it (--condition-on label)",
    "sigma-vae": "σ is learned wherever the likelihood has one (--likelihood gaussian)",
    "ppca": "it is the recipe linear on real numbers with one σ (--model linear --likelihood gaussian)",
}

__all__ = ["ELSEWHERE", "GROUPS", "RECIPES", "Composition", "Recipe", "on_recommended"]
