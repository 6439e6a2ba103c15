"""Anomalies beyond the semi-supervised ADBench tables: data that are contaminated, tables not used before, images, and
a mixed table.

    VAEL_DATA=FOLDER python benchmarks/anomaly_more.py contaminated|bundled|digits|adult [--seeds 1] [--rows 4000]

contaminated: ADBench sets, no labels at all: trained on every row and judged on the same rows; with a share of 10 %
declared for every set, the rows with the lowest bound are left out and the model is trained again. bundled: one class
of scikit-learn's tables as normal, half of it to train on. digits: one digit of MNIST as normal (2,000 training images,
1,000 test images), in grey. adult: rows of the mixed table with one cell taken from another row, which is planted where
it differs. k-NN (k = 5) and isolation forest are scikit-learn's; they see one-hot, standardised columns of a mixed
table.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from sklearn import datasets
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from anomaly import detector_on, source
from vael.applications.anomaly import without_the_strangest
from vael.data import Source, Splits, load, load_table
from vael.tables.schema import LEVELS

SETS = (
    "cardiotocography",
    "glass",
    "ionosphere",
    "letter",
    "pendigits",
    "stamps",
    "vertebral",
    "wdbc",
    "wine",
    "yeast",
)
SHARE = 0.1
DIGITS, EPOCHS = (1, 3, 8), 20


def rivals(train: np.ndarray, test: np.ndarray, anomaly: np.ndarray, seed: int) -> dict[str, float]:
    """AUROC of neighbours and forest; a row is no neighbour of itself."""
    itself = int(train is test)
    near = NearestNeighbors(n_neighbors=5 + itself).fit(train).kneighbors(test)[0][:, -1]
    forest = IsolationForest(random_state=seed).fit(train)
    return {"k-NN": roc_auc_score(anomaly, near), "IForest": roc_auc_score(anomaly, -forest.score_samples(test))}


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    middle, spread = train.mean(0), train.std(0)
    spread[spread < 1e-9] = 1
    return ((train - middle) / spread).astype(np.float32), ((test - middle) / spread).astype(np.float32)


def held_out(x: Source, seed: int) -> Splits:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    held = max(10, len(x) // 10)
    return Splits(x.subset(order[held:].sort().values), x.subset(order[:held].sort().values), None)


def contaminated(seed: int, most: int):
    for name in SETS:
        path = next(
            path
            for path in Path(os.environ["VAEL_DATA"], "adbench").glob("*.npz")
            if path.stem.split("_", 1)[1].lower() == name
        )
        held = np.load(path, allow_pickle=False)
        x, y = held["X"].astype(np.float64), held["y"].reshape(-1)
        kept = np.random.default_rng(seed).permutation(len(x))[:most]
        rows, y = standardised(x[kept], x[kept])[0], y[kept]
        splits = held_out(source(rows), seed)
        found = {"share": float(np.mean(y))}
        first = detector_on(splits, seed)
        found["as they are"] = roc_auc_score(y, first.scores(source(rows)).numpy())
        again = detector_on(
            Splits(
                *(without_the_strangest(first.model, part, SHARE) for part in (splits.train, splits.validation)), None
            ),
            seed,
        )
        found["trained again"] = roc_auc_score(y, again.scores(source(rows)).numpy())
        yield name, {**found, **rivals(rows, rows, y, seed)}


def bundled(seed: int, most: int):
    for name, data, normal in (
        ("breast cancer, benign", datasets.load_breast_cancer(), 1),
        ("wine, class 1", datasets.load_wine(), 1),
        ("digits, 3", datasets.load_digits(), 3),
        ("digits, 8", datasets.load_digits(), 8),
        ("iris, versicolor", datasets.load_iris(), 1),
    ):
        random = np.random.default_rng(seed)
        order = random.permutation(np.flatnonzero(data.target == normal))
        half = len(order) // 2
        rest = np.concatenate((order[half:], np.flatnonzero(data.target != normal)))
        train, test = standardised(data.data[order[:half]], data.data[rest])
        y = (data.target[rest] != normal).astype(int)
        found = detector_on(held_out(source(train), seed), seed)
        yield name, {"vael": roc_auc_score(y, found.scores(source(test)).numpy()), **rivals(train, test, y, seed)}


def digits(seed: int, most: int):
    splits = load("mnist")
    images, labels = splits.train.x, splits.train.label
    chosen = torch.randperm(len(splits.test), generator=torch.Generator().manual_seed(seed))[:1000]

    def grey(x: torch.Tensor) -> Source:
        return replace(splits.train, x=x, label=None, rows=None, fingerprint="")

    for digit in DIGITS:
        mine = images[labels == digit][:2000]
        y = (splits.test.label[chosen] != digit).int().numpy()
        test = splits.test.x[chosen]
        begun = time.perf_counter()
        found = detector_on(held_out(grey(mine), seed), seed, epochs=EPOCHS)
        result = {"vael": roc_auc_score(y, found.scores(grey(test)).numpy()), "seconds": time.perf_counter() - begun}
        yield (
            f"MNIST, {digit}",
            {**result, **rivals(mine.flatten(1).float().numpy(), test.flatten(1).float().numpy(), y, seed)},
        )


def one_hot(x: torch.Tensor, columns) -> np.ndarray:
    parts = []
    for place, column in enumerate(columns):
        cells = x[:, place]
        if column.kind in LEVELS:
            parts.append(torch.nn.functional.one_hot(cells.nan_to_num(column.codes).long(), column.codes + 1).float())
        else:
            parts.append(((cells - cells.nanmean()) / cells[~cells.isnan()].std()).nan_to_num()[:, None])
    return torch.cat(parts, 1).numpy()


def adult(seed: int, most: int):
    splits = load_table("adult")
    random = torch.Generator().manual_seed(seed)
    train = splits.train.subset(torch.randperm(len(splits.train), generator=random)[:most])
    x = splits.test.x[torch.randperm(len(splits.test), generator=random)[:1000]].clone()
    place = torch.randint(x.shape[1], (500,), generator=random)
    other = splits.test.x[torch.randint(len(splits.test), (500,), generator=random), place]
    rows = torch.arange(500)
    differs = (x[rows, place] != other) & ~other.isnan() & ~x[rows, place].isnan()
    x[rows, place] = torch.where(differs, other, x[rows, place])
    y = torch.zeros(1000)
    y[rows[differs]] = 1
    begun = time.perf_counter()
    found = detector_on(held_out(train, seed), seed)
    test = replace(splits.test, x=x, fingerprint="", rows=None, label=None)
    result = {"vael": roc_auc_score(y, found.scores(test).numpy()), "seconds": time.perf_counter() - begun}
    planted = test.subset(rows[differs][:200])
    reasons = torch.cat([verdict.reasons for verdict in found.judge(planted)])
    told = place[differs][:200]
    plain, given = reasons.argmax(1) == told, found.explain(planted, reasons).argmax(1) == told
    result |= {"cell named": float(given.double().mean()), "by its own code": float(plain.double().mean())}
    known = one_hot(torch.cat((train.x.index_select(0, train.rows), x)), splits.train.schema.columns)
    yield "Adult, one cell from another row", {**result, **rivals(known[:-1000], known[-1000:], y.numpy(), seed)}


PROTOCOLS = {"contaminated": contaminated, "bundled": bundled, "digits": digits, "adult": adult}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=4000)
    asked = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(asked.seeds):
        for name, row in PROTOCOLS[asked.protocol](seed, asked.rows):
            found.setdefault(name, []).append(row)
            print(f"seed {seed}: {name}: {row}", flush=True)
    names = list(next(iter(found.values()))[0])
    print(f"\n| set | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    means = {name: {key: mean(one[key] for one in rows) for key in names} for name, rows in found.items()}
    for name, row in {**means, "**mean**": {key: mean(one[key] for one in means.values()) for key in names}}.items():
        print(
            f"| {name} | "
            f"{' | '.join(f'{row[key]:.0f}' if key == 'seconds' else f'{100 * row[key]:.1f}' for key in names)} |"
        )


if __name__ == "__main__":
    main()
