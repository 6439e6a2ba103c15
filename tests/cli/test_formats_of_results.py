"""Formats of files that are written: what cannot be is refused before any work by one message that lists what can, and
what is possible comes out as its name says, for every command and every kind of data.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

import vael
from vael.cli import main
from vael.cli.formats import ARRAY, COLUMNS, FILMS, LAID_OUT, PAGE, PICTURE, STILLS, Result, format_of
from vael.cli.main import COMMANDS
from vael.errors import FormatError, SupportError
from vael.options.declaring import options_of

FREE = {
    "compress",
    "decompress",
    "export",
    "train",
    "sweep",
    "data",
    "pull",
}  # any name, or one that hangs on what a file holds
WRITTEN = [
    (name, one.names[0], one.option.formats)
    for name in COMMANDS
    for one in options_of(COMMANDS[name].record(name))
    if one.option.written and name not in FREE
]
DATA = {"score": ["x.csv"], "impute": ["x.csv"]}
SMALL = {"epochs": 1, "latent": 2, "hidden": (4,), "callbacks": (), "compile": False, "threads": 1, "device": "cpu"}


def begins(path):
    """Whether a file is what its ending says."""
    content = path.read_bytes()
    known = {
        ".png": b"\x89PNG",
        ".gif": b"GIF89a",
        ".html": b"<!doctype html",
        ".npy": b"\x93NUMPY",
        ".parquet": b"PAR1",
    }
    return content.startswith(known[path.suffix]) if path.suffix in known else bool(content.decode().splitlines()[1])


def words(command, path):
    return {
        "sample": ["-n", "12"],
        "inpaint": ["--region", "0:4,0:4", "-n", "2"],
        "attribute": ["--give", "1"],
        "impute": [path, "--samples", "2"],
        "reconstruct": ["-n", "12"],
    }.get(command, [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    noise = np.random.default_rng(0)
    rows = [
        f"{a:.2f},{'xyz'[b]},{a + b:.1f}"
        for a, b in zip(noise.normal(size=150), noise.integers(3, size=150), strict=True)
    ]
    (place / "table.csv").write_text("\n".join(["a,kind,b", *rows[:-1], rows[-1].rpartition(",")[0] + ",", ""]))
    np.save(place / "rows.npy", noise.normal(size=(150, 3)).astype(np.float32))
    steps = [f"{time},{value:.3f}" for time, value in enumerate(noise.normal(size=240).cumsum())]
    (place / "series.csv").write_text("\n".join(["time,u", *steps, "240,", ""]))
    vael.train("digits", run=place / "images", **SMALL)
    for name, source in (("table", "table.csv"), ("numbers", "rows.npy")):
        vael.train(place / source, run=place / name, validation=30, test=30, **SMALL)
    vael.train(place / "series.csv", run=place / "series", sequence="time", window=8, **{**SMALL, "hidden": None})
    return place


def test_every_file_that_is_written_says_how():
    assert [(name, option) for name, option, formats in WRITTEN if not formats] == []


@pytest.mark.parametrize(("name", "option", "formats"), WRITTEN)
@pytest.mark.parametrize("file", ["x.zzz", "x", "x.csv.gz"])
def test_another_ending_is_refused_before_the_run_is_looked_at(name, option, formats, file, capsys):
    assert main([name, "nowhere", *DATA.get(name, []), option, file]) == 2
    said = capsys.readouterr().err
    assert file in said
    assert all(ending in said for one in formats for ending in one.endings)
    assert "nowhere" not in said


@pytest.mark.parametrize("formats", [(*STILLS, *FILMS), (LAID_OUT, ARRAY), (PAGE,)])
def test_an_ending_says_one_thing_in_any_case_of_letters(formats):
    endings = [ending for one in formats for ending in one.endings]
    assert len(endings) == len(set(endings))
    for one in formats:
        assert all(format_of(Path(f"x{ending.upper()}"), formats) is one for ending in one.endings)
    with pytest.raises(FormatError, match="missing"):
        format_of(Path(endings[0]), formats)  # a hidden file without an ending


TAKES = {  # what each kind of data can be written as
    "images": {".png", ".gif", ".html", ".npy", ".csv", ".parquet"},
    "table": {".npy", ".csv", ".parquet"},
    "numbers": {".npy", ".csv", ".parquet"},
    "series": {".npy", ".csv", ".parquet"},
}
SERVES = {
    "images": {"sample", "reconstruct", "encode", "score", "interpolate", "attribute", "inpaint"},
    "table": {"sample", "reconstruct", "encode", "score", "interpolate", "impute"},
    "numbers": {"sample", "reconstruct", "encode", "score", "interpolate"},
    "series": {"sample", "reconstruct", "encode", "score", "forecast", "impute"},
}
OFFERED = {
    name: {end for one in formats for end in one.endings} for name, option, formats in WRITTEN if option == "--output"
}
EVERY_WAY = ("sample", "forecast", "inpaint")  # commands that are put through all that is possible, others through one
CASES = [
    (kind, name, ending)
    for kind in TAKES
    for name in sorted(SERVES[kind])
    for ending in sorted(OFFERED[name])
    if name in EVERY_WAY or ending not in TAKES[kind] - {".npy"}
]


@pytest.mark.parametrize(("kind", "name", "ending"), CASES)
def test_what_is_possible_is_written_and_nothing_else(folder, tmp_path, capsys, kind, name, ending):
    target, own = tmp_path / f"x{ending}", folder / f"{kind}.csv"
    possible = (TAKES[kind] & OFFERED[name]) if name != "impute" else set(LAID_OUT.endings)
    sized = words(name, str(own)) if kind != "series" or name == "impute" else []
    status = main([name, str(folder / kind), *map(str, sized), "-o", str(target), "-q"])
    said = capsys.readouterr().err
    assert (status == 0) == (ending in possible), said
    assert list(tmp_path.iterdir()) == ([target] if status == 0 else [])
    if status:
        assert status == 2
        assert all(one in said for one in possible)
        assert not any(f"{one}," in said.partition("must be")[2] for one in OFFERED[name] - possible)
    else:
        assert begins(target)


def test_a_film_goes_there_and_back_where_it_plays_for_ever(folder, tmp_path):
    asked = ["interpolate", str(folder / "images"), "--frames", "5", "-q"]
    assert main([*asked, "-o", str(tmp_path / "x.gif")]) == 0
    assert main([*asked, "-o", str(tmp_path / "x.html")]) == 0
    assert Image.open(tmp_path / "x.gif").n_frames == 2 * 5 - 2
    assert "of 5" in (tmp_path / "x.html").read_text()


def test_text_and_types_of_one_table_agree(folder, tmp_path):
    asked = ["sample", str(folder / "table"), "-n", "7", "-q"]
    for ending in COLUMNS.endings:
        assert main([*asked, "-o", str(tmp_path / f"x{ending}")]) == 0
    typed = pyarrow.parquet.read_table(tmp_path / "x.parquet").to_pylist()
    text = [line.split(",") for line in (tmp_path / "x.csv").read_text().splitlines()[1:]]
    assert [[float(one["a"]), one["kind"]] for one in typed] == [[float(a), kind] for a, kind, _ in text]


def test_what_cannot_be_looked_at_has_no_picture():
    result = Result(array=lambda path: None, table=lambda path: None)
    for form in (PICTURE, *FILMS):
        with pytest.raises(SupportError, match="no images"):
            form.write(Path("x"), result)


def test_the_usual_file_is_of_the_first_format_that_the_data_can_have(folder, capsys):
    for kind, ending in (("images", ".png"), ("table", ".csv"), ("series", ".csv")):
        assert main(["sample", str(folder / kind), "--json"]) == 0
        assert Path(json.loads(capsys.readouterr().out)["file"]).suffix == ending
