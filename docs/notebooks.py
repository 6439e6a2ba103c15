"""Notebooks of the gallery's pages, to download.

`python docs/notebooks.py FOLDER` writes them. A notebook has the text and the code of its page, nothing run. Its first
cell writes show.py, which the pages share, beside it, so that it needs nothing but vael and Jupyter.
"""

import json
import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
GALLERY = ROOT / "gallery"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$\n?", re.DOTALL | re.MULTILINE)
OPTIONS = re.compile(r"\A(?:---\n.*?^---$\n|(?::\w[\w-]*:[^\n]*\n)+)", re.DOTALL | re.MULTILINE)
BOX = re.compile(r"^:::\{admonition\} ([^\n]*)\n(.*?)^:::$", re.DOTALL | re.MULTILINE)
SOLUTION = "<details>\n<summary>Solution</summary>\n"


def pages() -> list[Path]:
    """Every page of the gallery that is executed, in its order."""
    return sorted([*GALLERY.glob("*/*.md"), GALLERY / "errata.md"])


def markdown(text: str) -> str:
    """Text of a page as Jupyter shows it: boxes as quotations, links to pages as links to notebooks."""
    text = BOX.sub(
        lambda box: "\n".join(f"> {line}".rstrip() for line in (f"**{box[1]}**", "", *box[2].splitlines())), text
    )
    text = text.replace(SOLUTION, "### Solution\n").replace("</details>", "")
    return re.sub(r"(\]\((?!\w+://)[^)#\s]*)\.md(#[^)]*)?\)", r"\1.ipynb\2)", text).strip()


def cell(kind: str, text: str, number: int, *, hidden: bool = False) -> dict:
    """One cell, with an identifier that stays the same from build to build."""
    found = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
    if kind == "code":
        found |= {"execution_count": None, "outputs": []}
        found["metadata"] = {"jupyter": {"source_hidden": True}} if hidden else {}
    return found


def notebook(page: Path) -> dict:
    """The page in the format of Jupyter (nbformat 4.5)."""
    text = re.sub(r"\A---\n.*?^---\n", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    shared = (GALLERY / "show.py").read_text().rstrip()
    found = [cell("code", f"%%writefile show.py\n{shared}", 0, hidden=True)]
    end, solving = 0, False
    for block in CELL.finditer(text):
        before = text[end : block.start()]
        solving = SOLUTION in before or (solving and "</details>" not in before)
        if markdown(before):
            found.append(cell("markdown", markdown(before), len(found)))
        options = OPTIONS.match(block[1])
        folded = solving or (options is not None and "hide-input" in options[0])
        found.append(cell("code", OPTIONS.sub("", block[1]).rstrip(), len(found), hidden=folded))
        end = block.end()
    if markdown(text[end:]):
        found.append(cell("markdown", markdown(text[end:]), len(found)))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": found, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def name_of(page: Path) -> str:
    """Where the notebook of a page is, below the folder of all of them."""
    return str(page.relative_to(GALLERY).with_suffix(".ipynb"))


def write(folder: Path) -> list[Path]:
    """Write all notebooks below `folder`, and one archive of them, `gallery.zip`."""
    written = []
    for page in pages():
        place = folder / name_of(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(notebook(page), ensure_ascii=False, indent=1) + "\n")
        written.append(place)
    with zipfile.ZipFile(folder / "gallery.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for place in written:
            archive.write(place, Path("gallery") / place.relative_to(folder))
    return written


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{len(write(Path(sys.argv[1])))} notebooks in {sys.argv[1]}")
