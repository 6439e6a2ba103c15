"""A run as other people get it: its files without a path of this machine and without an example, and a model card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vael import domains, files
from vael.data.conditioning.conditions import FileCondition
from vael.data.conditioning.labels import FileLabels
from vael.errors import StateError
from vael.specs.runs import WEIGHTS, Run, load
from vael.specs.spec import FILE, RunSpec, write_spec
from vael.stored import present, read_bytes
from vael.training.history import METRICS
from vael.visible import visible

CARD, REPORT, FIGURES = "README.md", "report.html", "figures"
SHARED = (FILE, WEIGHTS, METRICS, CARD)  # what is taken from a hub, and nothing else


def without_paths(spec: RunSpec) -> RunSpec:
    """The spec with names of files in place of their paths on this machine."""
    data = spec.data
    found: dict[str, object] = {"source": Path(data.source).name}
    if isinstance(data.condition, FileCondition):
        found["condition"] = data.condition.model_copy(update={"file": Path(data.condition.file).name})
    if isinstance(data.labelling, FileLabels):
        found["labelling"] = data.labelling.model_copy(update={"file": Path(data.labelling.file).name})
    return spec.model_copy(update={"data": data.model_copy(update=found)})


def fill_shared(run: Run, place: Path, card: str, *, figures: bool = False) -> None:
    """Write what is shared of a run into a folder: `run.json` without paths, weights, curves and the card.

    With `figures` report.html and the figures too, which show examples. Errors: `StateError` where they are asked for
    and there is no report, `FormatError` where a link stands for one of these: it can lead to any file of yours.
    """
    write_spec(place, without_paths(run.spec))
    for name in (WEIGHTS, METRICS):
        if present(run.inside(name)):
            files.write_bytes(place / name, read_bytes(run.inside(name)))
    files.write_bytes(place / CARD, card.encode())
    if not figures:
        return
    if not present(run.inside(REPORT)):
        raise StateError(f"{run.folder} has no {REPORT}; write it first (`vael report`), or leave the figures out")
    files.make_folder(place / FIGURES)
    for path in (run.inside(REPORT), *sorted(run.inside(FIGURES).glob("*"))):
        files.refuse_links(path)
        files.write_bytes(place / path.relative_to(run.inside()), read_bytes(path))


def take_shared(found: Path, place: Path) -> None:
    """Copy what is shared of a run, out of a folder that somebody else filled, into a new one, if it is a run.

    Errors: those of `vael.load` for a folder that is none; nothing is there then.
    """
    with files.new_folder(place) as new:
        for name in SHARED:
            if present(found / name):
                files.write_bytes(new / name, read_bytes(found / name))
        load(new)


def model_card(run: Run, name: str, judged: Sequence[str], use: Sequence[str] = (), *, figures: bool = False) -> str:
    """README.md of a shared run: what it is, its numbers as they were `judged`, the commands by which to `use` it."""
    return "\n".join(_card(run, name, judged, use, figures)) + "\n"


def _card(run: Run, name: str, judged: Sequence[str], use: Sequence[str], figures: bool) -> Iterator[str]:
    spec, data = run.spec, run.spec.data
    yield from ("---", "library_name: vael", "tags:", "- vael", "- variational-autoencoder", "---", "")
    yield f"# {name.rpartition('/')[2]}"
    yield ""
    yield f"`{spec.recipe}` ({spec.model.likelihood_name}, {spec.parameters:,} parameters), trained by vael on "
    yield f"`{plain(data.name)}`: {plain(domains.of(data).told(data))}."
    sizes = {"training": data.train, "validation": data.held_out, "test": data.test}
    told = ", ".join(f"{one.examples:,} {part}" for part, one in sizes.items() if one is not None)
    yield f"Examples: {told}. Seed {spec.training.seed}."
    yield from ("", "## Numbers", "")
    yield from ("```text", *(plain(line) for line in judged), "```") if judged else (at_the_end(run),)
    if use:
        yield from ("", "## Use", "", "```text", *use, "```")
    yield ""
    yield "The report shows examples of the data." if figures else "No example of the data is here."
    yield "`run.json` has the names of the columns with their levels and ranges, and weights may hold what a model"
    yield "overfits. Scores need the data of the run."


def at_the_end(run: Run) -> str:
    """How the run stood at its last validation, where it was not judged."""
    last = next((row for row in reversed(run.history) if row.split != "train"), None)
    said = "no validation is known" if last is None else f"validation {last.called} {last.elbo:.2f} nats per example"
    return f"At the end of training: {said}. The test split was not judged, because the data were not at hand."


def plain(text: str) -> str:
    """A text that ends no block of the card."""
    return visible(text).replace("`", "'")
