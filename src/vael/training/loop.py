"""One loop for every algorithm: batches in an order fixed by the seed, validation, best weights, checkpoints, an
end.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vael import files
from vael.counting import counted
from vael.data import Batch, Source, Splits
from vael.errors import StateError
from vael.inference import Algorithm, Moment
from vael.probability import PerExample, Stream
from vael.process import threads, tuned
from vael.training import distributed
from vael.training.callbacks import Callback, Plan, Row, Tick, row_record
from vael.training.checkpoint import KEPT, LAYOUT, STATE, check_facts, misfit, read_tensors, write_tensors
from vael.training.history import METRICS, read_rows
from vael.training.order import Order
from vael.training.place import Place, held
from vael.training.settings import Fit, Keep, Resolved, Settings, resolve

AGREE_EVERY = 16  # steps between the agreements of several processes on whether to stop
TICK_SECONDS = 0.5
VALIDATIONS = 40  # at most so many in a run that is bounded by time
CELLS_AT_ONCE = 4_000_000  # of data in one validation batch


def run(
    algorithm: Algorithm,
    data: Splits,
    settings: Settings | Resolved | None = None,
    *,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Fit:
    """Train until the epochs, the time, the patience or a signal ends it.

    With a `folder`, metrics.jsonl, checkpoint/ and model.safetensors are kept there, and `resume` goes on from the
    checkpoint: a run killed at any moment and resumed ends, on the same processor with the same threads, in the same
    weights bit for bit. Under torchrun every process calls this; process 0 alone writes.

    Errors: `StateError` when nothing can be resumed, when the checkpoint is of another run, or when training diverges.
    """
    resolved = (
        settings
        if isinstance(settings, Resolved)
        else resolve(settings or Settings(), algorithm.model, len(data.train))
    )
    if folder is not None and resolved.world.rank == 0:
        files.make_folder(folder)
    alone = held(folder if resolved.world.rank == 0 else None)
    with (
        alone,
        tuned(),
        threads(resolved.settings.threads),
        distributed.process_group(resolved.world.device),
        interruptible() as interrupted,
    ):
        return _ended(Training(algorithm, data, resolved, folder, callbacks), resume, interrupted)


def _ended(training: Training, resume: bool, interrupted: threading.Event) -> Fit:
    if resume:
        training.restore()
    return training.go(interrupted)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set a flag instead of ending the process; the second one ends it after all."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    former = {
        kind: handler for kind in kinds if (handler := signal.getsignal(kind)) is not None
    }  # None: not set from Python, so not ours to set

    def remember(number: int, frame: object) -> None:
        flag.set()
        signal.signal(number, former[signal.Signals(number)])

    for kind in former:
        signal.signal(kind, remember)
    try:
        yield flag
    finally:
        for kind, handler in former.items():
            signal.signal(kind, handler)


class Training:
    """A run under way; everything in it that a resumed run needs is in the checkpoint."""

    def __init__(
        self, algorithm: Algorithm, data: Splits, resolved: Resolved, folder: Path | None, callbacks: Sequence[Callback]
    ) -> None:
        self.algorithm, self.data, self.resolved, self.folder = algorithm, data, resolved, folder
        self.settings, self.world = resolved.settings, resolved.world
        self.place = Place(folder) if folder is not None and resolved.world.rank == 0 else None
        self.callbacks = callbacks if self.world.rank == 0 else ()
        self.examples, self.started = len(data.train), time.perf_counter()
        self.order = Order(self.examples, self.settings.batch, self.settings.seed, self.world.rank, self.world.size)
        self.batch, self.steps_per_epoch = self.order.batch, self.order.steps_per_epoch
        self.last_step = self.settings.epochs * self.steps_per_epoch if self.settings.epochs else None
        self.state = algorithm.init(data.train, self.world)
        self.totals = torch.zeros(4, dtype=torch.float64, device=self.world.device)
        self.step, self.elapsed_before, self.time_start, self.progress = 0, 0.0, 0.0, 0.0
        self.validated_step, self.factor = 0, self.settings.schedule(0.0)
        self.best = self.best_elbo = -math.inf  # what is climbed, and the bound, where the former is highest
        self.best_step = 0
        self._keep_weights()
        self.history: list[Row] = []
        self.generator = torch.Generator(self.world.device)
        self.checked = self.ticked = self.saved = self.validated = self.started
        self.epoch_started, self.epoch_examples, self.validation_seconds = self.started, 0, 0.0
        self.cache: list[Batch] | None = None

    def _take_step(self, step: int, progress: float) -> Tensor:
        share = self.order.share(step)
        noise = Stream(self.generator.manual_seed(self.order.noise_seed(step)))
        batch = self.data.train.batch(share.index.to(self.data.train.x.device), noise)
        if share.weight is not None:
            batch = replace(batch, weight=share.weight.to(self.world.device))
        self.factor = self.settings.schedule(progress)
        moment = Moment(progress, self.factor, noise, share.real)
        return self.algorithm.step(self.state, batch, moment).totals

    # time

    def _elapsed(self) -> float:
        return self.elapsed_before + time.perf_counter() - self.started

    def _update_progress(self) -> None:
        shares = [self.step / self.last_step] if self.last_step else []
        if self.settings.time_limit and (self.world.size == 1 or self.step % AGREE_EVERY == 0):
            # where setting up (a compiler on a busy machine) took most of the limit, half of it is left for training
            # all the same
            budget = max(
                self.settings.time_limit - self.validation_seconds, self.time_start + self.settings.time_limit / 2
            )
            share = (self._elapsed() - self.time_start) / max(budget - self.time_start, 1e-9)
            self._time_share = distributed.agreed(share, self.world.device)
        if self.settings.time_limit:
            shares.append(self._time_share)
        self.progress = min(max(shares), 1.0)

    def _rehearse(self) -> float:
        """Seconds of a step, from a few that are undone; a compiled step is compiled here."""
        kept = {name: tensor.clone() for name, tensor in self.state.tensors().items()}
        seconds = []
        for step in range(5):
            begun = time.perf_counter()
            self._take_step(step % self.steps_per_epoch, 0.0)
            seconds.append(time.perf_counter() - begun)
            if sum(seconds) > 5 and step:
                break
        self.state.load(kept)
        return sorted(seconds)[len(seconds) // 2]

    # the loop

    def go(self, interrupted: threading.Event) -> Fit:
        """Step until something ends the run; then judge, save and hand over."""
        self._announce(self._rehearse())
        if (
            not self.elapsed_before
        ):  # else it is that of the checkpoint, and the share of time that is done does not leap
            self.time_start = self._elapsed()
        self.epoch_started = self.saved = self.validated = self.ticked = time.perf_counter()
        stopped = ""
        while not stopped:
            self._update_progress()
            stopped = self._reason_to_stop(interrupted)
            if stopped:
                break
            self.totals += self._take_step(self.step, self.progress)
            self.step += 1
            self.epoch_examples += self.batch
            self._between_steps()
        return self._finish(stopped, interrupted.is_set())

    def _reason_to_stop(self, interrupted: threading.Event) -> str:
        if self.last_step and self.step >= self.last_step:
            return f"all {self.settings.epochs} epochs are done"
        if self.settings.time_limit and self.progress >= 1:
            return f"the time limit of {self.settings.time_limit:g} s is reached"
        if (self.world.size == 1 or self.step % AGREE_EVERY == 0) and distributed.any_of(
            interrupted.is_set(), self.world.device
        ):
            return "interrupted by a signal"
        patient = self.settings.patience if self.progress >= self.algorithm.warmup else None
        if patient and self.validated_step - self.best_step >= patient * self.steps_per_epoch:
            what = "bound" if self.algorithm.is_bound else "objective"
            return f"the validation {what} has not risen for {counted(self.settings.patience, 'epoch')}"
        return self.algorithm.converged(self.state)

    def _between_steps(self) -> None:
        now = time.perf_counter()
        if now - self.ticked > TICK_SECONDS:
            self._tick(now)
        if self.step % self.steps_per_epoch == 0:
            self._end_epoch()
        if self.folder and self.world.rank == 0 and now - self.saved > self.settings.checkpoint_every:
            self.save()

    def _end_epoch(self) -> None:
        self.algorithm.check(self.state)
        self._record("train", self.totals, self.epoch_examples / (time.perf_counter() - self.epoch_started))
        self.totals.zero_()
        due = time.perf_counter() - self.validated > (self.settings.time_limit or 0) / VALIDATIONS
        if distributed.agreed(float(due), self.world.device) or self.step == self.last_step:
            self._validate()
        self.epoch_started, self.epoch_examples = time.perf_counter(), 0

    def _finish(self, stopped: str, interrupted: bool) -> Fit:
        if not interrupted and (
            not self.history or self.history[-1].step != self.step or self.history[-1].split != "validation"
        ):
            if float(self.totals[3]):
                self._record("train", self.totals, self.epoch_examples / (time.perf_counter() - self.epoch_started))
            self._validate()
        self._keep_last()
        if self.folder and self.world.rank == 0:
            self.save()
        skipped = self.algorithm.skipped(self.state)
        if skipped:
            self._tell(
                "note", f"{skipped} of {self.step} steps were skipped because a gradient was not finite or leapt"
            )
        self.algorithm.model.load_state_dict({**self.algorithm.model.state_dict(), **self.kept_weights})
        self.algorithm.model.eval()
        return Fit(
            self.algorithm.model,
            tuple(self.history),
            self.step,
            self.step // self.steps_per_epoch,
            self._elapsed(),
            stopped,
            interrupted,
            skipped,
            self.best_elbo,
            self.best_step,
            self.resolved,
            self.kept_step,
            self.algorithm.is_bound,
        )

    def _keep_last(self) -> None:
        if self.settings.keep is Keep.LAST:
            self._keep_weights()

    def _keep_weights(self) -> None:
        self.kept_step = self.step
        self.kept_weights = {name: w.detach().clone() for name, w in self.algorithm.weights(self.state).items()}

    # judging

    def _validation_batches(self, source: Source) -> Iterator[Batch]:
        """This process's share of the split, in model units; kept in memory when small, since its noise is the same
        each time.
        """
        if self.cache is not None:
            yield from self.cache
            return
        cells = math.prod(source.event)
        mine = torch.arange(self.world.rank, len(source), self.world.size)
        kept: list[Batch] | None = [] if cells * len(mine) < 64 * CELLS_AT_ONCE // 4 else None
        for index in mine.split(max(1, min(512, CELLS_AT_ONCE // cells))):
            batch = source.batch(index.to(source.x.device), PerExample(self.settings.seed, index))
            if kept is not None:
                kept.append(batch)
            yield batch
        self.cache = kept

    def _validate(self) -> None:
        begun = time.perf_counter()
        totals = torch.zeros(5, dtype=torch.float64, device=self.world.device)
        for batch in self._validation_batches(self.data.validation):
            info = self.algorithm.bound(self.state, batch, PerExample(self.settings.seed + 1, batch.index))
            totals[:4] += info.totals
            totals[4] += info.totals[0] if info.climbed is None else info.climbed
        totals = distributed.summed(totals)
        seconds = time.perf_counter() - begun
        climbed = float(totals[4] / totals[3])
        self._record("validation", totals[:4], len(self.data.validation) / seconds)
        if climbed > self.best:
            self.best, self.best_elbo, self.best_step = climbed, float(totals[0] / totals[3]), self.step
            if self.settings.keep is Keep.BEST:
                self._keep_weights()
        self.validated, self.validated_step = time.perf_counter(), self.step
        self.validation_seconds = seconds if self.settings.time_limit else 0.0

    def _record(self, split: str, totals: Tensor, speed: float) -> None:
        sums = (distributed.summed(totals) if split == "train" else totals).tolist()
        bound, distortion, divergence = (total / max(sums[3], 1.0) for total in sums[:3])
        epoch = math.ceil(self.step / self.steps_per_epoch)
        whole = self.algorithm.learning_rate
        rate = None if whole is None else whole * self.factor  # of the last step
        row = Row(
            self.step,
            epoch,
            split,
            bound,
            distortion,
            divergence,
            speed,
            self._elapsed(),
            self.algorithm.skipped(self.state),
            rate,
            self.algorithm.is_bound,
        )
        self.history.append(row)
        if self.place is not None:
            with self.place.writing():
                files.append(self.folder / METRICS, (json.dumps(row_record(row)) + "\n").encode())
        self._tell("row", row)

    # telling

    def _tell(self, what: str, word: object) -> None:
        for callback in self.callbacks:
            getattr(callback, what)(word)

    def _announce(self, seconds_per_step: float) -> None:
        left = self.last_step - self.step if self.last_step else None
        expected = None if left is None else left * seconds_per_step * 1.05
        if self.settings.time_limit:
            expected = min(expected or math.inf, self.settings.time_limit)
        parameters = sum(p.numel() for p in self.algorithm.model.parameters())
        device, precision = str(self.world.device), str(self.world.precision).removeprefix("torch.")
        self._tell(
            "plan",
            Plan(
                parameters,
                self.examples,
                self.batch,
                self.last_step,
                device,
                precision,
                self.resolved.reasons[1],
                expected,
            ),
        )

    def _tick(self, now: float) -> None:
        self.ticked = now
        self.algorithm.check(self.state)
        if not self.callbacks:
            return
        bound, distortion, divergence, count = self.totals.tolist()
        speed = self.epoch_examples / max(now - self.epoch_started, 1e-9)
        left = (self._elapsed() - self.time_start) * (1 - self.progress) / max(self.progress, 1e-6)
        count = max(count, 1.0)
        self._tell(
            "tick",
            Tick(
                self.step,
                self.step // self.steps_per_epoch + 1,
                self.progress,
                bound / count,
                distortion / count,
                divergence / count,
                speed,
                left,
                self.algorithm.is_bound,
            ),
        )

    # checkpoints

    def save(self) -> None:
        """Everything that going on needs, in one file; and the weights that are kept on their own."""
        self._keep_last()
        facts = {
            "step": self.step,
            "elapsed": self._elapsed(),
            "time_start": self.time_start,
            "best": self.best,
            "best_elbo": self.best_elbo,
            "best_step": self.best_step,
            "kept_step": self.kept_step,
            "layout": LAYOUT,
            "batch": self.batch,
            "seed": self.settings.seed,
            "fingerprint": self.data.train.fingerprint,
            "precision": str(self.world.precision),
            "compiled": self.world.compiled,
            "size": self.world.size,
            "epoch_examples": self.epoch_examples,
            "validation_seconds": self.validation_seconds,
        }
        tensors = {
            **self.state.tensors(),
            "totals": self.totals,
            **{f"{KEPT}.{name}": w for name, w in self.kept_weights.items()},
        }
        with nullcontext() if self.place is None else self.place.writing():
            write_tensors(self.folder / "checkpoint" / STATE, tensors, facts)
            self._write_kept()
        self.saved = time.perf_counter()

    def _write_kept(self) -> None:
        write_tensors(
            self.folder / "model.safetensors",
            {**self.algorithm.model.state_dict(), **self.kept_weights},
            {"step": self.kept_step},
        )

    def restore(self) -> None:
        """Go back to the checkpoint; lines of metrics.jsonl after it are dropped, since their steps will be made
        again.
        """
        if self.folder is None or not (self.folder / "checkpoint" / STATE).exists():
            raise StateError(f"nothing to resume: {self.folder} has no checkpoint; start without resuming")
        path = self.folder / "checkpoint" / STATE
        tensors, facts = read_tensors(path)
        if facts.get("layout") != LAYOUT:
            raise StateError(
                f"the checkpoint in {self.folder} was written by another version of vael, which kept the state of an "
                f"optimiser otherwise (layout {facts.get('layout', 1)}, expected {LAYOUT}); go on with that version, "
                "or start a new run; the weights in model.safetensors can be used as they are"
            )
        mine = {
            "batch": self.batch,
            "seed": self.settings.seed,
            "fingerprint": self.data.train.fingerprint,
            "precision": str(self.world.precision),
            "compiled": self.world.compiled,
            "size": self.world.size,
        }
        for name, value in mine.items():
            if facts.get(name) != value:
                raise StateError(
                    f"the checkpoint in {self.folder} was made with {name} {facts.get(name)}, not {value}; resume with "
                    "the same, or start a new run"
                )
        kept = {f"{KEPT}.{name}": weight for name, weight in self.kept_weights.items()}
        trouble = misfit({**self.state.wanted(tensors), "totals": self.totals, **kept}, tensors, finite=False)
        if trouble:
            raise StateError(f"the checkpoint in {self.folder} is of another model: {trouble}; start a new run")
        check_facts(facts, path)
        self.state.load(tensors)
        self.totals.copy_(tensors["totals"])
        self.kept_weights = {
            name.removeprefix("kept."): w.to(self.world.device)
            for name, w in tensors.items()
            if name.startswith("kept.")
        }
        self.step, self.best, self.best_step = facts["step"], facts["best"], facts["best_step"]
        self.best_elbo, self.kept_step = facts["best_elbo"], facts["kept_step"]
        self.elapsed_before, self.time_start = facts["elapsed"], facts["time_start"]
        self.epoch_examples, self.validation_seconds = facts["epoch_examples"], facts["validation_seconds"]
        self._trim_metrics()

    def _trim_metrics(self) -> None:
        path = self.folder / METRICS
        self.history = [row for row in read_rows(path) if row.step <= self.step]
        if self.world.rank == 0:
            files.write_bytes(
                path,
                "".join(json.dumps(row_record(row)) + "\n" for row in self.history).encode(),
            )
