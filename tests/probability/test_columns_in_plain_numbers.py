"""The law of a table's columns against its formulas cell by cell in plain numbers: densities, means, draws."""

import math

import pytest
import torch

from vael.probability import Stream, draw
from vael.probability.columns import QUANTILES, Columns, NumberParameters, Numbers
from vael.probability.warp import Warp

SAMPLES, BATCH, COLUMNS, COMPONENTS = 2, 4, 6, 3
NAN = math.nan
# columns 0, 2, 3 and 5 are numbers: real; whole from 0 up; real with two spikes; whole with one spike among the others
PLACE, LEVELS = torch.tensor([0, 2, 3, 5]), torch.tensor([1, 4])
WHOLE, FLOOR = [False, True, False, True], [-math.inf, 0.0, -math.inf, -math.inf]
LOW, HIGH = [-2.0, 0.0, -30.0, -3.0], [2.0, 9.0, 30.0, 9.0]
SPIKED, SPIKES, AMONG = [2, 3], [[0.0, 5.0], [4.0, NAN]], [[False, False], [True, False]]
ROWS = torch.tensor(
    [
        [0.3, 0.0, 0.0, 0.0, 2.0, 4.0],
        [-1.0, 1.0, 3.0, 5.0, 0.0, 3.0],
        [2.5, 1.0, 7.0, 1.2, 1.0, -2.0],
        [0.0, 0.0, 1.0, -4.0, 2.0, 6.0],
    ],
    dtype=torch.float64,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64)


WARP = Warp(
    torch.tensor([False, False, False, False]),
    random(4, seed=1),
    random(4, seed=2).exp() + 1,
    random(4, seed=3),
    random(4, seed=4).exp() + 0.5,
)
NUMBERS = Numbers(
    PLACE,
    WARP,
    torch.tensor(WHOLE),
    torch.tensor(FLOOR).double(),
    torch.tensor(LOW).double(),
    torch.tensor(HIGH).double(),
    torch.tensor(SPIKED),
    torch.tensor(SPIKES).double(),
    torch.tensor(AMONG),
)
GIVEN = NumberParameters(
    random(SAMPLES, BATCH, 4, COMPONENTS, seed=5),
    random(SAMPLES, BATCH, 4, COMPONENTS, seed=6),
    0.3 * random(SAMPLES, BATCH, 4, COMPONENTS, seed=7),
    2 * random(SAMPLES, BATCH, 2, 3, seed=8),
)
GIVEN.spike_logits[..., 1, 2] = -math.inf  # no second spike there
CODES = random(SAMPLES, BATCH, 2, 3, seed=9).log_softmax(-1)
LAW = Columns(COLUMNS, NUMBERS, GIVEN, LEVELS, CODES)
CELLS = [(s, b) for s in range(SAMPLES) for b in range(BATCH)]


def softmax(logits):
    return [math.exp(one) / sum(map(math.exp, logits.tolist())) for one in logits.tolist()]


def logistic(y):
    return 1 / (1 + math.exp(-y))


def warped(column, v):
    t = math.asinh((v - float(WARP.centre[column])) / float(WARP.width[column]))
    return (t - float(WARP.shift[column])) / float(WARP.scale[column])


def unwarped(column, y):
    t = y * float(WARP.scale[column]) + float(WARP.shift[column])
    return float(WARP.centre[column]) + float(WARP.width[column]) * math.sinh(t)


def components(s, b, column):
    places = zip(GIVEN.loc[s, b, column].tolist(), GIVEN.log_scale[s, b, column].exp().tolist(), strict=True)
    return list(zip(softmax(GIVEN.logits[s, b, column]), places, strict=True))


def smooth(s, b, column, v):
    """Mass of a whole number, or density of another."""
    total = 0.0
    for weight, (loc, scale) in components(s, b, column):
        if WHOLE[column]:
            below = 0.0 if v <= FLOOR[column] else logistic((warped(column, v - 0.5) - loc) / scale)
            total += weight * (logistic((warped(column, v + 0.5) - loc) / scale) - below)
        else:
            at = logistic((warped(column, v) - loc) / scale)
            slope = (warped(column, v + 1e-5) - warped(column, v - 1e-5)) / 2e-5
            total += weight * at * (1 - at) / scale * slope
    return total


def probability(s, b, column, v):
    if column not in SPIKED:
        return smooth(s, b, column, v)
    row = SPIKED.index(column)
    rest, *shares = softmax(GIVEN.spike_logits[s, b, row])
    hit = [share for share, spike in zip(shares, SPIKES[row], strict=True) if spike == v]
    if not hit:
        return rest * smooth(s, b, column, v)
    return hit[0] + (rest * smooth(s, b, column, v) if WHOLE[column] else 0.0)


def smooth_mean(s, b, column):
    """Of equally probable slices of each component the midpoints, within the range of the data."""
    points = [math.log(u / (1 - u)) for u in ((one + 0.5) / QUANTILES for one in range(QUANTILES))]
    return sum(
        weight * min(max(unwarped(column, loc + point * scale), LOW[column]), HIGH[column]) / QUANTILES
        for weight, (loc, scale) in components(s, b, column)
        for point in points
    )


def settled(column, mean, shares):
    """The more probable of a spike and of the rest, to which spikes among the numbers belong."""
    if column not in SPIKED:
        return mean
    row = SPIKED.index(column)
    rest, *shares = shares
    kinds = list(zip(shares, SPIKES[row], AMONG[row], strict=True))
    near = [(share, spike) for share, spike, among in kinds if among]
    alone = [(share, spike) for share, spike, among in kinds if not among and not math.isnan(spike)]
    belongs = rest + sum(share for share, _ in near)
    most = max(alone, default=(0.0, NAN))
    if most[0] > belongs:
        return most[1]
    return (rest * mean + sum(share * spike for share, spike in near)) / belongs


def test_probabilities_are_the_formula_cell_by_cell():
    found = LAW.log_prob(ROWS).exp()
    for s, b in CELLS:
        for column, place in enumerate(PLACE.tolist()):
            expected = probability(s, b, column, float(ROWS[b, place]))
            assert float(found[s, b, place]) == pytest.approx(expected, rel=1e-6), (s, b, column)
        for row, place in enumerate(LEVELS.tolist()):
            expected = math.exp(CODES[s, b, row, int(ROWS[b, place])])
            assert float(found[s, b, place]) == pytest.approx(expected), (s, b, place)


def test_means_are_values_that_a_cell_could_have_and_expectations_are_not():
    mean, expectation = LAW.mean, LAW.expectation
    spiky = 0
    for s, b in CELLS:
        for column, place in enumerate(PLACE.tolist()):
            rest = smooth_mean(s, b, column)
            shares = softmax(GIVEN.spike_logits[s, b, SPIKED.index(column)]) if column in SPIKED else [1.0]
            expected = settled(column, rest, shares)
            assert float(mean[s, b, place]) == pytest.approx(expected, rel=1e-9)
            spikes = SPIKES[SPIKED.index(column)] if column in SPIKED else []
            spiky += expected in spikes
            whole = shares[0] * rest + sum(
                share * spike for share, spike in zip(shares[1:], spikes, strict=True) if not math.isnan(spike)
            )
            assert float(expectation[s, b, column]) == pytest.approx(whole, rel=1e-9)
        for row, place in enumerate(LEVELS.tolist()):
            assert float(mean[s, b, place]) == int(CODES[s, b, row].argmax())
    assert 0 < spiky < len(CELLS)


def test_the_mean_under_shares_of_the_samples_is_that_of_their_mixture():
    share = torch.tensor([[0.2], [0.8]], dtype=torch.float64).expand(SAMPLES, BATCH)
    found = LAW.mean_under(share)
    for b in range(BATCH):
        for column, place in enumerate(PLACE.tolist()):
            parts = [0.2, 0.8]
            if column in SPIKED:
                each = [softmax(GIVEN.spike_logits[s, b, SPIKED.index(column)]) for s in range(SAMPLES)]
                shares = [sum(p * one[k] for p, one in zip(parts, each, strict=True)) for k in range(3)]
                parts = [p * one[0] / shares[0] for p, one in zip(parts, each, strict=True)]
            mean = sum(p * smooth_mean(s, b, column) for s, p in enumerate(parts))
            expected = settled(column, mean, shares if column in SPIKED else [1.0])
            assert float(found[b, place]) == pytest.approx(expected, rel=1e-9)
        for row, place in enumerate(LEVELS.tolist()):
            assert float(found[b, place]) == int((share[:, b, None] * CODES[:, b, row].exp()).sum(0).argmax())
    for s in range(SAMPLES):
        alone = torch.zeros(SAMPLES, BATCH).double()
        alone[s] = 1
        torch.testing.assert_close(LAW.mean_under(alone), LAW.mean[s])


def test_draws_have_the_probabilities_of_the_law():
    """Each column of each cell: spikes, codes, whole numbers, and numbers below a point; 4,000 draws and about 300
    comparisons within 5 standard errors: false-alarm rate 2e-4.
    """
    x = draw(LAW, 4_000, Stream(torch.Generator().manual_seed(0)))
    assert x.shape == (4_000, SAMPLES, BATCH, COLUMNS)

    def near(share, expected):
        assert abs(float(share.double().mean()) - expected) <= 5 * math.sqrt(expected * (1 - expected) / 4_000) + 1e-9

    for s, b in CELLS:
        for row, place in enumerate(LEVELS.tolist()):
            for code in range(3):
                near(x[:, s, b, place] == code, math.exp(CODES[s, b, row, code]))
        for value in (1, 2, 5):
            near(x[:, s, b, 2] == value, probability(s, b, 1, float(value)))
        near(x[:, s, b, 2] == 0, sum(probability(s, b, 1, float(value)) for value in (0,)))
        for spike in (0.0, 5.0):
            near(x[:, s, b, 3] == spike, probability(s, b, 2, spike))
        near(x[:, s, b, 5] == 4, probability(s, b, 3, 4.0))
        parts = components(s, b, 0)
        near(x[:, s, b, 0] <= 0.5, sum(w * logistic((warped(0, 0.5) - loc) / scale) for w, (loc, scale) in parts))
    assert torch.equal(x[..., [2, 5]], x[..., [2, 5]].round())
    for column, place in enumerate(PLACE.tolist()):
        assert LOW[column] <= float(x[..., place].min()) <= float(x[..., place].max()) <= HIGH[column]
