"""Scores of rows: right where the exact answer is known, p-values that keep their promise, and the reasons that were planted."""

import math

import numpy as np
import pytest
import torch

from vael.applications.anomaly import AnomalyDetector, Score, without_the_strangest
from vael.cli.main import main
from vael.data import Kind, Source, Splits, load, statistics
from vael.errors import StateError
from vael.inference import AdamW, GradientAscent
from vael.models import GaussianHead, LearnedScale
from vael.objectives import ELBO
from vael.recipes import linear
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


@pytest.fixture(scope="module", params=list(Score))
def detector(request, model):
    return AnomalyDetector(model, rows(2000, 0), rows(400, 1), score=request.param)


def joined(detector, source):
    parts = list(detector.judge(source))
    return [torch.cat([getattr(part, name) for part in parts]) for name in ("score", "p_value", "reasons")]


def test_p_values_keep_their_promise(detector):
    """5,000 new rows of the same law, 400 held out: P(p ≤ α) = α on average over held-out sets; of one set it has a deviation of
    √(α (1 - α) / 400), to which that of 5,000 rows is added; 5 of them (false alarm below 1e-5 each)."""
    _, p, _ = joined(detector, rows(5000, 2))
    for level in (0.05, 0.2, 0.5):
        deviation = math.sqrt(level * (1 - level) * (1 / 400 + 1 / 5000))
        assert abs(float((p <= level).double().mean()) - level) < 5 * deviation
    assert float(p.min()) >= detector.least_p_value == 1 / 401


def test_a_row_scores_the_same_alone_and_among_others(detector):
    source = rows(300, 3)
    together, again = joined(detector, source)[0], joined(detector, source)[0]
    assert torch.equal(together, again)
    for row in (0, 150, 299):
        alone = joined(detector, source.subset(torch.tensor([row])))[0]
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)


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


def test_contaminated_training_rows_are_left_out(model):
    clean = rows(900, 0)
    bad = Source("bad", torch.cat((clean.x, rows(100, 6).x.flip(1) * 1.5)), Kind.REAL, "")
    kept = without_the_strangest(model, bad, 0.1)
    assert int((kept.rows >= 900).sum()) < 20
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


def test_images_are_scored_by_the_command(tmp_path, capsys):
    assert main(["train", "digits", "--epochs", "2", "--run", str(tmp_path / "run"), "--no-report", "--importance-samples", "2"]) == 0
    digits = load("digits").test.x[:20].squeeze(1).numpy().copy()
    digits[3] = np.random.default_rng(0).integers(0, 17, (8, 8))
    np.save(tmp_path / "some.npy", digits)
    capsys.readouterr()
    assert main(["score", str(tmp_path / "run"), str(tmp_path / "some.npy"), "-o", str(tmp_path / "s.csv"), "--explain"]) == 0
    out = capsys.readouterr().out
    assert "row 4: score" in out
    assert "s-why.png: the strangest images" in out
    assert (tmp_path / "s-why.png").read_bytes().startswith(b"\x89PNG")
    found = np.loadtxt(tmp_path / "s.csv", delimiter=",", skiprows=1)
    assert found.shape == (20, 5)
    assert int(found[:, 1].argmax()) == 3
    assert main(["score", str(tmp_path / "run"), "-o", str(tmp_path / "s.xlsx")]) == 2
