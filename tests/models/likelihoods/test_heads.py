"""Heads: from raw numbers to laws, in the data's units, within their bounds; data that do not fit are refused with
a way out.
"""

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Normal

from vael.data import Kind, Source
from vael.data.transforms import Dequantization
from vael.errors import ShapeError, SupportError
from vael.inference.graphs import captured
from vael.models import TabulatedMixtureHead
from vael.models.likelihoods import heads
from vael.models.likelihoods.counts import ZeroInflatedPoissonHead
from vael.models.likelihoods.heads import FixedScale, LearnedScale, PredictedScale
from vael.models.likelihoods.tabulated import bells
from vael.probability import DiscretizedLogistic, draw

EVENT = (3, 4, 5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def moments(event=EVENT):
    return SimpleNamespace(
        mean=200 * torch.rand(event, generator=generator(1)), std=1 + 50 * torch.rand(event, generator=generator(2))
    )


HEADS = {
    "Bernoulli": heads.BernoulliHead(),
    "cross-entropy": heads.CrossEntropyHead(255.0),
    "continuous Bernoulli": heads.ContinuousBernoulliHead(256.0),
    "Gaussian, fixed": heads.GaussianHead(moments(), FixedScale(0.1)),
    "Gaussian, one": heads.GaussianHead(moments()),
    "Gaussian, by channel": heads.GaussianHead(moments(), LearnedScale(3)),
    "Gaussian, predicted": heads.GaussianHead(moments(), PredictedScale()),
    "Laplace": heads.LaplaceHead(moments()),
    "Laplace, predicted": heads.LaplaceHead(moments(), PredictedScale()),
    "categorical": heads.CategoricalHead(7),
    "discretised logistic": heads.DiscretizedLogisticHead(),
    "mixture": heads.DiscretizedLogisticMixtureHead(256, 4),
    "tabulated": TabulatedMixtureHead(256, 4),
    "coupled": heads.CoupledLogisticMixtureHead(256, 4, channels=3),
    "zero-inflated Poisson": ZeroInflatedPoissonHead(),
}
EACH = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())


def raw_for(head, samples=2, batch=6, seed=0):
    return torch.randn(samples, batch, head.channels_per_cell * EVENT[0], *EVENT[1:], generator=generator(seed))


@EACH
def test_shapes(head):
    law, coupled = head(raw_for(head)), isinstance(head, heads.CoupledLogisticMixtureHead)
    cells = EVENT[1:] if coupled else EVENT
    assert law.batch_shape == (2, 6, *cells)
    assert law.mean.shape == (2, 6, *EVENT)
    x = draw(law, 1, generator())[0]
    assert x.shape == (2, 6, *EVENT)
    assert law.log_prob(x).shape == law.log_prob(x[0]).shape == (2, 6, *cells)


@EACH
def test_raw_numbers_of_any_size_give_finite_densities_and_gradients(head):
    x = draw(head(raw_for(head)), 1, generator())[0, 0].detach()
    for size in (0.0, 1e2, 1e4):
        raw = (size * raw_for(head, seed=3)).requires_grad_()
        log_prob = head(raw).log_prob(x)
        log_prob.sum().backward()
        assert log_prob.isfinite().all()
        assert raw.grad.isfinite().all()


@EACH
def test_each_example_and_channel_of_raw_numbers_is_read_where_it_belongs(head):
    """The law of one example is that of its raw numbers alone; of one channel too, where channels are independent."""
    raw = raw_for(head)
    x = draw(head(raw), 1, generator())[0, 0].detach()
    alone = head(raw[:, 2:3]).log_prob(x[2:3])
    torch.testing.assert_close(head(raw).log_prob(x)[:, 2:3], alone)
    if isinstance(head, heads.CoupledLogisticMixtureHead):
        return
    other = raw.unflatten(2, (-1, 3)).clone()
    other[:, :, :, 1] += 1
    changed = (head(other.flatten(2, 3)).log_prob(x) - head(raw).log_prob(x)).abs() > 0
    assert changed[:, :, 1].any()
    assert not changed[:, :, [0, 2]].any()


@EACH
def test_heads_differentiate_by_functions(head):
    raw = raw_for(head)
    x = draw(head(raw), 1, generator())[0, 0].detach()

    def total(raw):
        return head(raw).log_prob(x).sum()

    leaf = raw.clone().requires_grad_()
    torch.testing.assert_close(torch.func.grad(total)(raw), torch.autograd.grad(total(leaf), leaf)[0])


@EACH
def test_a_captured_head_gives_the_densities_and_gradients_of_the_eager_one(head):
    """Without a look at any number, and for other numbers than it was captured with."""
    raw, other = raw_for(head), raw_for(head, seed=1)
    x = draw(head(raw), 1, generator())[0, 0].detach()

    def gradient(*given):
        with torch.enable_grad():
            leaf = given[0].detach().requires_grad_()
            total = head(leaf).log_prob(given[1]).sum()
        return [total.detach(), *torch.autograd.grad(total, (leaf,))]

    graph = captured(gradient, [raw, x])
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.view.default:  # the compiler lays out memory itself
            node.target = torch.ops.aten.reshape.default
    graph.recompile()
    for numbers in (raw, other):
        for found, wanted in zip(graph(numbers, x), gradient(numbers, x), strict=True):
            torch.testing.assert_close(found, wanted)


@pytest.mark.slow
def test_heads_compile_as_one_graph():
    """In another process, since the checks of shapes under pytest cannot be traced; without a code generator, which
    adds nothing here.
    """
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("compiled_heads.py"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["equal"] * len(HEADS)


def test_half_precision_is_widened_and_double_stays():
    for given, wide in (
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert heads.at_least_float32(torch.zeros(2, dtype=given)).dtype == wide


@pytest.mark.parametrize("spread", [LearnedScale(), LearnedScale(3), PredictedScale()], ids=["one", "channel", "cell"])
@pytest.mark.parametrize("kind", [heads.GaussianHead, heads.LaplaceHead])
def test_sigma_stays_within_its_documented_bounds(kind, spread):
    """exp(-6) to exp(3) of the scale of the data, also where a cell never varied (then of 1)."""
    known = SimpleNamespace(mean=torch.full(EVENT, 7.0), std=torch.zeros(EVENT))
    head = kind(known, spread)
    for size in (-1e4, 1e4):
        if isinstance(spread, LearnedScale):
            torch.nn.init.constant_(spread.log_scale, size)
        scale = head(torch.full((1, 1, head.channels_per_cell * 3, 4, 5), size)).scale
        torch.testing.assert_close(scale.log(), torch.full_like(scale, 3.0 if size > 0 else -6.0), rtol=0, atol=2e-4)


def test_gaussians_are_in_the_units_of_the_data():
    known = moments((4,))
    raw = torch.randn(2, 5, 4, generator=generator())
    law = heads.GaussianHead(known)(raw)
    torch.testing.assert_close(law.loc, known.mean + known.std * raw)
    torch.testing.assert_close(law.scale, known.std.expand(2, 5, 4) * heads.bounded(torch.zeros(()), -6.0, 3.0).exp())
    assert heads.GaussianHead(known, FixedScale(0.1))(raw).scale.unique().tolist() == [pytest.approx(0.1)]
    x = torch.randn(5, 4, generator=generator(1))
    units = Normal(raw, law.scale / known.std).log_prob((x - known.mean) / known.std) - known.std.log()
    torch.testing.assert_close(law.log_prob(x), units, rtol=1e-4, atol=1e-4)


def test_an_image_has_one_scale_and_a_table_one_for_each_column():
    assert heads.GaussianHead(moments()).scale.unique().numel() == 1
    assert heads.GaussianHead(moments((6,))).scale.unique().numel() == 6
    assert heads.GaussianHead(
        SimpleNamespace(mean=torch.tensor([5.0, 5.0]), std=torch.tensor([2.0, 0.0]))
    ).scale.tolist() == [2.0, 1.0]


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_a_fixed_sigma_is_a_positive_number(sigma):
    with pytest.raises(SupportError, match="above 0"):
        FixedScale(sigma)


@pytest.mark.parametrize("levels", [2, 16, 256, 65536])
def test_log_scales_of_levels_stay_within_their_bounds(levels):
    head = heads.DiscretizedLogisticHead(levels)
    low, high = (head(torch.full((1, 1, 2), size)).log_scale for size in (-1e4, 1e4))
    torch.testing.assert_close(low, torch.full_like(low, -3.0), rtol=0, atol=1e-3)
    torch.testing.assert_close(high, torch.full_like(high, math.log(levels) + 1), rtol=0, atol=0.06)


def test_a_mixture_of_one_component_is_the_discretised_logistic():
    raw, one = raw_for(heads.DiscretizedLogisticHead()), heads.DiscretizedLogisticMixtureHead(256, 1)
    law = heads.DiscretizedLogisticHead()(raw)
    x = draw(law, 1, generator())[0, 0]
    torch.testing.assert_close(
        one(torch.cat([torch.randn(2, 6, *EVENT, generator=generator(4)), raw], 2)).log_prob(x), law.log_prob(x)
    )


def test_one_component_without_coupling_is_independent_channels():
    raw, head = raw_for(heads.DiscretizedLogisticHead()), heads.CoupledLogisticMixtureHead(256, 1, channels=3)
    law = heads.DiscretizedLogisticHead()(raw)
    x = draw(law, 1, generator())[0, 0]
    logits, none = torch.zeros(2, 6, 1, 4, 5), torch.zeros(2, 6, head.channels_per_cell * 3 - 7, 4, 5)
    torch.testing.assert_close(head(torch.cat([logits, raw, none], 2)).log_prob(x), law.log_prob(x).sum(2))


@pytest.mark.parametrize(("channels", "numbers"), [(1, 30), (2, 60), (3, 100), (4, 150)])
def test_a_coupled_pixel_takes_the_numbers_of_pixelcnn(channels, numbers):
    """10 components: 10 + 20 C + 10 C (C - 1) / 2, so 100 for three channels as published."""
    head = heads.CoupledLogisticMixtureHead(256, 10, channels)
    assert sum(head.sizes) == numbers
    assert numbers <= head.channels_per_cell * channels < numbers + channels


def test_coupling_moves_later_channels_by_earlier_ones_only():
    head = heads.CoupledLogisticMixtureHead(256, 1, channels=3)
    raw = raw_for(head, 1, 1)
    law, x = head(raw), torch.full((3, 4, 5), 100.0)
    for channel in range(3):
        moved = [
            float(
                (law._loc(c, [v[..., None] for v in x[:c]]) - law._loc(c, [v[..., None] for v in other[:c]]))
                .abs()
                .max()
            )
            for c in range(3)
            for other in [x.clone().index_fill_(0, torch.tensor([channel]), 101.0)]
        ]
        assert [m > 0 for m in moved] == [c > channel for c in range(3)]
        assert max(moved) <= 1  # weights in (-1, 1)


@pytest.mark.parametrize("name", ["Bernoulli", "cross-entropy", "discretised logistic"])
def test_a_start_resembles_the_data(name):
    head, largest = HEADS[name], 1.0 if name == "Bernoulli" else 255.0
    mean, std = largest * (0.05 + 0.9 * torch.rand(EVENT, generator=generator(1))), moments().std
    start = head.start(mean, std)
    assert start.shape == (head.channels_per_cell * 3, 4, 5)
    law = head(start[None, None])
    torch.testing.assert_close(
        law.loc[0, 0] if isinstance(law, DiscretizedLogistic) else law.mean[0, 0], mean, rtol=1e-4, atol=1e-4
    )
    if isinstance(law, DiscretizedLogistic):
        torch.testing.assert_close(law.log_scale.exp()[0, 0] * math.pi / math.sqrt(3), std, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("name", ["mixture", "coupled", "continuous Bernoulli"])
def test_a_start_has_the_moments_of_the_data(name):
    """Of a mixture the mean and the deviation, away from the edges; of a continuous Bernoulli the mean, from one
    end to the other.
    """
    head, largest = HEADS[name], HEADS[name].largest if name == "continuous Bernoulli" else 255.0
    share = torch.rand(EVENT, generator=generator(1))
    mean, std = (
        largest * (0.02 + 0.96 * share if name == "continuous Bernoulli" else 0.4 + 0.2 * share),
        15 + 15 * torch.rand(EVENT, generator=generator(2)),
    )
    start = head.start(mean, std)
    assert start.shape == (head.channels_per_cell * 3, 4, 5)
    law = head(start[None, None])
    torch.testing.assert_close(law.mean[0, 0], mean, rtol=1e-3, atol=1e-3 * largest)
    if name != "continuous Bernoulli":
        drawn = draw(law, 4000, generator(3))[:, 0, 0]
        torch.testing.assert_close(drawn.std(0), std, rtol=0.15, atol=0.5)


# what fits, and what is refused


def source(kind, x, levels=None, **more):
    return Source("things", x, kind, "print", levels=levels, **more)


BINARY = source(Kind.BINARY, torch.ones(4, *EVENT, dtype=torch.uint8))
PIXELS = source(Kind.INTEGER, torch.full((4, *EVENT), 255, dtype=torch.uint8), 256)
GREY = source(Kind.REAL, torch.rand(4, *EVENT, generator=generator()))
REAL = source(Kind.REAL, torch.randn(4, *EVENT, generator=generator()))
DEQUANTIZED = source(Kind.REAL, torch.full((4, *EVENT), 255, dtype=torch.uint8), transform=Dequantization())
HOLES = source(Kind.REAL, torch.full((4, *EVENT), math.nan))
KINDS = {"binary": BINARY, "pixels": PIXELS, "grey": GREY, "real": REAL, "dequantized": DEQUANTIZED, "holes": HOLES}
FITS = {
    "Bernoulli": {"binary"},
    "cross-entropy": {"binary", "pixels", "grey"},
    "continuous Bernoulli": {"grey", "dequantized"},
    "categorical": {"binary"},
    "discretised logistic": {"binary", "pixels"},
    "mixture": {"binary", "pixels"},
    "tabulated": {"binary", "pixels"},
    "coupled": {"binary", "pixels"},
    "zero-inflated Poisson": {"pixels"},
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_head_takes_the_data_that_fit_and_no_others(name, kind):
    if kind in FITS.get(name, {"grey", "real", "dequantized"}):
        assert HEADS[name].check(KINDS[kind]) is None
    else:
        with pytest.raises(SupportError, match="things"):
            HEADS[name].check(KINDS[kind])


@pytest.mark.parametrize(
    ("head", "data", "way"),
    [
        (heads.BernoulliHead(), PIXELS, "--binarize .*continuous Bernoulli"),
        (heads.BernoulliHead(), GREY, "--binarize .*continuous Bernoulli"),
        (heads.GaussianHead(), PIXELS, "discretised logistic over 256 levels.*--dequantize"),
        (heads.LaplaceHead(), BINARY, "Bernoulli"),
        (heads.GaussianHead(), HOLES, "240 of 240 cells are NaN.*mask"),
        (heads.DiscretizedLogisticHead(16), PIXELS, "256 levels"),
        (heads.DiscretizedLogisticHead(256), REAL, "Gaussian"),
        (heads.ContinuousBernoulliHead(), DEQUANTIZED, r"\[255, 256\]"),
        (ZeroInflatedPoissonHead(), BINARY, "Bernoulli"),
        (ZeroInflatedPoissonHead(), REAL, "whole numbers from 0 up, but these are real.*Gaussian"),
        (ZeroInflatedPoissonHead(), source(Kind.REAL, torch.tensor([[-1.0]])), "these are negative"),
    ],
)
def test_a_refusal_names_the_way_out(head, data, way):
    with pytest.raises(SupportError, match=way):
        head.check(data)


@pytest.mark.parametrize(
    ("head", "data"),
    [
        (heads.GaussianHead(spread=LearnedScale(2)), REAL),
        (heads.GaussianHead(moments((4,))), REAL),
        (heads.CoupledLogisticMixtureHead(256, 4, channels=2), PIXELS),
    ],
)
def test_sizes_that_do_not_fit_are_refused(head, data):
    with pytest.raises(ShapeError, match="things"):
        head.check(data)


def test_constant_cells_are_taken_and_their_density_is_bounded():
    constant = source(Kind.REAL, torch.full((4, 3), 7.0))
    head = heads.GaussianHead(SimpleNamespace(mean=torch.full((3,), 7.0), std=torch.zeros(3)), PredictedScale())
    assert head.check(constant) is None
    log_prob = head(torch.tensor([0.0, 0.0, 0.0, -1e4, -1e4, -1e4]).view(1, 1, 6)).log_prob(constant.x[:1])
    assert float(log_prob.max()) <= 6.0 - 0.5 * math.log(2 * math.pi) + 1e-4


def test_shared_laws_start_as_bells_of_which_the_outer_two_peak_at_the_ends():
    """Four laws over 31 levels, centres 0, 10, 20, 30: logits fall by 8/31 a level; black in the first and white in
    the last stand 4 nats out.
    """
    logits = bells(31, 4)
    away = (torch.arange(31.0) - torch.tensor([[0.0], [10.0], [20.0], [30.0]])).abs() * (8 / 31)
    stands = torch.zeros(4, 31)
    stands[0, 0] = stands[3, 30] = 4.0
    torch.testing.assert_close(logits, stands - away)
    torch.testing.assert_close(TabulatedMixtureHead(31, 4).laws.exp().sum(1), torch.ones(4))
    assert float(TabulatedMixtureHead(31, 4).laws.detach().min()) > math.log(2**-12 / 31) - 1e-4
