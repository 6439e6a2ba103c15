"""Compressed files that somebody made to harm: every checksum is right, and anything may stand in them; they are
refused, or give what they hold.
"""

import copy
import hashlib
import json
import lzma
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest

import vael
from vael import claims
from vael.compression.tabular import beside as beside_module
from vael.compression.tabular.beside import unpacked
from vael.errors import FormatError, VaelError
from vael.specs import archives

FRONT = struct.Struct("<8sHI")
HOSTILE = (
    0,
    -1,
    1,
    2,
    7,
    10**6,
    10**12,
    2**31,
    2**32 - 1,
    2**63,
    2**80,
    -(10**12),
    1.5,
    True,
    None,
    "",
    "O",
    "<M8[s]",
    "V1000000",
    "<i8",
    "|u1",
    "../../x",
    "/tmp/x",
    "a/../b",
    "x" * 5000,
    "rot13",
    "idna",
    "\0",
    "\r",
    [],
    {},
    [10**12],
    [0, 0],
    {"x": 10**9},
    ["a", "a"],
)


def checksum(content):
    return hashlib.sha256(content).hexdigest()[:32]


def taken_apart(raw):
    """Header, payloads, and what stands beside, as a form and Arrow streams."""
    _, _, length = FRONT.unpack_from(raw)
    header = json.loads(zlib.decompress(raw[FRONT.size : FRONT.size + length]))
    place = FRONT.size + length + 16
    size = header.get("beside", {}).get("size", 0)
    beside, place = raw[place : place + size], place + size
    payloads = []
    for block in header["blocks"]:
        payloads.append(raw[place : place + block["size"]])
        place += block["size"]
    return header, payloads, opened(beside) if beside else None


def opened(beside):
    plain = lzma.decompress(beside)
    (length,) = struct.unpack_from("<I", plain)
    return json.loads(plain[4 : 4 + length]), plain[4 + length :]


def closed(told, streams):
    text = json.dumps(told).encode()
    return lzma.compress(struct.pack("<I", len(text)) + text + streams)


def put_together(header, payloads, beside=b""):
    """A whole file with every checksum as it must be, as anybody can write one."""
    header = copy.deepcopy(header)
    if isinstance(header.get("blocks"), list):
        for block, payload in zip(header["blocks"], payloads, strict=False):
            if isinstance(block, dict):
                block["size"], block["stored"] = len(payload), checksum(payload)
    if beside:
        header["beside"] = {"size": len(beside), "stored": checksum(beside)}
    told = zlib.compress(json.dumps(header).encode())
    front = FRONT.pack(b"\x89VAEL\r\n\x1a", 1, len(told)) + told
    body = b"".join([front, hashlib.sha256(front).digest()[:16], beside, *payloads])
    return body + hashlib.sha256(body).digest()


def leaves(tree, path=()):
    """Every place in a tree of JSON."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from leaves(value, (*path, key))


def changed(tree, rng):
    """A tree with something hostile at one or two of its places."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.integers(1, 3)):
        *path, last = (found := list(leaves(tree)))[rng.integers(len(found))]
        place = tree
        for key in path:
            place = place[key]
        if rng.random() < 0.15:
            del place[last]
        else:
            place[last] = HOSTILE[rng.integers(len(HOSTILE))]
        if not list(leaves(tree)):
            break
    return tree


def bitten(content, rng):
    """Bytes with a few of them changed, cut off, or put in."""
    raw = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        if raw:
            width = int(rng.choice([1, 4, 8]))
            place = int(rng.integers(len(raw))) // width * width
            raw[place : place + width] = (
                HOSTILE_WORDS[rng.integers(len(HOSTILE_WORDS))][:width] if rng.random() < 0.7 else rng.bytes(width)
            )
    return bytes(raw[: rng.integers(len(raw) + 1)] if rng.random() < 0.15 else raw)


HOSTILE_WORDS = [struct.pack("<q", value) for value in (0, -1, 1, 2, 2**31 - 1, -(2**31), 2**40, 2**62, 255)]


def raw_block(header, number, plain):
    """The payload of a block that goes raw, its facts set right."""
    block = header["blocks"][number]
    for key in ("kept", "groups"):
        block.pop(key, None)
    block |= {"coded": False, "decoded": checksum(plain)}
    return zlib.compress(plain)


def mutant(parts, rng):
    """A file with something hostile in one of its parts."""
    header, payloads, beside = copy.deepcopy(parts)
    which = rng.choice(["header", "payload", "raw", *(["told", "streams"] if beside else [])])
    if which == "header":
        header = changed(header, rng)
    if which == "payload":
        payloads[0] = bitten(payloads[0], rng)
    if which == "raw":
        size = (
            header["blocks"][0]["examples"]
            * int(np.prod(header["layout"]["shape"][1:]))
            * np.dtype(header["layout"]["dtype"]).itemsize
        )
        payloads[0] = raw_block(header, 0, bitten(bytes(size), rng))
    if beside:
        told, streams = beside
        beside = closed(
            changed(told, rng) if which == "told" else told, bitten(streams, rng) if which == "streams" else streams
        )
    return put_together(header, payloads, beside or b"")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A run on a small table, and a compressed one taken apart."""
    folder, rng = tmp_path_factory.mktemp("hostile"), np.random.default_rng(0)
    day = np.datetime64("2020-01-01") + rng.integers(0, 50, 60)
    lines = [
        f"{'ab'[n % 2]},{rng.normal():.1f},{rng.integers(9) if n % 5 else ''},{day[n]},note {n}" for n in range(60)
    ]
    (folder / "t.csv").write_text("\n".join(["kind,size,count,day,text", *lines]) + "\n")
    vael.train(
        folder / "t.csv", run=folder / "run", latent=2, hidden=(4,), epochs=1, compile=False, precision="float32"
    )
    run = vael.load(folder / "run")
    archives.compress(run, folder / "t.csv", folder / "t.vael")
    return run, taken_apart((folder / "t.vael").read_bytes())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The same of a folder of images."""
    from PIL import Image

    folder, rng = tmp_path_factory.mktemp("hostile-images"), np.random.default_rng(0)
    (folder / "in").mkdir()
    for number in range(24):
        Image.fromarray(rng.integers(0, 256, (4, 4), np.uint8)).save(folder / "in" / f"{number}.png")
    vael.train(
        folder / "in",
        run=folder / "run",
        latent=2,
        hidden=(4,),
        epochs=1,
        compile=False,
        precision="float32",
        model="dense",
    )
    run = vael.load(folder / "run")
    archives.compress(run, folder / "in", folder / "i.vael")
    return run, taken_apart((folder / "i.vael").read_bytes())


def survives(run, parts, target, seeds):
    """How many of the files are refused; any other end than a refusal or a whole result fails, and a refusal leaves
    nothing.
    """
    refused = 0
    for seed in seeds:
        file = target.with_name("x.vael")
        file.write_bytes(mutant(parts, np.random.default_rng(seed)))
        out = target.with_name(f"{seed}{target.suffix}")
        try:
            archives.decompress(run, file, out)
        except VaelError:
            refused += 1
            assert not out.exists()
        except BaseException as error:
            error.add_note(f"the file made with seed {seed}")
            raise
    assert sorted(path.name for path in target.parent.iterdir() if path.name.startswith(".")) == []
    return refused


def test_what_is_taken_apart_can_be_put_together(table, images, tmp_path):
    """Else the files below would be refused for a checksum and nothing would be tested."""
    for (run, (header, payloads, beside)), name in ((table, "x.csv"), (images, "folder")):
        (tmp_path / "x.vael").write_bytes(put_together(header, payloads, closed(*beside) if beside else b""))
        archives.decompress(run, tmp_path / "x.vael", tmp_path / name)


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_hostile_table_is_refused_or_read(table, tmp_path, name):
    assert survives(*table, tmp_path / name, range(24)) > 12


def test_hostile_images_are_refused_or_read(images, tmp_path):
    assert survives(*images, tmp_path / "x", range(50)) > 25


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x"])
def test_many_hostile_files(table, images, tmp_path, name):
    assert survives(*(table if "." in name else images), tmp_path / name, range(1000, 4000)) > 1500


def refusal(run, tmp_path, content, *words):
    (tmp_path / "x.vael").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        archives.decompress(run, tmp_path / "x.vael", tmp_path / "out.csv")
    for word in words:
        assert word in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["x.vael"]


@pytest.mark.parametrize("examples", [10**7, 10**9, 10**12, 2**62])
@pytest.mark.parametrize("many", [1, 1000])
def test_a_header_cannot_ask_for_memory(table, images, tmp_path, examples, many, monkeypatch):
    """Rows, rows in many blocks, cells, levels, images: refused by what it says, before anything is decoded or
    allocated.
    """
    monkeypatch.setattr(np, "empty", lambda *shape, **how: pytest.fail(f"allocates {shape}"))
    for run, (header, payloads, beside) in (table, images):
        claim = copy.deepcopy(header)
        claim["layout"]["shape"][0] = examples * many
        claim["blocks"] = [
            {**claim["blocks"][0], "examples": examples, "groups": [examples], "coded": coded}
            for coded in [False] * many
        ]
        claim["layout"]["names"] = (
            [f"{number}.png" for number in range(min(examples * many, 100))] if header["layout"].get("names") else []
        )
        content = put_together(claim, [payloads[0]] * many, closed(*beside) if beside else b"")
        (tmp_path / "x.vael").write_bytes(content)
        with pytest.raises(FormatError):
            archives.decompress(run, tmp_path / "x.vael", tmp_path / "out")


def test_what_a_machine_cannot_hold_is_said(table, tmp_path, monkeypatch):
    run, (header, payloads, beside) = table
    content = put_together(header, payloads, closed(*beside))
    monkeypatch.setattr(claims, "memory", lambda: 2000)
    refusal(run, tmp_path, content, "memory", "at most 1,000")


def streams_of(tables, **how):
    """Arrow streams, one after another."""
    sink = pa.BufferOutputStream()
    for table in tables:
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**how)) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_what_stands_beside_cannot_ask_for_memory(monkeypatch):
    """A bomb of xz, batches that are packed once more, rows that take no bytes, and columns that repeat one text by
    its number.
    """
    empty, long = pa.table({"a": pa.array([], pa.string())}), pa.table({"a": ["x" * 1000] * 100})
    told = {"rows": 100, "columns": [], "whole": ["a"]}
    assert unpacked(closed(told, streams_of([empty, long])), "x", 100).whole.equals(long)
    for how in ("zstd", "lz4"):
        with pytest.raises(FormatError, match="compressed once more"):
            unpacked(closed(told, streams_of([empty, long], compression=how)), "x", 100)
    coded = pa.table({"a": pa.array(["x" * 1000] * 100).dictionary_encode()})
    with pytest.raises(FormatError, match="compressed once more"):
        unpacked(closed(told, streams_of([empty, coded], compression="zstd")), "x", 100)
    nothing = pa.table({"a": pa.nulls(10**9)})
    with pytest.raises(FormatError, match="1,000,000,000"):
        unpacked(closed(told, streams_of([empty, nothing])), "x", 100)
    repeated = pa.table({"a": pa.RunEndEncodedArray.from_arrays([100], ["x"])})
    with pytest.raises(FormatError, match="as which none is written"):
        unpacked(closed(told, streams_of([empty, repeated])), "x", 100)
    monkeypatch.setattr(beside_module, "MOST_BESIDE", 1 << 20)
    bomb = lzma.compress(bytes(1 << 26))
    assert len(bomb) < 1 << 14
    with pytest.raises(FormatError, match="unpacks to more"):
        unpacked(bomb, "x", 100)


@pytest.mark.parametrize(
    "names",
    [
        ["../1.png"],
        ["/1.png"],
        ["a/../../1.png"],
        ["a\\..\\1.png"],
        ["c:1.png"],
        [".."],
        [""],
        ["a.png", "a.png"],
        ["a.png", "A.png"],
        ["a", "a/b.png"],
        ["x" * 300 + ".png"],
        ["a\0.png"],
    ],
)
def test_images_are_not_written_elsewhere(images, tmp_path, names):
    run, (header, payloads, _) = images
    header = copy.deepcopy(header)
    header["layout"]["names"][: len(names)] = names
    (tmp_path / "deep").mkdir()
    (tmp_path / "x.vael").write_bytes(put_together(header, payloads))
    with pytest.raises(FormatError):
        archives.decompress(run, tmp_path / "x.vael", tmp_path / "deep" / "out")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["deep", "x.vael"]


@pytest.mark.parametrize("offset", [400_000, 2**30, -1])
def test_columns_beside_the_blocks_are_validated_in_full(offset):
    """An offset beyond the texts would give memory of the process, or end it."""
    empty, fair = pa.table({"a": pa.array([], pa.string())}), np.array([0, *[3] * 100], np.int32)
    column = pa.StringArray.from_buffers(100, pa.py_buffer(fair.tobytes()), pa.py_buffer(b"abc"))
    bad = fair.copy()
    bad[1] = offset
    streams = streams_of([empty, pa.table({"a": column})])
    assert fair.tobytes() in streams
    told = {"rows": 100, "columns": [], "whole": ["a"]}
    assert unpacked(closed(told, streams), "x", 100).whole.num_rows == 100
    with pytest.raises(FormatError, match="no whole file"):
        unpacked(closed(told, streams.replace(fair.tobytes(), bad.tobytes())), "x", 100)
