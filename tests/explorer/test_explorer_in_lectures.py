"""The live parts of the lecture pages (docs/live): every control is moved, and what they print is what vael gives."""

import importlib.util
import math
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vael.data import Batch
from vael.inference import GaussianMeanField, posterior_on_grid
from vael.lectures import decompose
from vael.lectures.estimators import GaussianSquare
from vael.models import (
    VAE,
    BernoulliHead,
    Components,
    Conditional,
    Decoder,
    FixedScale,
    Full,
    GaussianHead,
    GaussianMixture,
    StandardNormal,
)  # fmt: skip
from vael.networks import Dense
from vael.objectives import ELBO, ImportanceWeighted
from vael.objectives import Beta as Weight
from vael.probability import diagonal_gaussian

DOCS = Path(__file__).resolve().parents[2] / "docs"
SHOTS = os.environ.get("VAEL_SHOTS")  # a folder for pictures of what was seen
CLOSE = {"rel": 1e-6, "abs": 1e-6}


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    del sys.modules[path.stem]
    return module


@pytest.fixture(scope="session")
def show():
    return loaded(DOCS / "gallery" / "show.py")


def f64(values):
    return torch.tensor(values, dtype=torch.float64)


class Given(Conditional):
    """q(z | x) = N(slope x, deviation²), or N(mean, deviation²) whatever x is."""

    def __init__(self, deviation, mean=None, slope=None):
        super().__init__()
        self.deviation, self.mean, self.slope = deviation, mean, slope

    def forward(self, x, context=None):
        mean = x @ self.slope if self.slope is not None else self.mean.expand(len(x), -1)
        return diagonal_gaussian(mean, self.deviation.expand_as(mean))


def linear(weight, sigma, posterior):
    """x = W z + σ noise."""
    decode = nn.utils.skip_init(nn.Linear, *reversed(weight.shape), dtype=torch.float64)
    with torch.no_grad():
        decode.weight.copy_(weight)
        decode.bias.zero_()
    head = GaussianHead(spread=FixedScale(float(sigma)))
    return VAE(StandardNormal(weight.shape[1]).double(), Decoder(decode, head), posterior)


def smallest(at):
    return linear(f64([[at["theta"]]]), at["sigma"], Given(f64([at["deviation"]]), f64([at["mean"]])))


SMALLEST = {"x": 1.0, "theta": 1.0, "sigma": 1.0, "mean": 0.2, "deviation": math.sqrt(0.8)}
NOISE = [round(one, 5) for one in torch.randn(512, generator=torch.Generator().manual_seed(0)).tolist()]
EIGENVALUES = [6.0, 2.5, 1.2, 0.5, 0.15]


def bound(at, given):
    """By the adaptive grid, which knows none of the closed forms."""
    batch, model = Batch(x=f64([[at["x"]]])), smallest(at)
    (one,) = posterior_on_grid(model, batch, tolerance=1e-7)
    rate = float(model.terms(batch, generator=torch.Generator()).divergence.sum())
    found = {"ELBO": one.elbo, "KL(q‖p(z|x))": one.divergence, "log p(x)": one.log_evidence, "KL(q‖p(z))": rate}
    return found | {"E_q[log p(x|z)]": one.elbo + rate, "ELBO + KL(q‖p(z|x))": one.log_evidence}


def balance(at, given):
    """Of a linear VAE at the optimum, where the gradient of what is climbed must be zero."""
    values, level = f64(EIGENVALUES), at["beta"] * at["sigma"] ** 2
    used, count = values > level, len(EIGENVALUES)
    weight = torch.where(used, (values - level).clamp(min=0).sqrt(), torch.zeros(count).double())
    deviation = torch.where(used, (level / values).sqrt(), torch.ones(count).double())
    model = linear(torch.diag(weight), at["sigma"], Given(deviation, slope=torch.diag(weight / values)))
    noise = torch.randn(50, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = torch.linalg.qr(noise - noise.mean(0)).Q * math.sqrt(len(noise))
    x = noise * values.sqrt()
    points = math.sqrt(count) * torch.cat((torch.eye(count), -torch.eye(count))).double()
    z = x @ torch.diag(weight / values) + points[:, None] * deviation
    terms = model.terms(Batch(x=x), generator=torch.Generator(), latent=(z,))
    climbed = ELBO(Weight(float(at["beta"])))(terms).surrogate.mean()
    (slope,) = torch.autograd.grad(climbed, [one for one in model.parameters() if one.dim() == 2])
    assert float(slope.abs().max()) < 1e-6 * (1 + 1 / at["sigma"] ** 2)
    rate, distortion = terms.divergence.sum(0).mean().item(), -terms.log_likelihood.mean().item()
    found = {"βσ²": level, "active latents": int(used.sum()), "rate R": rate, "distortion D": distortion}
    return found | {"ELBO = −(D + R)": ELBO()(terms).bound.mean().item(), "−(D + βR)": climbed.item()}


def samples(at, given):
    batch, many = Batch(x=f64([[at["x"]]])), at["k"]
    groups = f64(NOISE[: len(NOISE) // many * many]).view(-1, many).mT[:, :, None]
    z = at["mean"] + at["deviation"] * groups
    terms = smallest(at).terms(
        Batch(x=batch.x.expand(groups.shape[1], 1)), samples=many, generator=torch.Generator(), latent=(z,)
    )
    found = ImportanceWeighted()(terms).bound.detach()
    (one,) = posterior_on_grid(smallest(at), batch, tolerance=1e-7)
    error = float(found.std() / math.sqrt(len(found))) if len(found) > 1 else 0.0
    told = {"K": many, "mean of log (1/K Σ w)": float(found.mean()), "its standard error": error}
    ends = {"ELBO in closed form": one.elbo, "log p(x)": one.log_evidence}
    return told | ends | {"log p(x) less the mean": one.log_evidence - float(found.mean())}


def estimates(at, given):
    """By quadrature over the noise, exact for what is a square of it."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    z, weights = at["mean"] + at["deviation"] * f64(nodes)[:, None, None], f64(weights / weights.sum())
    batch = Batch(x=f64([[at["x"]]]))
    terms = smallest(at).terms(batch, samples=20, generator=torch.Generator(), latent=(z,))
    fitted, rest = terms.log_likelihood[:, 0], (terms.log_prior - terms.log_posterior)[0, :, 0]
    (one,) = posterior_on_grid(smallest(at), batch, tolerance=1e-7)

    def both(a, b):
        return (weights @ (a * b) - (weights @ a) * (weights @ b)).item() / at["draws"]

    found = {"Var A / L": both(fitted + rest, fitted + rest), "Var B / L": both(fitted, fitted)}
    found |= {"Var R / L": both(rest, rest), "2 Cov(log p(x|z), R) / L": 2 * both(fitted, rest)}
    return found | {"ELBO, the mean of both": one.elbo, "KL(q‖p(z|x))": one.divergence}


def estimators(at, given):
    """By quadrature, exact for these polynomials; without a constant it is what `GaussianSquare` says."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    mu, sigma = at["mu"], at["sigma"]
    known, z, score = GaussianSquare(float(mu), float(sigma)), mu + sigma * nodes, nodes / sigma

    def variance(draws):
        return float(weights @ draws**2 - (weights @ draws) ** 2) / at["draws"]

    plain = variance((z**2 - at["constant"]) * score)
    if at["constant"] == 0:
        assert plain == pytest.approx(known.score_function[0] / at["draws"])
    found = {
        "∂E[f]/∂μ": known.mean[0],
        "variance, score function": plain,
        "variance, … less E[f]": known.leave_one_out[0] / at["draws"],
        "variance, … less the best constant": known.optimal[0] / at["draws"],
        "variance, reparameterised": known.reparameterized[0] / at["draws"],
    }
    ratio = plain / found["variance, reparameterised"]
    return found | {"draws that the score function needs for one of the path": ratio}


def mean_field(at, given):
    covariance = f64([[1.0, at["rho"]], [at["rho"], 1.0]])
    field = GaussianMeanField(f64([0.0, 0.0]), torch.linalg.inv(covariance))
    updates = len(at["path"]) - 1
    path = field.path(f64([at["first"], at["second"]]), (updates + 1) // 2)[: updates + 1]
    bounds = torch.stack([-field.divergence(one) for one in path])
    found = {
        "updates": updates,
        "m₁": float(path[-1, 0]),
        "m₂": float(path[-1, 1]),
        "ELBO = −KL(q‖p)": float(bounds[-1]),
    }
    found["highest ELBO"] = -float(field.divergence(field.mean))
    found["smallest rise of the ELBO"] = float(bounds.diff().min()) if updates else 0.0
    return found | {"ρ², by which a sweep shrinks the error": at["rho"] ** 2}


FACTS = {
    "bound": (bound, SMALLEST),
    "balance": (balance, {"beta": 1.0, "sigma": 1.0, "eigenvalues": EIGENVALUES}),
    "samples": (samples, SMALLEST | {"k": 4, "noise": NOISE}),
    "estimates": (estimates, SMALLEST | {"draws": 1}),
    "estimators": (estimators, {"mu": 1.0, "sigma": 0.5, "constant": 0.0, "draws": 1}),
    "mean-field": (mean_field, {"rho": 0.9, "start": [-0.5, 2.5]}),
}


@pytest.fixture(scope="module")
def opened(browser, show, tmp_path_factory):
    """A page with live parts, opened by its path; nothing may be asked for elsewhere, and nothing complained of."""
    folder, pages = tmp_path_factory.mktemp("live"), []
    (folder / "live.js").write_text(loaded(DOCS / "live_script.py").script())
    (folder / "live.css").write_text((DOCS / "static" / "live.css").read_text())

    def open_parts(*parts, **how):
        place = folder / f"{len(pages)}.html"
        place.write_text(
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>live</title><link rel="stylesheet" '
            'href="live.css"><script src="live.js" defer></script></head><body>'
            + "".join(one._repr_html_() for one in parts)
            + "</body></html>"
        )
        page = browser.new_page(**{"viewport": {"width": 900, "height": 900}} | how)
        page.said, page.asked = [], []
        page.on("console", lambda one: page.said.append(one.text))
        page.on("pageerror", lambda one: page.said.append(str(one)))
        page.on("request", lambda one: page.asked.append(one.url))
        page.goto(place.as_uri())
        page.wait_for_function("document.querySelectorAll('.live:not([data-ready])').length === 0")
        pages.append(page)
        return page

    yield open_parts
    for page in pages:
        assert page.said == []
        assert {one.split("/")[-1] for one in page.asked} <= {"live.js", "live.css", page.url.split("/")[-1]}
        page.close()


READ = """() => { const root = document.querySelector('.live'); return { state: root.state, difference:
  Number(root.dataset.difference), numbers: Object.fromEntries(Array.from(root.querySelectorAll('dd'), (one) =>
  [one.dataset.name, Number(one.dataset.value)])) }; }"""


def agrees(page, expected, given):
    found = page.evaluate(READ)
    assert found["numbers"] == pytest.approx(expected(found["state"], given), **CLOSE)
    return found


def moves(page, name, share):
    """A slider to a share of its way; what is printed beside it has moved as well."""
    box = page.locator(f"input[name={name}]")
    low, high = (float(box.get_attribute(end)) for end in ("min", "max"))
    box.fill(box.evaluate("(one, to) => { one.value = to; return one.value; }", low + share * (high - low)))
    return float(box.input_value()), page.locator(f"label:has(input[name={name}]) output").inner_text()


@pytest.mark.parametrize("kind", FACTS)
def test_every_slider_moves_numbers_to_what_vael_gives(opened, show, kind):
    expected, given = FACTS[kind]
    begun = (
        {**given, "first": given["start"][0], "second": given["start"][1], "path": [0]} if "start" in given else given
    )
    page = opened(show.live(kind, expected(begun, given), **given))
    assert page.evaluate(READ)["difference"] < 1e-6
    assert "gave the same" in page.locator(".live-told").inner_text()
    before = agrees(page, expected, given)
    for name in page.locator("input[type=range]").evaluate_all("(all) => all.map((one) => one.name)"):
        for share in (0.15, 0.5, 0.8):
            _, printed = moves(page, name, share)
            state = agrees(page, expected, given)["state"]
            assert float(printed.replace("−", "-")) == pytest.approx(state[name], rel=1e-3)
            if kind == "mean-field":
                for button in ("One update", "Five sweeps"):
                    page.get_by_role("button", name=button).click()
                    agrees(page, expected, given)
    page.get_by_role("button", name="Start anew").click()
    assert page.evaluate(READ) == before


def test_q_becomes_the_posterior_and_the_divergence_zero(opened, show):
    page = opened(show.live("bound", **SMALLEST))
    moves(page, "sigma", 0.3)
    page.get_by_role("button", name="q = the exact posterior").click()
    found = agrees(page, bound, SMALLEST)["numbers"]
    assert abs(found["KL(q‖p(z|x))"]) < 1e-12
    assert found["ELBO"] == pytest.approx(found["log p(x)"], abs=1e-12)


def test_sliders_have_labels_and_keys_move_them(opened, show):
    page = opened(show.live("bound", **SMALLEST))
    box = page.get_by_label("mean of q")
    box.focus()
    page.keyboard.press("ArrowRight")
    found = agrees(page, bound, SMALLEST)
    assert found["state"]["mean"] == pytest.approx(0.21)
    assert box.get_attribute("aria-valuetext") == "0.21"
    assert page.locator("svg[role=img][aria-label]").count() == 2


def test_a_number_that_is_not_that_of_the_page_is_told(opened, show):
    page = opened(show.live("bound", {"log p(x)": -1.0}, **SMALLEST))
    assert "differ" in page.locator(".live-told").inner_text()


def mixtures():
    unit = torch.eye(2).double().repeat(2, 1, 1)
    truth = GaussianMixture(2, 2).assign(Components(f64([0.35, 0.65]), f64([[-1.5, 0.0], [1.5, 1.0]]), unit))
    x = truth.sample(60, generator=torch.Generator().manual_seed(2))
    start = Components(f64([0.5, 0.5]), f64([[1.0, 2.0], [2.0, -1.0]]), 3 * unit)
    one = Components(f64([0.4, 0.6]), f64([[-3.5], [0.2]]), torch.ones(2, 1, 1).double())
    return {"two-axes": (x, start, ["weight", "mean", "covariance"]), "one-axis": (x[:, :1], one, ["mean"])}


@pytest.mark.parametrize("name", ["two-axes", "one-axis"])
def test_steps_of_em_are_those_of_the_library(opened, show, name):
    x, start, free = mixtures()[name]
    model = GaussianMixture(2, x.shape[1], Full()).assign(start)
    shares, bounds, steps = start.weight.expand(len(x), 2), [], 0
    given = {part: getattr(start, part) for part in ("weight", "mean", "covariance")}
    reach = [[-6, 6]] * x.shape[1]
    page = opened(show.live("mixture", points=x, components=given, free=free, reach=reach))

    def expect():
        nonlocal shares
        shares = model.encode(Batch(x=x))
        noted()

    def maximise():
        nonlocal steps
        found = model.maximizer(model.statistics(x, shares))
        kept = {part: getattr(found if part in free else start, part).clone() for part in given}
        model.assign(Components(**kept))
        steps += 1
        noted()

    def noted():
        bounds.append(float(decompose(model.log_joint(x), shares).elbo.mean()))

    def check():
        found, one = page.evaluate(READ), decompose(model.log_joint(x), shares)
        assert found["numbers"] == pytest.approx({
            "M-steps": steps,
            "log p(X|θ) per point": float(one.log_prob.mean()),
            "bound L(Q, θ)": float(one.elbo.mean()),
            "KL(Q‖P(Z|X, θ))": float(one.divergence.mean()),
            "smallest rise of the bound": min(np.diff(bounds), default=0.0),
        }, **CLOSE)  # fmt: skip
        assert found["numbers"]["smallest rise of the bound"] > -1e-12, "neither step lets the bound fall"
        for part in given:
            assert np.array(found["state"]["components"][part]) == pytest.approx(
                getattr(model.components, part).numpy(), **CLOSE
            )

    noted()
    check()
    for button in ("E-step", "M-step", "E-step", "E-step", "M-step", "M-step", "Ten of both"):
        page.get_by_role("button", name=button).click()
        for act in {"E-step": [expect], "M-step": [maximise], "Ten of both": [expect, maximise] * 10}[button]:
            act()
        check()


@pytest.fixture(scope="module")
def picture_model():
    decode, noise = Dense((2,), (1, 8, 8), (32,)), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in decode.parameters():
            weights.normal_(0, 0.3, generator=noise)
    return VAE(StandardNormal(2), Decoder(decode, BernoulliHead()), Given(torch.ones(2), torch.zeros(2)))


@pytest.fixture(scope="module")
def decoding(show, picture_model):
    """Traced once: that takes longest here."""
    codes = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    return show.live_decoder(picture_model, codes, list(range(10)) * 5, (0.3, -0.2))


def test_a_dragged_point_is_decoded_as_in_python(opened, decoding, picture_model):
    page = opened(decoding)
    assert page.evaluate(READ)["difference"] < 1e-6

    def check():
        found = page.evaluate(READ)
        z = torch.tensor([[found["state"]["first"], found["state"]["second"]]])
        mean = picture_model.decode((z[None],)).mean[0, 0, 0].detach()
        told = found["numbers"]
        assert told["mean of the pixels"] == pytest.approx(float(mean.double().mean()), **CLOSE)
        assert told["log p(z)"] == pytest.approx(float(picture_model.prior(None).log_prob(z)), **CLOSE)
        shown = page.evaluate(
            "() => { const one = document.querySelector('.live-image'); return Array.from(one.getContext('2d')"
            ".getImageData(0, 0, one.width, one.height).data).filter((_, place) => place % 4 === 0); }"
        )
        assert np.abs(np.array(shown) - (255 * mean.clamp(0, 1)).flatten().numpy()).max() <= 0.5 + 1e-4
        return z

    check()
    box = page.locator(".live-map").bounding_box()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.up()
    dragged = check()
    assert float(dragged[0, 0]) > 0.3
    assert float(dragged[0, 1]) > 0
    for name in ("first", "second"):
        for share in (0.1, 0.9):
            moves(page, name, share)
            check()


def test_attributes_move_a_picture_as_in_python(opened, show, picture_model):
    z, directions = torch.tensor([4.4, -5.0]), {"slant": torch.tensor([0.6, 0.8]), "ink": torch.tensor([-1.0, 0.0])}
    page = opened(show.live_attributes(picture_model, z, directions))
    assert page.evaluate(READ)["difference"] < 1e-6
    for name, share in (("slant", 0.9), ("ink", 0.2)):
        moves(page, name, share)
        found = page.evaluate(READ)
        at = z + sum(found["state"][one] * direction for one, direction in directions.items())
        told = {
            "length of z": at.double().norm(),
            "log p(z)": picture_model.prior(None).log_prob(at[None].double())[0],
            "mean of the pixels": picture_model.decode((at[None, None],)).mean.double().mean(),
        }
        assert found["numbers"] == pytest.approx({one: value.item() for one, value in told.items()}, **CLOSE)


def luminance(colour):
    """WCAG 2.1, relative luminance."""
    digits = colour.lstrip("#")
    parts = [
        int(part, 16) / 255 for part in ([2 * c for c in digits] if len(digits) == 3 else re.findall("..", digits))
    ]
    return sum(
        share * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
        for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
    )


def test_text_and_lines_stand_out_from_what_is_behind_them():
    """WCAG 2.1 AA: 4.5 to 1 for text, 3 to 1 for what a figure is made of."""
    schemes = [
        dict(re.findall(r"--(\w+): (#\w+)", block))
        for block in re.findall(r"\.live \{([^}]*--ink[^}]*)\}", (DOCS / "static" / "live.css").read_text())
    ]
    assert len(schemes) == 3
    for colours in schemes:
        for name, least in {"ink": 4.5, "quiet": 4.5, "q": 3, "exact": 3, "other": 3}.items():
            for behind in ("soft", "page"):
                low, high = sorted(luminance(colours[one]) for one in (name, behind))
                assert (high + 0.05) / (low + 0.05) >= least, (name, behind, colours)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_telephone(opened, show, decoding, scheme):
    x, start, free = mixtures()["two-axes"]
    steps = show.live("mixture", points=x, components=vars(start), free=free, reach=[[-6, 6]] * 2)
    parts = [*(show.live(kind, **given) for kind, (_, given) in FACTS.items()), steps, decoding]
    page = opened(*parts, viewport={"width": 400, "height": 900}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate(LOST) == []
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/live-{scheme}-400.png", full_page=True)


LOST = """() => Array.from(document.querySelectorAll('.live svg text')).filter((one) => { const box =
  one.getBoundingClientRect(), all = one.ownerSVGElement.getBoundingClientRect(); return box.left < all.left - 1 ||
  box.right > all.right + 1; }).map((one) => one.textContent)"""


LIVE = re.compile(r"^live(_\w+)?\(", re.M)
WITH_PARTS = [page for page in sorted((DOCS / "gallery").glob("*/*.md")) if LIVE.search(page.read_text())]
QUICK = ("06-bound",)  # the others train, or draw a million times


def test_the_contents_name_every_page_with_a_part_that_moves():
    before = (DOCS / "gallery" / "index.md").read_text().split("Across the lectures")[0]
    named = re.findall(r"\]\(([\w/-]+\.md)\)", before)
    assert sorted(named) == [str(page.relative_to(DOCS / "gallery")) for page in WITH_PARTS]
    assert len(named) == 12
    assert "twelve" in before


@pytest.mark.parametrize(
    "place", [pytest.param(one, id=one.stem, marks=() if one.stem in QUICK else pytest.mark.slow) for one in WITH_PARTS]
)
def test_a_page_prints_the_numbers_that_its_parts_begin_with(opened, place, monkeypatch):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    if "IPython" in place.read_text():
        pytest.importorskip("IPython", reason="IPython comes with the extra 'docs'")
    monkeypatch.syspath_prepend(str(DOCS / "gallery"))
    monkeypatch.delitem(sys.modules, "show", raising=False)
    monkeypatch.delenv("VAEL_DATA", raising=False)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    runner, names, parts = loaded(DOCS / "page.py"), {"__name__": "__main__"}, []
    with mpl.rc_context():
        for line, code in runner.cells(place.read_text()):
            shown = runner.evaluate(code, line, names, str(place))
            plt.close("all")
            parts += [shown] if type(shown).__name__ == "Live" else []
    sys.modules.pop("show", None)
    assert all(part.told for part in parts)
    page = opened(*parts)
    differences = page.locator(".live").evaluate_all("(all) => all.map((one) => Number(one.dataset.difference))")
    assert len(differences) == len(LIVE.findall(place.read_text()))
    assert max(differences) < 1e-6


def test_each_kind_is_on_a_page_of_the_gallery():
    named = set()
    for page in (DOCS / "gallery").glob("*/*.md"):
        text = page.read_text()
        named |= set(re.findall(r'\blive\(\s*"([\w-]+)"', text)) | set(re.findall(r"^live_(\w+)\(", text, re.M))
    assert named == {*FACTS, "mixture", "decoder", "attributes"}
    written = re.search(r"export const kinds = \{(.*)\}", (DOCS / "live" / "kinds.js").read_text())[1]
    assert {re.split(r":", one)[0].strip(' "') for one in written.split(",")} == named
