"""Anomalies in the ADBench tables: the default score of vael against k-NN and isolation forest in one run, and published figures beside them.

    VAEL_DATA=FOLDER python benchmarks/anomaly.py [--seeds 3] [--sets glass,wine] [--rows 50000] [--published dte_aucroc_semi.csv]

Semi-supervised protocol of Livernoche et al. (2024): the model sees half of the normal rows, the test set is the other half and all
anomalies; columns are standardised on the training rows; at most `--rows` rows of a set. One setting for all sets: what `recommend`
advises and `vael train` takes as a habit; a tenth of the training rows is held out for the best weights and for calibration.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from vael.applications.anomaly import AnomalyDetector, Score
from vael.data import Kind, Source, Splits, statistics
from vael.inference import AdamW, GradientAscent
from vael.networks import seeded
from vael.objectives import ELBO, Beta
from vael.recommendation import recommend
from vael.specs.names import HABITS, MANY, batch_for, name_of
from vael.training import Settings, run

STEPS, EPOCHS, NEIGHBOURS = 2000, 20, 5


def splits_of(path: Path, seed: int, most: int):
    """Standardised training rows, test rows, and which of those are anomalies."""
    held = np.load(path, allow_pickle=False)
    x, y = held["X"].astype(np.float64), held["y"].reshape(-1)
    random = np.random.default_rng(seed)
    if len(x) > most:
        kept = random.choice(len(x), most, replace=False)
        x, y = x[kept], y[kept]
    normal = random.permutation(np.flatnonzero(y == 0))
    train, test = normal[: len(normal) // 2], np.concatenate((normal[len(normal) // 2 :], np.flatnonzero(y == 1)))
    middle, spread = x[train].mean(0), x[train].std(0)
    spread[spread < 1e-9] = 1
    scaled = np.clip((x - middle) / spread, -1e6, 1e6).astype(np.float32)
    return scaled[train], scaled[test], y[test]


def source(x: np.ndarray) -> Source:
    return Source("rows", torch.from_numpy(np.ascontiguousarray(x)), Kind.REAL, "")


def detector(train: np.ndarray, seed: int) -> AnomalyDetector:
    """What `vael train` and `vael score` make of a table by default."""
    held = max(10, len(train) // 10)
    return detector_on(Splits(source(train[held:]), source(train[:held]), None), seed)


def detector_on(splits: Splits, seed: int, *, epochs: int | None = None) -> AnomalyDetector:
    """What they make of rows that are set aside already."""
    advice, rows = recommend(splits), len(splits.train)
    habits = HABITS[name_of(advice.recipe)]
    batch = habits.batch if rows >= MANY else batch_for(rows)
    enough = max(EPOCHS, math.ceil(STEPS / math.ceil(rows / min(batch, rows))))
    with seeded(seed):
        model = advice.build(splits.train.event, statistics(splits.train))
    optimizer = AdamW(learning_rate=habits.learning_rate, weight_decay=habits.weight_decay)
    algorithm = GradientAscent(model, ELBO(Beta(1.0, habits.warmup)), optimizer=optimizer)
    fit = run(algorithm, splits, Settings(epochs=epochs or enough, batch=batch, seed=seed, compiled=False))
    return AnomalyDetector(fit.model, splits.train, splits.validation)


def judged(path: Path, seed: int, most: int) -> dict[str, float]:
    """AUROC of every score and rival, and seconds."""
    train, test, anomaly = splits_of(path, seed, most)
    begun = time.perf_counter()
    found = detector(train, seed)
    scores = torch.cat([verdict.score for verdict in found.judge(source(test))]).numpy()
    seconds = time.perf_counter() - begun
    result = {"vael": roc_auc_score(anomaly, scores)}
    for kind in (Score.BOUND, Score.NEIGHBOURS, Score.DISTORTION):
        result[kind.value] = roc_auc_score(anomaly, found.scores(source(test), kind).numpy())
    begun = time.perf_counter()
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(train))).fit(train).kneighbors(test)[0][:, -1]
    result["k-NN"], result["seconds k-NN"] = roc_auc_score(anomaly, near), time.perf_counter() - begun
    result["IForest"] = roc_auc_score(anomaly, -IsolationForest(random_state=seed).fit(train).score_samples(test))
    return {**result, "seconds": seconds}


def published(path: Path | None) -> dict[str, dict[str, float]]:
    """Published AUROC (percent) by set and method, from the table of Livernoche et al."""
    if path is None:
        return {}
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    name = next(iter(rows[0]))
    return {row[name].lower().strip(): {key: float(value.split("(")[0]) for key, value in row.items() if key != name and value} for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--sets", default="")
    parser.add_argument("--published", type=Path)
    asked = parser.parse_args()
    known = published(asked.published)
    paths = sorted(Path(os.environ["VAEL_DATA"], "adbench").glob("*.npz"), key=lambda path: path.stem.split("_", 1)[1].lower())
    wanted = [name.lower() for name in asked.sets.split(",") if name]
    columns = ["vael", "bound", "neighbours", "distortion", "k-NN", "IForest", "seconds", "seconds k-NN"]
    print(f"| set | {' | '.join(columns)} | vael - k-NN | published VAE |\n|---|{'---:|' * (len(columns) + 2)}", flush=True)
    means: list[dict[str, float]] = []
    theirs = []
    for path in paths:
        name = path.stem.split("_", 1)[1]
        if wanted and name.lower() not in wanted:
            continue
        found = [judged(path, seed, asked.rows) for seed in range(asked.seeds)]
        row = {key: mean(one[key] for one in found) for key in columns}
        means.append(row)
        spread = stdev(100 * one["vael"] for one in found) if asked.seeds > 1 else 0.0
        cells = [f"{row[key]:.1f}" if "seconds" in key else f"{100 * row[key]:.1f}" for key in columns]
        cells[0] += f" ± {spread:.1f}"
        other = known.get(name.lower(), {}).get("VAE")
        theirs += [] if other is None else [other]
        print(f"| {name} | {' | '.join(cells)} | {100 * (row['vael'] - row['k-NN']):+.1f} | {'' if other is None else f'{other:.1f}'} |", flush=True)
    cells = [f"{mean(row[key] for row in means) * (1 if 'seconds' in key else 100):.1f}" for key in columns]
    gap = 100 * mean(row["vael"] - row["k-NN"] for row in means)
    print(f"| **mean** | {' | '.join(cells)} | {gap:+.1f} | {f'{mean(theirs):.1f} ({len(theirs)} sets)' if theirs else ''} |")


if __name__ == "__main__":
    main()
