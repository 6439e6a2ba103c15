"""Conditional models as compressors: what was given comes back whatever its conditions, which the file holds, and
nothing is written where they are not known.
"""

import json

import numpy as np
import pytest
import torch

import vael
from vael.cli.main import main
from vael.compression import GivenLevels, given_levels
from vael.errors import FormatError, StateError, SupportError
from vael.specs import archives

TINY = {"epochs": 1, "batch": 64, "latent": 2, "hidden": (8,), "threads": 1, "precision": "float32"}
ROWS = 150


def lines():
    noise = np.random.default_rng(3)
    yield "height,colour,weight,note"
    for row in range(ROWS):
        place, height = noise.integers(3), 150 + 40 * noise.random()
        weight = height / 2 + 20 * place + noise.random()
        yield f"{height:.1f},{('red', 'green', 'blue')[place]},{weight:.2f},{'' if row % 7 else f'seen {row}'}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    (folder / "rows.csv").write_text("\n".join(lines()) + "\n")
    noise = np.random.default_rng(1)
    bits = (noise.random((200, 4, 4)) < np.linspace(0.1, 0.9, 200)[:, None, None]).astype(np.uint8)
    np.save(folder / "bits.npy", bits)
    np.save(folder / "beside.npy", np.repeat([0.0, 1.0, 5.0], [60, 70, 70])[noise.permutation(200)])
    options = {"callbacks": (), "compile": False, **TINY}
    for name, data, asked in (
        ("label", "digits", "label"),
        ("columns", folder / "rows.csv", "colour"),
        ("file", folder / "bits.npy", str(folder / "beside.npy")),
    ):
        vael.train(data, run=folder / name, condition_on=asked, **options)
    return folder


def numbers(line):
    """Height, colour and weight of a line, however many digits are written."""
    height, colour, weight = line.split(",")[:3]
    return float(height), colour, float(weight)


def round_trip(place, tmp_path, run, data, target, *words):
    packed = tmp_path / "x.vael"
    given = [] if data is None else [str(data)]
    assert main(["compress", str(place / run), *given, "-o", str(packed), *words]) == 0
    assert main(["decompress", str(place / run), str(packed), "-o", str(target)]) == 0


def test_a_table_comes_back_to_the_last_byte_with_the_columns_of_its_condition(place, tmp_path):
    round_trip(place, tmp_path, "columns", place / "rows.csv", tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_bytes() == (place / "rows.csv").read_bytes()


def test_rows_that_a_run_set_aside_come_back_with_the_columns_of_their_condition(place, tmp_path):
    round_trip(place, tmp_path, "columns", None, tmp_path / "back.csv")
    found = {numbers(line) for line in (tmp_path / "back.csv").read_text().splitlines()[1:]}
    assert found <= {numbers(line) for line in list(lines())[1:]}
    assert len(found) == vael.load(place / "columns").spec.data.test.examples


def test_arrays_come_back_in_their_order_whatever_their_conditions(place, tmp_path):
    round_trip(place, tmp_path, "file", place / "bits.npy", tmp_path / "back.npy")
    assert np.array_equal(np.load(tmp_path / "back.npy"), np.load(place / "bits.npy"))


def test_images_with_labels_come_back_in_their_order(place, tmp_path, capsys):
    round_trip(place, tmp_path, "label", None, tmp_path / "back.npy", "--json")
    run = vael.load(place / "label")
    name, source = run.split()
    assert name == "test"
    x = source.batch(torch.arange(len(source))).x.numpy()
    assert np.array_equal(np.load(tmp_path / "back.npy").reshape(x.shape), x)
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert told["raw_blocks"] == 0
    assert told["blocks"] == 10
    assert told["net_bits_per_dim"] == pytest.approx(told["elbo_bits_per_dim"], rel=0.01)


def test_one_condition_may_be_named_for_all_and_stands_in_the_file(place, tmp_path):
    x = np.random.default_rng(0).integers(0, 17, (30, 1, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    round_trip(place, tmp_path, "label", tmp_path / "x.npy", tmp_path / "back.npy", "--where", "label=7")
    assert np.array_equal(np.load(tmp_path / "back.npy"), x)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name one condition for all examples (--where NAME=VALUE)"),
        (["--where", "label=17"], "no class '17'"),
        (["--where", "lable=7"], "did you mean label"),
        (["--where", "label=7", "--level", "portable"], "no portable files of conditional models"),
    ],
)
def test_what_is_not_known_is_refused(place, tmp_path, capsys, words, says):
    np.save(tmp_path / "x.npy", np.zeros((3, 1, 8, 8), np.uint8))
    packed = tmp_path / "x.vael"
    assert main(["compress", str(place / "label"), str(tmp_path / "x.npy"), "-o", str(packed), *words]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not packed.exists()


def test_a_model_without_a_condition_takes_none(place, tmp_path):
    options = {"callbacks": (), "compile": False, **TINY}
    run = vael.train(place / "bits.npy", run=tmp_path / "run", **options)
    with pytest.raises(StateError, match="conditioned on nothing"):
        archives.compress(run, place / "bits.npy", tmp_path / "x.vael", where={"c1": 1})
    archives.compress(run, place / "bits.npy", tmp_path / "x.vael")
    with pytest.raises(FormatError, match="another model"):
        archives.decompress(vael.load(place / "file"), tmp_path / "x.vael", tmp_path / "y.npy")


def test_conditions_that_nearly_all_differ_and_blocks_of_several_are_refused():
    with pytest.raises(SupportError, match="2,000 different conditions"):
        given_levels(np.arange(2000.0)[:, None], 2000, lambda c: None)
    levels = given_levels(np.array([[1.0], [0.0], [1.0]]), 3, lambda c: c)
    assert (levels.conditions, levels.given) == (((0.0,), (1.0,)), (1, 0, 1))
    assert list(levels.of_blocks([1, 2])) == [(0.0,), (1.0,)]
    with pytest.raises(FormatError, match="several conditions"):
        list(levels.of_blocks([2, 1]))
    assert isinstance(levels, GivenLevels)
    assert levels.order(3).tolist() == [1, 0, 2]
