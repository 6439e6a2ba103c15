"""Laws of whole numbers side by side, as questions that a stack of bits answers one after another.

A law asks for symbols in an order in which each question may depend on the answers before it; popping answers from the
stack, pushing answers from the symbols that are known and puts them on the stack last question first. As both walk
through the same questions, they compute the same probabilities by the same operations on arrays of the same shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int32
from scipy.special import ndtr

from vael.compression.stack import LIBRARY, Stack
from vael.errors import SupportError

Symbols = Int32[np.ndarray, "examples symbols"]
Reals = Float[np.ndarray, "examples symbols"]


@dataclass(frozen=True)
class Question:
    """Symbols that are asked for together: an entropy model of constriction and its parameters, a row a symbol."""

    model: object
    parameters: tuple[np.ndarray, ...]


Questions = Generator[Question, np.ndarray, np.ndarray]


BERNOULLI = LIBRARY.stream.model.Bernoulli(perfect=False)  # with a parameter for each symbol
CATEGORICAL = LIBRARY.stream.model.Categorical(perfect=False)


class CodingLaw(ABC):
    """Abstract: P(symbols) of a few examples side by side, `[examples, symbols]`."""

    @abstractmethod
    def questions(self) -> Questions:
        """Asks for flat symbols, one question after another, and returns all symbols as `[examples, symbols]`."""

    @abstractmethod
    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        """What the questions are answered with when the symbols are known."""

    def pop(self, stack: Stack) -> Symbols:
        """Symbols drawn under the law by the bits on the stack, which it loses."""
        asked = self.questions()
        try:
            question = next(asked)
            while True:
                question = asked.send(stack.pop(question.model, *question.parameters))
        except StopIteration as end:
            return end.value

    def push(self, stack: Stack, symbols: Symbols) -> None:
        """Put symbols on the stack so that `pop` gives them back and leaves it as it was."""
        asked, told, answers = self.questions(), [], self.answers(symbols)
        try:
            question = next(asked)
            while True:
                told.append((question, next(answers)))
                question = asked.send(told[-1][1])
        except StopIteration:
            pass
        for question, answer in reversed(told):
            stack.push(answer, question.model, *question.parameters)


def finite(*parameters: np.ndarray) -> None:
    """Errors: `SupportError` for numbers that no probability can be made of."""
    if not all(np.isfinite(numbers).all() for numbers in parameters):
        raise SupportError(
            "the model gives numbers that are not finite for these data, so nothing can be coded with it; look at its "
            "weights"
        )


class OneQuestion(CodingLaw):
    """All symbols are independent, so they are asked for at once; `shape` is that of the answer."""

    def __init__(self, question: Question, shape: tuple[int, ...]) -> None:
        self.question, self.shape = question, shape

    def questions(self) -> Questions:
        answer = yield self.question
        return answer.reshape(self.shape)

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        yield symbols.ravel()


class Bits(OneQuestion):
    """0 or 1 with P(1) given for each symbol."""

    def __init__(self, probability: Reals) -> None:
        finite(probability)
        super().__init__(Question(BERNOULLI, (probability.ravel(),)), probability.shape)


class Tables(OneQuestion):
    """Any law over 0 ... levels - 1, by its probabilities, which need not be normalised."""

    def __init__(self, probabilities: Float[np.ndarray, "examples symbols levels"]) -> None:
        finite(probabilities)
        rows = probabilities.reshape(-1, probabilities.shape[-1])
        super().__init__(Question(CATEGORICAL, (rows,)), probabilities.shape[:2])


# P(low ≤ x < high) of every symbol for whole `low` and `high`, `[examples, symbols]`, up to a factor of each symbol's
# own
Mass = Callable[[np.ndarray, np.ndarray], np.ndarray]


def upper_share(under: np.ndarray, above: np.ndarray) -> np.ndarray:
    """P(upper half) by the masses of both halves, a half where neither has any. Errors: those of `finite`."""
    total = under + above
    share = np.where(total > 0, above / np.where(total > 0, total, 1), 0.5)
    finite(share)
    return share


def asked_of(law: CodingLaw, seen_of: Callable[[int], Bool[np.ndarray, " symbols"]]) -> Questions:
    """A law asked for some of its symbols: `seen_of` says which of a question of so many; the others answer 0."""
    asked = law.questions()
    try:
        question = next(asked)
        while True:
            seen = seen_of(len(question.parameters[0]))
            answer = np.zeros(len(seen), np.int32)
            if seen.any():
                answer[seen] = yield Question(question.model, tuple(rows[seen] for rows in question.parameters))
            question = asked.send(answer)
    except StopIteration as end:
        return end.value


class Halvings(CodingLaw):
    """A law over 0 ... levels - 1 by the mass of intervals: is x in the upper half of what is left of the range, until
    one level is left.

    It takes log₂ levels questions where a table takes `levels` probabilities, and costs no bit more.
    """

    def __init__(self, mass: Mass, shape: tuple[int, int], levels: int) -> None:
        self.mass, self.shape, self.depth = mass, shape, (levels - 1).bit_length()

    def questions(self) -> Questions:
        """Halvings of the range of every symbol at once, the highest digit first."""
        low = np.zeros(self.shape, np.int32)
        for digit in reversed(range(self.depth)):
            middle = low + (1 << digit)
            upper = upper_share(self.mass(low, middle), self.mass(middle, low + (2 << digit)))
            answer = yield Question(BERNOULLI, (upper.ravel(),))
            low = low + (answer.reshape(self.shape) << digit).astype(np.int32)
        return low

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        for digit in reversed(range(self.depth)):
            yield ((symbols >> digit) & 1).ravel()


class GaussianMass:
    """P(low ≤ k < high) of N(loc, scale²) cut into unit bins around the whole numbers from -reach to reach - 1,
    counted from 0.
    """

    def __init__(self, loc: np.ndarray, scale: np.ndarray, reach: int) -> None:
        self.loc, self.scale, self.reach = loc + reach, scale, reach

    def __call__(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        a, b = self._edge(low), self._edge(high)
        sign = np.where(a > 0, -1.0, 1.0)  # from the side on which nothing cancels
        return sign * (ndtr(sign * b) - ndtr(sign * a))

    def _edge(self, edge: np.ndarray) -> np.ndarray:
        place = (edge - 0.5 - self.loc) / self.scale
        return np.where(edge <= 0, -np.inf, np.where(edge >= 2 * self.reach, np.inf, place))


class BisectedGaussians(CodingLaw):
    """N(loc, scale²) of each symbol, cut into unit bins around -reach ... reach - 1, the outer two open; both in units
    of a bin.

    constriction's own quantised Gaussian keeps 2⁻²⁴ for every bin. To push under it costs next to nothing, but symbols
    that are *drawn* from it, as bits-back coding does, would fall a thousandth of the time where there is no mass;
    halvings leak a millionth.
    """

    def __init__(self, loc: Reals, scale: Reals, reach: int) -> None:
        finite(loc, scale)
        self.reach, self.halvings = reach, Halvings(GaussianMass(loc, scale, reach), loc.shape, 2 * reach)

    def questions(self) -> Questions:
        return (yield from self.halvings.questions()) - self.reach

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        yield from self.halvings.answers(symbols + self.reach)


class CorrelatedGaussians(CodingLaw):
    """N(loc, L Lᵀ) over the symbols of an example on the same bins, L = shear diag(scale) with 1 on the diagonal of
    `shear`.

    Symbol i given those before it is Gaussian with mean m_i = loc_i + Σ_(j<i) shear_ij (z_j - m_j) and deviation
    scale_i, so the law is the product of Gaussians cut into bins. Means are brought to sixteenths of a bin; with a
    coarse shear such sums are exact.
    """

    def __init__(
        self, loc: Reals, scale: Reals, shear: Float[np.ndarray, "examples symbols symbols"], reach: int
    ) -> None:
        finite(loc, scale, shear)
        self.loc, self.scale, self.shear, self.reach = loc, scale, shear, reach

    def questions(self) -> Questions:
        found, off = np.empty(self.loc.shape, np.int32), np.zeros(self.loc.shape)
        for i in range(self.loc.shape[1]):
            mean = np.round(16 * (self.loc[:, i] + (self.shear[:, i, :i] * off[:, :i]).sum(1))) / 16
            law = BisectedGaussians(mean[:, None], self.scale[:, i, None], self.reach)
            found[:, i] = (yield from law.questions())[:, 0]
            off[:, i] = found[:, i] - mean
        return found

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        digits = symbols + self.reach
        for column in digits.T:
            for digit in reversed(range((2 * self.reach - 1).bit_length())):
                yield (column >> digit) & 1


# laws of parts of an example, each of which depends on the parts before it: from those to the law of the next part
Following = Callable[[list[np.ndarray]], CodingLaw]


class Parts(CodingLaw):
    """Several parts of an example one after another, such as the coupled channels of an image, laid side by side.

    `parts` is how many of one size there are, or the size of each.
    """

    def __init__(self, following: Following, parts: int | Sequence[int]) -> None:
        self.following, self.parts = following, parts if isinstance(parts, int) else len(parts)
        self.cuts = None if isinstance(parts, int) else np.cumsum(parts)[:-1]

    def questions(self) -> Questions:
        found: list[np.ndarray] = []
        for _ in range(self.parts):
            found.append((yield from self.following(found).questions()))
        return np.concatenate(found, axis=1)

    def answers(self, symbols: Symbols) -> Iterator[np.ndarray]:
        split = np.split(symbols, self.parts if self.cuts is None else self.cuts, axis=1)
        for number, part in enumerate(split):
            yield from self.following(split[:number]).answers(part)
