"""What every test can count on: precision and threads that do not depend on the machine, its own random state, real
data if there are any.

Whatever trains in a test or in a process that a test starts, and asks for no precision, trains in float32 with one
thread. `make test PRECISION=bfloat16 THREADS=2` runs the same tests in the other ways, in which they hold too.
"""

import contextlib
import functools
import gc
import html
import io
import os
import signal
import typing
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from matplotlib.text import Text
from PIL import Image

import checked_calls
import slower


def pytest_configure(config):
    """Before any test is imported: fixtures of modules train as well."""
    gc.disable()  # a third of the time of collecting, in which nothing becomes garbage
    os.environ.setdefault("VAEL_PRECISION", "float32")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # for processes that are started; tests run side by side, one process per core
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    os.fsync = lambda descriptor: None  # no test takes the power away; that it is asked for, tests/test_files.py says
    checked_calls.install()
    config.pluginmanager.register(slower)
    # A shell's `&` and `nohup` have some ignored, which every process that is started inherits.
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    for kind in (getattr(signal, name) for name in names if hasattr(signal, name)):
        if signal.getsignal(kind) is signal.SIG_IGN:
            signal.signal(kind, signal.default_int_handler if kind == signal.SIGINT else signal.SIG_DFL)


SLOWEST = (
    "test_docs.py",
    "test_gradient.py",
    "test_loop.py",
    "test_training_sweeps.py",
)  # whose longest tests take the longest of all


GRAPHS = ("/explorer/", "/test_export.py", "/test_exploring.py", "/test_json_of_commands.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """What takes longest comes first, so that no worker is left with it at the end; then what traces and exports
    graphs, side by side: the first graph takes a worker five seconds of imports.
    """
    items.sort(
        key=lambda item: (
            item.path.name not in SLOWEST,
            not any(part in item.path.as_posix() for part in GRAPHS),
        )
    )


def one_pixel():
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "png")
    return stream.getvalue()


INSTEAD = {"png": one_pixel(), "pdf": b"%PDF-1.4 not drawn"}
FIGURES = {"whole": True, "drawn": True}  # for the test that runs


def pytest_collection_finish():
    """Whatever was imported stays, so that the garbage collector has no reason to look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()
    from vael.report import style

    style.rendered = functools.partial(rendered_in_tests, style.rendered)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Before the first fixture: whether every file of a figure is drawn."""
    FIGURES["whole"] = item.get_closest_marker("slow") is not None
    FIGURES["drawn"] = is_drawn(item)


@pytest.fixture(scope="session")
def figures_whole():
    """Context in which every file of a figure is drawn, for what is said of those files."""

    @contextlib.contextmanager
    def drawn():
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(FIGURES, "whole", True)
            yield

    return drawn


DRAWN = (
    "report",
    "laws/test_capabilities.py",
    "laws/test_combinations.py",
    "laws/test_conditions_of_runs.py",
    "laws/test_domains.py",
    "cli/test_training_sweeps.py",
)  # where the report of every model, part and kind of data is made: each figure is drawn as the page shows it


def is_drawn(item):
    place = item.path.relative_to(Path(__file__).parent) if item.path.is_relative_to(Path(__file__).parent) else Path()
    return any(place.is_relative_to(one) for one in DRAWN)


def rendered_in_tests(rendered, figure, kind):
    """A figure as the page shows it where tests are about reports, and elsewhere its texts alone: drawing takes as long
    as the training. Its other files, two thirds of the time of a report, are of one pixel or empty.
    """
    if FIGURES["whole"] or (kind == "svg" and FIGURES["drawn"]):
        return rendered(figure, kind)
    return texts_of(figure) if kind == "svg" else INSTEAD[kind]


def texts_of(figure):
    """A file for the page with what is written in the figure."""
    words = [html.escape(one.get_text()) for one in figure.findobj(Text) if one.get_text()]
    inside = "".join(f"<text>{word}</text>" for word in words)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{inside}</svg>'.encode()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Function from a name and a maker to a folder that the first process of this test session that asks for it makes,
    and all read.

    `make(place)` fills the folder `place`, which does not yet exist. Whoever would change a file makes a copy.
    """
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root) / "made-once"
    root.mkdir(exist_ok=True)

    def folder(name, make):
        place = root / name
        with FileLock(f"{place}.lock"):
            if not place.exists():
                make(root / f"{name}.unfinished")
                (root / f"{name}.unfinished").rename(place)
        return place

    return folder


@pytest.fixture(scope="session")
def _operators_listed_once():
    """PyTorch lists all of its operators twice for each graph that it exports, because somebody may have added one:
    half of the time of a small graph. No test adds one; a PyTorch without this function exports as before. A quarter
    of the rest is an annotation, made anew for each operator, that `typing` makes once and `collections.abc` each time.
    """
    from torch.export import decomp_utils, exported_program

    with pytest.MonkeyPatch.context() as patch:
        for module in (decomp_utils, exported_program):
            if listed := getattr(module, "_collect_all_valid_cia_ops", None):
                patch.setattr(module, "_collect_all_valid_cia_ops", functools.cache(listed))
        patch.setattr(torch._ops, "Callable", typing.Callable, raising=False)
        yield


def random_states():
    """The global random states of NumPy and PyTorch, as things that can be compared (Python's own is used by
    beartype).
    """
    kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 (the state that must stay as it is)
    return (kind, keys.tobytes(), *rest), torch.get_rng_state().numpy().tobytes()


@pytest.fixture(autouse=True)
def _own_random_state():
    """Whatever a test draws from PyTorch's global generator is the same in any order of tests, and so is the number
    of threads.
    """
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            0
        )  # `torch.manual_seed` notes a call, with its stack, for each absent device
        yield


@pytest.fixture
def random_state_untouched():
    """Ask for it where the body must not draw from, or seed, any global generator; fails at the end if it did."""
    before = random_states()
    yield
    for name, was, now in zip(("numpy.random", "torch"), before, random_states(), strict=True):
        assert was == now, (
            f"the global state of {name} was changed; draw from a torch.Generator or a vael.probability.Noise"
        )


@pytest.fixture(scope="session")
def vael_data():
    """Function from the name of a data set to its folder under VAEL_DATA; the test is skipped where it is not there."""
    root = os.environ.get("VAEL_DATA")

    def folder(name=""):
        if not root:
            pytest.skip("VAEL_DATA is not set, so there are no real data to test on")
        if not (Path(root) / name).is_dir():
            pytest.skip(f"VAEL_DATA has no folder {name}")
        return Path(root) / name

    return folder
