"""Scores of rows: right where the exact answer is known, p-values that keep their promise, and the reasons that
were planted.
"""

import copy
import math
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from vael.applications import anomaly
from vael.applications.anomaly import AnomalyDetector, Score, scores_for, without_the_strangest
from vael.cli.main import main
from vael.cli.reasons import ranked
from vael.data import Batch, Column, ColumnKind, Kind, Schema, Source, Splits, load, statistics
from vael.errors import StateError
from vael.inference import AdamW, GradientAscent
from vael.models import ColumnsHead, GaussianHead, LearnedScale, Terms
from vael.objectives import ELBO
from vael.recipes import linear, table
from vael.training import Settings, run

MIX = torch.randn(3, 8, generator=torch.Generator().manual_seed(7))


def rows(count, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=generator) @ MIX + 0.3 * torch.randn(count, 8, generator=generator)
    return Source("rows", x, Kind.REAL, "", columns=tuple("abcdefgh"))


@pytest.fixture(scope="module")
def model():
    train, held = rows(2000, 0), rows(400, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = linear((8,), GaussianHead(statistics(train), LearnedScale(8)), latent=3, statistics=statistics(train))
    algorithm = GradientAscent(made, ELBO(), optimizer=AdamW(learning_rate=1e-2))
    return run(algorithm, Splits(train, held, None), Settings(epochs=25, batch=64, compiled=False)).model


@pytest.fixture(scope="module", params=[kind for kind in Score if kind is not Score.ERROR])
def detector(request, model):
    return AnomalyDetector(model, rows(2000, 0), rows(400, 1), score=request.param)


def joined(detector, source):
    parts = list(detector.judge(source))
    return [torch.cat([getattr(part, name) for part in parts]) for name in ("score", "p_value", "reasons")]


def test_p_values_keep_their_promise(detector):
    """5,000 new rows of the same law, 400 held out: P(p ≤ α) = α on average over held-out sets; of one set it has a
    deviation of √(α (1 - α) / 400), to which that of 5,000 rows is added; 5 of them (false alarm below 1e-5 each).
    """
    _, p, _ = joined(detector, rows(5000, 2))
    for level in (0.05, 0.2, 0.5):
        deviation = math.sqrt(level * (1 - level) * (1 / 400 + 1 / 5000))
        assert abs(float((p <= level).double().mean()) - level) < 5 * deviation
    assert float(p.min()) >= detector.least_p_value == 1 / 401


def test_one_per_cent_of_fresh_normal_rows_is_flagged_at_one_per_cent(model):
    """P(p ≤ 0.01) = 2 / 200 just, for 199 rows of calibration that chose nothing. The share of 500 fresh rows has a
    deviation of √(0.01 · 0.99 (1/201 + 1/500)) = 0.0083 over calibrations and rows; of the mean over 40 of them, four
    of those (false alarm below 1e-4).
    """
    first = AnomalyDetector(model, rows(2000, 0), rows(400, 1))
    shares = []
    for draw in range(40):
        detector = first.calibrated(rows(199, 1000 + 2 * draw))
        shares.append(float((joined(detector, rows(500, 1001 + 2 * draw))[1] <= 0.01).double().mean()))
    assert abs(float(np.mean(shares)) - 0.01) < 4 * 0.0083 / math.sqrt(40)
    assert first.least_p_value == 1 / 401  # as it was


def test_a_run_flags_as_many_fresh_rows_as_the_threshold_says():
    """Four runs on 30 rows, weights chosen on 30, calibrated on 99 that chose nothing: 5 % of 1,000 fresh rows have p ≤
    0.05; the share has a deviation of √(0.05 · 0.95 (1/101 + 1/1000)) = 0.0228, the mean of four half of it: four of
    those (false alarm below 1e-4).
    """
    shares = []
    for seed in range(4):
        train, held = rows(30, 100 + seed), rows(30, 200 + seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = linear(
                (8,), GaussianHead(statistics(train), LearnedScale(8)), latent=6, statistics=statistics(train)
            )
        algorithm = GradientAscent(made, ELBO(), optimizer=AdamW(learning_rate=3e-2))
        fitted = run(algorithm, Splits(train, held, None), Settings(epochs=30, batch=30, compiled=False)).model
        detector = AnomalyDetector(fitted, train, held, calibration=rows(99, 300 + seed))
        shares.append(float((joined(detector, rows(1000, 400 + seed))[1] <= 0.05).double().mean()))
    assert abs(np.mean(shares) - 0.05) < 4 * 0.0228 / 2


def test_rows_of_calibration_are_compared_with_the_others(model):
    held = Source("held", rows(199, 1).x, Kind.REAL, "held")
    detector = AnomalyDetector(model, rows(2000, 0), rows(400, 2), calibration=held)
    p = joined(detector, held)[1]
    torch.testing.assert_close(p.sort().values, torch.arange(1, 200).double() / 199)
    assert float(joined(detector, Source("same", held.x, Kind.REAL, ""))[1].min()) == pytest.approx(2 / 200)
    with pytest.raises(StateError, match="9 rows to calibrate"):
        detector.calibrated(rows(9, 1))


def test_a_row_scores_the_same_alone_and_among_others(detector):
    """To the last bit."""
    source = rows(5000, 3)
    together, again = joined(detector, source), joined(detector, source.subset(torch.arange(5000).flip(0)))
    for one, other in zip(together, again, strict=True):
        assert torch.equal(one, other.flip(0))
    for row in (0, 150, 4999):
        for one, many in zip(joined(detector, source.subset(torch.tensor([row]))), together, strict=True):
            assert torch.equal(one[0], many[row])


def test_the_bound_orders_rows_as_the_exact_density_does(model):
    detector = AnomalyDetector(model, rows(2000, 0), rows(400, 1), score=Score.BOUND)
    x = rows(500, 4)
    exact = torch.distributions.MultivariateNormal(torch.zeros(8), MIX.T @ MIX + 0.09 * torch.eye(8)).log_prob(x.x)
    ranks = [np.argsort(np.argsort(values)) for values in (-exact.numpy(), joined(detector, x)[0].numpy())]
    assert np.corrcoef(*ranks)[0, 1] > 0.95


@pytest.mark.parametrize("score", [Score.COMBINED, Score.BOUND, Score.NEIGHBOURS, Score.DISTORTION])
def test_planted_cells_are_found_and_named(model, score):
    detector = AnomalyDetector(model, rows(2000, 0), rows(400, 1), score=score)
    x = rows(50, 5).x
    x[:, 4] += 4.0  # thirteen deviations from what the others say, within the range of the column
    _, p, reasons = joined(detector, Source("planted", x, Kind.REAL, ""))
    assert float((p <= 0.01).double().mean()) > 0.95
    assert float((reasons.argmax(1) == 4).double().mean()) > 0.9


def test_distances_among_rows_are_those_of_standardised_columns(model):
    """By NumPy, all pairs; a gap stands where the mean of its column does."""
    train, fresh = rows(300, 0), rows(40, 2)
    x = fresh.x.clone()
    x[3, 2] = torch.nan
    detector = AnomalyDetector(model, train, rows(400, 1), score=Score.ROWS)
    known = train.x.double().numpy()
    wanted = (np.where(np.isnan(x.numpy()), known.mean(0), x.numpy()) - known.mean(0)) / known.std(0)
    pairs = np.linalg.norm(wanted[:, None] - ((known - known.mean(0)) / known.std(0))[None], axis=2)
    found = detector.scores(Source("fresh", x, Kind.REAL, "", gaps=True)).numpy()
    np.testing.assert_allclose(found, np.sort(pairs, axis=1)[:, 4], rtol=1e-4)


def test_a_column_of_levels_counts_as_much_as_the_encoder_is_shown():
    """Rows of training are near themselves; another level or a gap is further away, and nothing is NaN."""
    schema = Schema(
        (
            Column("size", ColumnKind.REAL),
            Column("colour", ColumnKind.CATEGORICAL, levels=("red", "green"), missing=True),
        )
    )
    generator = torch.Generator().manual_seed(0)
    x = torch.stack((torch.randn(200, generator=generator), torch.zeros(200)), 1)
    x[:20, 1] = torch.nan
    made = table((2,), ColumnsHead(schema, sample=x), latent=1, hidden=(4,))
    sources = [
        Source("t", part, Kind.MIXED, "", columns=("size", "colour"), schema=schema, gaps=True) for part in (x, x[:40])
    ]
    detector = AnomalyDetector(made, *sources, score=Score.ROWS)
    middle = torch.tensor([[0.0, 0.0], [0.0, torch.nan], [0.0, 1.0], [9.0, 0.0]])
    same, gap, other, far = detector.scores(replace(sources[0], x=middle)).tolist()
    assert same < 0.2 < gap < 1.0 < other < 2.0 < far


def test_contaminated_training_rows_are_left_out(model):
    clean = rows(900, 0)
    bad = Source("bad", torch.cat((clean.x, rows(100, 6).x.flip(1) * 1.5)), Kind.REAL, "")
    kept = without_the_strangest(model, bad, 0.1)
    assert int((kept.rows >= 900).sum()) < 20
    assert len(kept) == 900
    assert kept.rows.tolist() == sorted(kept.rows.tolist())
    assert "10%" in kept.notes[-1]
    strict = AnomalyDetector(model, bad, Source("held", bad.x[::2], Kind.REAL, ""), contamination=0.1)
    loose = AnomalyDetector(model, bad, Source("held", bad.x[::2], Kind.REAL, ""))
    found = [float((joined(one, rows(100, 9))[1] <= 0.02).double().mean()) for one in (strict, loose)]
    assert found[0] >= found[1]
    planted = Source("planted", rows(100, 6).x.flip(1) * 1.5, Kind.REAL, "")
    caught = [float((joined(one, planted)[1] <= 0.02).double().mean()) for one in (strict, loose)]
    assert caught[0] > caught[1] + 0.2


def test_too_few_rows_and_senseless_shares_are_refused(model):
    with pytest.raises(StateError, match="9 held-out rows"):
        AnomalyDetector(model, rows(100, 0), rows(9, 1))
    with pytest.raises(StateError, match=r"contamination of 0\.5"):
        AnomalyDetector(model, rows(100, 0), rows(100, 1), contamination=0.5)
    with pytest.raises(StateError, match=r"share of 0\.7"):
        without_the_strangest(model, rows(100, 0), 0.7)


@pytest.mark.parametrize("factor", [1e30, math.nan])
def test_weights_that_say_no_numbers_of_their_own_rows_are_refused(factor, model):
    """As a file of weights that somebody made can hold, finite or not."""
    spoilt = copy.deepcopy(model)
    with torch.no_grad():
        for weights in spoilt.parameters():
            weights.mul_(factor)
    with pytest.raises(StateError, match=r"200 rows of 200 .* no finite number"):
        AnomalyDetector(spoilt, rows(200, 0), rows(40, 1))


def test_images_are_scored_by_the_command(tmp_path, capsys):
    assert (
        main(
            [
                "train",
                "digits",
                "--epochs",
                "2",
                "--run",
                str(tmp_path / "run"),
                "--no-report",
                "--importance-samples",
                "2",
            ]
        )
        == 0
    )
    digits = load("digits").test.x[:20].squeeze(1).numpy().copy()
    digits[3] = np.random.default_rng(0).integers(0, 17, (8, 8))
    np.save(tmp_path / "some.npy", digits)
    capsys.readouterr()
    assert (
        main(["score", str(tmp_path / "run"), str(tmp_path / "some.npy"), "-o", str(tmp_path / "s.csv"), "--explain"])
        == 0
    )
    out = capsys.readouterr().out
    assert "row 4: score" in out
    assert "s-why.png: the strangest images" in out
    assert (tmp_path / "s-why.png").read_bytes().startswith(b"\x89PNG")
    found = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1)
    assert found.shape == (20, 5)
    assert int(found[:, 1].argmax()) == 3
    assert main(["score", str(tmp_path / "run"), "-o", str(tmp_path / "s.xlsx")]) == 2


def test_what_is_rare_in_its_column_is_a_reason_where_nothing_else_is(monkeypatch):
    """Where the rest of the row excuses a cell, as it does where three rows of training had the same, the reason is
    the rare cell all the same.
    """
    schema = Schema(
        (Column("size", ColumnKind.REAL), Column("colour", ColumnKind.CATEGORICAL, levels=("red", "green")))
    )
    generator = torch.Generator().manual_seed(0)
    x = torch.stack((torch.randn(400, generator=generator), (torch.rand(400, generator=generator) < 0.3).float()), 1)
    x[:3, 0] = 400.0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = table((2,), ColumnsHead(schema, sample=x), latent=1, hidden=(4,))
    source = Source("t", x, Kind.MIXED, "", schema=schema, columns=schema.names)
    detector = AnomalyDetector(made, source, source.subset(torch.arange(100, 300)))
    odd = Source("odd", torch.tensor([[400.0, 0.0], [0.1, 0.0]]), Kind.MIXED, "", schema=schema, columns=schema.names)
    monkeypatch.setattr(
        anomaly, "conditional_surprise", lambda model, rows, seed, usual=None: iter([torch.full((len(rows), 2), 0.5)])
    )
    found = detector.explain(odd, torch.zeros(2, 2))
    assert float(found[0, 0]) > 2
    assert int(found[0].argmax()) == 0
    assert [len(one) for one in ranked(found, schema.names, (), 3)] == [1, 0]  # and what says nothing is no reason


def test_every_score_by_hand(model):
    """From bounds, codes and surprises of the rows alone; neighbours by all pairs; all three of a table on one
    scale and added.
    """
    train, held, fresh = rows(200, 0), rows(60, 1), rows(30, 2)
    detector = AnomalyDetector(model, train, held)
    known, usual, new = (detector.measuring.all(source) for source in (train, held, fresh))
    with torch.no_grad():
        at = model.posterior(fresh.x).mean
        surprise = -model.decode((at[None],)).log_prob(fresh.x)[0]
    torch.testing.assert_close(new.surprise, surprise)
    assert (
        float((new.distortion - surprise.sum(1)).mean()) > 0
    )  # the mean over draws about the code is worse than the code
    bound = -(new.distortion + new.divergence)

    def place(one):
        least, rough = known.surprise.min(0).values, known.surprise.std(0, correction=0)
        return torch.cat(
            (one.code / known.code.std(0, correction=0), ((one.surprise - least).clamp(min=0) / rough).sqrt()), 1
        ).double()

    near = torch.cdist(place(new), place(known), compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, 4]
    background = 0.5 * fresh.x.square().sum(1)
    wanted = {
        Score.BOUND: -bound,
        Score.DISTORTION: new.distortion,
        Score.DIVERGENCE: new.divergence,
        Score.NEIGHBOURS: near,
        Score.TYPICALITY: (bound - usual.objective.median()).abs(),
        Score.RATIO: -bound - background,
    }
    for kind, values in wanted.items():
        torch.testing.assert_close(detector.scores(fresh, kind), values.double(), rtol=1e-5, atol=1e-5)
    together = 0.0
    for kind in (Score.BOUND, Score.NEIGHBOURS, Score.ROWS):
        of, low, middle, high = detector.scores(fresh, kind), *np.quantile(detector.scores(held, kind), [0.1, 0.5, 0.9])
        together = together + torch.asinh((of - middle) / (high - low))
    torch.testing.assert_close(detector.scores(fresh), together, rtol=1e-6, atol=1e-6)
    score, p, reasons = joined(detector, fresh)
    beyond = (detector.scores(held)[None] >= score[:, None]).sum(1)
    torch.testing.assert_close(p, (1 + beyond).double() / 61)
    torch.testing.assert_close(reasons, surprise - usual.surprise.nanmedian(0).values)
    verdict = next(iter(detector.judge(fresh)))
    assert torch.equal(verdict.flagged(float(p.median())), p <= p.median())


def with_divergence(terms, state):
    return Terms(
        terms.log_likelihood, divergence=state(terms.divergence), latent=terms.latent, posterior=terms.posterior
    )


def test_a_model_that_states_no_divergence_is_judged_by_its_distortion(model, monkeypatch):
    """Every score is that of a divergence of 0, and the bound is minus the distortion."""
    said, states = model.terms, {"none": lambda divergence: None, "zero": torch.zeros_like}
    found = {}
    for name, state in states.items():
        monkeypatch.setattr(
            model,
            "terms",
            lambda batch, state=state, **how: with_divergence(said(batch, **how), state),
        )
        detector = AnomalyDetector(model, rows(200, 0), rows(60, 1))
        found[name] = {kind: detector.scores(rows(30, 2), kind) for kind in scores_for(model)}
        verdict = next(iter(detector.judge(rows(30, 2))))
        torch.testing.assert_close(-verdict.objective.double(), found[name][Score.DISTORTION])
        assert not found[name][Score.DIVERGENCE].any()
    assert all(torch.equal(found["none"][kind], found["zero"][kind]) for kind in scores_for(model))


def test_a_simple_code_for_pixels_is_zlibs(model):
    """Bits of the compressed row, in nats; what is no row of bytes takes half its square."""
    detector = AnomalyDetector(model, rows(200, 0), rows(60, 1))
    pixels = torch.tensor([[0.0, 255.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0], [0.0] * 8])
    expected = [8 * math.log(2) * len(zlib.compress(bytes(int(v) for v in row), 9)) for row in pixels.tolist()]
    assert detector.measuring._background(Batch(x=pixels)).tolist() == pytest.approx(expected)
    for odd in (pixels + 1, pixels - 1, pixels + 0.5):
        torch.testing.assert_close(detector.measuring._background(Batch(x=odd)), 0.5 * odd.square().sum(1))
