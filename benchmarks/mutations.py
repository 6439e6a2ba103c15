"""Small changes to a source file, one at a time, by mutmut's operators and by one of our own that leaves an operand
out.

mutmut's own runner is not used: it plants every mutant into one file behind switches, which leaves out decorated
functions, properties and whatever stands outside functions, and it cannot draw a sample. Left out here: texts, what is
raised, annotations, decorators, and `strict` of `zip`, which can only turn a fault into another one.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

STRICT = m.Arg(keyword=m.Name("strict"))
SUM = cst.ensure_type(cst.parse_expression("x.sum(-1)"), cst.Call)


@dataclass(frozen=True)
class Mutant:
    """One changed file: `path` below the root, the lines of the changed statement, and the whole new text."""

    path: str
    first: int
    last: int
    text: str
    removed: str
    added: str

    @property
    def name(self) -> str:
        return f"{self.path}:{self.first}: {self.removed}  ->  {self.added}"


def leave_out(node: cst.BinaryOperation) -> Iterator[cst.BaseExpression]:
    """`a + b` to `a` and to `b`, `a * b` likewise, `a - b` and `a / b` to `a`; `a @ b`, a sum with weights, to the
    sum without them.
    """
    if m.matches(node.operator, m.Add() | m.Multiply() | m.Subtract() | m.Divide()):
        yield node.left
    if m.matches(node.operator, m.Add() | m.Multiply()):
        yield node.right
    if m.matches(node.operator, m.MatrixMultiply()):
        left = node.left.with_changes(lpar=[*node.left.lpar, cst.LeftParen()], rpar=[*node.left.rpar, cst.RightParen()])
        yield SUM.with_changes(func=cst.Attribute(left, cst.Name("sum")))


OPERATORS = [
    *((kind, operator) for kind, operator in mutation_operators if operator.__name__ != "operator_string"),
    (cst.BinaryOperation, leave_out),
]


class Everywhere(MutationVisitor):
    """mutmut's visitor, into decorated functions as well, and not into what is raised."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if (
            isinstance(node, cst.Raise)
            or m.matches(node, STRICT)
            or m.matches(node, m.Assign([m.AssignTarget(m.Name("__all__"))]))
        ):
            return True
        bare = node.with_changes(decorators=[]) if isinstance(node, cst.FunctionDef) else node
        return super()._skip_node_and_children(bare)


def _only_strict(original: cst.CSTNode, mutated: cst.CSTNode) -> bool:
    """Whether a call was changed in its `strict` alone."""
    if not isinstance(original, cst.Call) or not isinstance(mutated, cst.Call):
        return False
    kept = {id(arg) for arg in mutated.args}
    return any(m.matches(arg, STRICT) and id(arg) not in kept for arg in original.args)


class Statements(cst.CSTVisitor):
    """The simple statement that each node stands in."""

    def __init__(self) -> None:
        self.inside: list[cst.CSTNode] = []
        self.of: dict[cst.CSTNode, cst.CSTNode] = {}

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.SimpleStatementLine):
            self.inside.append(node)
        self.of[node] = self.inside[-1] if self.inside else node
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.SimpleStatementLine):
            self.inside.pop()


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def mutants_of(root: Path, path: Path, sample: Iterable[int] | None = None) -> Iterator[Mutant]:
    """All mutants of a file, or those of the numbers given, in the order of the source."""
    source = path.read_text()
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = Everywhere(OPERATORS, IgnoredCode(set(), set(), set()))
    module = wrapper.visit(visitor)
    positions, statements = wrapper.resolve(PositionProvider), Statements()
    wrapper.module.visit(statements)
    found = [
        mutation for mutation in visitor.mutations if not _only_strict(mutation.original_node, mutation.mutated_node)
    ]
    for number in range(len(found)) if sample is None else sorted(sample):
        mutation = found[number]
        text = module.deep_replace(mutation.original_node, mutation.mutated_node).code
        where = positions[statements.of[mutation.original_node]]
        changes = list(difflib.unified_diff(lines(source), lines(text), n=0, lineterm=""))[3:]
        removed, added = (" ".join(line[1:] for line in changes if line.startswith(sign)) for sign in "-+")
        if text != source:
            yield Mutant(str(path.relative_to(root)), where.start.line, where.end.line, text, removed, added)


def count(path: Path) -> int:
    """How many mutants a file has."""
    visitor = Everywhere(OPERATORS, IgnoredCode(set(), set(), set()))
    MetadataWrapper(cst.parse_module(path.read_text())).visit(visitor)
    return sum(not _only_strict(mutation.original_node, mutation.mutated_node) for mutation in visitor.mutations)


def sampled(root: Path, paths: Iterable[Path], size: int, seed: int) -> list[Mutant]:
    """`size` mutants drawn without replacement from those of all files, every one equally likely; all where there
    are fewer.
    """
    each = [(path, number) for path in paths for number in range(count(path))]
    drawn = random.Random(seed).sample(each, min(size, len(each)))
    chosen = {
        path: [number for other, number in drawn if other == path] for path in dict.fromkeys(path for path, _ in drawn)
    }
    return [mutant for path in sorted(chosen) for mutant in mutants_of(root, path, chosen[path])]
