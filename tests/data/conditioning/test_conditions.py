"""What examples are conditioned on: encoded alike whenever data come, refused where it is not known."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from vael.data import Kind, Source, Splits, load_table
from vael.data.conditioning.conditions import FileCondition, LabelCondition
from vael.data.conditioning.learned_conditions import conditioned, learned
from vael.data.windowing import Windowing
from vael.errors import ShapeError, StateError, SupportError

COLOURS = ("red", "green", "blue")


def labelled(codes, names=()):
    return Source(
        "some",
        torch.arange(4.0 * len(codes)).view(-1, 4),
        Kind.REAL,
        "f",
        label=torch.tensor(codes),
        label_names=names,
    )


def table(rows=60):
    return {
        "height": [150.0 + number % 37 for number in range(rows)],
        "colour": [COLOURS[number % 3] for number in range(rows)],
        "weight": [50.25 + (7 * number) % 41 for number in range(rows)],
    }


def of_table(asked, rows=60):
    splits = load_table(pa.table(table(rows)))
    condition = learned(splits, asked)
    return splits, condition, conditioned(splits, condition)


def three(source):
    return Splits(source, source, None)


def test_a_label_is_one_number_for_each_class_of_the_training_examples():
    train = labelled([2, 0, 2, 5])
    condition = learned(three(train), "label")
    assert condition == LabelCondition(levels=("0", "2", "5"), codes=(0, 2, 5))
    given = condition.of(train)
    assert given.context.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert torch.equal(condition.encode({"label": 5}), given.context[3])
    batch = given.batch(torch.tensor([3, 0]))
    assert torch.equal(batch.context, given.context[[3, 0]])
    assert torch.equal(given.subset(torch.tensor([1, 3])).batch(torch.tensor([1])).context, given.context[3:])


def test_classes_with_names_are_known_by_name_and_by_number_whatever_their_numbers_in_other_data():
    condition = learned(three(labelled([0, 1, 2], COLOURS)), "label")
    other = condition.of(labelled([0, 1], ("blue", "red")))
    assert torch.equal(
        other.context, torch.stack([condition.encode({"label": "blue"}), condition.encode({"label": 0})])
    )


def test_columns_leave_x_and_stand_in_c_standardised_by_the_training_rows():
    splits, condition, given = of_table("colour,weight")
    names = splits.train.schema.names
    place, kept = names.index("weight"), names.index("height")
    assert given.train.schema.names == given.train.columns == ("height",)
    assert given.train.event == (1,)
    assert torch.equal(given.train.x[:, 0], splits.train.x[:, kept])
    weight = given.train.context[:, -1]
    assert condition.features == given.train.context.shape[1] == 4
    assert abs(float(weight.mean())) < 1e-5
    assert abs(float(weight.std(correction=0)) - 1) < 1e-5
    train = splits.train.x[:, place].double()
    expected = (splits.validation.x[:, place].double() - train.mean()) / train.std(correction=0)
    assert torch.allclose(given.validation.context[:, -1].double(), expected, atol=1e-6)
    assert condition.whole(given.train.schema) == splits.train.schema


def test_a_condition_by_name_is_that_of_a_row_with_these_values():
    _, condition, given = of_table("colour,weight")
    row = int(given.train.named.rows[5]) - 1
    known = {name: table()[name][row] for name in ("weight", "colour")}
    assert torch.allclose(condition.encode(known), given.train.context[5], atol=1e-6)


def test_a_record_of_a_condition_encodes_alike():
    for asked in ("colour,weight", "height"):
        splits, condition, given = of_table(asked)
        again = type(condition).model_validate_json(condition.model_dump_json())
        assert again == condition
        assert torch.equal(again.of(splits.train).context, given.train.context)


def test_a_row_of_an_array_belongs_to_the_row_of_the_data_in_every_split(tmp_path):
    splits, path = load_table(pa.table(table())), tmp_path / "c.npy"
    beside = np.stack([np.arange(60.0), np.arange(60.0) ** 2], 1)
    np.save(path, beside)
    condition = learned(splits, str(path))
    given = conditioned(splits, condition)
    assert isinstance(condition, FileCondition)
    for part in (given.train, given.validation):
        own = torch.from_numpy(beside[part.named.rows - 1])
        standard = (own - torch.tensor(condition.mean)) / torch.tensor(condition.std)
        assert torch.allclose(part.context.double(), standard, atol=1e-5)
    assert learned(replace(splits, test=splits.validation), str(path)) == condition
    assert torch.equal(condition.encode({"c1": 4, "c2": 16}), condition.numbers(torch.tensor([[4.0, 16.0]]))[0])


def test_the_fingerprint_tells_of_the_condition():
    one, other = labelled([0, 1, 0, 1]), labelled([0, 1, 1, 0])
    condition = learned(three(one), "label")
    assert one.fingerprint == other.fingerprint
    assert condition.of(one).fingerprint != condition.of(other).fingerprint


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("colur", "did you mean colour"),
        ("height,colour,weight", "at least one that is left"),
        ("label", "no labels"),
    ],
)
def test_columns_that_cannot_be_a_condition_are_refused_with_the_nearest_name(asked, named):
    with pytest.raises(StateError, match=named):
        learned(load_table(pa.table(table())), asked)


def test_an_example_without_a_condition_is_refused_with_its_row():
    condition = learned(three(labelled([0, 1, 1])), "label")
    with pytest.raises(SupportError, match=r"1 example without 'label' \(row 2\)"):
        condition.of(labelled([0, -1, 1]))
    with pytest.raises(SupportError, match="class '7'"):
        condition.of(labelled([0, 7]))
    with pytest.raises(StateError, match="no labels"):
        condition.of(replace(labelled([0]), label=None))
    cells = table()
    cells["colour"] = [*cells["colour"][:-1], None]
    splits = load_table(pa.table(cells))
    with pytest.raises(SupportError, match=r"without 'colour' \(row 60\)"):
        conditioned(splits, learned(splits, "colour"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"colour": "red"}, "no value was given for weight"),
        ({"colour": "redd", "weight": 50}, "did you mean red"),
        ({"colour": "red", "weight": 50, "heigt": 1}, "no condition 'heigt'"),
        ({"colour": "red", "weight": "heavy"}, "heavy"),
        ({}, "colour and weight"),
    ],
)
def test_values_that_a_condition_cannot_have_are_refused(given, said):
    with pytest.raises(StateError, match=said):
        of_table("colour,weight")[1].encode(given)


def test_an_unknown_class_is_refused_with_the_nearest():
    condition = learned(three(labelled([0, 1, 2], COLOURS)), "label")
    with pytest.raises(StateError, match="did you mean green"):
        condition.encode({"label": "grean"})


def test_an_array_that_does_not_fit_is_refused(tmp_path):
    splits, path = load_table(pa.table(table())), tmp_path / "c.npy"
    for rows in (59, 61):
        np.save(path, np.zeros((rows, 2)))
        with pytest.raises(ShapeError, match=f"{rows} rows"):
            learned(splits, str(path))
    np.save(path, np.full((60, 2), np.nan))
    with pytest.raises(SupportError, match=r"without .c.npy."):
        learned(splits, str(path))
    np.save(path, np.zeros((60, 2)))
    counted_apart = replace(splits, test=replace(splits.validation, keys=None, fingerprint="another"))
    with pytest.raises(StateError, match="parts that are counted"):
        learned(counted_apart, str(path))


def test_a_channel_of_sequences_is_no_condition():
    source = replace(labelled([0, 1]), x=torch.zeros(2, 3, 4), windowing=Windowing(), columns=("a", "b", "c", "d"))
    with pytest.raises(StateError, match="windows of sequences"):
        learned(three(source), "a")
