"""Numbers about a model."""

from vael.evaluation.classification import Classification
from vael.evaluation.classifier import Classifier, ClassifierSettings, accuracy, classifier_features, train_classifier
from vael.evaluation.codes import CodeEvaluation, evaluate_codes
from vael.evaluation.collapse import Collapse, collapse, divergence_per_latent
from vael.evaluation.estimation import Estimation, Proposals
from vael.evaluation.evaluate import Forecast, evaluate, evaluate_encoder, evaluate_refined, forecast
from vael.evaluation.judgement import CodeJudgement, ErrorJudgement, ExactJudgement, Judgement, KeyFigure
from vael.evaluation.judging import judge, judge_codes, judge_error, judge_exactly, samples_latents
from vael.evaluation.prediction import Horizon, PredictionJudgement
from vael.evaluation.proposals import fitted_proposal, fitting_cost
from vael.evaluation.reconstruction import ReconstructionError, code_sensitivity, psnr, reconstruction_error
from vael.evaluation.record import Evaluation
from vael.evaluation.rows import RowBlock, RowKeys, RowTerms, cell_keys, row_batches, row_blocks, row_terms
from vael.evaluation.samples import FeatureMoments, FrechetDistance, feature_moments, frechet_distance
from vael.evaluation.tabular.privacy import ClosestRecords, Membership, closest_records
from vael.evaluation.tabular.ranking import RankedApart, ranked_apart
from vael.evaluation.tabular.synthetic import SyntheticQuality, judge_synthetic
from vael.evaluation.tabular.two_sample import TwoSampleTest, two_sample_test
from vael.evaluation.weights import ImportanceWeights, pareto_shape, tail_size

__all__ = [
    "Classification",
    "Classifier",
    "ClassifierSettings",
    "ClosestRecords",
    "CodeEvaluation",
    "CodeJudgement",
    "Collapse",
    "ErrorJudgement",
    "Estimation",
    "Evaluation",
    "ExactJudgement",
    "FeatureMoments",
    "Forecast",
    "FrechetDistance",
    "Horizon",
    "ImportanceWeights",
    "Judgement",
    "KeyFigure",
    "Membership",
    "PredictionJudgement",
    "Proposals",
    "RankedApart",
    "ReconstructionError",
    "RowBlock",
    "RowKeys",
    "RowTerms",
    "SyntheticQuality",
    "TwoSampleTest",
    "accuracy",
    "cell_keys",
    "classifier_features",
    "closest_records",
    "code_sensitivity",
    "collapse",
    "divergence_per_latent",
    "evaluate",
    "evaluate_codes",
    "evaluate_encoder",
    "evaluate_refined",
    "feature_moments",
    "fitted_proposal",
    "fitting_cost",
    "forecast",
    "frechet_distance",
    "judge",
    "judge_codes",
    "judge_error",
    "judge_exactly",
    "judge_synthetic",
    "pareto_shape",
    "psnr",
    "ranked_apart",
    "reconstruction_error",
    "row_batches",
    "row_blocks",
    "row_terms",
    "samples_latents",
    "tail_size",
    "train_classifier",
    "two_sample_test",
]
