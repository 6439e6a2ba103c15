"""What is handed to others: the wheel holds the whole package and says who may do what with it, and the version stands
once more only where a person cites it.
"""

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
