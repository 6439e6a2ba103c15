"""What every local server of this package keeps to: a token, a limit to what is read, headers, and clear refusals."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

ALWAYS = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Guarded:
    """Refuses whoever has not the token, and sends the same headers with every answer.

    The token stands in the address (`?token=`), in `X-Vael-Token` or in `Authorization: Bearer`; None lets everybody
    in. Paths that begin with `free` need none.
    """

    def __init__(
        self, app: ASGIApp, token: str | None, headers: Mapping[str, str], refusal: str, free: str = "\0"
    ) -> None:
        self.app, self.token, self.headers, self.refusal, self.free = app, token, headers, refusal, free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = ((name.lower().encode(), value.encode()) for name, value in self.headers.items())
                message["headers"] = [*message["headers"], *(one for one in more if one[0] not in own)]
            await send(message)

        if self.token is None or scope["path"].startswith(self.free) or same(token_of(Request(scope)), self.token):
            await self.app(scope, receive, with_headers)
        else:
            await PlainTextResponse(self.refusal, 403)(scope, receive, with_headers)


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
    """For an application: other hosts are refused (a page elsewhere may have its name lead here), then `Guarded`."""
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
        Middleware(Guarded, token=token, headers=headers, refusal=refusal, free=free),
    ]


async def limited(request: Request, most: int) -> bytes | None:
    """What was sent; None where it is larger than `most` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


def trouble(message: str, status: int) -> Response:
    """What went wrong, in one message."""
    return JSONResponse({"error": message}, status)
