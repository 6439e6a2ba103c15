"""The figure of means and variances shows those of both sets, and their difference."""

import numpy as np
import pytest
import torch

from vael.evaluation import frechet_distance
from vael.report.diagrams import moments_figure


def test_points_are_the_moments_and_their_differences():
    generator = torch.Generator().manual_seed(0)
    sampled, test, train = (scale * torch.randn(50, 4, generator=generator) for scale in (2.0, 1.0, 1.0))
    distance = frechet_distance(sampled, test, train, features="numbers")
    mean, variance, mean_gap, variance_gap = moments_figure(distance, "samples").axes
    for axes, gap, moment in ((mean, mean_gap, torch.mean), (variance, variance_gap, torch.var)):
        theirs, ours = (line.get_ydata() for line in axes.get_lines())
        assert np.asarray(theirs) == pytest.approx(moment(test.double(), 0).numpy(), rel=1e-5)
        assert np.asarray(ours) == pytest.approx(moment(sampled.double(), 0).numpy(), rel=1e-5)
        assert gap.get_title(loc="left") == "samples minus test examples"
        assert np.asarray(gap.get_lines()[1].get_ydata()) == pytest.approx(np.asarray(ours) - np.asarray(theirs))
