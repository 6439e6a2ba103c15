"""The checks of types and shapes that every test runs under: they refuse what jaxtyping's own decorator refuses."""

import ast
import functools
import inspect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, Int64
from torch import Tensor

import checked_calls
from checked_calls import HOOKED, jaxtyped
from vael.probability.divergence import divergence
from vael.training import Settings

DECORATORS = {"ours": jaxtyped, "jaxtyping's": HOOKED}
ROWS, LONGER = torch.zeros(3, 2), torch.zeros(4, 2)


def together(a: Float[Tensor, "rows cells"], b: Float[Tensor, "rows cells"] | None = None) -> Float[Tensor, " rows"]:
    return a.sum(1) if b is None else (a + b[: len(a)]).sum(1)


def transposed(a: Float[Tensor, "rows cells"]) -> Float[Tensor, " rows"]:
    return a.sum(0)


def nested(a: "dict[str, Float[Tensor, 'rows cells']]", rows: "Int64[Tensor, ' rows']") -> int:
    return len(a) + len(rows)


def plain(number: int, *words: str, flag: bool = False) -> str:
    return " ".join(words) * number if not flag else number


def unknown(figure: "Figure", number: "int") -> int:  # known to the type checker alone
    return number


@dataclass(frozen=True)
class Record:
    x: Float[Tensor, "rows cells"]
    index: "Int64[Tensor, ' rows']"

    @property
    def size(self) -> int:
        return "three"


class Holder:
    def method(self, a: Float[Tensor, "rows cells"], b: Float[Tensor, "rows cells"]) -> Tensor:
        return a + b[: len(a)]

    @classmethod
    def made(cls, number: int) -> "object":
        return number


REFUSED = {
    "rows differ": lambda wrap: wrap(together)(ROWS, LONGER),
    "an axis too many": lambda wrap: wrap(together)(ROWS[None]),
    "whole numbers for reals": lambda wrap: wrap(together)(ROWS.long()),
    "no tensor": lambda wrap: wrap(together)([[0.0]]),
    "another result": lambda wrap: wrap(transposed)(ROWS),
    "an axis of another argument, inside a dict": lambda wrap: wrap(nested)({"a": ROWS}, torch.arange(4)),
    "a word for a number": lambda wrap: wrap(plain)("3", "a"),
    "a number among words": lambda wrap: wrap(plain)(3, "a", 4),
    "a number for a flag": lambda wrap: wrap(plain)(3, "a", flag=1),
    "a number for a text that comes back": lambda wrap: wrap(plain)(3, flag=True),
    "a word beside what is not known": lambda wrap: wrap(unknown)(None, "3"),
    "a field": lambda wrap: wrap(Record)(ROWS, torch.arange(4)),
    "a method": lambda wrap: wrap(Holder.method)(Holder(), ROWS, LONGER),
    "a class method": lambda wrap: wrap(Holder.__dict__["made"]).__get__(None, Holder)("three"),
    "a property": lambda wrap: wrap(Record.__dict__["size"]).fget(None),
    "too few arguments": lambda wrap: wrap(together)(),
}
TAKEN = {
    "rows agree": lambda wrap: wrap(together)(ROWS, ROWS),
    "nothing for what may be nothing": lambda wrap: wrap(together)(ROWS),
    "another size in another call": lambda wrap: [wrap(together)(x) for x in (ROWS, LONGER)],
    "a square": lambda wrap: wrap(transposed)(ROWS[:2]),
    "inside a dict": lambda wrap: wrap(nested)({"a": ROWS}, torch.arange(3)),
    "words": lambda wrap: wrap(plain)(3, "a", "b"),
    "what is not known": lambda wrap: wrap(unknown)("anything", 3),
    "a method": lambda wrap: wrap(Holder.method)(Holder(), ROWS, ROWS),
}


@pytest.mark.parametrize("wrap", DECORATORS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case, wrap):
    before = Record.__init__
    try:
        with pytest.raises(TypeError):
            REFUSED[case](lambda made: DECORATORS[wrap](made, typechecker=beartype))
    finally:
        Record.__init__ = before


@pytest.mark.parametrize("wrap", DECORATORS)
@pytest.mark.parametrize("case", TAKEN)
def test_what_fits_is_taken(case, wrap):
    TAKEN[case](lambda made: DECORATORS[wrap](made, typechecker=beartype))


def test_a_call_inside_a_call_has_axes_of_its_own():
    @jaxtyped
    def outer(a: Float[Tensor, "rows cells"]) -> Float[Tensor, "rows cells"]:
        assert len(jaxtyped(together)(LONGER)) == 4
        return a

    assert outer(ROWS) is ROWS


def test_what_is_refused_is_refused_again_after_a_call_that_was_taken():
    """A call that looks like one that was taken is not checked again: whatever differs is."""
    for refused in REFUSED.values():
        before, held = Record.__init__, functools.cache(functools.partial(jaxtyped, typechecker=beartype))
        try:
            for _ in range(2):
                for taken in TAKEN.values():
                    taken(held)
                with pytest.raises(TypeError):
                    refused(held)
        finally:
            Record.__init__ = before


VALUES = ({"a": ROWS}, ROWS, (ROWS, 1), "one", None, ROWS.T, ROWS.long(), {"a": LONGER}, (LONGER, 1), "two")


@pytest.mark.parametrize(
    "hint",
    [
        Float[Tensor, "rows cells"] | Literal["one"],
        tuple[Float[Tensor, "rows cells"], int],
        dict[str, Float[Tensor, "rows cells"]],
    ],
    ids=str,
)
def test_arguments_and_results_are_refused_as_if_nothing_were_remembered(hint):
    """By jaxtyping's own decorator: each pair of an argument and a result, in any order, and each of them twice."""

    def given_back(a, back, rows):
        return back.value

    given_back.__annotations__ = {"a": hint, "rows": Float[Tensor, "rows cells"], "return": hint}
    own, remembers = HOOKED(given_back, typechecker=beartype), jaxtyped(given_back)
    outcomes = []
    for a, back in itertools.product(VALUES, VALUES):
        expected, *found = (refuses(wrap, a, SimpleNamespace(value=back)) for wrap in (own, remembers, remembers))
        assert found == [expected] * 2, (a, back)
        outcomes.append(expected)
    assert True in outcomes
    assert False in outcomes


def refuses(call, *words):
    try:
        call(*words, ROWS)
    except TypeError:
        return True
    return False


def test_a_function_inside_a_function_is_checked_each_time_and_compiled_once(monkeypatch):
    """Each has the values around it, and the defaults, of its own; another annotation in the same place is another
    check.
    """
    compiled, check = [], checked_calls.CHECK
    monkeypatch.setattr(checked_calls, "CHECK", lambda twin: compiled.append(twin) or check(twin))

    def outer(factor, start, hint):
        def inner(a: Float[Tensor, "rows cells"], b: hint = start) -> Float[Tensor, " rows"]:
            return factor * a.sum(1) + b if factor else a

        return jaxtyped(inner)

    calls = [outer(factor, factor * 10, int) for factor in (1, 2, 0)]
    assert len(compiled) == 1
    for _ in range(2):
        assert [call(ROWS + 1).tolist() for call in calls[:2]] == [[12.0] * 3, [24.0] * 3]
        with pytest.raises(TypeError):
            calls[2](ROWS)
        for call in calls:
            with pytest.raises(TypeError):
                call(ROWS, "three")
            with pytest.raises(TypeError):
                call(ROWS[None])
    with pytest.raises(TypeError):
        outer(1, 0, str)(ROWS, 3)
    assert len(compiled) == 2


def test_a_function_stays_what_it_was():
    """Its name, its signature as written, what hangs on it; one without annotations is the same object, a generator
    one still.
    """

    def bare(a, b=1):
        return a

    def counted() -> Iterator[int]:
        yield 1

    assert jaxtyped(bare) is bare
    assert inspect.isgenerator(jaxtyped(counted, typechecker=beartype)())
    together.mark = 3
    held = jaxtyped(together)
    assert (held.__name__, held.__wrapped__, held.mark) == ("together", together, 3)
    assert inspect.signature(held) == inspect.signature(together)
    assert held.__annotations__ == together.__annotations__


def test_every_test_runs_under_these_checks(pytestconfig):
    if not pytestconfig.getoption("jaxtyping_packages"):
        pytest.skip("this run of pytest checks no calls, as that of mutants")
    with pytest.raises(TypeError):
        Settings(epochs="many")
    with pytest.raises(TypeError):
        divergence("a", "b", ROWS)
    assert divergence.is_checked


def test_nothing_of_the_package_is_imported_before_the_checks_are_there():
    """pytest reads the conftest.py of a folder that it is given first of all, and what that imports stays unchecked."""
    early = [*Path(__file__).parent.rglob("conftest.py"), Path(__file__).with_name("small_runs.py")]
    assert len(early) > 3
    for file in early:
        imports = [one for one in ast.parse(file.read_text()).body if isinstance(one, ast.ImportFrom)]
        assert [one.module for one in imports if one.module.partition(".")[0] == "vael"] == [], file
