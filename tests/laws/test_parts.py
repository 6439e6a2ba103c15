"""Laws of every part of every family: from JSON to a part, to an object, and back; what does not fit is refused in
words; nothing that stands in a run.json imports or allocates anything by itself. A new part is among them by itself.
"""

import json
import math
import resource
import sys
from dataclasses import replace
from typing import get_args

import pytest
import torch
from pydantic import ValidationError

import vael
from vael import specs
from vael.cli import main
from vael.data import Kind, Source
from vael.data.facts import Facts
from vael.errors import FormatError, SettingError, StateError, SupportError, VaelError
from vael.inference.algorithm import World
from vael.models import CodeGrid, GaussianPosterior
from vael.models.families import ModelPart, PriorPart
from vael.models.likelihoods.parts import ColumnsPart
from vael.networks import Dense
from vael.parts import Part, as_json, kind_of, members, read, trusting
from vael.probability import as_noise
from vael.specs.leaves import leaves, with_leaf
from vael.specs.sizes import hollow


def families(above=Part):
    """Every family of parts."""
    for one in above.__subclasses__():
        if "family" in vars(one) and one.__module__.startswith("vael."):
            yield one
        yield from families(one)


FAMILIES = {family.family: family for family in families()}
PARTS = {f"{name} {kind}": (family, kind) for name, family in FAMILIES.items() for kind in members(family)}
EACH = pytest.mark.parametrize(("family", "kind"), PARTS.values(), ids=PARTS)


def test_the_families_are_found():
    assert {"prior", "posterior", "likelihood", "network", "model", "objective", "optimizer", "algorithm"} <= set(
        FAMILIES
    )
    assert len(PARTS) > 50
    for family in FAMILIES.values():  # other tests add parts of their own
        own = {kind: part for kind, part in members(family).items() if part.__module__.startswith("vael.")}
        assert own
        assert {kind: (kind_of(part), bool(part.__doc__)) for kind, part in own.items()} == {
            kind: (kind, True) for kind in own
        }


def back(family, part):
    return read(family, json.loads(as_json(part)))


@EACH
def test_json_to_a_part_to_json(family, kind):
    part = members(family)[kind]()
    assert back(family, part) == part
    assert as_json(back(family, part)) == as_json(part)
    assert read(family, kind.upper().replace("-", "_")) == part  # by its name alone
    assert json.loads(as_json(part))["kind"] == kind


def words(annotation):
    """Everything that stands in the literals of an annotation."""
    found = [one for one in get_args(annotation) if isinstance(one, str)]
    return found + [word for inner in get_args(annotation) for word in words(inner)]


def candidates(family, name, part):
    """Values that a leaf may take."""
    yield from words(type(part).model_fields[name].annotation)
    yield from (True, False, 1, 2, 3, 0.25, 0.75, [5], [0.1, 0.2], {"a": 0.5})
    yield from (one for other in FAMILIES.values() for kind in members(other) for one in (kind, [kind]))


def accepted(part, name, value):
    """The part with another value of a leaf, or None where that is refused, in words that name the leaf."""
    try:
        return with_leaf(part, name, value)
    except StateError as error:
        said = str(error)
    assert name.replace("_", "-") in said or name in said
    assert said.endswith("choose another value")
    return None


def own_leaves(part):
    return [name for name in type(part).model_fields if name != "kind"]


@EACH
def test_every_leaf_matters(family, kind):
    """Some other value is taken, changes what is written, and comes back; something that is none is refused."""
    part = members(family)[kind]()
    for name in own_leaves(part):
        taken = [accepted(part, name, value) for value in candidates(family, name, part)]
        changed = [one for one in taken if one is not None and one != part]
        assert changed, name
        for one in changed:
            assert as_json(one) != as_json(part)
            assert back(family, one) == one
        assert accepted(part, name, {"no": "such"}) is None, name
        assert accepted(part, name, "no-such-word") is None, name


@EACH
def test_values_out_of_range_are_refused(family, kind):
    """No infinite number, and of whatever is counted nothing negative and nothing beyond 2⁴⁰."""
    part = members(family)[kind]()
    for name in own_leaves(part):
        for wrong in (math.inf, math.nan, -math.inf, [math.nan], [[1]]):
            assert accepted(part, name, wrong) is None, (name, wrong)
        whole = accepted(part, name, 3), accepted(part, name, 2.5)
        if whole[0] is not None and whole[1] is None:
            assert accepted(part, name, -1) is None, name
            assert accepted(part, name, 2**41) is None, name


@EACH
def test_slips_are_told_with_the_nearest(family, kind):
    part = members(family)[kind]()
    with pytest.raises(ValueError, match=f"no {family.family} is called .*; did you mean {kind}\\? there are "):
        read(family, "x" + kind)
    for name in own_leaves(part):
        with pytest.raises(StateError, match=f"{family.family} {kind} has no {name}x; did you mean {name}\\? it has "):
            with_leaf(part, f"{name}x", 1)
        with pytest.raises(ValidationError, match=f"{name}x"):
            read(family, {"kind": kind, f"{name}x": 1})
    for nothing in (None, 3, [], {}, {"kind": 3}, {"kind": None}):
        with pytest.raises(ValueError, match="is an object with a kind"):
            read(family, nothing)


@EACH
def test_a_value_that_cannot_be_is_refused_in_one_way_from_python(family, kind):
    """The same class of errors, with the leaf and the part in its message, whatever the value."""
    part = members(family)[kind]
    wrong = [name for name in own_leaves(part()) for value in (-3.5, (0,), "x?", 2**50) if slipped(part, name, value)]
    with pytest.raises(SettingError, match=f"{part.__name__} cannot have nothing_of_it"):
        part(nothing_of_it=1)
    assert wrong or not own_leaves(part())


def slipped(part, name, value):
    """Whether a value is refused, which is held to be said well."""
    said = None
    try:
        part(**{name: value})
    except SettingError as error:
        said = str(error)
    assert said is None or (said.startswith(f"{part.__name__} cannot have ") and "pydantic" not in said)
    return said is not None


# from a part to its object


class Known:
    """Moments of elements between 0 and 1."""

    def __init__(self, event):
        self.mean, self.std, self.maximum, self.sample = torch.full(event, 0.4), torch.full(event, 0.3), 1.0, None


def facts(event, kind, levels=None):
    return Facts("x", event, kind, Known(event), levels=levels, classes=3)


IMAGE, WHOLE = facts((1, 8, 8), Kind.BINARY), facts((1, 8, 8), Kind.INTEGER, 16)
TABLE, SERIES = facts((3,), Kind.REAL), facts((6, 2), Kind.REAL)


def first_that_fits(build, *choices):
    """What is built for the first of some data that it is for."""
    for number, choice in enumerate(choices):
        try:
            return build(choice), choice
        except VaelError:
            if number + 1 == len(choices):
                raise
    raise AssertionError


def build_likelihood(part):
    if isinstance(part, ColumnsPart):
        with pytest.raises(SupportError, match="no schema"):
            part.build(TABLE)
        return
    head, data = first_that_fits(lambda one: part.settled(one).build(one), IMAGE, WHOLE, TABLE)
    channels = head.channels_per_cell * data.event[0]
    left = [name for name in ("levels", "channels") if getattr(part.settled(data), name, "chosen") is None]
    assert left == []  # what follows from the data is written down, so that run.json says it
    law = head(torch.zeros(2, 4, channels, *data.event[1:]))
    assert law.batch_shape[:2] == (2, 4)
    assert part.settled(data).settled(data) == part.settled(data)


def build_model(part):
    _, data = first_that_fits(lambda one: part.settled(one).build(one), IMAGE, TABLE, SERIES)
    assert part.settled(data).settled(data) == part.settled(data)
    assert back(FAMILIES["model"], part.settled(data)) == part.settled(data)


def build_network(part):
    """Of images, or of sequences, where the numbers of an element have an axis of their own."""

    def both(event):
        outputs = (2, *event[1:]) if len(event) == 3 else (2, *event)
        return part.encoder(event, 4), part.decoder(3, outputs, None), outputs

    (encode, decode, outputs), event = first_that_fits(both, (1, 8, 8), (6, 2))
    assert encode(torch.zeros(5, *event)).shape == (5, 4)
    assert decode(torch.zeros(5, 3)).shape == (5, *outputs)


def build_posterior(part):
    q = part.build(Dense((3,), (part.numbers(2),)), 2, sees_gaps=False)(torch.zeros(4, 3), None)
    assert (q.batch_shape, q.event_shape) == ((4,), (part.width(2),))


def build_prior(part):
    context = torch.zeros(2) if part.conditional else None
    data = replace(TABLE, context=0 if context is None else len(context))
    p = part.build(2, data, GaussianPosterior(Dense((3,), (4,))))(context)
    assert (p.batch_shape, p.event_shape) == ((), (part.width(2),))


def build_quantizer(part):
    quantizer = part.build().train()
    z = torch.randn(5, quantizer.features, 3, 2, generator=torch.Generator().manual_seed(0))
    found = quantizer(z, uniform=lambda count: torch.rand(count, generator=torch.Generator().manual_seed(1)))
    assert found.vectors.shape == z.shape
    assert (found.codes.shape, found.commitment.shape) == ((5, 3, 2), (5,))
    assert 0 <= int(found.codes.min()) <= int(found.codes.max()) < quantizer.size


def build_code_prior(part):
    """p(c) over two grids of different sizes: a log-probability for each, and draws that it allows."""
    grids = (CodeGrid(1, 2, 5), CodeGrid(2, 4, 7))
    prior = part.build(grids)
    assert tuple(prior.grids) == grids
    with torch.no_grad():
        drawn = prior.draw_codes(3, as_noise(torch.Generator().manual_seed(0)))
        log_p = prior.log_codes(drawn)
    assert [tuple(level.shape) for level in drawn] == [(3, 1, 2), (3, 2, 4)]
    assert all(0 <= int(c.min()) <= int(c.max()) < grid.size for c, grid in zip(drawn, grids, strict=True))
    assert log_p.shape == (2, 3)
    assert (log_p < 0).all()
    assert part.learned == any(True for _ in getattr(prior, "parameters", list)())


def build_algorithm(part):
    """On the first model that it is for: it begins, and says whether what it climbs is a bound."""
    rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    source = Source("rows", rows, Kind.REAL, "f")
    models = [members(ModelPart)[name]() for name in ("vae", "gaussian-mixture", "bayesian-mixture")]

    def begun(choice):
        model = choice.settled(TABLE).build(TABLE)
        algorithm = part.build(model, source)
        return algorithm, algorithm.init(source, World())

    (algorithm, state), _ = first_that_fits(begun, *models)
    assert isinstance(algorithm.is_bound, bool)
    assert algorithm.weights(state)


BUILD = {
    "likelihood": build_likelihood,
    "model": build_model,
    "network": build_network,
    "posterior": build_posterior,
    "prior": build_prior,
    "density": lambda part: part.build(2),
    "flow": lambda part: part.build(2),
    "algorithm": build_algorithm,
    "ladder": lambda part: part.settled(IMAGE.event).build(IMAGE.event, IMAGE.event),
    "quantizer": build_quantizer,
    "code-prior": build_code_prior,
}


@EACH
def test_a_part_builds_its_object(family, kind):
    """Those of other families take nothing but themselves."""
    part = members(family)[kind]()
    BUILD.get(family.family, lambda one: one.build())(part)


# parts that do not fit each other


def refused(match, **options):
    with pytest.raises(StateError, match=match):
        specs.prepare(specs.request("digits", binarize="threshold", latent=2, hidden=(4,), **options))


def test_parts_that_do_not_fit_are_refused_when_the_run_is_prepared():
    """In one message that says what is so, and what would fit."""
    refused(
        "the prior bernoulli is over bits, the posterior gaussian over real", posterior="gaussian", prior="bernoulli"
    )
    bits = {"posterior": "bernoulli", "prior": "bernoulli"}
    refused("no gradient passes through the draws of the posterior bernoulli, .*elbo .*: score-function", **bits)
    refused(
        "no gradient passes .* objective total-correlation .*: score-function", objective="total-correlation", **bits
    )
    refused(
        "one passes through those of the posterior gaussian.*: elbo, ", posterior="gaussian", objective="score-function"
    )
    refused("takes at least 2, but 1 was asked for.*--samples 4", objective="score-function", samples=1, **bits)
    categories = {"posterior": "categorical", "prior": "categorical"}
    refused("no gradient passes through the draws of the posterior categorical, .*: score-function", **categories)
    refused(
        "the prior standard-normal is over real, the posterior categorical over categories", posterior="categorical"
    )
    refused(
        "2 latents of the prior categorical are 6 numbers, of the posterior categorical 20; .*levels",
        set={"model.prior.levels": 3},
        **categories,
    )
    softmax = {"posterior": "gumbel-softmax", "prior": "categorical"}
    for weighing in ("importance-weighted", "sampled-elbo", "sticking-the-landing"):
        refused("weighs the densities of draws, .*gumbel-softmax .*: elbo, ", objective=weighing, **softmax)
    refused("one passes through those of the posterior gumbel-softmax", objective="score-function", **softmax)
    refused("marginals of each latent, .* not known of Flow", objective="total-correlation", posterior="flow")
    refused("closed form for a Gaussian prior .* this one is Flow", objective="mean-discrepancy", prior="flow")
    refused("does not depend on prior.logits and 2 other parameters, ", prior="mixture", objective="reconstruction")
    with pytest.raises(
        StateError, match=r"fit FlowDensity to the codes by expectation-maximization, .*=gradient-ascent"
    ):
        specs.prepare(specs.request("digits", model="autoencoder", set={"model.density": "flow"}))
    with pytest.raises(StateError, match="neither prior nor posterior"):
        specs.prepare(specs.request("digits", model="autoencoder", objective="elbo"))
    with pytest.raises(StateError, match="which this model does not state"):
        specs.prepare(specs.request("digits", model="vq-vae", objective="total-correlation"))


def test_a_prior_and_its_posterior_can_be_changed_together():
    """One of them alone would not fit what was there before."""
    for how in (
        {"prior": "bernoulli", "posterior": "bernoulli"},
        {"set": ("model.prior=bernoulli", "model.posterior=bernoulli")},
        {"prior": "bernoulli", "set": {"model.posterior": "bernoulli"}},
    ):
        asked = specs.request("digits", binarize="threshold", objective="score-function", latent=2, **how)
        assert specs.prepare(asked).spec.model.prior.name == "bernoulli"


@pytest.mark.parametrize("recipe", ["dense", "vq-vae", "denoising", "contractive"])
def test_looking_whether_parts_fit_changes_nothing(recipe):
    """The model that training begins with is the one that its seed draws."""
    prepared = specs.prepare(specs.request("digits", binarize="threshold", model=recipe))
    fresh = specs.preparing.build_model(
        prepared.spec.model, prepared.spec.data, prepared.spec.training.seed, prepared.splits.train
    )
    found = prepared.model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in fresh.state_dict().items())
    assert prepared.model.training


# a run.json that somebody else wrote

OWN = """
import pathlib
from typing import Literal
from vael.models.priors.standard_normal import StandardNormalPart

pathlib.Path({mark!r}).touch()

class Prior(StandardNormalPart):
    "A prior of my own."

    kind: Literal["my-own"] = "my-own"
    spread: float = 1.0
"""
SMALL = {"binarize": "threshold", "latent": 2, "hidden": (4,), "epochs": 1, "batch": 1024, "compile": False}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The name of a module with a prior, and a file that is there once the module was run."""
    name, mark = f"own_{tmp_path.name.replace('-', '_')}", tmp_path / "was-run"
    (tmp_path / f"{name}.py").write_text(OWN.format(mark=str(mark)))
    monkeypatch.syspath_prepend(tmp_path)
    yield name, mark
    sys.modules.pop(name, None)
    for known in vael.parts._members.values():
        for path in [path for path in known if path.startswith(f"{name}:")]:
            del known[path]


def forgotten(name):
    """As in a process that never saw the module."""
    sys.modules.pop(name, None)
    vael.parts._members["prior"].pop(f"{name}:Prior", None)


def test_a_part_by_import_path_runs_only_where_its_module_is_trusted(own, tmp_path, capsys):
    """By options and by run.json: refused without a word of trust, before anything of it is imported."""
    name, mark = own
    asked = {**SMALL, "set": {"model.prior": f"{name}:Prior"}}
    says = f"would import and run the module '{name}'.*--trust {name}"
    with pytest.raises(StateError, match=says):
        vael.train("digits", run=tmp_path / "run", callbacks=(), **asked)
    assert not mark.exists()
    assert name not in sys.modules
    run = vael.train("digits", run=tmp_path / "run", callbacks=(), trust=(name,), **asked)
    assert mark.exists()
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["model"]["prior"]
    assert kept == {"kind": f"{name}:Prior", "spread": 1.0}
    forgotten(name)
    mark.unlink()
    for unread in (vael.load, lambda place: vael.train(run=place, resume=True)):
        with pytest.raises((FormatError, StateError), match=says):
            unread(run.folder)
    assert main(["evaluate", str(run.folder)]) == 2
    assert f"--trust {name}" in capsys.readouterr().err
    assert not mark.exists()
    assert name not in sys.modules
    with trusting(name):
        again = vael.load(run.folder)
    assert mark.exists()
    assert type(again.spec.model.prior).__name__ == "Prior"
    forgotten(name)
    assert main(["evaluate", str(run.folder), "--importance-samples", "3", "--trust", name]) == 0
    forgotten(name)
    (run.folder / "model.safetensors").unlink()
    resumed = vael.train(run=run.folder, resume=True, trust=(name,), callbacks=())
    assert as_json(resumed.spec.model) == as_json(again.spec.model)


def test_a_part_defined_in_the_program_itself_needs_no_trust():
    class Mine(members(PriorPart)["standard-normal"]):
        """Mine."""

        kind: str = "mine-alone"

    try:
        assert read(PriorPart, json.loads(as_json(Mine()))) == Mine()
    finally:
        del vael.parts._members["prior"][vael.parts.path_of(Mine)]


HUGE = (10**9, 2**31 - 1, [10**7] * 4, [3] * 10**5)


@pytest.fixture(scope="module")
def digits():
    return specs.prepare(specs.request("digits", **SMALL))


@EACH
def test_no_part_takes_memory_for_what_a_run_json_says(family, kind, digits):
    """Each leaf in turn, in the place of a part of its family: refused by the record, or by what the weights have, and
    nothing was allocated for it.
    """
    tree = json.loads(digits.spec.model_dump_json(serialize_as_any=True))
    places = {
        "model": ("model",),
        "algorithm": ("algorithm",),
        "objective": ("algorithm", "objective"),
        "optimizer": ("algorithm", "optimizer"),
        **{name: ("model", name) for name in ("prior", "posterior", "likelihood", "network")},
    }
    if family.family not in places:
        return  # stands in a model, and is changed there with all its leaves
    *above, last = places[family.family]
    part = members(family)[kind]()
    for name, _ in leaves(part):
        for value in HUGE:
            written = json.loads(as_json(part))
            *outer, leaf = name.split(".")
            inner = written
            for step in outer:
                inner = inner[step]
            inner[leaf] = value
            changed = json.loads(json.dumps(tree))
            place = changed
            for step in above:
                place = place[step]
            place[last] = written
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                spec = specs.RunSpec.model_validate(changed)
                hollow(spec, None, "run.json")
            except (ValidationError, VaelError):
                pass
            else:
                size = not isinstance(dict(leaves(spec))[".".join((*places[family.family], name))], float)
                assert not size or family.family in ("algorithm", "objective", "optimizer"), (name, value)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, (name, value)  # kB
