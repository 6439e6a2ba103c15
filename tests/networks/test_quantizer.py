"""Vectors to codes: nearest, exact where that is hard, with the gradients that their papers state."""

import itertools
import math

import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.stats import entropy
from sklearn.neighbors import NearestNeighbors

from vael.errors import ShapeError, StateError
from vael.networks import CodeBook, FiniteScalar, RotationTrick, StraightThrough, code_use, moving_buffers, nearest
from vael.networks.quantizer import spread_out


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def uniform(seed=0):
    source = generator(seed)
    return lambda count: torch.rand(count, generator=source)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def taught(size=8, features=3, rows=64, **how):
    """A book that has started on a batch."""
    book = CodeBook(size, features, **how)
    book(normal(rows, features), uniform=uniform())
    book.move()
    return book


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_nearest_agrees_with_another_implementation_even_far_from_zero(shift):
    z, book = normal(500, 6) + shift, normal(40, 6, seed=1) + shift
    found = (
        NearestNeighbors(n_neighbors=1)
        .fit(book.double().numpy())
        .kneighbors(z.double().numpy(), return_distance=False)[:, 0]
    )
    assert torch.equal(nearest(z, book), torch.from_numpy(found))


def test_of_equally_near_codes_the_lowest_is_taken_and_the_size_of_the_batch_does_not_matter():
    book = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 5.0], [1.0, 0.0]])
    assert nearest(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), book).tolist() == [0, 0]
    z, many = normal(301, 8), normal(64, 8, seed=2)
    assert torch.equal(nearest(z, many), torch.cat([nearest(row, many) for row in z.split(7)]))


def test_quantising_twice_changes_nothing():
    for quantizer, z in ((taught().eval(), normal(5, 3, 4, 4)), (FiniteScalar((8, 5, 5)).eval(), normal(5, 3, 4, 4))):
        once = quantizer(z)
        assert torch.equal(quantizer.lookup(once.codes), once.vectors)
        if isinstance(quantizer, CodeBook):
            again = quantizer(once.vectors)
            assert torch.equal(again.codes, once.codes)
            assert torch.equal(again.vectors, once.vectors)
            assert float(again.commitment.abs().max()) == 0


def test_straight_through_has_the_identity_for_a_jacobian():
    z, e = normal(1, 4).double().requires_grad_(), normal(1, 4, seed=1).double()
    assert torch.equal(StraightThrough()(z, e).detach(), e) or torch.allclose(StraightThrough()(z, e), e, atol=1e-15)
    jacobian = torch.autograd.functional.jacobian(lambda v: StraightThrough()(v, e), z)[0, :, 0]
    assert torch.equal(jacobian, torch.eye(4, dtype=torch.float64))


def test_the_rotation_trick_has_the_scaled_rotation_of_its_definition_for_a_jacobian():
    """Against SciPy: the rotation about z × e by the angle between them, times ‖e‖ / ‖z‖."""
    z, e = normal(1, 3).double(), normal(1, 3, seed=1).double()
    jacobian = torch.autograd.functional.jacobian(lambda v: RotationTrick()(v, e), z)[0, :, 0]
    axis = torch.linalg.cross(z[0], e[0])
    angle = math.acos(float(z[0] @ e[0] / z.norm() / e.norm()))
    rotation = torch.from_numpy(Rotation.from_rotvec((angle * axis / axis.norm()).numpy()).as_matrix())
    torch.testing.assert_close(jacobian, rotation * e.norm() / z.norm())
    assert torch.equal(RotationTrick()(z, e), e)


def test_the_rotation_trick_passes_the_gradient_on_where_there_is_no_rotation():
    e = torch.tensor([[1.0, 0.0]])
    for z in (torch.zeros(1, 2), -e, 1e-30 * e):
        jacobian = torch.autograd.functional.jacobian(lambda v: RotationTrick()(v, e), z)[0, :, 0]
        torch.testing.assert_close(jacobian, torch.eye(2))


def test_averages_follow_the_definition():
    book = taught(4, 2, decay=0.9, least=0.0)
    book.steps.fill_(1000)  # γ itself
    counts, sums, z = book.counts.clone(), book.sums.clone(), normal(30, 2, seed=3)
    codes = book(z, uniform=uniform()).codes
    assert torch.equal(book.counts, counts), "a forward pass changes nothing"
    book.move()
    for k in range(4):
        mine = z[codes == k]
        torch.testing.assert_close(book.counts[k], 0.9 * counts[k] + 0.1 * len(mine))
        torch.testing.assert_close(book.sums[k], 0.9 * sums[k] + 0.1 * mine.sum(0))
    torch.testing.assert_close(book.vectors, book.sums / book.counts[:, None])


def test_a_book_follows_fast_at_first_and_by_its_decay_later():
    """γ_t = min(γ, (1 + t) / (10 + t)), seen in what is left of a count to which nothing is added."""
    book, z = taught(2, 1, decay=0.9, least=0.0), torch.full((6, 1), 100.0)
    with torch.no_grad():
        book.sums[:] = torch.tensor([[0.0], [100.0]]) * book.counts[:, None]  # all of z is nearest to the second
    for step in range(1, 100):
        before = float(book.counts[0])
        book(z, uniform=uniform())
        book.move()
        assert float(book.counts[0]) == pytest.approx(before * min(0.9, (1 + step) / (10 + step)), rel=1e-5)


def test_codes_stay_in_use_while_an_encoder_runs_away():
    """Vectors that shrink thirtyfold in thirty steps, as those of an encoder that begins: a book by averages over a
    hundred steps stays where they were and leaves all of them to one code (perplexity 1.05).
    """
    book, source = CodeBook(32, 2), generator(4)
    for step in range(30):
        z = torch.randn(256, 2, generator=source) * 10 ** (-step / 20)
        book(z, uniform=uniform(step))
        book.move()
    used = code_use(book.eval()(z).codes, 32)
    assert used.perplexity > 8


def test_rows_of_weight_nothing_teach_nothing():
    z, weight = normal(10, 2, 3), torch.tensor([1.0] * 7 + [0.0] * 3)
    books = [taught(4, 2), taught(4, 2)]
    books[0](z, weight=weight, uniform=uniform())
    books[1](z[:7], uniform=uniform())
    for book in books:
        book.move()
    assert all(torch.equal(a, b) for a, b in zip(*(moving_buffers(book).values() for book in books), strict=True))


def test_the_start_takes_a_vector_of_every_cluster():
    """Ten clusters 100 apart: k-means++ misses one with probability below 1e-3 a draw; the seed is fixed."""
    places = 100.0 * torch.arange(10)[:, None]
    z = (places + 0.01 * normal(10, 20)).flatten()[:, None]
    chosen = spread_out(z, 10, torch.rand(10, generator=generator(1)))
    assert sorted((chosen[:, 0] / 100).round().tolist()) == list(range(10))
    assert spread_out(torch.ones(3, 2), 5, torch.full((5,), 0.999999)).tolist() == [[1.0, 1.0]] * 5


def test_dead_codes_are_set_on_vectors_of_the_batch():
    book = taught(8, 2, decay=0.5, least=0.1)
    book.steps.fill_(1000)  # γ itself
    with torch.no_grad():
        book.sums[3] = 1e3 * book.counts[3]
    z = normal(40, 2, seed=5)
    for step in range(8):
        book(z, uniform=uniform(step))
        book.move()
        if int(book.revived):
            break
    assert 2 <= step < 8
    assert float(book.vectors.abs().max()) < 10
    assert float((book.vectors[3] - z).square().sum(1).min()) < 1e-10
    still = taught(8, 2, decay=0.5, least=0.0)
    still.sums[3] = 1e3 * still.counts[3]
    for _ in range(20):
        still(z, uniform=uniform())
        still.move()
    assert int(still.revived) == 0


def test_nothing_is_learnt_in_evaluation():
    book = taught()
    book.eval()(normal(9, 3))
    assert book.staged == {}
    with torch.no_grad():
        book.train()(normal(9, 3))
    assert book.staged == {}


@pytest.mark.parametrize("levels", [(2,), (3, 2), (4, 3), (8, 5, 5)])
def test_finite_scalars_reach_exactly_the_product_of_their_levels(levels):
    fsq = FiniteScalar(levels)
    assert fsq.size == math.prod(levels)
    axes = [torch.linspace(-5, 5, 70) for _ in levels]
    found = fsq(torch.cartesian_prod(*axes).reshape(-1, len(levels)))
    assert sorted(set(found.codes.tolist())) == list(range(fsq.size))
    book = fsq.lookup(torch.arange(fsq.size))
    expected = [[(digit - n // 2) / (n // 2) for digit in range(n)] for n in levels]
    torch.testing.assert_close(torch.tensor(sorted(book.tolist())), torch.tensor(sorted(itertools.product(*expected))))
    assert float(book.abs().max()) <= 1


def test_finite_scalars_pass_the_gradient_of_the_bounding_function():
    """At 0 with an odd number of levels it is ½ (L - 1) × 1.001 / ⌊L / 2⌋ tanh'(0)."""
    z = torch.zeros(1, 1, requires_grad=True)
    FiniteScalar((5,))(z).vectors.sum().backward()
    assert float(z.grad) == pytest.approx(1.001)


def test_use_of_codes():
    codes = torch.tensor([[0, 0, 1], [2, 2, 2]])
    use = code_use(codes, 5)
    assert use.perplexity == pytest.approx(math.exp(entropy([2, 1, 3, 0, 0])))
    assert (use.used, use.size) == (3, 5)
    assert code_use(torch.arange(7), 7).perplexity == pytest.approx(7)


def test_what_makes_no_sense_is_refused():
    for bad in (
        lambda: CodeBook(0, 2),
        lambda: FiniteScalar(()),
        lambda: FiniteScalar((1, 3)),
        lambda: code_use(torch.empty(0).long(), 3),
    ):
        with pytest.raises(ShapeError, match=r"expected|counted"):
            bad()
    with pytest.raises(StateError, match="decay"):
        CodeBook(2, 2, decay=1.0)
    with pytest.raises(ShapeError, match="takes"):
        CodeBook(2, 3)(normal(4, 2), uniform=uniform())
    with pytest.raises(StateError, match="uniform variates"):
        CodeBook(2, 2)(normal(4, 2))
