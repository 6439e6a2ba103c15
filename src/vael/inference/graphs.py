"""From a function of tensors to one compiled graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch._inductor import compile as compile_graph
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from vael.process import ignoring

Tensors = Sequence[Tensor]
HOW = {  # a step calls thirty small kernels: from C++ instead of Python, and without checks of what cannot change
    "cpp_wrapper": True,
    "size_asserts": False,
}


def compiled(function: Callable[..., Tensors], inputs: Tensors) -> Callable[..., Tensors]:
    """`function` of tensors alone, compiled for the shapes of `inputs`.

    Nothing is checked when it is called: give it tensors of these shapes, types and strides, with gradients switched
    off. What `function` reads besides its inputs is fixed now.
    """
    with torch.no_grad(), ignoring(FutureWarning):  # the compiler's own, about itself
        on_processor = all(tensor.device.type == "cpu" for tensor in inputs)
        return compile_graph(captured(function, inputs), list(inputs), options=HOW if on_processor else None)


def captured(function: Callable[..., Tensors], inputs: Tensors) -> GraphModule:
    """The operations of `function`, gradients among them, as a graph; nothing is computed.

    Gradients by `torch.autograd.grad`, not by `torch.func.grad`: in bf16 the latter transposes the gradient of a
    layer's weights, casts it and transposes it back, so that the compiler reads it against the grain, number by
    number, which takes longer than the matrix product that made it.
    """
    # no numbers but those of tensors that the function holds itself, such as a model's buffers
    return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
