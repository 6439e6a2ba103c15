"""What a recipe costs and gives, purpose by purpose, on digits and on a table: the figures of docs/choose.md.

    python benchmarks/choose.py [digits|table] [--seeds 3] [--epochs N] [--recipes vae iwae ...] [--cache FOLDER]

Nothing is chosen by what is printed: every recipe trains for one length with its own defaults, on the network that
suits the data, in float32, and is judged on the test split. Means over seeds (of weights, batches and noise; the split
is one) with their standard error. With `--cache` each finished run is kept as JSON, and not done again.

digits (scikit-learn, 8 × 8, 17 levels): log p(x) by 200 draws from the encoder and the bound, nats; latents in use
(Var of the posterior mean above 0.01); accuracy of a linear probe on the codes; squared Fréchet distance of 1,000
samples from the test data in pixels, in units of that of as many training examples; AUROC of a test digit against the
same mirrored, ranked by the bound, or by the error
where there is none; bits a pixel that bits-back
coding takes, which are those of the bound.

table (breast cancer, scikit-learn, benign rows only, 30 columns): log p(x) and bound; latents in use; AUROC of benign
test rows against malignant ones; root mean squared error of a fifth of the elements of test rows hidden at random and
filled in, in standard deviations of the column.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor

import vael
from vael.applications.imputation import impute
from vael.data import Kind, Source, Splits
from vael.errors import VaelError
from vael.evaluation.judgement import ErrorJudgement, ExactJudgement
from vael.evaluation.judging import judge
from vael.evaluation.proposals import Proposals
from vael.evaluation.record import Evaluation
from vael.evaluation.representation import class_probe, codes_of
from vael.evaluation.samples import frechet_distance
from vael.evaluation.tabular.ranking import ranked_apart
from vael.models import Encodes, Samples, has
from vael.specs import Run

DRAWS, SAMPLES, HIDDEN = 200, 1000, 0.2


@dataclass(frozen=True)
class Found:
    """What one run gave; None where the model has no such number."""

    seconds: float  # of training, processor time
    log_likelihood: float | None = None
    bound: float | None = None
    active: float | None = None
    probe: float | None = None
    samples: float | None = None  # Fréchet, in units of the floor
    anomalies: float | None = None
    bits: float | None = None
    filled: float | None = None


def judged(run: Run, test: Source) -> tuple[dict[str, float | None], Tensor | None]:
    """Log p(x), bound and latents in use, of what the model has; and how strange each row is."""
    found = judge(run.model, test, importance_samples=DRAWS, proposals=Proposals.ENCODER)
    if isinstance(found, Evaluation):
        bound = found.elbo if found.is_bound else None
        known = {
            "log_likelihood": found.log_likelihood,
            "bound": bound,
            "active": float(found.active_units),
        }
        return known, -found.elbo_per_example
    figures = {one.key: one.value for one in found.figures}
    known = {
        "log_likelihood": figures.get("log_likelihood"),
        "bound": figures.get("bound", figures.get("log_likelihood")),
    }
    if isinstance(found, ExactJudgement):
        return known, -found.log_likelihood_per_example
    return known, found.squared_error_per_example if isinstance(found, ErrorJudgement) else None


def strange(run: Run, usual: Tensor | None, other: Source) -> float | None:
    """AUROC of rows that do not belong, ranked by minus the bound, or by what is climbed where there is none."""
    found = judged(run, other)[1]
    return None if usual is None or found is None else ranked_apart(found.numpy(), usual.numpy()).auc


def digits(run: Run, data: Splits, other: Source | None) -> dict[str, float | None]:
    """Every figure of a model of images."""
    test = run.split("test")[1]
    known, scores = judged(run, test)
    mirrored = replace(test, x=test.x.flip(-1), fingerprint="mirrored")
    known["anomalies"] = strange(run, scores, mirrored)
    if has(run.model, Encodes) and test.label is not None and data.train.label is not None:
        codes = [codes_of(run.model, one).flatten(1) for one in (data.train, test)]
        known["probe"] = class_probe(codes[0], data.train.label, codes[1], test.label).accuracy
    if has(run.model, Samples):
        x = run.model.sample(SAMPLES, generator=torch.Generator().manual_seed(0))
        known["samples"] = frechet_distance(x, test.x, data.train.x, features="pixels").above_floor
    if known["bound"] is not None:
        known["bits"] = -known["bound"] / (test.x[0].numel() * math.log(2))
    return known


def table(run: Run, data: Splits, other: Source | None) -> dict[str, float | None]:
    """Every figure of a model of rows."""
    test = run.split("test")[1]
    known, scores = judged(run, test)
    if other is not None:
        known["anomalies"] = strange(run, scores, other)
    hidden = torch.rand(test.x.shape, generator=torch.Generator().manual_seed(0)) < HIDDEN
    gapped = replace(test, x=test.x.masked_fill(hidden, torch.nan), gaps=True, fingerprint="hidden")
    try:
        filled = torch.cat([part.x for part in impute(run.model, gapped, samples=200)])
    except VaelError:
        return known
    error = ((filled - test.x) / data.train.x.std(0))[hidden]
    known["filled"] = float(error.square().mean().sqrt())
    return known


def breast_cancer(folder: Path) -> tuple[str, Source]:
    """Benign rows as a file that training splits, and the malignant ones."""
    x, label = load_breast_cancer(return_X_y=True)
    path = folder / "benign.csv"
    names = ",".join(f"f{place}" for place in range(x.shape[1]))
    np.savetxt(path, x[label == 1], delimiter=",", header=names, comments="", fmt="%.6g")
    malignant = torch.from_numpy(x[label == 0].astype(np.float32))
    return str(path), Source("malignant", malignant, Kind.REAL, "malignant")


@dataclass(frozen=True)
class Study:
    """One of the two sets of data: what is trained on it, for how long, and what is asked of a run."""

    recipes: tuple[str, ...]
    epochs: int
    measure: Callable[[Run, Splits, Source | None], dict[str, float | None]]
    columns: tuple[tuple[str, str, int], ...]  # field, title, decimals


LIKELIHOOD = (
    ("log_likelihood", "log p(x)", 2),
    ("bound", "bound", 2),
    ("active", "in use", 1),
)
STUDIES = {
    "digits": Study(
        (
            "vae",
            "iwae",
            "dreg",
            "beta-vae",
            "beta-tc-vae",
            "free-bits",
            "info-vae",
            "mmd-vae",
            "wae-mmd",
            "vamp",
            "vade",
            "hierarchical",
            "vq-vae",
            "autoencoder",
        ),
        25,
        digits,
        (
            *LIKELIHOOD,
            ("probe", "probe", 3),
            ("samples", "Fréchet", 2),
            ("anomalies", "AUROC", 3),
            ("bits", "bits", 3),
            ("seconds", "s", 0),
        ),
    ),
    "table": Study(
        (
            "vae",
            "iwae",
            "gapped",
            "beta-vae",
            "vamp",
            "vade",
            "linear",
            "gaussian-mixture",
        ),
        40,
        table,
        (
            *LIKELIHOOD,
            ("anomalies", "AUROC", 3),
            ("filled", "filled in", 3),
            ("seconds", "s", 0),
        ),
    ),
}


def one(name: str, recipe: str, seed: int, epochs: int) -> Found:
    """Train a recipe on the data of a study, and judge it."""
    study = STUDIES[name]
    with TemporaryDirectory() as folder:
        data, other = breast_cancer(Path(folder)) if name == "table" else (name, None)
        begun = time.process_time()
        run = vael.train(
            data,
            model=recipe,
            seed=seed,
            epochs=epochs,
            precision="float32",
            compile=False,
            callbacks=(),
        )
        seconds = time.process_time() - begun
        return Found(seconds, **study.measure(run, run.splits(), other))


def cached(cache: Path | None, name: str, recipe: str, seed: int, epochs: int) -> Found:
    """The result of a run: read where it is there, else found and kept."""
    path = None if cache is None else cache / f"{name}-{recipe}-{epochs}-{seed}.json"
    if path is not None and path.exists():
        return Found(**json.loads(path.read_text()))
    found = one(name, recipe, seed, epochs)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(found)))
    return found


def told(values: list[float | None], decimals: int) -> str:
    """Mean and its standard error over seeds; a dash where there is no such number."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < len(values) or not known:
        return "–"
    error = f" ± {stdev(known) / math.sqrt(len(known)):.{decimals}f}" if len(known) > 1 else ""
    return f"{mean(known):.{decimals}f}{error}".replace("-", "−")


def main(words: list[str] | None = None) -> None:
    """Print the table of a study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES, nargs="?", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--recipes", nargs="+")
    parser.add_argument("--cache", type=Path)
    asked = parser.parse_args(words)
    study = STUDIES[asked.study]
    titles = [title for _, title, _ in study.columns]
    print(f"| recipe | {' | '.join(titles)} |\n|---|{'---:|' * len(titles)}", flush=True)
    for recipe in asked.recipes or study.recipes:
        runs = [
            cached(asked.cache, asked.study, recipe, seed, asked.epochs or study.epochs) for seed in range(asked.seeds)
        ]
        cells = [told([getattr(run, field) for run in runs], decimals) for field, _, decimals in study.columns]
        print(f"| {recipe} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
