"""The command line as a person meets it: exit status, one message, files."""

import errno
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from vael.cli import main

SMALL = [
    "--latent",
    "2",
    "--hidden",
    "16",
    "--importance-samples",
    "4",
    "--no-report",
    "--no-compile",
    "--precision",
    "float32",
]
FIELDS = {
    "data",
    "split",
    "examples",
    "elbo",
    "log_likelihood",
    "standard_error",
    "importance_samples",
    "bits_per_dim",
    "effective_sample_size",
    "k_hat",
    "distortion",
    "divergence",
    "active_units",
    "latent_features",
    "seconds",
}


def train(folder, *more):
    return main(["train", "digits", "--binarize", "threshold", "--run", str(folder), "--epochs", "2", *SMALL, *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert train(folder) == 0
    return folder


@pytest.fixture
def copy(run, tmp_path):
    """A run that a test may damage."""
    for path in run.rglob("*"):
        if path.is_file():
            target = tmp_path / "copy" / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return tmp_path / "copy"


@pytest.fixture
def refused(capsys):
    """Function: the command is refused with status 2 and one message that has the words, and nothing on standard
    output; gives the message.
    """

    def check(arguments, *words):
        capsys.readouterr()
        status = main([str(word) for word in arguments])
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert err.startswith("vael: ")
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        for word in words:
            assert word in err
        return err

    return check


def json_of(capsys, *arguments):
    capsys.readouterr()
    assert main([str(word) for word in arguments]) == 0
    return json.loads(capsys.readouterr().out)


HEAVY = {"torch", "numpy", "matplotlib", "sklearn", "pydantic", "rich", "PIL", "safetensors"}


@pytest.mark.parametrize(
    "what",
    [
        "import vael",
        "main(['--help'])",
        "main(['--version'])",
        "main(['trian'])",
        "for name in sys.modules['vael.cli.main'].COMMANDS: main([name, '--help']), main([name, '--jsn', 'x'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(what):
    code = (
        f"import sys, vael\nfrom vael.cli import main\n{what}\nprint('LOADED', *{{name.split('.')[0] for name in "
        f"sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert not loaded & HEAVY


def test_help_names_every_command_and_each_explains_itself(capsys):
    assert main([]) == 0
    page = capsys.readouterr().out
    for name in ("train", "evaluate", "sample", "reconstruct", "encode", "report", "export", "data", "models"):
        assert name in page
        assert main([name, "--help"]) == 0
        assert f"vael {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["unknown command trian", "did you mean train?"]),
        (["--jsn"], ["unknown option --jsn"]),
        (["train", "--epocs", "3"], ["--epocs", "did you mean --epochs?"]),
        (["train", "digits", "mnist"], ["unknown argument mnist"]),
        (["train", "--epochs", "0"], ["--epochs", "at least 1", "'0'"]),
        (["train", "--epochs", "many"], ["--epochs", "whole number", "'many'"]),
        (["train", "--batch", "-3"], ["--batch", "at least 1"]),
        (["train", "--lr", "nan"], ["--lr", "above 0"]),
        (["train", "--time-limit", "0"], ["--time-limit", "above 0"]),
        (["train", "--hidden", "400,,20"], ["--hidden", "separated by commas"]),
        (["train", "--binarize", "dynamik"], ["--binarize", "did you mean dynamic?"]),
        (["train", "--warmup", "1.5"], ["--warmup", "at most 0.99"]),
        (["train", "digitz"], ["digitz", "did you mean digits?"]),
        (["train", "no/such/file.npy"], ["no/such/file.npy"]),
        (["train", "--model", "dence"], ["dence", "did you mean dense?"]),
        (["train", "--likelihood", "bernouli"], ["bernouli", "did you mean bernoulli?"]),
        (["train", "--likelihood", "bernoulli"], ["--binarize"]),
        (["train", "--estimator", "samplet"], ["samplet", "did you mean sampled?"]),
        (["train", "--estimator", "importance-weighted", "--beta", "2"], ["beta"]),
        (["train", "--precision", "float23"], ["float23", "did you mean float32?"]),
        (["train", "--device", "abacus"], ["abacus"]),
        (["train", "--model", "convolutional", "--hidden", "4"], ["--hidden", "convolutional"]),
        (["train", "--resume"], ["--resume", "--run"]),
        (["train", "--resume", "--run", "nowhere"], ["nowhere", "no such folder"]),
        (["evaluate"], ["RUN"]),
        (["evaluate", "nowhere"], ["nowhere", "no such folder"]),
        (["sample", "nowhere", "-n", "0"], ["at least 1"]),
        (["sample", "nowhere", "-o", "x.txt"], ["x.txt", ".png", ".gif"]),
        (["encode", "nowhere", "-o", "x.png"], ["x.png", ".npy"]),
        (["report", "nowhere"], ["no such folder"]),
        (["export", "nowhere"], ["no such folder"]),
        (["data", "lisst"], ["lisst", "did you mean list?"]),
        (["data", "info"], ["data info"]),
        (["data", "info", "digist"], ["did you mean digits?"]),
    ],
)
def test_what_cannot_be_used_is_refused_with_one_message_and_nothing_is_written(
    arguments, words, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    refused(arguments, *words)
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_an_error_came_from(capsys):
    assert main(["evaluate", "nowhere", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "sample", "reconstruct", "encode", "report", "export"])
def test_a_folder_that_is_no_run_is_refused(command, refused, tmp_path):
    refused([command, tmp_path], "not a run folder", "run.json")
    (tmp_path / "file").write_text("x")
    refused([command, tmp_path / "file"], "a file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("[]", "does not fit"),
        ("{}", "data"),
        ('{"schema_version": 99}', "schema 99"),
    ],
)
def test_a_run_json_that_does_not_fit_is_refused(content, words, refused, copy):
    (copy / "run.json").write_text(content)
    refused(["evaluate", copy], "run.json", words)


def test_a_run_json_with_something_unknown_in_it_is_refused(refused, copy):
    spec = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**spec, "command": "rm"}))
    refused(["sample", copy], "command")


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95\x05\x00\x00\x00.", b"PK\x03\x04" + b"0" * 100, b"\xff" * 64])
def test_weights_that_are_no_safetensors_are_refused(content, refused, copy):
    (copy / "model.safetensors").write_bytes(content)
    refused(["sample", copy], "model.safetensors", "safetensors")


def test_damaged_weights_are_refused(refused, copy):
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[:-7])
    refused(["sample", copy], "model.safetensors")
    (copy / "model.safetensors").write_bytes(whole[:-4] + b"\x00\x00\xc0\x7f")
    refused(["sample", copy], "model.safetensors", "sha256")


def test_weights_that_do_not_fit_run_json_are_refused(refused, copy):
    spec = json.loads((copy / "run.json").read_text())
    spec["model"]["latent"] = 3
    (copy / "run.json").write_text(json.dumps(spec))
    refused(["sample", copy], "does not fit run.json", "shape")


def test_a_run_without_weights_says_how_to_get_them(refused, copy):
    (copy / "model.safetensors").unlink()
    refused(["sample", copy], "--resume")


def test_a_used_folder_is_not_written_over(refused, run, tmp_path):
    before = (run / "model.safetensors").read_bytes()
    refused(["train", "--run", run], "holds a run", "--resume")
    assert (run / "model.safetensors").read_bytes() == before
    (tmp_path / "letter.txt").write_text("dear")
    refused(["train", "--run", tmp_path], "other files")


def test_train_says_what_it_does_and_prints_one_object_with_json(tmp_path, capsys):
    assert train(tmp_path / "words") == 0
    words = capsys.readouterr().out
    for part in ("1,437 training", "bernoulli", "parameters", "expected time", "K = 4", "±", "180 examples"):
        assert part in words
    assert train(tmp_path / "json", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["evaluation"].keys() >= FIELDS
    assert found["run"] == str(tmp_path / "json")
    assert "expected time" in captured.err
    assert found["evaluation"]["log_likelihood"] >= found["evaluation"]["elbo"] - 1.0


def test_equal_commands_make_equal_weights(run, tmp_path):
    assert train(tmp_path / "again") == 0
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert train(tmp_path / "other", "--seed", "1") == 0
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != (run / "model.safetensors").read_bytes()


def test_evaluate_says_beforehand_how_long_it_will_take(run, capsys):
    """A duration before the numbers, on standard error; nothing of it with --json."""
    assert main(["evaluate", str(run), "--importance-samples", "100"]) == 0
    said = capsys.readouterr()
    assert re.search(r"will take about (less than )?\d+(\.\d)? (s|min|h)\.", said.err)
    assert "will take" not in said.out
    assert main(["evaluate", str(run), "--json", "--importance-samples", "100"]) == 0
    said = capsys.readouterr()
    assert 0 <= json.loads(said.out)["fitted_share"] <= 1
    assert said.err == ""


def test_evaluate_has_every_promised_field_and_is_deterministic(run, capsys):
    first = json_of(capsys, "evaluate", run, "--json", "--importance-samples", 8)
    second = json_of(capsys, "evaluate", run, "--json", "--importance-samples", 8, "--batch", 7)
    assert first.keys() >= FIELDS
    assert first["examples"] == 180
    assert first["importance_samples"] == 8
    assert first["split"] == "test"
    for name in ("elbo", "log_likelihood", "distortion", "divergence"):
        assert first[name] == pytest.approx(second[name], rel=1e-5)
    other = json_of(capsys, "evaluate", run, "--json", "--importance-samples", 8, "--split", "validation")
    assert other["split"] == "validation"
    assert other["elbo"] != first["elbo"]


def test_samples_are_written_as_the_extension_says(run, tmp_path, capsys):
    assert json_of(capsys, "sample", run, "-n", 5, "-o", tmp_path / "x.npy", "--json") == {
        "file": str(tmp_path / "x.npy"),
        "examples": 5,
    }
    x = np.load(tmp_path / "x.npy", allow_pickle=False)
    assert x.shape == (5, 1, 8, 8)
    assert set(np.unique(x)) <= {0.0, 1.0}
    assert main(["sample", str(run), "-n", "5", "-o", str(tmp_path / "x.csv")]) == 0
    table = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table, x.reshape(5, 64))
    assert main(["sample", str(run), "-n", "5", "-o", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert main(["sample", str(run), "-n", "5", "--seed", "1", "-o", str(tmp_path / "y.npy")]) == 0
    assert (np.load(tmp_path / "y.npy") != x).any()
    assert main(["sample", str(run), "-n", "5", "--mean", "-o", str(tmp_path / "m.npy")]) == 0
    means = np.load(tmp_path / "m.npy")
    assert ((means > 0) & (means < 1)).all()


def test_codes_and_reconstructions_are_deterministic_and_cover_the_test_split(run, tmp_path):
    for name in ("a", "b"):
        assert main(["encode", str(run), "-o", str(tmp_path / f"{name}.csv")]) == 0
        assert main(["reconstruct", str(run), "-o", str(tmp_path / f"{name}.npy")]) == 0
    codes = (tmp_path / "a.csv").read_text().splitlines()
    assert codes[0] == "row,label,z1,z2"
    assert len(codes) == 181
    digits = load_digits()
    for line in codes[1:6]:  # the row counts in all of the data, not in the split
        row, label = line.split(",")[:2]
        assert int(label) == digits.target[int(row) - 1]
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert np.load(tmp_path / "a.npy").shape == (180, 1, 8, 8)


def test_a_picture_of_reconstructions_has_rows_of_originals_over_rows_of_what_became_of_them(run, tmp_path):
    assert main(["reconstruct", str(run), "-n", "15", "-o", str(tmp_path / "pairs.png")]) == 0
    picture = np.asarray(Image.open(tmp_path / "pairs.png"))
    bands = np.array_split(picture, 4)  # ten originals, their reconstructions, five originals, their reconstructions
    grey = [((band[4:-4, : picture.shape[1] // 2 - 4] % 255) != 0).mean() for band in bands]
    assert grey[0] == grey[2] == 0
    assert min(grey[1], grey[3]) > 0.5


def test_codes_of_other_data_are_of_every_row_in_order(run, tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (37, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "a.npy", x)
    np.save(tmp_path / "b.npy", x[::-1])
    for name in ("a", "b"):
        assert main(["encode", str(run), str(tmp_path / f"{name}.npy"), "-o", str(tmp_path / f"codes-{name}.npy")]) == 0
    a, b = np.load(tmp_path / "codes-a.npy"), np.load(tmp_path / "codes-b.npy")
    assert a.shape == (37, 2)
    np.testing.assert_allclose(a, b[::-1], rtol=1e-5, atol=1e-6)


def test_data_of_another_shape_are_refused(run, tmp_path, refused):
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).integers(0, 2, (20, 5, 6)).astype(np.uint8))
    refused(["encode", run, tmp_path / "wide.npy"], "shape", "(1, 5, 6)", "(1, 8, 8)")


def stopped_by(monkeypatch, after, act):
    """Training whose watcher does `act` after so many rows."""
    from vael.training import Callback

    class Watcher(Callback):
        rows = 0

        def row(self, row):
            self.rows += 1
            if self.rows == after:
                act()

        def close(self):
            pass

    monkeypatch.setattr("vael.cli.training.watch", lambda *told: Watcher())


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_130_and_a_checkpoint_from_which_resuming_gives_the_same_weights(
    kind, run, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        stopped_by(patch, 2, lambda: os.kill(os.getpid(), kind))
        assert train(tmp_path / "cut") == 130
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--resume" in err
    assert (tmp_path / "cut" / "checkpoint" / "state.safetensors").exists()
    assert main(["train", "--run", str(tmp_path / "cut"), "--resume", "--no-report", "--importance-samples", "4"]) == 0
    assert "Going on" in capsys.readouterr().out
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_a_run_may_go_on_for_longer_but_not_as_another(copy, refused, capsys):
    refused(["train", "--run", copy, "--resume", "--latent", "3"], "latent is 2", "3 was given")
    refused(["train", "mnist", "--run", copy, "--resume"], "data is digits")
    assert (
        main(["train", "--run", str(copy), "--resume", "--epochs", "3", "--no-report", "--importance-samples", "4"])
        == 0
    )
    assert json.loads((copy / "run.json").read_text())["training"]["epochs"] == 3
    rows = [json.loads(line) for line in (copy / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["epoch"] == 3


def test_a_full_disk_ends_with_1_and_leaves_the_last_checkpoint(copy, monkeypatch, capsys):
    before = (copy / "checkpoint" / "state.safetensors").read_bytes()

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        stopped_by(patch, 1, lambda: patch.setattr("vael.files.os.replace", full))
        assert main(["train", "--run", str(copy), "--resume", "--epochs", "3", "--no-report"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "disk is full" in err
    assert (copy / "checkpoint" / "state.safetensors").read_bytes() == before
    assert not list(copy.rglob("*.tmp"))


def test_models_and_data_are_listed(capsys):
    found = json_of(capsys, "models", "--json")
    assert {"dense", "convolutional"} <= found["recipes"].keys()
    assert {"bernoulli", "discretized-logistic"} <= found["likelihoods"].keys()
    assert any(row["name"] == "digits" and row["here"] for row in json_of(capsys, "data", "list", "--json")["data"])
    facts = json_of(capsys, "data", "info", "digits", "--json")
    assert facts["event"] == [1, 8, 8]
    assert facts["levels"] == 17


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--master-port=29517",
        "-m",
        "vael",
        "--",
        "train",
        "digits",
    ]
    options = [
        "--binarize",
        "threshold",
        "--run",
        str(tmp_path / "run"),
        "--epochs",
        "1",
        *SMALL,
        "--threads",
        "1",
        "--json",
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["evaluation"]["examples"] == 180
    assert json.loads((tmp_path / "run" / "run.json").read_text())["training"]["processes"] == 2


THREADS_LEFT = """
import pathlib, sys
from vael.cli.main import main
status = main(sys.argv[1:])
names = [(thread / "comm").read_text() for thread in pathlib.Path("/proc/self/task").iterdir()]
print("left", status, sum("gloo" in name for name in names), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are listed under /proc on Linux alone")
def test_no_thread_of_several_processes_outlives_their_training(tmp_path):
    """One that did would ask for the interpreter while it ends, which aborts the process after its work is done
    (once in 4 to 15 runs).
    """
    (tmp_path / "left.py").write_text(THREADS_LEFT)
    script = str(tmp_path / "left.py")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--master-port=29518",
        script,
        "--",
        "train",
        "digits",
    ]
    options = ["--binarize", "threshold", "--run", str(tmp_path / "run"), "--epochs", "1", *SMALL, "--threads", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.count("left 0 0") == 2, done.stdout + done.stderr


def test_photographs_can_be_brought_to_a_height_and_a_width(tmp_path, capsys):
    """Not only to squares; what was asked for is kept, so that the run can be judged again."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            folder / f"{number}.png"
        )
    run = tmp_path / "run"
    assert (
        main(["train", str(folder), "--size", "8x12", "--run", str(run), "--epochs", "1", "--latent", "2", *SMALL[4:]])
        == 0
    )
    assert json.loads((run / "run.json").read_text())["data"]["event"] == [3, 8, 12]
    assert main(["evaluate", str(run), "--importance-samples", "2"]) == 0
    for wrong in ("8x", "0x4", "2x3x4", "big"):
        assert main(["train", str(folder), "--size", wrong, "--run", str(tmp_path / "other")]) == 2
        assert "48x64" in capsys.readouterr().err
