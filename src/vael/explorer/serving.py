"""Serving on this machine, until it is stopped: sockets, and what answers on them."""

from __future__ import annotations

import importlib.util
import ipaddress
import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from vael.errors import StateError
from vael.explorer.scene import Scene

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

HOST = "127.0.0.1"
NEEDED = ("starlette", "uvicorn")
CONNECTIONS = 64  # that are open at a time


def refuse_missing(what: str = "exploring", extra: str = "explore") -> None:
    """Errors: `StateError` if the packages that serve are not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise StateError(
            f"{what} needs packages that are not installed ({', '.join(missing)}): pip install 'vael[{extra}]'"
        )


def listening(port: int | None, host: str = HOST) -> socket.socket:
    """A socket of this machine only unless another `host` is named; on any free port where none is named.

    Errors: `StateError` for a port in use, and for an address that this machine does not have.
    """
    try:
        six = ipaddress.ip_address(host).version == 6
    except ValueError:
        raise StateError(f"{host!r} is no address; give one in numbers, such as 127.0.0.1 or 0.0.0.0") from None
    found = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port or 0))
    except OSError as error:
        found.close()
        raise StateError(
            f"port {port} cannot be had at {host} ({error.strerror}); name another (--port), or none for any that is "
            "free"
        ) from error
    return found


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


def server_of(scene: Scene, token: str) -> uvicorn.Server:
    """What answers for the page of a run; it stops when its `should_exit` is set."""
    from vael.explorer.server import application

    return answering(application(scene, token))


def answering(application: Starlette, connections: int = CONNECTIONS) -> uvicorn.Server:
    """What answers for an application."""
    import uvicorn

    from vael.explorer.connections import PromptConnection

    config = uvicorn.Config(
        application,
        http=PromptConnection,
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=connections,
    )
    return uvicorn.Server(config)


def serve(scene: Scene, port: int | None = None, ready: Callable[[str], object] = print) -> None:
    """Answer until interrupted; `ready` gets the address, token and all, once the page can be opened.

    Errors: `StateError` for a port in use, or packages that are not installed.
    """
    refuse_missing()
    token = new_token()
    with listening(port) as place:
        place.listen()
        ready(f"http://{HOST}:{place.getsockname()[1]}/?token={token}")
        server_of(scene, token).run(sockets=[place])
