"""ONNX graphs: equal to PyTorch for any batch, the same twice, refused with a message when they cannot be had."""

import copy
import importlib.util
from functools import partial

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

import vael
from vael import domains
from vael.applications import export
from vael.applications.export import export_onnx, parameters
from vael.data import Batch, Column, ColumnKind, Schema
from vael.data.conditioning import AnyCondition
from vael.errors import StateError
from vael.models import (
    VAE,
    BernoulliHead,
    ColumnsHead,
    Conditional,
    CoupledLogisticMixtureHead,
    GaussianHead,
    GaussianMixture,
    StandardNormal,
)
from vael.models.hierarchical import HierarchicalVAE
from vael.networks import CodeBook, FiniteScalar, TopK
from vael.networks.ladder import ConvolutionLadder, DenseLadder
from vael.probability import diagonal_gaussian
from vael.recipes import autoencoder, convolutional, dense, gapped, linear, table, vq_vae, vq_vae_2
from vael.tables.schema_file import read_schema

pytestmark = pytest.mark.usefixtures("_operators_listed_once")
INSTALLED = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))
needs_onnx = pytest.mark.skipif(
    not INSTALLED, reason="onnx, onnxscript or onnxruntime is not installed: pip install 'vael[onnx]'"
)


def build(make, event, head=None, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(event, head or BernoulliHead(), **arguments)


def images(batch, event):
    return torch.rand(batch, *event, generator=torch.Generator().manual_seed(3)).round()


def run(path, **given):
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(
        zip(names, map(torch.from_numpy, session.run(names, {k: v.numpy() for k, v in given.items()})), strict=True)
    )


KINDS = (
    Column("real", ColumnKind.REAL, spikes=(-99.0,)),
    Column("count", ColumnKind.COUNT, minimum=0.0),
    Column("kind", ColumnKind.CATEGORICAL, levels=("a", "b"), rare=(("c", 1),)),
    Column("price", ColumnKind.POSITIVE),
    Column("grade", ColumnKind.ORDINAL, levels=("low", "middle", "high")),
    Column("flag", ColumnKind.BOOLEAN, levels=("no", "yes")),
    Column("day", ColumnKind.DATE, origin=18000.0, pattern="%Y-%m-%d"),
)


def mixed_table(kinds):
    """A likelihood for columns of some kinds, with and without spikes, and the schema that it has."""
    schema, g = Schema(kinds), torch.Generator().manual_seed(0)
    codes = {column.name: torch.randint(column.codes or 9, (200,), generator=g).float() for column in kinds}
    codes["real"][:50] = -99.0
    if "price" in codes:
        codes["price"] += 0.5
    return ColumnsHead(schema, 2, torch.stack([*codes.values()], 1))


CASES = {
    "table": (table, (3,), {"head": partial(mixed_table, KINDS[:3]), "latent": 3, "hidden": (8,)}),
    "every kind": (table, (7,), {"head": partial(mixed_table, KINDS), "latent": 3, "hidden": (8,)}),
    "dense": (dense, (1, 8, 8), {"latent": 3, "hidden": (16,)}),
    "correlated": (dense, (5,), {"latent": 3, "hidden": (8,), "correlated": True}),
    "gapped": (gapped, (4,), {"head": GaussianHead(), "latent": 2, "hidden": (8,)}),
    "convolutional": (
        convolutional,
        (3, 7, 9),
        {"head": CoupledLogisticMixtureHead(levels=4, components=2), "latent": 4, "channels": (4, 6)},
    ),
}


LONG = ("every kind", "dense", "gapped")  # the others have their operations


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in CASES]
)
def case(request, tmp_path_factory, _operators_listed_once):
    """A model and what was exported of it, once for all tests here: an export takes seconds."""
    if not INSTALLED:
        pytest.skip("onnx, onnxscript or onnxruntime is not installed: pip install 'vael[onnx]'")
    make, event, given = CASES[request.param]
    arguments = {name: value() if isinstance(value, partial) else value for name, value in given.items()}
    model = build(make, event, **arguments).double()
    before = torch.get_rng_state()
    schema = getattr(arguments.get("head"), "schema", None)
    wrote = export_onnx(model, event, str(tmp_path_factory.mktemp(request.param) / "new"), schema)
    assert torch.equal(torch.get_rng_state(), before)
    return model, event, wrote


def test_graphs_give_what_pytorch_gives(case):
    model, event, wrote = case
    model = copy.deepcopy(model).float()
    assert max(wrote.encoder.error, wrote.decoder.error) < 1e-5
    for batch in (1, 5, 32):
        x = images(batch, event)
        code = run(wrote.encoder.path, x=x)
        q = model.posterior(x)
        torch.testing.assert_close(code["mean"], q.mean, rtol=1e-5, atol=1e-5)
        if isinstance(q, torch.distributions.MultivariateNormal):
            torch.testing.assert_close(code["scale_tril"], q.scale_tril, rtol=1e-5, atol=1e-5)
        else:
            torch.testing.assert_close(code["log_scale"], q.stddev.log(), rtol=1e-5, atol=1e-5)
        cells = run(wrote.decoder.path, z=code["mean"])
        torch.testing.assert_close(cells["mean"], model.reconstruct(Batch(x=x)), rtol=1e-5, atol=1e-5)
        law = model.decode((code["mean"][None],))
        assert cells.keys() == {"mean", *parameters(law)}
        for name, value in parameters(law).items():
            torch.testing.assert_close(cells[name], value[0], rtol=1e-5, atol=1e-5)
        assert torch.equal(run(wrote.encoder.path, x=x)["mean"], code["mean"])


def test_the_record_and_the_files_say_the_same(case):
    import onnx

    _, _, wrote = case
    beside = [] if wrote.columns is None else ["columns.json"]
    assert sorted(path.name for path in wrote.encoder.path.parent.iterdir()) == [
        *beside,
        "decoder.onnx",
        "encoder.onnx",
    ]
    for record in (wrote.encoder, wrote.decoder):
        graph = onnx.load(record.path)
        assert wrote.opset in [known.version for known in graph.opset_import if known.domain == ""]
        assert record.outputs == tuple(output.name for output in graph.graph.output)
        assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param  # named, not a number
        assert f"{record.path}: " in str(wrote)


def test_the_model_is_left_as_it_was(case):
    model, _, _ = case
    assert model.training
    assert next(model.parameters()).dtype == torch.float64


def test_a_graph_that_disagrees_is_refused(case):
    model, event, wrote = case
    other = export.DecoderGraph(build(CASES["dense"][0], event, latent=wrote_latents(model, event), hidden=(5,)), ())
    example = torch.randn(5, wrote_latents(model, event), generator=torch.Generator().manual_seed(0))
    graph = export.TracedGraph(other, wrote.decoder.path.read_bytes(), {"z": example}, wrote.decoder.outputs)
    with pytest.raises(StateError, match=r"decoder\.onnx does not agree with PyTorch: mean"):
        export.compared(export.needed(), graph, wrote.decoder.path.parent)


def wrote_latents(model, event):
    return copy.deepcopy(model).float().encode(Batch(x=torch.zeros(1, *event))).shape[1]


WITHOUT_A_VECTOR_OF_LATENTS = {
    "autoencoder": (lambda: autoencoder((1, 8, 8), latent=3, hidden=(8,)), (1, 8, 8)),
    "top-k": (lambda: autoencoder((5,), latent=6, hidden=(), code=TopK(2)), (5,)),
    "vq-vae": (lambda: vq_vae((1, 8, 8), BernoulliHead(), CodeBook(6, 3), channels=(4,)), (1, 8, 8)),
    "vq-vae-2": (
        lambda: vq_vae_2((1, 8, 8), BernoulliHead(), CodeBook(6, 3), CodeBook(9, 2), channels=(4,)),
        (1, 8, 8),
    ),
    "finite-scalar": (lambda: vq_vae((1, 8, 8), BernoulliHead(), FiniteScalar((3, 4)), channels=(4,)), (1, 8, 8)),
    "hierarchy": (lambda: hierarchy(DenseLadder((1, 4, 4), (1, 4, 4), (2, 3), 4)), (1, 4, 4)),
    "hierarchy of images": (lambda: hierarchy(ConvolutionLadder((1, 8, 8), (1, 8, 8), (1, 4), 2, 4)), (1, 8, 8)),
}


SLOW = ("autoencoder", "vq-vae-2", "finite-scalar", "hierarchy of images")


def hierarchy(ladder):
    return HierarchicalVAE(nn.Identity(), ladder, BernoulliHead(), nn.Identity(), sees_gaps=False)


@needs_onnx
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in WITHOUT_A_VECTOR_OF_LATENTS],
)
def test_codes_are_exported_by_capability(name, tmp_path):
    """x to its code and back, as PyTorch has it, codes of all levels side by side; nothing of an autoencoder is called
    what only a distribution has.
    """
    make, event = WITHOUT_A_VECTOR_OF_LATENTS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
    for book in model.modules():
        if isinstance(book, CodeBook):
            book.sums.copy_(torch.randn(book.sums.shape, generator=torch.Generator().manual_seed(1)))
    wrote = export_onnx(model, event, tmp_path)
    for batch in (1, 7):
        x = images(batch, event)
        (code,) = run(wrote.encoder.path, x=x).values()
        with torch.no_grad():
            expected = (
                model.codes(Batch(x=x)) if name in ("vq-vae", "vq-vae-2", "finite-scalar") else model.encode(Batch(x=x))
            )
            torch.testing.assert_close(code, expected, rtol=1e-5, atol=1e-5)
            back = run(wrote.decoder.path, z=code)
            first = "mean" if model.states_likelihood else "reconstruction"
            torch.testing.assert_close(back[first], model.reconstruct(Batch(x=x)), rtol=1e-5, atol=1e-5)
    assert set(back) == ({"mean", "logits"} if model.states_likelihood else {"reconstruction"})


def test_a_mixture_is_not_exported(tmp_path):
    with pytest.raises(StateError, match=r"exporting .* needs one vector of numbers .*GaussianMixture, has not"):
        export_onnx(GaussianMixture(2, 3), (3,), tmp_path)


class Rotated(Conditional):
    """A posterior that is no Gaussian."""

    def forward(self, x, context=None):
        return torch.distributions.Independent(torch.distributions.Laplace(x[:, :2], torch.ones(len(x), 2)), 1)


@needs_onnx
def test_another_posterior_is_refused(tmp_path):
    model = build(linear, (5,), latent=2)
    with pytest.raises(StateError, match="Laplace"):
        export_onnx(VAE(StandardNormal(2), model.likelihood, Rotated()), (5,), tmp_path)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StateError, match=r"onnxruntime.*pip install 'vael\[onnx\]'"):
        export_onnx(build(linear, (5,), latent=2), (5,), tmp_path)


def test_parameters_are_those_a_law_was_made_of():
    q = diagonal_gaussian(torch.zeros(1, 2, 3), torch.ones(1, 2, 3))
    assert list(parameters(q)) == ["loc", "scale"]
    law = BernoulliHead()(torch.zeros(1, 2, 3))
    assert list(parameters(law)) == ["logits"]
    one_scale = torch.distributions.Normal(torch.zeros(1, 2, 3), torch.ones(1, 2, 3))
    one_scale.scale = torch.ones(3)
    assert parameters(one_scale)["scale"].shape == (1, 2, 3)


def test_the_columns_of_a_table_stand_beside_its_graphs(case):
    model, _, wrote = case
    schema = getattr(model.likelihood.head, "schema", None)
    if schema is None:
        assert wrote.columns is None
        return
    assert read_schema(wrote.columns) == schema
    assert str(wrote.columns) in str(wrote)
    assert run(wrote.encoder.path, x=torch.full((3, len(schema.columns)), torch.nan))["mean"].isfinite().all()


CONDITIONED = {
    "label": ("digits", {"model": "dense", "hidden": (16,), "latent": 3, "condition_on": "label"}, {"label": "7"}),
    "columns": ("table", {"latent": 2, "hidden": (8,), "condition_on": "kind"}, {"kind": "b"}),
}


@needs_onnx
@pytest.mark.parametrize("name", ["label", pytest.param("columns", marks=pytest.mark.slow)])
def test_a_conditional_model_takes_its_condition_beside(name, tmp_path):
    """q(z | x, c) and p(x | z, c) as PyTorch has them, for conditions that differ from row to row, c written as
    `condition.json` says; what an image or a row is said to be changes what the graphs give.
    """
    data, options, named = CONDITIONED[name]
    if data == "table":
        lines = [f"{number % 7},{'ab'[number % 2]},{number % 5 / 2}" for number in range(200)]
        data = tmp_path / "rows.csv"
        data.write_text("count,kind,real\n" + "\n".join(lines) + "\n")
    run_ = vael.train(data, epochs=1, run=tmp_path / "run", **options)
    condition = run_.spec.data.condition
    known = domains.of(run_.spec.data).columns(run_.spec.data)
    wrote = export_onnx(run_.model, run_.spec.data.event, tmp_path / "graphs", known, condition)
    assert wrote.encoder.inputs == ("x", "c")
    assert wrote.decoder.inputs == ("z", "c")
    kept = TypeAdapter(AnyCondition).validate_json(wrote.condition.read_bytes())
    assert torch.equal(kept.encode(named), run_.condition(named))
    batch = run_.split("validation")[1].batch(torch.arange(6))
    code = run(wrote.encoder.path, x=batch.x, c=batch.context)
    with torch.no_grad():
        torch.testing.assert_close(code["mean"], run_.model.encode(batch), rtol=1e-4, atol=1e-4)
        cells = run(wrote.decoder.path, z=code["mean"], c=batch.context)
        torch.testing.assert_close(cells["mean"], run_.model.reconstruct(batch), rtol=1e-4, atol=1e-4)
    elsewhere = run(wrote.decoder.path, z=code["mean"], c=batch.context.roll(1, 1))
    assert not torch.allclose(elsewhere["mean"], cells["mean"], atol=1e-4)
