"""Readers of files on generated ones: what they give, and what they say of damaged and unfit files."""

import functools
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from vael.data import Binarize, Images, Kind, Resample, load
from vael.data.catalog.downloading import fetch
from vael.data.catalog.named import File, Named, known
from vael.data.files.idx import read_idx
from vael.errors import FormatError, ShapeError, SupportError


def grey(examples=20, shape=(28, 28), seed=0, high=256):
    return np.random.default_rng(seed).integers(0, high, (examples, *shape), dtype=np.uint8)


def idx_bytes(x, code=0x08):
    return (
        struct.pack(">BBBB", 0, 0, code, x.ndim)
        + struct.pack(f">{x.ndim}I", *x.shape)
        + x.astype(x.dtype.newbyteorder(">")).tobytes()
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Folder that VAEL_DATA names, with an empty cache beside it."""
    monkeypatch.setenv("VAEL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VAEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def mnist_like(folder, squeeze=True, labels=20):
    folder.mkdir(parents=True)
    for stem, examples, found in (("train", 20, labels), ("t10k", 6, 6)):
        for what, cells in (("images-idx3", grey(examples)), ("labels-idx1", grey(found, (), high=10))):
            raw = idx_bytes(cells)
            name = f"{stem}-{what}-ubyte"
            (folder / (f"{name}.gz" if squeeze else name)).write_bytes(gzip.compress(raw) if squeeze else raw)


# IDX


@pytest.mark.parametrize(("dtype", "code"), [("u1", 8), ("i1", 9), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)])
def test_idx_of_every_type(tmp_path, dtype, code):
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    (tmp_path / "x.idx").write_bytes(idx_bytes(x, code))
    found = read_idx(tmp_path / "x.idx")
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("cut", [0, 3, 4, 10, 16, 100, -1])
@pytest.mark.parametrize("squeeze", [False, True])
def test_truncated_idx_is_refused(tmp_path, cut, squeeze):
    raw = idx_bytes(grey())[:cut]
    path = tmp_path / ("a-images-idx3-ubyte" + ".gz" * squeeze)
    path.write_bytes(gzip.compress(raw) if squeeze else raw)
    with pytest.raises(FormatError, match=r"header promises|begins with|0 bytes"):
        load(path)


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-20], lambda raw: raw[:40] + b"\0\0\0\0" + raw[44:], lambda raw: b"no gzip at all"]
)
def test_damaged_gzip_is_refused(tmp_path, damage):
    path = tmp_path / "a-images-idx3-ubyte.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(grey()))))
    with pytest.raises(FormatError, match=r"gzip|begins|promises"):
        load(path)


def test_wrong_magic_number_is_shown(tmp_path):
    path = tmp_path / "a.idx3-ubyte"
    path.write_bytes(b"\x89PNG" + bytes(1000))
    with pytest.raises(FormatError, match="89 50 4e 47"):
        load(path)


@pytest.mark.parametrize("name", ["fashion-mnist", "Fashion_MNIST", "kmnist", "mnist"])
@pytest.mark.parametrize("squeeze", [False, True])
def test_the_mnist_family_in_its_original_files(home, name, squeeze):
    mnist_like(home / name.lower().replace("-", "_"), squeeze)
    splits = load(name)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [18, 2, 6]
    assert splits.train.event == (1, 28, 28)
    assert len(splits.train.label_names) == 10
    assert torch.equal(splits.test.x[:, 0], torch.from_numpy(grey(6)))


def test_labels_of_another_length_are_refused(home, tmp_path):
    mnist_like(home / "mnist", labels=19)
    with pytest.raises(ShapeError, match="labels"):
        load("mnist")
    np.savez(tmp_path / "a.npz", x=grey(), y=np.zeros(7, int))
    with pytest.raises(ShapeError, match="labels"):
        load(tmp_path / "a.npz")


def test_a_lacking_file_is_named(home):
    mnist_like(home / "mnist")
    (home / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FormatError, match="t10k-labels-idx1-ubyte"):
        load("mnist")


# CIFAR-10, OMNIGLOT, binarised MNIST


def cifar_bytes(examples, seed):
    return np.concatenate([grey(examples, (1,), seed, 10), grey(examples, (3072,), seed)], axis=1).tobytes()


def cifar_files(test=4):
    return {**{f"data_batch_{n}.bin": cifar_bytes(5, n) for n in range(1, 6)}, "test_batch.bin": cifar_bytes(test, 9)}


def cifar_folder(folder, test=4):
    folder.mkdir(parents=True)
    for name, raw in cifar_files(test).items():
        (folder / name).write_bytes(raw)


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar_in_its_official_layout(home, inner):
    cifar_folder(home / "cifar10" / inner)
    splits = load("cifar10")
    assert (splits.train.event, splits.train.levels) == ((3, 32, 32), 256)
    np.testing.assert_array_equal(splits.test.x.numpy().reshape(4, -1), grey(4, (3072,), 9))
    np.testing.assert_array_equal(splits.test.label.numpy(), grey(4, (1,), 9, 10)[:, 0])
    assert splits.test.notes == ("4 test images (the official test split has 10,000)",)
    assert load(home / "cifar10").train.fingerprint == splits.train.fingerprint if not inner else True


def test_cifar_in_its_archive(home):
    (home / "cifar10").mkdir()
    with tarfile.open(home / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, raw in cifar_files().items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    assert len(load("cifar10").train) == 23


def test_a_whole_test_split_has_no_note(home):
    cifar_folder(home / "cifar10", test=10_000)
    assert load("cifar10").test.notes == ()


@pytest.mark.parametrize(
    ("raw", "words"), [(cifar_bytes(5, 0)[:-1], "whole records"), (b"\x0b" + cifar_bytes(5, 0)[1:], "label of 11")]
)
def test_damaged_cifar_is_refused(home, raw, words):
    cifar_folder(home / "cifar10")
    (home / "cifar10" / "data_batch_3.bin").write_bytes(raw)
    with pytest.raises(FormatError, match=words):
        load("cifar10")


def test_real_cifar(vael_data):
    folder = vael_data("cifar10")
    splits = load("cifar10")
    assert [len(part) for part in (splits.train, splits.validation)] == [45_000, 5_000]
    if len(splits.test) == 1000:
        assert "1,000 test images" in splits.test.notes[0]
        assert torch.bincount(splits.test.label).tolist() == [103, 89, 100, 103, 90, 86, 112, 102, 106, 109]
    assert folder.is_dir()


def test_omniglot_columns_become_upright_images(home):
    savemat = pytest.importorskip("scipy.io").savemat
    (home / "omniglot").mkdir()
    image = np.random.default_rng(0).random((30, 28, 28))
    columns = image.transpose(0, 2, 1).reshape(30, -1).T
    target = np.eye(50)[:, np.arange(30) % 50]
    savemat(
        home / "omniglot" / "chardata.mat",
        {"data": columns, "testdata": columns[:, :8], "target": target, "testtarget": target[:, :8]},
    )
    splits = load("omniglot", binarize=Binarize.DYNAMIC)
    assert (splits.train.kind, len(splits.test)) == (Kind.BINARY, 8)
    np.testing.assert_allclose(splits.test.x[:, 0].numpy(), image[:8], rtol=1e-6)
    assert splits.test.label.tolist() == list(range(8))


@pytest.mark.parametrize("raw", [b"", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_damaged_omniglot_is_refused(home, raw):
    (home / "omniglot").mkdir()
    (home / "omniglot" / "chardata.mat").write_bytes(raw)
    with pytest.raises(FormatError, match=r"chardata\.mat"):
        load("omniglot")


def test_binarised_mnist_as_text(home):
    (home / "binarized_mnist").mkdir()
    for split, examples in (("train", 12), ("valid", 4), ("test", 5)):
        text = "".join(" ".join(map(str, row)) + " \n" for row in grey(examples, (784,), examples, 2))
        (home / "binarized_mnist" / f"binarized_mnist_{split}.amat").write_text(text)
    splits = load("binarized-mnist")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [12, 4, 5]
    np.testing.assert_array_equal(splits.test.x.numpy().reshape(5, -1), grey(5, (784,), 5, 2))
    (home / "binarized_mnist" / "binarized_mnist_test.amat").write_text("0 1 1\n0 1\n")
    with pytest.raises(FormatError, match="equal length"):
        load("binarized-mnist")


# .npy and .npz


def test_object_and_ragged_arrays_are_refused(tmp_path):
    ragged = np.empty(2, object)
    ragged[:] = [[1, 2], [3]]
    np.save(tmp_path / "a.npy", ragged, allow_pickle=True)
    np.savez(tmp_path / "b.npz", x=ragged)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(FormatError, match="same shape"):
            load(tmp_path / name)


@pytest.mark.parametrize("x", [np.array([["a", "b"]] * 9), np.ones((9, 2), complex), np.ones((9, 2), "datetime64[s]")])
def test_cells_that_are_no_numbers_are_refused(tmp_path, x):
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(SupportError, match="numbers were expected"):
        load(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("keep", [0, 5, 60, 0.5])
def test_truncated_arrays_are_refused(tmp_path, name, keep):
    path = tmp_path / name
    np.save(path, grey()) if name == "a.npy" else np.savez(path, x=grey())
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if isinstance(keep, float) else keep])
    with pytest.raises(FormatError, match=r"truncated|empty"):
        load(path)


def test_splits_inside_an_npz_are_kept(tmp_path):
    arrays = {
        "x_train": grey(9),
        "x_valid": grey(4, seed=1),
        "x_test": grey(5, seed=2),
        "y_train": np.arange(9),
        "y_test": np.arange(5),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    splits = load(tmp_path / "a.npz")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [9, 4, 5]
    assert splits.train.label.tolist() == list(range(9))
    assert splits.validation.label is None


def test_an_npz_in_which_examples_cannot_be_told_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", first=grey(), second=grey())
    with pytest.raises(FormatError, match="name them x"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", train=grey(), test=grey(5, (8, 8)))
    with pytest.raises(ShapeError, match="different shapes"):
        load(tmp_path / "b.npz")


# tables


def test_a_table_keeps_its_names(tmp_path):
    (tmp_path / "a.csv").write_text("height,width\n" + "".join(f"{i},{i / 7}\n" for i in range(12)))
    source = load(tmp_path / "a.csv").train
    assert (source.columns, source.event, source.kind) == (("height", "width"), (2,), Kind.REAL)
    (tmp_path / "b.csv").write_text("".join(f"{i}; {i / 7}\n" for i in range(12)))
    assert load(tmp_path / "b.csv").train.columns == ("column 1", "column 2")


@pytest.mark.parametrize(
    ("text", "words", "error"),
    [
        (
            "a,b\n" + "1,2\n" * 3 + "".join(f"1,{i}\n" for i in range(40)) + "3,red\n",
            "column 'b' holds 'red' in row 44",
            SupportError,
        ),
        ("a,b\n1,2\n3,inf\n5,6\n", "column 'b' holds inf in row 2", SupportError),
        ("a,b\n1,2\n3\n5,6\n", "row 2: 1 cell, but 2 were", ShapeError),
        ("a,a\n1,2\n3,4\n", "columns 1 and 2 are both called 'a'", ShapeError),
        ("a,b\n", "no rows", FormatError),
        ("", "empty", FormatError),
    ],
)
def test_unfit_tables_are_refused(tmp_path, text, words, error):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(error, match=words):
        load(tmp_path / "a.csv")


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(32)) * 30)
    with pytest.raises(FormatError, match="UTF-8"):
        load(tmp_path / "a.csv")


# folders of images


def pictures(folder, count=6, shape=(8, 6, 3), ending="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, cells in enumerate(grey(count, shape)):
        Image.fromarray(cells).save(folder / f"{number}.{ending}")
    return folder


def test_labels_come_from_sub_folders(tmp_path):
    pictures(tmp_path / "dogs")
    pictures(tmp_path / "cats", 4)
    splits = load(tmp_path)
    assert splits.train.label_names == ("cats", "dogs")
    label = torch.cat([part.label for part in (splits.train, splits.validation, splits.test)])
    assert torch.bincount(label).tolist() == [4, 6]
    assert splits.train.event == (3, 8, 6)


def test_cells_of_a_folder_are_those_of_its_files(tmp_path):
    pictures(tmp_path / "train", 5, (8, 6))
    pictures(tmp_path / "test", 3, (8, 6))
    splits = load(tmp_path, validation=1)
    assert (len(splits.train), len(splits.test)) == (4, 3)
    np.testing.assert_array_equal(splits.test.x[:, 0].numpy(), grey(3, (8, 6)))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FormatError, match="no images"):
        load(tmp_path)


def test_damaged_images_are_listed_or_noted_never_dropped(tmp_path):
    pictures(tmp_path, shape=(40, 40, 3))
    raw = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "7.jpg").write_text("not an image")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FormatError, match=r"2 images that cannot be decoded: 2\.png .*7\.jpg"):
        load(tmp_path)
    source = load(tmp_path, images=Images(skip_damaged=True)).train
    assert "2 damaged images left out: 2.png" in source.notes[0]
    assert "1 file of other kinds" in source.notes[1]


def test_grey_and_colour_are_not_mixed(tmp_path):
    pictures(tmp_path)
    Image.fromarray(grey(1, (8, 6))[0]).save(tmp_path / "z.png")
    with pytest.raises(FormatError, match="grey"):
        load(tmp_path)


def test_sizes_that_differ_need_a_declared_size(tmp_path):
    pictures(tmp_path)
    Image.fromarray(grey(1, (10, 12, 3))[0]).save(tmp_path / "z.png")
    with pytest.raises(ShapeError, match="--size"):
        load(tmp_path)
    source = load(tmp_path, images=Images((4, 6), Resample.BOX)).train
    assert source.event == (3, 4, 6)
    assert source.notes == ("cropped about the centre and resized to 4×6 (box)",)
    assert load(tmp_path, size=6).train.event == (3, 6, 6)


def test_images_are_never_made_larger(tmp_path):
    pictures(tmp_path)
    with pytest.raises(ShapeError, match="never made larger"):
        load(tmp_path, size=(9, 6))


def test_transparent_and_deep_images_are_refused(tmp_path):
    pictures(tmp_path, shape=(8, 6, 4))
    with pytest.raises(FormatError, match="transparent"):
        load(tmp_path)
    pictures(tmp_path / "deep", 1)
    Image.fromarray(np.full((8, 6), 40_000, np.uint16)).save(tmp_path / "deep" / "0.png")
    with pytest.raises(FormatError, match="8 bits"):
        load(tmp_path / "deep")


def test_opaque_and_palette_images_are_colour(tmp_path):
    for number, cells in enumerate(grey(5, (8, 6, 4))):
        cells[..., 3] = 255
        Image.fromarray(cells).save(tmp_path / f"{number}.png")
    Image.fromarray(grey(1, (8, 6, 3))[0]).convert("P").save(tmp_path / "p.png")
    assert load(tmp_path).train.event == (3, 8, 6)


def test_images_of_too_many_pixels_are_not_decoded(tmp_path, monkeypatch):
    pictures(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(FormatError, match="too many pixels"):
        load(tmp_path)


def test_other_files_are_refused_by_their_ending(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"ends in \.pkl"):
        load(tmp_path / "a.pkl")


# fetching


@pytest.fixture
def server(tmp_path):
    """Address of a local server over a folder, and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{found.server_address[1]}", folder
    found.shutdown()
    found.server_close()


def one_file(url, checksum):
    return Named("thing", "", "", known("digits").read, (File("a.bin", url, checksum),))


def test_files_are_fetched_once_and_checked(server, tmp_path):
    url, folder = server
    raw = bytes(range(256)) * 9
    (folder / "a.bin").write_bytes(raw)
    told = []
    for checksum in (f"sha256:{hashlib.sha256(raw).hexdigest()}", f"md5:{hashlib.md5(raw).hexdigest()}"):
        found = fetch(one_file(f"{url}/a.bin", checksum), tmp_path / "cache", lambda *words: told.append(words))
        assert (found / "a.bin").read_bytes() == raw
    assert told == [("a.bin", len(raw))]


def test_a_file_with_a_wrong_checksum_is_not_kept(server, tmp_path):
    url, folder = server
    (folder / "a.bin").write_bytes(b"tampered")
    with pytest.raises(FormatError, match="was expected; nothing was kept"):
        fetch(one_file(f"{url}/a.bin", "sha256:" + "0" * 64), tmp_path / "cache")
    assert list((tmp_path / "cache" / "thing").iterdir()) == []


@pytest.mark.parametrize("path", ["/missing.bin", None])
def test_what_cannot_be_fetched_is_said_with_the_way_out(server, tmp_path, path):
    url = f"{server[0]}{path}" if path else "http://127.0.0.1:9/a.bin"
    with pytest.raises(FormatError, match="VAEL_DATA"):
        fetch(one_file(url, "sha256:" + "0" * 64), tmp_path / "cache")
    assert list((tmp_path / "cache" / "thing").iterdir()) == []


def test_sets_without_an_address_say_where_to_put_them(home):
    with pytest.raises(FormatError, match=r"chardata\.mat"):
        load("omniglot")
