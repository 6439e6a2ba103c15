"""A local web page over a finished run: its map of codes, what the decoder makes of any point, and questions to it."""

from vael.explorer.scene import Scene, scene_of
from vael.explorer.serving import serve

__all__ = ["Scene", "scene_of", "serve"]
