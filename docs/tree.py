"""Rewrite the tree of files in README.md from the first lines of the files' docstrings: `make tree`."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- tree: made by `make tree` -->\n```text\n", "```\n<!-- end of tree -->"


def first_line(path: Path) -> str:
    """What a file says it is, up to the first full stop."""
    line = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
    return line.split(". ")[0].rstrip(".")


def lines(folder: Path, depth: int = 1) -> list[str]:
    """A line per file and folder that has something in it."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir() and (path / "__init__.py").exists():
            found += [
                f"{'  ' * depth}{path.name + '/':<24} {first_line(path / '__init__.py')}",
                *lines(path, depth + 1),
            ]
        elif path.suffix == ".py" and path.name != "__init__.py" and path.stat().st_size:
            found.append(f"{'  ' * depth}{path.name:<{26 - 2 * depth}} {first_line(path)}")
    return found


def main() -> None:
    """Put the tree between its marks."""
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    tree = "\n".join(["src/vael/", *lines(ROOT / "src" / "vael")])
    readme.write_text(f"{before}{BEGIN}{tree}\n{END}{after}")


if __name__ == "__main__":
    main()
