"""Gaps filled as the exact conditional law has it, cells that were seen untouched, and the command on a mixed table."""

import csv
import math

import numpy as np
import pytest
import torch

from oracles import LinearGaussian
from vael.applications.imputation import impute
from vael.cli.main import main
from vael.data import Kind, Source
from vael.errors import StateError


def gapped(x, share=0.4, seed=9):
    y = x.clone()
    y[torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < share] = torch.nan
    return y


def exact(oracle, row):
    """Mean and covariance of the missing cells given the seen ones, by the marginal's blocks."""
    gap = torch.isnan(row)
    covariance = oracle.marginal.covariance_matrix
    to_seen = covariance[gap][:, ~gap] @ torch.linalg.pinv(covariance[~gap][:, ~gap])
    return oracle.bias[gap] + to_seen @ (row[~gap] - oracle.bias[~gap]), covariance[gap][:, gap] - to_seen @ covariance[
        ~gap
    ][:, gap]


def filled(model, x, **how):
    parts = list(impute(model, Source("rows", x, Kind.REAL, "", gaps=True), **how))
    return [
        torch.cat([getattr(part, name) for part in parts], dim=1 if name == "draws" else 0)
        for name in ("x", "deviation", "low", "high", "draws")
    ]


@pytest.fixture(scope="module")
def oracle():
    return LinearGaussian.of_size(8, 2)


def test_gaussian_gaps_get_their_exact_conditional_mean(oracle):
    """4,000 latents a row: errors within 6 of their standard errors, deviations within a tenth (false alarm below
    1e-6).
    """
    x = gapped(oracle.sample(40))
    model = oracle.vae()
    found, deviation, *_ = filled(model, x, samples=4000)
    for row in range(len(x)):
        gap = torch.isnan(x[row])
        mean, covariance = exact(oracle, x[row])
        spread = covariance.diagonal().sqrt()
        assert bool(((found[row][gap] - mean).abs() < 6 * spread / math.sqrt(1500) + 1e-6).all())
        torch.testing.assert_close(deviation[row][gap], spread, rtol=0.12, atol=0)
        assert torch.equal(found[row][~gap], x[row][~gap])
        assert not bool(deviation[row][~gap].any())


def test_intervals_cover_what_they_promise(oracle):
    """90 % intervals over some 3,200 gaps: share within 5 standard errors of 0.9, gaps of a row counted as one
    (false alarm below 1e-5).
    """
    x = oracle.sample(1000, seed=5)
    y = gapped(x)
    _, _, low, high, _ = filled(oracle.vae(), y, samples=1000)
    gap = torch.isnan(y)
    inside = float(((x >= low) & (x <= high))[gap].double().mean())
    assert abs(inside - 0.9) < 5 * math.sqrt(0.09 / 1000) + 0.005


@pytest.mark.parametrize("interval", [0.5, 0.9])
def test_both_ends_of_an_interval_are_the_quantiles_of_the_conditional_law(oracle, interval):
    """As much lies below as above. 4,000 latents of which 2,000 count: a quantile of N(0, 1) has a deviation of at most
    0.047 there; the mean distance over gaps, whose noise is common, stays within 0.15 (three of them); a third instead
    of half lies 0.19 or more away.
    """
    x = gapped(oracle.sample(40))
    _, _, low, high, _ = filled(oracle.vae(), x, samples=4000, interval=interval)
    away = [[], []]
    for row in range(len(x)):
        gap = torch.isnan(x[row])
        mean, covariance = exact(oracle, x[row])
        for side, end in zip(away, (low, high), strict=True):
            side.append((end[row][gap] - mean) / covariance.diagonal().sqrt())
    quantile = float(torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor((1 + interval) / 2)))
    assert abs(float(torch.cat(away[0]).mean()) + quantile) < 0.15
    assert abs(float(torch.cat(away[1]).mean()) - quantile) < 0.15


def test_draws_have_the_conditional_law(oracle):
    x = gapped(oracle.sample(1))
    *_, draws = filled(oracle.vae(), x, samples=4000, draws=2000)
    gap = torch.isnan(x[0])
    mean, covariance = exact(oracle, x[0])
    assert bool(((draws[:, 0][:, gap].mean(0) - mean).abs() < 5 * covariance.diagonal().sqrt() / math.sqrt(1000)).all())
    torch.testing.assert_close(torch.cov(draws[:, 0][:, gap].T), covariance, rtol=0.25, atol=0.1)
    assert torch.equal(draws[:, 0][:, ~gap], x[:, ~gap].expand(2000, -1))


def test_a_row_has_the_same_answer_alone_and_among_others(oracle):
    x = gapped(oracle.sample(30))
    together = filled(oracle.vae(), x, draws=2)
    for row in (0, 11, 29):
        alone = filled(oracle.vae(), x[row : row + 1], draws=2)
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(
                one.reshape(-1), (many[:, row] if many.dim() == 3 else many[row]).reshape(-1), rtol=1e-9, atol=1e-9
            )


def test_what_makes_no_sense_is_refused(oracle):
    with pytest.raises(StateError, match="no gaps"):
        list(impute(oracle.vae(), Source("rows", oracle.sample(3), Kind.REAL, "")))
    with pytest.raises(StateError, match="samples=0"):
        filled(oracle.vae(), gapped(oracle.sample(3)), samples=0)


def write(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=";", lineterminator="\n").writerows(rows)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    random = np.random.default_rng(0)
    rows = []
    for _ in range(600):
        kind = random.choice(["ash", "oak, red", "elm"])
        height = {"ash": 20.0, "oak, red": 10.0, "elm": 5.0}[kind] + random.normal()
        rows.append(
            [
                kind,
                f"{height:.2f}",
                str(random.poisson(height)),
                "0.0" if random.random() < 0.5 else f"{random.gamma(2):.1f}",
            ]
        )
    gapped = [[cell if random.random() > 0.1 else random.choice(["", "NA"]) for cell in row] for row in rows]
    gapped = [
        row if any(cell not in ("", "NA") for cell in row) else full for row, full in zip(gapped, rows, strict=True)
    ]
    names = ["kind", "height", "nests", "moss"]
    write(folder / "trees.csv", [names, *gapped])
    write(folder / "truth.csv", [names, *rows])
    command = [
        "train",
        str(folder / "trees.csv"),
        "--run",
        str(folder / "run"),
        "--epochs",
        "15",
        "--lr",
        "0.01",
        "--no-report",
        "--importance-samples",
        "5",
    ]
    assert main(command) == 0
    return folder


def read(path):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=";"))


def test_the_command_fills_gaps_and_leaves_every_other_cell_as_it_came(mixed, capsys):
    assert (
        main(
            [
                "impute",
                str(mixed / "run"),
                str(mixed / "trees.csv"),
                "-o",
                str(mixed / "full.csv"),
                "--uncertainty",
                str(mixed / "sure.csv"),
                "--samples",
                "100",
            ]
        )
        == 0
    )
    assert "cells filled" in capsys.readouterr().out
    before, after, truth = read(mixed / "trees.csv"), read(mixed / "full.csv"), read(mixed / "truth.csv")
    right = []
    for row, new, old in zip(before[1:], after[1:], truth[1:], strict=True):
        for cell, filled_in in zip(row, new, strict=True):
            assert (filled_in not in ("", "NA")) if cell in ("", "NA") else filled_in == cell
        if row[0] in ("", "NA") and row[1] not in ("", "NA"):
            right.append(new[0] == old[0])
    assert np.mean(right) > 0.8  # the height says the kind almost surely
    heights = [
        (float(new[1]), float(old[1]))
        for row, new, old in zip(before[1:], after[1:], truth[1:], strict=True)
        if row[1] in ("", "NA")
    ]
    error = np.mean([(one - other) ** 2 for one, other in heights])
    assert error < 0.5 * np.var([float(row[1]) for row in truth[1:]])
    command = ["impute", str(mixed / "run"), str(mixed / "trees.csv"), "-o", str(mixed / "m.csv"), "--samples", "100"]
    assert main([*command, "--multiple", "2"]) == 0
    assert read(mixed / "m-1.csv") != read(mixed / "m-2.csv")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["birch", "3.0", "4", "0.0"], "row 2, column 'kind': 'birch' is no level"),
        (["ash", "tall", "4", "0.0"], "row 2, column 'height': 'tall' is no finite number"),
        (["ash", "3.0", "4.5", "0.0"], "row 2, column 'nests': '4.5' is no whole number"),
        (["", "NA", "", ""], "row 2, every cell of the row is missing"),
    ],
)
def test_rows_that_do_not_fit_are_named_or_skipped_and_listed(mixed, capsys, line, words):
    write(
        mixed / "bad.csv",
        [["kind", "height", "nests", "moss"], ["ash", "", "4", "0.0"], line, ["elm", "5.1", "", "0.0"]],
    )
    assert main(["impute", str(mixed / "run"), str(mixed / "bad.csv"), "-o", str(mixed / "out.csv")]) == 2
    assert words in capsys.readouterr().err
    assert not (mixed / "out.csv").exists()
    assert (
        main(
            ["impute", str(mixed / "run"), str(mixed / "bad.csv"), "-o", str(mixed / "out2.csv"), "--on-error", "skip"]
        )
        == 0
    )
    assert "row 2 was skipped" in capsys.readouterr().out
    assert len(read(mixed / "out2.csv")) == 3
    (mixed / "out2.csv").unlink()


def test_a_missing_column_is_named(mixed, capsys):
    write(mixed / "less.csv", [["kind", "heights", "moss"], ["ash", "3.0", "0.0"]])
    assert main(["impute", str(mixed / "run"), str(mixed / "less.csv")]) == 2
    assert "no column 'height', which the model was trained on; did 'heights' mean it?" in capsys.readouterr().err
