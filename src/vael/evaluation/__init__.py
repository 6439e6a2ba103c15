"""Numbers about a model."""

from vael.evaluation.collapse import Collapse, collapse, divergence_per_latent
from vael.evaluation.evaluate import evaluate
from vael.evaluation.record import Evaluation
from vael.evaluation.weights import ImportanceWeights, pareto_shape, tail_size

__all__ = ["Collapse", "Evaluation", "ImportanceWeights", "collapse", "divergence_per_latent", "evaluate", "pareto_shape", "tail_size"]
