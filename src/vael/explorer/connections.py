"""Connections that have a time to say what they want and to take what they get, so that silent ones hold no place."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0  # seconds; a page of this machine needs a hundredth


class PromptConnection(H11Protocol):
    """Ends a connection on which nothing moves from one look to the next, `PATIENCE` seconds later: no request came,
    and of an answer nothing was read.

    A server takes so many connections at a time, and uvicorn lets one be open and silent for ever. While a request is
    worked on there is nothing to see; that and the coming of its body have limits of their own.
    """

    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyrefly: ignore[bad-override]
        super().connection_made(transport)
        self.look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        super().connection_lost(exc)

    def look_later(self) -> None:
        """Keep how things stand: the request, and how much of its answer was not taken yet."""
        unread = self.transport.get_write_buffer_size()
        self.timer = self.loop.call_later(PATIENCE, self.look, self.cycle, unread)

    def look(self, cycle: object, unread: int) -> None:
        """End what stands as it stood."""
        working = self.cycle is not None and not self.cycle.response_complete
        left = self.transport.get_write_buffer_size()
        if self.cycle is cycle and left == unread and (left or not working):
            self.transport.abort()
        else:
            self.look_later()
