"""Write the tree of files in docs/architecture.md, the list of folders in README.md and llms.txt: `make tree`.

The first two come from the first sentences of the files' docstrings, the third from the commands and docs/index.md.
"""

import ast
from pathlib import Path
from textwrap import shorten

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "vael"
WIDTH = 140  # of a line of the tree


def first_sentence(path: Path) -> str:
    """What a file says it is: the summary of its docstring, up to the first full stop."""
    summary = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
    return " ".join(summary.split()).split(". ")[0].rstrip(".")


def line(name: str, path: Path) -> str:
    """A name and what is there, cut at a word where it is long."""
    start = f"{name:<26} "
    return start + shorten(first_sentence(path), WIDTH - len(start), placeholder=" ...")


def files(folder: Path, depth: int = 1) -> list[str]:
    """A line per file and folder that has something in it."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir() and (path / "__init__.py").exists():
            found += [line(f"{'  ' * depth}{path.name}/", path / "__init__.py"), *files(path, depth + 1)]
        elif path.suffix == ".py" and path.name != "__init__.py" and path.stat().st_size:
            found.append(line(f"{'  ' * depth}{path.name}", path))
    return found


def folders() -> list[str]:
    """A row per folder of the package."""
    found = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    return [f"| `src/vael/{path.name}/` | {first_sentence(path / '__init__.py')} |" for path in found]


def between(text: str, name: str, lines: list[str]) -> str:
    """`text` with other lines between the marks that bear a name. Errors: `ValueError` where a mark is missing."""
    begin, end = f"<!-- {name}: made by `make tree` -->\n", f"\n<!-- end of {name} -->"
    start = text.index(begin) + len(begin)
    return text[:start] + "\n".join(lines) + text[text.index(end, start) :]


def drawn() -> dict[Path, str]:
    """The pages as they have to be."""
    architecture, readme = ROOT / "docs" / "architecture.md", ROOT / "README.md"
    tree = ["```text", "src/vael/", *files(PACKAGE), "```"]
    rows = ["", "| folder | what is there |", "|---|---|", *folders(), ""]
    return {
        architecture: between(architecture.read_text(), "tree", tree),
        readme: between(readme.read_text(), "folders", rows),
        ROOT / "llms.txt": for_programs(),
    }


USE = """\
# vael

> Train, judge and use variational autoencoders on images, tables and sequences, from the command line and from
> Python. Every number it prints is proven against an exact oracle.

How to use it from a program:

* `vael COMMAND --help` lists all options of a command. `--json` prints one JSON object and nothing else on
  standard output, for every command.
* Exit status: 0 done; 2 what was given cannot be used, with one message on standard error that says what came,
  what was expected and what to do; 130 interrupted, with a checkpoint; 1 anything else.
* A run is a folder: `run.json` (what it is, nothing left to choose), `model.safetensors`, `metrics.jsonl`,
  `report.html`. `vael train --config run.json` trains it again, `--set LEAF=VALUE` changes any leaf, `vael
  train --resume` goes on, `vael train NEWDATA --from RUN` begins with its weights.
* Python: `run = vael.train(data, **options)` or `vael.load(folder)`; `vael.evaluate(run.model, source)`;
  `run.score`, `run.encode`, `run.impute`, `run.classify`, `run.forecast` and `run.sample` take paths, data
  frames, dictionaries or arrays. Options are those of the command, with underscores.
* HTTP: `vael serve RUN`, described by its `/openapi.json`.
* Numbers are nats per example, summed over elements; a larger bound is better. A higher score is stranger, a
  p-value is small for a strange row.
"""


def for_programs() -> str:
    """What a program that reads should know, and where more is: llms.txt."""
    from vael.cli.main import GROUPS

    lines = [USE]
    for group, commands in GROUPS.items():
        lines += [f"## Commands: {group}", ""]
        lines += [f"* `vael {name}`: {command.summary}" for name, command in commands.items()] + [""]
    index = (ROOT / "docs" / "index.md").read_text()
    lines += ["## Pages", "", *(line.replace("](", "](docs/") for line in index.splitlines() if line.startswith("* ["))]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write them."""
    for page, text in drawn().items():
        page.write_text(text)


if __name__ == "__main__":
    main()
