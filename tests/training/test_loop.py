"""The loop: equal runs are equal, a killed run goes on as if nothing had happened, several processes train as one."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from vael.data import Kind, Source, Splits
from vael.data.transforms import DynamicBinarization
from vael.errors import StateError
from vael.inference import AdamW, ExpectationMaximization, GradientAscent
from vael.models import VAE, BernoulliHead, Decoder, GaussianMixture, GaussianPosterior, StandardNormal
from vael.networks import Dense
from vael.objectives import ELBO, Beta
from vael.training import Callback, Keep, Settings, permutation, run
from vael.training.checkpoint import read_tensors
from vael.training.schedules import Constant, WarmupCosine
from vael.training.stepping import Stepping
from vael.training.store import FolderStore


def stripes(examples: int, seed: int) -> Source:
    """Binary 4×4 images with one bright row or column and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.randint(0, 8, (examples,), generator=generator)
    images = torch.zeros(examples, 4, 4, dtype=torch.uint8)
    for i, k in enumerate(place.tolist()):
        if k < 4:
            images[i, k, :] = 1
        else:
            images[i, :, k - 4] = 1
    flip = torch.rand(images.shape, generator=generator) < 0.05
    return Source("stripes", (images ^ flip.to(torch.uint8))[:, None], Kind.BINARY, f"stripes-{examples}-{seed}")


def splits() -> Splits:
    return Splits(stripes(150, 0), stripes(50, 1), stripes(50, 2))


def algorithm(**how) -> GradientAscent:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        likelihood = Decoder(Dense((3,), (1, 4, 4), (16,)), BernoulliHead())
        model = VAE(StandardNormal(3), likelihood, GaussianPosterior(Dense((1, 4, 4), (6,), (16,))))
    return GradientAscent(model, **how)


SETTINGS = Settings(epochs=6, batch=32, seed=5, compiled=False)


class KillAt(Callback):
    """Sends this process a signal once a given step is past (the loop calls `row` at the end of an epoch)."""

    def __init__(self, step: int) -> None:
        self.step = step

    def row(self, row) -> None:
        if row.step >= self.step and row.split == "train":
            os.kill(os.getpid(), signal.SIGTERM)


def weights(fit) -> dict[str, torch.Tensor]:
    return dict(fit.model.named_parameters())


@pytest.mark.parametrize("steps", [1, 7, 8, 9])
def test_a_run_of_few_steps_hands_over_weights_that_moved(steps):
    """Averages are taken every eighth step; a run that ends before hands over the weights of its last step."""
    few = replace(SETTINGS, epochs=1, keep=Keep.LAST)
    first, data = algorithm().model.state_dict(), Splits(stripes(32 * steps, 0), stripes(50, 1), None)
    averaged, last = (run(algorithm(ema=decay), data, few) for decay in (0.999, 0.0))
    assert averaged.steps == steps
    assert any(not torch.equal(weight, first[name]) for name, weight in weights(averaged).items())
    equal = all(torch.equal(weight, weights(last)[name]) for name, weight in weights(averaged).items())
    assert equal is (steps < GradientAscent.EMA_EVERY)
    if equal:
        assert [row.elbo for row in averaged.history] == [row.elbo for row in last.history]


def test_two_runs_with_one_seed_are_equal_and_another_seed_is_not():
    first, second = (run(algorithm(), splits(), SETTINGS) for _ in range(2))
    assert all(torch.equal(a, weights(second)[name]) for name, a in weights(first).items())
    other = run(algorithm(), splits(), replace(SETTINGS, seed=6))
    assert any(not torch.equal(a, weights(other)[name]) for name, a in weights(first).items())


class Listening(GradientAscent):
    """Notes the first variates that each step and each judgement is given."""

    def init(self, data, world):
        self.steps, self.judged = [], []
        return super().init(data, world)

    def step(self, state, batch, moment):
        self.steps.append(moment.noise.normal((1, len(batch), 2), batch.x.float()))
        return super().step(state, batch, moment)

    def bound(self, state, batch, noise):
        self.judged.append(noise.normal((1, len(batch), 2), batch.x.float()))
        return super().bound(state, batch, noise)


def heard(seed: int) -> Listening:
    ascent = Listening(algorithm().model)
    run(ascent, splits(), replace(SETTINGS, seed=seed, epochs=3))
    ascent.steps = ascent.steps[-15:]  # before them come rehearsals that are undone
    return ascent


def test_every_step_has_noise_of_its_own_and_a_judgement_always_the_same():
    """Variates of all steps differ, within an epoch and at the same place of two epochs; equal runs have equal
    ones, other seeds others.
    """
    first, again, other = heard(5), heard(5), heard(6)
    assert len(first.steps) == 15
    assert len({tuple(noise.flatten().tolist()) for noise in first.steps}) == 15
    assert len({value for noise in first.steps for value in noise.flatten().tolist()}) > 0.99 * sum(
        noise.numel() for noise in first.steps
    )
    assert all(torch.equal(a, b) for a, b in zip(first.steps, again.steps, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.steps, other.steps, strict=True))
    assert len(first.judged) == 3
    assert all(torch.equal(first.judged[0], noise) for noise in (*first.judged, *again.judged))
    assert not torch.equal(first.judged[0], other.judged[0])


class Looking(GradientAscent):
    """Notes the cells of each step and of each judgement."""

    def init(self, data, world):
        self.steps, self.judged = [], []
        return super().init(data, world)

    def step(self, state, batch, moment):
        self.steps.append(dict(zip(batch.index.tolist(), batch.x.flatten(1).tolist(), strict=True)))
        return super().step(state, batch, moment)

    def bound(self, state, batch, noise):
        self.judged.append(batch.x.clone())
        return super().bound(state, batch, noise)


def looked(seed: int) -> Looking:
    grey = [
        torch.randint(0, 256, (count, 1, 4, 4), generator=torch.Generator().manual_seed(count), dtype=torch.uint8)
        for count in (40, 30)
    ]
    sources = [Source("grey", x, Kind.BINARY, f"grey-{len(x)}", transform=DynamicBinarization(255.0)) for x in grey]
    ascent = Looking(algorithm().model)
    run(ascent, Splits(*sources, None), replace(SETTINGS, seed=seed, epochs=3))
    return ascent


def test_what_data_draw_is_anew_in_every_epoch_and_the_same_in_every_judgement():
    """Binarised by chance: an example differs from epoch to epoch; validation data depend on the seed alone.

    Equal by chance: 2^-600.
    """
    first, again, other = looked(5), looked(5), looked(6)
    epochs = [first.steps[-4] | first.steps[-3], first.steps[-2] | first.steps[-1]]
    assert epochs[0].keys() == epochs[1].keys() == set(range(40))
    assert sum(epochs[0][i] != epochs[1][i] for i in range(40)) > 20
    assert first.steps == again.steps
    assert len(first.judged) == 3
    assert all(torch.equal(first.judged[0], x) for x in (*first.judged, *again.judged))
    assert not torch.equal(first.judged[0], other.judged[0])


def stopped_at(monkeypatch, step: int, settings: Settings, interrupted: bool = False):
    """Rows of a run that ends after so many steps, by a signal or for another reason."""

    def reason(training, flag):
        if training.step == step and interrupted:
            flag.set()
        return "done" if training.step == step else ""

    monkeypatch.setattr("vael.training.loop.Training._reason_to_stop", reason)
    return [(row.step, row.split) for row in run(algorithm(), splits(), settings).history]


@pytest.mark.parametrize("limit", [None, 1000.0, 1e-3, 1.0])
def test_a_run_with_a_time_limit_is_judged_forty_times_at_most_and_at_its_end(limit, monkeypatch):
    """Of 1000 seconds every 25; of one second every 0.025, less than an epoch of five steps of ten milliseconds
    takes.
    """
    going = Stepping.take
    pause = 0.01 if limit == 1.0 else 0.0
    monkeypatch.setattr(Stepping, "take", lambda self, step, progress: time.sleep(pause) or going(self, step, progress))
    rows = stopped_at(monkeypatch, 15, replace(SETTINGS, epochs=3, time_limit=limit))
    assert [step for step, split in rows if split == "validation"] == ([15] if limit == 1000.0 else [5, 10, 15])
    assert [step for step, split in rows if split == "train"] == [5, 10, 15]


def test_a_run_that_ends_in_mid_epoch_is_judged_there_but_not_by_a_signal(monkeypatch):
    whole = [(5, "train"), (5, "validation"), (10, "train"), (10, "validation")]
    assert stopped_at(monkeypatch, 13, SETTINGS) == [*whole, (13, "train"), (13, "validation")]
    assert stopped_at(monkeypatch, 13, SETTINGS, interrupted=True) == whole
    assert stopped_at(monkeypatch, 10, SETTINGS) == whole


def test_training_raises_the_bound():
    fit = run(algorithm(), splits(), replace(SETTINGS, epochs=60))
    validation = [row.elbo for row in fit.history if row.split == "validation"]
    assert validation[-1] > validation[0] + 1.0  # nats; starts at 16 log 2 = 11.09
    assert fit.best_elbo == max(validation)


@pytest.mark.parametrize("step", [1, 12])
def test_a_run_stopped_by_a_signal_and_resumed_ends_in_equal_weights(tmp_path, step):
    whole = run(algorithm(), splits(), SETTINGS, folder=tmp_path / "whole")
    half = run(algorithm(), splits(), SETTINGS, folder=tmp_path / "half", callbacks=[KillAt(step)])
    assert half.interrupted
    assert half.steps < whole.steps
    resumed = run(algorithm(), splits(), SETTINGS, folder=tmp_path / "half", resume=True)
    assert resumed.steps == whole.steps
    assert all(torch.equal(a, weights(resumed)[name]) for name, a in weights(whole).items())
    state_a, state_b = (
        read_tensors(tmp_path / name / "checkpoint" / "state.safetensors")[0] for name in ("whole", "half")
    )
    assert all(torch.equal(state_a[name], state_b[name]) for name in state_a)
    elbo = [[(r.step, r.split, r.elbo) for r in fit.history] for fit in (whole, resumed)]
    assert elbo[0] == elbo[1]


KILLED = """
import os, pathlib, signal, sys
sys.path.insert(0, {tests!r})
from test_loop import OFTEN, SETTINGS, algorithm, splits
from vael.training import run
from vael.training.stepping import Stepping
going = Stepping.take
def stopped(self, step, progress):
    if step == 13:  # no rehearsal, whose steps are the first of all
        os.kill(os.getpid(), signal.SIGKILL)
    return going(self, step, progress)
Stepping.take = stopped
run(algorithm(), splits(), OFTEN, folder=pathlib.Path(sys.argv[1]))
"""
OFTEN = replace(SETTINGS, checkpoint_every=1e-9)  # seconds: after every step


def started(tmp_path, code: str, *words: str) -> subprocess.CompletedProcess:
    """The code in a process of its own."""
    script = tmp_path / "script.py"
    script.write_text(code.format(tests=os.path.dirname(__file__)))
    return subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, timeout=180, check=False
    )


def test_a_run_killed_outright_in_mid_epoch_and_resumed_ends_in_equal_weights(tmp_path):
    """Killed in step 13 of 30, the third of the third epoch; the checkpoint is that of the step before."""
    run(algorithm(), splits(), OFTEN, folder=tmp_path / "whole")
    killed = started(tmp_path, KILLED, str(tmp_path / "half"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_tensors(tmp_path / "half" / "checkpoint" / "state.safetensors")[1]["step"] == 13
    run(algorithm(), splits(), OFTEN, folder=tmp_path / "half", resume=True)
    state_a, state_b = (
        read_tensors(tmp_path / name / "checkpoint" / "state.safetensors")[0] for name in ("whole", "half")
    )
    assert all(torch.equal(state_a[name], state_b[name]) for name in state_a)


def test_metrics_have_a_line_for_each_epoch_and_split_after_a_resume(tmp_path):
    run(algorithm(), splits(), SETTINGS, folder=tmp_path, callbacks=[KillAt(12)])
    run(algorithm(), splits(), SETTINGS, folder=tmp_path, resume=True)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["split"]) for row in rows] == [
        (5 * e, split) for e in range(1, 7) for split in ("train", "validation")
    ]
    assert all("elbo" in row and "objective" not in row for row in rows)
    (tmp_path / "metrics.jsonl").write_text(
        (tmp_path / "metrics.jsonl").read_text() + '{"step": 31, "epo'
    )  # cut short by a kill
    run(algorithm(), splits(), SETTINGS, folder=tmp_path, resume=True)
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == rows


def test_nothing_to_resume_is_refused(tmp_path):
    with pytest.raises(StateError, match="nothing to resume"):
        run(algorithm(), splits(), SETTINGS, folder=tmp_path, resume=True)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    run(algorithm(), splits(), SETTINGS, folder=tmp_path)
    with pytest.raises(StateError, match="fingerprint"):
        run(algorithm(), replace(splits(), train=stripes(150, 9)), SETTINGS, folder=tmp_path, resume=True)


def test_epochs_see_every_example_once_and_orders_differ():
    orders = [permutation(1, epoch, 100) for epoch in range(2)]
    assert all(order.sort().values.equal(torch.arange(100)) for order in orders)
    assert not orders[0].equal(orders[1])
    assert orders[0].equal(permutation(1, 0, 100))


class Watch(GradientAscent):
    """Notes the examples of every step (a test double: house rule 1 is about the library)."""

    seen: list

    def step(self, state, batch, moment):
        real = batch.index if batch.weight is None else batch.index[batch.weight > 0]
        self.seen.append((real.tolist(), moment.examples))
        return super().step(state, batch, moment)


def test_every_example_is_trained_on_in_every_epoch_though_the_last_batch_is_partial():
    watch = Watch(algorithm().model)
    watch.seen = []
    run(watch, splits(), replace(SETTINGS, epochs=2))
    steps = watch.seen[-10:]  # the rehearsal's come first
    assert [n for _, n in steps] == [32, 32, 32, 32, 22] * 2
    for epoch in (0, 1):
        assert sorted(i for rows, _ in steps[5 * epoch : 5 * epoch + 5] for i in rows) == list(range(150))


def test_fewer_examples_than_a_batch_still_train():
    few = Splits(stripes(3, 0), stripes(2, 1), None)
    fit = run(algorithm(), few, SETTINGS)
    assert fit.steps == 6
    assert math.isfinite(fit.best_elbo)


def test_the_time_limit_ends_a_run_without_epochs():
    begun = time.monotonic()
    fit = run(algorithm(), splits(), Settings(epochs=None, time_limit=0.7, batch=32, compiled=False))
    assert "time limit" in fit.stopped
    assert time.monotonic() - begun < 10
    assert fit.steps > 10


def test_a_long_set_up_leaves_half_of_the_time_limit_for_training(monkeypatch):
    monkeypatch.setattr("vael.training.stepping.Stepping.rehearse", lambda self: time.sleep(0.6) or 0.01)
    fit = run(algorithm(), splits(), Settings(epochs=None, time_limit=0.4, batch=32, compiled=False))
    assert fit.steps >= 1
    assert "time limit" in fit.stopped


def test_early_stopping_keeps_the_best_weights():
    fit = run(algorithm(), splits(), replace(SETTINGS, epochs=2000, patience=3, schedule=lambda progress: 30.0))
    assert "has not risen for 3 epochs" in fit.stopped
    assert fit.best_step < fit.steps
    best = max(
        (row for row in fit.history if row.split == "validation"), key=lambda row: row.elbo
    )  # the first of equals
    assert (fit.best_elbo, fit.best_step) == (best.elbo, best.step)


def test_no_early_stop_while_the_divergence_warms_up():
    """Half of training is warm-up and nothing ever gets better (rate 0), so patience ends it right after the
    warm-up, not before.
    """
    still = replace(SETTINGS, epochs=20, patience=2, schedule=lambda progress: 0.0)
    assert run(algorithm(), splits(), still).steps == 15
    assert run(algorithm(objective=ELBO(Beta(warmup=0.5))), splits(), still).steps == 50


def test_patience_counts_from_the_best_judgement_to_the_last():
    """So a run that is seldom judged, having a time limit, is not stopped for steps that nobody has judged."""
    still = replace(SETTINGS, patience=2, schedule=lambda progress: 0.0)
    seldom = run(algorithm(), splits(), replace(still, time_limit=1e6))
    assert [row.step for row in seldom.history if row.split == "validation"] == [30]
    assert (seldom.steps, seldom.stopped) == (30, "all 6 epochs are done")
    assert run(algorithm(), splits(), still).steps == 15


class Clock:
    """Nearly stands still between steps."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-6
        return self.now


def test_a_checkpoint_is_written_once_more_than_so_many_seconds_have_passed(tmp_path, monkeypatch):
    """Each step takes a second: after four of them where three and a half may pass, and at the end; without a folder never."""
    clock, saved = Clock(), []
    step, write = Stepping.take, FolderStore.write

    def slowly(self, *words):
        clock.now += 1.0
        return step(self, *words)

    def written(self, checkpoint, facts, model):
        saved.append(facts["step"])
        write(self, checkpoint, facts, model)

    monkeypatch.setattr("vael.training.clock.time", clock)
    monkeypatch.setattr(Stepping, "take", slowly)
    monkeypatch.setattr(FolderStore, "write", written)
    run(algorithm(), splits(), replace(SETTINGS, checkpoint_every=3.5), folder=tmp_path / "often")
    assert saved == [4, 8, 12, 16, 20, 24, 28, 30]
    saved.clear()
    run(algorithm(), splits(), replace(SETTINGS, checkpoint_every=3.5))
    assert saved == []
    run(algorithm(), splits(), replace(SETTINGS, epochs=13), folder=tmp_path / "usually")
    assert saved == [60, 65]  # a minute, where nothing else is said


def test_a_state_with_infinite_numbers_in_it_is_gone_on_with(tmp_path):
    """As EM's is after its first iteration: there is no bound yet to compare the next one with."""
    source = Source("points", torch.randn(90, 2, generator=torch.Generator().manual_seed(0)).double(), Kind.REAL, "p")
    data, settings = Splits(source, source, None), Settings(epochs=6, batch=90, seed=1)

    def mixture() -> ExpectationMaximization:
        return ExpectationMaximization(GaussianMixture(2, 2), tolerance=0.0)

    run(mixture(), data, settings, folder=tmp_path / "half", callbacks=[KillAt(1)])
    state, facts = read_tensors(tmp_path / "half" / "checkpoint" / "state.safetensors")
    assert facts["step"] == 1
    assert any(not one.isfinite().all() for one in state.values())
    resumed = run(mixture(), data, settings, folder=tmp_path / "half", resume=True)
    whole = run(mixture(), data, settings)
    assert resumed.steps == whole.steps == 6
    assert all(torch.equal(a, weights(whole)[name]) for name, a in weights(resumed).items())


def test_global_random_state_is_untouched():
    before = torch.random.get_rng_state()
    run(algorithm(), splits(), replace(SETTINGS, epochs=1))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"batch": 0}, {"time_limit": -1.0}, {"epochs": None}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(StateError):
        replace(SETTINGS, **bad)


TWO = """
import gc, os, pathlib, socket, sys, torch
sys.path.insert(0, {tests!r})
import torch.distributed as dist
from test_loop import SHORT, algorithm, splits, stripes
from vael.inference import Moment, World
from vael.probability import Stream
from vael.training import run
from vael.training.distributed import summed
folder = pathlib.Path(sys.argv[1])
# What torchrun sets; the second process is a copy of the first, for which nothing is imported again.
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    os.environ |= dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free.getsockname()[1]), WORLD_SIZE="2")
second = os.fork()
os.environ |= dict.fromkeys(("RANK", "LOCAL_RANK"), "0" if second else "1")
leave, dist.destroy_process_group = dist.destroy_process_group, lambda: None  # the group that the run joins serves what follows too
run(algorithm(), splits(), SHORT, folder=folder)
rank = dist.get_rank()
ascent, data = algorithm(), stripes(32, 0)
state = ascent.init(data, World(rank=rank, size=2))
for step, bad in enumerate((False, True, False)):
    batch = data.batch(torch.arange(16) + 16 * rank)
    if bad and rank == 1:
        batch.x[0] = float("nan")  # the data of one process alone
    ascent.step(state, batch, Moment(0.0, 1.0, Stream(torch.Generator().manual_seed(10 * step + rank)), 32))
weights = torch.cat([p.detach().flatten() for p in state.parameters])
both = [torch.empty_like(weights) for _ in range(2)]
dist.all_gather(both, weights)
(folder / f"rank{{rank}}.txt").write_text(f"{{torch.equal(*both)}} {{bool(torch.isfinite(weights).all())}} {{ascent.skipped(state)}}")
(folder / f"total{{rank}}.txt").write_text(str(summed(torch.tensor([1.0 + rank, 0.5])).tolist()))
del ascent, state, weights, both  # a group that somebody still holds ends with the interpreter, which aborts
gc.collect()
leave()
if second:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
"""
SHORT = replace(SETTINGS, epochs=30)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    done = started(folder, TWO, str(folder / "run"))
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run"


def test_two_processes_train_as_one(two_processes, tmp_path):
    """The same global batches; noise differs by rank, so the bound agrees to the noise of training and weights
    agree between the ranks.
    """
    run(algorithm(), splits(), SHORT, folder=tmp_path)
    rows = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (tmp_path, two_processes)
    ]
    assert [(r["step"], r["split"]) for r in rows[0]] == [(r["step"], r["split"]) for r in rows[1]]  # one writer
    assert abs(rows[0][-1]["elbo"] - rows[1][-1]["elbo"]) < 0.5


def test_two_processes_skip_a_step_together_when_one_of_them_must(two_processes):
    """Equal weights in both ranks, all finite, and one step skipped in each."""
    assert [(two_processes / f"rank{rank}.txt").read_text() for rank in (0, 1)] == ["True True 1"] * 2


def test_totals_of_a_row_are_those_of_both_processes(two_processes):
    assert [(two_processes / f"total{rank}.txt").read_text() for rank in (0, 1)] == ["[3.0, 1.0]"] * 2


def test_weights_are_chosen_by_what_is_climbed():
    """With the reconstruction alone, the bound falls while the reconstruction rises: the best weights are the late
    ones, not the first.
    """
    fit = run(algorithm(objective=ELBO(Beta(0.0))), splits(), replace(SETTINGS, epochs=40))
    rows = [row for row in fit.history if row.split == "validation"]
    assert fit.best_step == min(rows, key=lambda row: row.distortion).step
    assert fit.best_step != max(rows, key=lambda row: row.elbo).step
    assert fit.best_elbo == next(row.elbo for row in rows if row.step == fit.best_step)


@pytest.mark.parametrize("schedule", [WarmupCosine(0.5), Constant()], ids=["warm-up and cosine", "constant"])
def test_the_rate_that_is_written_is_the_one_of_the_step(schedule, tmp_path):
    """Not the schedule's factor, 1 at its highest: the optimiser's rate times what the schedule makes of it at the
    step that was taken last.
    """
    settings = replace(SETTINGS, epochs=2, schedule=schedule, precision=torch.float32)
    run(algorithm(optimizer=AdamW(learning_rate=0.002)), splits(), settings, folder=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    last = rows[-1]["step"]
    for row in rows:
        assert row["learning_rate"] == pytest.approx(0.002 * schedule((row["step"] - 1) / last), rel=1e-12)


def test_an_algorithm_without_a_rate_writes_none():
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    data = Source("x", x, Kind.REAL, "")
    found = run(ExpectationMaximization(GaussianMixture(2, 2)), Splits(data, data, None), Settings(epochs=2, batch=40))
    assert {row.learning_rate for row in found.history} == {None}
    bounds = [row.elbo for row in found.history if row.split == "validation"]
    assert (found.best_elbo, found.best_step) == (
        max(bounds),
        1 + bounds.index(max(bounds)),
    )  # by the bound, where nothing else is climbed
    assert bounds[-1] > bounds[0]
