"""A service over HTTP: answers as without it, limits, and one clear message in place of anything else."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served_runs import served

from vael.service import Service
from vael.service import server as http
from vael.service.service import Limits

ROW = {"height": 171.5, "weight": 70.25, "size": "short", "born": "1971-03-04", "member": "True"}


@pytest.fixture(scope="module")
def client(rows):
    with served(rows, rows=100, megabytes=0.1) as found:
        yield found


def test_answers_over_http_are_those_of_the_run(client, rows):
    status, found = client.ask("/score", {"rows": [ROW]})
    assert (status, found["scores"][0]["score"]) == (200, rows.score(ROW).score.item())
    status, found = client.ask("/encode", {"rows": [ROW, ROW]})
    assert (status, found["codes"]) == (200, rows.encode([ROW, ROW]).tolist())
    assert client.ask("/sample", {"count": 3, "seed": 1}) == client.ask("/sample", {"count": 3, "seed": 1})


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/score", b"no JSON", 400, "JSON"),
        ("/score", b"\xff", 400, "JSON"),
        ("/score", b"[" * 50_000, 400, "JSON|deep"),
        ("/score", [1], 422, "object"),
        ("/score", {"rows": [{"height": 1}]}, 422, "weight"),
        ("/score", {"rows": [ROW] * 101}, 413, "at most 100"),
        ("/sample", {"count": 101}, 413, "at most 100"),
        ("/score", b'{"rows": [' + b" " * 100_001 + b"]}", 413, "0.1 MB"),
        ("/predict", {"rows": [ROW]}, 404, "no /predict.*learned no classes.*/score"),
        ("/other", {}, 404, "no /other.*/score"),
        ("/score/../../run.json", {}, 404, "there is /score"),
        ("/%2e%2e%2frun.json", {}, 404, "there is /score"),
        ("/score", b'{"rows": [], "rows": []}', 400, "twice"),
        ("/score", b'{"rows": [{"size": "\\ud800"}]}', 400, "JSON"),
        ("/sample", b'{"count": ' + b"9" * 5000 + b"}", 400, "JSON"),
        ("/run.json", None, 404, "no /run.json.*there is /score.*/openapi.json"),
        ("/api/", None, 404, "there is /score"),
        ("/score/", {}, 404, "there is /score"),
        ("/score", None, 405, "takes no GET; it takes POST"),
        ("/", {}, 405, "takes no POST; it takes GET"),
        ("/" + "x" * 3000, {}, 404, "there is /score"),
    ],
)
def test_a_bad_request_gets_one_clear_answer(client, path, body, status, said):
    found, content, headers = client(path, body)
    answer = json.loads(content)
    assert found == status
    assert re.search(said, answer["error"])
    assert list(answer) == ["error"]
    assert "Traceback" not in answer["error"]
    assert headers["x-content-type-options"] == "nosniff"


def test_another_type_and_another_host_are_refused(client):
    assert client("/score", {"rows": [ROW]}, {"Content-Type": "text/plain"})[0] == 415
    for host in ("other.example", "127.0.0.1.other.example", "127.0.0.1:80:80", ""):
        headers = {"Content-Type": "application/json", "Host": host}
        status, content, sent = client("/score", {"rows": [ROW]}, headers)
        assert status == 400
        assert repr(host.removesuffix(":80")) in json.loads(content)["error"]
        assert sent["x-content-type-options"] == "nosniff"


def test_the_front_tells_what_there_is(client):
    status, content, _ = client("/")
    assert status == 200
    assert set(json.loads(content)["questions"]) == {"/score", "/encode", "/impute", "/sample"}
    assert "/predict" in json.loads(content)["left_out"]
    status, content, headers = client("/", headers={"Accept": "text/html"})
    assert (status, headers["content-type"][:9]) == (200, "text/html")
    assert json.loads(client("/openapi.json")[1])["openapi"] == "3.1.0"


def test_null_stands_for_a_parameter_that_was_not_given(client):
    assert client.ask("/sample", {"count": 2, "seed": None}) == client.ask("/sample", {"count": 2})
    assert client.ask("/sample", {"count": None})[0] == 200
    rows = [{**ROW, "weight": None}]
    given = {"rows": rows, "samples": None, "draws": None, "seed": None}
    assert client.ask("/impute", given) == client.ask("/impute", {"rows": rows})


def test_with_a_token_nothing_is_told_without_it(rows):
    with served(rows, token="secret") as client:
        for path, body in (("/", None), ("/openapi.json", None), ("/score", {"rows": [ROW]})):
            kind = {"Content-Type": "application/json"}
            assert client(path, body)[0] == client(path, body, kind | {"Authorization": "Bearer other"})[0] == 403
            assert client(path, body, kind | {"Authorization": "Bearer secret"})[0] == 200


def test_under_load_every_request_is_answered_and_memory_stays(rows):
    many = [{**ROW, "height": 150 + number % 50} for number in range(200)]
    with served(rows) as client:
        expected = client.ask("/score", {"rows": many})
        client.ask("/impute", {"rows": many[:50]})
        before = resident()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: client.ask("/score", {"rows": many}), range(24)))
        assert answers == [expected] * 24
        assert resident() - before < 40 * 2**20


def resident():
    """Bytes of memory that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


class Slow(Service):
    """Holds every answer until it is let go."""

    def __init__(self, run, limits):
        super().__init__(run, limits)
        self.go, self.begun = threading.Event(), 0

    def answer(self, name, body, deadline=None):
        self.begun += 1
        self.go.wait(30)
        return super().answer(name, body, deadline)


def test_more_requests_than_places_are_told_to_come_again(rows, monkeypatch):
    slow = Slow(rows, Limits(requests=2))
    monkeypatch.setattr("served_runs.Service", lambda run, limits: slow)
    with served(rows) as client, ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(client.ask, "/score", {"rows": [ROW]}) for _ in range(2)]
        while not slow.begun:
            time.sleep(0.01)
        time.sleep(0.3)
        status, content, headers = client("/score", {"rows": [ROW]})
        assert (status, headers["retry-after"]) == (429, "1")
        assert "2 requests" in json.loads(content)["error"]
        slow.go.set()
        assert [one.result()[0] for one in waiting] == [200, 200]
        assert client.ask("/score", {"rows": [ROW]})[0] == 200  # both places are free again


def test_what_takes_too_long_is_told_so_and_its_place_is_free_afterwards(rows, monkeypatch):
    slow = Slow(rows, Limits(requests=1, seconds=0.5))
    monkeypatch.setattr("served_runs.Service", lambda run, limits: slow)
    with served(rows) as client:
        status, found = client.ask("/score", {"rows": [ROW]})
        assert status == 503
        assert "0.5 seconds" in found["error"]
        assert client.ask("/score", {"rows": [ROW]})[0] == 429
        slow.go.set()
        for _ in range(100):
            if client.ask("/sample", {"count": 1})[0] != 429:
                break
            time.sleep(0.05)
        assert client.ask("/score", {"rows": [ROW]})[0] == 200


def test_a_fault_of_ours_is_one_message(rows, monkeypatch):
    monkeypatch.setattr(Service, "answer", lambda *given: np.zeros(3)[5])
    with served(rows) as client:
        status, found = client.ask("/score", {"rows": [ROW]})
    assert status == 500
    assert found["error"] == "unexpected IndexError; please report it with the request"


def test_headers_let_nothing_be_loaded():
    assert "default-src 'none'" in http.HEADERS["Content-Security-Policy"]
