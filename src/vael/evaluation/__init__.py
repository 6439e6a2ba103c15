"""Numbers about a model."""

from vael.evaluation.codes import CodeEvaluation, evaluate_codes
from vael.evaluation.collapse import Collapse, collapse, divergence_per_latent
from vael.evaluation.evaluate import evaluate
from vael.evaluation.reconstruction import ReconstructionError, code_sensitivity, psnr, reconstruction_error
from vael.evaluation.record import Evaluation
from vael.evaluation.refined import evaluate_refined
from vael.evaluation.weights import ImportanceWeights, pareto_shape, tail_size

__all__ = [
    "CodeEvaluation", "Collapse", "Evaluation", "ImportanceWeights", "ReconstructionError", "code_sensitivity", "collapse",
    "divergence_per_latent", "evaluate", "evaluate_codes", "evaluate_refined", "pareto_shape", "psnr", "reconstruction_error", "tail_size",
]  # fmt: skip
