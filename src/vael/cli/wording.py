"""What is said about a run and its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from vael import domains
from vael.cli.telling import paragraph
from vael.counting import counted
from vael.data.conditioning.labels import Labelling
from vael.evaluation import Evaluation, Judgement
from vael.specs import RunSpec, is_bound
from vael.specs.leaves import has_leaf, leaf, leaves, written


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def reasons(sentences: Sequence[str]) -> list[str]:
    """Why the open choices were made so, wrapped to the terminal."""
    return [paragraph(sentence[0].upper() + sentence[1:], "  - ") for sentence in sentences]


def sized(values: tuple[object, ...]) -> str:
    """A shape, or parts side by side, as people write it."""
    return " × ".join(map(written, values))


def summary(spec: RunSpec) -> list[str]:
    """What will be trained on what, a line each."""
    data, training = spec.data, spec.training
    prepared = f", {data.binarize} binarisation" if data.binarize else ", dequantised" if data.dequantize else ""
    sizes = (
        f"{data.train.examples:,} training, {data.held_out.examples:,} validation, "
        f"{data.test.examples if data.test else 0:,} test"
    )
    lines = [
        f"data        {data.name}: {domains.of(data).told(data)}{prepared}; {sizes}",
        *([f"given       {data.condition.told}"] if data.condition else []),
        *([f"classes     {labels(data.labelling)}"] if data.labelling else []),
        f"model       {model(spec)}",
        f"{'likelihood' if spec.model.is_likelihood else 'cost':<12}{spec.model.likelihood_name}",
        f"objective   {objective(spec)}",
        f"length      {length(spec)}; batch {training.batch}{rate(spec)}, seed {training.seed}",
    ]
    return [*lines, *(f"note        {note}" for note in data.notes)]


def labels(labelling: Labelling) -> str:
    """Which classes are learned, and from how many labels."""
    few = "" if labelling.each is None else f"; training is given {counted(labelling.each, 'label')} of each"
    return f"{labelling.classes} by {labelling.told}{few}"


def model(spec: RunSpec) -> str:
    """The model as it was asked for and its sizes; of what is usual or is not so, nothing."""
    usual = {"kind", "prior.kind standard-normal", "posterior.kind gaussian", "begin", "network.activation silu"}
    said = {"posterior.kind gaussian-full-covariance": "latents with full covariance"}
    found = []
    for path, value in leaves(spec.model):
        whole = f"{path} {value}"
        open_or_no = value is None or value is False or value in (0, "", "none", ())
        if path.startswith("likelihood.") or {path, whole} & usual or open_or_no or path == "network.kind":
            continue
        name = path.removesuffix(".kind").removeprefix("network.").replace("_", " ").replace(".", " ")
        found.append(said.get(whole, f"{name} {sized(value) if isinstance(value, tuple) else value}"))
    return f"{spec.recipe}: {', '.join(found)}"


def length(spec: RunSpec) -> str:
    """When training ends at the latest."""
    training = spec.training
    ends = [counted(training.epochs, "epoch")] if training.epochs else []
    ends += [f"{training.time_limit:g} s"] if training.time_limit else []
    patience = (
        f", or {counted(training.patience, 'epoch')} without a better validation {climbed(spec)}"
        if training.patience
        else ""
    )
    return " or ".join(ends) + patience


def climbed(spec: RunSpec) -> str:
    """What the figure that is climbed may be called."""
    return "bound" if is_bound(spec) else "objective"


def objective(spec: RunSpec) -> str:
    """The bound that is climbed, and its weight where it is not the plain one; of what is no likelihood, that it is
    none.
    """
    what = climbed(spec)
    if not has_leaf(spec, "algorithm.objective"):
        return spec.algorithm.said
    how = leaf(spec, "algorithm.objective")
    return f"{how.said(what, counted(spec.algorithm.samples, 'sample'))}{no_bound(spec)}"  # type: ignore[missing-attribute]


def rate(spec: RunSpec) -> str:
    """The learning rate, where there is one."""
    path = "algorithm.optimizer.learning_rate"
    return f", learning rate {leaf(spec, path):g}" if has_leaf(spec, path) else ""


def no_bound(spec: RunSpec) -> str:
    """What must be said where nothing that is climbed bounds log p(x): that, and why."""
    if climbed(spec) == "bound":
        return ""
    cost = spec.model.likelihood_name
    if spec.model.has_likelihood and not spec.model.is_likelihood:
        why = f"{COSTS.get(cost, cost)} is no likelihood"
    elif not spec.model.is_likelihood:
        why = "an autoencoder has no distribution over its codes"
    else:
        why = "what the codes cost is no part of it"
    return f"; no bound on log p(x), because {why}"


COSTS = {"cross-entropy": "the cross-entropy of grey values", "squared-error": "squared error"}


def figures_told(judged: Judgement, notes: Sequence[str]) -> list[str]:
    """The numbers of a model that is judged without draws, each with how it came about."""
    lines = [f"{about(judged)}; {judged.estimator}"]
    width = max(len(one.name) for one in judged.figures)
    for one in judged.figures:
        error = "" if one.standard_error is None else f" ± {one.standard_error:.{one.digits}f}"
        unit = f" {one.unit}" if one.unit else ""
        lines.append(f"  {one.name:<{width}} {one.value:10,.{one.digits}f}{error}{unit}   {one.told}")
    told = dict.fromkeys((*notes, *judged.notes))
    return [*lines, *(f"  warning: {one}" for one in judged.warnings), *(f"  note: {note}" for note in told)]


def classes_told(judged: Evaluation) -> list[str]:
    """How well a model of classes tells them, a line for each way."""
    found = judged.classification
    if found is None:
        return []
    error = "" if found.standard_error is None else f" ± {found.standard_error:.2%}"
    return [
        f"  accuracy     {found.accuracy:10.2%}{error}   of the most probable class of q(y | x), on "
        f"{counted(found.examples, 'example')} whose class is known; the commonest class has {found.commonest:.1%}",
        f"  by the bound {found.bound_accuracy:10.2%}   of the class with the highest bound on log p(x, y)",
        f"  cross-entropy{found.cross_entropy:10.3f}   -log q(y | x) of the known class; by the bounds "
        f"{found.bound_cross_entropy:.3f}",
    ]


def density_told(judged: Evaluation) -> list[str]:
    """Log p(x) with its error, and what follows from it."""
    density, lines = "log p(x | c)" if judged.conditioned_on else "log p(x)    ", []
    if judged.conditioned_on:
        lines.append(f"  every p(x) is p(x | c), where c is the example's own {', '.join(judged.conditioned_on)}")
    if judged.log_likelihood is not None:
        error = f" ± {judged.standard_error:.2f}" if judged.standard_error is not None else ""
        lines.append(
            f"  {density} {judged.log_likelihood:10.2f}{error}   importance-weighted, K = "
            f"{judged.importance_samples:,}; ± is one standard error over examples"
        )
    if judged.bits_per_dim is not None:
        lines.append(f"  bits per dim {judged.bits_per_dim:10.3f}   from {density.strip()}")
    if judged.steps is not None:
        exact = "" if judged.log_likelihood_per_step is None else f"log p(x) {judged.log_likelihood_per_step:.4f}, "
        lines.append(
            f"  per step     {exact}{'bound' if judged.is_bound else 'objective'} {judged.elbo_per_step:.4f}   mean "
            f"over windows; steps with something seen, each: {judged.steps:.1f}"
        )
    return lines


def bound_told(judged: Evaluation) -> list[str]:
    """The bound (or what is no bound) and its terms."""
    density = "log p(x | c)" if judged.conditioned_on else "log p(x)"
    what, told = (
        ("bound", "evidence lower bound")
        if judged.is_bound
        else ("objective", f"minus distortion and divergence; no bound on {density}")
    )
    lost = "expected -log p(x | z)" if judged.is_bound else "expected reconstruction loss; no likelihood"
    active = (
        f"{judged.active_units} of {counted(judged.latent_features, 'latent')} "
        f"{'is' if judged.active_units == 1 else 'are'} active"
    )
    parts = [] if judged.parts is None else [f"  {'its parts':<12} {judged.parts.sampled:10.2f}   {judged.parts}"]
    return [
        f"  {what:<12} {judged.elbo:10.2f}   {told}",
        f"  distortion   {judged.distortion:10.2f}   {lost}",
        f"  divergence   {judged.divergence:10.2f}   of q(z | x) from the prior; {active}",
        *parts,
    ]


def weights_told(judged: Evaluation) -> list[str]:
    """How much the importance weights are worth."""
    if judged.log_likelihood is None or judged.effective_sample_size is None or judged.k_hat is None:
        return []
    return [
        f"  weights      effective sample size {judged.effective_sample_size:.1f} of {judged.importance_samples:,}, "
        f"k-hat {judged.k_hat:.2f}"
    ]


def about(judged: Evaluation | Judgement) -> str:
    """Which examples were judged: a split, or data that have none."""
    split = f"{judged.split} split, " if judged.split else ""
    return f"{judged.data}, {split}{counted(judged.examples, 'example')}"


def sentences(judged: Evaluation | Judgement, spec: RunSpec) -> list[str]:
    """The numbers of an evaluation for a person, each with its estimator."""
    if isinstance(judged, Judgement):
        return figures_told(judged, spec.data.notes)
    lines = [
        f"{about(judged)}; nats per example unless said otherwise",
        *density_told(judged),
        *bound_told(judged),
        *weights_told(judged),
        *classes_told(judged),
    ]
    notes = dict.fromkeys((*spec.data.notes, *judged.notes))
    return [*lines, *(f"  warning: {warning}" for warning in judged.warnings), *(f"  note: {note}" for note in notes)]
