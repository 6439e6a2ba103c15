"""Pictures to patches: which picture is in which split, where patches are, and what cannot be cut."""

import numpy as np
import pytest
import torch
from PIL import Image

from vael.data import Binarize, Images, Kind
from vael.data.pictures.cutting import load_patches, places
from vael.data.pictures.patching import Patching
from vael.data.splitting import Sizes, ValidateOn
from vael.errors import FormatError, ShapeError, StateError
from vael.probability import PerExample, Stream

EIGHT = Patching(height=8, width=8)


def numbered(folder, sizes, channels=3):
    """Pictures of which every pixel says where it is: red its picture, green its row, blue its column."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[:height, :width]
        cells = np.stack([np.full_like(rows, number), rows, columns], -1).astype(np.uint8)
        Image.fromarray(cells if channels == 3 else cells[..., 1]).save(folder / f"{number:02}.png")
    return str(folder)


def seen(source, noise=None):
    """(picture, row, column) of every pixel of the patches of a source."""
    x = source.batch(torch.arange(len(source)), noise).x
    return {tuple(pixel) for pixel in x.movedim(1, -1).reshape(-1, 3).int().tolist()}


def drawn(seed):
    return Stream(torch.Generator().manual_seed(seed))


def test_a_picture_is_in_one_split_only(tmp_path):
    splits = load_patches(numbered(tmp_path / "p", [(24, 32)] * 20), EIGHT, Images())
    parts = [{one[0] for one in seen(part)} for part in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [16, 2, 2]
    assert len(set.union(*parts)) == 20
    assert {one[0] for one in seen(splits.train, drawn(1))} == parts[0]
    assert not splits.train.patching.regions


@pytest.mark.parametrize("count", [1, 3, 5])
def test_of_few_pictures_the_splits_are_regions_that_share_no_pixel(tmp_path, count):
    sizes = [(24, 100), (90, 30)][:count] + [(40, 41)] * (count - 2)
    splits = load_patches(numbered(tmp_path / "p", sizes), EIGHT, Images())
    train = set.union(*(seen(splits.train, drawn(seed)) for seed in range(30)), seen(splits.train))
    held_out, test = seen(splits.validation), seen(splits.test)
    assert not train & held_out | train & test | held_out & test
    assert {one[0] for one in held_out} == {one[0] for one in test} == {one[0] for one in train} == set(range(count))
    assert splits.train.patching.regions
    assert "regions" in splits.train.notes[0]


def test_places_of_training_are_new_with_other_noise_and_equally_likely(tmp_path):
    """Each of 9 places has 1/9 of 4,500 draws, standard error 21: 6 of them away once in 10⁸ runs of this."""
    source = load_patches(numbered(tmp_path / "p", [(10, 10)] * 10), EIGHT, Images()).train
    one, again, other = (source.batch(torch.zeros(4500, dtype=torch.int64), drawn(seed)).x for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    corners = one[:, 1, 0, 0] * 3 + one[:, 2, 0, 0]
    assert corners.long().bincount(minlength=9).sub(500).abs().max() < 6 * 21
    fixed = source.batch(torch.arange(len(source))).x
    assert torch.equal(fixed, source.batch(torch.arange(len(source))).x)


def test_a_draw_belongs_to_its_example_whatever_the_batch(tmp_path):
    source = load_patches(numbered(tmp_path / "p", [(30, 40), (20, 20)] * 4), EIGHT, Images()).train
    rows = torch.arange(len(source))
    whole = source.batch(rows, PerExample(3, rows)).x
    assert torch.equal(whole[5:7], source.batch(rows[5:7], PerExample(3, rows[5:7])).x)


def test_every_patch_is_cut_from_the_picture_that_its_key_names(tmp_path):
    splits = load_patches(numbered(tmp_path / "p", [(24, 100), (17, 60)]), EIGHT, Images())
    for part in (splits.train, splits.validation, splits.test):
        x = part.batch(torch.arange(len(part))).x
        columns = part.named.columns
        said = zip(columns["file"].to_pylist(), columns["top"].to_pylist(), columns["left"].to_pylist(), strict=True)
        assert [[int(name[:2]), top, left] for name, top, left in said] == x[:, :, 0, 0].int().tolist()
        assert all(torch.equal(one[2, 0], torch.arange(8) + one[2, 0, 0]) for one in x)


def test_folders_of_splits_and_labels_are_kept(tmp_path):
    for name in ("train/a", "train/b", "test/a"):
        numbered(tmp_path / name, [(20, 20), (9, 30)])
    splits = load_patches(str(tmp_path), EIGHT, Images(), sizes=Sizes(1))
    assert splits.train.label_names == ("a", "b")
    assert set(splits.test.label.tolist()) == {0}
    assert len(splits.validation.named.columns["file"].unique()) == 1
    held_out, train = (part.named.columns["file"].to_pylist() for part in (splits.validation, splits.train))
    assert not set(held_out) & set(train)


def test_the_test_regions_can_serve_for_validation(tmp_path):
    splits = load_patches(numbered(tmp_path / "p", [(24, 100)]), EIGHT, Images(), sizes=Sizes(ValidateOn.TEST))
    assert seen(splits.validation) == seen(splits.test)
    assert any("validation split too" in note for note in splits.train.notes)


def test_grey_deep_and_two_level_pictures(tmp_path):
    grey = load_patches(numbered(tmp_path / "grey", [(40, 200)], 1), EIGHT, Images())
    assert grey.train.event == (1, 8, 8)
    deep = np.random.default_rng(0).integers(0, 4000, (6, 30, 40), dtype=np.uint16)
    np.save(tmp_path / "deep.npy", deep)
    found = load_patches(str(tmp_path / "deep.npy"), EIGHT, Images())
    assert (found.train.kind, found.train.levels, found.train.event) == (Kind.INTEGER, 4096, (1, 8, 8))
    (tmp_path / "two").mkdir()
    ink = np.random.default_rng(0).random((50, 60)) > 0.5
    Image.fromarray(ink.astype(np.uint8) * 255).save(tmp_path / "two/a.png")
    two = load_patches(str(tmp_path / "two"), EIGHT, Images()).train
    assert two.kind is Kind.BINARY
    assert two.batch(torch.arange(1), drawn(0)).x.unique().tolist() == [0, 1]
    binary = load_patches(str(tmp_path / "grey"), EIGHT, Images(), binarize=Binarize.DYNAMIC).train
    assert binary.batch(torch.arange(4), drawn(0)).x.unique().tolist() == [0, 1]


def test_data_that_changed_have_another_fingerprint(tmp_path):
    folder = numbered(tmp_path / "p", [(24, 32)] * 6)
    before, again = (load_patches(folder, EIGHT, Images()).train.fingerprint for _ in range(2))
    cells = np.array(Image.open(tmp_path / "p/00.png"))
    cells[23, 31, 0] += 1
    for number in range(6):
        Image.fromarray(cells).save(tmp_path / f"p/{number:02}.png")
    assert before == again != load_patches(folder, EIGHT, Images()).train.fingerprint


@pytest.mark.parametrize(
    ("sizes", "patch", "kind", "words"),
    [
        ([(20, 30), (6, 40)], EIGHT, ShapeError, ("01.png", "6×40", "--patches 6")),
        ([(20, 20)], EIGHT, StateError, ("three regions", "smaller")),
        ([(20, 60)], EIGHT, StateError, ("--validation 0.2",)),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_message(tmp_path, sizes, patch, kind, words):
    held_out = Sizes(3) if sizes == [(20, 60)] else Sizes()
    with pytest.raises(kind) as error:
        load_patches(numbered(tmp_path / "p", sizes), patch, Images(), sizes=held_out)
    assert all(word in str(error.value) for word in words)


def test_grey_and_colour_do_not_mix(tmp_path):
    numbered(tmp_path / "p", [(20, 30)])
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(tmp_path / "p/grey.png")
    with pytest.raises(FormatError, match="channels"):
        load_patches(str(tmp_path / "p"), EIGHT, Images())


def test_patches_lie_side_by_side():
    assert places((17, 24), EIGHT) == [(0, 0), (0, 8), (0, 16), (8, 0), (8, 8), (8, 16)]
