"""A page that needs no server: the model as graphs, and as many examples as fit, in one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from PIL import Image
from torch import Tensor

from vael.applications import generation
from vael.counting import counted
from vael.data.source import AsFloat, spread
from vael.errors import StateError, SupportError, VaelError
from vael.explorer.bundle import whole_page
from vael.explorer.functions import Functions, Tracing
from vael.explorer.graphs import KeptWeights
from vael.explorer.looks import PictureLooks, RowLooks
from vael.explorer.scene import Scene
from vael.models import Codes, has
from vael.report.gather import looking
from vael.report.grid import to_bytes

MEGABYTE = 1_000_000
USUAL = 15.0  # megabytes of a page where nobody says
SHARE = 0.5  # of the page that weights may take as float32; beyond, large ones are rounded to float16
ACROSS, DOWN = 32, 32  # pictures of a sheet
TRIED = 256  # examples from which the size of one is told
STRANGEST = 24  # examples whose reasons are told, as many as the page shows
DRAWN = 2_000  # examples that the model draws where those of the data stay out
CHECKED = 64  # codes at which rounded weights are compared with those that were trained


@dataclass(frozen=True)
class KeptPage:
    """A page that was made, and what is to be said of it."""

    content: bytes
    examples: int
    of: int  # examples of the split
    drawn: bool  # whether these are draws of the model, and no examples of the data
    half: bool  # whether large weights are rounded to float16
    error: float  # largest difference that this makes to a decoded element, as a share of the range that is shown
    absent: tuple[str, ...]  # views that take Python


def kept_page(scene: Scene, megabytes: float = USUAL, *, without_examples: bool = False) -> KeptPage:
    """The page of a scene in one file of at most so many megabytes (10^6 bytes).

    Errors: `StateError` for a size that holds not even one example, a model that the page cannot run, and, without
    examples, a model that draws none.
    """
    limit = int(megabytes * MEGABYTE)
    functions = Tracing(scene).functions()
    shown = drawn_scene(scene) if without_examples else scene
    weights = KeptWeights()
    functions.told(weights)
    pages = Pages(scene, shown, functions, half=len(weights.content) * 4 / 3 > SHARE * limit)  # as text of base64
    if (alone := len(pages.graphs["weights"])) > limit:  # before examples are scored, which may take minutes
        raise StateError(too_small(alone, "for the weights alone", limit))
    count, content = fitted(pages, limit, len(shown.source))
    return KeptPage(content, count, len(scene.source), without_examples, pages.half, pages.error, tuple(pages.absent))


def fitted(pages: Pages, limit: int, available: int) -> tuple[int, bytes]:
    """As many examples as fit, and the page with them. Errors: `StateError` where not even one does."""
    one, few = pages.content(1), min(available, TRIED)
    if len(one) > limit:
        raise StateError(too_small(len(one), "with a single example", limit))
    each = max((len(pages.content(few)) - len(one)) / max(few - 1, 1), 1.0)
    count = int(min(available, 1 + (limit - len(one)) / each))
    while len(content := pages.content(count)) > limit:
        count = max(1, min(count - 1, int(count * limit / len(content) * 0.98)))
    return count, content


def too_small(least: int, what: str, limit: int) -> str:
    """What is said of a size that does not do; enough is asked for at once."""
    enough = np.ceil(least / MEGABYTE * 10 + 1) / 10
    return (
        f"the page takes {least / MEGABYTE:.2f} MB {what}, and {limit / MEGABYTE:g} MB were given; allow more "
        f"(--size {enough:g} or above)"
    )


def drawn_scene(scene: Scene) -> Scene:
    """The same run with draws of its model where the examples of the data were.

    Errors: `StateError` for a model that draws nothing, and for one that draws at conditions: those are of examples.
    """
    if scene.source.context is not None:
        raise StateError(
            "without examples the page shows draws of the model, but this model draws at conditions, and those that "
            "are known are of examples; keep the examples (no --without-examples), or take a run without a condition"
        )
    x = generation.samples(scene.run.model, DRAWN, seed=0)
    source = replace(
        scene.source, x=x, transform=AsFloat(), rows=None, label=None, keys=None, patches=None, patching=None
    )
    return Scene(scene.run, scene.name, scene.splits, source)


class Pages:
    """Pages of one scene, of more and fewer examples. `shown` has the examples, `scene` those of the data."""

    def __init__(self, scene: Scene, shown: Scene, functions: Functions, *, half: bool) -> None:
        self.scene, self.shown, self.functions, self.half = scene, shown, functions, half
        self.drawn = shown is not scene
        self.surprise: dict[int, Tensor] = {}  # of examples that were explained

    @cached_property
    def graphs(self) -> dict[str, Any]:
        """The functions, and the weights that they share."""
        weights = KeptWeights(self.half)
        told = self.functions.told(weights)
        return {**told, "about": weights.about, "weights": text_of(weights.content)}

    @cached_property
    def error(self) -> float:
        """What rounding moves an element at most, at the codes of examples, as a share of the range that is shown."""
        if not self.half:
            return 0.0
        chosen = spread(len(self.scene.source), CHECKED).tolist()
        codes = torch.tensor([self.scene.code(one) for one in chosen])
        batch, worst, most = self.functions.batch, 0.0, 0.0
        context = self.scene.source.context
        for part in spread(len(codes), max(len(codes) // batch, 1) * batch).split(batch):
            if len(part) < batch:
                continue
            inputs = (codes[part],) if context is None else (codes[part], context[torch.tensor(chosen)[part]].float())
            exact = self.functions.decode(*inputs)
            worst = max(worst, float((self.functions.decode(*inputs, half=True) - exact).abs().nan_to_num(0).max()))
            most = max(most, float(exact.abs().nan_to_num(0).max()))
        looks = self.scene.looks
        return worst / (looks.display.high - looks.display.low if isinstance(looks, PictureLooks) else max(most, 1e-30))

    @cached_property
    def scores(self) -> tuple[list[float], list[float]] | None:
        """Scores of the examples and their p-values, where the model has some; none of draws."""
        try:
            return None if self.drawn else self.shown.strangeness.scores
        except VaelError:
            return None

    def reasons(self, chosen: Sequence[int]) -> dict[str, Any]:
        """What makes the strangest of some examples strange, by their numbers on the page."""
        if self.scores is None or not self.shown.strangeness.explains:
            return {}
        score = self.scores[0]
        order = sorted(range(len(chosen)), key=lambda place: -score[chosen[place]])[:STRANGEST]
        strangeness, wanted = self.shown.strangeness, [chosen[place] for place in order]
        # pages of several sizes are tried, which have many of the strangest in common
        if new := [one for one in wanted if one not in self.surprise]:
            self.surprise.update(zip(new, strangeness.surprise(new), strict=True))
        told = strangeness.of(torch.stack([self.surprise[one] for one in wanted]))
        each = ("reasons", "maps")
        return {
            key: dict(zip(map(str, order), found, strict=True)) if key in each else found for key, found in told.items()
        }

    @property
    def absent(self) -> list[str]:
        """Views of the page over a server that this one has not."""
        has_them, facts = self.functions, self.scene.facts()
        missing = [
            ("draws of p(x | z)", facts["draws"] and has_them.draw is None),
            ("new examples", facts["samples"] and has_them.prior is None),
            ("what if", facts["asks"] and has_them.weigh is None),
            ("draw one", facts["draws_by_hand"] and has_them.encode is None),
            ("strangest examples", self.scores is None and not self.drawn),
        ]
        return [name for name, gone in missing if gone]

    def facts(self, count: int) -> dict[str, Any]:
        """What the page has to know at first, with nothing of this machine."""
        facts, functions, source = self.scene.facts(), self.functions, self.shown.source
        data = self.scene.run.spec.data
        told = (
            f"{counted(count, 'draw')} of the model, none of the data"
            if self.drawn
            else f"{count:,} of the {counted(len(self.scene.source), 'example')} of the {self.scene.name} split"
        )
        return {
            **facts,
            "alone": True,
            "folder": f"runs/{facts['title']}",
            "data": f"{data.name}: {told}",
            "classes": None if source.label is None else facts["classes"],
            "draws": functions.draw is not None,
            "samples": functions.prior is not None and functions.draw is not None,
            "asks": functions.weigh is not None and functions.draw is not None and functions.prior is not None,
            "levelled": facts["levelled"] and functions.prior is not None and set(functions.prior.noise) == {"normal"},
            "exact": functions.joint is not None,
            "draws_by_hand": facts["draws_by_hand"] and functions.encode is not None,
            "judges": self.scores is not None,
            "looks": {**facts["looks"], **shown_as(self.scene)},
        }

    def content(self, count: int) -> bytes:
        """The page with so many examples."""
        index = spread(len(self.shown.source), count)
        data = {
            "run": self.facts(count),
            "map": self.shown.map_facts() | {"examples": count},
            "graphs": self.graphs,
            "examples": self.examples(index),
        }
        notice = "This file works without a connection and asks nobody for anything. " + (
            "What is called an example is a draw of the model." if self.drawn else "It holds examples of the data."
        )
        return whole_page(data, notice)

    def examples(self, index: Int64[Tensor, " chosen"]) -> dict[str, Any]:
        """Examples as the page keeps them: codes, classes, scores, and how they look."""
        shown, source = self.shown, self.shown.source
        chosen = index.tolist()
        found: dict[str, Any] = {
            "coordinates": text_of(
                np.frombuffer(shown.coordinates(), "<f4").reshape(len(source), -1)[chosen].tobytes()
            ),
            "labels": source.label_texts(index),
            "codes": None,
            "context": None if source.context is None else source.context[index].tolist(),
            "scores": None if self.scores is None else [[part[one] for one in chosen] for part in self.scores],
        }
        found["why"] = self.reasons(chosen)
        if has(shown.model, Codes) or shown.mapped.codes.shape[1] > len(shown.map_facts()["order"]):
            codes = np.array([shown.code(one) for one in chosen], "<f4")
            found["codes"] = text_of(codes.tobytes())
        return found | (sheets(shown, index) if shown.pictured else rows(shown, index))


def shown_as(scene: Scene) -> dict[str, Any]:
    """What the page has to know beside, so that it draws an example as Python does."""
    looks = scene.looks
    if isinstance(looks, PictureLooks):
        return {"low": looks.display.low, "high": looks.display.high, "whole": scene.source.highest is not None}
    if isinstance(looks, RowLooks):
        return {"steps": scene.steps}
    return {}


def sheets(scene: Scene, index: Int64[Tensor, " chosen"]) -> dict[str, Any]:
    """Pictures side by side in sheets of `ACROSS` times `DOWN`, as PNG."""
    looks, found = scene.looks, []
    if not isinstance(looks, PictureLooks):
        raise SupportError("examples of this run are no pictures, so there is no sheet of them")
    for part in index.split(ACROSS * DOWN):
        pictures = np.concatenate([to_bytes(batch, looks.display) for batch in batches_of(scene, part)])
        room = np.zeros((-(-len(pictures) // ACROSS) * ACROSS, *pictures.shape[1:]), np.uint8)
        room[: len(pictures)] = pictures
        height, width = pictures.shape[1:3]
        sheet = room.reshape(-1, ACROSS, height, width, 3).swapaxes(1, 2).reshape(-1, ACROSS * width, 3)
        grey = (sheet == sheet[..., :1]).all()
        file = io.BytesIO()
        Image.fromarray(sheet[..., 0] if grey else sheet).save(file, "PNG", optimize=True)
        found.append(base64.b64encode(file.getvalue()).decode())
    return {"sheets": found, "across": ACROSS, "of_sheet": ACROSS * DOWN}


def rows(scene: Scene, index: Int64[Tensor, " chosen"]) -> dict[str, Any]:
    """Rows, series and plain numbers as the page gets them of a server."""
    drawn: dict[str, Any] = {}
    for batch in batches_of(scene, index):
        for key, value in scene.looks.drawn(batch).items():
            drawn[key] = drawn[key] + value if isinstance(value, list) and key in drawn else value
    if scene.steps > 1:
        drawn.pop("texts", None)  # series are drawn as lines
    return {"drawn": drawn}


def batches_of(scene: Scene, index: Int64[Tensor, " chosen"]) -> Sequence[Tensor]:
    """Examples as the model sees them, a few at a time."""
    with scene.lock, looking(scene.model):
        return [batch.x for batch in generation.batches(scene.source.subset(index))]


def text_of(content: bytes) -> str:
    """Bytes in a form that JSON has."""
    return base64.b64encode(content).decode()
