"""What a model says that it can do it does, and what it cannot do is refused by one sentence; a model with two levels
of latents that the package has never heard of goes wherever its capabilities let it.
"""

import copy
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from toys import TwoStoreys

from vael import domains
from vael.applications.aggregate import aggregate_samples, fit_aggregate
from vael.applications.anomaly import AnomalyDetector, Score, scores_for
from vael.applications.generation import mean_samples
from vael.applications.generation import samples as samples_of
from vael.applications.imputation import impute
from vael.applications.latents import aggregate_gaussian, drawn, prior_latents
from vael.applications.traversal import decoded
from vael.cli.judging import refuse_draws
from vael.cli.options.parser import UsageError
from vael.compression import SafeLevel
from vael.compression.bits_back import decode, encode
from vael.data import Batch, Source, Splits
from vael.data import Kind as DataKind
from vael.data.corruption import Masking
from vael.errors import StateError
from vael.evaluation import (
    CodeJudgement,
    ErrorJudgement,
    Evaluation,
    ExactJudgement,
    PredictionJudgement,
    evaluate_encoder,
    evaluate_refined,
    judge,
    row_terms,
)
from vael.inference import LaplacePosterior, can_be_joint, weighed
from vael.models import (
    VAE,
    Autoencoder,
    AutoregressiveCodes,
    BayesianGaussianMixture,
    BernoulliHead,
    CellWise,
    Classifies,
    ClassPosterior,
    ClassShares,
    ClosedForm,
    CodeGrid,
    Codes,
    CodeVector,
    Continues,
    CoupledLogisticMixtureHead,
    Decoder,
    Decodes,
    Encodes,
    ExactLikelihood,
    GaussianHead,
    GaussianMixture,
    GaussianPosterior,
    LatentModel,
    LatentVector,
    MixturePrior,
    Model,
    Predicts,
    Reconstructs,
    Samples,
    SemiSupervised,
    SquaredErrorHead,
    StandardNormal,
    Whitens,
    has,
    jumpy_state_space,
    needs,
    posterior_levels,
    prior_levels,
    state_space,
)
from vael.models.flows.density import FlowDensity
from vael.models.flows.parts import CouplingPart
from vael.models.hierarchical import HierarchicalVAE
from vael.networks import CodeBook, Dense
from vael.networks.conditioned import Conditioned
from vael.networks.ladder import ConvolutionLadder, DenseLadder
from vael.probability import PerExample, as_noise
from vael.recipes import vq_vae
from vael.report import ReportInput, write
from vael.report.gather import divergence_at_top, divergence_of_levels
from vael.training import Row

CAPABILITIES = (
    Samples,
    Reconstructs,
    Encodes,
    Decodes,
    CodeVector,
    Codes,
    ExactLikelihood,
    ClosedForm,
    CellWise,
    Classifies,
    Continues,
    LatentModel,
    LatentVector,
    Predicts,
    Whitens,
)
EVENT, VECTOR = (1, 4, 4), (3,)
EXAMPLES = 6


def noise(seed=0):
    return as_noise(torch.Generator().manual_seed(seed))


def vae(event=EVENT, head=None):
    head = head or BernoulliHead()
    encode = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(event).numel(), 4))
    channels = head.channels_per_cell * event[0]
    decode = Dense((2,), (channels, *event[1:]), (), nn.SiLU)
    return VAE(StandardNormal(2), Decoder(decode, head), GaussianPosterior(encode))


def autoencoder(density=None):
    encode = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    return Autoencoder(encode, Decoder(Dense((3,), EVENT, (), nn.SiLU), SquaredErrorHead()), density=density)


def bayesian():
    prior = MixturePrior(torch.zeros(3), torch.eye(3), 5.0)
    return BayesianGaussianMixture(2, prior)


def hierarchy():
    ladder = DenseLadder(EVENT, EVENT, (2, 3, 4), 8)
    return HierarchicalVAE(nn.Identity(), ladder, BernoulliHead(), nn.Identity(), sees_gaps=False)


def of_classes(classes=3):
    encode = Conditioned(nn.Flatten(), nn.Linear(16 + classes, 4), flat=True)
    given = VAE(
        StandardNormal(2),
        Decoder(Dense((2 + classes,), EVENT, (), nn.SiLU), BernoulliHead()),
        GaussianPosterior(encode),
        context=classes,
    )
    told = ClassPosterior(nn.Sequential(nn.Flatten(), nn.Linear(16, classes)))
    return SemiSupervised(ClassShares(classes), told, given)


@dataclass(frozen=True)
class Kind:
    """A model, and what it can do."""

    build: Callable[[], Model]
    can: frozenset
    event: tuple[int, ...] = EVENT


KEEPS = frozenset({Reconstructs, Encodes, Decodes})
LATENT = KEEPS | {Samples, LatentModel}
VECTOR_OF = LATENT | {CodeVector, LatentVector}
KINDS = {
    "vae": Kind(vae, VECTOR_OF | {CellWise}),
    "coupled": Kind(lambda: vae((3, 2, 2), CoupledLogisticMixtureHead(4, 2)), VECTOR_OF, (3, 2, 2)),
    "two levels": Kind(lambda: TwoStoreys(EVENT), LATENT | {CellWise}),
    "autoencoder": Kind(autoencoder, KEEPS | {CodeVector}),
    "autoencoder with a density": Kind(lambda: autoencoder(GaussianMixture(2, 3)), KEEPS | {Samples, CodeVector}),
    "vq-vae": Kind(
        lambda: vq_vae(EVENT, BernoulliHead(), CodeBook(6, 3), channels=(8,)),
        KEEPS | {Samples, Codes},
    ),
    "codes": Kind(
        lambda: AutoregressiveCodes([CodeGrid(2, 2, 2)], channels=4, layers=1),
        frozenset({Samples, ExactLikelihood}),
        (4,),
    ),
    "flow": Kind(lambda: FlowDensity(3, CouplingPart().build(3)), frozenset({Samples, ExactLikelihood}), (3,)),
    "mixture": Kind(lambda: GaussianMixture(2, 3), LATENT | {ExactLikelihood, ClosedForm}, VECTOR),
    "bayesian mixture": Kind(bayesian, LATENT | {ExactLikelihood, ClosedForm}, VECTOR),
    "state space": Kind(
        lambda: state_space((5, 3), GaussianHead(), latent=2, hidden=4), LATENT | {CellWise, Continues}, (5, 3)
    ),
    "jumps": Kind(
        lambda: jumpy_state_space((5, 3), GaussianHead(), latent=2, hidden=4, farthest=2),
        frozenset({Samples, Encodes, Predicts}),
        (5, 3),
    ),
    "hierarchy": Kind(hierarchy, LATENT | {CodeVector, CellWise, Whitens}),
    "classes": Kind(of_classes, LATENT | {CellWise, Classifies}),
}


def built(kind):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return kind.build().eval()


def given(kind):
    x = torch.rand(EXAMPLES, *kind.event, generator=torch.Generator().manual_seed(2)).round()
    return Batch(x=x, index=torch.arange(EXAMPLES))


def samples(model, kind):
    drawn = model.sample(2, generator=noise())
    assert drawn.shape[0] == 2
    assert drawn.dim() == 1 + len(kind.event)


def reconstructs(model, kind):
    assert model.reconstruct(given(kind)).shape == (EXAMPLES, *kind.event)


def encodes(model, kind):
    code = model.encode(given(kind))
    assert code.dim() == 2
    assert len(code) == EXAMPLES
    assert torch.equal(code, model.encode(given(kind)))


def codes(model, kind):
    found = model.codes(given(kind))
    assert len(found) == EXAMPLES
    assert not found.is_floating_point()
    assert int(found.max()) < max(model.sizes)


def exact(model, kind):
    batch = given(kind)
    assert model.log_prob(batch.x).shape == (EXAMPLES,)
    alone = torch.cat([model.log_prob(row[None]) for row in batch.x])
    torch.testing.assert_close(model.log_prob(batch.x), alone)


def leaves_out(model, kind):
    """Nothing of a hidden element reaches the likelihood."""
    whole = given(kind)
    observed = torch.ones_like(whole.x, dtype=torch.bool)
    observed.flatten(1)[:, 0] = False
    terms = []
    for value in (0.0, 1.0):
        x = torch.where(observed, whole.x, value)
        batch = Batch(x=x, observed=observed, index=whole.index)
        terms.append(model.terms(batch, generator=noise()).log_likelihood)
    assert torch.equal(*terms)


def continues(model, kind):
    batch = given(kind)
    z = posterior_levels(model, batch, 3, PerExample(0, batch.index))
    after = model.after(z, 2, PerExample(1, batch.index))
    assert [level.shape for level in after] == [level.shape for level in z[-2:]]
    assert not torch.equal(*after)


def latents(model, kind):
    batch, depth = given(kind), model.depth(kind.event)
    z = posterior_levels(model, batch, 3, PerExample(0, batch.index))
    assert len(z) == depth
    assert all(level.shape[:2] == (3, EXAMPLES) for level in z)
    found = weighed(model, batch, z)
    log_w = torch.zeros_like(found.log_weight)  # the weight by its definition, level by level
    for level in range(depth):
        log_w += model.prior_at(z[:level]).log_prob(z[level]) - model.posterior_at(z[:level], batch).log_prob(z[level])
    log_x = model.decode(z).log_prob(batch.x)
    log_w += log_x.flatten(2).sum(2) if log_x.dim() > 2 else log_x
    if "mixture" not in type(model).__name__.lower():
        torch.testing.assert_close(found.log_weight, log_w, rtol=1e-4, atol=1e-4)
    assert found.log_weight.isfinite().all()
    above = prior_levels(model, 4, noise(), event=kind.event)
    assert model.decode(above).mean.shape[:2] == (1, 4)


def vector(model, kind):
    q = model.infer(given(kind))
    assert len(q.event_shape) == 1
    assert model.prior(None).event_shape == q.event_shape


def whitens(model, kind):
    """Of no variate but its own does a latent of the first level depend; terms are those at the same latents."""
    batch, u = given(kind), torch.randn(2, EXAMPLES, model.variates, generator=torch.Generator().manual_seed(1))
    found = model.at_variates(batch)(u)
    again = model.terms(batch, samples=2, generator=noise(), latent=found.latent)
    torch.testing.assert_close(found.log_posterior, again.log_posterior)
    torch.testing.assert_close(found.log_likelihood, again.log_likelihood)
    assert sum(level.shape[-1] for level in found.latent) == model.variates


def decodes(model, kind):
    """What is kept gives the reconstruction, and is kept without a draw."""
    batch = given(kind)
    kept = model.latents(batch)
    assert all(level.shape[:2] == (1, EXAMPLES) for level in kept)
    assert all(torch.equal(*both) for both in zip(kept, model.latents(batch), strict=True))
    torch.testing.assert_close(model.decode(kept).mean[0], model.reconstruct(batch))


def code_vector(model, kind):
    """What is kept of an example is its code, and so it is where the code has several levels side by side."""
    batch = given(kind)
    code = model.encode(batch)[None]
    for kept, level in zip(model.latents(batch), model.in_levels(code), strict=True):
        torch.testing.assert_close(kept, level)
    between = code.mean(1, keepdim=True)
    assert model.decode(model.in_levels(between)).mean.shape == (1, 1, *kind.event)


def closed_form(model, kind):
    """All seen: log p(x) of what is drawn from; nothing seen: its mean."""
    x = given(kind).x
    found = model.rows.given(x, torch.ones_like(x, dtype=torch.bool))
    torch.testing.assert_close(found.mean, x.double())
    if isinstance(model, GaussianMixture):
        torch.testing.assert_close(found.log_prob, model.log_prob(x))
    nothing = model.rows.given(x, torch.zeros_like(x, dtype=torch.bool))
    torch.testing.assert_close(nothing.mean[0], model.rows.weight @ model.rows.mean)


def classifies(model, kind):
    """Probabilities of classes, and a model of each class whose draws and bound need no class."""
    batch = given(kind)
    probs = model.classify(batch).probs
    assert probs.shape == (EXAMPLES, model.classes)
    torch.testing.assert_close(probs.sum(1), torch.ones(EXAMPLES))
    for place in range(model.classes):
        one, rows = model.at_class(place), model.in_class(batch, place)
        torch.testing.assert_close(one.infer(batch).mean, model.given.infer(rows).mean)
        assert one.sample(2, generator=noise()).shape == (2, *kind.event)


def predicts(model, kind):
    """What comes after a part hangs on that part alone, and so do the weights of its frames."""
    batch, time = given(kind), kind.event[0]
    assert model.believed(batch).shape[:2] == (EXAMPLES, time)
    assert model.ahead(batch, 3, 4, PerExample(0, batch.index)).mean.shape == (4, EXAMPLES, 3, *kind.event[1:])
    log_w = model.log_ahead(batch, 2, 4, PerExample(0, batch.index))
    assert log_w.shape == (4, EXAMPLES, time - 1)
    x = batch.x.clone()
    x[:, -1] += 1
    other = model.log_ahead(Batch(x=x, index=batch.index), 2, 4, PerExample(0, batch.index))
    assert torch.equal(log_w[..., :-1], other[..., :-1])
    assert not torch.equal(log_w[..., -1], other[..., -1])


WORKS = {
    Predicts: predicts,
    Classifies: classifies,
    Decodes: decodes,
    Continues: continues,
    CodeVector: code_vector,
    ClosedForm: closed_form,
    Samples: samples,
    Reconstructs: reconstructs,
    Encodes: encodes,
    Codes: codes,
    ExactLikelihood: exact,
    CellWise: leaves_out,
    LatentModel: latents,
    LatentVector: vector,
    Whitens: whitens,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda one: one.__name__)
def test_a_capability_works_or_is_refused(name, capability):
    kind = KINDS[name]
    model = built(kind)
    if capability in kind.can:
        assert needs(model, capability, "this test") is model
        with torch.no_grad():
            WORKS[capability](model, kind)
    else:
        assert not has(model, capability)
        with pytest.raises(StateError, match=rf"this test needs .*\({capability.__name__}\).*{type(model).__name__}"):
            needs(model, capability, "this test")


def test_every_capability_of_the_package_stands_in_the_table():
    from vael.models.capabilities import Capability

    def below(one):
        return {one}.union(*(below(child) for child in one.__subclasses__()))

    known = {one for one in below(Capability) if one.__module__ == Capability.__module__} - {Capability}
    assert known == set(CAPABILITIES)


def test_every_model_of_the_package_stands_in_the_table():
    """One that nobody put through these laws may promise what it likes."""

    def below(one):
        return {one}.union(*(below(child) for child in one.__subclasses__()))

    own = {one.__name__ for one in below(Model) if one.__module__.startswith("vael.models.") and not abstract(one)}
    assert own == {type(built(kind)).__name__ for kind in KINDS.values()} - {"TwoStoreys"}


def abstract(one):
    return bool(one.__abstractmethods__)


def test_the_predictive_density_of_the_bayesian_mixture_is_a_density():
    """One component, one number: Student's t, which integrates to one; with several, against draws of μ and Λ."""
    from torch.distributions import Gamma, Normal

    model = BayesianGaussianMixture(1, MixturePrior(torch.tensor([0.3]), torch.tensor([[2.0]]), 4.0, precision=1.5))
    x = torch.linspace(-400, 400, 800_001, dtype=torch.float64)[:, None]
    assert abs(float(model.log_prob(x).exp().sum()) * 1e-3 - 1) < 1e-5
    with torch.random.fork_rng():
        torch.manual_seed(0)
        precision = Gamma(2.0, 1.0).sample((400_000,)).double()  # Wishart(W = 1/2, ν = 4) in one dimension
    point = torch.tensor([[1.1]], dtype=torch.float64)
    # μ | Λ ~ N(m, 1/(β Λ)), so x | Λ ~ N(m, (1 + 1/β) / Λ); 400,000 draws err by 0.2 %, five times that is allowed
    law = Normal(0.3, ((1 + 1 / 1.5) / precision).sqrt())
    torch.testing.assert_close(model.log_prob(point).exp()[0], law.log_prob(point[0]).exp().mean(), rtol=0.01, atol=0)


# judging


def source_of(kind, examples=12):
    x = torch.rand(examples, *kind.event, generator=torch.Generator().manual_seed(4))
    if kind.event in ((3,), (5, 3)):
        return Source("numbers", x, DataKind.REAL, "f")
    return Source("pixels", x.round().to(torch.uint8), DataKind.INTEGER, "f", levels=2)


JUDGED = {
    "vae": Evaluation,
    "coupled": Evaluation,
    "two levels": Evaluation,
    "state space": Evaluation,
    "hierarchy": Evaluation,
    "autoencoder": ErrorJudgement,
    "autoencoder with a density": ErrorJudgement,
    "vq-vae": CodeJudgement,
    "codes": ExactJudgement,
    "flow": ExactJudgement,
    "mixture": ExactJudgement,
    "bayesian mixture": ExactJudgement,
    "classes": Evaluation,
    "jumps": PredictionJudgement,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_model_is_judged_by_what_it_has(name):
    kind = KINDS[name]
    model, source = built(kind), source_of(kind)
    found = judge(model, source, importance_samples=20)
    again = judge(model, source, importance_samples=20, batch=5)
    assert type(found) is JUDGED[name]
    assert (found.examples, found.data) == (12, source.name)
    if isinstance(found, Evaluation):
        assert found.log_likelihood == pytest.approx(again.log_likelihood, abs=1e-4)
        assert found.log_likelihood > found.elbo
        assert found.divergence > 0
    else:
        for one, other in zip(found.figures, again.figures, strict=True):
            assert one.value == pytest.approx(other.value, rel=1e-5, abs=1e-6)


def test_an_error_is_called_nothing_else():
    """Neither a bound nor a likelihood, in no field, no sentence and no key."""
    found = judge(built(KINDS["autoencoder"]), source_of(KINDS["autoencoder"]))
    words = [field.name for field in fields(found)] + [str(found), repr(found), found.estimator]
    words += [word for one in found.figures for word in (one.key, one.name, one.told)]
    for word in words:
        assert not re.search(r"bound|likelihood|elbo|log.?p|nats|evidence", word.lower()), word
    x = source_of(KINDS["autoencoder"]).x.float()
    with torch.no_grad():
        error = (built(KINDS["autoencoder"]).reconstruct(Batch(x=x)) - x).square().mean()
    assert found.squared_error == pytest.approx(float(error), rel=1e-5)
    assert found.decibels == pytest.approx(-10 * math.log10(error), rel=1e-5)


def test_exact_numbers_are_exact():
    """Nothing of draws in them, and the standard error is that over examples."""
    model, source = built(KINDS["mixture"]), source_of(KINDS["mixture"])
    found = judge(model, source)
    log_p = model.log_prob(source.x)
    assert found.log_likelihood == pytest.approx(float(log_p.mean()), rel=1e-12)
    assert found.standard_error == pytest.approx(float(log_p.std()) / math.sqrt(12), rel=1e-12)
    assert not hasattr(found, "k_hat")


def test_two_levels_are_weighed_as_the_integral_has_it():
    """log p(x) of the toy by importance weights against a sum over a grid of both levels (one number each).

    20,000 draws are worth some 4,800, so the standard error of log p(x) is 0.013: seven of them are allowed, which
    fails a right estimate once in 10¹¹.
    """
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = TwoStoreys((1, 2, 2), top=1, bottom=1).double()
    x = torch.tensor([[[[1, 0], [1, 1]]]], dtype=torch.uint8)
    found = evaluate_encoder(model, Source("pixels", x, DataKind.INTEGER, "f", levels=2), importance_samples=20_000)
    line = torch.linspace(-6, 6, 401, dtype=torch.float64)
    first, second = (z.reshape(-1, 1, 1) for z in torch.meshgrid(line, line, indexing="ij"))
    joint = (
        model.prior_at(()).log_prob(first)
        + model.prior_at((first,)).log_prob(second)
        + model.decode((first, second)).log_prob(x.double()).flatten(2).sum(2)
    )
    exact = float(joint.logsumexp(0)) + 2 * math.log(float(line[1] - line[0]))
    assert found.log_likelihood == pytest.approx(exact, abs=0.1)
    assert found.elbo < exact


def test_two_levels_are_scored_and_sampled():
    kind = KINDS["two levels"]
    model = built(kind)
    detector = AnomalyDetector(model, source_of(kind, 40), source_of(kind, 20))
    verdicts = list(detector.judge(source_of(kind, 15)))
    assert sum(len(one.score) for one in verdicts) == 15
    terms = torch.cat([one.bound for one in row_terms(model, source_of(kind, 15))])
    assert torch.isfinite(terms).all()
    assert samples_of(model, 7).shape == mean_samples(model, 7).shape == (7, *EVENT)
    assert torch.equal(samples_of(model, 7), samples_of(model, 7))


@pytest.mark.parametrize("name", KINDS)
def test_whatever_decodes_scores_rows_by_what_it_has(name):
    """By its likelihood or by what errors cost, never by the other; a row alone as among others; what is strange is."""
    kind = KINDS[name]
    model = built(kind)
    if name in ("codes", "flow", "jumps"):
        with pytest.raises(StateError, match=rf"scoring needs latents or codes .*\(Decodes\).*{type(model).__name__}"):
            AnomalyDetector(model, source_of(kind, 40), source_of(kind, 20))
        return
    rows = source_of(kind, 15)
    other, own = (Score.BOUND, Score.ERROR) if not model.states_likelihood else (Score.ERROR, Score.BOUND)
    with pytest.raises(StateError, match=f"the score {other.value} was asked for, but .* has combined, "):
        AnomalyDetector(model, source_of(kind, 40), source_of(kind, 20), score=other)
    detector = AnomalyDetector(model, source_of(kind, 40), source_of(kind, 20))
    (verdict,) = detector.judge(rows)
    (alone,) = detector.judge(rows.subset(torch.tensor([2])))
    torch.testing.assert_close(alone.score, verdict.score[2:3], rtol=1e-4, atol=1e-5)
    assert all(detector.scores(rows, score).isfinite().all() for score in scores_for(model))
    torch.testing.assert_close(detector.scores(rows, own), -verdict.objective.double())
    if not model.states_likelihood:
        with torch.no_grad():
            error = (model.reconstruct(Batch(x=rows.x.float())) - rows.x).square().flatten(1).sum(1)
        torch.testing.assert_close(-verdict.objective, error)
        with pytest.raises(StateError, match="no likelihood, so it bounds nothing"):
            _ = next(row_terms(model, rows)).bound
    elif has(model, ExactLikelihood):
        torch.testing.assert_close(verdict.objective, model.log_prob(rows.x))


def test_an_autoencoder_is_asked_for_the_error_of_the_example_as_it_is():
    """Not of one that was damaged, as in training."""
    clean = built(KINDS["autoencoder"])
    noisy = copy.deepcopy(clean)
    noisy.corruption = Masking(0.5)
    source = source_of(KINDS["autoencoder"])
    assert torch.equal(next(row_terms(clean, source)).objective, next(row_terms(noisy, source)).objective)


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_codes_are_gone_through_and_fitted_by_whatever_has_a_vector_of_them(name):
    kind = KINDS[name]
    model, source = built(kind), source_of(kind, 60)
    z = model.encode(source.batch(torch.arange(4)))
    torch.testing.assert_close(decoded(model, z), model.reconstruct(source.batch(torch.arange(4))))
    mixture = fit_aggregate(model, source)
    assert aggregate_samples(model, mixture, 3).shape == (3, *EVENT)
    gaussian = aggregate_gaussian(model, source)
    codes = model.encode(source.batch(torch.arange(60)))
    torch.testing.assert_close(gaussian.mean, codes.mean(0))
    if name == "autoencoder":
        torch.testing.assert_close(gaussian.covariance, codes.mT.cov(correction=0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "use",
    [
        lambda model, source: next(impute(model, source)),
        lambda model, source: decoded(model, torch.zeros(2, 5)),
        lambda model, source: fit_aggregate(model, source),
        lambda model, source: evaluate_refined(model, source),
        lambda model, source: LaplacePosterior(model),
    ],
)
def test_what_takes_one_vector_of_latents_refuses_two_levels(use):
    kind = KINDS["two levels"]
    with pytest.raises(StateError, match=r"needs one vector of (latents|numbers) .*TwoStoreys, has not; use a VAE"):
        use(built(kind), source_of(kind))


# the report


FIGURES = {
    "two levels": {"curves", "reconstructions", "sample_means", "sample_draws", "latent_map"},
    "classes": {"curves", "reconstructions", "sample_means", "sample_draws", "latent_map", "samples_by_class"},
    "autoencoder": {"curves", "reconstructions", "latent_map"},
    "autoencoder with a density": {"curves", "reconstructions", "sample_draws", "latent_map"},
    "vq-vae": {"curves", "reconstructions", "sample_draws", "latent_map", "code_use"},
    "codes": {"curves", "histograms", "correlations"},
    "mixture": {
        "curves",
        "reconstructions",
        "histograms",
        "correlations",
        "latent_map",
        "component_weights",
        "component_means",
    },
    "bayesian mixture": {
        "curves",
        "reconstructions",
        "histograms",
        "correlations",
        "latent_map",
        "component_weights",
        "component_means",
    },
    "state space": {"curves", "reconstructions", "sample_means", "sample_draws", "latent_map"},
    "hierarchy": {
        "curves",
        "reconstructions",
        "sample_means",
        "sample_draws",
        "latent_map",
        "divergence_of_levels",
        "levels",
        "traversals",
    },
}


def history(is_bound):
    return tuple(
        Row(step, step, split, -3.0 / step, 2.0 / step, 1.0 / step, 10.0, 1.0, 0, None, is_bound=is_bound)
        for step in (1, 2)
        for split in ("train", "validation")
    )


LONG = ("bayesian mixture", "two levels")  # mixture and state space show the same figures


@pytest.mark.parametrize("name", [pytest.param(one, marks=pytest.mark.slow if one in LONG else ()) for one in FIGURES])
def test_the_report_shows_what_a_model_can_do(name, tmp_path):
    kind = KINDS[name]
    model = built(kind)
    data = Splits(source_of(kind, 30), source_of(kind, 20), source_of(kind, 20))
    found = judge(model, data.test, importance_samples=20)
    record = ReportInput(model, data, history(model.states_likelihood), found, title=name, view=domains.of(data.train))
    page = write(tmp_path, record).read_text()
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} == FIGURES[name]
    text = re.sub(r"<style.*?</style>|<svg.*?</svg>", "", page, flags=re.S)
    assert "{" not in text
    if not model.states_likelihood:
        assert not re.search(r"bound|likelihood|elbo|log p|nats|evidence|posterior|prior", text.lower())
        assert "dB" in text
    if name == "hierarchy":
        nats = divergence_of_levels(record)
        assert (nats > 0).all()
        terms = [
            model.terms(batch, samples=200, generator=noise(3)).divergence.mean((1, 2))
            for batch in [data.test.batch(torch.arange(20), noise())]
        ]
        torch.testing.assert_close(nats, terms[0].detach().double(), rtol=0.5, atol=0.01)
        assert ", ".join(f"{float(one):.2f}" for one in nats) in text
        torch.testing.assert_close(divergence_at_top(record).sum(), nats[0])  # KL of independent latents adds up
    if name == "mixture":
        assert f"{found.log_likelihood:.2f}".replace("-", "−") in text
        assert "importance" not in text


# compression


def hierarchy_of_images():
    ladder = ConvolutionLadder(EVENT, EVENT, (1, 2, 2, 4), 2, 4)
    return HierarchicalVAE(nn.Identity(), ladder, BernoulliHead(), nn.Identity(), sees_gaps=False)


@pytest.mark.parametrize(
    ("kind", "latents"),
    [
        (KINDS["two levels"], 5),
        (KINDS["hierarchy"], 9),
        (Kind(hierarchy_of_images, LATENT | {CellWise, Whitens}), 2 * (1 + 4 + 4 + 16)),
    ],
    ids=["two levels", "hierarchy", "hierarchy of images"],
)
def test_levels_are_compressed_without_loss(kind, latents):
    """All examples come back, and the length is that of the bound at the latents that were used, within 1 %."""
    level = SafeLevel(built(kind), EVENT, 2, batch=16)
    assert level.latents == (latents,)
    x = source_of(kind, 60).x.flatten(1).numpy().astype(np.int32)
    coded = encode(level, x)
    assert np.array_equal(decode(level, coded.words, coded.kept, coded.groups), x)
    assert coded.net == pytest.approx(coded.ideal / math.log(2), rel=0.01)


@pytest.mark.parametrize("name", ["autoencoder", "vq-vae"])
def test_without_latents_there_is_nothing_to_compress_with(name):
    with pytest.raises(StateError, match=r"lossless compression needs latents .*, has not"):
        SafeLevel(built(KINDS[name]), EVENT, 2)


@pytest.mark.parametrize("name", ["autoencoder", "vq-vae", "mixture", "vae", "two levels"])
def test_draws_are_chosen_only_where_there_are_some(name):
    run = SimpleNamespace(model=built(KINDS[name]), folder="there", spec=SimpleNamespace(recipe=name))
    refuse_draws(run.model, run.spec.recipe, [])
    if JUDGED[name] is Evaluation:
        refuse_draws(run.model, run.spec.recipe, ["--importance-samples", "--proposal"])
    else:
        with pytest.raises(UsageError, match="--importance-samples choose draws of latents, but the numbers of"):
            refuse_draws(run.model, run.spec.recipe, ["--importance-samples"])


@pytest.mark.parametrize("name", ["two levels", "hierarchy", "vae"])
def test_proposals_are_advised_only_where_they_can_be_fitted(name):
    """With so few draws that some weights are untrusted: what is advised must be something to try."""
    kind = KINDS[name]
    with torch.no_grad():
        model = built(kind)
        for weights in model.parameters():
            weights.mul_(3)
    found = evaluate_encoder(model, source_of(kind), importance_samples=100)
    assert found.k_hat_above_limit > 0.1
    assert any("k-hat" in one for one in found.warnings)
    assert any("--proposal" in one for one in found.warnings) is can_be_joint(model)


@pytest.mark.parametrize("name", KINDS)
def test_latents_are_drawn_or_refused_with_what_the_model_can_do(name):
    """What the refusal advises works with this very model."""
    kind = KINDS[name]
    model = built(kind)
    if kind.can >= {CodeVector, LatentModel}:
        z = prior_latents(model, 3, temperature=0.5)
        assert z.shape == (3, model.encode(given(kind)).shape[1])
        assert drawn(model, z).shape == (3, *kind.event)
        return
    with pytest.raises(StateError) as refused:
        prior_latents(model, 3, temperature=0.5)
    advised = "aggregate_gaussian" in str(refused.value)
    assert advised == (CodeVector in kind.can)
    if advised:
        x = given(kind).x
        law = aggregate_gaussian(model, Source("x", x, DataKind.REAL, ""))
        assert decoded(model, law.sample(3, temperature=0.5)).shape == (3, *kind.event)
