"""HTTP for a service: what comes is limited in size, time and number, and every refusal is one clear message."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

import vael
from vael.errors import VaelError
from vael.explorer.guarding import ALWAYS, LOCAL, guards, limited, refusals, trouble
from vael.service.forms import TooMuch
from vael.service.openapi import document, title
from vael.service.page import page
from vael.service.service import Deadline, Service, TooLong
from vael.stored import strict

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    **ALWAYS,
}
WITHOUT_TOKEN = (
    "This service of vael needs the token that `vael serve` printed: send it as `Authorization: Bearer TOKEN`."
)
FULL = "not enough memory for this request; ask for fewer examples at once"
AGAIN = {"Retry-After": "1"}


def application(service: Service, token: str | None = None, hosts: tuple[str, ...] = LOCAL) -> Starlette:
    """The service over HTTP; with a token only for whoever has it."""
    door = Door(service)
    app = Starlette(
        routes=[
            Route("/", door.about),
            Route("/openapi.json", door.openapi),
            Route("/{question}", door.answer, methods=["POST"]),
        ],
        middleware=guards(token, HEADERS, WITHOUT_TOKEN, hosts=hosts),
        exception_handlers=refusals(door.unknown, ("/", "/openapi.json", *(f"/{name}" for name in service.questions))),
        lifespan=door.open,
    )
    app.router.redirect_slashes = False
    return app


class Door:
    """Takes requests in: so many at a time, of which one is worked on."""

    def __init__(self, service: Service) -> None:
        self.service, self.limits = service, service.limits
        self.places = threading.BoundedSemaphore(service.limits.requests)
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="vael-serve")  # a model is used by one at a time

    @asynccontextmanager
    async def open(self, app: Starlette) -> Any:
        """As long as the server runs."""
        yield
        self.worker.shutdown(wait=False, cancel_futures=True)

    async def about(self, request: Request) -> Response:
        """What the service is: a page for a browser, JSON for a program."""
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(page(self.service))
        service = self.service
        return JSONResponse(
            {
                "name": title(service),
                "data": service.run.spec.data.name,
                "model": service.run.spec.recipe,
                "vael": vael.__version__,
                "questions": {f"/{name}": one.summary for name, one in service.questions.items()},
                "left_out": {f"/{name}": why for name, why in service.left_out.items()},
                "limits": vars(service.limits),
                "openapi": "/openapi.json",
            }
        )

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(document(self.service))

    def unknown(self, path: str) -> str:
        """What there is, where something else was asked for."""
        return f"{self.service.unknown(path.removeprefix('/'))}, / and /openapi.json"

    async def answer(self, request: Request) -> Response:
        """The answer to a question, or what is wrong with it."""
        name, deadline = request.path_params["question"], Deadline(self.limits.seconds)
        if name not in self.service.questions:
            return trouble(self.unknown(name), 404)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # a page elsewhere may send other types here without being asked whether it may
            return trouble("the request is not said to be JSON; send Content-Type: application/json", 415)
        if not self.places.acquire(blocking=False):
            told = f"{self.limits.requests} requests are waiting already; ask again in a moment"
            return JSONResponse({"error": told}, 429, headers=AGAIN)
        place = Seat(self.places)
        try:
            body = await asyncio.wait_for(limited(request, self.limits.bytes), self.limits.seconds)
            if body is None:
                told = f"the request is larger than {self.limits.megabytes:g} MB; ask for fewer examples at once"
                return trouble(told, 413)
            place.handed_on = True
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(self.worker, place.work, self.answered, name, body, deadline)
            status, content = await asyncio.wait_for(asyncio.shield(work), self.limits.seconds)
            return Response(content, status, media_type="application/json")
        except TimeoutError:
            return trouble(str(deadline.passed()), 503 if place.handed_on else 408)
        finally:
            place.leave_unless_handed_on()

    def answered(self, name: str, body: bytes, deadline: Deadline) -> tuple[int, bytes]:
        """Status and JSON of an answer, made by the one who works."""
        try:
            deadline.check()
            try:
                given = strict(body)
            except ValueError as error:
                return refusal(400, f"the request is no JSON ({str(error)[:200]}); send one object in UTF-8")
            except RecursionError:
                return refusal(400, "the request is nested too deeply; send one object of lists and values")
            found = self.service.answer(name, given, deadline)
            return 200, json.dumps(found, allow_nan=False).encode()
        except TooMuch as error:
            return refusal(413, str(error))
        except TooLong as error:
            return refusal(503, str(error))
        except VaelError as error:
            return refusal(422, str(error))
        except MemoryError:
            return refusal(503, FULL)
        except Exception as error:
            return refusal(500, f"unexpected {type(error).__name__}; please report it with the request")


class Seat:
    """One of the places of requests, given back once: by the one who works, or by the door where no work began."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self.places, self.handed_on = places, False

    def work(self, what: Any, *given: Any) -> Any:
        """Do something, and give the place back."""
        try:
            return what(*given)
        finally:
            self.places.release()

    def leave_unless_handed_on(self) -> None:
        """Give the place back where nothing was begun."""
        if not self.handed_on:
            self.places.release()


def refusal(status: int, message: str) -> tuple[int, bytes]:
    """A refusal as status and JSON."""
    return status, json.dumps({"error": message}).encode()
