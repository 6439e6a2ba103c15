"""What a kind of column is to a likelihood: one row of a table, and a link where it has one of its own."""

import pytest
import torch

from vael.models import ColumnsHead
from vael.models.likelihoods.column_kinds import KINDS, LevelLink, form_of, is_whole, link_of
from vael.tables.schema import LEVELS, Column, ColumnKind, Schema

LINKS = list(dict.fromkeys(row for row in KINDS.values() if isinstance(row, LevelLink)))
VALID = torch.tensor([[True, True, True, False], [True] * 4])
SHARE = torch.tensor([0.5, 0.2, 0.3])


class LeastAtLast(LevelLink):
    """A link of the test's own, with thresholds: P(y = k) by a softmax of -θ_k - l_k."""

    has_thresholds = True

    def log_probs(self, logits, valid, thresholds):
        return torch.where(valid, -logits - thresholds, -1e4).log_softmax(-1)

    def begin(self, share):
        return -share.log()


def test_every_kind_has_a_row():
    assert KINDS.keys() == set(ColumnKind)
    for kind in ColumnKind:
        column = Column("a", kind, levels=("x", "y") if kind in LEVELS else ())
        assert (form_of(column) is None) == (kind in LEVELS)
        assert is_whole(column) == (kind is ColumnKind.COUNT)
        assert isinstance(link_of(column), LevelLink)


@pytest.mark.parametrize("link", [*LINKS, LeastAtLast()], ids=lambda link: type(link).__name__)
def test_log_probabilities_of_codes_sum_to_one(link):
    generator = torch.Generator().manual_seed(0)
    logits, thresholds = (torch.randn(shape, generator=generator) for shape in ((3, 5, 2, 4), (2, 4)))
    found = link.log_probs(logits, VALID, thresholds).exp()
    torch.testing.assert_close(found.sum(-1), torch.ones(3, 5, 2), atol=1e-5, rtol=0)
    assert (found[..., 0, 3] < 1e-9).all()


@pytest.mark.parametrize("link", [*LINKS, LeastAtLast()], ids=lambda link: type(link).__name__)
def test_a_link_begins_at_the_shares_of_the_codes(link):
    start, numbers = link.begin(SHARE), torch.zeros(2, 1, 1, 4)
    row = numbers[1, 0] if link.has_thresholds else numbers[0, 0]
    row[0, : len(start)] = start
    found = link.log_probs(numbers[:1], VALID[:1], numbers[1, 0]).exp()
    torch.testing.assert_close(found[0, 0, 0, :3], SHARE, atol=1e-4, rtol=0)


def test_a_kind_of_ones_own_is_a_class_and_a_row(monkeypatch):
    """Beside another link with thresholds: each has rows of its own, and each column begins at its shares."""
    monkeypatch.setitem(KINDS, ColumnKind.BOOLEAN, LeastAtLast())
    kinds = (ColumnKind.BOOLEAN, ColumnKind.ORDINAL, ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN)
    schema = Schema(tuple(Column(f"c{n}", kind, levels=("x", "y", "z")) for n, kind in enumerate(kinds)))
    sample = torch.multinomial(torch.eye(3)[[0, 1, 2, 0]] + SHARE, 10_000, True, generator=torch.Generator()).T.float()
    head = ColumnsHead(schema, sample=sample)
    assert head.thresholds.shape == (3, 3)
    found = head(torch.zeros(1, 1, head.raw_numbers)).log_probs.exp()[0, 0]
    shares = torch.stack([(sample == code).float().mean(0) for code in range(3)], 1)
    torch.testing.assert_close(found, shares, atol=2e-3, rtol=0)
