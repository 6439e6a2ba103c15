"""Frames of a sequence share the moments of all of them together."""

from types import SimpleNamespace

import pytest
import torch

from oracles import generator
from vael.models.sequences.sequence_parts import FrameMoments


@pytest.mark.parametrize("space", [(3,), (1, 2, 2)])
def test_moments_of_a_frame_are_those_of_all_frames_of_all_sequences(space):
    """By the law of total variance: within each time, and of its mean from time to time."""
    x = torch.randn(50, 4, *space, generator=generator(), dtype=torch.float64)
    x = x * torch.arange(1, 5).view(4, *(1,) * len(space)) + torch.randn(4, *space, generator=generator(1)) * 3
    each = SimpleNamespace(mean=x.mean(0), std=x.std(0, correction=0), by_channel=True, minimum=x.min(), maximum=9)
    found = FrameMoments.of(each)
    torch.testing.assert_close(found.mean[0], x.flatten(0, 1).mean(0))
    torch.testing.assert_close(found.std[0], x.flatten(0, 1).std(0, correction=0))
    assert found.mean.shape == found.std.shape == (1, *space)
    assert (found.by_channel, found.minimum, found.maximum) == (True, float(x.min()), 9.0)


def test_of_moments_that_say_no_more_values_are_between_zero_and_one():
    found = FrameMoments.of(SimpleNamespace(mean=torch.zeros(2, 3), std=torch.ones(2, 3)))
    assert (found.by_channel, found.minimum, found.maximum) == (False, 0.0, 1.0)
