"""The page's kernel against PyTorch: every operator that it knows, and the models of every kind of recipe."""

import base64
import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import vael
from vael.errors import StateError
from vael.explorer import scene_of
from vael.explorer.bundle import joined
from vael.explorer.functions import Tracing
from vael.explorer.graphs import KNOWN, KeptWeights, page_graph

RUN = """([graph, about, weights, inputs]) => {
  const bytes = Uint8Array.from(atob(weights), (one) => one.charCodeAt(0));
  const found = Array.from(of_kernel.compiled(graph, of_kernel.weightsOf(about, bytes))(...inputs));
  return found.map((one) => Number.isFinite(one) ? one : String(one)); }"""


@pytest.fixture(scope="module")
def kernel(browser):
    """What the page computes of a graph, `[elements]`."""
    page = browser.new_page()
    page.add_script_tag(content=joined("kernel.js").replace("const of_kernel", "var of_kernel"))

    def computed(graph, *inputs, half=False):
        weights = KeptWeights(half)
        told = graph.told(weights)
        given = [one.flatten().tolist() for one in inputs]
        found = page.evaluate(RUN, [told, weights.about, base64.b64encode(weights.content).decode(), given])
        return np.array([float(one.replace("Infinity", "inf") if isinstance(one, str) else one) for one in found])

    computed.names = set(page.evaluate("Object.keys(of_kernel.operators)"))
    yield computed
    page.close()


def rnd(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


X, S, P = rnd(2, 3, 4, 6), rnd(2, 5), torch.tensor([[0.3, 1.7, 2.5, 0.5, 4.2], [0.1, 0.9, 3.5, 7.0, 1.0]])
W, B, M = rnd(4, 3, 3, 3), rnd(4), rnd(5, 4)
LOWER = rnd(3, 4, 4).tril() + 3 * torch.eye(4)
EACH, THREE = rnd(4, 6), rnd(3)
PLACES = torch.tensor([[2, 0, 1], [1, 1, 3]])
BATCHED = nn.BatchNorm2d(3).eval()
BATCHED.running_mean[:], BATCHED.running_var[:] = torch.tensor([0.1, -0.4, 2.0]), torch.tensor([0.5, 2.0, 1.3])

CASES = {
    "activations": (
        lambda x: torch.cat([f(x) for f in (torch.sigmoid, torch.relu, torch.tanh, functional.elu, functional.silu,
            functional.gelu, functional.leaky_relu, functional.softplus, functional.hardtanh)], 1), S),
    "gelu-tanh": (lambda x: functional.gelu(x, approximate="tanh"), S),
    "elu-alpha": (lambda x: functional.elu(x, 0.3) + functional.leaky_relu(x, 0.2), S),
    "waves": (lambda x: torch.cat([f(x) for f in (torch.sin, torch.cos, torch.tan, torch.sinh, torch.cosh, torch.asinh,
        torch.atan, torch.expm1, torch.exp, torch.abs, torch.neg, torch.sign, torch.erf, torch.erfc)], 1), S),
    "positive": (lambda x: torch.cat([f(x) for f in (torch.log, torch.log1p, torch.log2, torch.log10, torch.sqrt,
        torch.rsqrt, torch.reciprocal, torch.lgamma)], 1), P),
    "arcs": (lambda x: torch.cat([torch.asin(x), torch.acos(x), torch.atanh(x), torch.acosh(x + 2)], 1), S.tanh()),
    "steps": (lambda x: torch.cat([f(x) for f in (torch.floor, torch.ceil, torch.round, torch.trunc)], 1), P - 2.5),
    "two": (lambda x, y: torch.cat([x + y, x - y, x * y, x / y, torch.add(x, y, alpha=2), torch.sub(x, y, alpha=3),
        torch.maximum(x, y), torch.minimum(x, y), torch.atan2(x, y), y.pow(x), x.fmod(y), x.remainder(y)], 1), S, P),
    "broadcast": (lambda x: x * torch.tensor([1.0, -2.0, 0.5])[:, None, None] + x[:, :1] - x[0, 0, 0], X),
    "compared": (lambda x, y: torch.cat([a.float() for a in (x > y, x >= y, x < y, x <= y, x == y, x != y,
        (x > 0) & (y > 1), (x > 0) | (y > 1), ~(x > 0), torch.logical_and(x > 0, y > 1), torch.logical_or(x > 0, y > 1),
        torch.logical_not(x > 0), torch.isnan(x / 0 * 0), torch.isinf(x / 0))], 1), S, P),
    "chosen": (lambda x, y: torch.where(x > 0, x, y).masked_fill(y > 3, float("inf")), S, P),
    "clamped": (lambda x: torch.cat([x.clamp(-0.5, 0.7), x.clamp(min=0.1), x.clamp(max=0.2)], 1), S),
    "shapes": (lambda x: torch.cat([x.permute(0, 2, 3, 1).reshape(2, -1), x.flip(2).flip(3)[:, 1:, ::2].reshape(2, -1),
        x[:, -1].flatten(1), x[..., 2:5].flatten(1)], 1), X),
    "joined": (lambda x: torch.stack(x.split([1, 2], 1)[1].unbind(1), -1).squeeze(1).expand(3, 2, 4, 6, 2) * 2, X),
    "padded": (lambda x: functional.pad(x, (1, 2, 0, 1), value=7.0) + functional.pad(x, (2, 1, 2, -1)), X),
    "reduced": (lambda x: torch.stack([x.sum((1, 3)), x.mean((1, 3)), x.amax((1, 3)), x.amin((1, 3)), x.var((1, 3)),
        x.var((1, 3), correction=0), (x > 1).any(3).any(1).float(), x.prod(3).sum(1)]), X),
    "whole": (lambda x: x.sum() + x.mean() + x.max() + (x > 9).any(), X),
    "most": (lambda x: torch.stack([x.max(1).values, x.min(1).values, x.max(1).indices.float(), x.min(1, keepdim=True)
        .values[:, 0], x.min().expand(2)]), S),
    "places": (lambda x: torch.cat([x.argmax(1), x.argmin(1), x.argmax()[None]]).float(), S),
    "softmax": (lambda x: torch.cat([x.softmax(1), x.log_softmax(2), x.cumsum(3), x.logsumexp(1, keepdim=True)], 1), X),
    "sorted": (lambda x: torch.cat([x.topk(2, 1).values, x.topk(3, 1, largest=False).indices.float(),
        x.sort(1, descending=True).values, x.sort(1).indices.float()], 1), S),
    "products": (lambda x: functional.linear(x, M.T, B) + x @ M + torch.bmm(x[None], M[None])[0], S),
    "taken": (lambda x: torch.cat([M[PLACES].flatten(1), x[:, PLACES[0]], x.gather(1, PLACES), x.index_select(1,
        PLACES[1]), functional.embedding(PLACES, M).flatten(1)], 1), S),
    "pairs": (lambda x: x[torch.tensor([0, 1, 1]), :, torch.tensor([3, 0, -1])], X),
    "computed-places": (lambda x: M[(x.abs() * 2).long().clamp(max=4)].flatten(1)
        + functional.embedding(x.abs().long().clamp(max=4), torch.ops.aten.alias(2 * M)).flatten(1), S),
    "the-same": (lambda x: torch.ops.aten.alias(x + 1), S),
    "scattered": (lambda x: x.scatter(1, PLACES, x[:, 1:] * 2) + torch.zeros_like(x).scatter(1, PLACES, 3.0), S),
    "diagonals": (lambda x: torch.cat([x.diagonal(0, 2, 3), x.diagonal(1, -2, -1), x.diagonal(-1, 2, 3)], -1), X),
    "triangles": (lambda x: torch.cat([torch.linalg.solve_triangular(LOWER, x, upper=False), torch.linalg
        .solve_triangular(LOWER.mT, x, upper=True), torch.linalg.solve_triangular(LOWER[0], x[..., :4], upper=False,
        left=False), torch.linalg.solve_triangular(LOWER.mT, x[..., :4], upper=True, left=False, unitriangular=True)],
        -1), X),
    "put": (lambda x: torch.index_put(x, (torch.tensor([0, 1]), torch.tensor([2, 4])), torch.tensor([9.0, 8.0]))
        + torch.index_put(x, (x > 0,), torch.tensor(5.0))
        + torch.index_put(x, (torch.tensor([1, 1]),), x, accumulate=True), S),
    "made": (lambda x: torch.full_like(x, 2.5) * torch.arange(5) + torch.full((2, 5), -1.0) + torch.arange(0, 10, 2)
        + torch.ones(300)[:5] * torch.arange(1, 301)[-5:], S),
    "convolution": (lambda x: functional.conv2d(x, W, B, 1, 1), X),
    "strided": (lambda x: functional.conv2d(x, W, None, (2, 1), (1, 2), (1, 2)), X),
    "grouped": (lambda x: functional.conv2d(x, W[:3, :1], None, padding=1, groups=3), X),
    "transposed": (lambda x: functional.conv_transpose2d(x, W.transpose(0, 1), B, 2, 1, 1), X),
    "transposed-groups": (lambda x: functional.conv_transpose2d(x, W[:3, :2], None, 3, 1, 2, 3), X),
    "one-axis": (lambda x: functional.conv1d(x, W[:, :, 0], B, 2, 1, 2), X[:, :, 0]),
    "one-axis-transposed": (lambda x: functional.conv_transpose1d(x, W[:, :, 0].transpose(0, 1), B, 2, 1, 1),
        X[:, :, 0]),
    "norms": (lambda x: BATCHED(x) + functional.layer_norm(x, (4, 6), EACH, 2 * EACH)
        + functional.group_norm(x, 3, THREE, 2 * THREE) + functional.group_norm(x, 1), X),
    "pooled": (lambda x: torch.cat([functional.avg_pool2d(x, 2), functional.max_pool2d(x, 2, 2),
        functional.adaptive_avg_pool2d(x, (2, 3)), functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)], 1), X),
    "pooled-unevenly": (lambda x: functional.adaptive_avg_pool2d(x, (3, 4)), X),
    "upsampled": (lambda x: functional.interpolate(x, scale_factor=2, mode="nearest"), X),
}  # fmt: skip


@functools.cache
def inputs_of_all():
    """Each input once, by its place in a list, which two cases of equal inputs share."""
    inputs = []
    for _, *given in CASES.values():
        inputs += [one for one in given if place_in(inputs, one) is None]
    return inputs


def place_in(inputs, one):
    return next((place for place, known in enumerate(inputs) if known is one or same(known, one)), None)


def same(known, one):
    return known.shape == one.shape and torch.equal(known, one)


@functools.cache
def graph_of_all():
    """All cases in one graph, end to end: tracing each by itself takes four times as long, and far longer than all that
    is done with it.
    """
    inputs = inputs_of_all()

    def joined_cases(_, *given):
        return torch.cat(
            [
                function(*(given[place_in(inputs, one)] for one in its)).flatten().float()
                for function, *its in CASES.values()
            ]
        )

    return page_graph(BATCHED, joined_cases, inputs, "all")


@pytest.fixture(scope="module")
def found(kernel):
    """What the traced graph and the page's kernel compute of all cases, end to end."""
    graph, inputs = graph_of_all(), inputs_of_all()
    return graph(*inputs).double().flatten().numpy(), kernel(graph, *inputs)


@pytest.mark.parametrize("name", CASES)
def test_operators_give_what_pytorch_gives(found, name):
    sizes = {each: function(*inputs).numel() for each, (function, *inputs) in CASES.items()}
    first = sum(list(sizes.values())[: list(CASES).index(name)])
    function, *inputs = CASES[name]
    expected = function(*inputs).detach().double().flatten().numpy()
    traced, computed = (one[first : first + sizes[name]] for one in found)
    np.testing.assert_allclose(traced, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(computed, expected, rtol=2e-5, atol=2e-6)


def test_every_operator_that_is_known_is_one_of_the_kernel_and_compared(kernel, found):
    assert kernel.names == KNOWN
    assert len(found[1]) == sum(function(*inputs).numel() for function, *inputs in CASES.values())
    seen = {node[0] for node in graph_of_all().told(KeptWeights())["nodes"]}
    assert seen >= KNOWN, KNOWN - seen


SEQUENCES = ("temporal", "kalman", "state-space")
RECIPES = (
    "dense", "convolutional", "residual", "hierarchical", "hierarchical-convolutional", "vq-vae", "autoencoder", "vamp",
    "k-sparse", "bernoulli-latents", "vade", *SEQUENCES,
)  # fmt: skip


SMALL = {
    "vq-vae": ("model.channels=8,8", "algorithm.second_epochs=1"),
    "convolutional": ("model.network.channels=4,8",),
    "hierarchical-convolutional": ("model.ladder.channels=8", "model.ladder.latents=2"),
}
QUICK = {"convolutional", "temporal"}  # every one takes seconds


@pytest.mark.parametrize(
    "recipe", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in RECIPES]
)
def test_models_decode_and_encode_as_in_python(kernel, recipe, tmp_path):
    """Pixels to 1/255 of their range with the weights as they are, and codes to 1e-3."""
    small = {"set": SMALL[recipe]} if recipe in SMALL else {}
    data, how = "digits", {}
    if recipe in SEQUENCES:
        data, how = tmp_path / "x.npy", {"sequence": ""}
        np.save(data, np.random.default_rng(0).normal(size=(40, 8, 2)).cumsum(1))
    scene = scene_of(vael.train(data, model=recipe, epochs=1, run=tmp_path / "run", callbacks=(), **how, **small))
    tracing = Tracing(scene)
    z = torch.tensor([scene.code(one % len(scene.source)) for one in range(tracing.batch)])
    graph = tracing.decode()
    found, expected = kernel(graph, z), tracing.law(tracing.model, z, None).mean[0].detach().flatten().numpy()
    assert np.abs(found - expected).max() <= np.ptp(expected) / 255 / 10
    if recipe in SEQUENCES:
        return  # only a picture that is drawn by hand is encoded on the page
    x = scene.source.batch(torch.arange(tracing.batch) % len(scene.source)).x
    np.testing.assert_allclose(kernel(tracing.encode(), x).reshape(z.shape), z, rtol=1e-3, atol=1e-3)


def test_what_the_page_does_not_know_is_named():
    with pytest.raises(StateError, match=r"decoding.* uses .*svd.*vael explore RUN"):
        page_graph(BATCHED, lambda _, x: torch.linalg.svdvals(x), [S], "decoding")


def test_what_takes_too_many_operators_is_refused_before_it_is_traced():
    def long(_, x):
        for _ in range(5000):
            x = x + 1
        return x

    with pytest.raises(StateError, match=r"more than 4,000 operators.*vael explore RUN"):
        page_graph(BATCHED, long, [S], "decoding")


def test_a_branch_on_values_is_refused():
    with pytest.raises(StateError, match="depends on values"):
        page_graph(BATCHED, lambda _, x: x + 1 if x.sum() > 0 else x, [S], "decoding")


def test_rounding_is_that_of_float16(kernel):
    torch.manual_seed(0)
    layer = nn.Linear(40, 30)
    x = rnd(3, 40)
    graph = page_graph(layer, lambda model, given: model(given), [x], "decoding")
    half = nn.Linear(40, 30)  # 30 elements of its bias are too few to be rounded
    half.load_state_dict({"weight": layer.weight.half().float(), "bias": layer.bias})
    expected = half(x).detach().flatten().numpy()
    np.testing.assert_allclose(kernel(graph, x, half=True), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(graph(x, half=True).flatten().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - layer(x).detach().flatten().numpy()).max() > 1e-5
