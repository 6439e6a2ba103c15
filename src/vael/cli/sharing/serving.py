"""`vael serve`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import ClassVar

from vael.cli.options.shared import RunOptions
from vael.cli.telling import answer, tell
from vael.options.declaring import option
from vael.options.values import number, positive, whole

TOKEN = "VAEL_TOKEN"


@dataclass(frozen=True, kw_only=True)
class ServeOptions(RunOptions):
    """What `vael serve` takes."""

    notes: ClassVar[str] = (
        "Questions are asked in JSON by POST: /score, /encode, /impute, /predict, /sample, as far as the run can "
        "answer them; / says what there is, /openapi.json says it to programs. Ctrl-C stops it.\n"
        "Everybody on this machine may ask, unless the environment variable VAEL_TOKEN holds a token; at another "
        "address (--host) a token is always needed, and made where there is none."
    )
    port: int | None = option("N", "port; default any that is free", number(int, 1, most=65535), main=True)
    host: str = option(
        "ADDRESS", "address to listen at; 0.0.0.0 is every one of this machine", default="127.0.0.1", main=True
    )
    rows: int = option("N", "most examples that one request may give or ask for", whole, default=10_000)
    megabytes: float = option("N", "megabytes of the largest request", positive, default=16.0)
    seconds: float = option("N", "most time for an answer", positive, default=60.0)
    requests: int = option("N", "requests taken at a time; others are told to come again", whole, default=32)


def serve(options: ServeOptions) -> int:
    """A run over HTTP, until it is stopped."""
    from vael import service, specs
    from vael.explorer.serving import refuse_missing

    refuse_missing("serving", "serve")
    limits = service.Limits(options.rows, options.megabytes, options.seconds, options.requests)
    asked = service.Service(specs.load(options.run), limits)

    def ready(address: str, token: str | None) -> None:
        if options.json:
            names = [f"/{name}" for name in asked.questions]
            print(json.dumps({"address": address, "token": token, "questions": names}), flush=True)
            return
        tell(f"Serving {options.run}: {', '.join(f'/{name}' for name in asked.questions)}; Ctrl-C stops it.")
        for name, why in asked.left_out.items():
            tell(f"  no /{name}: {why}")
        answer(address)
        if token is not None:
            answer(f"Token: {token}")

    service.serve(asked, options.port, options.host, os.environ.get(TOKEN) or None, ready)
    return 0
