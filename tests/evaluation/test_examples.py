"""Examples as whoever judges a model takes them."""

import torch

from vael.data import Kind, Source
from vael.evaluation.examples import batch_at, in_evaluation, looked_at, reference
from vael.models import BernoulliHead
from vael.recipes import dense


def source():
    x = torch.randint(0, 2, (7, 1, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    context = torch.randn(7, 2, generator=torch.Generator().manual_seed(1))
    return Source("bits", x, Kind.BINARY, "", label=torch.arange(7) % 3, context=context, conditions=("a", "b"))


def test_they_have_no_labels_and_everything_else_in_the_numbers_of_the_model():
    data, like = source(), torch.zeros(0, dtype=torch.float64)
    for rows in (range(2, 5), torch.tensor([2, 3, 4])):
        found = batch_at(data, rows, 0, like)
        assert found.label is None
        assert torch.equal(found.x, data.x[2:5].double())
        assert torch.equal(found.context, data.context[2:5])
        assert found.index.tolist() == [2, 3, 4]


def test_all_are_looked_at_once_in_order_and_the_model_is_left_as_it_was():
    data, model = source(), dense((1, 2, 2), BernoulliHead(), latent=2, hidden=(3,))
    for training in (True, False):
        model.train(training)
        with looked_at(model, data, 0, 3) as parts:
            seen = [part.x for part in parts]
            assert not model.training
            assert not torch.is_grad_enabled()
        assert [len(x) for x in seen] == [3, 3, 1]
        assert torch.equal(torch.cat(seen), data.x.float())
        assert model.training is training
        with in_evaluation(model):
            assert not model.training
        assert model.training is training
    assert reference(model.double()).dtype == torch.float64
