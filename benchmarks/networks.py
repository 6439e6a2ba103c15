"""Bayesian networks as simulated tables with a known law: rows of levels, their log-probabilities, and tables of
probabilities fitted to rows.

`asia` (Lauritzen & Spiegelhalter 1988) stands here. The larger ones are read from the files that the package pgmpy
1.0.0 (MIT licence) ships: `pip install --no-deps pgmpy==1.0.0`, or with `--target FOLDER` and FOLDER in PYTHONPATH; the
package itself is never imported.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

SHIPPED = "utils/example_models/{}.bif.gz"
VARIABLE = re.compile(r"variable\s+(\S+)\s*\{\s*type\s+discrete\s*\[\s*\d+\s*\]\s*\{([^}]*)\}")
TABLE = re.compile(r"probability\s*\(\s*([^\s|)]+)\s*(?:\|([^)]*))?\)\s*\{(.*?)\}", re.DOTALL)
ENTRY = re.compile(r"(?:table|\(([^)]*)\))\s*([^;]*);")
TINY = 1e-8  # added to probabilities, as SDGym has it


@dataclass(frozen=True)
class Node:
    """A variable: its levels, its parents, and P(level | levels of the parents), `[*levels of parents, levels]`."""

    levels: int
    parents: tuple[str, ...]
    table: np.ndarray


@dataclass(frozen=True)
class Network:
    """Variables, parents before children."""

    nodes: dict[str, Node]

    def sample(self, rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Codes of `rows` draws."""
        x: dict[str, np.ndarray] = {}
        for name, node in self.nodes.items():
            p = np.broadcast_to(self._given(node, x), (rows, node.levels))
            x[name] = (rng.random((rows, 1)) >= p.cumsum(1)).sum(1).clip(max=node.levels - 1)
        return x

    def log_prob(self, x: dict[str, np.ndarray]) -> float:
        """Mean of log(p + 1e-8)."""
        p = 1.0
        for name, node in self.nodes.items():
            p = (
                p
                * np.take_along_axis(
                    np.broadcast_to(self._given(node, x), (len(x[name]), node.levels)), x[name][:, None], 1
                )[:, 0]
            )
        return float(np.log(p + TINY).mean())

    def fitted(self, x: dict[str, np.ndarray]) -> Network:
        """The same parents, with the shares that `x` has; levels are equally probable where the parents never had
        these values.
        """
        nodes = {}
        for name, node in self.nodes.items():
            counts = np.zeros_like(node.table)
            np.add.at(counts, (*(x[parent] for parent in node.parents), x[name]), 1)
            total = counts.sum(-1, keepdims=True)
            nodes[name] = replace(node, table=np.where(total > 0, counts / np.maximum(total, 1), 1 / node.levels))
        return Network(nodes)

    @staticmethod
    def _given(node: Node, x: dict[str, np.ndarray]) -> np.ndarray:
        return node.table[tuple(x[parent] for parent in node.parents)]


def asia() -> Network:
    """By P(yes | parents), yes first."""
    given = {
        "asia": ((), 0.01),
        "tub": (("asia",), [0.05, 0.01]),
        "smoke": ((), 0.5),
        "lung": (("smoke",), [0.1, 0.01]),
        "bronc": (("smoke",), [0.6, 0.3]),
        "either": (("lung", "tub"), [[1.0, 1.0], [1.0, 0.0]]),
        "xray": (("either",), [0.98, 0.05]),
        "dysp": (("bronc", "either"), [[0.9, 0.8], [0.7, 0.1]]),
    }
    return Network(
        {
            name: Node(2, parents, np.stack([np.array(yes), 1 - np.array(yes)], -1))
            for name, (parents, yes) in given.items()
        }
    )


def shipped(name: str) -> Network:
    """A network of pgmpy's. Errors: SystemExit where the package is not at hand."""
    found = find_spec("pgmpy")
    path = Path(str(found.origin)).parent / SHIPPED.format(name) if found and found.origin else None
    if path is None or not path.is_file():
        raise SystemExit(
            f"the tables of `{name}` are read from pgmpy 1.0.0 (MIT), which is not at hand: pip install --no-deps "
            "pgmpy==1.0.0"
        )
    return parsed(gzip.decompress(path.read_bytes()).decode())


def parsed(text: str) -> Network:
    """A network in the Bayesian network interchange format."""
    levels = {name: [one.strip() for one in names.split(",")] for name, names in VARIABLE.findall(text)}
    found: dict[str, Node] = {}
    for name, given, body in TABLE.findall(text):
        parents = tuple(one.strip() for one in given.split(",") if one.strip())
        table = np.full((*(len(levels[parent]) for parent in parents), len(levels[name])), np.nan)
        for values, numbers in ENTRY.findall(body):
            places = tuple(
                levels[parent].index(one.strip())
                for parent, one in zip(parents, values.split(","), strict=bool(parents))
            )
            table[places] = [float(one) for one in numbers.split(",")]
        found[name] = Node(len(levels[name]), parents, table / table.sum(-1, keepdims=True))
    ordered: dict[str, Node] = {}
    while len(ordered) < len(found):
        ordered |= {
            name: node
            for name, node in found.items()
            if name not in ordered and all(parent in ordered for parent in node.parents)
        }
    if any(np.isnan(node.table).any() for node in ordered.values()):
        raise SystemExit("a table of probabilities has gaps; is the file whole?")
    return Network(ordered)
