"""The page's HTTP: the token, the host, the limits, and clear answers to what cannot be read."""

import http.client
import json
import logging
import socket
import time
from dataclasses import dataclass
from urllib.parse import quote

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'vael[explore]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'vael[explore]'")

from small_runs import answering_beside
from vael.errors import StateError
from vael.explorer import serving
from vael.explorer.server import HEADERS, LARGEST, PAGE


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks the page that is really served."""

    def __init__(self, port):
        self.port = port

    def __call__(self, path, *, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        found = connection.getresponse()
        answer = Answer(found.status, found.read(), {name.lower(): value for name, value in found.getheaders()})
        connection.close()
        return answer

    def ask(self, question, body, token=b"secret"):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self(f"/api/{question}", body=content, headers={"X-Vael-Token": token})


@pytest.fixture(scope="module")
def client(pictures):
    place = serving.listening(None)
    place.listen()
    with answering_beside(serving.server_of(pictures, "secret"), place) as port:
        yield Client(port)


def test_a_question_is_answered(client, pictures):
    assert client.ask("run", {}).json == json.loads(json.dumps(pictures.facts()))
    assert client.ask("decoded", {"z": [[0, 0, 0]]}).json == pictures.decoded([[0.0, 0.0, 0.0]])
    assert client("/api/coordinates", headers={"X-Vael-Token": "secret"}).body == pictures.coordinates()
    assert client("/?token=secret").body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("token", ["", "Secret", "secret ", "wrong", "é"])
@pytest.mark.parametrize("path", ["/", "/api/coordinates"])
def test_without_the_token_nothing_is_told(client, token, path):
    for found in (client(f"{path}?token={quote(token)}"), client.ask("run", {}, token.strip().encode() + b"?")):
        assert found.status == 403
        assert b"token" in found.body
        assert b"digits" not in found.body


def test_another_host_is_refused(client):
    assert client("/?token=secret", headers={"Host": "attacker.example"}).status == 400


def test_what_the_page_may_load_is_said_with_every_answer(client):
    answers = (client("/?token=secret"), client("/page/explorer.js"), client("/"), client.ask("run", b"["))
    for found in answers:
        assert found.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("question", "body", "status"),
    [
        ("decoded", b"not JSON", 400),
        ("decoded", {"z": [[0.0]]}, 422),
        ("decoded", {"z": "zero"}, 400),
        ("decoded", {}, 400),
        ("decoded", {"z": [[0, 0, "x"]]}, 400),
        ("decoded", {"z": [[1e999, 0, 0]]}, 422),
        ("examples", {"examples": [0.5]}, 400),
        ("examples", {"examples": "all"}, 400),
        ("examples", {"examples": [True]}, 400),
        ("code", {"example": -1}, 422),
        ("given", {"values": {"a": 1}}, 422),
        ("nothing", {}, 404),
        ("decoded", [1], 400),
        ("decoded", b"[" * 100_000, 400),
        ("decoded", b'{"z": [], "z": []}', 400),
        ("column", b'{"name": "\\ud800"}', 400),
        ("read", {"pixels": [1e308] * 64}, 200),
        ("decoded", b" " * (LARGEST + 1), 413),
    ],
)
def test_a_bad_request_gets_a_clear_answer(client, question, body, status):
    found = client.ask(question, body)
    assert found.status == status
    assert found.json["error"] if status != 200 else found.json["code"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/nothing", 404, "no /nothing; there is /, /api/coordinates and by POST /api/ with run, "),
        ("/api/", 404, "there is /"),
        ("/api/nothing", 404, "no /api/nothing; there is /"),
        ("/api/run/", 404, "there is /"),
        ("/api/run", 405, "takes no GET; it takes POST"),
    ],
)
def test_what_there_is_not_gets_told_what_there_is(client, path, status, said):
    found = client(path, headers={"X-Vael-Token": "secret"})
    assert (found.status, list(found.json)) == (status, ["error"])
    assert said in found.json["error"]


def test_a_request_that_breaks_off_is_no_fault_of_ours(client, monkeypatch):
    said = []
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "error", lambda *told, **more: said.append(told))
    front = b"POST /api/run HTTP/1.1\r\nHost: localhost\r\nX-Vael-Token: secret\r\nContent-Length: 9\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", client.port)) as place:
        place.sendall(front)
    assert client.ask("run", {}).status == 200
    time.sleep(0.2)
    assert said == []


@pytest.mark.parametrize(
    "name", ["..%2Fserver.py", "%2e%2e%2f%2e%2e%2ferrors.py", "server.py", "", "x" * 5000, "index.html%00"]
)
def test_only_the_files_of_the_page_are_served(client, name):
    found = client(f"/page/{name}")
    assert found.status == 404
    assert b"import" not in found.body


def test_every_file_of_the_page_is_served(client):
    assert {"index.html", "style.css", "explorer.js"} <= {path.name for path in PAGE.iterdir()}
    for path in PAGE.iterdir():
        assert client(f"/page/{path.name}").body == path.read_bytes()


def test_a_port_in_use_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StateError, match=rf"port {port} cannot be had.*--port"):
            serving.listening(port)


def test_it_listens_on_this_machine_only():
    with serving.listening(None) as place:
        assert place.getsockname()[0] == "127.0.0.1"


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StateError, match=r"starlette, uvicorn.*pip install 'vael\[explore\]'"):
        serving.refuse_missing()
