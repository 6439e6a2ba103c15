"""Run folders from somebody else, and several processes at one: whatever is wrong ends in one refusal, soon and in
bounds.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import vael
from vael import cli, specs
from vael.errors import StateError, VaelError
from vael.training import Callback
from vael.training.checkpoint import read_tensors
from vael.training.place import held

TINY = {"epochs": 1, "latent": 2, "hidden": (4,), "precision": "float32", "compile": False}
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The content of every file of a tiny run on a table, by name."""
    folder = tmp_path_factory.mktemp("made")
    made = np.random.default_rng(0)
    rows = [
        f"{made.choice(['oak', 'ash'])},{made.normal():.2f},{made.integers(6)},2001-0{1 + made.integers(8)}-11"
        for _ in range(80)
    ]
    rows[3] = ",1.00,2,2001-01-11"
    (folder / "trees.csv").write_text("kind,height,nests,planted\n" + "\n".join(rows) + "\n")
    vael.train(folder / "trees.csv", run=folder / "run", contamination=0.1, **TINY)
    found = [path for path in (folder / "run").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder / "run")): path.read_bytes() for path in found}


@pytest.fixture
def run(made, tmp_path):
    """A folder with these files, to be damaged."""
    for name, content in made.items():
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_bytes(content)
    return tmp_path / "run"


def nested_metadata(path):
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata={"vael": DEEP})


def other_numbers(path, kind=torch.float8_e4m3fn):
    tensors = safetensors.torch.load_file(path)
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 2)
    safetensors.torch.save_file(tensors | {name: tensors[name].to(kind)}, path, metadata={"vael": "{}"})


def instead(make):
    """Something else in the place of a file."""

    def do(path):
        path.unlink()
        make(path)

    return do


def sparse(path):
    """A file that says it has a tebibyte."""
    with open(path, "r+b") as file:
        file.truncate(1 << 40)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"\n\n"),
    "nested": lambda path: path.write_text(DEEP + "\n{}\n"),
    "nested records": lambda path: path.write_text('{"a":' * 5000 + "1" + "}" * 5000 + "\n{}\n"),
    "a list": lambda path: path.write_text("[1]\n[1]\n"),
    "a number": lambda path: path.write_text("1" * 5000 + "\n1\n"),
    "a letter": lambda path: path.write_text('"x"\n"x"\n'),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\n{}\n"),
    "zeros": lambda path: path.write_bytes(b"\0" * 1000 + b"\n{}\n"),
    "half a letter": lambda path: path.write_text('{"\\ud800": 1}\n{"\\ud800": 1}\n'),
    "name twice": lambda path: path.write_text('{"train": [], "train": []}\n{"a": 1, "a": 1}\n'),
    "a folder": instead(lambda path: path.mkdir()),
    "a pipe": instead(lambda path: os.mkfifo(path)),
    "a device": instead(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": instead(lambda path: path.symlink_to(path.name)),
    "a link to nothing": instead(lambda path: path.symlink_to("nothing")),
    "huge": sparse,
}
TENSORS = {
    "nested metadata": nested_metadata,
    "float8": other_numbers,
    "complex": lambda path: other_numbers(path, torch.complex64),
}
FILES = ("run.json", "metrics.jsonl", "left-out.json", "model.safetensors", "checkpoint/state.safetensors")
CASES = [(name, damage) for name in FILES for damage in (*DAMAGE, *(TENSORS if name.endswith("safetensors") else ()))]
CASES.remove(("metrics.jsonl", "empty"))  # which has no rows, and nothing wrong with it


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_damaged_files_are_refused(name, damage, run):
    """By who reads them: the loader, or a run that goes on."""
    {**DAMAGE, **TENSORS}[damage](run / name)
    with pytest.raises(VaelError):
        vael.train(run=run, resume=True) if name.startswith("checkpoint") else vael.load(run).splits()


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint/state.safetensors"])
def test_a_flipped_byte_is_found(name, made, run):
    """At forty places, in what is said and in the numbers; without the sha256 of run.json too."""
    content, spec = made[name], json.loads(made["run.json"])
    assert len(spec["weights_sha256"]) == 64
    for number, place in enumerate(range(0, len(content), len(content) // 40)):
        (run / name).write_bytes(content[:place] + bytes([content[place] ^ 1 << number % 8]) + content[place + 1 :])
        (run / "run.json").write_text(json.dumps(spec | {"weights_sha256": None} if number % 2 else spec))
        with pytest.raises(VaelError):
            read_tensors(run / name) if name.startswith("checkpoint") else vael.load(run)


def test_a_run_without_checksums_is_read(made, run):
    spec = json.loads(made["run.json"])
    del spec["weights_sha256"]
    (run / "run.json").write_text(json.dumps(spec))
    safetensors.torch.save_file(
        safetensors.torch.load(made["model.safetensors"]), run / "model.safetensors", metadata={"vael": '{"step": 1}'}
    )
    assert vael.load(run).spec.weights_sha256 is None


def leaves(record, path=()):
    """Every place in a record of JSON."""
    yield path
    for name, value in (
        record.items() if isinstance(record, dict) else enumerate(record[:2]) if isinstance(record, list) else ()
    ):
        yield from leaves(value, (*path, name))


def exchanged(record, path, value):
    """A record with another value at a place."""
    if not path:
        return value
    copied = dict(record) if isinstance(record, dict) else list(record)
    copied[path[0]] = exchanged(record[path[0]], path[1:], value)
    return copied


VALUES = [None, -5, 0, 10**9, 10**30, 1e308, True, "x", "\0", [], [-5], [0] * 500, {}, {"x": 1}, [[[]]]]


def test_whatever_stands_in_run_json_is_read_or_refused(made, run):
    """Every value at every place, and nothing but errors that say what is wrong."""
    spec = json.loads(made["run.json"])
    places = [path for path in leaves(spec) if path]
    for number, path in enumerate(places):
        for value in VALUES[number % 3 :: 3]:
            (run / "run.json").write_text(json.dumps(exchanged(spec, path, value)))
            try:
                vael.load(run)
            except VaelError:
                continue
            except Exception as error:
                raise AssertionError(f"{path} = {value!r:.40} gives {type(error).__name__}: {error}") from error


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sample", "evaluate", "report", "score", "resume"])
def test_commands_on_whatever_stands_in_run_json(command, made, run, capsys):
    spec, table = json.loads(made["run.json"]), json.loads(made["run.json"])["data"]["source"]
    words = {
        "sample": ["sample", run, "-n", "3", "-o", run.parent / "o.csv"],
        "evaluate": ["evaluate", run, "--importance-samples", "2"],
        "report": ["report", run, "--importance-samples", "2"],
        "score": ["score", run, table, "-o", run.parent / "s.csv"],
        "resume": ["train", "--run", run, "--resume", "--epochs", "1", "--no-report", "--importance-samples", "2"],
    }[command]
    for path in [path for path in leaves(spec) if path]:
        for value in VALUES:
            (run / "run.json").write_text(json.dumps(exchanged(spec, path, value)))
            status = cli.main([str(word) for word in words])
            said = capsys.readouterr().err
            assert status in (0, 2), (path, value, said)
            assert "unexpected" not in said


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "RUN"],
        ["report", "RUN"],
        ["encode", "RUN", "-o", "o.npy"],
        ["reconstruct", "RUN", "-o", "o.csv"],
        ["compress", "RUN", "-o", "o.vael"],
        ["sample", "RUN", "--sampler", "mixture", "-o", "o.csv"],
        ["train", "--run", "RUN", "--resume"],
        *([command, "RUN", "DATA", "-o", "o.csv"] for command in ("score", "impute", "encode", "reconstruct")),
        ["compress", "RUN", "DATA", "-o", "o.vael"],
        ["data", "info", "DATA"],
        ["train", "DATA", "--run", "other"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "none.csv.gz", "none", "a.csv", "a.parquet", "a.csv.zip"])
def test_data_that_are_no_longer_there_are_named_and_refused(words, name, run, capsys, monkeypatch):
    """Or were never there, or are a folder: exit status 2, the path, and nothing written."""
    monkeypatch.chdir(run.parent)
    for folder in ("a.csv", "a.parquet", "a.csv.zip"):
        Path(folder).mkdir()
    spec, before = json.loads((run / "run.json").read_text()), sorted(path.name for path in run.parent.iterdir())
    (run / "run.json").write_text(json.dumps(exchanged(spec, ("data", "source"), str(run.parent / name))))
    assert cli.main([{"RUN": str(run), "DATA": name}.get(word, word) for word in words]) == 2
    assert name in capsys.readouterr().err
    assert sorted(path.name for path in run.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", [16000, 16000]),
        ("latent", 10**9),
        ("latent", 0),
        ("hidden", [-5]),
        ("hidden", [4] * 10**5),
        ("hidden", [10**7, 10**7]),
    ],
)
def test_no_memory_is_taken_for_sizes_that_the_weights_have_not(name, value, made, run):
    """Neither by whoever reads the run, nor by whoever goes on with it, from a checkpoint or from its start."""
    spec, place = (
        json.loads(made["run.json"]),
        {"hidden": ("model", "network", "hidden"), "latent": ("model", "latent")},
    )
    (run / "run.json").write_text(json.dumps(exchanged(spec, place[name], value)))
    with pytest.raises(VaelError):
        vael.load(run)
    with pytest.raises(VaelError):
        vael.train(run=run, resume=True)
    (run / "checkpoint" / "state.safetensors").unlink()  # nothing to hold run.json against: neither weights nor state
    (run / "model.safetensors").unlink()
    with pytest.raises(VaelError):
        vael.train(run=run, resume=True)


def test_two_do_not_train_in_one_folder(run):
    """Neither another process nor another thread; who died, has let go."""
    code = "import sys, time\nfrom pathlib import Path\nfrom vael.training.place import held\n"
    code += "with held(Path(sys.argv[1])):\n    print(1, flush=True)\n    time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, run], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"1\n"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(StateError, match="another process"):
        vael.train(run=run, resume=True)
    assert vael.load(run).history  # whoever only reads is not kept out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    other.kill()
    other.wait()
    with held(run), held(run), ThreadPoolExecutor(1) as pool, pytest.raises(StateError, match="another process"):
        pool.submit(held(run).__enter__).result()
    vael.train(run=run, resume=True)


def test_folders_of_one_name_get_numbers(tmp_path):
    wanted = tmp_path / "runs" / "digits-1"
    assert [specs.new_folder(wanted).name for _ in range(3)] == ["digits-1", "digits-1-2", "digits-1-3"]


class AtTheFirstRow(Callback):
    """Does something once there is a row."""

    def __init__(self, action):
        self.action = action

    def row(self, row):
        action, self.action = self.action, lambda: None
        action()


@pytest.mark.parametrize("what", ["removed", "moved", "exchanged", "closed"])
def test_a_folder_that_vanishes_while_it_trains_is_no_success(what, tmp_path):
    """It is no wrong input either: exit status 1, which is that of an `OSError`."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32))
    folder = tmp_path / "run"

    def act():
        if what == "closed":
            (folder / "metrics.jsonl").unlink()
            (folder / "metrics.jsonl").mkdir()
        else:
            folder.rename(tmp_path / "elsewhere")
        if what == "exchanged":
            folder.mkdir()

    with pytest.raises(OSError, match="run"):
        vael.train(tmp_path / "x.npy", run=folder, callbacks=[AtTheFirstRow(act)], **TINY | {"epochs": 3})
    assert what in ("exchanged", "closed") or not folder.exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_name_of_a_data_set_means_the_set(kind, tmp_path, monkeypatch):
    """For every command alike, and it is said."""
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir() if kind == "folder" else Path("digits").write_text("1,2\n")
    prepared = specs.prepare(specs.request("digits", **TINY))
    assert prepared.spec.data.source == "digits"
    assert "./digits" in prepared.reasons[0]
    assert specs.prepare_again(prepared.spec).spec == prepared.spec


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried"),
        ImportError("lib.so: failed to map segment from shared object"),
    ],
)
def test_used_up_memory_is_said(error, monkeypatch, capsys):
    def full(arguments):
        raise error

    monkeypatch.setattr(cli.main.__globals__["sys"].modules["vael.cli.main"], "dispatch", full)
    assert cli.main(["models"]) == 1
    said = capsys.readouterr().err
    assert "not enough memory" in said
    assert "unexpected" not in said


@pytest.mark.parametrize("error", [MemoryError(), FileNotFoundError(2, "No usable temporary directory"), ImportError()])
def test_what_the_machine_lacks_is_not_blamed_on_run_json(error, run, monkeypatch):
    def lacking(*given, **how):
        raise error

    monkeypatch.setattr("vael.specs.sizes.build_model", lacking)
    with pytest.raises(type(error)):
        vael.load(run)
