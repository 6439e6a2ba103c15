"""What every local server of this package keeps to: a token, a limit to what is read, headers, and clear refusals."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

ALWAYS = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
LOCAL = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Rules:
    """Who is let in, and what is said with every answer."""

    token: str | None
    headers: Mapping[str, str]
    refusal: str  # of whoever has not the token
    hosts: tuple[str, ...]
    free: str  # what paths begin with that need no token


class Guarded:
    """Refuses whoever asks under another name than one of `hosts` (a page elsewhere may have its name lead here) or
    has not the token, and sends the same headers with every answer.

    The token stands in the address (`?token=`), in `X-Vael-Token` or in `Authorization: Bearer`; None lets everybody
    in. Paths that begin with `free` need none.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        rules, request = self.rules, Request(scope)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = ((name.lower().encode(), value.encode()) for name, value in rules.headers.items())
                message["headers"] = [*message["headers"], *(one for one in more if one[0] not in own)]
            await send(message)

        answer: ASGIApp = self.app
        if "*" not in rules.hosts and host_of(request) not in rules.hosts:
            told = f"asked as {host_of(request)[:80]!r}, but this answers as {', '.join(rules.hosts)} alone"
            answer = trouble(f"{told}; ask at the address that was printed", 400)
        elif not (rules.token is None or scope["path"].startswith(rules.free) or same(token_of(request), rules.token)):
            answer = PlainTextResponse(rules.refusal, 403)
        await answer(scope, receive, with_headers)


def host_of(request: Request) -> str:
    """The name under which a request asks, without its port."""
    return re.sub(r":\d*$", "", request.headers.get("host", "")).lower()


def token_of(request: Request) -> str:
    """The token that a request has; empty where it has none."""
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    return request.headers.get("x-vael-token") or request.query_params.get("token") or bearer


def same(given: str, wanted: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def guards(
    token: str | None, headers: Mapping[str, str], refusal: str, *, hosts: tuple[str, ...] = LOCAL, free: str = "\0"
) -> list[Middleware]:
    """For an application: `Guarded` by these rules."""
    return [Middleware(Guarded, rules=Rules(token, headers, refusal, hosts, free))]


async def limited(request: Request, most: int) -> bytes | None:
    """What was sent; None where it is larger than `most` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


Handler = Callable[[Request, Exception], Awaitable[Response]]


def refusals(there_is: Callable[[str], str], paths: Collection[str] = ()) -> dict[Any, Handler]:
    """For an application: what is said where a path or a method is none, a request breaks off, or a fault is ours.

    `there_is` says what there is in place of a path; `paths` are those that there are. One that there is not is told
    as such whatever it is asked by.
    """

    async def refused(request: Request, error: Exception) -> Response:
        status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
        path, allowed = request.url.path, ", ".join(sorted((headers or {}).get("Allow", "").split(", ")))
        if status == 405 and path in paths:
            told = f"{path} takes no {request.method[:20]}; it takes {allowed}"
            return JSONResponse({"error": told}, 405, headers={"Allow": allowed})
        return trouble(there_is(path), 404 if status == 405 else status)

    return {HTTPException: refused, ClientDisconnect: gone, Exception: unexpected}


async def gone(request: Request, error: Exception) -> Response:
    """What nobody reads any longer."""
    return trouble("the request ended before it was whole", 400)


async def unexpected(request: Request, error: Exception) -> Response:
    """One message in place of a traceback."""
    return trouble(f"unexpected {type(error).__name__}; please report it with the request", 500)


def trouble(message: str, status: int) -> Response:
    """What went wrong, in one message."""
    return JSONResponse({"error": message}, status)
