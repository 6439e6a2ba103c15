"""What is compiled computes what was asked for, by no detour."""

import pytest
import torch
from torch import Tensor, nn

from vael.inference.graphs import captured


def gradients(*tensors: Tensor) -> list[Tensor]:
    """Of a sum of squares of two layers in bf16, with respect to weights and biases."""
    x, *leaves = tensors
    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        weight, bias, back, offset = (leaf.detach().requires_grad_() for leaf in leaves)
        hidden = nn.functional.linear(x, weight, bias).relu()
        loss = nn.functional.linear(hidden, back, offset).float().square().sum()
    return [loss.detach(), *torch.autograd.grad(loss, (weight, bias, back, offset))]


@pytest.fixture
def inputs() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=generator) for shape in ((5, 7), (4, 7), (4,), (3, 4), (3,))]


def test_a_captured_graph_gives_the_gradients_of_the_function_bit_for_bit(inputs):
    wanted = gradients(*inputs)
    found = captured(gradients, inputs)(*inputs)
    for here, there in zip(found, wanted, strict=True):
        assert here.dtype == there.dtype
        assert torch.equal(here, there)


def test_no_gradient_of_weights_is_read_against_the_grain(inputs):
    _, *found = captured(gradients, inputs).graph.output_node().args[0]
    for gradient in found:
        assert gradient.target is torch.ops.aten._to_copy.default
        before = gradient.args[0].meta["val"]  # what the cast reads
        assert before.dtype is torch.bfloat16
        assert before.is_contiguous()


def test_what_is_captured_does_not_depend_on_the_numbers_it_was_captured_with(inputs):
    graph = captured(gradients, inputs)
    others = [tensor * -2 for tensor in inputs]
    for here, there in zip(graph(*others), gradients(*others), strict=True):
        assert torch.equal(here, there)
