"""What a position of a causal window knows: its window, and nothing else."""

import pytest
import torch

from vael.networks import seeded
from vael.networks.causal import CausalWindow


def network(reach, context=2):
    with seeded(0):
        return CausalWindow(2, 3, reach=reach, width=6, layers=2, context=context).double()


@pytest.mark.parametrize("reach", [1, 2, 3])
def test_a_position_hangs_on_its_window_and_on_no_other_position(reach):
    made, size = network(reach), (6, 7)
    x, given = (
        torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (1, 2)
    )
    for row, column in [(0, 0), (3, 3), (5, 6), (2, 0)]:
        leaf = x.clone().requires_grad_()
        made(made.padded(leaf), given)[0, :, row, column].sum().backward()
        reached = leaf.grad[0].abs().sum(0) > 0
        rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
        above = (rows < row) & (rows >= row - reach) & ((columns - column).abs() <= reach)
        left = (rows == row) & (columns < column) & (columns >= column - reach)
        assert torch.equal(reached, above | left)


def test_a_position_from_its_window_alone_is_the_same():
    made = network(3)
    x = torch.randn(4, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    given = x.flip(-1)
    framed = made.padded(x)
    whole = made(framed, given)
    for row, column in [(0, 0), (0, 5), (4, 0), (2, 3), (4, 5)]:
        one = made(made.window(framed, row, column), given[:, :, row : row + 1, column : column + 1])
        assert torch.allclose(one[:, :, 0, 0], whole[:, :, row, column], rtol=0, atol=1e-13)
