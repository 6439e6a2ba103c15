"""Windows of sequences, `[time, channels]`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from vael.applications.comparing import Comparison, autoregression, comparisons
from vael.counting import counted
from vael.data import Kind, Schema, Source, Splits, Windowing, load_sequences, statistics
from vael.data.facts import facts_from
from vael.data.sequences import windows
from vael.data.series import Sequences, read_sequences
from vael.data.source import few
from vael.domains.core import Described, Domain
from vael.domains.described import DataSpec, Reading
from vael.domains.image import VALUES
from vael.domains.reading import GIVEN, in_condition, refuse_test_as_validation
from vael.domains.recommendation import KALMAN, Choice, Recommendation, chosen, likelihood, power_of_two, values
from vael.errors import ShapeError
from vael.models import Model, Predicts, has, is_likelihood
from vael.networks.parts import DensePart
from vael.report import series
from vael.report.record import Encoded, Headed, ReportInput, Subject, TrivialModel
from vael.tables.given import in_memory
from vael.tables.reading import named
from vael.tables.schema_file import from_record

FITTED, JUDGED = 10_000, 5_000  # windows that the baseline is fitted to and judged on
WINDOWS = Subject(
    "elements",
    "window",
    "More or longer series, fewer latents (`--latent`), a smaller network (`--hidden`) or weight decay "
    "(`--weight-decay`) help.",
)


class SequenceDomain(Domain):
    """Windows of time and channels: state-space models, series plotted, figures per time step."""

    maps_codes: ClassVar[bool] = False
    channels_last: ClassVar[bool] = True
    element: ClassVar[str] = "channel"
    axis: ClassVar[int] = 1

    def holds(self, data: Described) -> bool:
        return not data.domain and data.windowing is not None

    def reads(self, how: Reading) -> bool:
        return how.sequence is not None

    def read(self, how: Reading) -> Splits:
        refuse_test_as_validation(how, "sequences have")
        windows = how.sequence or Windowing()
        shares = {"validation": how.validation, "test": how.test}
        return load_sequences(how.source, windows, seed=how.seed, beside=how.beside, **shares)

    def examples(self, known: DataSpec, data: str, *, clip: bool = False) -> Source:
        """All steps of all series, in windows that do not overlap."""
        found = series_of(known, data).tested
        return in_condition(known, windows(found, found.series, found.window), data, whole=False)

    def told(self, known: DataSpec) -> str:
        time, channels = known.event
        levels = f" of {known.levels:,} levels" if known.levels else ""
        return f"windows of {counted(time, 'step')}, {counted(channels, 'channel')}{levels}"

    def columns(self, known: DataSpec) -> Schema | None:
        """With the types and decimals that the channels had in a table, whose first column is the time."""
        table = None if known.windowing is None else known.windowing.columns
        if table is None:
            return super().columns(known)
        return Schema(from_record(table, "run.json").columns[1:])

    def sizes(self, known: DataSpec) -> tuple[int, ...]:
        window = None if known.windowing is None else known.windowing.window
        return (window or 0, len(known.columns))

    def recommend(self, source: Source) -> Recommendation:
        return state_space(source)

    def example(self, source: Source) -> str:
        time, channels = source.event
        return f"a window of {time} steps of {counted(channels, 'channel')}, {VALUES[source.kind]}"

    def subject(self, source: Source) -> Subject:
        return WINDOWS

    def baseline(self, record: ReportInput) -> TrivialModel | None:
        return self.simplest(record.splits.train, record.shown, record.seed)

    def simplest(self, train: Source, shown: Source, seed: int) -> TrivialModel | None:
        return simplest_steps(train, shown, seed)

    def compared(self, model: Model, train: Source, shown: Source, seed: int) -> tuple[Comparison, ...]:
        return comparisons(model, train, shown, seed)

    def figures(self, record: ReportInput, seen: Encoded | None, folder: Path) -> Headed:
        if has(record.model, Predicts):
            drawn = ("Samples", [series.samples(record, folder)])
            return [("What comes next", [series.rollouts(record, folder)]), drawn]
        if not record.has_latents:
            return []
        windows = ("Windows and reconstructions", [series.reconstructions(record, folder)])
        draws = [("Samples from the prior", [series.samples(record, folder)])] if is_likelihood(record.model) else []
        return [windows, *draws]


def series_of(known: DataSpec, data: object) -> Sequences:
    """Other series, cut as those of a run. Errors: `ShapeError` for other channels than it was trained on."""
    found = read_sequences(data, known.windowing or Windowing())
    if found.columns != known.columns:
        raise ShapeError(
            f"{named(data)} has the channels {', '.join(found.columns)}, but the run was trained on "
            f"{', '.join(known.columns)}; give data with these"
        )
    if known.given is not None:
        known.given.refuse_series(found)
    return found


def in_conditions(known: DataSpec, source: Source, data: object) -> Source:
    """Windows of some series (None: of the run's own) with their conditions. Errors: as `in_condition`."""
    called = known.source if data is None else GIVEN if in_memory(data) else str(data)
    return in_condition(known, source, called, whole=False)


def state_space(source: Source) -> Recommendation:
    """A state-space model with linear dynamics: more latents where there are many channels, wider where there are many
    windows.
    """
    time, channels = source.event
    part, because = likelihood(source, channels)
    latent = max(4, min(32, 2 * channels))
    hidden = min(power_of_two(4 * channels, 32, 256), power_of_two(len(source) // 4, 32, 256))
    missing = float(source.x.isnan().float().mean()) if source.gaps else 0.0
    part = part.settled(facts_from(source, statistics(source)))
    reasons = (
        f"Data: {counted(len(source), 'window')} of {time} steps of {counted(channels, 'channel')}; elements are "
        f"{values(source)}" + (f", {missing:.1%} of them were not seen." if source.gaps else "."),
        because,
        f"Model: {counted(latent, 'latent')} that move linearly from step to step, seen through a network, because few "
        f"series have more to say of how they move (docs/lab-book.md); sizes by {counted(channels, 'channel')} and "
        f"{counted(len(source), 'window')}. The posterior is that of a Kalman smoother and knows which elements were "
        "seen.",
    )
    return chosen(Choice(KALMAN, DensePart(hidden=(hidden,)), {"latent": latent, "hidden": hidden}, ""), part, reasons)


def simplest_steps(train: Source, shown: Source, seed: int) -> TrivialModel | None:
    """Log-likelihood per window of the simplest model, fitted to training data: of real numbers a stationary AR(1) of
    each channel by itself; of others independent elements, by shares of each channel with half a pseudo-count each.
    """
    fitted, judged = (one.batch(few(one, seed, most)).x.double() for one, most in ((train, FITTED), (shown, JUDGED)))
    if not (~fitted.isnan()).any(0).any(0).all():
        return None
    if shown.kind is Kind.REAL:
        mean = float(autoregression(fitted, judged).mean())
        return TrivialModel(mean, "channels by themselves, each step by the one before (AR(1))")
    total = torch.zeros(len(judged), dtype=torch.float64)
    for known, x in zip(fitted.unbind(-1), judged.unbind(-1), strict=True):
        counts = known[~known.isnan()].long().bincount(minlength=shown.levels or 2).double() + 0.5
        log = (counts / counts.sum()).log()[x.nan_to_num().long()]
        total += torch.where(x.isnan(), torch.zeros_like(log), log).sum(1)
    return TrivialModel(float(total.mean()), "independent elements, each channel with its own histogram")
