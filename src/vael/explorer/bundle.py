"""The page in one file: its style, its scripts and its data inside, and nothing that it asks for elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"
ENTRY = "kept.js"  # the script of a page without a server
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (async function|function|class|const|let) (\w+)", re.MULTILINE)
LINKS = re.compile(r'^<(link rel="stylesheet"|script type="module").*\n', re.MULTILINE)


def scripts(entry: str, folder: Path = PAGE) -> list[str]:
    """The names of a script and of all that it imports, each after what it imports."""
    found: list[str] = []

    def add(name: str) -> None:
        if name not in found:
            for _, imported in IMPORT.findall((folder / name).read_text("utf-8")):
                add(imported)
            found.append(name)

    add(entry)
    return found


def joined(entry: str, folder: Path = PAGE) -> str:
    """A script and all that it imports as one, each in a scope of its own."""
    parts = []
    for name in scripts(entry, folder):
        text = (folder / name).read_text("utf-8")
        exported = [one for _, one in EXPORT.findall(text)]
        body = IMPORT.sub(lambda one: f"const {{{one[1]}}} = {variable(one[2])};\n", text)
        body = EXPORT.sub(r"\1 \2", body)
        parts.append(f"const {variable(name)} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();\n")
    return "".join(parts)


def variable(name: str) -> str:
    """What holds the exports of a script."""
    return "of_" + Path(name).stem


def whole_page(data: dict[str, Any], notice: str) -> bytes:
    """The page with `data` for its script, and a `notice` at its foot; it may load nothing and ask nobody."""
    style, script = (PAGE / "style.css").read_text("utf-8"), joined(ENTRY)
    policy = (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    kept = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    page = LINKS.sub("", (PAGE / "index.html").read_text("utf-8"))
    page = page.replace(
        "<head>\n",
        f'<head>\n<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>\n',
        1,
    )
    page = page.replace("Everything on this page comes from this machine.", notice, 1)
    tail = f'<script type="application/json" id="kept">{kept}</script>\n<script>{script}</script>\n</body>'
    before, _, after = page.rpartition("</body>")
    return (before + tail + after).encode()


def digest(text: str) -> str:
    """By which a policy knows a script or a style that stands in the page."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
