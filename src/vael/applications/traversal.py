"""Moving through the latent space: paths, what the decoder makes of them, and films of it as GIF or as one page to
step through.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from PIL import Image
from torch import Tensor

from vael import files
from vael.applications.generation import mean_rows
from vael.errors import ShapeError, StateError
from vael.models import CodeVector, Model, needs

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px system-ui,sans-serif;margin:1.5rem;text-align:center}}img{{max-width:100%}}</style></head>
<body>{player}</body></html>
"""
PLAYER = """<div id="{name}"><div><img alt="frame" style="image-rendering:pixelated"></div>
<div><button type="button">pause</button> <input type="range" min="0" max="{last}" value="0" style="width:16rem;vertical-align:middle">
<output>1 of {count}</output></div>
<script>(function(){{
const box=document.getElementById("{name}"),frames={frames},image=box.querySelector("img"),slider=box.querySelector("input");
const button=box.querySelector("button"),output=box.querySelector("output");let at=0,timer=null;
function show(k){{at=k;image.src="data:image/png;base64,"+frames[k];slider.value=k;output.textContent=(k+1)+" of "+frames.length;}}
function play(){{timer=setInterval(()=>show((at+1)%frames.length),{delay});button.textContent="pause";}}
function pause(){{clearInterval(timer);timer=null;button.textContent="play";}}
button.onclick=()=>timer===null?play():pause();slider.oninput=()=>{{pause();show(Number(slider.value));}};show(0);play();
}})();</script></div>"""


def linear_path(points: Float[Tensor, "points features"], steps: int) -> Float[Tensor, "frames features"]:
    """From each latent to the next along a straight line, `steps` frames a piece, the last point included.

    Errors: `StateError`, `ShapeError`.
    """
    share = _shares(points, steps)
    pieces = [a + share * (b - a) for a, b in pairwise(points)]
    return torch.cat([*pieces, points[-1:]])


def spherical_path(points: Float[Tensor, "points features"], steps: int) -> Float[Tensor, "frames features"]:
    """As `linear_path` along great circles (Shoemake 1985), lengths changing evenly: it stays where N(0, I) has its
    mass in many dimensions.

    A piece between parallel latents is straight. Errors: `StateError`, `ShapeError`.
    """
    share = _shares(points, steps)
    return torch.cat([*(_arc(a, b, share) for a, b in pairwise(points)), points[-1:]])


def _arc(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    lengths = a.norm(), b.norm()
    angle = (
        torch.arccos(((a @ b) / (lengths[0] * lengths[1])).clamp(-1, 1))
        if lengths[0] > 0 and lengths[1] > 0
        else torch.zeros(())
    )
    if angle < 1e-4 or angle > math.pi - 1e-4:
        return a + share * (b - a)
    unit = (torch.sin((1 - share) * angle) * a / lengths[0] + torch.sin(share * angle) * b / lengths[1]) / torch.sin(
        angle
    )
    return unit * (lengths[0] + share * (lengths[1] - lengths[0]))


def round_trip(
    stations: Float[Tensor, "points examples features"], steps: int
) -> Float[Tensor, "frames examples features"]:
    """From each latent of every example to its next and back to the first, `steps` frames a piece along great circles.

    Along such an arc the length of z changes evenly, so draws from N(0, I) stay where it has its mass. Errors:
    `StateError`, `ShapeError`.
    """
    paths = [spherical_path(torch.cat((points, points[:1])), steps)[:-1] for points in stations.unbind(1)]
    return torch.stack(paths, dim=1)


def circle_path(frames: int, radius: float = 1.5, features: int = 2) -> Float[Tensor, "frames features"]:
    """Once around the origin in the plane of the first two latents, the others at 0.

    Errors: `StateError`, `ShapeError`.
    """
    if frames < 2 or features < 2 or not 0 < radius < math.inf:
        raise StateError(
            f"{frames} frames of radius {radius} in {features} latents: expected at least 2 frames and latents and a "
            "radius above 0"
        )
    angle = 2 * math.pi * torch.arange(frames) / frames
    path = torch.zeros(frames, features)
    path[:, 0], path[:, 1] = radius * angle.cos(), radius * angle.sin()
    return path


def along(
    start: Float[Tensor, " features"], direction: Float[Tensor, " features"], reach: float, frames: int
) -> Float[Tensor, "frames features"]:
    """Start + t × direction / |direction| for t from -reach to reach.

    Errors: `StateError` for a direction of length 0.
    """
    length = direction.norm()
    if not length > 0 or frames < 2:
        raise StateError(
            f"a direction of length {float(length):g} and {frames} frames: expected a direction that points somewhere "
            "and at least 2 frames"
        )
    return start + torch.linspace(-reach, reach, frames, dtype=start.dtype)[:, None] * direction / length


def _shares(points: Tensor, steps: int) -> Float[Tensor, "steps 1"]:
    """How far each frame of a piece is along it."""
    if points.shape[0] < 2 or steps < 1:
        raise StateError(
            f"{points.shape[0]} points with {steps} steps between: expected at least two points and one step"
        )
    return torch.arange(steps, dtype=points.dtype, device=points.device)[:, None] / steps


@torch.no_grad()
def decoded(model: Model, path: Float[Tensor, "frames features"]) -> Float[Tensor, "frames *event"]:
    """The mean of p(x | z) at every latent of a path, or x̂ of a code. Errors: `StateError` for a model without either."""
    model = needs(model, CodeVector, "moving through the latents")
    return torch.cat([mean_rows(model, part) for part in path.split(256)])


def pictures(
    frames: Shaped[Tensor, "frames channels height width"], *, low: float = 0.0, high: float = 1.0, enlarge: int = 6
) -> list[Image.Image]:
    """Frames as images, `low` black and `high` white, cells enlarged by a whole factor.

    Errors: `ShapeError` for other than 1 or 3 channels.
    """
    if frames.dim() != 4 or frames.shape[1] not in (1, 3):
        raise ShapeError(f"frames of shape {tuple(frames.shape)}: expected [frames, 1 or 3 channels, height, width]")
    scaled = (
        ((frames.detach().cpu().double() - low) / (high - low))
        .nan_to_num(0.0)
        .clamp(0, 1)
        .mul(255)
        .round()
        .to(torch.uint8)
    )
    arrays = scaled.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(np.ascontiguousarray(one.repeat(enlarge, 0).repeat(enlarge, 1))) for one in arrays]


def write_gif(path: Path | str, images: Sequence[Image.Image], seconds_per_frame: float = 0.08) -> Path:
    """An animation that goes on for ever; whole or not at all. Errors: `StateError` for no frames."""
    if not images:
        raise StateError("no frames were given, so there is nothing to animate")
    stream = io.BytesIO()
    first, *others = (image.convert("P", palette=Image.Palette.ADAPTIVE) for image in images)
    first.save(stream, "GIF", save_all=True, append_images=others, duration=round(1000 * seconds_per_frame), loop=0)
    files.write_bytes(Path(path), stream.getvalue())
    return Path(path)


def player(images: Sequence[Image.Image], name: str = "film", seconds_per_frame: float = 0.12) -> str:
    """HTML that plays frames, pauses, and steps through them by a slider; everything is inside and nothing is loaded.

    `name` is the id of the element: another one for each player on a page. Errors: `StateError` for no frames, or a
    name that is no plain word.
    """
    if not images or not name.isidentifier():
        raise StateError(
            f"{len(images)} frames under the name {name!r}: expected at least one frame, and a name of letters and "
            "digits"
        )
    frames = [base64.b64encode(_png(image)).decode() for image in images]
    listed = "[" + ",".join(f'"{frame}"' for frame in frames) + "]"
    return PLAYER.format(
        name=name, last=len(frames) - 1, count=len(frames), frames=listed, delay=round(1000 * seconds_per_frame)
    )


def write_html(path: Path | str, images: Sequence[Image.Image], title: str, seconds_per_frame: float = 0.12) -> Path:
    """`player` as a page of its own; whole or not at all."""
    files.write_bytes(
        Path(path),
        PAGE.format(title=escape(title), player=player(images, seconds_per_frame=seconds_per_frame)).encode(),
    )
    return Path(path)


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
