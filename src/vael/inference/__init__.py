"""Ways to climb a bound."""

from vael.inference.algorithm import Algorithm, Info, Moment, State, World
from vael.inference.gradient import AdamW, Bound, GradientAscent
from vael.inference.guard import Guard

__all__ = ["AdamW", "Algorithm", "Bound", "GradientAscent", "Guard", "Info", "Moment", "State", "World"]
