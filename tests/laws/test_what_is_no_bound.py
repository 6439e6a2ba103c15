"""An objective that bounds nothing is called a bound nowhere: no line, card, caption, key or column of any command
that tells of such a run.
"""

import json
import re

import numpy as np
import pytest
import torch

from oracles import Even
from vael import domains
from vael.cli.main import main
from vael.cli.progress import PlainLines, numbers
from vael.data import Kind, Source, Splits
from vael.data.facts import Facts
from vael.evaluation import evaluate
from vael.inference import GradientAscent
from vael.models import BernoulliHead, CrossEntropyHead, SquaredErrorHead, is_likelihood
from vael.models.families import LikelihoodPart
from vael.models.parts import VAEPart
from vael.objectives import ELBO, ImportanceWeighted, Reconstruction, SampledELBO
from vael.parts import members
from vael.recipes import dense
from vael.report import ReportInput, sweep
from vael.report.figures import curves
from vael.training import Callback, Lines, Settings, Tick, run
from vael.training.history import read_rows

LIKELIHOODS = members(LikelihoodPart)
NONE = [name for name, part in LIKELIHOODS.items() if not part.is_likelihood]
CALLED = re.compile(r"(?<!no )\bbound\b|elbo|evidence", re.IGNORECASE)


def said(text):
    """What calls something a bound in a text, drawings and styles left aside."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", text, flags=re.S)
    return [text[max(0, one.start() - 60) : one.end() + 40] for one in CALLED.finditer(text)]


@pytest.fixture(scope="module", params=NONE)
def told(request, tmp_path_factory):
    """Everything that the commands print and write of a run with this likelihood, by where it stands."""
    folder = tmp_path_factory.mktemp("run")
    grey = np.random.default_rng(0).random((120, 1, 6, 6)).astype(np.float32)
    np.save(folder / "x.npy", grey)
    small = ["--likelihood", request.param, "--hidden", "8", "--latent", "2", "--epochs", "2", "--precision", "float32"]
    return folder, ["train", str(folder / "x.npy"), *small, "--no-compile", "--run", str(folder / "run")]


def test_no_command_calls_it_a_bound(told, capsys):
    folder, train = told
    run = str(folder / "run")
    assert main(train) == 0
    texts = {"train": capsys.readouterr().out, "metrics.jsonl": (folder / "run" / "metrics.jsonl").read_text()}
    texts["report"] = (folder / "run" / "report.html").read_text()
    for command in (
        ["evaluate", run],
        ["score", run, "-o", str(folder / "s.csv"), "--threshold", "0.5"],
        ["reconstruct", run, "--optimize", "2"],
    ):
        assert main(command) == 0
        texts[command[0]] = capsys.readouterr().out
    texts["scores"] = (folder / "s.csv").read_text().splitlines()[0]
    assert {place: said(text) for place, text in texts.items() if said(text)} == {}
    assert main(["evaluate", run, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["elbo"] is None
    assert found["log_likelihood"] is None
    assert found["objective"] < 0
    assert found["is_bound"] is False
    assert main(["sample", run, "-n", "4", "-o", str(folder / "s.npy")]) == 0
    assert "no likelihood" in capsys.readouterr().err
    assert main(["sample", run, "-n", "4", "--mean", "-o", str(folder / "m.npy")]) == 0
    assert np.array_equal(np.load(folder / "s.npy"), np.load(folder / "m.npy"))


def test_the_page_of_a_sweep_calls_it_none():
    x = torch.rand(20, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    source, model = Source("grey", x, Kind.REAL, ""), dense((1, 3, 3), CrossEntropyHead(), latent=1, hidden=(2,))
    judged = evaluate(model, source, importance_samples=10)
    point = sweep.Point("a", ReportInput(model, Splits(source, source, None), view=domains.of(source)), judged)
    assert (
        said(
            f"{sweep.NO_BOUND} {sweep.table([point])} {list(sweep.remarks([point]))} {sweep.called(judged)}".replace(
                "is_bound", ""
            )
        )
        == []
    )
    assert sweep.numbers(point)["elbo"] is None
    assert sweep.numbers(point)["objective"] == judged.elbo


@pytest.mark.parametrize(
    "objective", [ELBO(), SampledELBO(), ImportanceWeighted(), Reconstruction()], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize(
    "head", [BernoulliHead(), CrossEntropyHead(), SquaredErrorHead()], ids=lambda one: type(one).__name__
)
def test_an_algorithm_knows_whether_it_climbs_a_bound(objective, head):
    model = dense((1, 2, 2), BernoulliHead(), latent=1, hidden=(2,))
    model.likelihood.head = head
    assert (
        GradientAscent(model, objective).is_bound
        == (objective.is_bound and head.is_likelihood)
        == (objective.is_bound and is_likelihood(model))
    )


@pytest.mark.parametrize("objective", [ELBO(), Even(), Reconstruction()], ids=lambda one: type(one).__name__)
def test_training_calls_a_bound_what_is_one_whatever_the_likelihood(objective, tmp_path):
    """Rows, metrics.jsonl, lines from Python and on the command line, curves and the reason to stop."""
    x = (torch.rand(40, 1, 2, 2, generator=torch.Generator().manual_seed(0)) < 0.5).to(torch.uint8)
    splits = Splits(Source("dots", x, Kind.BINARY, "dots"), Source("more", x[:10], Kind.BINARY, "more"), None)
    model = dense((1, 2, 2), BernoulliHead(), latent=1, hidden=(2,))
    lines = []
    listeners = [Lines(lines.append), PlainLines(lines.append), Ticks(lines)]
    settings = Settings(epochs=40, batch=20, patience=2, schedule=lambda share: 0.0, compiled=False)
    fit = run(GradientAscent(model, objective), splits, settings, folder=tmp_path, callbacks=listeners)
    listeners[1].close()
    rows = (tmp_path / "metrics.jsonl").read_text()
    curve = curves(ReportInput(fit.model, splits, fit.history, view=domains.of(splits.train)), tmp_path)
    texts = {"lines": "\n".join(lines), "stopped": fit.stopped, "rows": rows, "curves": curve.caption}
    assert {place: bool(said(text)) for place, text in texts.items()} == dict.fromkeys(texts, objective.is_bound)
    assert {row.is_bound for row in (*fit.history, *read_rows(tmp_path / "metrics.jsonl"), fit)} == {objective.is_bound}


class Ticks(Callback):
    """Keeps what a live line would say of each tick."""

    def __init__(self, lines):
        self.lines = lines

    def row(self, row):
        tick = Tick(row.step, row.epoch, 0.5, row.elbo, row.distortion, row.divergence, 1.0, 1.0, row.is_bound)
        self.lines.append(numbers(tick))


def test_every_likelihood_says_whether_it_is_one():
    assert NONE
    assert all(VAEPart(likelihood=name).is_likelihood != (name in NONE) for name in LIKELIHOODS)
    grid = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None, None, None, None].double()
    for name in NONE:  # what is excused integrates to something else
        facts = Facts("x", (1, 1, 1), Kind.REAL, None)
        law = LIKELIHOODS[name](**({"largest": 1.0} if name == "cross-entropy" else {})).build(facts)(
            torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
        )
        assert abs(float(law.log_prob(grid).exp().mean()) - 1) > 0.05
