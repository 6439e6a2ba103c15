"""What tests of several folders need of a run: a small one on series, and a server that really answers for it."""

import threading
from contextlib import contextmanager

import numpy as np

import vael


def series_run(place):
    """Twelve waves of forty steps in a file, and a run on them."""
    noise = np.random.default_rng(0)
    lines = ["time,id,load,heat"]
    for one in range(12):
        lines += [f"{t},{one},{np.sin(t / 3) + noise.normal(0, 0.1):.3f},{noise.normal():.3f}" for t in range(40)]
    (place / "series.csv").write_text("\n".join(lines) + "\n")
    options = {"sequence": "time", "id": "id", "window": 8, "callbacks": (), "epochs": 1}
    return vael.train(place / "series.csv", run=place / "series", **options)


@contextmanager
def answering_beside(server, place):
    """The port of a server that answers in a thread of its own, at a socket that listens."""
    thread = threading.Thread(target=server.run, args=([place],), daemon=True)
    thread.start()
    yield place.getsockname()[1]
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()
