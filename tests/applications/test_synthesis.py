"""Synthetic rows keep the rules of their columns whatever the model; a mixture fitted to codes samples them and
changes no model; the command.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vael.applications.aggregate import aggregate_codes, aggregate_samples, fit_aggregate
from vael.applications.synthesis import judge_rows, latent_sampler, schema_of, synthetic_rows, with_gaps
from vael.cli import main
from vael.data import Kind, Source, Splits
from vael.errors import ShapeError, SupportError
from vael.models import VAE, Decoder, GaussianHead, GaussianPosterior, StandardNormal
from vael.tables.constraints import violations


class Shift(nn.Module):
    """Encoder of a model whose codes lie nowhere near the prior: mean 5 x in the first latent, σ = e⁻²."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((5 * x[:, :1], 0 * x[:, :1], torch.full((len(x), 2), -2.0)), 1)


def source(rows: int, seed: int, gaps: bool = False) -> Source:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 2, generator=generator).mul(10).round() / 10
    if gaps:
        x[::4, 1] = torch.nan
    return Source("rows", x, Kind.REAL, "", columns=("a", "b"), gaps=gaps)


@pytest.fixture
def model() -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(StandardNormal(2), Decoder(nn.Linear(2, 2), GaussianHead()), GaussianPosterior(Shift()))


def test_a_table_of_numbers_has_the_ranges_and_decimals_of_its_cells() -> None:
    rows = source(50, 0)
    a, _ = schema_of(rows).columns
    assert (a.name, a.decimals, a.missing) == ("a", 1, False)
    assert (a.minimum, a.maximum) == (
        pytest.approx(float(rows.x[:, 0].min())),
        pytest.approx(float(rows.x[:, 0].max())),
    )
    assert schema_of(source(50, 0, gaps=True)).columns[1].missing
    with pytest.raises(SupportError, match="no rows of a table"):
        schema_of(Source("pictures", torch.zeros(3, 1, 4, 4), Kind.REAL, ""))


def test_synthetic_rows_keep_the_rules_even_from_a_model_that_breaks_them(model: VAE) -> None:
    with torch.no_grad():
        model.likelihood.network.weight.mul_(100)
    train = source(60, 1)
    x = synthetic_rows(model, schema_of(train), 500)
    assert x.shape == (500, 2)
    assert violations(schema_of(train), x) == ()
    assert x.min() >= train.x.min() - 1e-6
    assert torch.equal(x, synthetic_rows(model, schema_of(train), 500))
    assert not torch.equal(x, synthetic_rows(model, schema_of(train), 500, seed=1))


def test_gaps_come_in_the_patterns_of_training_rows() -> None:
    """A quarter of 4,000 cells: standard error 0.007, so 0.03 is four of them."""
    x = with_gaps(torch.zeros(4000, 2), source(80, 2, gaps=True))
    assert not x[:, 0].isnan().any()
    assert x[:, 1].isnan().float().mean() == pytest.approx(0.25, abs=0.03)
    plain = torch.zeros(5, 2)
    assert with_gaps(plain, source(80, 2)) is plain


def test_a_mixture_samples_the_codes_and_the_model_stays(model: VAE) -> None:
    """The aggregate posterior is known: the first latent is 5 a + e⁻² ε.

    Four standard errors of a variance are 4 √(2/n): 0.09 of it.
    """
    train, before = source(4000, 3), [weight.clone() for weight in model.parameters()]
    mixture = fit_aggregate(model, train, components=3)
    codes, generator = aggregate_codes(model, train), torch.Generator().manual_seed(0)
    drawn = mixture.sample(4000, generator=generator)
    expected = 25 * train.x[:, 0].var() + torch.tensor(-4.0).exp()
    assert codes[:, 0].var() == pytest.approx(float(expected), rel=0.02)
    assert drawn[:, 0].var() == pytest.approx(float(expected), rel=0.13)
    assert drawn[:, 1].std() == pytest.approx(float(torch.tensor(-2.0).exp()), rel=0.1)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    x = aggregate_samples(model, mixture, 4000)
    law = model.likelihood.network
    assert x.mean(0).detach().numpy() == pytest.approx(
        (law.weight @ codes.mean(0).float() + law.bias).detach().numpy(), abs=0.3
    )
    assert torch.equal(x, aggregate_samples(model, mixture, 4000))


def test_few_rows_get_few_components(model: VAE) -> None:
    assert len(latent_sampler(model, source(50, 4)).components.weight) == 2
    assert len(latent_sampler(model, source(15, 4)).components.weight) == 1


def test_rows_with_gaps_are_compared_on_equal_terms(model: VAE) -> None:
    splits = Splits(source(60, 5, gaps=True), source(60, 6, gaps=True), None)
    x = synthetic_rows(model, schema_of(splits.train), 60)
    tables, found = judge_rows(model, splits, x)
    assert 0 < float(tables.synthetic.isnan().float().mean()) < 0.3
    assert any("Gaps were drawn" in note for note in found.notes)
    assert found.bound is not None
    with pytest.raises(ShapeError, match="at least 20 rows"):
        judge_rows(model, splits, x[:10])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("synthetic")
    rng = np.random.default_rng(0)
    a = rng.normal(size=300)
    np.savetxt(
        folder / "t.csv",
        np.stack([a, 2 * a + rng.normal(size=300)], 1),
        fmt="%.2f",
        delimiter=",",
        header="a,b",
        comments="",
    )
    assert (
        main(
            ["train", str(folder / "t.csv"), "--run", str(folder / "run"), "--epochs", "2", "--importance-samples", "2"]
        )
        == 0
    )
    return str(folder)


def test_the_command_writes_rows_and_a_page(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    page, table = f"{run}/page.html", f"{run}/out.csv"
    capsys.readouterr()
    assert (
        main(
            [
                "sample",
                f"{run}/run",
                "-n",
                "40",
                "-o",
                table,
                "--quality",
                page,
                "--target",
                "b",
                "--sampler",
                "mixture",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "Quality page" in said
    assert "keeps the range" in said
    text = Path(page).read_text()
    assert "<svg" in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    lines = Path(table).read_text().splitlines()
    assert lines[0] == "a,b"
    assert len(lines) == 41
    assert all(len(cell.partition(".")[2]) <= 2 for line in lines[1:] for cell in line.split(","))
    assert main(["sample", f"{run}/run", "-n", "40", "-o", table, "--quality", page, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["constraints_broken"] == 0
    assert 0 <= found["two_sample_auc"] <= 1
    assert Path(page).read_text() != text  # the other sampler


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quality", "p.html", "-n", "5"], "-n 5: too few rows"),
        (["--quality", "p.txt"], "must be .html, .htm, not .txt"),
        (["--target", "b"], "--quality PAGE.html"),
        (["--quality", "p.html", "--target", "x"], "no such column; the columns are a, b"),
        (["--quality", "p.html", "--mean"], "gives no draws"),
        (["--sampler", "best"], "expected one of prior, gaussian, mixture, flow; got 'best'"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_written(
    run: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", f"{run}/run", "-o", "out.csv", *options]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
