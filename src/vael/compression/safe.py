"""The default level: the model itself in float64, always on the same number of examples, on one thread."""

from __future__ import annotations

import copy
import platform
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vael.compression.laws import CodingLaw, Parts
from vael.compression.level import Level, Symbols
from vael.compression.reading import LatentGrid, law_of_cells, law_of_latents, prior_of_latents
from vael.counting import counted
from vael.data import Batch
from vael.errors import FormatError, ShapeError, SupportError
from vael.models import Head, LatentModel, Model, head_of, needs, posterior_means
from vael.models.core import Levels
from vael.probability import diagonal_gaussian, total_log_prob
from vael.process import threads

BINS = 1 << 9  # of the latents' grid in a unit: finer than any posterior deviation but the least
FINE_BINS = 1 << 12  # the same where nothing limits it: posteriors of hundreds of latents are narrow
MOST_BINS = 1 << 16
MOST_BATCH = 1 << 12  # examples in one call of a network that a file may ask for
REACH = 16  # the grid ends so far from 0
MOST_EXAMPLES, MOST_CELLS = 256, 1 << 18  # in one call of a network


def at_once(cells: int) -> int:
    """Examples of so many cells in one call of a network."""
    return max(1, min(MOST_EXAMPLES, MOST_CELLS // cells))


def of_the_draw(law: Distribution) -> Distribution:
    """A law at one draw of the levels above, batch shape `[1, batch]`, as one of batch shape `[batch]`."""
    if len(law.batch_shape) != 2:
        return law
    if isinstance(law, Independent) and isinstance(law.base_dist, Normal):
        return diagonal_gaussian(law.base_dist.loc[0], law.base_dist.scale[0])
    if isinstance(law, MultivariateNormal):
        return MultivariateNormal(law.loc[0], scale_tril=law.scale_tril[0], validate_args=False)
    return law  # no Gaussian: whoever reads it says so


LawAt = Callable[[Levels], Distribution]


def log_ratio(posterior: LawAt, prior: LawAt, z: Levels) -> Float[Tensor, " batch"]:
    """Log q(z | x) - log p(z) of each example, all levels, in nats."""
    above = [z[:level] for level in range(len(z))]
    parts = [(posterior(a).log_prob(one) - prior(a).log_prob(one))[0] for a, one in zip(above, z, strict=True)]
    return torch.stack(parts).sum(0)


class FloatLevel(Level):
    """Abstract: prior, likelihood and posterior of a `LatentModel` with Gaussian latents, computed in float64 for
    blocks of one shape. Several levels of latents are coded as one, level by level from the top.

    The integers are the same wherever PyTorch, NumPy, constriction and the kind of processor are; elsewhere they are
    very likely, not surely, the same, which a decoder finds out by checksums.

    Errors: `ShapeError` for sizes below 1, `StateError` for a model without latents.
    """

    name = "safe"

    def __init__(self, model: Model, *, batch: int, bins: int = FINE_BINS) -> None:
        self.batch, self.bins = batch, bins
        if not 1 <= self.batch <= MOST_BATCH or not 1 <= bins <= MOST_BINS:
            raise ShapeError(
                f"batch {self.batch} and bins {bins}: expected at least 1 each, at most {MOST_BATCH:,} and "
                f"{MOST_BINS:,}"
            )
        self.grid, self._last = LatentGrid(bins, REACH * bins), {}
        self.model = copy.deepcopy(needs(model, LatentModel, "lossless compression")).cpu().double().eval()
        blank = self._batch(np.zeros((1, self.cells), np.int32))
        with fixed():
            means = posterior_means(self.model, blank)
        self.sizes = tuple(level.shape[2] for level in means)  # of the levels of latents
        self.latents = (sum(self.sizes),)
        if len(self.sizes) == 1:  # what cannot be coded of any block is refused, not sent raw block by block
            with fixed():
                law_of_latents(self.model.posterior_at((), blank), self.grid, 1)

    @property
    def settings(self) -> Mapping[str, int]:
        return {"batch": self.batch, "bins": self.bins}

    @property
    def build(self) -> Mapping[str, str]:
        return build_facts()

    def posterior(self, level: int, below: Symbols) -> CodingLaw:
        if len(self.sizes) > 1:
            return Parts(lambda above: self._posterior_at(above, below), self.sizes)
        with fixed():
            return law_of_latents(self._infer(below), self.grid, len(below))

    def _posterior_at(self, above: list[np.ndarray], x: Symbols) -> CodingLaw:
        with fixed():
            law = self.model.posterior_at(tuple(map(self._latents, above)), self._batch(x)) if above else self._infer(x)
            return law_of_latents(of_the_draw(law), self.grid, len(x))

    def likelihood(self, level: int, above: Symbols) -> CodingLaw:
        with fixed():
            return self._law(self._decode(above), len(above))

    def prior(self, examples: int) -> CodingLaw:
        if len(self.sizes) > 1:
            return Parts(lambda above: self._prior_at(above, examples), self.sizes)
        return self._prior_at([], examples)

    def _prior_at(self, above: list[np.ndarray], examples: int) -> CodingLaw:
        with fixed():
            law = self.model.prior_at(tuple(map(self._latents, above)))
            return prior_of_latents(of_the_draw(law), self.grid, examples)

    def ideal(self, x: Symbols, latents: tuple[Symbols, ...]) -> np.ndarray:
        with fixed():
            return self._excess(x, latents) - self._log_prob(self._decode(latents[0]), x)

    def _excess(self, x: Symbols, latents: tuple[Symbols, ...]) -> np.ndarray:
        """Log q(z | x) - log p(z) of each example, nats."""

        def posterior(above: Levels) -> Distribution:
            return self.model.posterior_at(above, self._batch(x)) if above else self._infer(x)

        return log_ratio(posterior, self.model.prior_at, self._levels(latents[0]))[: len(x)].numpy()

    @abstractmethod
    def _batch(self, x: Symbols) -> Batch:
        """The examples as the model takes them, filled up to a whole batch."""

    @abstractmethod
    def _law(self, law: Distribution, examples: int) -> CodingLaw:
        """P(x | z) of the first examples."""

    @abstractmethod
    def _log_prob(self, law: Distribution, x: Symbols) -> np.ndarray:
        """Log p(x | z) of each example as the model has it, nats."""

    def _infer(self, x: Symbols) -> Distribution:
        """q(z | x) of the first level for a whole batch, of which the first examples are those asked for."""
        return self._remembered("posterior", x, lambda: self.model.posterior_at((), self._batch(x)))

    def _decode(self, z: Symbols) -> Distribution:
        """p(x | z) for a whole batch."""
        return self._remembered("likelihood", z, lambda: self.model.decode(self._levels(z), None))

    def _remembered(self, what: str, given: Symbols, compute: Callable[[], Distribution]) -> Distribution:
        """What was computed last for the same symbols, or anew: the same law serves the coding and the bound."""
        before = self._last.get(what)
        if before is None or not np.array_equal(before[0], given):
            self._last[what] = before = (given, compute())
        return before[1]

    def _latents(self, z: Symbols) -> Tensor:
        return torch.from_numpy(self._padded(z, z.shape[1]))[None] / self.bins

    def _levels(self, z: Symbols) -> Levels:
        """The latents of every level from symbols side by side."""
        return tuple(self._latents(part) for part in np.split(z, np.cumsum(self.sizes)[:-1], axis=1))

    def _padded(self, symbols: np.ndarray, width: int) -> np.ndarray:
        """A batch of its one size, zeros where there are no examples."""
        if len(symbols) > self.batch:
            raise ShapeError(
                f"{counted(len(symbols), 'example')} at once, but this coder works on {self.batch}; give at most as "
                "many"
            )
        whole = np.zeros((self.batch, width))
        whole[: len(symbols)] = symbols
        return whole


class SafeLevel(FloatLevel):
    """Images and arrays: every cell a whole number from 0 to `levels` - 1.

    Errors: `SupportError` for a likelihood that gives no probabilities, `ShapeError` for sizes below 1.
    """

    def __init__(
        self, model: Model, event: tuple[int, ...], levels: int, *, batch: int | None = None, bins: int = FINE_BINS
    ) -> None:
        head = head_of(model)
        if isinstance(head, Head) and not (head.discrete and head.is_likelihood):
            raise SupportError(
                f"the likelihood ({type(head).__name__}) gives no probabilities of whole numbers, so nothing can be "
                "coded with it; train with one "
                "of them (--likelihood bernoulli, discretized-logistic, discretized-logistic-mixture, "
                "coupled-logistic-mixture or categorical)"
            )
        self.event, self.cells, self.levels = event, int(np.prod(event)), levels
        super().__init__(model, batch=at_once(self.cells) if batch is None else batch, bins=bins)

    def _batch(self, x: Symbols) -> Batch:
        return Batch(x=self._cells(x))

    def _law(self, law: Distribution, examples: int) -> CodingLaw:
        return law_of_cells(law, self.levels, examples)

    def _log_prob(self, law: Distribution, x: Symbols) -> np.ndarray:
        return total_log_prob(law, self._cells(x))[0, : len(x)].numpy()

    def ideal_of(
        self, x: Symbols, latents: tuple[Symbols, ...], seen: Bool[np.ndarray, "examples height width"]
    ) -> np.ndarray:
        """`ideal` of images of which only the pixels that are `seen` count."""
        with fixed():
            cells = self._decode(latents[0]).log_prob(self._cells(x))[0, : len(x)]
            mask = torch.from_numpy(seen)
            mask = mask if cells.dim() == mask.dim() else mask[:, None].expand_as(cells)
            return self._excess(x, latents) - cells.where(mask, cells.new_zeros(())).flatten(1).sum(1).numpy()

    def _cells(self, x: Symbols) -> Tensor:
        return torch.from_numpy(self._padded(x, self.cells)).view(self.batch, *self.event)


@contextmanager
def fixed() -> Iterator[None]:
    """One thread, no gradients: sums in one order."""
    with threads(1), torch.inference_mode():
        yield


def build_facts() -> dict[str, str]:
    """What the last bit of a float64 result may depend on."""
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "constriction": version("constriction"),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "system": platform.system(),
        "processor": processor(),
    }


def processor() -> str:
    """The model of the processor as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(errors="replace").splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def make_level(
    name: str, model: Model, event: tuple[int, ...], levels: int, settings: Mapping[str, int] | None = None
) -> Level:
    """The level of a name for a model whose cells are 0 ... levels - 1; `settings` as a file gives them, None for the
    usual ones.

    Errors: `FormatError` for a name or settings that are not known; those of the level.
    """
    if name != SafeLevel.name:
        raise FormatError(
            f"no level of compression is called {name!r}; there are {SafeLevel.name}: use the vael that wrote the file"
        )
    try:
        return SafeLevel(model, event, levels, **dict(settings or {}))
    except TypeError as error:
        raise FormatError(
            f"the level {name} does not take the settings {dict(settings or {})} ({error}); use the vael that wrote it"
        ) from error
