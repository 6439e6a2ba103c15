"""Parts: frozen records that name one object each (`kind` and hyper-parameters) and build it.

A family (`prior`, `likelihood`, `network`, ...) is an abstract subclass of `Part`; whatever subclasses that and gives
`kind` a value is a member of the family, can stand in run.json and on the command line, and is listed by `vael models`.
A file in the `home` of a family is found by itself: nothing else has to name it.
A part that is not of this package is named `module:Class` in JSON; nothing is imported for it unless that module is
trusted (`trusting`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_serializer, model_validator

from vael.errors import SettingError
from vael.nearest import did_you_mean

ENTRY_POINTS = "vael.parts"  # group in which an installed package offers parts, each under the name FAMILY.KIND

P = TypeVar("P", bound="Part")
_members: dict[str, dict[str, type[Part]]] = {}
_trusted: ContextVar[frozenset[str]] = ContextVar("trusted", default=frozenset())


def told(error: ValidationError, *, short: bool = False) -> str:
    """Where a record does not fit, and why; `short` for where it is known already."""
    first = error.errors()[0]
    where = "" if short else ".".join(str(part) for part in first["loc"])[:200]
    own = first.get("ctx", {}).get("error")  # what this package says stays as it is
    said = str(own) if isinstance(own, ValueError) else first["msg"].lower()
    return f"{where}: {said}" if where else said


class MadeInPython(type(BaseModel)):
    """What makes a part that a program asks for by its class: a value that does not fit is refused in this package's
    words. Parts that are read from JSON are made in another way, and refused where they stand in it.
    """

    def __call__(cls, *args: Any, **given: Any) -> Any:
        try:
            return super().__call__(*args, **given)
        except ValidationError as error:
            raise SettingError(f"{cls.__name__} cannot have {told(error)}; give another value") from error


class Part(BaseModel, metaclass=MadeInPython):
    """Abstract: what one object is made of, as JSON has it; fixed once made, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)
    family: ClassVar[str] = ""
    home: ClassVar[str] = ""  # package or module of this one in which the members of the family are defined

    @classmethod
    def __pydantic_init_subclass__(cls, **how: Any) -> None:
        """Enter a member of a family under its kind."""
        super().__pydantic_init_subclass__(**how)
        name = kind_of(cls)
        if name is None:
            return
        own = cls.__module__.split(".")[0] == __name__.split(".")[0]
        _members.setdefault(cls.family, {})[name if own else path_of(cls)] = cls

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_family(cls, value: Any, handler: Callable[[Any], Any]) -> Any:
        """A member of the family that `kind` names, where a family is asked for."""
        if isinstance(value, Part) or kind_of(cls) is not None:
            return handler(value) if not isinstance(value, cls) else value
        return read(cls, value)

    @model_serializer(mode="wrap")
    def _by_its_name(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """The kind as `name` has it, so that another process finds the class again."""
        return {**handler(self), "kind": self.name}

    @property
    def name(self) -> str:
        """The kind, as JSON has it: an import path for a part that no package offers under its kind."""
        kind = str(getattr(self, "kind", type(self).__name__))
        return kind if _members.get(self.family, {}).get(kind) is type(self) else path_of(type(self))


def path_of(part: type[Part]) -> str:
    """Where a class of parts can be imported from."""
    return f"{part.__module__}:{part.__qualname__}"


def as_json(part: Part) -> str:
    """A tree of parts as JSON, on one line."""
    return part.model_dump_json(serialize_as_any=True)


def kind_of(part: type[Part]) -> str | None:
    """The kind that a class of parts has; None for a family, which has none."""
    field = part.model_fields.get("kind")
    return field.default if field is not None and isinstance(field.default, str) else None


def summary(part: type[Part]) -> str:
    """The first sentence of what is written about a part."""
    return " ".join((part.__doc__ or "").split("\n\n")[0].split())


def members(family: type[P]) -> Mapping[str, type[P]]:
    """The parts of a family by their kinds, in the order in which they were defined."""
    if family.home:
        enter_all(family.home)
    return dict(_members.get(family.family, {}))  # type: ignore[bad-return]


@cache
def enter_all(home: str) -> None:
    """Import every module of a package, so that the parts in them are entered."""
    found = importlib.import_module(home)
    for module in pkgutil.iter_modules(getattr(found, "__path__", ())):
        importlib.import_module(f"{home}.{module.name}")


def read(family: type[P], value: object) -> P:
    """The part that a JSON object describes, or that a kind alone names.

    Errors: `ValueError` for what is no member, with the nearest name, and for an import path that is not trusted.
    """
    given = {"kind": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not isinstance(given.get("kind"), str):
        raise ValueError(f"a {family.family} is an object with a kind, one of {', '.join(members(family))}")
    found = member(family, str(given["kind"]))
    return found.model_validate({**given, "kind": kind_of(found)})


def member(family: type[P], name: str) -> type[P]:
    """The class of parts of a name: case, hyphens and underscores are equal.

    Errors: `ValueError` with the nearest name for one that is not known, or that would run code that is not trusted.
    """
    if ":" in name:
        return imported(family, name)
    known = members(family)
    wanted = name.lower().replace("_", "-")
    if wanted not in known:
        offered(family, wanted)
        known = members(family)
    if wanted in known:
        return known[wanted]
    hint = did_you_mean(wanted, known)
    raise ValueError(f"no {family.family} is called {name!r}; {hint}there are {', '.join(known)}")


def offered(family: type[P], name: str) -> None:
    """Import the part of that name that an installed package offers, if one does."""
    for point in entry_points(group=ENTRY_POINTS, name=f"{family.family}.{name}"):
        found = point.load()
        if isinstance(found, type) and issubclass(found, family):
            _members.setdefault(family.family, {})[name] = found


@contextmanager
def trusting(*modules: str) -> Iterator[None]:
    """A block in which parts of these modules may be imported. Whoever names a module says that its code may run."""
    token = _trusted.set(_trusted.get() | set(modules))
    try:
        yield
    finally:
        _trusted.reset(token)


def trusted() -> frozenset[str]:
    """The modules whose code may run here."""
    return _trusted.get()


def imported(family: type[P], path: str) -> type[P]:
    """The part at `module:Class`.

    Errors: `ValueError` for a module that is not trusted or cannot be imported, and for what is no part of the family.
    """
    module, _, name = path.partition(":")
    known = members(family).get(path)  # defined by the person's own program, so that nothing has to be imported
    if known is not None:
        return known
    if module not in _trusted.get():
        raise ValueError(
            f"the {family.family} {path!r} is not of this package: building it would import and run the module "
            f"{module!r}; if you know its code and trust it, say so (--trust {module})"
        )
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:
        raise ValueError(
            f"the module {module!r} of the {family.family} {path!r} cannot be imported: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, family)):
        raise ValueError(
            f"{path!r} is no {family.family}: expected a subclass of {family.__module__}.{family.__name__}"
        )
    return found
