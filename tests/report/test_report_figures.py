"""Names on a latent map can be read or are left to the legend."""

import pytest
import torch

from vael.report.figures import scatter, thin_names
from vael.report.style import new_figure


@pytest.mark.parametrize(
    ("apart", "classes", "left"),
    [(10.0, 3, 3), (0.0, 3, 0), (10.0, 12, 12), (0.0, 12, 1)],
)
def test_names_that_would_hide_each_other_are_left_out(apart, classes, left):
    """With ten classes or fewer a legend has all names, so none stands alone on the map; beyond, what can be read stays."""
    label = torch.arange(classes).repeat(30)
    noise = 0.1 * torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).repeat_interleave(classes, dim=0)
    axes = new_figure(6.0, 5.0).subplots()
    scatter(axes, apart * torch.stack((label.float(), label.float()), dim=1) + noise, label, lambda one: f"automobile {one}")
    assert thin_names(axes) is (left > 0)
    assert sum(text.get_visible() for text in axes.texts) == left
