"""The parts of a run: as asked for, else as its recipe and the data have them."""

from __future__ import annotations

import math
from dataclasses import replace

from vael.domains import Recommendation
from vael.errors import FormatError, StateError
from vael.inference.parts import AlgorithmPart, GradientAscentPart
from vael.models.families import ModelPart, PosteriorPart
from vael.objectives.parts import ELBOPart, ObjectivePart
from vael.parts import Part, members, read
from vael.specs import names
from vael.specs.asked import Request
from vael.specs.leaves import LEAVES, assignments, has_leaf, leaf, with_fields, with_leaf
from vael.specs.recipes import ELSEWHERE, RECIPES, Composition, on_recommended


def composed(asked: Request, advice: Recommendation | None) -> Composition:
    """The parts as asked for, else as the data suggest (without `advice`, as the recipe has them).

    Errors: `FormatError` for names that there are not, `StateError` for leaves that there are not, or that do not fit.
    """
    known = "dense" if advice is None else advice.recipe
    recipe = known if asked.model is None else recipe_of(asked.model)
    found = RECIPES[recipe]()
    if advice is not None:
        while advice.codes is not None and recipe != advice.recipe:
            advice = advice.codes
        found = advised(found, advice, leaves=recipe == advice.recipe)
    model, algorithm = model_as_asked(found.model, asked), algorithm_as_asked(found.algorithm, asked)
    refuse_unfit(model, algorithm)
    return replace(found, model=model, algorithm=algorithm)


def recipe_of(name: str) -> str:
    """The recipe of a name. Errors: `FormatError` with the nearest name, or with what to do instead, where there is
    none.
    """
    wanted = name.lower().replace("_", "-")
    if wanted in ELSEWHERE:
        raise FormatError(f"{name} is no recipe: {ELSEWHERE[wanted]}")
    return names.meant(name, RECIPES, "recipe")


def refuse_unfit(model: ModelPart, algorithm: AlgorithmPart) -> None:
    """Errors: `StateError` for a model and an objective that do not fit each other, with what would."""
    posterior = getattr(model, "posterior", None)
    if not isinstance(algorithm, GradientAscentPart):
        return
    objective = algorithm.objective
    if isinstance(posterior, PosteriorPart) and posterior.reparameterized != objective.pathwise:
        kinds = members(ObjectivePart).items()
        fitting = ", ".join(name for name, part in kinds if part.pathwise == posterior.reparameterized)
        why = (
            f"the objective {objective.name} is for draws that no gradient passes through, but one passes through "
            f"those of the posterior {posterior.name} and would count twice"
            if posterior.reparameterized
            else f"no gradient passes through the draws of the posterior {posterior.name}, but the objective "
            f"{objective.name} takes its gradient through them"
        )
        raise StateError(
            f"{why}; choose another objective (--objective): {fitting}; or another posterior (--posterior)"
        )
    refuse_inexact(posterior, objective)
    if algorithm.samples < objective.least_samples:
        raise StateError(
            f"the objective {objective.name} compares the samples of an example with each other and takes at least "
            f"{objective.least_samples}, but {algorithm.samples} was asked for; give more (--samples "
            f"{objective.samples})"
        )
    if algorithm.samples % objective.multiple:
        fitting = objective.multiple * math.ceil(algorithm.samples / objective.multiple)
        raise StateError(
            f"the objective {objective.name} shares the samples of an example out to {objective.multiple} groups of "
            f"equal size, which {algorithm.samples} cannot be; give a multiple (--samples {fitting}), or another "
            "number of groups (--set objective.groups=N)"
        )


CLOSED = frozenset({"log_likelihood", "divergence"})


def refuse_inexact(posterior: object, objective: ObjectivePart) -> None:
    """Errors: `StateError` for draws whose gradient is biased under an objective that weighs their densities."""
    if not isinstance(posterior, PosteriorPart) or posterior.exact_paths or objective.build().requires <= CLOSED:
        return
    kinds = members(ObjectivePart).items()
    fitting = ", ".join(name for name, part in kinds if part.pathwise and part().build().requires <= CLOSED)
    raise StateError(
        f"the objective {objective.name} weighs the densities of draws, but the gradient through a draw of the "
        f"posterior {posterior.name} is not that of its density; choose an objective with the divergence in closed "
        f"form (--objective): {fitting}; or the posterior categorical with score-function"
    )


def advised(found: Composition, advice: Recommendation, *, leaves: bool) -> Composition:
    """The composition with the likelihood of the data, and the sizes, where its network is the one that is advised."""
    if found.suits_data:
        found = on_recommended(found, advised(RECIPES[advice.recipe](), advice, leaves=True))
    model = found.model
    usual = type(model).model_fields.get("likelihood")
    own = None if usual is None else usual.default
    # an autoencoder has a cost, which is not advised
    if own is not None and own.is_likelihood and leaf(model, "likelihood") == own:
        model = model.model_copy(update={"likelihood": advice.likelihood})
    for name, value in advice.leaves.items() if leaves else ():
        model = with_leaf(model, f"model.{name}", value, 1)
    return replace(found, model=model)


# first, because further leaves may be theirs, and together, because a prior may fit another posterior only
MODEL_PARTS = ("likelihood", "prior", "posterior")
WHOLE = frozenset(f"model.{name}" for name in MODEL_PARTS)
POSTERIORS = {True: "gaussian-full-covariance", False: "gaussian"}


def model_as_asked(model: ModelPart, asked: Request) -> ModelPart:
    """The model with what was asked of it."""
    given = {name: value for name in MODEL_PARTS if (value := getattr(asked, name)) is not None}
    if asked.correlated is not None:
        given.setdefault("posterior", POSTERIORS[asked.correlated])
    for name, path in LEAVES.items():
        value = getattr(asked, name, None)
        if path.startswith("model.") and name not in given and value is not None:
            given[name] = value
    whole = {name: given.pop(name) for name in MODEL_PARTS if name in given}
    sets = list(assignments(asked.set))
    whole |= {path.removeprefix("model."): value for path, value in sets if path in WHOLE}
    model = with_fields(model, "model", whole) if whole else model
    for name, value in given.items():
        model = with_leaf(model, LEAVES[name], value, 1)
    for path, value in sets:
        if path.startswith("model.") and path not in WHOLE:
            model = with_leaf(model, path, value, 1)
    return model


def asked_of_model(asked: Request) -> tuple[str, ...]:
    """How a person names what they asked of the model itself, beside its recipe and its likelihood."""
    names = [name for name in (*MODEL_PARTS[1:], "correlated") if getattr(asked, name) is not None]
    names += [
        name for name, path in LEAVES.items() if path.startswith("model.") and getattr(asked, name, None) is not None
    ]
    paths = [path for path, _ in assignments(asked.set) if path.startswith("model.")]
    return (*dict.fromkeys("--" + name.replace("_", "-") for name in names), *paths)


def algorithm_as_asked(algorithm: AlgorithmPart, asked: Request) -> AlgorithmPart:
    """The algorithm with what was asked of it."""
    if isinstance(algorithm, GradientAscentPart):
        algorithm = objective_as_asked(algorithm, asked)
    for name, path in LEAVES.items():
        value = getattr(asked, name, None)
        if path.startswith("algorithm.") and name != "objective" and value is not None:
            algorithm = with_leaf(algorithm, path, value, 1)
    for path, value in assignments(asked.set):
        if path.startswith("algorithm."):
            algorithm = with_leaf(algorithm, path, value, 1)
    return algorithm


def objective_as_asked(algorithm: GradientAscentPart, asked: Request) -> GradientAscentPart:
    """The algorithm with another objective, where one is named, or where what is asked for needs one that has it."""
    weighs = [name for name in ("beta", "warmup", "terms") if getattr(asked, name) is not None]
    kind = asked.objective
    if asked.estimator is not None:
        kind = names.ESTIMATORS[names.meant(asked.estimator, names.ESTIMATORS, "estimator")]
    if kind is None and any(not has_leaf(algorithm.objective, name) for name in weighs):
        kind = "elbo"
    if kind is None and asked.terms in (None, "both"):
        return algorithm
    objective = algorithm.objective if kind is None else _objective(kind)
    same = type(objective) is type(algorithm.objective)
    before = algorithm.objective
    if isinstance(objective, ELBOPart):
        warmup = before.warmup if isinstance(before, ELBOPart) and asked.terms in (None, "both") else 0.0
        objective = objective.model_copy(update={"warmup": warmup})
    samples = algorithm.samples if same else objective.samples
    return algorithm.model_copy(update={"objective": objective, "samples": samples})


def _objective(kind: str | Part) -> ObjectivePart:
    if isinstance(kind, ObjectivePart):
        return kind
    try:
        return read(ObjectivePart, kind)
    except ValueError as error:
        raise FormatError(str(error)) from error
