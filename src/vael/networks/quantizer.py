"""Vectors to codes and back: a code book that follows what it is shown, or a fixed grid; and the gradient that
passes through.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vael.errors import ShapeError, StateError
from vael.networks.moving import Moving

Uniform = Callable[[int], Tensor]  # so many U[0, 1) variates


@dataclass(frozen=True)
class Quantized:
    """Vectors replaced by the nearest that a code stands for."""

    vectors: Float[Tensor, "batch features *space"]  # with the gradient that a `PassThrough` gives them
    codes: Int64[Tensor, "batch *space"]
    commitment: Float[Tensor, " batch"]  # ‖z - sg[e]‖², summed over positions


class PassThrough(ABC):
    """Abstract: the value of e with a gradient for z, although e is constant almost everywhere as a function of z."""

    @abstractmethod
    def __call__(
        self, z: Float[Tensor, "rows features"], e: Float[Tensor, "rows features"]
    ) -> Float[Tensor, "rows features"]:
        """`e` in value; its Jacobian for z is the estimator's."""


@dataclass(frozen=True)
class StraightThrough(PassThrough):
    """z + sg[e - z]: the Jacobian is the identity (Bengio, Léonard & Courville 2013; van den Oord, Vinyals &
    Kavukcuoglu 2017, eq. 3).
    """

    def __call__(
        self, z: Float[Tensor, "rows features"], e: Float[Tensor, "rows features"]
    ) -> Float[Tensor, "rows features"]:
        return e.detach() + (z - z.detach())  # e to the last bit, which z + sg[e - z] is not


@dataclass(frozen=True)
class RotationTrick(PassThrough):
    """sg[λ R] z with the rotation R that takes z's direction to e's and λ = ‖e‖ / ‖z‖ (Fifty et al. 2024, eq. 4).

    R = I - 2 r rᵀ + 2 ê ẑᵀ, r = (ê + ẑ) / ‖ê + ẑ‖: the gradient keeps its angle to the vector. Where a direction is
    missing (z or e is 0) or opposite, the Jacobian is the identity.
    """

    def __call__(
        self, z: Float[Tensor, "rows features"], e: Float[Tensor, "rows features"]
    ) -> Float[Tensor, "rows features"]:
        with torch.no_grad():
            tiny = torch.finfo(z.dtype).tiny ** 0.5
            size_z, size_e = (v.norm(dim=-1, keepdim=True) for v in (z, e))
            unit_z, unit_e = z / size_z.clamp(min=tiny), e / size_e.clamp(min=tiny)
            both = unit_z + unit_e
            width = both.norm(dim=-1, keepdim=True)
            defined = (size_z > tiny) & (size_e > tiny) & (width > 1e-3)
            r, scale = both / width.clamp(min=1e-3), size_e / size_z.clamp(min=tiny)
        turned = z - 2 * r * (r * z).sum(-1, keepdim=True) + 2 * unit_e * (unit_z * z).sum(-1, keepdim=True)
        passed = torch.where(defined, scale * turned, z)
        return e.detach() + (passed - passed.detach())


class Quantizer(Moving, ABC):
    """Abstract: a finite set of `size` vectors of `features` numbers, and how a vector becomes one of them."""

    size: int
    features: int

    @abstractmethod
    def forward(
        self,
        vectors: Float[Tensor, "batch features *space"],
        *,
        weight: Tensor | None = None,
        uniform: Uniform | None = None,
    ) -> Quantized:
        """Quantise every vector; in training mode stage what is learnt of them, rows of `weight` 0 left out."""

    @abstractmethod
    def lookup(self, codes: Int64[Tensor, "batch *space"]) -> Float[Tensor, "batch features *space"]:
        """The vectors that codes stand for."""

    def _rows(self, vectors: Tensor) -> Float[Tensor, "rows features"]:
        if vectors.dim() < 2 or vectors.shape[1] != self.features:
            raise ShapeError(
                f"vectors of shape {tuple(vectors.shape)}, but this quantiser takes [batch, {self.features}, *space]"
            )
        return vectors.movedim(1, -1).flatten(0, -2)

    def _quantized(self, vectors: Tensor, passed: Tensor, e: Tensor, codes: Tensor) -> Quantized:
        space = vectors.movedim(1, -1).shape
        difference = (self._rows(vectors) - e.detach()).square().reshape(vectors.shape[0], -1).sum(1)
        return Quantized(passed.reshape(space).movedim(-1, 1), codes.view(space[:-1]), difference)


ROUNDING = 64  # units in the last place, by which expanded distances may err
AT_ONCE = 1024  # vectors compared with the whole book by their differences


def nearest(vectors: Float[Tensor, "rows features"], book: Float[Tensor, "size features"]) -> Int64[Tensor, " rows"]:
    """The index of the nearest row of `book` by squared distance; of equally near ones the lowest.

    ‖e‖² - 2 zᵀe, expanded about the mean of the book, is ‖z - e‖² up to a constant; where it leaves several within
    rounding, their differences decide. So neither cancellation nor the size of the batch turns a near tie.
    """
    if torch.compiler.is_exporting():  # a graph cannot branch on data: there the differences decide everywhere
        return (vectors[:, None] - book).square().sum(2).argmin(1)
    centre = book.mean(0)
    z, e = vectors - centre, book - centre
    norms = e.square().sum(1)
    scores = norms - 2 * z @ e.T
    best, codes = scores.min(1)
    slack = ROUNDING * torch.finfo(z.dtype).eps * (z.square().sum(1) + norms.max())
    close = ((scores <= (best + slack)[:, None]).sum(1) > 1).nonzero()[:, 0]
    for rows in close.split(AT_ONCE):
        codes[rows] = (vectors[rows][:, None] - book).square().sum(2).argmin(1)  # the first of equal ones
    return codes


def spread_out(
    vectors: Float[Tensor, "rows features"], size: int, variates: Float[Tensor, " size"]
) -> Float[Tensor, "size features"]:
    """Rows chosen one after another with probability ∝ squared distance to those chosen before: k-means++ (Arthur &
    Vassilvitskii 2007).

    Where no row is left that is not chosen already, any row is taken.
    """
    chosen = vectors.new_empty(size, vectors.shape[1])
    distance = torch.ones(len(vectors), dtype=torch.float64, device=vectors.device)
    for k in range(size):
        mass = distance if bool(distance.sum() > 0) else torch.ones_like(distance)
        cumulative = mass.cumsum(0)
        row = int(
            torch.searchsorted(cumulative, variates[k].double() * cumulative[-1], right=True).clamp(
                max=len(vectors) - 1
            )
        )
        chosen[k] = vectors[row]
        latest = (vectors - vectors[row]).square().sum(1).double()
        distance = latest if k == 0 else torch.minimum(distance, latest)
    return chosen


class CodeBook(Quantizer):
    """Vector quantisation with a code book that follows the vectors by exponential averages (van den Oord et al. 2017,
    appendix A.1).

    N_k ← γ_t N_k + (1 - γ_t) n_k,  m_k ← γ_t m_k + (1 - γ_t) Σ z,  e_k = m_k / N_k, with n_k vectors of the batch
    nearest to e_k. N and m are buffers, and no gradient reaches the book. It starts on the first batch by k-means++; a
    code whose N falls below `least`, a share of the even use (vectors per batch / size), is set anew on a vector of the
    batch drawn at random. 0 never revives. At step t = 0, 1 ... γ_t = min(γ, (1 + t) / (10 + t)): an encoder moves
    fastest when training begins, and averages over a hundred steps would leave a book where its vectors were, dead
    codes unnoticed for some log(least) / log γ = 350 steps.

    Errors: `ShapeError` for sizes below 1, `StateError` for γ outside (0, 1).
    """

    moving = ("counts", "sums", "steps", "revived")

    def __init__(
        self, size: int, features: int, *, decay: float = 0.99, least: float = 0.03, passes: PassThrough | None = None
    ) -> None:
        super().__init__()
        if size < 1 or features < 1:
            raise ShapeError(f"a code book of {size} codes of {features} numbers; expected at least 1 of each")
        if not 0 < decay < 1 or not 0 <= least < 1:
            raise StateError(
                f"decay {decay} and least share of use {least}; expected a decay between 0 and 1 and a share of at "
                "least 0, below 1"
            )
        self.size, self.features, self.decay, self.least, self.passes = (
            size,
            features,
            decay,
            least,
            passes or StraightThrough(),
        )
        self.register_buffer("counts", torch.ones(size))  # N
        self.register_buffer("sums", torch.zeros(size, features))  # m
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # t
        self.register_buffer("revived", torch.zeros((), dtype=torch.int64))

    @property
    def started(self) -> bool:
        """Whether a batch was seen in training."""
        return bool(self.steps > 0)

    @property
    def vectors(self) -> Float[Tensor, "size features"]:
        """Every e_k = m_k / N_k."""
        return self.sums / self.counts[:, None]

    def forward(
        self,
        vectors: Float[Tensor, "batch features *space"],
        *,
        weight: Tensor | None = None,
        uniform: Uniform | None = None,
    ) -> Quantized:
        """Errors: `StateError` in training without `uniform`, `ShapeError` for other vectors."""
        z = self._rows(vectors)
        book = (
            self._learn(z, weight, len(vectors), uniform) if self.training and torch.is_grad_enabled() else self.vectors
        )
        codes = nearest(z.detach(), book)
        return self._quantized(vectors, self.passes(z, book[codes]), book[codes], codes)

    def _learn(self, z: Tensor, weight: Tensor | None, batch: int, uniform: Uniform | None) -> Tensor:
        """Stage what this batch teaches; the book that holds until then."""
        if uniform is None:
            raise StateError(
                "a code book in training draws at random to start and to revive codes, but no uniform variates were "
                "given"
            )
        known = self._known(z, weight, batch)
        counts, sums = (self.counts, self.sums) if self.started else self._start(known, uniform)
        book = sums / counts[:, None]
        self._follow(known, nearest(known, book), counts, sums, uniform)
        return book

    @staticmethod
    def _known(z: Tensor, weight: Tensor | None, batch: int) -> Tensor:
        z = z.detach()
        return z if weight is None else z[(weight > 0).repeat_interleave(len(z) // batch)]

    def _start(self, known: Tensor, uniform: Uniform) -> tuple[Tensor, Tensor]:
        counts = torch.full_like(self.counts, len(known) / self.size)
        return counts, spread_out(known, self.size, uniform(self.size)) * counts[:, None]

    def _follow(self, known: Tensor, codes: Tensor, counts: Tensor, sums: Tensor, uniform: Uniform) -> None:
        """Stage the averages with this batch in them, dead codes revived."""
        n = torch.zeros_like(counts).index_add_(0, codes, torch.ones_like(known[:, 0]))
        total = torch.zeros_like(sums).index_add_(0, codes, known)
        decay = ((1 + self.steps) / (10 + self.steps)).clamp(max=self.decay)
        counts = decay * counts + (1 - decay) * n
        sums = decay * sums + (1 - decay) * total
        even = len(known) / self.size
        dead = counts < self.least * even
        if bool(dead.any()):
            rows = (uniform(self.size) * len(known)).long().clamp(max=len(known) - 1)
            counts, sums = torch.where(dead, even, counts), torch.where(dead[:, None], known[rows] * even, sums)
        self.stage(counts=counts, sums=sums, steps=self.steps + 1, revived=self.revived + dead.sum())

    def lookup(self, codes: Int64[Tensor, "batch *space"]) -> Float[Tensor, "batch features *space"]:
        return self.vectors[codes].movedim(-1, 1)


class FiniteScalar(Quantizer):
    """Finite scalar quantisation: each number is bounded and rounded to one of few levels; Π levels codes (Mentzer et
    al. 2023).

    With L levels, u = ½ (L - 1) (1 + 10⁻³) tanh(z + s) - o, and round(u) / ⌊L / 2⌋ is what the code stands for; o = ½
    and s = atanh(o / ½ (L - 1)(1 + 10⁻³)) where L is even, else 0. There is nothing to learn and nothing to commit to:
    commitment is 0. Errors: `ShapeError` for no levels or fewer than 2 of one.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ShapeError(f"levels {tuple(levels)}: expected at least one number, each of at least 2 levels")
        self.levels, self.size, self.features = tuple(levels), math.prod(levels), len(levels)
        count = torch.tensor(levels)
        half = 0.5 * (count - 1) * 1.001
        self.register_buffer("reach", half, persistent=False)
        self.register_buffer("offset", torch.where(count % 2 == 0, 0.5, 0.0), persistent=False)
        self.register_buffer("shift", torch.atanh(self.offset / half), persistent=False)
        self.register_buffer("width", count // 2, persistent=False)
        self.register_buffer("count", count, persistent=False)
        self.register_buffer(
            "basis", torch.tensor([math.prod(levels[:k]) for k in range(len(levels))]), persistent=False
        )

    def forward(
        self,
        vectors: Float[Tensor, "batch features *space"],
        *,
        weight: Tensor | None = None,
        uniform: Uniform | None = None,
    ) -> Quantized:
        """Errors: `ShapeError` for vectors of another number of features than there are levels."""
        z = self._rows(vectors)
        u = torch.tanh(z + self.shift) * self.reach - self.offset
        whole = u.detach().round()
        codes = ((whole.long() + self.width) * self.basis).sum(-1)
        passed = StraightThrough()(u / self.width, whole / self.width)
        found = self._quantized(vectors, passed, whole / self.width, codes)
        return Quantized(found.vectors, found.codes, torch.zeros_like(found.commitment))

    def lookup(self, codes: Int64[Tensor, "batch *space"]) -> Float[Tensor, "batch features *space"]:
        digits = codes[..., None] // self.basis % self.count
        return ((digits - self.width) / self.width).movedim(-1, 1).to(self.reach.dtype)


@dataclass(frozen=True)
class CodeUse:
    """How evenly codes are used."""

    perplexity: float  # exp of the entropy of the frequencies: between 1 and the number of codes
    used: int  # codes that occur at all
    size: int


def code_use(codes: Int64[Tensor, "*any"], size: int) -> CodeUse:
    """Perplexity exp(-Σ p_k log p_k) of the codes' frequencies, and how many of `size` codes occur.

    Errors: `ShapeError` for no codes.
    """
    if not codes.numel():
        raise ShapeError("no codes were given, so their use cannot be counted")
    share = torch.bincount(codes.flatten(), minlength=size).double() / codes.numel()
    return CodeUse(float(torch.special.entr(share).sum().exp()), int((share > 0).sum()), size)
