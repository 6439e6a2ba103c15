"""What is said before training of data from which nothing can be learned."""

import numpy as np
import pytest

from vael.specs.asked import request
from vael.specs.preparing import prepare


def given(folder, kind, same):
    """A file of 60 examples, all the same but for one element of one of them where they are not the same."""
    if kind == "table":
        lines = ["1.5,x,2020-01-01"] * 60
        lines[0] = lines[0] if same else "2.5,x,2020-01-01"
        (folder / "t.csv").write_text("\n".join(["a,b,c", *lines]))
        return folder / "t.csv"
    shape = {"pictures": (1, 8, 8), "rows": (4,)}[kind]
    x = np.tile(np.arange(np.prod(shape)).reshape(shape), (60, *[1] * len(shape)))
    x = x.astype(np.uint8 if kind == "pictures" else np.float64)
    x[:50, ..., 0] += 0 if same else 1
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


@pytest.mark.parametrize("kind", ["pictures", "rows", "table"])
@pytest.mark.parametrize("same", [True, False])
def test_examples_that_are_all_the_same_are_told_before_training(kind, same, tmp_path):
    why = prepare(request(given(tmp_path, kind, same), validation=6, test=6)).reasons
    assert any("training examples are the same" in one for one in why) is same
