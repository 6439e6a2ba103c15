"""Run pages of the gallery as Sphinx would, and keep what they show: python docs/page.py
docs/gallery/lecture-1/02-probability.md ...

Pictures go to docs/_build/pages/, what is printed to standard output, with the seconds that each page took.
"""

import ast
import re
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def cells(text: str) -> list[tuple[int, str]]:
    """First line and code of every cell; options (`:tags: ...`, or between lines of ---) are left out."""
    found = []
    for block in CELL.finditer(text):
        code = re.sub(
            r"\A---\n.*?^---$|^:\w+:[^\n]*$",
            lambda cut: "\n" * cut[0].count("\n"),
            block[1],
            flags=re.DOTALL | re.MULTILINE,
        )
        found.append((text[: block.start(1)].count("\n"), code))
    return found


def evaluate(code: str, line: int, names: dict, page: str) -> object:
    """Run a cell; the value of its last line if that is an expression without a semicolon after it."""
    tree = ast.parse("\n" * line + code)
    last = (
        tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";") else None
    )
    if last is not None:
        tree.body.pop()
    exec(compile(tree, page, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), page, "eval"), names)


def run(page: Path, folder: Path) -> float:
    """Seconds that the page took; its pictures are in `folder`. Errors are those of the page."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    names, begun, number = {"__name__": "__main__"}, time.perf_counter(), 0
    for line, code in cells(page.read_text()):
        shown = evaluate(code, line, names, str(page))
        pictures = [plt.figure(n) for n in plt.get_fignums()]
        for picture in pictures:
            number += 1
            picture.savefig(folder / f"{page.parent.name}-{page.stem}-{number}.png", dpi=110)
        plt.close("all")
        if hasattr(shown, "save") and hasattr(shown, "convert"):
            number += 1
            shown.convert("RGB").save(folder / f"{page.parent.name}-{page.stem}-{number}.png")
        elif shown is not None and not pictures:
            print(str(getattr(shown, "data", shown))[:2000])
    return time.perf_counter() - begun


def main(names: list[str]) -> None:
    """Every page in turn, in one process."""
    sys.path.insert(0, str(ROOT / "gallery"))
    for name in names:
        print(f"--- {name}", flush=True)
        print(f"--- {run(Path(name).resolve(), ROOT / '_build' / 'pages'):.1f} s", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
