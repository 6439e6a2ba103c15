"""What a shell completes: every command and option, by a script without Python in it."""

import json
import shutil
import subprocess

import pytest

from vael.cli import main
from vael.cli.main import COMMANDS
from vael.cli.sharing import completing
from vael.options.declaring import options_of

pytest.importorskip("shtab", reason="shtab is not installed: pip install 'vael[completion]'")


@pytest.fixture(scope="module")
def scripts():
    return {shell: completing.script(shell) for shell in completing.SHELLS}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("shell", completing.SHELLS)
def test_every_command_and_option_is_completed(scripts, shell, name):
    for one in options_of(COMMANDS[name].record(name)):
        for option in () if one.option.placed else one.names:
            written = f"-l {option[2:]}" if shell == "fish" and option.startswith("--") else option
            assert written in scripts[shell] or f"-s {option[1:]}" in scripts[shell]
    assert name in scripts[shell]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["vael", "tra"], {"train"}),
        (["vael", "sample", "--cou"], {"--count"}),
        (["vael", "score", "--thr"], {"--threshold"}),
        (["vael", "serve", "--po"], {"--port"}),
        (["vael", "encode", "a-fi"], {"a-file.csv"}),
        (["vael", "encode", "run", "-o", "a-fi"], {"a-file.csv"}),
        (["vael", "nothing", "--p"], set()),
    ],
)
def test_bash_completes(scripts, tmp_path, words, found):
    (tmp_path / "a-file.csv").touch()
    asked = (
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_vael; printf '%s\\n' ${{COMPREPLY[*]}}"
    )
    line = ["bash", "--norc", "-c", f"{scripts['bash']}\n{asked}"]
    told = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert set(told.stdout.split()) == found


def test_the_script_is_printed(capsys, scripts):
    assert main(["completion", "fish"]) == 0
    assert capsys.readouterr().out == scripts["fish"] + "\n"
    assert main(["completion", "bash", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shell": "bash", "script": scripts["bash"]}


def test_another_shell_and_a_missing_package_are_told(capsys, monkeypatch):
    assert main(["completion", "csh"]) == 2
    assert "bash, zsh, fish" in capsys.readouterr().err
    monkeypatch.setattr(completing.importlib.util, "find_spec", lambda name: None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'vael[completion]'" in capsys.readouterr().err
