"""Functions of a model as small graphs that a page runs without Python: a list of operators and their constants.

`torch.export` writes down what a function does to tensors of fixed shapes, in PyTorch's own small set of operators
(ATen). What depends on weights alone is worked out here, once; the rest is what `page/kernel.js` computes.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vael.counting import counted
from vael.errors import StateError
from vael.process import errors_only, ignoring

# as they are named in page/kernel.js, where each is a function
ELEMENTWISE = {
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and", "bitwise_not",
    "bitwise_or", "ceil", "clamp", "cos", "cosh", "div", "elu", "eq", "erf", "erfc", "exp", "expm1", "floor",
    "fmod", "ge", "gelu", "gt", "hardtanh", "isinf", "isnan", "le", "leaky_relu", "lgamma", "log", "log10",
    "log1p", "log2", "logical_and", "logical_not", "logical_or", "lt", "maximum", "minimum", "mul", "ne", "neg",
    "pow", "reciprocal", "relu", "remainder", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "sub",
    "tan", "tanh", "trunc", "where",
}  # fmt: skip
OTHERS = {
    "_adaptive_avg_pool2d", "_log_softmax", "_native_batch_norm_legit_no_training", "_softmax", "_to_copy",
    "addmm", "alias", "amax", "amin", "any", "arange", "argmax", "argmin", "avg_pool2d", "bmm", "cat", "clone",
    "constant_pad_nd", "convolution", "cumsum", "diagonal", "embedding", "expand", "flip", "full", "full_like",
    "gather", "getitem", "index", "index_put", "index_select", "linalg_solve_triangular", "max",
    "max_pool2d_with_indices", "mean", "min", "mm", "native_group_norm", "native_layer_norm", "permute", "prod",
    "scatter", "select", "slice", "sort", "split_with_sizes", "squeeze", "sum", "topk", "unsqueeze",
    "upsample_nearest2d", "var", "view",
}  # fmt: skip
KNOWN = frozenset(ELEMENTWISE | OTHERS)
IGNORED = ("_assert", "sym_constrain")  # what checks and computes nothing
GROWING = ("expand", "full", "full_like", "arange")  # short to say and long to keep
SHORT = 64  # elements that are kept rather than said
MOST = 4_000  # operators that a page can be expected to run between two frames of a screen
ROUNDED = 1_000  # elements from which on a tensor of weights may be rounded
TYPES = {torch.float32: "f", torch.float64: "d", torch.int64: "i", torch.int32: "i", torch.uint8: "i", torch.bool: "b"}
SERVED = "explore the run over a server (`vael explore RUN`)"
GRAPHS = "write it for ONNX Runtime (`vael export RUN`)"
TRAINED = "train a dense or convolutional network (`vael train DATA --model convolutional`)"
MEANINGLESS = ("layout", "device", "pin_memory")  # on a page


@dataclass(frozen=True)
class PageGraph:
    """A function of tensors as operators over numbered values: first its inputs, then constants, then what each
    operator gives.
    """

    inputs: tuple[tuple[str, tuple[int, ...]], ...]  # type and shape; the first axis of all is the batch
    constants: tuple[Tensor, ...]
    nodes: tuple[tuple[fx.node.Target, Any, Any, tuple[int, ...], str], ...]  # operator, arguments, named, shape, type
    output: int

    def told(self, weights: KeptWeights) -> dict[str, Any]:
        """In a form that JSON has; constants are numbers of tensors in `weights`."""
        return {
            "inputs": [{"type": kind, "shape": list(shape)} for kind, shape in self.inputs],
            "constants": [weights.place(one) for one in self.constants],
            "nodes": [
                [name_of(target), arguments, named, list(shape), kind]
                for target, arguments, named, shape, kind in self.nodes
            ],
            "output": self.output,
        }

    def __call__(self, *inputs: Tensor, half: bool = False) -> Tensor:
        """What the page will compute, computed here: with the weights as they are, or as float16 rounds them."""
        values: list[Any] = [*inputs, *(rounded(one) if half else one for one in self.constants)]
        with torch.no_grad():
            for target, arguments, named, _, _ in self.nodes:
                values.append(computed(target, given(arguments, values), given(named, values)))
        return values[self.output]


@dataclass
class KeptWeights:
    """Tensors that several graphs share, each kept once: their bytes, one after another."""

    half: bool = False
    parts: list[bytes] = field(default_factory=list)
    about: list[dict[str, Any]] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def place(self, tensor: Tensor) -> int:
        """The number of a tensor among those that are kept, once it is."""
        short = self.half and may_be_rounded(tensor)
        content, kind = bytes_of(tensor, short)
        key = hashlib.sha256(f"{kind} {tuple(tensor.shape)} ".encode() + content).hexdigest()
        if key not in self.known:
            self.known[key] = len(self.about)
            self.about.append({"type": kind, "shape": list(tensor.shape), "bytes": len(content)})
            self.parts.append(content + b"\0" * (-len(content) % 8))  # typed arrays begin at multiples of their size
        return self.known[key]

    @property
    def content(self) -> bytes:
        """All of them."""
        return b"".join(self.parts)


def may_be_rounded(tensor: Tensor) -> bool:
    """Whether it is one of the large tensors that a file consists of."""
    return tensor.dtype == torch.float32 and tensor.numel() >= ROUNDED


def rounded(tensor: Tensor) -> Tensor:
    """As float16 has it, where it may be rounded."""
    return tensor.half().float() if may_be_rounded(tensor) else tensor


def bytes_of(tensor: Tensor, short: bool) -> tuple[bytes, str]:
    """Little-endian, and what kind they are: h float16, f float32, d float64, i int32, b one byte."""
    kind = "h" if short else TYPES[tensor.dtype]
    dtype = {"h": "<f2", "f": "<f4", "d": "<f8", "i": "<i4", "b": "u1"}[kind]
    return np.ascontiguousarray(tensor.detach().cpu().numpy()).astype(dtype).tobytes(), kind


def name_of(target: fx.node.Target) -> str:
    """An operator's name without where it comes from and which of its forms it is."""
    return "getitem" if target is operator.getitem else str(target).removeprefix("aten.").split(".")[0]


def computed(target: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """What an operator gives, its elements in rows: a view of what lies in another order would be refused."""
    found = target(*arguments, **named)
    return found.contiguous() if isinstance(found, Tensor) else found


def given(argument: Any, values: Sequence[Any]) -> Any:
    """An argument with the values that it refers to."""
    if isinstance(argument, dict) and len(argument) == 1 and "r" in argument:
        return values[argument["r"]]
    if isinstance(argument, dict):
        dtype = argument.get("t")
        return {key: given(one, values) for key, one in argument.items()} if dtype is None else getattr(torch, dtype)
    if isinstance(argument, str):
        return float(argument) if argument in ("inf", "-inf", "nan") else argument
    return [given(one, values) for one in argument] if isinstance(argument, list) else argument


class Counting(TorchDispatchMode):
    """How many operators run inside. Errors: `StateError` as soon as there are more than a page can run."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.seen = what, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen += 1
        if self.seen > MOST:
            raise StateError(
                f"{self.what} takes more than {MOST:,} operators, one after another (pixel after pixel, or step after "
                f"step), which a page without Python cannot do while a hand moves; {SERVED}, or {TRAINED}"
            )
        return func(*args, **(kwargs or {}))


@contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's notices about its own internals."""
    with errors_only("torch.export"), ignoring():
        yield


class Function(nn.Module):
    """A function of tensors with a model inside, as `torch.export` takes it."""

    def __init__(self, model: nn.Module, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self.model, *inputs)


def page_graph(model: nn.Module, function: Callable[..., Tensor], inputs: Sequence[Tensor], what: str) -> PageGraph:
    """The graph of `function(model, *inputs)` for inputs of these shapes; `what` it is for messages.

    Errors: `StateError` for one that PyTorch cannot trace, with an operator that the page does not know, or with more
    of them than it can run.
    """
    module = Function(model, function)
    with torch.no_grad(), quiet():
        with Counting(what):
            module(*inputs)
        try:
            program = torch.export.export(module, tuple(inputs), strict=False).run_decompositions()
        except Exception as error:  # PyTorch raises errors of many kinds, internal ones among them
            raise StateError(
                f"{what} cannot be written as a graph: a branch in it depends on values ({first_line(error)}); {SERVED}"
            ) from error
    return ProgramReader(program, what).graph(inputs)


def first_line(error: Exception) -> str:
    """What went wrong, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


class ProgramReader:
    """From a program of `torch.export` to a `PageGraph`."""

    def __init__(self, program: torch.export.ExportedProgram, what: str) -> None:
        self.nodes = [node for node in program.graph.nodes if not name_of(node.target).startswith(IGNORED)]
        self.output = next(node for node in self.nodes if node.op == "output").args[0][0]
        self.what, self.inputs = what, [node for node in self.nodes if node.op == "placeholder"]
        self.known = self._weights(program)

    def _weights(self, program: torch.export.ExportedProgram) -> dict[fx.Node, Any]:
        signature, kept = program.graph_signature, {**program.state_dict, **program.constants}
        names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        return {node: kept[names[node.name]].detach() for node in self.inputs if node.name in names}

    def graph(self, inputs: Sequence[Tensor]) -> PageGraph:
        """Only what the output needs, with all that depends on constants alone worked out."""
        free = [node for node in self.inputs if node not in self.known]
        calls = [node for node in self.nodes if node.op == "call_function"]
        seen = self._run({**self.known, **dict(zip(free, inputs, strict=True))}, calls)
        needed = self._needed()
        calls = [node for node in calls if node in needed and node not in self.known]
        self._refuse_unknown(calls)
        used = [node for node in self.known if node in needed and self._is_used(node, calls)]
        constants = [node for node in used if isinstance(self.known[node], Tensor)]
        numbers = {node: number for number, node in enumerate([*free, *constants, *calls])}
        told = {node: {"r": number} for node, number in numbers.items()}
        told |= {node: self.known[node] for node in used if node not in told}  # plain numbers are said as they are
        return PageGraph(
            tuple((TYPES[one.dtype], tuple(one.shape)) for one in inputs),
            tuple(self.known[node] for node in constants),
            tuple(call_of(node, told, seen[node]) for node in calls),
            numbers[self.output],
        )

    def _run(self, seen: dict[fx.Node, Any], calls: Sequence[fx.Node]) -> dict[fx.Node, Any]:
        """What every node gives for the inputs; what depends on no input is known from now on, unless it is longer
        to keep than to say.
        """
        with torch.no_grad():
            for node in calls:
                arguments, named = fx.map_arg((node.args, node.kwargs), seen.__getitem__)
                seen[node] = computed(node.target, arguments, named)
                long = name_of(node.target) in GROWING and seen[node].numel() > SHORT
                if not long and all(one in self.known for one in node.all_input_nodes):
                    self.known[node] = seen[node]
        return seen

    def _needed(self) -> set[fx.Node]:
        needed, open_ones = set(), [self.output]
        while open_ones:
            node = open_ones.pop()
            if node not in needed:
                needed.add(node)
                open_ones += [] if node in self.known else node.all_input_nodes
        return needed

    def _is_used(self, constant: fx.Node, calls: Sequence[fx.Node]) -> bool:
        return constant is self.output or any(constant in node.all_input_nodes for node in calls)

    def _refuse_unknown(self, calls: Sequence[fx.Node]) -> None:
        unknown = sorted({name_of(node.target) for node in calls} - KNOWN)
        if unknown:
            raise StateError(
                f"{self.what} uses {', '.join(unknown)}, which the page cannot compute without Python; it knows dense "
                f"layers, convolutions, norms, pooling and the activations of vael. What works: {SERVED}, {GRAPHS}, or "
                f"{TRAINED}"
            )
        if len(calls) > MOST:
            raise StateError(
                f"{self.what} is {counted(len(calls), 'operator')}, and a page runs at most {MOST:,} between two "
                f"frames; {SERVED}"
            )


def call_of(node: fx.Node, told: Mapping[fx.Node, Any], value: Any) -> tuple[Any, Any, Any, tuple[int, ...], str]:
    """A node as `PageGraph` has it, with the shape and the type of what it gave."""
    shape, dtype = (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else ((), torch.float32)
    named = {key: encode(one, told) for key, one in node.kwargs.items() if key not in MEANINGLESS}
    return node.target, encode([*node.args], told), named, shape, TYPES[dtype]


def encode(argument: Any, told: Mapping[fx.Node, Any]) -> Any:
    """An argument of a node in a form that JSON has: `{"r": k}` for the value of number k."""
    if isinstance(argument, fx.Node):
        return encode(told[argument], told)
    if isinstance(argument, list | tuple):
        return [encode(one, told) for one in argument]
    if isinstance(argument, dict):
        return argument
    if isinstance(argument, float) and not np.isfinite(argument):
        return str(argument)
    if isinstance(argument, torch.dtype):
        return {"t": str(argument).removeprefix("torch.")}
    return plain(argument)


def plain(argument: Any) -> Any:
    """Plain values as they are; memory formats, layouts and devices mean nothing on a page."""
    return argument if argument is None or isinstance(argument, bool | int | float | str) else None
