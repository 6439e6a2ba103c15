"""Members of the table of laws that are columns of a table: each is read from raw numbers by a head of one column."""

import copy
import math
from typing import ClassVar

import torch
from scipy import stats
from torch.distributions import Distribution

from vael.data import Column, ColumnKind, Schema
from vael.models import ColumnsHead
from vael.probability import bounded
from vael.probability.sampling import register_draw


def head_of(column: Column, sample: torch.Tensor, components: int = 2) -> ColumnsHead:
    """A head of one column that reads its raw numbers as they are, with the warp of `sample`."""
    head = ColumnsHead(Schema((column,)), components, sample[:, None])
    head.start_at.zero_()
    head.gain.fill_(1.0)
    return head


class OneColumn(Distribution):
    """The law of a head with one column: raw numbers `[*samples, rows, numbers]` give batch shape `[*samples,
    rows]`.
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, head: ColumnsHead, raw: torch.Tensor) -> None:
        self.head, self.raw = copy.deepcopy(head).to(raw.dtype).requires_grad_(False), raw
        super().__init__(raw.shape[:-1], validate_args=False)

    def over(self, shape: torch.Size) -> Distribution:
        """The law of as many rows side by side as `shape` has."""
        return self.head(self.raw.expand(*shape, -1).reshape(1, -1, self.raw.shape[-1]))

    def log_prob(self, value):
        shape = torch.broadcast_shapes(value.shape, self.batch_shape)
        return self.over(shape).log_prob(value.expand(shape).reshape(-1, 1))[0, :, 0].reshape(shape)

    @property
    def mean(self):
        law = self.over(self.batch_shape)
        if len(law.levels):  # of levels the package gives the most probable code; here the mean of codes stands for it
            return (law.log_probs.exp() * torch.arange(law.log_probs.shape[-1])).sum(-1).reshape(self.batch_shape)
        return law.expectation[0, :, 0].reshape(
            self.batch_shape
        )  # with spikes the package's `mean` is a point estimate


@register_draw(OneColumn)
def _one_column(law, shape, noise):
    table = law.over(shape)
    return table.drawn(table.batch_shape, noise)[0, :, 0].reshape(shape)


def fisk(head):
    """log v ~ Logistic(μ, s), the log-logistic law of SciPy."""
    shift, scale = float(head.scales.shift), float(head.scales.scale)

    def known(numbers, x):
        s = scale * float(bounded(torch.tensor(numbers[2]).double(), -6.0, 2.0).exp())
        return torch.as_tensor(stats.fisk.logpdf(x, 1 / s, scale=math.exp(shift + scale * numbers[1])))

    return known


def logistic(head):
    """P of the unit bin around a whole number; 0 takes the lower tail."""
    shift, scale, width, centre = (
        float(one) for one in (head.scales.shift, head.scales.scale, head.scales.width, head.scales.centre)
    )

    def known(numbers, x):
        law = stats.logistic(numbers[1], float(bounded(torch.tensor(numbers[2]).double(), -6.0, 2.0).exp()))
        low, high = ((((torch.asinh((x + half - centre) / width)) - shift) / scale) for half in (-0.5, 0.5))
        low = low.where(x > 0, -math.inf)
        below, above = law.cdf(high) - law.cdf(low), law.sf(low) - law.sf(high)
        return torch.as_tensor(below).where(low < numbers[1], torch.as_tensor(above)).log()

    return known


g = torch.Generator().manual_seed(0)
EVEN = torch.poisson(torch.full((2000,), 20.0), generator=g)
TAIL = (4 * torch.randn(2000, generator=g)).exp().round()
SPREAD = torch.sinh(3 * torch.randn(2000, generator=g))

COUNT = head_of(Column("children", ColumnKind.COUNT, minimum=0.0), EVEN, 1)
MIXED_COUNT = head_of(Column("gain", ColumnKind.COUNT, minimum=0.0, spikes=(0.0, 99.0)), EVEN)
HEAVY_COUNT = head_of(Column("cost", ColumnKind.COUNT, minimum=0.0), TAIL)
NEGATIVE = head_of(Column("change", ColumnKind.COUNT), EVEN - 20)
REAL = head_of(Column("balance", ColumnKind.REAL), SPREAD)
POSITIVE = head_of(Column("price", ColumnKind.POSITIVE), (2 + torch.randn(2000, generator=g)).exp(), 1)
ORDINAL = head_of(
    Column("grade", ColumnKind.ORDINAL, levels=("low", "middle", "high", "top")),
    torch.randint(4, (2000,), generator=g).float(),
)
LEVELS = head_of(
    Column("colour", ColumnKind.CATEGORICAL, levels=("red", "green", "blue")),
    torch.randint(3, (2000,), generator=g).float(),
)
