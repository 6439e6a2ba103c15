"""The one table of laws: every member stands here once and is put through every test of test_laws.py.

A row says how to make the law from plain numbers, at which numbers to try it, and how to enumerate or integrate over
its support.
"""

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import columns_of_tables as c
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Laplace, Normal

from vael.models import ColumnsHead
from vael.probability import (
    CodeChoice,
    ContinuousBernoulli,
    CoupledLogisticMixture,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    TabulatedMixture,
    ZeroInflatedPoisson,
)

LEVELS = 256


@dataclass(frozen=True)
class Grid:
    """Points of the support, `[points, rows, *event]`, and the logarithm of the measure of each, `[points, rows]`."""

    points: Tensor
    log_measure: Tensor


@dataclass(frozen=True)
class Member:
    """A law made from the numbers of a row, `[rows, numbers]` -> batch shape `[rows]`."""

    name: str
    make: Callable[[Tensor], Distribution]
    usual: tuple[tuple[float, ...], ...]  # numbers as a network gives them
    extreme: tuple[tuple[float, ...], ...]  # numbers at and beyond the bounds
    grid: Callable[[Tensor], Grid]
    tails: tuple[float | tuple[float, ...], ...]  # values at which the tails are looked at
    known: Callable[[tuple[float, ...], Tensor], Tensor] | None = None  # log-density by SciPy
    discrete: bool = True
    mean_error: float = 1e-9  # of `mean`, in units of x

    def law(self, rows: tuple[tuple[float, ...], ...], dtype: torch.dtype = torch.float64) -> Distribution:
        """The law of several rows."""
        return self.make(torch.tensor(rows, dtype=dtype))


def every(levels: int, channels: int | None = None) -> Callable[[Tensor], Grid]:
    """All values of a discrete cell, or of several cells together."""
    values = (
        torch.arange(levels).double()
        if channels is None
        else torch.tensor(list(itertools.product(range(levels), repeat=channels))).double()
    )

    def grid(numbers: Tensor) -> Grid:
        rows = len(numbers)
        points = values[:, None].expand(len(values), rows, *values.shape[1:])
        return Grid(points.to(numbers.dtype), torch.zeros(len(values), rows, dtype=numbers.dtype))

    return grid


def around(numbers: Tensor) -> Grid:
    """Location ± 40 scales, by the trapezoid rule; numbers are (location, log-scale)."""
    u = torch.linspace(-40, 40, 80001, dtype=numbers.dtype)[:, None]
    loc, scale = numbers[:, 0], numbers[:, 1].exp()
    return Grid(loc + scale * u, (scale * 0.001).log().expand(len(u), -1))


def counted(least: int, most: int) -> Callable[[Tensor], Grid]:
    """Whole numbers between two ends."""
    points = torch.arange(least, most + 1).double()[:, None]
    return lambda n: Grid(points.expand(-1, len(n)).to(n.dtype), torch.zeros(len(points), len(n), dtype=n.dtype))


def along(head: ColumnsHead, reach: float = 30.0, number: int = 100_001) -> Callable[[Tensor], Grid]:
    """Real numbers, dense where the warp of a column says that it lies; each with half the distance between its
    neighbours.
    """
    v = (
        copy.deepcopy(head)
        .double()
        .scales.warp()
        .inverse(torch.linspace(-reach, reach, number, dtype=torch.float64)[:, None])
    )
    measure = torch.cat((v[1:2] - v[:1], (v[2:] - v[:-2]) / 2, v[-1:] - v[-2:-1])).log()
    return lambda n: Grid(v.expand(-1, len(n)).to(n.dtype), measure.expand(-1, len(n)).to(n.dtype))


def unit_interval(largest: float) -> Callable[[Tensor], Grid]:
    """[0, largest] by Simpson's rule."""

    def grid(numbers: Tensor) -> Grid:
        n = 20001
        weight = torch.tensor([4.0, 2.0], dtype=numbers.dtype).repeat(n // 2 + 1)[: n - 2]
        weight = torch.cat([weight.new_ones(1), weight, weight.new_ones(1)]) * largest / (3 * (n - 1))
        points = torch.linspace(0, largest, n, dtype=numbers.dtype)
        return Grid(points[:, None].expand(n, len(numbers)), weight.log()[:, None].expand(n, len(numbers)))

    return grid


def mixture(components: int, levels: int) -> Callable[[Tensor], Distribution]:
    """Numbers are logits, locations, log-scales of the components."""
    return lambda n: DiscretizedLogisticMixture(*n.unflatten(-1, (3, components)).unbind(-2), levels)


def coupled(channels: int, components: int, levels: int) -> Callable[[Tensor], Distribution]:
    """Numbers are logits, locations, log-scales and couplings, the component last."""

    def make(n: Tensor) -> Distribution:
        sizes = [components, channels * components, channels * components, channels * (channels - 1) // 2 * components]
        logits, loc, log_scale, coupling = n.split(sizes, dim=-1)
        parts = (part.unflatten(-1, (-1, components)) for part in (loc, log_scale, coupling))
        return CoupledLogisticMixture(logits, *parts, levels, space=0)

    return make


def logistic_by_scipy(numbers, x):
    """log P of the unit bin around x, through the smaller of both tails; the outer bins open."""
    law = stats.logistic(numbers[0], math.exp(numbers[1]))
    low, high = (x - 0.5).where(x > 0, -math.inf), (x + 0.5).where(x < LEVELS - 1, math.inf)
    below, above = law.cdf(high) - law.cdf(low), law.sf(low) - law.sf(high)
    return torch.as_tensor(below).where(x < numbers[0], torch.as_tensor(above)).log()


def counts_by_scipy(numbers, x):
    """The Poisson probabilities, and a share of zeros besides."""
    zeros = 1 / (1 + math.exp(-numbers[0]))
    return torch.as_tensor((1 - zeros) * stats.poisson.pmf(x, math.exp(numbers[1])) + zeros * (x == 0).numpy()).log()


def continuous_bernoulli_by_scipy(largest):
    """A truncated exponential: density ∝ e^(l x / largest); falling for l < 0, mirrored for l > 0."""

    def known(numbers, x):
        size = abs(numbers[0])
        falling = x / largest if numbers[0] < 0 else 1 - x / largest
        return torch.as_tensor(stats.truncexpon.logpdf(falling, b=size, scale=1 / size)) - math.log(largest)

    return known


PIXELS = (0.0, 1.0, 2.0, 127.0, 253.0, 254.0, 255.0)
LOGISTIC = tuple(
    (loc, s) for loc in (-1000.0, -0.5, 0.0, 127.25, 255.0, 300.0, 1e6) for s in (-20.0, -3.0, 0.0, 6.6, 20.0)
)
CELLS = (0.0, 0.25, 1.0)
TABLE = torch.tensor([[3.0, 0.0, -1.0, 0.5, -2.0], [0.0, 0.3, 0.1, -0.2, 40.0]]).double()

MEMBERS = [
    Member(
        "bernoulli",
        lambda n: Bernoulli(logits=n[..., 0], validate_args=False),
        ((-2.0,), (0.0,), (0.7,)),
        ((-100.0,), (-20.0,), (20.0,), (100.0,)),
        every(2),
        (0.0, 1.0),
        lambda n, x: torch.as_tensor(stats.bernoulli.logpmf(x, 1 / (1 + math.exp(-n[0])))),
    ),
    Member(
        "continuous Bernoulli",
        lambda n: ContinuousBernoulli(n[..., 0]),
        ((-3.0,), (-0.501,), (-0.499,), (-0.1,), (1e-3,), (0.49,), (0.51,), (4.0,)),
        ((-100.0,), (-1e-6,), (0.0,), (100.0,)),
        unit_interval(1.0),
        CELLS,
        continuous_bernoulli_by_scipy(1.0),
        discrete=False,
    ),
    Member(
        "continuous Bernoulli of 256 levels",
        lambda n: ContinuousBernoulli(n[..., 0], 256.0),
        ((-3.0,), (2.0,)),
        ((-100.0,), (100.0,)),
        unit_interval(256.0),
        (0.0, 128.0, 256.0),
        continuous_bernoulli_by_scipy(256.0),
        discrete=False,
        mean_error=1e-8,
    ),
    Member(
        "Gaussian",
        lambda n: Normal(n[..., 0], n[..., 1].exp(), validate_args=False),
        ((0.0, 0.0), (3.0, -2.0)),
        ((0.0, -6.0), (0.0, 3.0), (100.0, -6.0)),
        around,
        (-10.0, 0.0, 3.0),
        lambda n, x: torch.as_tensor(stats.norm.logpdf(x, n[0], math.exp(n[1]))),
        discrete=False,
        mean_error=1e-8,
    ),
    Member(
        "Laplace",
        lambda n: Laplace(n[..., 0], n[..., 1].exp(), validate_args=False),
        ((0.0, 0.0), (3.0, -2.0)),
        ((0.0, -6.0), (0.0, 3.0), (100.0, -6.0)),
        around,
        (-10.0, 0.0, 3.0),
        lambda n, x: torch.as_tensor(stats.laplace.logpdf(x, n[0], math.exp(n[1]))),
        discrete=False,
        mean_error=1e-6,
    ),
    Member(
        "categorical",
        CodeChoice,
        ((0.0, 1.0, -1.0, 0.5, 2.0), (0.0, 0.0, 0.0, 0.0, 0.0)),
        ((100.0, -100.0, 0.0, 99.0, -1e4),),
        every(5),
        (0.0, 1.0, 4.0),
        lambda n, x: torch.tensor(n).double().log_softmax(0)[x.long()],
    ),
    Member(
        "mixture of tabulated laws",
        lambda n: TabulatedMixture(n, TABLE.to(n)),
        ((0.0, 1.0), (-1.0, 2.0)),
        ((100.0, -100.0), (-1e4, 0.0)),
        every(5),
        (0.0, 1.0, 4.0),
        lambda n, x: (torch.tensor(n).double().softmax(0) @ TABLE.softmax(1))[x.long()].log(),
    ),
    Member(
        "discretised logistic",
        lambda n: DiscretizedLogistic(n[..., 0], n[..., 1], LEVELS),
        ((100.0, 2.0), (3.3, 1.0), (250.0, 3.5), (127.5, -1.0)),
        LOGISTIC,
        every(LEVELS),
        PIXELS,
        logistic_by_scipy,
    ),
    Member(
        "discretised logistic of 2 levels",
        lambda n: DiscretizedLogistic(n[..., 0], n[..., 1], 2),
        ((0.3, 0.0), (0.9, -2.0)),
        ((0.5, -20.0), (-1e6, 3.0), (0.0, 20.0)),
        every(2),
        (0.0, 1.0),
    ),
    Member(
        "mixture of discretised logistics",
        mixture(2, LEVELS),
        ((0.0, 1.0, 50.0, 200.0, 2.0, 1.0), (1.0, -1.0, 0.0, 255.0, 0.0, 3.0)),
        tuple((0.0, logit, loc, 127.0, s, -3.0) for logit in (-100.0, 100.0) for loc, s in LOGISTIC),
        every(LEVELS),
        PIXELS,
    ),
    Member(
        "zero-inflated Poisson",
        lambda n: ZeroInflatedPoisson(n[..., 0], n[..., 1]),
        ((-1.0, 1.0), (0.5, 3.0), (-2.0, -1.0), (-3.0, 4.5)),
        ((-100.0, 6.0), (100.0, 2.0), (0.0, -100.0), (3.0, -10.0), (-20.0, 7.0)),
        counted(0, 2000),
        (0.0, 1.0, 7.0, 90.0, 1000.0),
        counts_by_scipy,
    ),
    Member(
        "coupled mixture",
        coupled(3, 2, 6),
        ((0.3, -0.3, 1.5, 3.0, 2.5, 3.0, 2.0, 3.0, -0.4, 0.0, -0.5, -0.3, -0.4, 0.0, 0.4, -0.2, 0.1, 0.3, 0.3, 0.0),),
        (
            (
                0.0,
                50.0,
                -9.0,
                2.0,
                2.0,
                300.0,
                5.0,
                2.0,
                -3.0,
                3.0,
                2.0,
                -3.0,
                0.0,
                20.0,
                0.99,
                -0.99,
                0.5,
                0.5,
                -0.9,
                0.0,
            ),
        ),
        every(6, 3),
        ((0.0, 0.0, 0.0), (5.0, 5.0, 5.0), (0.0, 3.0, 5.0)),
        mean_error=0.005,
    ),
]

HEAD = ((0.0, -0.7, -1.0), (0.0, 0.4, -2.0))  # logit, location, log-scale of one component
TWO = ((0.0, 1.0, -1.0, 0.7, -1.5, -2.0), (2.0, -1.0, 0.0, -0.4, -1.0, -1.0))
WILD = tuple(
    (a, -a, loc, 0.0, s, -3.0) for a in (-100.0, 100.0) for loc in (-30.0, 0.0, 30.0) for s in (-20.0, 0.0, 20.0)
)

MEMBERS += [
    Member(
        "column of counts",
        lambda n: c.OneColumn(c.COUNT, n),
        HEAD,
        ((0.0, -30.0, 20.0), (0.0, 30.0, -20.0), (0.0, 0.0, 20.0)),
        counted(0, 5000),
        (0.0, 1.0, 20.0, 60.0),
        c.logistic(c.COUNT),
        mean_error=0.02,
    ),
    Member(
        "column of counts with spikes",
        lambda n: c.OneColumn(c.MIXED_COUNT, n),
        tuple((*row, 0.5, -0.5, 0.0) for row in TWO),
        tuple((*row, *choice) for row in WILD for choice in ((100.0, -100.0, 0.0), (-100.0, 100.0, 0.0))),
        counted(0, 5000),
        (0.0, 1.0, 99.0),
        mean_error=0.02,
    ),
    Member(
        "column of counts with a heavy tail",
        lambda n: c.OneColumn(c.HEAVY_COUNT, n),
        ((0.0, 1.0, -0.5, 0.2, -3.0, -2.5),),
        (),
        counted(0, 200_000),
        (0.0, 1.0, 10.0, 1e4, 1e6),
        mean_error=0.2,
    ),
    Member(
        "column of whole numbers",
        lambda n: c.OneColumn(c.NEGATIVE, n),
        TWO,
        WILD,
        counted(-3000, 3000),
        (-20.0, 0.0, 20.0),
        mean_error=0.02,
    ),
    Member(
        "column of real numbers with heavy tails",
        lambda n: c.OneColumn(c.REAL, n),
        ((0.0, 1.0, -0.5, 0.2, -2.0, -2.5),),
        WILD,
        along(c.REAL),
        (-1e4, 0.0, 1.0, 1e4),
        discrete=False,
        mean_error=0.05,
    ),
    Member(
        "column of positive numbers",
        lambda n: c.OneColumn(c.POSITIVE, n),
        ((0.0, 0.3, -1.5), (0.0, -1.0, -2.0)),
        ((0.0, 20.0, 20.0),),
        along(c.POSITIVE),
        (1e-3, 1.0, 7.0, 1e4),
        c.fisk(c.POSITIVE),
        discrete=False,
        mean_error=0.2,
    ),
    Member(
        "ordinal column",
        lambda n: c.OneColumn(c.ORDINAL, n),
        ((0.3, 0.0, 0.0, 0.0), (-2.0, 0.0, 0.0, 0.0)),
        ((100.0, 0.0, 0.0, 0.0), (-100.0, 0.0, 0.0, 0.0)),
        every(4),
        (0.0, 1.0, 3.0),
    ),
    Member(
        "categorical column",
        lambda n: c.OneColumn(c.LEVELS, n),
        ((0.3, 0.0, -1.0), (-2.0, 1.0, 0.0)),
        ((100.0, -100.0, 0.0),),
        every(3),
        (0.0, 1.0, 2.0),
    ),
]
