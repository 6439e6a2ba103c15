"""A service that is really served, and a client that asks it."""

import http.client
import json
from contextlib import contextmanager

from small_runs import answering_beside
from vael.explorer.serving import answering, listening
from vael.service import Limits, Service
from vael.service.server import application


class Client:
    """Asks a service that is really served."""

    def __init__(self, port):
        self.port = port

    def __call__(self, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"Content-Type": "application/json"} if headers is None else headers
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, content, given)
        found = connection.getresponse()
        answer = found.status, found.read(), dict(found.getheaders())
        connection.close()
        return answer

    def ask(self, path, body):
        status, content, _ = self(path, body)
        return status, json.loads(content)


@contextmanager
def served(run, token=None, **limits):
    place = listening(None)
    place.listen()
    with answering_beside(answering(application(Service(run, Limits(**limits)), token)), place) as port:
        yield Client(port)
