"""Types and shapes of every call of vael, checked at a small part of what jaxtyping's own wrapper costs.

jaxtyping's import hook puts its decorator on every function. That decorator binds the arguments by `inspect`, and
checks them twice, whether or not a shape stands in the signature: half of the processor time of a test that trains a
small model. Here a function is checked once, by beartype, and has a scope for the names of its axes only where its
signature names some. Generators are left to jaxtyping.

Whether a call is refused depends on types, kinds of numbers and shapes alone, so a function that names axes is not
asked again about a call whose arguments and result look like those of one that it took.
"""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Iterable
from typing import Any

import jaxtyping
import numpy as np
import torch
from beartype import BeartypeConf, beartype
from beartype.door import die_if_unbearable

HOOKED = jaxtyping.jaxtyped
CONFIGURED = BeartypeConf(violation_type=TypeError)
CHECK = beartype(conf=CONFIGURED)
REMEMBERED = 200  # calls of one function that look different


def jaxtyped(decorated=None, *, typechecker=None):
    """What stands in for the decorator that the import hook writes."""
    if decorated is None:
        return functools.partial(jaxtyped, typechecker=typechecker)
    if inspect.isclass(decorated):
        made = decorated.__dict__.get("__init__") if dataclasses.is_dataclass(decorated) else None
        if made is not None and not hasattr(made, "is_checked"):
            decorated.__init__ = checked(made)
        return decorated
    if not inspect.isfunction(decorated) or inspect.isgeneratorfunction(decorated):
        return HOOKED(decorated, typechecker=typechecker)
    return checked(decorated)


def checked(function):
    """The function with its arguments and its result held to their types and shapes."""
    if not function.__annotations__:
        return function
    known = KNOWN.get(function.__code__)
    if known is None or not known.is_of(function):
        twin = twin_of(function)
        twin.__annotations__ = hints_of(function)
        known = Known(written(function.__annotations__), function.__globals__, twin.__annotations__, twin, CHECK(twin))
        if function.__code__.co_flags & inspect.CO_NESTED:  # made anew in every call of the function around it
            KNOWN[function.__code__] = known
    call = known.call_of(function)
    held = functools.wraps(function)(call) if call is not None else function
    held.is_checked = True
    return held


def twin_of(function):
    """A copy on which nothing hangs."""
    twin = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__, twin.__qualname__, twin.__module__ = (
        function.__kwdefaults__,
        function.__qualname__,
        function.__module__,
    )
    return twin


def written(annotations):
    """Annotations as something to compare: jaxtyping makes another type each time that the same words are read."""
    return [(name, as_written(hint)) for name, hint in annotations.items()]


def as_written(hint):
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return hint.dtype, hint.array_type, hint.dim_str
    inside = hint if isinstance(hint, list) else typing.get_args(hint)
    return type(hint), (typing.get_origin(hint), *map(as_written, inside)) if inside else hint


KNOWN = {}


@dataclasses.dataclass
class Known:
    """What was made to check a function: annotations and globals of it, its hints, its twin, the twin under beartype,
    and the calls that were taken.
    """

    annotations: list
    globals: dict
    hints: dict
    twin: types.FunctionType
    call: types.FunctionType
    taken: dict = dataclasses.field(default_factory=dict)

    def is_of(self, function):
        """Whether a function of the same code asks for the same."""
        return self.globals is function.__globals__ and self.annotations == written(function.__annotations__)

    def call_of(self, function):
        """Its checked call; None where nothing is to be checked."""
        if self.call is self.twin:
            return None
        call = self._again(function)
        if self._axes:
            call = scoped(call)
            if not self._own_class and not function.__code__.co_flags & MANY:
                call = remembering(call, function, self.hints, self.taken)
        return call

    @functools.cached_property
    def _axes(self):
        return any(map(names_axes, self.hints.values()))

    @functools.cached_property
    def _own_class(self):
        return any(map(names_its_class, self.hints.values()))

    def _again(self, function):
        """beartype's code around another function of the same code: writing and compiling it anew costs a hundred
        times as much.
        """
        wrapper, twin = self.call, twin_of(function)
        twin.__annotations__ = self.hints
        again = types.FunctionType(
            wrapper.__code__, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, wrapper.__closure__
        )
        again.__kwdefaults__ = {**wrapper.__kwdefaults__, "__beartype_func": twin}
        again.__dict__.update(wrapper.__dict__)
        return again


def hints_of(function):
    """Its annotations as types; what is imported for the type checker alone can be anything."""
    try:
        return hints(function.__annotations__, function)
    except Exception:
        return {name: one_hint(name, hint, function) for name, hint in function.__annotations__.items()}


def one_hint(name, hint, function):
    try:
        return hints({name: hint}, function)[name]
    except Exception:
        return Any


def hints(annotations, function):
    return typing.get_type_hints(
        types.SimpleNamespace(__annotations__=annotations), function.__globals__, include_extras=True
    )


def names_axes(hint):
    """Whether an array with a shape stands anywhere in it."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(names_axes, typing.get_args(hint)))


MANY = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_COROUTINE


def names_its_class(hint):
    """Whether the hint means another type in every class."""
    return hint is typing.Self or any(map(names_its_class, typing.get_args(hint)))


def remembering(call, function, hints, taken):
    """A call that is checked unless one that looks alike is among those that were taken."""
    signature = functools.cache(lambda: inspect.signature(function))

    def again(*arguments, **named):
        if torch.compiler.is_compiling():  # what is traced has no sizes that could be remembered
            return call(*arguments, **named)
        given = (look(arguments), *((name, look(value)) for name, value in named.items()))
        try:
            results = taken.get(given)
        except TypeError:  # something in it that is looked into
            return call(*arguments, **named)
        if results is None:
            result = call(*arguments, **named)
            if len(taken) < REMEMBERED and can_be_remembered(found := look(result)):
                taken[given] = {found}
            return result
        result = function(*arguments, **named)
        found = look(result)
        if not can_be_remembered(found) or found not in results:
            with HOOKED("context"):
                for name, value in (*signature().bind(*arguments, **named).arguments.items(), ("return", result)):
                    if name in hints:
                        die_if_unbearable(value, hints[name], conf=CONFIGURED)
            if can_be_remembered(found):
                results.add(found)
        return result

    return again


def look(value):
    """What a check of a value depends on; in it stands a list, which has no hash, where a check looks inside."""
    kind = type(value)
    if kind is torch.Tensor or kind is torch.nn.Parameter:
        return kind, value.dtype, value.shape
    if kind is tuple:
        return kind, *map(look, value)
    if kind in VALUES:
        return kind, value
    return looked_at(kind, value)


VALUES = (int, str, bool)  # some are one of several words


def looked_at(kind, value):
    """Of what is no tensor, tuple or word."""
    if kind is np.ndarray:
        return kind, value.dtype, value.shape
    return kind if is_opaque(kind) else []


@functools.cache
def is_opaque(kind):
    """Whether a check asks for the type of a value alone."""
    return not issubclass(kind, (type, Iterable, torch.Tensor))


def can_be_remembered(found):
    """Whether nothing in it is looked into."""
    return found != [] and (not isinstance(found, tuple) or all(map(can_be_remembered, found)))


def scoped(call):
    """A call in which the name of an axis stands for one size."""

    def within(*arguments, **named):
        with HOOKED("context"):
            return call(*arguments, **named)

    return within


def install():
    """Before vael is imported."""
    jaxtyping.jaxtyped = jaxtyped
