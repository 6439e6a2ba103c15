"""Make the picture of README.md and docs/index.md from the figures of two runs.

python docs/picture.py RUN RUN_WITH_TWO_LATENTS
"""

import pathlib
import sys

from PIL import Image

HEIGHT, GAP = 520, 24
FIGURES = ((0, "reconstructions"), (0, "sample_means"), (1, "manifold"), (1, "latent_map"))


def main(runs: list[pathlib.Path]) -> None:
    """Put four figures on one sheet."""
    found = [Image.open(runs[run] / "figures" / f"{name}.png").convert("RGB") for run, name in FIGURES]
    rows = [found[:2], found[2:]]
    scaled = [
        [image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS) for image in row]
        for row in rows
    ]
    width = max(sum(image.width for image in row) + GAP * (len(row) - 1) for row in scaled)
    sheet = Image.new("RGB", (width, HEIGHT * len(rows) + GAP * (len(rows) - 1)), "white")
    for line, row in enumerate(scaled):
        left = (width - sum(image.width for image in row) - GAP * (len(row) - 1)) // 2
        for image in row:
            sheet.paste(image, (left, line * (HEIGHT + GAP)))
            left += image.width + GAP
    folder = pathlib.Path(__file__).parent / "images"
    folder.mkdir(exist_ok=True)
    sheet.resize((1200, round(sheet.height * 1200 / sheet.width)), Image.Resampling.LANCZOS).save(
        folder / "mnist.png", optimize=True
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main([pathlib.Path(name) for name in sys.argv[1:]])
