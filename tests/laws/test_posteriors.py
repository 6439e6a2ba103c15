"""Laws of every posterior that has a name, in a small model with two latents: normalised, drawn as its density says,
and log p(x) by importance weights from its draws is that by integration or enumeration.
"""

import itertools
import math

import pytest
import torch

from oracles import generator
from vael.data import Batch, Kind
from vael.data.facts import Facts
from vael.inference import drawn_and_weighed
from vael.inference.algorithm import Moment
from vael.inference.bound import Bound
from vael.inference.compiled import FlatBound
from vael.inference.graphs import captured
from vael.models.families import PosteriorPart, PriorPart
from vael.models.flows.parts import InverseAutoregressivePart
from vael.models.likelihoods.parts import GaussianPart
from vael.models.parts import VAEPart
from vael.networks.parts import DensePart
from vael.objectives import ELBO, ScoreFunction, StickingTheLanding
from vael.parts import members
from vael.probability import Stream, draw, law_at

FEATURES, LEVELS, DRAWS = 2, 3, 8000
POSTERIORS = members(PosteriorPart)
EACH = pytest.mark.parametrize("kind", POSTERIORS)
PRIORS = {"real": {"kind": "standard-normal"}, "bits": {"kind": "bernoulli"}, "categories": {"kind": "categorical"}}
LEAVES = {
    "flow": {"context": 2, "flow": InverseAutoregressivePart(layers=2, hidden=(6,))},
    "refined": {"steps": 4},
}
CALM = {"flow": 0.1}  # how far from their start parameters are, where 0.3 is very far


def part_of(kind, **more):
    """A posterior and a prior that fit each other."""
    latents = POSTERIORS[kind].latents
    levels = {"levels": LEVELS} if latents == "categories" else {}
    posterior = POSTERIORS[kind](**LEAVES.get(kind, {}), **levels, **more)
    return posterior, PriorPart.model_validate({**PRIORS[latents], **levels})


def model_of(kind, dtype=torch.float64, **more):
    """A model of rows of three numbers, away from where it starts."""
    posterior, prior = part_of(kind, **more)
    part = VAEPart(
        latent=FEATURES, prior=prior, posterior=posterior, likelihood=GaussianPart(), network=DensePart(hidden=(5,))
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        facts = Facts("rows", (3,), Kind.REAL, None)
        made = part.settled(facts).build(facts).to(dtype)
        with torch.no_grad():
            for weights in made.parameters():
                weights += CALM.get(kind, 0.3) * torch.randn(weights.shape, dtype=dtype)
    return made


def rows(dtype=torch.float64):
    return Batch(x=torch.randn(3, 3, generator=generator(9), dtype=dtype))


def support(kind):
    """Points `[points, 1, numbers]` and the logarithm of what each stands for."""
    latents = POSTERIORS[kind].latents
    if latents == "real":
        line = torch.arange(-7, 7.04, 0.07, dtype=torch.float64)
        return torch.cartesian_prod(line, line)[:, None], 2 * math.log(0.07)
    values = {"bits": torch.eye(2)[:, 1:], "categories": torch.eye(LEVELS)}[latents].double()
    return torch.stack([torch.cat(each) for each in itertools.product(values, repeat=FEATURES)])[:, None], 0.0


@EACH
def test_it_is_a_distribution_and_gives_log_p_by_weights(kind):
    """Draws: means and squares within 5 standard errors, 12 or so of them, and log p(x) of three rows by 8,000 weights
    within 5 (delta method): false-alarm rate 1e-5 a posterior.
    """
    model, batch = model_of(kind).eval(), rows()
    points, log_measure = support(kind)
    with torch.no_grad():
        q = model.infer(batch)
        log_q = q.log_prob(points)
        assert log_q.shape == (len(points), 3)
        torch.testing.assert_close((log_q + log_measure).logsumexp(0), torch.zeros(3).double(), rtol=0, atol=1e-6)
        z = draw(q, DRAWS, generator())
        exact = torch.einsum(
            "pb,pbn->bn", (log_q + log_measure).exp(), torch.cat((points, points**2), -1).expand(-1, 3, -1)
        )
        each = torch.cat((z, z**2), -1)
        assert ((each.mean(0) - exact).abs() <= 5 * each.std(0) / math.sqrt(DRAWS) + 1e-9).all()
        terms = model.terms(batch, samples=len(points), generator=generator(), latent=(points.expand(-1, 3, -1),))
        log_p = (terms.log_likelihood + terms.log_prior[0] + log_measure).logsumexp(0)
        log_w = drawn_and_weighed(model, batch, q, DRAWS, generator(4)).log_weight
        found, w = log_w.logsumexp(0) - math.log(DRAWS), (log_w - log_w.max(0).values).exp()
        assert ((found - log_p).abs() <= 5 * w.std(0) / w.mean(0) / math.sqrt(DRAWS) + 1e-6).all()


@pytest.mark.parametrize("kind", [kind for kind, part in POSTERIORS.items() if part.latents == "real"])
def test_its_rows_can_be_chosen_from(kind):
    """As proposals that are fitted to single examples do."""
    with torch.no_grad():
        q, which = model_of(kind).eval().infer(rows()), torch.tensor([2, 0])
        z = draw(q, 4, generator())[:, which]
        whole = q.log_prob(draw(q, 4, generator()))[:, which]
        torch.testing.assert_close(law_at(q, which).log_prob(z), whole)


@EACH
def test_no_numbers_break_it(kind):
    """Weights of the encoder far beyond what training gives: finite densities of its own draws, and gradients."""
    for scale in (-30.0, 30.0):
        model, batch = model_of(kind, torch.float32), rows(torch.float32)
        with torch.no_grad():
            for number, weights in enumerate(model.posterior.parameters()):
                weights.copy_(scale * torch.randn(weights.shape, generator=generator(number)))
        q = model.infer(batch)
        log_q = q.log_prob(draw(q, 4, generator()))
        assert bool(log_q.isfinite().all())
        found = torch.autograd.grad(log_q.sum(), list(model.posterior.parameters()), allow_unused=True)
        assert all(bool(gradient.isfinite().all()) for gradient in found if gradient is not None)


def steps_of(kind):
    """The objectives that a step is compiled with, and the leaves of the posterior."""
    part = POSTERIORS[kind]
    if not part.reparameterized:
        return [(ScoreFunction(), {})]
    more = [{"in_training": True}] if kind == "refined" else [{"relaxed": True}] if kind == "gumbel-softmax" else []
    along = [(StickingTheLanding(), {})] if part.exact_paths else []
    return [(ELBO(), leaves) for leaves in ({}, *more)] + along


@EACH
def test_a_captured_step_is_the_eager_one(kind):
    """The graph that is compiled, executed as it was captured: the same gradients with the same noise."""
    batch = Batch(x=rows(torch.float32).x, weight=torch.ones(3))
    for objective, leaves in steps_of(kind):
        model = model_of(kind, torch.float32, **leaves).train()
        bound = Bound(model, objective, samples=2)
        named = dict(model.named_parameters())
        flat = FlatBound(bound, list(named), batch)
        moment = Moment(0.5, 1.0, Stream(generator(7)), 3)
        scalars = torch.tensor([0.5, 1 / 3])
        given = [*(p.detach() for p in named.values()), scalars, *flat.inputs(batch, moment)]

        def step(*tensors, flat=flat, named=named):
            count = len(named)
            climb = flat.climb(tensors[:count], tensors[count + 1 :], *tensors[count].unbind())
            return [climb.surrogate, climb.totals, *climb.gradients]

        surrogate, _, *gradients = captured(step, given)(*given)
        eager, _ = bound(batch, 0.5, Stream(generator(7)))
        torch.testing.assert_close(surrogate, eager, rtol=1e-5, atol=1e-5)
        expected = torch.autograd.grad(-eager / 3, list(named.values()))
        for name, found, right in zip(named, gradients, expected, strict=True):
            torch.testing.assert_close(
                found, right, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
            )
