"""run.json as earlier versions wrote it, in today's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OBJECTIVES = {"closed-form": "elbo", "sampled": "sampled-elbo", "importance-weighted": "importance-weighted"}
HIDDEN = {"lecture": (256,), "kingma-welling": (500,), "burda": (200, 200), "linear": ()}
ACTIVATION = {"lecture": "relu", "kingma-welling": "relu", "burda": "tanh"}
LATENT = {"dense": 20, "lecture": 2, "kingma-welling": 20, "burda": 50, "table": 16, "gapped": 10, "principal": 256}


def current(known: Any) -> Any:
    """What a run.json says, in the form of schema 2; what is no record of schema 1 stays as it is, to be refused."""
    if not isinstance(known, Mapping) or known.get("schema_version") != 1:
        return known
    model, training = known.get("model"), known.get("training")
    if not isinstance(model, Mapping) or not isinstance(training, Mapping):
        return known
    rest = {name: value for name, value in known.items() if name not in ("model", "training", "schema_version")}
    return {
        **rest,
        "schema_version": 2,
        "recipe": model.get("recipe"),
        "parameters": model.get("parameters"),
        "model": _model(model),
        "algorithm": _algorithm(training),
        "training": {name: value for name, value in training.items() if name in LOOP},
    }


LOOP = (
    "epochs",
    "time_limit",
    "patience",
    "batch",
    "seed",
    "device",
    "precision",
    "compiled",
    "threads",
    "processes",
)


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    recipe, given = str(model.get("recipe")), model.get("arguments") or {}
    latent = given.get("latent", LATENT.get(recipe, 20))
    found = {
        "kind": "vae",
        "latent": latent,
        "posterior": {"kind": "gaussian-full-covariance" if given.get("correlated") else "gaussian"},
        "likelihood": {"kind": model.get("likelihood"), **(model.get("likelihood_arguments") or {})},
        "network": _network(recipe, given, latent),
    }
    return {**found, "begin": "principal-components"} if recipe == "principal" else found


def _network(recipe: str, given: Mapping[str, Any], latent: int) -> dict[str, Any]:
    if recipe in ("convolutional", "residual"):
        blocks = given.get("blocks", 2) if recipe == "residual" else 0
        return {"kind": "convolutional", "channels": given.get("channels", (64, 128, 256)), "blocks": blocks}
    hidden = (2 * latent,) if recipe == "principal" else given.get("hidden", HIDDEN.get(recipe, (400,)))
    return {"kind": "dense", "hidden": hidden, "activation": ACTIVATION.get(recipe, "silu")}


def _algorithm(training: Mapping[str, Any]) -> dict[str, Any]:
    estimator = training.get("estimator", "closed-form")
    objective: dict[str, Any] = {"kind": OBJECTIVES.get(estimator, estimator)}
    if estimator != "importance-weighted":
        objective |= {name: training[name] for name in ("beta", "terms", "warmup") if name in training}
    optimizer = {name: training[name] for name in ("learning_rate", "weight_decay") if name in training}
    return {
        "kind": "gradient-ascent",
        "objective": objective,
        "samples": training.get("samples", 1),
        "optimizer": {"kind": "adamw", **optimizer},
    }
