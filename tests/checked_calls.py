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
    twin = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__, twin.__qualname__, twin.__module__ = (
        function.__kwdefaults__,
        function.__qualname__,
        function.__module__,
    )
    twin.__annotations__ = hints_of(function)
    call, hints = CHECK(twin), twin.__annotations__
    if any(map(names_axes, hints.values())):
        call = scoped(call)
        if not any(map(names_its_class, hints.values())) and not function.__code__.co_flags & MANY:
            call = remembering(call, function, hints)
    held = functools.wraps(function)(call) if call is not twin else function
    held.is_checked = True
    return held


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


def remembering(call, function, hints):
    """A call that is checked unless one that looks alike has been taken."""
    taken, signature = {}, inspect.signature(function)

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
                for name, value in (*signature.bind(*arguments, **named).arguments.items(), ("return", result)):
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
