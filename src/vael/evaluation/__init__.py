"""Numbers about a model."""

from vael.evaluation.classifier import Classifier, ClassifierSettings, accuracy, classifier_features, train_classifier
from vael.evaluation.codes import CodeEvaluation, evaluate_codes
from vael.evaluation.collapse import Collapse, collapse, divergence_per_latent
from vael.evaluation.evaluate import evaluate
from vael.evaluation.reconstruction import ReconstructionError, code_sensitivity, psnr, reconstruction_error
from vael.evaluation.record import Evaluation
from vael.evaluation.refined import evaluate_refined
from vael.evaluation.rows import RowTerms, row_batches, row_terms
from vael.evaluation.samples import FeatureMoments, FrechetDistance, feature_moments, frechet_distance
from vael.evaluation.weights import ImportanceWeights, pareto_shape, tail_size

__all__ = [
    "Classifier", "ClassifierSettings", "CodeEvaluation", "Collapse", "Evaluation", "FeatureMoments", "FrechetDistance", "ImportanceWeights",
    "ReconstructionError", "RowTerms", "accuracy", "classifier_features", "code_sensitivity", "collapse", "divergence_per_latent", "evaluate",
    "evaluate_codes", "evaluate_refined", "feature_moments", "frechet_distance", "pareto_shape", "psnr", "reconstruction_error", "row_batches",
    "row_terms", "tail_size", "train_classifier",
]  # fmt: skip
