"""What filling the gaps of a table costs beside what nobody can save: weighing the latents of every row.

    python benchmarks/filling.py [--rows 100] [--columns 500] [--gaps 0.1] [--samples 200]

Numbers, counts, numbers with a spike and levels of up to 50 codes, a quarter of the columns each, with gaps at random;
a model as `vael train` recommends it, of random weights, which cost what trained ones cost. The floor is the encoder,
the decoder and log p(x_seen | z) of each latent, once. Seconds of processor time, of one thread unless OMP_NUM_THREADS
says otherwise.
"""

from __future__ import annotations

import argparse
import time

import torch

from vael.applications.imputation import impute
from vael.data import Kind, Source
from vael.evaluation.rows import row_batches
from vael.inference import drawn_and_weighed
from vael.models import ColumnsHead
from vael.networks import seeded
from vael.probability import Common
from vael.recipes import table
from vael.tables.schema import Column, ColumnKind, Schema

ROWS_AT_ONCE = 16  # of the floor


def made(rows: int, columns: int, gaps: float) -> Source:
    random = torch.Generator().manual_seed(0)
    x, kinds = torch.randn(rows, columns, generator=random), []
    for place in range(columns):
        cells, codes = x[:, place], (2, 3, 5, 10, 20, 50)[place // 4 % 6]
        names = tuple(f"level {code}" for code in range(codes))
        if place % 4 == 1:
            cells.copy_((2 * cells).exp().round().clamp(max=99))
        elif place % 4 == 2:
            cells.clamp_(min=0)
        elif place % 4 == 3:
            cells.copy_(torch.randint(codes, (rows,), generator=random))
        low, high = float(cells.min()), float(cells.max())
        kinds.append(
            (
                Column(f"x{place}", ColumnKind.REAL, minimum=low, maximum=high, missing=True),
                Column(f"x{place}", ColumnKind.COUNT, minimum=low, maximum=high, missing=True),
                Column(f"x{place}", ColumnKind.REAL, minimum=low, maximum=high, spikes=(0.0,), missing=True),
                Column(f"x{place}", ColumnKind.CATEGORICAL, levels=names, missing=True),
            )[place % 4]
        )
    x[torch.rand(x.shape, generator=random) < gaps] = torch.nan
    return Source("table", x, Kind.MIXED, "", gaps=True, schema=Schema(tuple(kinds)))


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, usual in (("rows", 100), ("columns", 500), ("samples", 200)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--gaps", type=float, default=0.1)
    asked = parser.parse_args()
    source = made(asked.rows, asked.columns, asked.gaps)
    schema = source.schema
    with seeded(0):
        model = table((asked.columns,), ColumnsHead(schema, sample=source.x), latent=32, hidden=(256, 256)).eval()  # type: ignore[bad-argument-type]
    begun = time.process_time()
    with torch.no_grad():
        for batch in row_batches(model, source):
            for rows in torch.arange(len(batch)).split(ROWS_AT_ONCE):
                part = source.subset(rows).batch(torch.arange(len(rows)))
                drawn_and_weighed(model, part, model.infer(part), asked.samples, Common(0))
    floor = time.process_time() - begun
    begun = time.process_time()
    filled = sum(len(part.x) for part in impute(model, source, samples=asked.samples))
    spent = time.process_time() - begun
    told = f"{filled} rows of {asked.columns} columns, {asked.gaps:.0%} gaps"
    print(f"{told}: {spent:.1f} s, floor {floor:.1f} s, ratio {spent / floor:.2f}")


if __name__ == "__main__":
    main()
