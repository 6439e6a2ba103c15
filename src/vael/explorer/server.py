"""The page's HTTP: a few questions about one run, answered to whoever has the token, on this machine only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from vael.errors import VaelError
from vael.explorer.guarding import ALWAYS, guards, limited, refusals, trouble
from vael.explorer.scene import Scene
from vael.stored import strict

PAGE = Path(__file__).parent / "page"
LARGEST = 4_000_000  # bytes of a request
SECONDS = 30.0  # in which it has to be whole
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    **ALWAYS,
}
WITHOUT_TOKEN = (
    "This page of vael needs the token that stands in its address. Open the address that `vael explore` printed, "
    "whole, or start it again."
)
COORDINATES = "/api/coordinates"
Asked = dict[str, Any]


def application(scene: Scene, token: str) -> Starlette:
    """The page of a run. Every answer but the page's own files needs the token (`?token=`, or `X-Vael-Token`)."""
    answers = Answers(scene)
    app = Starlette(
        routes=[
            Route("/", page),
            Route("/page/{name}", part),
            Route(COORDINATES, answers.coordinates),
            Route("/api/{question}", answers.answer, methods=["POST"]),
        ],
        middleware=guards(token, HEADERS, WITHOUT_TOKEN, free="/page/"),
        exception_handlers=refusals(answers.unknown, ("/", COORDINATES, *(f"/api/{one}" for one in answers.questions))),
    )
    app.router.redirect_slashes = False
    return app


def questions_of(scene: Scene) -> dict[str, Callable[[Asked], object]]:
    """What can be asked of a run, each by what it is asked with."""
    return {
        "run": lambda asked: scene.facts(),
        "map": lambda asked: scene.map_facts(),
        "code": lambda asked: {"code": scene.code(int(asked["example"]))},
        "examples": lambda asked: scene.examples(numbers(asked["examples"], int)),
        "reconstructed": lambda asked: scene.reconstructed(numbers(asked["examples"], int)),
        "decoded": lambda asked: scene.decoded(
            [floats(one) for one in listed(asked["z"])], int(asked.get("example", 0))
        ),
        "draws": lambda asked: scene.drawn_at(
            floats(asked["z"]), int(asked["count"]), int(asked.get("seed", 0)), int(asked.get("example", 0))
        ),
        "samples": lambda asked: scene.samples(int(asked["count"]), int(asked.get("seed", 0))),
        "levels": lambda asked: scene.levels(numbers(asked["seeds"], int), floats(asked["temperatures"])),
        "read": lambda asked: scene.read(floats(asked["pixels"])),
        "posterior": lambda asked: scene.posterior(floats(asked["pixels"])),
        "given": lambda asked: scene.given({str(name): str(value) for name, value in dict(asked["values"]).items()}),
        "column": lambda asked: scene.column(str(asked["name"])),
        "reasons": lambda asked: scene.reasons(numbers(asked["examples"], int)),
        "strangeness": lambda asked: dict(zip(("score", "p_value"), scene.strangeness.scores, strict=True)),
    }


class Answers:
    """What is said to questions about a run."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.questions = scene, questions_of(scene)

    def unknown(self, path: str) -> str:
        """What there is, where something else was asked for."""
        return f"there is no {path[:80]}; there is /, {COORDINATES} and by POST /api/ with {', '.join(self.questions)}"

    async def answer(self, request: Request) -> Response:
        """The answer to a question in JSON, or what is wrong with it."""
        question = self.questions.get(request.path_params["question"])
        if question is None:
            return trouble(self.unknown(request.url.path), 404)
        try:
            body = await asyncio.wait_for(limited(request, LARGEST), SECONDS)
        except TimeoutError:
            return trouble(f"the request was not whole within {SECONDS:g} seconds; send it again", 408)
        if body is None:
            return trouble(f"the request is larger than {LARGEST:,} bytes; ask for less at once", 413)
        try:
            return JSONResponse(await run_in_threadpool(question, strict(body or b"{}")))
        except VaelError as error:
            return trouble(str(error), 422)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            return trouble(f"the request cannot be read ({type(error).__name__}: {str(error)[:200]})", 400)

    async def coordinates(self, request: Request) -> Response:
        """Those of all examples, as bytes."""
        return Response(await run_in_threadpool(self.scene.coordinates), media_type="application/octet-stream")


async def page(request: Request) -> Response:
    """The page itself."""
    return FileResponse(PAGE / "index.html")


async def part(request: Request) -> Response:
    """A file of the page by its name, never by a path that the request made."""
    found = {path.name: path for path in PAGE.iterdir()}.get(request.path_params["name"])
    return trouble("there is no such file of the page", 404) if found is None else FileResponse(found)


def listed(given: object) -> list[Any]:
    """A list. Errors: `TypeError` for anything else."""
    if not isinstance(given, list):
        raise TypeError("expected a list")
    return given


def numbers(given: object, *kinds: type) -> list[Any]:
    """A list of numbers of these kinds. Errors: `TypeError` for anything else."""
    found = listed(given)
    if not all(isinstance(one, kinds) and not isinstance(one, bool) for one in found):
        raise TypeError("expected a list of " + ("numbers" if float in kinds else "whole numbers"))
    return found


def floats(given: object) -> list[float]:
    """A list of numbers. Errors: `TypeError` for anything else."""
    return [float(one) for one in numbers(given, int, float)]
