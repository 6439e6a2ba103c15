"""Ways to climb a bound."""

from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.bound import Bound
from vael.inference.diagonal_fit import DiagonalFit
from vael.inference.expectation_maximization import Cause, ExpectationMaximization, Rescue
from vael.inference.gradient import GradientAscent
from vael.inference.grid import GridPosterior, posterior_on_grid
from vael.inference.guard import Guard
from vael.inference.joint import LogJoint, can_be_joint, joint_by_prior, joint_of
from vael.inference.labelled import LabelledAscent
from vael.inference.laplace import LaplacePosterior, approximation, refined
from vael.inference.mean_field import CoordinateAscent, GaussianMeanField
from vael.inference.memory import differentiable_at_once
from vael.inference.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from vael.inference.starts import AsGiven, BestOf, KMeans, KMeansPlusPlus, RandomExamples, Start
from vael.inference.weights import WeighedLatents, drawn_and_weighed, tempered, weighed

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Algorithm",
    "AsGiven",
    "BestOf",
    "Bound",
    "Cause",
    "CoordinateAscent",
    "DiagonalFit",
    "ExpectationMaximization",
    "GaussianMeanField",
    "GradientAscent",
    "GridPosterior",
    "Guard",
    "Info",
    "KMeans",
    "KMeansPlusPlus",
    "LabelledAscent",
    "LaplacePosterior",
    "LogJoint",
    "Moment",
    "Optimizer",
    "RMSprop",
    "RandomExamples",
    "Rescue",
    "Start",
    "State",
    "WeighedLatents",
    "World",
    "approximation",
    "can_be_joint",
    "differentiable_at_once",
    "drawn_and_weighed",
    "joint_by_prior",
    "joint_of",
    "posterior_on_grid",
    "refined",
    "tempered",
    "weighed",
]
