"""Docstrings for the API reference: names stand in single backticks and formulas as plain text, which Sphinx would take
for markup of its own.
"""

import re

CODE = re.compile(r"`+([^`]+)`+")
MARKUP = re.compile(r"([*|\\]|(?<=\w)_(?=\W|$))")  # emphasis, substitutions, escapes, links


def as_markup(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText: code as literals, and nothing else as markup. Examples stay as they
    are.
    """
    found, paragraph = [], []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
            continue
        found += paragraph if paragraph and paragraph[0].lstrip().startswith(">>>") else _plain(paragraph)
        found.append("")
        paragraph = []
    return found


def _plain(paragraph: list[str]) -> list[str]:
    text = "\n".join(paragraph)  # code may go on in the next line
    pieces, end = [], 0
    for match in CODE.finditer(text):
        pieces += [MARKUP.sub(r"\\\1", text[end : match.start()]), _literal(text, match)]
        end = match.end()
    return "".join([*pieces, MARKUP.sub(r"\\\1", text[end:])]).split("\n")


def _literal(text: str, match: re.Match[str]) -> str:
    before = "\\ " if match.start() and (text[match.start() - 1].isalnum() or text[match.start() - 1] in "'’") else ""
    after = "\\ " if text[match.end() : match.end() + 1].isalnum() else ""
    return f"{before}``{' '.join(match[1].split())}``{after}"
