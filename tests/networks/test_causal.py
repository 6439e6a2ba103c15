"""What a position of a causal window knows: its window, and nothing else."""

import pytest
import torch

from vael.networks import seeded
from vael.networks.causal import CausalPlanes, CausalWindow, framed_by, window_of


def network(reach, kind):
    """The network, and a function of grid and context."""
    with seeded(0):
        if kind == "planes":
            made = CausalPlanes(2, 3, reach=reach, width=6, layers=2).double()
            return made, lambda framed, given: made(framed)
        made = CausalWindow(2, 3, reach=reach, width=6, layers=2, context=2).double()
        return made, made


KINDS = pytest.mark.parametrize("kind", ["convolutions", "planes"])


@KINDS
@pytest.mark.parametrize("reach", [1, 2, 3])
def test_a_position_hangs_on_its_window_and_on_no_other_position(reach, kind):
    (_, found), size = network(reach, kind), (6, 7)
    x, given = (
        torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (1, 2)
    )
    for row, column in [(0, 0), (3, 3), (5, 6), (2, 0)]:
        leaf = x.clone().requires_grad_()
        found(framed_by(reach, leaf), given)[0, :, row, column].sum().backward()
        reached = leaf.grad[0].abs().sum(0) > 0
        rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
        above = (rows < row) & (rows >= row - reach) & ((columns - column).abs() <= reach)
        left = (rows == row) & (columns < column) & (columns >= column - reach)
        assert torch.equal(reached, above | left)


@KINDS
def test_a_position_from_its_window_alone_is_the_same(kind):
    _, found = network(3, kind)
    x = torch.randn(4, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    given, framed = x.flip(-1), framed_by(3, x)
    whole = found(framed, given)
    for row, column in [(0, 0), (0, 5), (4, 0), (2, 3), (4, 5)]:
        one = found(window_of(framed, 3, row, column), given[:, :, row : row + 1, column : column + 1])
        assert torch.allclose(one[:, :, 0, 0], whole[:, :, row, column], rtol=0, atol=1e-13)


def test_planes_are_the_convolutions_of_the_same_weights():
    """Two implementations: the kernels of the convolutions, read at the places of the window."""
    reach = 2
    (planes, _), (window, _) = network(reach, "planes"), network(reach, "convolutions")
    x = torch.randn(3, 2, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = planes.seen.weight.view(6, len(planes.places), 2).movedim(2, 1)
        both = torch.cat([seen, planes.edge.weight[:, None]], 1)  # the plane of ones is the last
        above = reach * (2 * reach + 1)
        window.above.weight.copy_(both[:, :, :above].reshape(window.above.weight.shape))
        window.left.weight.copy_(both[:, :, above:].reshape(window.left.weight.shape))
        window.above.bias.copy_(planes.seen.bias)
        window.given.weight.zero_()
        for one in (window.left.bias, window.given.bias):
            one.zero_()
        for conv, layer in zip([*window.layers, window.last], [*planes.layers, planes.last], strict=True):
            conv.weight.copy_(layer.weight[:, :, None, None])
            conv.bias.copy_(layer.bias)
        framed = framed_by(reach, x)
        assert torch.allclose(planes(framed), window(framed, x), rtol=0, atol=1e-13)
