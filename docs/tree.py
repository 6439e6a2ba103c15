"""Write the tree of files in docs/architecture.md and the list of folders in README.md: `make tree`.

Both come from the first sentences of the files' docstrings.
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
    """The two pages as they have to be."""
    architecture, readme = ROOT / "docs" / "architecture.md", ROOT / "README.md"
    tree = ["```text", "src/vael/", *files(PACKAGE), "```"]
    rows = ["", "| folder | what is there |", "|---|---|", *folders(), ""]
    return {
        architecture: between(architecture.read_text(), "tree", tree),
        readme: between(readme.read_text(), "folders", rows),
    }


def main() -> None:
    """Write both pages."""
    for page, text in drawn().items():
        page.write_text(text)


if __name__ == "__main__":
    main()
