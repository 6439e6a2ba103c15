"""One loop for every algorithm: batches in an order fixed by the seed, validation, best weights, checkpoints, an
end.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic

from torch import Tensor

from vael import files
from vael.counting import counted
from vael.data import Splits
from vael.errors import StateError
from vael.inference import Algorithm, World
from vael.inference.algorithm import M, S
from vael.process import threads, tuned
from vael.signals import ending_asks
from vael.training import distributed
from vael.training.callbacks import Callback, Plan, Row, Tick, recorded_mean
from vael.training.checkpoint import KEPT, LAYOUT, TOTALS, Standing, misfit, standing_of
from vael.training.clock import Clock
from vael.training.log import RunLog
from vael.training.order import Order
from vael.training.place import held
from vael.training.settings import Fit, Resolved, Settings, resolve
from vael.training.stepping import EpochSums, Stepping
from vael.training.store import store_for
from vael.training.validation import Selection, Validation

TICK_SECONDS = 0.5
VALIDATIONS = 40  # at most so many in a run that is bounded by time


def run(
    algorithm: Algorithm[M, S],
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


def _ended(training: Training[M, S], resume: bool, interrupted: threading.Event) -> Fit:
    if resume:
        training.restore()
    return training.go(interrupted)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """A signal that would end the process sets a flag instead; the second one of its kind ends it after all."""
    flag = threading.Event()

    def remember(number: int, frame: object) -> None:
        flag.set()
        put_back(number)

    with ending_asks(remember) as put_back:
        yield flag


class Training(Generic[M, S]):
    """A run under way; everything in it that a resumed run needs is in the checkpoint."""

    def __init__(
        self,
        algorithm: Algorithm[M, S],
        data: Splits,
        resolved: Resolved,
        folder: Path | None,
        callbacks: Sequence[Callback],
    ) -> None:
        settings, world = resolved.settings, resolved.world
        order = Order(len(data.train), settings.batch, settings.seed, world.rank, world.size)
        last_step = settings.epochs * order.steps_per_epoch if settings.epochs else None
        self.resolved, self.step = resolved, 0
        self.clock = Clock(last_step, settings.time_limit, world)
        self.store = store_for(folder, world.rank)
        self.stepping = Stepping(algorithm, data.train, order, resolved)
        self.epoch = EpochSums(world.device)
        self.validation = Validation(algorithm, data.validation, resolved)
        self.selection = Selection(settings.keep, self.stepping.weights())
        self.log = RunLog(self.store, callbacks if world.rank == 0 else ())

    @property
    def algorithm(self) -> Algorithm[M, S]:
        """What takes the steps."""
        return self.stepping.algorithm

    @property
    def world(self) -> World:
        """Where they are taken."""
        return self.resolved.world

    # the loop

    def go(self, interrupted: threading.Event) -> Fit:
        """Step until something ends the run; then judge, save and hand over."""
        self._announce(self.stepping.rehearse())
        if self.resolved.settings.judge_start and not self.step and not self.log.validated(0):
            self._validate()
        self.clock.start()
        for watch in (self.epoch.watch, self.store.watch, self.validation.watch, self.log.watch):
            watch.restart()
        while not (stopped := self._reason_to_stop(interrupted)):
            self.epoch.add(self.stepping.take(self.step, self.clock.progress), self.stepping.order.batch)
            self.step += 1
            self._between_steps()
        return self._finish(stopped, interrupted.is_set())

    def _reason_to_stop(self, interrupted: threading.Event) -> str:
        settings, clock = self.resolved.settings, self.clock
        clock.update(self.step)
        if clock.steps and self.step >= clock.steps:
            return "the one epoch is done" if settings.epochs == 1 else f"all {settings.epochs:,} epochs are done"
        if clock.limit and clock.progress >= 1:
            return f"the time limit of {clock.limit:g} s is reached"
        if clock.agrees(self.step) and distributed.any_of(interrupted.is_set(), self.world.device):
            return "interrupted by a signal"
        patience = settings.patience if clock.progress >= self.algorithm.warmup else None
        waited = self.validation.step - self.selection.best_step
        if patience and waited >= patience * self.stepping.order.steps_per_epoch:
            what = "bound" if self.algorithm.is_bound else "objective"
            return f"the validation {what} has not risen for {counted(patience, 'epoch')}"
        return self.algorithm.converged(self.stepping.state)

    def _between_steps(self) -> None:
        if self.log.watch.seconds > TICK_SECONDS:
            self._tick()
        if self.step % self.stepping.order.steps_per_epoch == 0:
            self._end_epoch()
        if self.store.writes and self.store.watch.seconds > self.resolved.settings.checkpoint_every:
            self.save()

    def _end_epoch(self) -> None:
        self.algorithm.check(self.stepping.state)
        self._record("train", self.epoch.totals, self.epoch.speed)
        due = self.validation.watch.seconds > (self.clock.limit or 0) / VALIDATIONS
        if distributed.agreed(float(due), self.world.device) or self.step == self.clock.steps:
            self._validate()
        self.epoch.restart()

    def _finish(self, stopped: str, interrupted: bool) -> Fit:
        if not interrupted and not self.log.validated(self.step):
            if float(self.epoch.totals[3]):
                self._record("train", self.epoch.totals, self.epoch.speed)
            self._validate()
        self.selection.take_last(self.stepping.weights(), self.step)
        if self.store.writes:
            self.save()
        skipped = self.stepping.skipped
        if skipped:
            self.log.note(f"{skipped} of {self.step} steps were skipped because a gradient was not finite or leapt")
        model = self.algorithm.model
        model.load_state_dict(self._kept_model())
        model.eval()
        return Fit(
            model,
            tuple(self.log.rows),
            self.step,
            self.step // self.stepping.order.steps_per_epoch,
            self.clock.elapsed,
            stopped,
            interrupted,
            skipped,
            self.selection.best_elbo,
            self.selection.best_step,
            self.resolved,
            self.selection.kept_step,
            self.algorithm.is_bound,
        )

    def _kept_model(self) -> dict[str, Tensor]:
        return {**self.algorithm.model.state_dict(), **self.selection.weights}

    def _validate(self) -> None:
        found = self.validation.judge(self.stepping.state, self.step)
        self._record("validation", found.totals, len(self.validation.data) / found.seconds)
        self.selection.consider(found, self.stepping.weights(), self.step)
        self.validation.watch.restart()
        self.clock.validation_seconds = found.seconds if self.clock.limit else 0.0

    # telling

    def _record(self, split: str, totals: Tensor, speed: float) -> None:
        sums = (distributed.summed(totals) if split == "train" else totals).tolist()
        bound, distortion, divergence = (recorded_mean(total / max(sums[3], 1.0)) for total in sums[:3])
        self.log.row(
            Row(
                self.step,
                math.ceil(self.step / self.stepping.order.steps_per_epoch),
                split,
                bound,
                distortion,
                divergence,
                speed,
                self.clock.elapsed,
                self.stepping.skipped,
                self.stepping.learning_rate,
                self.algorithm.is_bound,
            )
        )

    def _announce(self, seconds_per_step: float) -> None:
        steps, limit, order = self.clock.steps, self.clock.limit, self.stepping.order
        expected = None if steps is None else (steps - self.step) * seconds_per_step * 1.05
        if limit:
            expected = min(expected or math.inf, limit)
        self.log.plan(
            Plan(
                sum(p.numel() for p in self.algorithm.model.parameters()),
                order.examples,
                order.batch,
                steps,
                str(self.world.device),
                str(self.world.precision).removeprefix("torch."),
                self.resolved.reasons[1],
                expected,
            )
        )

    def _tick(self) -> None:
        self.log.watch.restart()
        self.algorithm.check(self.stepping.state)
        if not self.log.callbacks:
            return
        bound, distortion, divergence, count = self.epoch.totals.tolist()
        count = max(count, 1.0)
        self.log.tick(
            Tick(
                self.step,
                self.step // self.stepping.order.steps_per_epoch + 1,
                self.clock.progress,
                bound / count,
                distortion / count,
                divergence / count,
                self.epoch.speed,
                self.clock.seconds_left,
                self.algorithm.is_bound,
            )
        )

    # checkpoints

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that goes on from it."""
        return {
            "batch": self.stepping.order.batch,
            "seed": self.stepping.order.seed,
            "fingerprint": self.stepping.data.fingerprint,
            "precision": str(self.world.precision),
            "compiled": self.world.compiled,
            "size": self.world.size,
        }

    def save(self) -> None:
        """Everything that going on needs, in one file; and the weights that are kept on their own."""
        selection = self.selection
        selection.take_last(self.stepping.weights(), self.step)
        standing = Standing(
            step=self.step,
            elapsed=self.clock.elapsed,
            time_start=self.clock.first_step,
            best=selection.best,
            best_elbo=selection.best_elbo,
            best_step=selection.best_step,
            kept_step=selection.kept_step,
            validation_seconds=self.clock.validation_seconds,
        )
        kept = {f"{KEPT}.{name}": weight for name, weight in selection.weights.items()}
        tensors = {**self.stepping.state.tensors(), TOTALS: self.epoch.totals, **kept}
        facts = {**asdict(standing), "layout": LAYOUT, **self._identity()}
        self.store.write(tensors, facts, self._kept_model())

    def restore(self) -> None:
        """Go back to the checkpoint.

        Errors: `StateError` when there is none, or when it is of another run.
        """
        found = self.store.read()
        tensors, where = found.tensors, found.path.parent.parent
        for name, value in self._identity().items():
            if found.facts.get(name) != value:
                raise StateError(
                    f"the checkpoint in {where} was made with {name} {found.facts.get(name)}, not {value}; resume with "
                    "the same, or start a new run"
                )
        state, selection = self.stepping.state, self.selection
        kept = {f"{KEPT}.{name}": weight for name, weight in selection.weights.items()}
        trouble = misfit({**state.wanted(tensors), TOTALS: self.epoch.totals, **kept}, tensors, finite=False)
        if trouble:
            raise StateError(f"the checkpoint in {where} is of another model: {trouble}; start a new run")
        standing = standing_of(found.facts, found.path)
        state.load(tensors)
        self.step = standing.step
        self.clock.before, self.clock.first_step = standing.elapsed, standing.time_start
        self.clock.validation_seconds = standing.validation_seconds
        self.epoch.totals.copy_(tensors[TOTALS])
        selection.take({name.removeprefix(f"{KEPT}."): tensors[name] for name in kept}, standing.kept_step)
        selection.best, selection.best_elbo, selection.best_step = (
            standing.best,
            standing.best_elbo,
            standing.best_step,
        )
        self.log.rewind(self.step)
