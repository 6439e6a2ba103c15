"""Numbers about a model."""

from vael.evaluation.collapse import Collapse, collapse, divergence_per_latent
from vael.evaluation.evaluate import evaluate
from vael.evaluation.reconstruction import ReconstructionError, code_sensitivity, psnr, reconstruction_error
from vael.evaluation.record import Evaluation
from vael.evaluation.refined import evaluate_refined
from vael.evaluation.weights import ImportanceWeights, pareto_shape, tail_size

__all__ = [
    "Collapse", "Evaluation", "ImportanceWeights", "ReconstructionError", "code_sensitivity", "collapse", "divergence_per_latent", "evaluate",
    "evaluate_refined", "pareto_shape", "psnr", "reconstruction_error", "tail_size",
]  # fmt: skip
