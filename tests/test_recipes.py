"""Recipes: every shape trains, starts at the data's mean, and matches the formulas."""

from itertools import product
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vael.data import Batch, Kind, Source, Splits
from vael.data.transforms import DynamicBinarization
from vael.domains import recommend
from vael.models import BernoulliHead
from vael.probability import as_noise
from vael.recipes import convolutional, dense, flops, linear, residual

EVENTS = [(1, 8, 8), (1, 7, 9), (1, 28, 28), (1, 28, 20), (3, 32, 32), (1, 64, 48), (4, 17, 31), (1, 256, 256)]
RECIPES = {
    "dense": (dense, {"hidden": (16, 8)}),
    "linear": (linear, {}),
    "convolutional": (convolutional, {"channels": (4, 6, 8)}),
    "residual": (residual, {"channels": (4, 6, 8), "blocks": 1}),
}
CASES = [pytest.param(r, e, id=f"{r}-{'x'.join(map(str, e))}") for r, e in product(RECIPES, EVENTS)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def summary(event):
    mean = torch.rand(event, generator=generator(5))
    return SimpleNamespace(mean=mean, std=(mean * (1 - mean)).sqrt())


def build(name, event, latent=3, statistics=None, head=None):
    make, arguments = RECIPES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(event, head or BernoulliHead(), latent=latent, statistics=statistics, **arguments)


def ones_and_zeros(batch, event):
    return torch.rand(batch, *event, generator=generator(2)).round()


@pytest.mark.parametrize(("name", "event"), CASES)
def test_every_recipe_trains_on_every_size(name, event):
    model = build(name, event, statistics=summary(event))
    terms = model.terms(Batch(x=ones_and_zeros(2, event)), samples=3, generator=generator())
    assert terms.log_likelihood.shape == (3, 2)
    assert terms.divergence.shape == (1, 3, 2)
    (terms.log_likelihood.mean() - terms.divergence.mean()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.reconstruct(Batch(x=ones_and_zeros(2, event))).shape == (2, *event)
    assert model.sample(4, generator=generator()).shape == (4, *event)


@pytest.mark.parametrize("name", RECIPES)
def test_the_terms_of_an_example_do_not_depend_on_its_companions(name):
    event = (1, 7, 9)
    model, x = build(name, event, statistics=summary(event)), ones_and_zeros(7, (1, 7, 9))
    z = torch.randn(2, 7, 3, generator=generator())
    together = model.terms(Batch(x=x), generator=generator(), latent=(z,))
    alone = [model.terms(Batch(x=x[i : i + 1]), generator=generator(), latent=(z[:, i : i + 1],)) for i in range(7)]
    torch.testing.assert_close(
        together.log_likelihood, torch.cat([t.log_likelihood for t in alone], 1), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(together.divergence, torch.cat([t.divergence for t in alone], 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_the_decoder_starts_at_the_mean_of_the_data(name):
    event, known = (1, 8, 8), summary((1, 8, 8))
    model = build(name, event, statistics=known)
    start = model.decode((torch.zeros(1, 1, 3),)).mean[0, 0]
    torch.testing.assert_close(start, known.mean.clamp(0.005, 0.995), rtol=0, atol=0.03)


def test_a_cell_that_never_varies_is_harmless():
    known = SimpleNamespace(mean=torch.tensor([0.0, 1.0, 0.5]), std=torch.tensor([0.0, 0.0, 0.5]))
    model = build("dense", (3,), statistics=known)
    terms = model.terms(Batch(x=torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])), generator=generator())
    (-terms.log_likelihood.mean()).backward()
    assert torch.isfinite(terms.log_likelihood).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_parameters_of_dense_784_400_20():
    model = dense((1, 28, 28), BernoulliHead())
    encoder, decoder = 784 * 400 + 400 + 400 * 40 + 40, 20 * 400 + 400 + 400 * 784 + 784
    assert sum(p.numel() for p in model.parameters()) == encoder + decoder


def test_linear_is_affine():
    model = build("linear", (5,), latent=2)
    a, b = torch.randn(2, 4, 2, generator=generator()).unbind(0)
    decode = model.likelihood.network
    torch.testing.assert_close(decode(a) + decode(b), decode(a + b) + decode(torch.zeros(4, 2)))


def test_hidden_sizes_are_mirrored():
    model = dense((6,), BernoulliHead(), latent=2, hidden=(5, 4), activation="tanh")
    sizes = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert sorted(sizes) == sorted([(6, 5), (5, 4), (4, 4), (2, 4), (4, 5), (5, 6)])


def test_flops_of_dense_784_400_20():
    """2 per weight forward, twice that backward."""
    expected = 6 * (784 * 400 + 400 * 40 + 20 * 400 + 400 * 784)
    assert flops(dense((1, 28, 28), BernoulliHead()), (1, 28, 28)) == expected


def test_flops_grow_with_the_image():
    small, large = (flops(build("convolutional", event), event) for event in [(1, 16, 16), (1, 32, 32)])
    assert 3 < large / small < 5


def source(x, kind, levels=None, **more):
    return Source(name="made", x=x, kind=kind, fingerprint="", levels=levels, **more)


def splits(x, kind, levels=None, **more):
    whole = source(x, kind, levels, **more)
    return Splits(train=whole, validation=whole, test=None)


def cells(rows, event, levels):
    return torch.randint(0, levels, (rows, *event), generator=generator(3), dtype=torch.uint8)


def test_recommendations_follow_the_data():
    binary = recommend(splits(cells(300, (1, 8, 8), 2), Kind.BINARY))
    assert binary.likelihood.name == "bernoulli"
    assert binary.recipe == "dense"
    grey = recommend(splits(cells(300, (1, 8, 8), 17), Kind.INTEGER, 17))
    assert grey.likelihood.name == "discretized-logistic"
    assert any("17 levels" in reason for reason in grey.reasons)
    colour = recommend(splits(cells(300, (3, 32, 32), 256), Kind.INTEGER, 256))
    assert (colour.recipe, colour.model.likelihood.name) == ("autoregressive", "autoregressive-mixture")
    assert (colour.codes.recipe, colour.codes.model.likelihood.name) == ("convolutional", "discretized-logistic")
    large = recommend(splits(cells(3, (3, 256, 256), 256), Kind.INTEGER, 256))
    assert (large.recipe, large.codes) == ("convolutional", None)  # too many pixels to draw one after another
    real = recommend(splits(torch.randn(200, 7, generator=generator(4)), Kind.REAL))
    assert real.likelihood.name == "gaussian-per-channel"
    assert real.recipe == "dense"


def test_sizes_follow_the_number_of_examples():
    few, many = (
        recommend(splits(cells(1, (1, 28, 28), 2).expand(rows, 1, 28, 28), Kind.BINARY)) for rows in (400, 50_000)
    )
    assert max(few.network.hidden) < max(many.network.hidden)
    assert few.leaves["latent"] < many.leaves["latent"]


GREY = cells(1, (1, 20, 20), 256).expand(10_000, 1, 20, 20)
RECOMMENDED = {
    "digits": splits(cells(100, (1, 8, 8), 17), Kind.INTEGER, 17),
    "binary": splits(cells(100, (1, 28, 28), 2), Kind.BINARY),
    "colour": splits(cells(20, (3, 33, 18), 256), Kind.INTEGER, 256),
    "photograph": splits(cells(3, (3, 256, 256), 256), Kind.INTEGER, 256),
    "drawn anew": splits(GREY, Kind.BINARY, transform=DynamicBinarization(255)),
    "real image": splits(torch.randn(20, 2, 9, 7, generator=generator(4)), Kind.REAL),
    "table": splits(torch.randn(200, 7, generator=generator(4)), Kind.REAL),
    "one column": splits(torch.randn(200, 1, generator=generator(4)), Kind.REAL),
    "counts": splits(cells(200, (5,), 9), Kind.INTEGER, 9),
    "constant column": splits(torch.ones(50, 2), Kind.REAL),
}


@pytest.mark.parametrize("name", RECOMMENDED)
def test_what_is_recommended_trains(name):
    train = RECOMMENDED[name].train
    chosen = recommend(RECOMMENDED[name])
    assert all(reason.endswith(".") and len(reason) > 30 for reason in chosen.reasons)
    model = chosen.build(train)
    terms = model.terms(train.batch(torch.arange(2), as_noise(generator())), generator=generator())
    (terms.log_likelihood.mean() - terms.divergence.mean()).backward()
    assert torch.isfinite(terms.log_likelihood).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_photograph_stays_affordable():
    """Below 4 GFLOP an example: at least 25 a second at 100 GFLOP/s."""
    chosen = recommend(RECOMMENDED["photograph"])
    assert flops(chosen.build(RECOMMENDED["photograph"].train), (3, 256, 256)) < 4e9


def test_a_recommendation_cannot_be_changed():
    chosen = recommend(RECOMMENDED["binary"])
    with pytest.raises(TypeError):
        chosen.leaves["latent"] = 1


def test_levels_that_stand_out_share_laws():
    """Ink on paper: most cells at one of 256 levels; few levels, or none that stands out, keep the logistic."""
    ink = cells(300, (1, 8, 8), 256) * (torch.rand(300, 1, 8, 8, generator=generator(5)) < 0.3)
    advice = recommend(splits(ink, Kind.INTEGER, 256))
    assert advice.likelihood.name == "tabulated-mixture"
    assert any("70% of the cells" in reason for reason in advice.reasons)
    plain = recommend(splits(cells(300, (1, 8, 8), 256), Kind.INTEGER, 256))
    assert plain.likelihood.name == "discretized-logistic"


@pytest.mark.parametrize(
    ("columns", "rows", "latents"),
    [(1, 1000, 1), (2, 1000, 2), (3, 1000, 3), (6, 1000, 4), (12, 1000, 6), (3, 120, 2), (200, 9000, 32)],
)
def test_latents_of_tables_follow_columns_and_rows(columns, rows, latents):
    """Few columns get as many as they may have factors, up to four."""
    train = Source("t", torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)), Kind.REAL, "")
    assert recommend(Splits(train, train, None)).leaves["latent"] == latents
