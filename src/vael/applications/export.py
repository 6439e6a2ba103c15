"""A trained model as two ONNX graphs, encoder and decoder, that run without Python or PyTorch.

Nothing is drawn inside a graph, so the same input gives the same output; whoever wants a sample of q(z | x) draws it
outside, z = mean + exp(log_scale) * ε with ε ~ N(0, I), or mean + scale_tril ε where latents depend on each other given
x.

An autoencoder's encoder gives its code and its decoder the reconstruction; those of a VQ-VAE give and take codes as
whole numbers, the levels side by side, the coarsest first.

Those of a model of sequences are of windows of the length that it was trained on: the means of q step by step (of
a model that jumps what it believes after each step), `[batch, time, features]`, and every step from its latents; NaN in
x was not seen. A model of windows with one vector of latents is exported as any other.

A conditional model's graphs take c beside x and z: q(z | x, c) and p(x | z, c). `condition.json`, written beside them,
says what the numbers of c stand for.

A model of a table takes and gives its columns as numbers: the code of a level, a number or a day minus the column's
`origin`, NaN in a gap. `columns.json`, written beside the graphs, says for each column which these are.
"""

from __future__ import annotations

import copy
import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vael import files
from vael.applications.export_series import Stepwise, stepwise
from vael.data import Batch
from vael.data.conditioning import AnyCondition
from vael.errors import StateError, SupportError
from vael.models import Codes, CodeVector, CorrelatedGaussianPosterior, Decodes, LatentVector, Model, has, needs
from vael.models.core import Levels
from vael.models.vae import context_of
from vael.process import errors_only, ignoring
from vael.tables.schema import Schema
from vael.tables.schema_file import write_schema

OPSET = 18  # of the standard operators: the newest that the runtimes in wide use all know
TOLERANCE = 1e-4  # largest difference from PyTorch, relative to the largest value (or absolute below 1)
CHECKED = (1, 5)  # sizes of the batches that are compared; the graphs take any


@dataclass(frozen=True)
class Graph:
    """One exported graph. The first axis of every input and output is the batch, of any size."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    error: float  # largest absolute difference from PyTorch, over all outputs


@dataclass(frozen=True)
class Exported:
    """What `export_onnx` wrote, and how far it is from PyTorch."""

    encoder: Graph
    decoder: Graph
    opset: int
    columns: Path | None = None  # what the columns of x are, where the data are a table
    condition: Path | None = None  # what the numbers of c are, where the model has a condition

    def __str__(self) -> str:
        graphs = (self.encoder, self.decoder)
        lines = [
            f"{g.path}: {', '.join(g.inputs)} -> {', '.join(g.outputs)}; max abs error against PyTorch {g.error:.1e}"
            for g in graphs
        ]
        if self.columns is not None:
            lines.append(f"{self.columns}: what the columns of x are, and what their numbers stand for")
        if self.condition is not None:
            lines.append(f"{self.condition}: what the numbers of c stand for")
        return "\n".join([*lines, f"ONNX opset {self.opset}, float32, any batch size, nothing random inside"])


class EncoderGraph(nn.Module):
    """x `[batch, *event]` in the data's units to mean and log σ of q(z | x) = N(mean, diag σ²), each `[batch,
    features]`.

    A posterior with full covariance gives mean and scale_tril, L of N(mean, L Lᵀ), `[batch, features, features]`.
    """

    def __init__(self, model: LatentVector) -> None:
        super().__init__()
        self.posterior = model.posterior

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs."""
        return ("mean", "scale_tril" if isinstance(self.posterior, CorrelatedGaussianPosterior) else "log_scale")

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log σ of q(z | x), or mean and Cholesky factor of a full covariance.

        Errors: `StateError` for another law.
        """
        q = innermost(self.posterior(x, c))
        if isinstance(q, MultivariateNormal):
            return q.loc, q.scale_tril
        if not isinstance(q, Normal):
            raise StateError(f"the posterior is a {type(q).__name__}; only a Gaussian has a mean and a scale to export")
        return q.loc, q.scale.log()


class CodeGraph(nn.Module):
    """x `[batch, *event]` in the data's units to its code: a vector, or whole numbers `[batch, positions]`."""

    def __init__(self, model: Decodes | Stepwise) -> None:
        super().__init__()
        self.model = model
        self.names = ("codes",) if has(model, Codes) else ("mean",) if isinstance(model, Stepwise) else ("code",)

    def forward(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor]:
        batch = Batch(x=x, context=c)
        if has(self.model, Codes):
            return (torch.cat([level[0].flatten(1) for level in self.model.latents(batch)], 1),)
        return (self.model.encode(batch),)


class DecoderGraph(nn.Module):
    """z `[batch, features]` to the mean of p(x | z), `[batch, *event]`, and the parameters of that law by their
    names; of a model without likelihood to the reconstruction alone.

    `grids` are the shapes of the levels of codes `[batch, positions]`; none of a vector, in which several levels of
    latents stand side by side.
    """

    def __init__(self, model: Decodes | Stepwise, grids: Sequence[torch.Size]) -> None:
        super().__init__()
        self.model, self.grids = model, grids

    def law(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        """Of the elements."""
        return self.model.decode(self._levels(z), c)

    def _levels(self, z: Tensor) -> Levels:
        if isinstance(self.model, CodeVector):
            return self.model.in_levels(z[None])
        if isinstance(self.model, Stepwise):
            return (z[None],)
        parts = z.split([grid.numel() for grid in self.grids], 1)
        return tuple(part.unflatten(1, grid)[None] for part, grid in zip(parts, self.grids, strict=True))

    def names(self, z: Tensor, c: Tensor | None = None) -> tuple[str, ...]:
        """Of the outputs."""
        return ("mean", *parameters(self.law(z, c))) if self.model.states_likelihood else ("reconstruction",)

    def forward(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
        law = self.law(z, c)
        own = parameters(law) if self.model.states_likelihood else {}  # before the mean, which adds fields to some laws
        return (law.mean[0], *(value[0] for value in own.values()))


def innermost(law: Distribution) -> Distribution:
    """The law whose cells `Independent` joins."""
    while isinstance(law, Independent):
        law = law.base_dist
    return law


def parameters(law: Distribution) -> dict[str, Tensor]:
    """The tensors that a law was made of, by their names in `arg_constraints`, each with the axes samples and batch."""
    law = innermost(law)
    found = {name: vars(law)[name] for name in law.arg_constraints if isinstance(vars(law).get(name), Tensor)}
    found = {
        name: value for name, value in found.items() if value.numel()
    }  # a table without levels has no log-probabilities of levels
    if not found:
        raise SupportError(
            f"a decoder's graph gives the parameters of every element, but {type(law).__name__} joins the elements "
            "of an example; train with a likelihood by which they are independent given the latents to export it "
            "(--model dense)"
        )
    axes, batch = max(value.ndim for value in found.values()), tuple(law.batch_shape[:2])

    def whole(value: Tensor) -> Tensor:
        if (
            value.ndim == axes and tuple(value.shape[:2]) == batch
        ):  # an operation that does nothing would cost the output its name
            return value
        return value.reshape((1,) * (axes - value.ndim) + tuple(value.shape)).expand(*batch, *[-1] * (axes - 2))

    return {name: whole(value) for name, value in found.items()}


def export_onnx(
    model: Model,
    event: Sequence[int],
    folder: Path | str,
    schema: Schema | None = None,
    condition: AnyCondition | None = None,
) -> Exported:
    """Write `encoder.onnx` (x -> mean, log_scale) and `decoder.onnx` (z -> mean, parameters of p(x | z)) into `folder`;
    of an autoencoder x -> code and z -> reconstruction, of a VQ-VAE x -> codes and z -> mean, parameters of p(x | c).
    Those of a conditional model take c, `[batch, features]`, as second input.

    Both are run in ONNX Runtime and compared with PyTorch on batches of 1 and 5 before anything is written, with gaps
    where the encoder takes some; the model itself stays where it is and as it is. `schema` is written to
    `columns.json`, `condition` to `condition.json`.

    Errors: `StateError` if the packages for it are not installed, the model cannot be traced, or the graphs do not
    agree with PyTorch.
    """
    features, inside = context_of(model), exportable(model)
    runtime = needed()
    probe = torch.Generator().manual_seed(0)
    with torch.no_grad():
        beside = {"c": torch.randn(max(CHECKED), features, generator=probe)} if features else {}
        empty = Batch(x=torch.zeros(1, *event), context=torch.zeros(1, features) if features else None)
        if isinstance(inside, Codes):
            decode = DecoderGraph(inside, [level.shape[2:] for level in inside.latents(empty)])
            shape = (max(CHECKED), sum(grid.numel() for grid in decode.grids))
            latents = torch.randint(0, min(inside.sizes), shape, generator=probe)
        else:
            decode = DecoderGraph(inside, ())
            latents = torch.randn(max(CHECKED), *inside.encode(empty).shape[1:], generator=probe)
        # in the data's units, without any data at hand
        example = _with_gaps(decode.law(latents, *beside.values()).mean[0], inside)
        encode = EncoderGraph(inside) if isinstance(inside, LatentVector) else CodeGraph(inside)
        encode(example, *beside.values())  # a posterior without such outputs is refused before anything takes long
        graphs = (
            traced(encode, {"x": example, **beside}, encode.names),
            traced(decode, {"z": latents, **beside}, decode.names(latents, *beside.values())),
        )
    encoder, decoder = (compared(runtime, graph, Path(folder)) for graph in graphs)
    for graph, record in zip(graphs, (encoder, decoder), strict=True):
        files.write_bytes(record.path, graph.content)
    columns = None
    if schema is not None:
        columns = Path(folder) / "columns.json"
        write_schema(columns, schema)
    told = None if condition is None else Path(folder) / "condition.json"
    if told is not None and condition is not None:
        files.write_bytes(told, (condition.model_dump_json(indent=1) + "\n").encode())
    return Exported(encoder, decoder, OPSET, columns, told)


def exportable(model: Model) -> Decodes | Stepwise:
    """A copy of a model that encodes to vectors, codes or a vector for each step, in float32.

    Errors: `StateError` for another.
    """
    steps = stepwise(copy.deepcopy(model).cpu().float().eval())
    if steps is not None:
        return steps
    what_for = "exporting an encoder and a decoder"
    found = needs(model, Decodes, what_for) if has(model, Codes) else needs(model, CodeVector, what_for)
    return copy.deepcopy(found).cpu().float().eval()


def _with_gaps(x: Tensor, model: Decodes | Stepwise) -> Tensor:
    """The same rows with a gap in another column of each but the first, where the encoder takes gaps."""
    if not (isinstance(model, Stepwise) or (isinstance(model, LatentVector) and model.posterior.sees_gaps)):
        return x
    rows, columns = torch.arange(1, len(x)), torch.arange(len(x) - 1) % x[0].numel()
    return x.flatten(1).index_put((rows, columns), x.new_tensor(math.nan)).reshape(x.shape)


def needed() -> ModuleType:
    """ONNX Runtime, once everything that exporting takes is known to be there."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise StateError(
            f"exporting needs packages that are not installed ({', '.join(missing)}): pip install 'vael[onnx]'"
        )
    return importlib.import_module("onnxruntime")


@dataclass(frozen=True)
class TracedGraph:
    """A graph in memory, with what it was traced from."""

    module: nn.Module
    content: bytes
    inputs: Mapping[str, Shaped[Tensor, "batch ..."]]  # each by its name, as it was traced with
    outputs: tuple[str, ...]

    @property
    def file(self) -> str:
        """What it is called in a folder."""
        return "encoder.onnx" if "x" in self.inputs else "decoder.onnx"


@contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's notices about packages that it could export too and about its own internals."""
    with errors_only("torch.onnx"), errors_only("onnxscript"), ignoring():
        yield


def traced(module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...]) -> TracedGraph:
    """`module` as a graph whose batch may be of any size."""
    size = torch.export.Dim("batch", min=1)
    try:
        with quiet():
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamic_shapes=tuple({0: size} for _ in inputs),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise StateError(
            f"the model has an operation that ONNX opset {OPSET} does not have, or a branch that depends on data: "
            f"{error}"
        ) from error
    if program is None:  # only where no program was asked for
        raise StateError("this version of PyTorch gave no ONNX program; use one that the constraints of vael name")
    return TracedGraph(module, program.model_proto.SerializeToString(), inputs, outputs)


def compared(runtime: ModuleType, graph: TracedGraph, folder: Path) -> Graph:
    """The record of a graph that gives what PyTorch gives. Errors: `StateError` if it does not."""
    session = runtime.InferenceSession(graph.content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for size in CHECKED:
        inputs = {name: example[:size] for name, example in graph.inputs.items()}
        with torch.no_grad():
            expected = graph.module(*inputs.values())
        given = session.run(list(graph.outputs), {name: example.numpy() for name, example in inputs.items()})
        for name, here, there in zip(graph.outputs, expected, map(torch.from_numpy, given), strict=True):
            error = float((here - there).abs().max()) if here.shape == there.shape else float("inf")
            worst = max(worst, error)
            if not error <= TOLERANCE * max(1.0, float(here.abs().max())):
                raise StateError(
                    f"{graph.file} does not agree with PyTorch: {name} {tuple(there.shape)} differs by up to "
                    f"{error:.1e} on a batch of {size} "
                    f"(expected {tuple(here.shape)}, at most {TOLERANCE:g} relative); nothing was written; other "
                    "versions of onnx may export it"
                )
    return Graph(folder / graph.file, tuple(graph.inputs), graph.outputs, worst)
