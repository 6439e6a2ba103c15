"""Numbers of metrics and of checkpoints are taken up to a limit, that limit among them, and none beyond it."""

import json
import math
from dataclasses import asdict, fields

import pytest
import torch

from vael.errors import FormatError
from vael.training.callbacks import Row, recorded_mean, row_record
from vael.training.checkpoint import LENGTH, Standing, read_header, read_tensors, standing_of, write_tensors
from vael.training.history import as_row, read_rows

ROW = row_record(Row(7, 2, "train", -1.5, 1.0, 0.5, 100.0, 3.0, 0, 0.001))
STANDING = asdict(Standing(7, 3.0, 1.0, -1.5, -1.5, 5, 5, 0.5))
WHOLE = 2**53  # up to which every whole number has a float of its own
FACTS = {  # the largest value of each fact of a checkpoint; a bound may be any number
    "step": WHOLE,
    "best_step": WHOLE,
    "kept_step": WHOLE,
    "elapsed": 1e12,
    "time_start": 1e12,
    "validation_seconds": 1e12,
    "best": math.inf,
    "best_elbo": math.inf,
}


def taken(read, value) -> bool:
    """Whether it is, and then as it is."""
    try:
        assert read(value) == value
    except FormatError:
        return False
    return True


def test_every_fact_of_a_checkpoint_has_its_limit():
    assert FACTS.keys() == {one.name for one in fields(Standing)}


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_is_a_number_up_to_its_limit(name, tmp_path):
    largest = FACTS[name]

    def read(value):
        return getattr(standing_of({**STANDING, name: value}, tmp_path), name)

    beyond = largest + 1 if largest == WHOLE else math.nextafter(largest, math.inf)
    for sign in (-1, 1):
        assert taken(read, sign * largest)
        assert taken(read, sign * beyond) is (largest == math.inf)
    assert taken(read, type(STANDING[name])(0))
    assert taken(read, 2.5) is (largest != WHOLE)
    for wrong in (True, "1", None, [1]):
        assert not taken(read, wrong)


@pytest.mark.parametrize("name", ["step", "epoch", "skipped"])
def test_a_count_of_a_row_is_a_whole_number_up_to_its_limit(name):
    def read(value):
        return getattr(as_row({**ROW, name: value}), name)

    for value, is_one in ((0, True), (1, True), (WHOLE, True), (WHOLE + 1, False), (-1, False), (1.5, False)):
        assert taken(read, value) is is_one
    for wrong in (True, "1", None):
        assert not taken(read, wrong)


@pytest.mark.parametrize("name", ["elbo", "distortion", "divergence", "seconds", "learning_rate"])
def test_a_measured_number_of_a_row_is_below_what_was_never_a_bound(name):
    """What is written of a mean is what is read of it: an infinity from there on."""
    last = math.nextafter(1e15, 0)

    def read(value):
        return getattr(as_row({**ROW, name: value}), name)

    for value, is_one in ((last, True), (1e15, False), (math.inf, True)):
        for sign in (-1.0, 1.0):
            assert taken(read, sign * value) is is_one
            written = recorded_mean(sign * value)
            assert written == (sign * value if value == last else sign * math.inf)
            assert taken(read, written)
    assert math.isnan(read(math.nan))
    assert math.isnan(recorded_mean(math.nan))
    assert taken(read, None) is (name == "learning_rate")


def test_a_row_has_a_split_and_all_of_its_names_and_no_other():
    for split, is_one in (("train", True), ("validation", True), ("test", False), (1, False)):
        assert taken(lambda value: as_row({**ROW, "split": value}).split, split) is is_one
    for wrong in ({**ROW, "more": 1}, {**ROW, "objective": -1.5}, ROW | {"elbo": "x"}, [ROW], None):
        with pytest.raises(FormatError):
            as_row(wrong)
    named = {"objective" if name == "elbo" else name: value for name, value in ROW.items()}
    assert (as_row(ROW).called, as_row(named).called) == ("bound", "objective")
    for name in ROW:
        with pytest.raises(FormatError, match="a record of"):
            as_row({other: value for other, value in ROW.items() if other != name})


def test_only_the_last_line_of_metrics_may_be_cut_short(tmp_path):
    """Without a file there are no rows."""
    path, line = tmp_path / "metrics.jsonl", json.dumps(ROW)
    assert read_rows(path) == ()
    for text, rows in ((f"{line}\n{line}\n{line[:20]}", 2), (f"{line}\n{line}\n", 2), (line[:20], 0), ("", 0)):
        path.write_text(text)
        assert read_rows(path) == (as_row(ROW),) * rows
    path.write_text(f"{line}\n{line[:20]}\n{line}\n")
    with pytest.raises(FormatError, match="line 2"):
        read_rows(path)


def test_a_file_of_no_tensors_is_read_as_it_was_written(tmp_path):
    """Its header is all of it, so it is as long as a header can be."""
    path = tmp_path / "none.safetensors"
    write_tensors(path, {}, {"said": 3})
    assert read_tensors(path) == ({}, {"said": 3})
    write_tensors(path, {})
    assert (read_header(path).shapes, read_tensors(path)) == ({}, ({}, {}))


@pytest.mark.parametrize(("length", "is_one"), [(1, False), (2, True), (8 << 20, True), ((8 << 20) + 1, False)])
def test_a_header_is_from_two_bytes_to_eight_mebibytes(tmp_path, length, is_one):
    path = tmp_path / "header.safetensors"
    path.write_bytes(LENGTH.pack(length) + b"{}".ljust(length)[:length])
    if is_one:
        assert read_header(path).shapes == {}
        path.write_bytes(path.read_bytes()[:-1])  # a byte is missing
    with pytest.raises(FormatError, match="not a whole safetensors file"):
        read_header(path)


def test_numbers_of_a_header_are_counted_over_all_tensors(tmp_path):
    path = tmp_path / "some.safetensors"
    write_tensors(path, {"a": torch.zeros(2, 3), "b": torch.zeros(()), "c": torch.zeros(0, 4)})
    found = read_header(path)
    assert (found.shapes, found.numbers, found.facts.keys()) == (
        {"a": (2, 3), "b": (), "c": (0, 4)},
        7,
        {"sha256"},
    )


@pytest.mark.parametrize("letters", range(1, 10))
def test_numbers_begin_at_a_multiple_of_eight_bytes_however_long_the_names_are(tmp_path, letters):
    """As the format wants it, so that a file can be read in place; what fills up is blank."""
    path = tmp_path / "some.safetensors"
    write_tensors(path, {"n" * letters: torch.ones(3).double()})
    content = path.read_bytes()
    (length,) = LENGTH.unpack(content[: LENGTH.size])
    assert length % 8 == 0
    assert len(content) == LENGTH.size + length + 24
    header = content[LENGTH.size : LENGTH.size + length]
    assert len(header) - len(header.rstrip(b" ")) < 8
    assert json.loads(header)["n" * letters]["shape"] == [3]
