"""Types and shapes of every call of vael, checked at a small part of what jaxtyping's own wrapper costs.

jaxtyping's import hook puts its decorator on every function. That decorator binds the arguments by `inspect`, and
checks them twice, whether or not a shape stands in the signature: half of the processor time of a test that trains a
small model. Here a function is checked once, by beartype, and has a scope for the names of its axes only where its
signature names some. Generators are left to jaxtyping.
"""

import dataclasses
import functools
import inspect
import types
import typing
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

HOOKED = jaxtyping.jaxtyped
CHECK = beartype(conf=BeartypeConf(violation_type=TypeError))


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
    call = CHECK(twin)
    if any(map(names_axes, twin.__annotations__.values())):
        call = scoped(call)
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


def scoped(call):
    """A call in which the name of an axis stands for one size."""

    def within(*arguments, **named):
        with HOOKED("context"):
            return call(*arguments, **named)

    return within


def install():
    """Before vael is imported."""
    jaxtyping.jaxtyped = jaxtyped
