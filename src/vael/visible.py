"""Texts of data where people see them: on a terminal, in a figure, on a page."""

from __future__ import annotations

import re

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
