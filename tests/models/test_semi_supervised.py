"""The model of classes against one whose every quantity is known: classes that differ in their mean, x linear in z."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from vael.data import Batch, Kind, Source
from vael.errors import ShapeError, StateError, SupportError
from vael.evaluation import evaluate
from vael.models import (
    VAE,
    ClassPosterior,
    ClassShares,
    Decoder,
    FixedScale,
    GaussianHead,
    Posterior,
    SemiSupervised,
    StandardNormal,
)
from vael.models.semi_supervised import CLASSIFICATION, as_rows, for_rows
from vael.objectives import ELBO, SampledELBO
from vael.objectives.labelled import LabelledELBO
from vael.probability import diagonal_gaussian

MIDDLES = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5], [-1.0, -2.0, 0.0], [0.5, 0.5, 2.0]], dtype=torch.float64)
LOADINGS = torch.tensor([1.0, -0.5, 0.8], dtype=torch.float64)
NOISE = 0.7
SHARES = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64)
CLASSES = len(SHARES)


class Emission(nn.Module):
    """μ_y + w z, of z and the one-hot y side by side."""

    def __init__(self, middles=MIDDLES):
        super().__init__()
        self.middles = nn.Parameter(middles.clone())

    def forward(self, both):
        return both[:, :1] * LOADINGS + both[:, 1:] @ self.middles


class ExactPosterior(Posterior):
    """p(z | x, y), its mean moved by `off`."""

    def __init__(self, middles=MIDDLES, off=0.0):
        super().__init__()
        self.middles, self.off = middles, off

    def forward(self, x, context=None):
        precision = 1 + LOADINGS.square().sum() / NOISE**2
        loc = ((x - context @ self.middles) @ LOADINGS / NOISE**2 / precision)[:, None]
        return diagonal_gaussian(loc + self.off, precision.rsqrt().expand_as(loc))


def exact_classes(middles=MIDDLES, shares=SHARES):
    """p(y | x), whose logits are linear in x, because all classes have one covariance."""
    precision = torch.linalg.inv(covariance())
    linear = nn.Linear(3, len(shares)).double()
    with torch.no_grad():
        linear.weight.copy_(middles @ precision)
        linear.bias.copy_(shares.log() - 0.5 * torch.einsum("ki,ij,kj->k", middles, precision, middles))
    return ClassPosterior(linear)


def covariance():
    return torch.outer(LOADINGS, LOADINGS) + NOISE**2 * torch.eye(3, dtype=torch.float64)


def model(*, off=0.0, middles=MIDDLES, shares=SHARES, classifier=None):
    head = GaussianHead(spread=FixedScale(NOISE))
    given = VAE(
        StandardNormal(1).double(), Decoder(Emission(middles), head), ExactPosterior(middles, off), context=CLASSES
    )
    found = SemiSupervised(ClassShares(CLASSES).double(), classifier or exact_classes(middles, shares), given)
    found.shares.weight.data.copy_(shares)
    return found


def log_joint(x):
    """log p(x, y) of every class."""
    each = [MultivariateNormal(middle, covariance()).log_prob(x) for middle in MIDDLES]
    return torch.stack(each, 1) + SHARES.log()


def examples(count=40, label=None):
    noise = torch.Generator().manual_seed(3)
    y = torch.multinomial(SHARES, count, replacement=True, generator=noise)
    z, e = torch.randn(count, 1, generator=noise).double(), torch.randn(count, 3, generator=noise).double()
    return Batch(x=MIDDLES[y] + z * LOADINGS + NOISE * e, label=y if label is None else label)


def terms(of, batch, samples=5):
    return of.terms(batch, samples=samples, generator=torch.Generator().manual_seed(1))


def test_with_exact_posteriors_the_bound_is_the_log_likelihood():
    """Of a known class log p(x, y), of an unknown one log p(x), each draw by itself; of both together each its own."""
    known = examples()
    label = known.label.where(torch.arange(40) % 2 == 0, -1)
    exact = log_joint(known.x)
    own, whole = exact.gather(1, known.label[:, None])[:, 0], exact.logsumexp(1)
    for batch, wanted in (
        (known, own),
        (replace(known, label=None), whole),
        (replace(known, label=label), torch.where(label >= 0, own, whole)),
    ):
        found = SampledELBO()(terms(model(), batch)).bound
        assert torch.allclose(found, wanted, atol=1e-9, rtol=0)
        assert (own <= whole).all()


@pytest.mark.parametrize("off", [0.5, -1.0])
def test_with_any_other_posterior_it_is_below(off):
    """By KL(q || p) where the mean of q(z | x, y) is off by so much: off² × precision / 2, for every class the same."""
    batch = replace(examples(), label=None)
    found = ELBO()(terms(model(off=off), batch, samples=20_000)).bound
    precision = float(1 + LOADINGS.square().sum() / NOISE**2)
    lost = log_joint(batch.x).logsumexp(1) - found
    assert (lost > 0).all()
    assert torch.allclose(
        lost, torch.full_like(lost, off**2 * precision / 2), atol=0.15
    )  # 10 standard errors of a mean


def test_the_bound_of_an_unknown_class_is_that_of_all_known_ones():
    """U = Σ q (L - log q), at most logsumexp L, and as much where q is the softmax of L."""
    batch = replace(examples(), label=None)
    for classifier in (None, ClassPosterior(nn.Linear(3, CLASSES).double())):
        of = model(off=0.3, classifier=classifier)
        every = [ELBO()(terms(of, replace(batch, label=torch.full((40,), place)))).bound for place in range(CLASSES)]
        bound, q = torch.stack(every, 1), of.classify(batch)
        found = ELBO()(terms(of, batch)).bound
        assert torch.allclose(found, (q.probs * (bound - q.logits)).sum(1), atol=1e-9)
        assert (found <= bound.logsumexp(1) + 1e-9).all()
        best = bound.softmax(1)
        assert torch.allclose((best * (bound - best.log())).sum(1), bound.logsumexp(1), atol=1e-9)


def test_the_names_of_classes_do_not_matter():
    order = torch.tensor([2, 0, 3, 1])
    batch = examples()
    label = batch.label.where(torch.arange(40) % 3 > 0, -1)
    moved = torch.where(label >= 0, order.argsort()[label.clamp(min=0)], -1)
    first, second = model(), model(middles=MIDDLES[order], shares=SHARES[order])
    one, two = terms(first, replace(batch, label=label)), terms(second, replace(batch, label=moved))
    for name in ("log_likelihood", "log_prior", "log_posterior", "divergence"):
        assert torch.allclose(getattr(one, name), getattr(two, name), atol=1e-9)
    assert torch.allclose(one.penalties[CLASSIFICATION], two.penalties[CLASSIFICATION], atol=1e-9)


def test_no_bound_has_the_classification_in_it():
    found = terms(model(), examples())
    value = LabelledELBO(weight=3.0)(found)
    assert torch.equal(value.bound, ELBO()(found).bound)
    missed = -log_joint(examples().x).log_softmax(1).gather(1, examples().label[:, None])[:, 0]
    assert torch.allclose(value.bound - value.surrogate, 3 * missed, atol=1e-9)
    assert terms(model(), replace(examples(), label=None)).penalties[CLASSIFICATION].abs().max() == 0


def test_at_given_latents_the_terms_are_those_of_the_joint():
    of, batch = model(off=0.2), replace(examples(6), label=None)
    y = torch.eye(CLASSES, dtype=torch.float64)[torch.arange(6) % CLASSES].expand(3, 6, CLASSES)
    z = torch.linspace(-1, 1, 18, dtype=torch.float64).view(3, 6, 1)
    found = of.terms(batch, generator=torch.Generator(), latent=(y, z))
    law = torch.distributions.Normal(y @ MIDDLES + z * LOADINGS, NOISE)
    assert torch.allclose(found.log_likelihood, law.log_prob(batch.x).sum(-1), atol=1e-9)
    assert torch.allclose(found.log_prior[0], (y * SHARES.log()).sum(-1), atol=1e-9)
    whole = found.log_likelihood + found.log_prior.sum(0) - found.log_posterior.sum(0)
    assert whole.exp().isfinite().all()
    with pytest.raises(ShapeError, match="expected two"):
        of.terms(batch, generator=torch.Generator(), latent=(z,))
    with pytest.raises(StateError, match="its own posterior"):
        of.terms(batch, generator=torch.Generator(), posterior=(law,))


def as_source(batch, label=None):
    return Source("rows", batch.x, Kind.REAL, "f", label=label, label_names=("a", "b", "c", "d"))


def test_evaluation_is_exact_where_posteriors_are_and_looks_at_no_label():
    batch = examples()
    found = evaluate(model(), as_source(batch, batch.label), importance_samples=100)
    exact = log_joint(batch.x)
    assert torch.allclose(found.log_likelihood_per_example, exact.logsumexp(1), atol=1e-9)
    assert float(found.effective_sample_size) == pytest.approx(100)
    told = found.classification
    assert told.examples == 40
    assert told.accuracy == told.bound_accuracy == float((exact.argmax(1) == batch.label).double().mean())
    missed = float(-exact.log_softmax(1).gather(1, batch.label[:, None]).mean())
    assert told.cross_entropy == pytest.approx(missed, abs=1e-9)
    assert told.bound_cross_entropy == pytest.approx(missed, abs=0.3)  # 100 draws of each class
    blind = evaluate(model(), as_source(batch), importance_samples=100)
    assert blind.classification is None
    assert blind.elbo == found.elbo
    assert blind.log_likelihood == found.log_likelihood


def test_the_estimate_of_a_model_that_is_off_is_near_and_above_its_bound():
    """K = 2000; its error is some hundredths of a nat."""
    batch = examples(20)
    found = evaluate(
        model(off=0.5, classifier=ClassPosterior(nn.Linear(3, CLASSES).double())),
        as_source(batch),
        importance_samples=2000,
    )
    exact = log_joint(batch.x).logsumexp(1)
    assert torch.allclose(found.log_likelihood_per_example, exact, atol=0.3)
    assert (found.elbo_per_example < exact).all()


def test_draws_have_the_classes_by_their_shares_and_one_class_where_it_is_asked_for():
    """4000 draws: the mean within 5 standard errors, a false alarm in 1.7 million."""
    noise = torch.Generator().manual_seed(0)
    x = model().sample(4000, generator=noise).double()
    error = x.std(0) / 4000**0.5
    assert ((x.mean(0) - SHARES @ MIDDLES).abs() < 5 * error).all()
    one = model().at_class(2).sample(4000, generator=noise).double()
    assert ((one.mean(0) - MIDDLES[2]).abs() < 5 * one.std(0) / 4000**0.5).all()


def test_shares_follow_labels_and_no_class_has_none():
    shares = ClassShares(3)
    shares.assign(torch.tensor([0, 0, 2, -1, -1]))
    assert torch.allclose(shares.weight, torch.tensor([2.5, 0.5, 1.5]) / 4.5)


def test_laws_over_rows_keep_the_density_of_each():
    """One law for all rows, and laws of samples and rows in one line as a table of them: of a diagonal Gaussian, of one
    with full covariance, of cells; a discrete one is refused.
    """
    numbers = torch.Generator().manual_seed(0)
    z = torch.randn(2, 3, 4, generator=numbers, dtype=torch.float64)
    loc, scale = torch.randn(4, generator=numbers).double(), torch.rand(4, generator=numbers).double() + 0.5
    for law in (diagonal_gaussian(loc, scale), MultivariateNormal(loc, scale_tril=scale.diag())):
        wide = for_rows(law, (2, 3))
        assert wide.batch_shape == (2, 3)
        torch.testing.assert_close(wide.log_prob(z), law.log_prob(z))
    flat = torch.randn(6, 4, generator=numbers, dtype=torch.float64)
    low = torch.randn(6, 4, 4, generator=numbers, dtype=torch.float64).tril(-1) + scale.diag()
    for law in (diagonal_gaussian(flat, scale.expand(6, 4)), MultivariateNormal(flat, scale_tril=low)):
        table = as_rows(law, (2, 3))
        assert table.batch_shape == (2, 3)
        torch.testing.assert_close(table.log_prob(z), law.log_prob(z.flatten(0, 1)).view(2, 3))
    with pytest.raises(SupportError, match="z given its class is Bernoulli; expected a Gaussian"):
        as_rows(torch.distributions.Bernoulli(torch.full((6,), 0.5)), (2, 3))
