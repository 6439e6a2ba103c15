"""Trackers get every number of metrics.jsonl, and a missing package is told before anything begins."""

import csv
import importlib.util
import json
import sys
import types

import pytest

import vael
from vael.cli import main
from vael.cli.options.training import TRACKED
from vael.errors import FormatError, StateError
from vael.training import Row, tracking
from vael.training.tracking import TRACKERS, Tracked, measured, refuse_missing

ROWS = [
    Row(step, step // 10, split, -50.0 + step, 45.0, 5.0, 1e3, float(step), 0, 1e-3, is_bound=True)
    for step in (10, 20)
    for split in ("train", "validation")
]


class StandIn:
    """A package that keeps what it is told."""

    def __init__(self, monkeypatch, name):
        self.said, self.closed = [], 0
        monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda one: True)
        getattr(self, name)(monkeypatch)

    def tensorboard(self, monkeypatch):
        writer = types.SimpleNamespace(
            add_text=lambda *given: None,
            add_scalar=lambda name, value, step: self.said.append((name, value, step)),
            flush=lambda: None,
            close=self.close,
        )
        module = types.SimpleNamespace(SummaryWriter=lambda folder: writer)
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)

    def wandb(self, monkeypatch):
        def log(found):
            step = found.pop("step")
            self.said += [(name, value, step) for name, value in found.items()]

        def init(**how):
            self.how = how
            return types.SimpleNamespace(log=log, finish=self.close)

        monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))

    def mlflow(self, monkeypatch):
        def client(tracking_uri):
            self.how = {"uri": tracking_uri}
            return types.SimpleNamespace(
                get_experiment_by_name=lambda name: None,
                create_experiment=lambda name: "1",
                create_run=lambda experiment, run_name: types.SimpleNamespace(info=types.SimpleNamespace(run_id="r")),
                log_param=lambda *given: None,
                log_metric=lambda run, name, value, step: self.said.append((name, value, step)),
                set_terminated=lambda run: self.close(),
            )

        monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
        monkeypatch.setitem(sys.modules, "mlflow.tracking", types.SimpleNamespace(MlflowClient=client))

    def close(self):
        self.closed += 1


def test_the_command_knows_every_tracker():
    assert tuple(TRACKERS) == TRACKED


@pytest.mark.parametrize("inner", [True, False])
@pytest.mark.parametrize("name", TRACKERS)
def test_nothing_is_tracked_through_a_link_in_a_run_folder(monkeypatch, tmp_path, name, inner):
    """Which a folder from somebody else can have; whether the package is there or not."""
    for package in ("torch.utils.tensorboard", "wandb", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, package, None)  # nothing of it is asked before
    folder, away = tmp_path / "run" / tracking.FOLDER, tmp_path / "away"
    (tmp_path / "run").mkdir()
    away.mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    if inner:
        folder.mkdir()
        (folder / TRACKERS[name].place).symlink_to(away, target_is_directory=True)
    else:
        folder.symlink_to(away, target_is_directory=True)
    with pytest.raises(FormatError, match="is a link"):
        TRACKERS[name](Tracked("run", folder))
    assert list(away.iterdir()) == []


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_every_number_of_every_row_is_told_once(monkeypatch, tmp_path, name):
    known = StandIn(monkeypatch, name)
    with TRACKERS[name](Tracked("run", tmp_path / "t", {"latent": 3})) as tracker:
        for row in ROWS:
            tracker.row(row)
    expected = [(f"{row.split}/{what}", value, row.step) for row in ROWS for what, value in measured(row)]
    assert known.said == expected
    assert {what for what, _ in measured(ROWS[0])} == {
        "bound", "distortion", "divergence", "examples_per_second", "seconds", "skipped", "learning_rate",
    }  # fmt: skip
    assert known.closed == 1


def test_nothing_leaves_the_machine_unless_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    known = StandIn(monkeypatch, "wandb")
    TRACKERS["wandb"](Tracked("run", tmp_path))
    assert known.how["mode"] == "offline"
    monkeypatch.setenv("WANDB_MODE", "online")
    TRACKERS["wandb"](Tracked("run", tmp_path))
    assert known.how["mode"] == "online"
    known = StandIn(monkeypatch, "mlflow")
    TRACKERS["mlflow"](Tracked("run", tmp_path))
    assert known.how["uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    TRACKERS["mlflow"](Tracked("run", tmp_path))
    assert known.how["uri"] == "http://127.0.0.1:1"


def test_what_is_not_finite_is_left_out():
    row = Row(1, 1, "train", float("nan"), 1.0, float("inf"), 1.0, 1.0, 0, None, is_bound=False)
    assert dict(measured(row)) == {"distortion": 1.0, "examples_per_second": 1.0, "seconds": 1.0, "skipped": 0}


def lines(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_every_line_of_metrics_also_after_going_on(tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["train", "digits", "--run", str(folder), "--hidden", "8", "--latent", "2", "--no-report", "-q"]
    words += ["--importance-samples", "2", "--track", "csv"]
    for more in (["--epochs", "2"], ["--epochs", "4", "--resume"]):
        assert main([*words, *more]) == 0
        kept = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        told = lines(folder / "tracking" / "metrics.csv")
        assert told == [{name: "" if one is None else str(one) for name, one in row.items()} for row in kept]
    assert vael.load(folder).history[-1].epoch == 4
    capsys.readouterr()


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_told_before_a_folder_is_made(monkeypatch, tmp_path, capsys, name):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda one: None)
    with pytest.raises(StateError, match=rf"pip install 'vael\[{name}\]'"):
        refuse_missing([name])
    assert main(["train", "digits", "--run", str(tmp_path / "run"), "--track", name]) == 2
    assert name in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_event_files_of_tensorboard_hold_the_numbers(tmp_path):
    if importlib.util.find_spec("tensorboard") is None:
        pytest.skip("tensorboard is not installed: pip install 'vael[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TRACKERS["tensorboard"](Tracked("run", tmp_path, {"latent": 3})) as tracker:
        for row in ROWS:
            tracker.row(row)
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(one.step, one.value) for one in found.Scalars("validation/bound")] == [(10, -40.0), (20, -30.0)]


def test_runs_of_mlflow_hold_the_numbers(tmp_path, monkeypatch):
    if importlib.util.find_spec("mlflow") is None:
        pytest.skip("mlflow is not installed: pip install 'vael[mlflow]'")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with TRACKERS["mlflow"](Tracked("run", tmp_path, {"latent": 3})) as tracker:
        for row in ROWS:
            tracker.row(row)
        found = tracker.client.get_metric_history(tracker.run_id, "validation/bound")
    assert [(one.step, one.value) for one in found] == [(10, -40.0), (20, -30.0)]
    run = tracker.client.get_run(tracker.run_id)
    assert (run.data.params["latent"], run.info.status) == ("3", "FINISHED")


def test_runs_of_wandb_are_kept_offline(tmp_path, monkeypatch):
    if importlib.util.find_spec("wandb") is None:
        pytest.skip("wandb is not installed: pip install 'vael[wandb]'")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with TRACKERS["wandb"](Tracked("run", tmp_path, {"latent": 3})) as tracker:
        for row in ROWS:
            tracker.row(row)
        assert tracker.run.summary["validation/bound"] == -30.0
    assert list((tmp_path / "wandb").glob("offline-run-*"))
