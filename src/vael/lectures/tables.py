"""Joint probabilities of finitely many outcomes, written out as a table: the sum and the product rule, and what
follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vael.errors import ShapeError, StateError, SupportError

TOLERANCE = 1e-6  # by how much probabilities may miss one in sum: float32 ones do


def checked_probabilities(probability: Tensor, what: str) -> Tensor:
    """`probability` in float64. Errors: `SupportError` unless it is finite, at least 0 and sums to one."""
    exact = probability.double()
    total = float(exact.sum())
    if not bool((exact >= 0).all()) or not abs(total - 1) < TOLERANCE:
        raise SupportError(
            f"{what} from {float(exact.min()):g} with sum {total:.12g}; expected numbers of at least 0 that sum to one"
        )
    return exact


@dataclass(frozen=True)
class Variable:
    """A random variable by its name and the outcomes that it can take, all different.

    Errors: `ShapeError` without outcomes, `StateError` for the same outcome twice.
    """

    name: str
    outcomes: tuple[Hashable, ...]

    def __post_init__(self) -> None:
        if not self.outcomes:
            raise ShapeError(f"{self.name} has no outcomes; expected one or more")
        if len(set(self.outcomes)) != len(self.outcomes):
            raise StateError(f"{self.name} has an outcome twice among {self.outcomes}; expected each once")

    def place(self, outcome: Hashable) -> int:
        """The number of an outcome on its axis."""
        if outcome not in self.outcomes:
            raise StateError(f"{outcome!r} is not an outcome of {self.name}; expected one of {self.outcomes}")
        return self.outcomes.index(outcome)


@dataclass(frozen=True)
class FiniteTable:
    """The joint distribution P(X, Z, ...) of discrete variables: one axis each, one probability in each cell, float64.

    >>> coin = FiniteTable.uniform(Variable("x", ("H", "T")))
    >>> both = independent(coin, FiniteTable.uniform(Variable("z", (1, 2, 3, 4, 5, 6))))
    >>> round(both.p(x="H", z=3) * 12, 9), round(both.given(z=1).p(x="H"), 9), round(both.expectation("z"), 9)
    (1.0, 0.5, 3.5)

    Errors: `ShapeError` for sizes that differ, `StateError` for a name twice, `SupportError` for numbers that are no
    probabilities.
    """

    variables: tuple[Variable, ...]
    probability: Float[Tensor, " *outcomes"]

    def __post_init__(self) -> None:
        sizes = tuple(len(variable.outcomes) for variable in self.variables)
        if not sizes or tuple(self.probability.shape) != sizes:
            raise ShapeError(
                f"a table of shape {tuple(self.probability.shape)} for variables with {sizes} outcomes; expected the "
                "same, one at least"
            )
        if len(set(self.names)) != len(sizes):
            raise StateError(f"variables {self.names}; expected each name once")
        object.__setattr__(self, "probability", checked_probabilities(self.probability, "probabilities"))

    @staticmethod
    def uniform(variable: Variable) -> FiniteTable:
        """All outcomes of one variable equally likely: a fair coin, a fair die."""
        size = len(variable.outcomes)
        return FiniteTable((variable,), torch.full((size,), 1 / size, dtype=torch.float64))

    @property
    def names(self) -> tuple[str, ...]:
        """The variables in the order of their axes."""
        return tuple(variable.name for variable in self.variables)

    def axis(self, name: str) -> int:
        """The number of the axis of a variable."""
        if name not in self.names:
            raise StateError(f"no variable {name!r} in a table of {self.names}; use one of those")
        return self.names.index(name)

    def marginal(self, *names: str) -> FiniteTable:
        """The sum rule, P(x) = Σ_z P(x, z): the table of the variables named, in that order."""
        kept = [self.axis(name) for name in names]
        rest = [axis for axis in range(len(self.variables)) if axis not in kept]
        summed = (
            self.probability.permute(*kept, *rest).flatten(len(kept)).sum(-1)
            if rest
            else self.probability.permute(*kept)
        )
        return FiniteTable(tuple(self.variables[axis] for axis in kept), summed)

    def p(self, **values: Hashable) -> float:
        """The probability that variables take such values, all others summed out: `table.p(x="H", z=3)`."""
        if not values:
            return 1.0
        few = self.marginal(*values)
        return float(
            few.probability[tuple(v.place(value) for v, value in zip(few.variables, values.values(), strict=True))]
        )

    def slice(self, **values: Hashable) -> Float[Tensor, " *outcomes"]:
        """P(x, z = value) for all x: a slice of the table, not normalised."""
        places = {self.axis(name): self.variables[self.axis(name)].place(value) for name, value in values.items()}
        return self.probability[tuple(places.get(axis, slice(None)) for axis in range(len(self.variables)))]

    def given(self, **values: Hashable) -> FiniteTable:
        """P(x | z = value) = P(x, z = value) / P(z = value): the slice, made to sum to one.

        Errors: `SupportError` where P(z = value) = 0.
        """
        rest = tuple(variable for variable in self.variables if variable.name not in values)
        if not rest:
            raise StateError("every variable is given; leave one or more of which a distribution remains")
        return FiniteTable(rest, normalised(self.slice(**values), f"P({values})"))

    def given_event(self, name: str, event: Callable[..., bool]) -> FiniteTable:
        """P(x, z | z in A) for the event A of those outcomes of one variable of which `event` is true; outcomes
        outside A keep probability 0.
        """
        axis = self.axis(name)
        inside = torch.tensor([bool(event(outcome)) for outcome in self.variables[axis].outcomes])
        shape = [1] * axis + [-1] + [1] * (len(self.variables) - axis - 1)
        return FiniteTable(self.variables, normalised(self.probability * inside.view(shape), f"the event on {name}"))

    def expectation(self, name: str, function: Callable[..., float] = float) -> float:
        """E[f(X)] = Σ_x f(x) P(x) of one variable; f is the outcome itself unless told.

        Errors: `StateError` for outcomes that are not numbers.
        """
        single = self.marginal(name)
        try:
            values = [float(function(outcome)) for outcome in single.variables[0].outcomes]
        except (TypeError, ValueError) as error:
            raise StateError(
                f"outcomes {single.variables[0].outcomes} of {name} are not numbers; give a function that maps each to "
                "one"
            ) from error
        return float(torch.tensor(values, dtype=torch.float64) @ single.probability)

    def is_independent(self, tolerance: float = 1e-12) -> bool:
        """Whether every cell is the product of its marginal probabilities: P(x, z) = P(x) P(z)."""
        product = independent(*(self.marginal(name) for name in self.names))
        return float((self.probability - product.probability).abs().max()) <= tolerance


def normalised(cells: Tensor, what: str) -> Tensor:
    """Cells over their sum. Errors: `SupportError` where that is 0."""
    total = cells.sum()
    if not float(total) > 0:
        raise SupportError(f"{what} has probability 0; a conditional distribution needs a condition that can happen")
    return cells / total


def independent(*tables: FiniteTable) -> FiniteTable:
    """The joint table of variables that know nothing of each other: P(x, z) = P(x) P(z)."""
    if not tables:
        raise ShapeError("a joint distribution of no tables; expected one or more")
    product = tables[0].probability
    for table in tables[1:]:
        product = torch.tensordot(product, table.probability, dims=0)
    return FiniteTable(tuple(variable for table in tables for variable in table.variables), product)


def chain(prior: FiniteTable, likelihoods: Sequence[FiniteTable]) -> FiniteTable:
    """The product rule, P(x, y) = P(x | y) P(y): `likelihoods` has P(x | y) for each outcome of the one variable of
    `prior`, in their order.

    Errors: `ShapeError` for another number of them, or a prior over more than one variable; `StateError` where they are
    not about the same variables.
    """
    if len(prior.variables) != 1 or len(likelihoods) != len(prior.probability):
        raise ShapeError(
            f"{len(likelihoods)} conditional tables for a prior of shape {tuple(prior.probability.shape)}; expected "
            "one variable and as many"
        )
    if any(table.variables != likelihoods[0].variables for table in likelihoods):
        raise StateError(
            "the conditional tables differ in their variables; expected the same variables with the same outcomes for "
            "each condition"
        )
    cells = torch.stack(
        [table.probability * weight for table, weight in zip(likelihoods, prior.probability, strict=True)]
    )
    return FiniteTable(prior.variables + likelihoods[0].variables, cells)


def total_probability(prior: FiniteTable, likelihoods: Sequence[FiniteTable]) -> FiniteTable:
    """The theorem of total probability, P(x) = Σ_i P(x | y_i) P(y_i), where the y_i exclude each other and one of
    them happens.
    """
    return chain(prior, likelihoods).marginal(*likelihoods[0].names)


def bayes(prior: FiniteTable, likelihoods: Sequence[FiniteTable], **observed: Hashable) -> FiniteTable:
    """Bayes' theorem, P(y | x) = P(x | y) P(y) / P(x): the posterior of the prior's variable once `observed` was
    seen.
    """
    return chain(prior, likelihoods).given(**observed).marginal(*prior.names)
