"""Ways to climb a bound."""

from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.bound import Bound
from vael.inference.gradient import GradientAscent
from vael.inference.guard import Guard
from vael.inference.optimizers import Adagrad, AdamW, Optimizer, RMSprop

__all__ = ["Adagrad", "AdamW", "Algorithm", "Bound", "GradientAscent", "Guard", "Info", "Moment", "Optimizer", "RMSprop", "State", "World"]
