"""What is handed to others: the wheel holds the whole package and says who may do what with it, and the version stands
once more only where a person cites it.
"""

import json
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import vael

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of what is in the wheel, and what it says of itself."""
    [path] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        return names, archive.read(metadata).decode()


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel):
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    wanted = {name for name in files if "__pycache__" not in name and ".egg-info/" not in name}
    assert {name for name in wheel[0] if ".dist-info/" not in name} == wanted


def test_the_wheel_says_that_it_has_types(wheel):
    """Without the mark, a type checker takes nothing from an installed package (PEP 561)."""
    assert "vael/py.typed" in wheel[0]


def test_the_wheel_carries_the_licence_and_the_readme(wheel):
    names, metadata = wheel
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")] != []
    assert f"License-Expression: {PROJECT['license']}" in metadata
    assert metadata.endswith((ROOT / "README.md").read_text())


def test_one_version_licence_and_name_everywhere():
    cited = dict(re.findall(r"^ *(?:- )?([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert cited["version"] == PROJECT["version"] == vael.__version__
    assert cited["license"] == PROJECT["license"]
    assert cited["title"] == PROJECT["name"]
    assert [cited["name"]] == [author["name"] for author in PROJECT["authors"]]
    assert f"\n{PROJECT['license']}.\n" in (ROOT / "README.md").read_text()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


WORKFLOW = (ROOT / ".github" / "workflows" / "check-and-docs.yml").read_text()


def test_the_workflow_runs_what_there_is():
    """Its commands are targets and files of this project, its Python one that the package takes, and what it publishes
    is where the pages are built.
    """
    makefile = (ROOT / "Makefile").read_text()
    runs = re.findall(r"- run: (.+)", WORKFLOW)
    assert runs == [".ci/run", "make docs"]
    assert (ROOT / ".ci" / "run").is_file()
    assert re.search(r"^docs:", makefile, re.M)
    [path] = re.findall(r"path: (\S+)", WORKFLOW)
    assert f"docs {path}" in makefile
    [least] = re.findall(r">=3\.(\d+)", PROJECT["requires-python"])
    assert {int(version) for version in re.findall(r'python-version: "3\.(\d+)"', WORKFLOW)} == {int(least)}


def test_only_the_main_branch_is_published_and_only_there_with_more_rights():
    parts = re.split(r"^  (check|docs|publish):$", WORKFLOW, flags=re.M)[1:]
    jobs = dict(zip(parts[::2], parts[1::2], strict=True))
    assert "refs/heads/main" in jobs["publish"]
    assert "needs: [check, docs]" in jobs["publish"]
    assert [name for name, job in jobs.items() if "write" in job] == ["publish"]


def test_the_container_is_made_of_files_and_extras_that_there_are():
    """No container is built here: what its commands name is held against the project."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line.strip()]
    copied = [one for line in words if line[0] == "COPY" for one in line[1:-1]]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == kept
    assert [name for name in copied if not (ROOT / name).exists()] == []
    (extras,) = [line[1].removeprefix("EXTRAS=") for line in words if line[:1] == ["ARG"] and "EXTRAS=" in line[1]]
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    (entry,) = [json.loads(line.partition(" ")[2]) for line in lines if line.startswith("ENTRYPOINT")]
    assert entry == ["vael"]
    assert "vael" in PROJECT["scripts"]
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml"} <= kept  # what building the package reads
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in pins if line.startswith("torch==")]
    assert [line for line in pins if line.startswith("hatchling==")]
    (base,) = [line[1] for line in words if line[0] == "FROM"]
    assert base.startswith("python:" + PROJECT["requires-python"].removeprefix(">="))
