"""What belongs to the caller's process is as it was after everything that the package does, and fits side by side
are those one after another.
"""

import contextlib
import decimal
import gc
import io
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from sklearn.model_selection import GridSearchCV

import vael
from vael import cli, process
from vael.applications.export import export_onnx
from vael.estimators import VAEDensity, VAEImputer, VAEOutlierDetector, VAETransformer
from vael.evaluation.classifier import ClassifierSettings, train_classifier
from vael.report.style import new_figure, rendered, styled

TINY = {"epochs": 1, "latent": 2, "hidden": (4,), "precision": "float32", "compile": False}


def small(value=1e-40):
    """How many of the cells of two threads stay denormal when they are halved."""
    return int((torch.full((1 << 17,), value) * 0.5 != 0).sum())


def mask():
    """The permissions that new files do not get."""
    now = os.umask(0)
    os.umask(now)
    return now


def signals():
    """What is done at each signal."""
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


LOOKS = {
    "denormal numbers of NumPy": lambda: (np.array([1e-310]) * 0.5).tolist(),
    "denormal numbers of Python": process.flushes,
    "denormal numbers of PyTorch": small,
    "errors of NumPy": np.geterr,
    "random numbers of NumPy": lambda: np.random.get_state(legacy=True)[1].tobytes(),  # noqa: NPY002 (the state that must stay as it is)
    "random numbers of PyTorch": lambda: torch.get_rng_state().numpy().tobytes(),
    "random numbers of Python": random.getstate,
    "threads": torch.get_num_threads,
    "default dtype": torch.get_default_dtype,
    "default device": torch.get_default_device,
    "gradients": lambda: (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
    "determinism": lambda: (torch.are_deterministic_algorithms_enabled(), torch.get_deterministic_debug_mode()),
    "precision of products": lambda: (
        torch.get_float32_matmul_precision(),
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.benchmark,
    ),
    "compiler": lambda: (torch._dynamo.config.get_config_copy(), torch._inductor.config.get_config_copy()),
    "printing": lambda: (vars(torch._tensor_str.PRINT_OPTS).copy(), np.get_printoptions()),
    "warnings": lambda: list(warnings.filters),
    "signals": signals,
    "matplotlib": lambda: (dict(mpl.rcParams), mpl.get_backend()),
    "logging": lambda: {
        name: logging.getLogger(name).level for name in (None, "torch", "torch.onnx", "matplotlib", "PIL")
    },
    "handlers of logging": lambda: list(logging.getLogger().handlers),
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "environment": lambda: dict(os.environ),
    "file permissions": mask,
    "folder": os.getcwd,
    "recursion": sys.getrecursionlimit,
    "pixels": lambda: (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
    "streams": lambda: (sys.stdout, sys.stderr, sys.stdin, sys.excepthook, sys.displayhook, threading.excepthook),
    "decimals": lambda: repr(decimal.getcontext()),
    "garbage": lambda: (gc.isenabled(), gc.get_threshold()),
}


def state():
    """Everything that is looked at, by name."""
    return {name: look() for name, look in LOOKS.items()}


def changed(before, after):
    """Names of what is not as it was (beartype draws from Python's own generator)."""
    return [name for name in LOOKS if before[name] != after[name] and name != "random numbers of Python"]


@pytest.fixture(scope="module")
def rows():
    """Rows of three columns, enough to measure scores by."""
    return np.random.default_rng(0).normal(size=(240, 3))


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory):
    """The folder of a tiny run on an array, which lies beside it."""
    assert not process.flushes(), "an earlier test has left denormal numbers switched off"
    folder, before = tmp_path_factory.mktemp("caller"), state()
    np.save(folder / "rows.npy", rows.astype(np.float32))
    vael.train(folder / "rows.npy", run=folder / "run", **TINY)
    assert changed(before, state()) == []
    return folder / "run"


def command(*words):
    """A command, as a program would call it in its own process."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert cli.main([str(word) for word in words]) == 0


ACTIONS = {
    "fit": lambda run, rows: VAEDensity(max_iter=1, random_state=0).fit(rows).score(rows),
    "fit and transform": lambda run, rows: VAETransformer(max_iter=1, random_state=0).fit_transform(rows),
    "impute": lambda run, rows: VAEImputer(max_iter=1, random_state=0).fit_transform(
        np.where(rows > 1.5, np.nan, rows)
    ),
    "detect": lambda run, rows: VAEOutlierDetector(max_iter=1, random_state=0).fit(rows).predict(rows),
    "train": lambda run, rows: vael.train(run.parent / "rows.npy", threads=2, **TINY),
    "load": lambda run, rows: vael.load(run),
    "evaluate": lambda run, rows: command("evaluate", run, "--importance-samples", 3, "--threads", 2),
    "score": lambda run, rows: command("score", run, run.parent / "rows.npy", "-o", run.parent / "scores.csv"),
    "sample": lambda run, rows: command("sample", run, "-n", 3, "-o", run.parent / "samples.npy"),
    "draw": lambda run, rows: drawing(),
    "report": lambda run, rows: command("report", run, "--importance-samples", 3),
    "export": lambda run, rows: export_onnx(vael.load(run).model, (3,), run.parent / "graphs"),
    "classify": lambda run, rows: train_classifier(
        vael.data.load("digits").validation, ClassifierSettings(hidden=(2,), epochs=1)
    ),
}


def drawing():
    """A figure as the report draws its own."""
    with styled():
        figure = new_figure(1.0, 1.0)
        figure.gca().set_title("鸟")
        return rendered(figure, "png")


SLOW = {"report": pytest.mark.slow, "export": pytest.mark.slow}


@pytest.mark.parametrize("action", [pytest.param(name, marks=SLOW.get(name, ())) for name in ACTIONS])
def test_the_callers_process_is_as_it_was(action, run, rows):
    if action == "export":
        pytest.importorskip("onnxruntime")
    before = state()
    ACTIONS[action](run, rows)
    assert changed(before, state()) == []


def test_the_callers_process_is_as_it_was_after_several_threads(run, rows):
    before = state()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: ACTIONS[name](run, rows), ["load", "draw", "fit", "train", "detect", "draw", "fit"]))
    assert changed(before, state()) == []


def test_threads_of_operations_are_as_they_were():
    """Two threads share the operations of a fit, and neither takes denormal numbers for zero afterwards."""
    former = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with process.tuned():
            assert small() == 0
        assert small() == 1 << 17
    finally:
        torch.set_num_threads(former)


def test_who_flushes_denormal_numbers_goes_on_to_do_so(rows):
    torch.set_flush_denormal(True)
    try:
        VAEDensity(max_iter=1, random_state=0).fit(rows)
        assert process.flushes()
    finally:
        torch.set_flush_denormal(False)


def test_filters_of_warnings_are_shared_and_put_back():
    """The first of two threads ends before the second, which is where `catch_warnings` leaves the filter behind."""
    before = list(warnings.filters)
    one, two = process.ignoring(UserWarning, "so"), process.ignoring(UserWarning, "so")
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert list(warnings.filters) != before
    two.__exit__(None, None, None)
    assert list(warnings.filters) == before


def weights(model):
    """Every number of a model."""
    return [tensor.numpy().tobytes() for tensor in model.state_dict().values()]


def test_fits_in_threads_are_those_one_after_another(rows):
    """Each a function of its seed alone, while other threads draw from the global generator."""

    def one(seed):
        torch.randn(3)
        return weights(VAEDensity(max_iter=2, random_state=seed % 2).fit(rows).fitted_.model)

    alone = [one(seed) for seed in range(2)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(8))) == alone * 4


def test_a_grid_search_in_threads_is_the_one_in_sequence(rows):
    from joblib import parallel_backend

    def found(jobs):
        search = GridSearchCV(VAEDensity(max_iter=1, random_state=0), {"n_components": [1, 2]}, cv=2, n_jobs=jobs)
        with parallel_backend("threading", n_jobs=jobs):
            return search.fit(rows).cv_results_["mean_test_score"].tolist()

    assert found(4) == found(1)
