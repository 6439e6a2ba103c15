"""The order of examples: one set of global batches, however many processes share them."""

import pytest
import torch

from vael.training import Order
from vael.training.order import mixed


@pytest.mark.parametrize("size", [1, 2, 4])
def test_global_batches_are_the_same_at_any_world_size(size):
    alone = Order(examples=103, batch=16, seed=7)
    together = [Order(103, 16, 7, rank, size) for rank in range(size)]
    for step in range(2 * alone.steps_per_epoch):
        shares = [order.share(step) for order in together]
        rows = torch.stack([share.index for share in shares], dim=1).flatten()
        assert rows.equal(alone.share(step).index)
        assert {share.real for share in shares} == {alone.share(step).real}
        counted = sum(float(len(share.index) if share.weight is None else share.weight.sum()) for share in shares)
        assert counted == alone.share(step).real


def test_an_epoch_has_every_example_once_and_one_shape_of_batch():
    order = Order(examples=103, batch=16, seed=0)
    shares = [order.share(step) for step in range(order.steps_per_epoch)]
    assert {len(share.index) for share in shares} == {16}
    real = [share.index if share.weight is None else share.index[share.weight > 0] for share in shares]
    assert torch.cat(real).sort().values.equal(torch.arange(103))


def test_a_share_does_not_depend_on_what_was_asked_before():
    order, again = Order(50, 8, 3), Order(50, 8, 3)
    wanted = [order.share(step).index for step in range(20)]
    assert all(again.share(step).index.equal(wanted[step]) for step in (19, 3, 11, 0))


def test_noise_seeds_differ_by_seed_step_and_rank():
    seeds = {
        Order(10, 4, seed, rank, 2).noise_seed(step) for seed in range(5) for rank in range(2) for step in range(50)
    }
    assert len(seeds) == 500
    assert mixed(1, 2) != mixed(2, 1)
    assert mixed(0) != mixed(0, 0)


def test_seeds_are_those_of_every_version():
    """A run that is resumed takes its noise and its order where it left off, so these numbers stay what they are;
    each is below 2^63.
    """
    assert [mixed(), mixed(0), mixed(5, 1, 2), mixed(2**63, 7)] == [
        5700357409661599242,
        7795324965117060851,
        636385203555129029,
        1152300956499329864,
    ]
    assert max(mixed(seed) for seed in range(1000)).bit_length() == 63


def test_a_seed_changes_half_of_its_bits_when_any_bit_of_a_number_does():
    """62 single bits of either number, 63 bits of a seed each: on average 31.5 +- 0.36; asked for is 31.5 +- 2."""
    changed = [(mixed(5 ^ (1 << bit), 9) ^ mixed(5, 9)).bit_count() for bit in range(62)]
    changed += [(mixed(5, 9 ^ (1 << bit)) ^ mixed(5, 9)).bit_count() for bit in range(62)]
    assert abs(sum(changed) / len(changed) - 31.5) < 2
    assert min(changed) > 12
