"""Files of tensors: what was written comes back, and a file that is cut short or has one byte changed is refused in
words.
"""

import hashlib
import math
import re
from contextlib import suppress

import pytest
import torch

from vael.errors import FormatError
from vael.training.checkpoint import SETTLED, misfit, read_header, read_tensors, unlike, write_tensors

TENSORS = {
    "a": torch.arange(6.0).view(2, 3),
    "b": torch.tensor([1, 2]),
    "c": torch.tensor(math.pi, dtype=torch.float64),
}
FACTS = {"step": 7, "name": "naïve"}


def test_what_was_written_comes_back(tmp_path):
    path = tmp_path / "x.safetensors"
    digest = write_tensors(path, {**TENSORS, "a": TENSORS["a"].T.contiguous().T.requires_grad_()}, FACTS)
    tensors, facts = read_tensors(path, digest)
    assert facts == FACTS
    assert tensors.keys() == TENSORS.keys()
    assert all(
        torch.equal(tensor, TENSORS[name]) and tensor.dtype == TENSORS[name].dtype for name, tensor in tensors.items()
    )
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_header(path).shapes == {"a": (2, 3), "b": (2,), "c": ()}
    assert read_header(path).numbers == 9
    with pytest.raises(FormatError, match="sha256 differs"):
        read_tensors(path, "0" * 64)
    assert read_tensors(path, write_tensors(path, TENSORS))[1] == {}


def test_no_file_that_is_cut_short_or_whose_numbers_changed_is_read(tmp_path):
    """Cut anywhere; one bit turned over anywhere: refused, but where it hits the name of the checksum, and then the
    numbers are the same.
    """
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": TENSORS["a"]}, FACTS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            read_tensors(path)
    read = {}
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(FormatError):
            read[place] = read_tensors(path)[0]
    assert len(read) <= len("vael" + "sha256")
    assert all(torch.equal(tensors["a"], TENSORS["a"]) for tensors in read.values())
    with pytest.raises(FormatError):
        read_tensors(tmp_path / "none")


def test_a_file_of_no_tensors_is_whole(tmp_path):
    write_tensors(tmp_path / "x.safetensors", {}, FACTS)
    assert read_tensors(tmp_path / "x.safetensors") == ({}, FACTS)
    assert read_header(tmp_path / "x.safetensors").numbers == 0


@pytest.mark.parametrize("started", [True, False])
def test_what_an_earlier_version_kept_of_a_code_book_is_said_and_read_by_one_name(tmp_path, started):
    """Whether it had seen a batch; now how many, and one that had is settled."""
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"book.started": torch.tensor(started), "started": torch.tensor(started)})
    tensors, _ = read_tensors(path)
    assert tensors.keys() == read_header(path).shapes.keys() == {"book.steps", "started"}
    assert tensors["book.steps"].item() == SETTLED * started
    assert (tensors["book.steps"].dtype, tensors["started"].dtype) == (torch.int64, torch.bool)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, ""),
        ({"b": None}, "it lacks b"),
        ({"d": torch.zeros(1)}, "'d', which the model has not"),
        ({"a": torch.zeros(3, 2)}, r"a has shape \(3, 2\) and should have \(2, 3\)"),
        ({"a": torch.zeros(2, 3, dtype=torch.float64)}, "float64.*float32"),
        ({"c": torch.tensor(math.inf, dtype=torch.float64)}, "c has values that are not finite"),
    ],
)
def test_what_does_not_fit_is_named(changed, says):
    found = {name: tensor for name, tensor in {**TENSORS, **changed}.items() if tensor is not None}
    assert (misfit(TENSORS, found) == "") is (says == "")
    assert re.search(says, misfit(TENSORS, found))
    if "finite" in says:
        assert misfit(TENSORS, found, finite=False) == ""
    if "finite" not in says and "float64.*" not in says:
        assert unlike(TENSORS, {name: tensor.shape for name, tensor in found.items()}) == misfit(TENSORS, found)
