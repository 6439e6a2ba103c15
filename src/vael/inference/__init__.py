"""Ways to climb a bound."""

from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.gradient import Bound, GradientAscent
from vael.inference.guard import Guard
from vael.inference.optimizers import AdamW, Optimizer, RMSprop

__all__ = ["AdamW", "Algorithm", "Bound", "GradientAscent", "Guard", "Info", "Moment", "Optimizer", "RMSprop", "State", "World"]
