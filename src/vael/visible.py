"""Texts of data where people see them: on a terminal, in a figure, on a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
HIDDEN_IN_LINES = re.compile(HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def visible(text: str) -> str:
    """A name or a level with a mark in place of each character that would move the cursor, change colours or turn
    the direction of what follows.
    """
    return HIDDEN.sub("\ufffd", text)


def visible_lines(text: str) -> str:
    """The same for text of several lines, which keeps their ends and tabs."""
    return HIDDEN_IN_LINES.sub("\ufffd", text)


def html_table(title: str, rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """A table for a notebook: texts of data escaped, nothing from elsewhere, in the colours that the notebook has."""
    cell = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top"
    named = "".join(f'<th style="{cell}">{shown(one)}</th>' for one in head)
    lines = "".join("<tr>" + "".join(f'<td style="{cell}">{shown(one)}</td>' for one in row) + "</tr>" for row in rows)
    return (
        f'<div style="overflow-x:auto"><strong>{shown(title)}</strong><table style="border-collapse:collapse;'
        f'color:inherit;background:none">{f"<thead><tr>{named}</tr></thead>" if named else ""}<tbody>{lines}</tbody>'
        "</table></div>"
    )


def shown(value: object) -> str:
    """A value as text in HTML."""
    return escape(visible_lines(f"{value:,}" if isinstance(value, int) else str(value)))
