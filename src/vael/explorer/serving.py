"""Serving the page on this machine only, until it is stopped."""

from __future__ import annotations

import importlib.util
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from vael.errors import StateError
from vael.explorer.scene import Scene

if TYPE_CHECKING:
    import uvicorn

HOST = "127.0.0.1"
NEEDED = ("starlette", "uvicorn")


def refuse_missing() -> None:
    """Errors: `StateError` if the packages that serve the page are not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise StateError(
            f"exploring needs packages that are not installed ({', '.join(missing)}): pip install 'vael[explore]'"
        )


def listening(port: int | None) -> socket.socket:
    """A socket of this machine only; on any free port where none is named. Errors: `StateError` for one in use."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port or 0))
    except OSError as error:
        found.close()
        raise StateError(
            f"port {port} cannot be had ({error.strerror}); name another (--port), or none for any that is free"
        ) from error
    return found


def server_of(scene: Scene, token: str) -> uvicorn.Server:
    """What answers for a run; it stops when its `should_exit` is set."""
    import uvicorn

    from vael.explorer.server import application

    config = uvicorn.Config(
        application(scene, token), log_level="error", access_log=False, server_header=False, limit_concurrency=64
    )
    return uvicorn.Server(config)


def serve(scene: Scene, port: int | None = None, ready: Callable[[str], object] = print) -> None:
    """Answer until interrupted; `ready` gets the address, token and all, once the page can be opened.

    Errors: `StateError` for a port in use, or packages that are not installed.
    """
    refuse_missing()
    token = secrets.token_urlsafe(24)
    with listening(port) as place:
        place.listen()
        ready(f"http://{HOST}:{place.getsockname()[1]}/?token={token}")
        server_of(scene, token).run(sockets=[place])
