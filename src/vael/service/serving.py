"""Serving a run over HTTP until it is stopped."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from vael.explorer.serving import HOST, answering, listening, new_token, refuse_missing
from vael.service.service import Service
from vael.specs import Run

MORE = 8  # connections beside those that ask, which get a refusal


def serve(
    run: Run | Service,
    port: int | None = None,
    host: str = HOST,
    token: str | None = None,
    ready: Callable[[str, str | None], object] = print,
) -> None:
    """Answer until interrupted; `ready` gets the address and the token, once questions can be asked.

    On this machine alone nobody needs a token unless one is given; at any other address one is made where none is
    given. Errors: `StateError` for a port in use, an address that is none, or packages that are not installed.
    """
    refuse_missing("serving", "serve")
    from vael.service.server import application

    service = run if isinstance(run, Service) else Service(run)
    with listening(port, host) as place:
        place.listen()
        token = token or (None if ipaddress.ip_address(host).is_loopback else new_token())
        ready(address_of(host, place.getsockname()[1]), token)
        local = ipaddress.ip_address(host).is_loopback
        app = application(service, token) if local else application(service, token, ("*",))
        answering(app, service.limits.requests + MORE).run(sockets=[place])


def address_of(host: str, port: int) -> str:
    """The address of a service."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
