"""Draws of several levels: temperatures and single levels drawn anew, where every level is known."""

import pytest
import torch

from oracles import SLOPE, linear_levels
from vael.applications.generation import examples_of, levels_at, levels_of_seeds, moved, redrawn
from vael.errors import StateError


def own(levels):
    """What each of the two levels adds of its own: z_1, and z_2 less its mean given z_1."""
    top, below = (level[0, :, 0] for level in levels)
    return top, below - SLOPE * top


def test_a_temperature_multiplies_the_distance_from_the_mean_given_the_levels_above():
    plain, hot = (levels_at(linear_levels(), 7, temperatures=t, seed=4) for t in ((1.0,), (0.5, 2.0)))
    assert all(level.shape == (1, 7, 1) for level in hot)
    for before, after, factor in zip(own(plain), own(hot), (0.5, 2.0), strict=True):
        torch.testing.assert_close(after, factor * before)
    for before, after in zip(own(plain), own(levels_at(linear_levels(), 7, temperatures=(0.3,), seed=4)), strict=True):
        torch.testing.assert_close(after, 0.3 * before)
    cold = examples_of(linear_levels(), levels_at(linear_levels(), 3, temperatures=(0.0,)), mean=True)
    torch.testing.assert_close(cold, torch.zeros_like(cold))


def test_one_level_is_drawn_anew_and_the_noise_of_the_others_stays():
    rows = redrawn(linear_levels(), 5, seed=2)
    assert len(rows) == 2
    for level, row in enumerate(rows):
        parts = own(row)
        for place, part in enumerate(parts):
            if place == level:
                assert len(set(part.tolist())) == 5
            else:
                torch.testing.assert_close(part, part[:1].expand(5))
        torch.testing.assert_close(torch.stack([p[0] for p in parts]), torch.stack([p[0] for p in own(rows[0])]))


def test_one_latent_of_the_top_level_is_moved_and_all_else_stays_at_its_mean():
    distances = torch.tensor([-3.0, 0.0, 1.5])
    top, below = own(moved(linear_levels(), [0, 0], distances))
    torch.testing.assert_close(top, distances.repeat(2).to(top))  # p(z_1) = N(0, 1)
    torch.testing.assert_close(below, torch.zeros_like(below))


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(StateError, match="3 temperatures for 2 levels"):
        levels_at(linear_levels(), 2, temperatures=(1.0, 1.0, 1.0))
    with pytest.raises(StateError, match="at least 0"):
        levels_at(linear_levels(), 2, temperatures=(-1.0, 1.0))
    with pytest.raises(StateError, match="at least 1"):
        levels_at(linear_levels(), 0)


def test_another_seed_of_one_level_leaves_the_noise_of_the_others():
    first = own(levels_of_seeds(linear_levels(), (3, 4)))
    for level, seeds in enumerate(((5, 4), (3, 5))):
        parts = own(levels_of_seeds(linear_levels(), seeds))
        assert parts[level] != first[level]
        torch.testing.assert_close(parts[1 - level], first[1 - level])
    hot = own(levels_of_seeds(linear_levels(), (3, 4), (0.5, 2.0)))
    for before, after, factor in zip(first, hot, (0.5, 2.0), strict=True):
        torch.testing.assert_close(after, factor * before)
    with pytest.raises(StateError, match=r"3 seeds for 2 levels"):
        levels_of_seeds(linear_levels(), (1, 2, 3))
