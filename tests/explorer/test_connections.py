"""Connections that say nothing, say half, or never read: whoever asks gets an answer all the same."""

import asyncio
import http.client
import json
import socket
import threading
from contextlib import ExitStack

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vael[explore]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'vael[explore]'")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from small_runs import answering_beside
from vael.explorer import connections, serving
from vael.explorer import server as page

PLACES = 4
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
LARGE = 32_000_000  # bytes: more than a socket takes that nobody reads
PATIENCE = 0.2


async def small(request: Request) -> Response:
    return JSONResponse({"here": True})


async def slow(request: Request) -> Response:
    await asyncio.sleep(3 * PATIENCE)
    return JSONResponse({"here": True})


async def large(request: Request) -> Response:
    return StreamingResponse(b" " * 100_000 for _ in range(LARGE // 100_000))


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", PATIENCE)
    place = serving.listening(None)
    place.listen()
    app = Starlette(routes=[Route("/", small), Route("/slow", slow), Route("/large", large)])
    with answering_beside(serving.answering(app, PLACES), place) as found:
        yield found


def asked(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    found = connection.getresponse()
    status = found.status
    found.read()
    connection.close()
    return status


@pytest.mark.parametrize(
    "said",
    [
        b"",
        HEAD,  # whose end never comes
        HEAD + b"\r\n",  # a whole one, and later half of the next
        b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",  # whose answer nobody reads
    ],
    ids=["nothing", "half a head", "one and later a half", "an answer that is not read"],
)
def test_silent_connections_hold_no_place_for_ever(port, said):
    with ExitStack() as open_ones:
        for _ in range(PLACES - 1):
            one = open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
            one.sendall(said)
            if said.endswith(b"\r\n\r\n"):
                assert one.recv(12) == b"HTTP/1.1 200"
                one.sendall(HEAD)
        waited, wait = 0, threading.Event()
        while asked(port) == 503:
            waited += 1
            assert waited < 200, "the places are never free again"
            wait.wait(0.05)
        assert asked(port) == 200


def test_a_connection_in_use_stays(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    first = connection.sock
    for _ in range(6):  # beyond the time of one silence
        connection.request("GET", "/")
        assert connection.getresponse().read() == b'{"here":true}'
        threading.Event().wait(PATIENCE / 2)
    assert connection.sock is first
    connection.close()


def test_an_answer_may_take_its_time_to_be_made_and_to_be_read(port):
    assert asked(port, "/slow") == 200
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        one.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        came, part = 0, b" "
        while part:
            if came < LARGE / 10:  # slowly at first, over several looks
                threading.Event().wait(0.01)
            part = one.recv(50_000)
            came += len(part)
    assert came > LARGE


def test_a_body_that_does_not_come_is_told_so(pictures, monkeypatch):
    monkeypatch.setattr(page, "SECONDS", 0.3)
    place = serving.listening(None)
    place.listen()
    with answering_beside(serving.server_of(pictures, "secret"), place) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest("POST", "/api/run")
        connection.putheader("X-Vael-Token", "secret")
        connection.putheader("Content-Length", "9")
        connection.endheaders(b"{")
        found = connection.getresponse()
        assert (found.status, "not whole within 0.3 seconds" in json.loads(found.read())["error"]) == (408, True)
        connection.close()
