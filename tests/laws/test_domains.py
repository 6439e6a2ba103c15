"""Every kind of data: told apart from the others, read, its recommended model trained, judged, reported and, where it
can be, coded without loss.

One row in `KINDS` puts a kind of data through all of them.
"""

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

import vael
from vael import domains
from vael.data import Kind, Source
from vael.data.cells import fingerprint
from vael.domains import Domain, Reading
from vael.domains.image import ImageDomain
from vael.domains.reading import set_aside
from vael.domains.recommendation import Choice, chosen, likelihood
from vael.domains.sequence import SequenceDomain
from vael.domains.table import TableDomain
from vael.errors import StateError, SupportError
from vael.evaluation import evaluate
from vael.networks.parts import DensePart
from vael.parts import trusting
from vael.report import ReportInput, write
from vael.specs import archives, examples_of, pieces, read_spec


class Marks(Domain):
    """A person's own: lines of so many marks, a file that ends in .marks."""

    def reads(self, how):
        return how.source.endswith(".marks")

    def read(self, how):
        x = np.array([[float(one) for one in line.split()] for line in Path(how.source).read_text().splitlines()])
        x = x.astype(np.float32)
        return set_aside(Source(Path(how.source).name, torch.from_numpy(x), Kind.REAL, fingerprint(x)), how)

    def recommend(self, source):
        part, because = likelihood(source, source.event[0])
        choice = Choice("dense", DensePart(hidden=(8,)), {"latent": 2}, "Network: small.")
        return chosen(choice, part, (f"Data: {len(source)} lines.", because, choice.reason))

    def example(self, source):
        return f"a line of {source.event[0]} marks"


def drawn(rows, columns):
    return np.random.default_rng(0).normal(size=(rows, columns))


def grey(folder):
    ramp = np.linspace(0, 12, 36).reshape(6, 6)
    np.save(folder / "data.npy", (ramp + np.random.default_rng(0).integers(0, 4, (40, 1, 6, 6))).astype(np.uint8))
    return folder / "data.npy"


def colour(folder):
    np.save(folder / "data.npy", np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8)).astype(np.uint8))
    return folder / "data.npy"


def numbers(folder):
    np.savetxt(folder / "data.csv", drawn(40, 3), delimiter=",", header="a,b,c", comments="", fmt="%.3f")
    return folder / "data.csv"


def columns(folder):
    made = np.random.default_rng(0)
    lines = [f"{made.choice(['oak', 'ash'])},{made.normal():.2f},{made.integers(6)}" for _ in range(40)]
    (folder / "data.csv").write_text("\n".join(["kind,height,nests", *lines, ",1.00,2"]) + "\n")
    return folder / "data.csv"


def series(folder):
    steps = np.column_stack([np.arange(240), np.cumsum(drawn(240, 2), 0)])
    np.savetxt(folder / "data.csv", steps, delimiter=",", header="time,wind,sun", comments="", fmt="%.3f")
    return folder / "data.csv"


def bits(folder):
    np.save(folder / "data.npy", np.random.default_rng(0).integers(0, 2, (40, 6, 2)).astype(np.uint8))
    return folder / "data.npy"


def marks(folder):
    (folder / "data.marks").write_text("\n".join(" ".join(f"{one:.3f}" for one in row) for row in drawn(40, 4)))
    return folder / "data.marks"


@dataclass(frozen=True)
class Member:
    """Tiny data of one kind: how they are written, what else is said when they are read, and what must come out."""

    make: Callable[[Path], Path]
    kind: type[Domain]
    names: tuple[str, ...]
    coded: bool  # whether it is offered to code them without loss
    examples: int = 40  # rows, images or windows in the file
    given: dict = field(default_factory=dict)
    simplest: str = "independent "  # how what its model must beat is called


KINDS = {
    "grey images": Member(grey, ImageDomain, ("channel 1",), coded=True),
    "colour images": Member(colour, ImageDomain, ("channel 1", "channel 2", "channel 3"), coded=True),
    "numbers": Member(numbers, TableDomain, ("a", "b", "c"), coded=False),
    "columns": Member(columns, TableDomain, ("kind", "height", "nests"), coded=True, examples=41),
    "series": Member(
        series,
        SequenceDomain,
        ("wind", "sun"),
        coded=False,
        given={"sequence": "time", "window": 6},
        simplest="channels by themselves, ",
    ),
    "bits": Member(bits, SequenceDomain, ("channel 1", "channel 2"), coded=False, given={"sequence": True}),
    "marks": Member(marks, Marks, tuple(f"element {place}" for place in (1, 2, 3, 4)), coded=False),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the recommended model on each, trained for two steps once somebody asks."""
    found = {}

    def of(name):
        if name not in found:
            folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
            member = KINDS[name]
            how = {"epochs": 2, "batch": 256, "precision": "float32", "compile": False, "callbacks": ()}
            path = member.make(folder)
            found[name] = vael.train(path, run=folder / "run", **how, **member.given), path
        return found[name]

    return of


@pytest.fixture(params=KINDS)
def one(request, trained):
    """A kind of data, its member of the table, its run, and its file."""
    run, path = trained(request.param)
    return KINDS[request.param], run, path


def test_every_kind_is_in_the_table():
    assert {type(domain) for domain in domains.DOMAINS} <= {member.kind for member in KINDS.values()}


def test_it_is_told_from_others_by_its_data_and_by_run_json(one):
    member, run, _ = one
    again = vael.load(run.folder)
    assert read_spec(run.folder) == run.spec == again.spec
    for data in (run.spec.data, again.split()[1], again.splits().train):
        assert [type(domain) for domain in domains.known() if domain.holds(data)] == [member.kind]


def test_the_recommended_model_was_trained(one):
    _, run, _ = one
    train = run.splits().train
    advice = domains.recommend(run.splits())
    assert (run.spec.recipe, run.spec.model.likelihood_name) == (advice.recipe, advice.likelihood.name)
    assert advice.reasons[0].startswith("Data: ")
    assert all(reason[0].isupper() and reason.endswith(".") for reason in advice.reasons)
    assert max(row.step for row in run.history) == 2
    assert math.isfinite(run.history[-1].elbo)
    assert torch.isfinite(advice.build(train).sample(2, generator=torch.Generator().manual_seed(0))).all()


def test_its_model_is_judged_and_has_something_to_beat(one):
    member, run, _ = one
    found = evaluate(run.model, run.split()[1], importance_samples=5)
    assert math.isfinite(found.log_likelihood)
    record = ReportInput(run.model, run.splits(), view=domains.of(run.spec.data))
    baseline = record.view.baseline(record)
    assert math.isfinite(baseline.log_likelihood)
    assert baseline.what.startswith(member.simplest)


def test_its_elements_have_names(one):
    member, run, _ = one
    assert domains.of(run.spec.data).names(run.splits().train) == member.names


SHOWN_QUICKLY = ("grey images", "columns", "marks")  # the others in `make slow`


@pytest.mark.parametrize(
    "one",
    [pytest.param(kind, marks=() if kind in SHOWN_QUICKLY else pytest.mark.slow) for kind in KINDS],
    indirect=True,
)
def test_its_report_says_what_an_example_is_and_shows_it(one, tmp_path):
    _, run, _ = one
    splits = run.splits()
    view = domains.of(splits.train)
    page = write(tmp_path, ReportInput(run.model, splits, run.history, view=view)).read_text()
    assert html.escape(view.example(splits.train)) in page
    shown = list((tmp_path / "figures").glob("*"))
    assert len(shown) >= 2  # the curves of training, and something that belongs to the data
    assert all(path.stat().st_size for path in shown)
    assert html.escape(view.subject(splits.train).example).split()[0] in {"row", "image", "window", "example"}


def test_all_of_its_examples_are_read_again_in_the_units_of_the_run(one):
    """Other data are read as a run's own were: here all of its own, in the order in which they are stored."""
    member, run, path = one
    parts = [piece.source for piece in pieces(run.spec, str(path))]
    x = torch.cat([part.batch(torch.arange(len(part))).x for part in parts])
    assert x.shape == (member.examples, *run.spec.data.event)
    train = run.splits().train
    first = train.batch(torch.arange(1)).x[0].nan_to_num()
    assert (x.nan_to_num() == first).flatten(1).all(1).sum() == 1
    if not run.spec.data.has_schema:
        whole = examples_of(run.spec, str(path))
        assert torch.equal(whole.batch(torch.arange(len(whole))).x, x)


def test_it_is_coded_without_loss_where_that_is_offered(one, tmp_path):
    member, run, path = one
    if not member.coded:
        with pytest.raises(SupportError, match=r"densities|compressed"):
            archives.compress(run, path, tmp_path / "coded")
        return
    archives.compress(run, path, tmp_path / "coded")
    archives.decompress(run, tmp_path / "coded", tmp_path / f"back{path.suffix}")
    assert (tmp_path / f"back{path.suffix}").read_bytes() == path.read_bytes()


def test_a_kind_that_is_not_of_this_package_is_refused_where_its_module_is_not_known(trained):
    run, _ = trained("marks")
    assert run.spec.data.domain == f"{__name__}:Marks"
    other = run.spec.data.model_copy(update={"domain": "elsewhere:Marks"})
    with pytest.raises(StateError, match="--trust elsewhere"):
        domains.of(other)


def test_a_trusted_module_that_cannot_be_imported_is_one_message(trained):
    run, _ = trained("marks")
    with trusting("no_module_of_this_name"), pytest.raises(StateError, match="no_module_of_this_name"):
        domains.of(run.spec.data)


def test_modules_that_are_trusted_may_bring_kinds_of_data(tmp_path, monkeypatch):
    (tmp_path / "brought.py").write_text(
        "from vael.domains import Domain\n\n\nclass Brought(Domain):\n    def reads(self, how):\n"
        "        return how.source.endswith('.brought')\n\n    def recommend(self, source):\n"
        "        raise ValueError\n\n"
        "    def example(self, source):\n        return 'a thing'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    how = Reading("a.brought", None, False, vael.data.Images())
    try:
        assert type(domains.reading(how)).__name__ == "ImageDomain"
        with trusting("brought"):
            assert domains.reading(how).name == "brought:Brought"
    finally:
        domains.core.OWN.pop("brought:Brought", None)
