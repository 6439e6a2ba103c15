"""The syntax trees of the package's files, read once for all tests that look at its text."""

import ast
import functools


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text())


@functools.cache
def nodes_of(path):
    """Every node of a file, in the order of `ast.walk`."""
    return list(ast.walk(tree_of(path)))
