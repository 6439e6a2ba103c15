"""Diagrams of models and of what they made, for pages that teach: drawn from the live objects, on white paper."""

from vael.report.diagrams.architecture import Box, Side, architecture_figure, plate_figure, stages
from vael.report.diagrams.moments import moments_figure

__all__ = ["Box", "Side", "architecture_figure", "moments_figure", "plate_figure", "stages"]
