"""How long a run has gone on, and which share of it is done."""

from __future__ import annotations

import time

from vael.inference import World
from vael.training import distributed

AGREE_EVERY = 16  # steps between the agreements of several processes


class Stopwatch:
    """Seconds since it was started or restarted."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()

    def restart(self) -> None:
        """Count from now on."""
        self.begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since then."""
        return time.perf_counter() - self.begun


class Clock:
    """Seconds of a run, those before it was resumed among them, and its progress: 0 at the first step, 1 at the end.

    A run ends after `steps`, or at `limit` seconds, whichever comes first; None is no such end.
    """

    def __init__(self, steps: int | None, limit: float | None, world: World) -> None:
        self.steps, self.limit, self.world = steps, limit, world
        self.watch = Stopwatch()
        self.before = 0.0  # seconds until the checkpoint that the run was resumed from
        self.first_step = 0.0  # seconds of setting up
        self.validation_seconds = 0.0  # that the last validation will take, where time is limited
        self.progress = 0.0
        self._share: float | None = None  # of the time limit

    @property
    def elapsed(self) -> float:
        """Seconds of the run so far."""
        return self.before + self.watch.seconds

    def start(self) -> None:
        """The first step is taken now."""
        if not self.before:  # else it is that of the checkpoint, and the share of time that is done does not leap
            self.first_step = self.elapsed

    def agrees(self, step: int) -> bool:
        """Whether several processes agree with each other before this step, in which one alone is always."""
        return self.world.size == 1 or step % AGREE_EVERY == 0

    def update(self, step: int) -> None:
        """Set `progress` to that before step number `step`."""
        shares = [step / self.steps] if self.steps else []
        if self.limit:
            if self._share is None or self.agrees(step):
                self._share = distributed.agreed(self._time_share(self.limit), self.world.device)
            shares.append(self._share)
        self.progress = min(max(shares), 1.0)

    def _time_share(self, limit: float) -> float:
        # where setting up (a compiler on a busy machine) took most of the limit, half of it is left for training all
        # the same
        budget = max(limit - self.validation_seconds, self.first_step + limit / 2)
        return (self.elapsed - self.first_step) / max(budget - self.first_step, 1e-9)

    @property
    def seconds_left(self) -> float:
        """By the progress so far."""
        return (self.elapsed - self.first_step) * (1 - self.progress) / max(self.progress, 1e-6)
