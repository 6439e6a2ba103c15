"""Mutation testing of one room: change its source in one place at a time, and see whether a test that runs the place
fails.

    python benchmarks/mutants.py ROOM [--sample 200] [--seed 0] [--jobs 1] [--file objectives/bounds.py] [--again]
    [--output build/mutants]

or `make mutants ROOM=objectives SAMPLE=200`. The tests of a
room are those of the folder that mirrors it, the laws, and the files of `ALSO`. A first run of them in the clean tree
finds which test runs which line (`--lines FILE` keeps it: then only files of tests that are new or were changed run
again, and lines that were moved take their tests with them); a mutant is tried by the tests that run its statement,
those of the file that mirrors its own first, then the quickest, and at most a minute's worth, until one fails. It is
killed if one fails or if they take ten times as long as before. Time is that of the processor, so a busy machine kills
nothing. Everything happens in copies of the tree, in processes forked from one that has imported the libraries but not
the package.

Mutants that cannot matter stand in `mutants_accepted.toml` with a reason; they are left out of the second score.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import gc
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from scipy.stats import beta

from mutations import Mutant, mutants_of, sampled

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("probability", "models", "objectives", "inference", "training", "evaluation", "applications")
ALSO = {  # what judges a room from outside the folder that mirrors it
    "probability": ("tests/models", "tests/objectives"),
    "models": ("tests/inference", "tests/objectives"),
    "objectives": (
        "tests/inference/test_bound.py",
        "tests/inference/test_gradient.py",
        "tests/test_recipes_auto_encoding_vb.py",
    ),
    "inference": (
        "tests/training",
        "tests/models/mixtures/test_gaussian_mixture.py",
        "tests/test_recipes_auto_encoding_vb.py",
    ),
    "training": ("tests/inference/test_gradient.py", "tests/test_recipes_auto_encoding_vb.py"),
    "evaluation": ("tests/inference", "tests/report"),
    "applications": (
        "tests/cli/test_compressing.py",
        "tests/cli/test_compressing_tables.py",
        "tests/cli/drawing/test_generating.py",
        "tests/cli/test_main.py",
        "tests/cli/test_scoring_planted_cells.py",
        "tests/cli/test_using_bad_rows.py",
        "tests/cli/test_using_rows.py",
        "tests/cli/test_using_streamed_rows.py",
        "tests/specs/test_contamination.py",
    ),
}
COMPILED = "tests/inference/test_gradient.py::test_the_compiled_step_against_the_eager_one"
TOGETHER = ("tests/training/test_loop.py::test_two_processes_train_as_one",)
BESIDE = {  # files with lines that tests run in processes of their own, where the first run does not see them
    "inference/compiled.py": (COMPILED,),
    "inference/graphs.py": (COMPILED,),
    "inference/steps.py": TOGETHER,
    "training/distributed.py": TOGETHER,
}
READERS = ("tests/laws/test_defaults.py", "tests/laws/test_limits_of_parts.py")  # of defaults, without a call
IMPORTS = (
    "torch",
    "numpy",
    "scipy.stats",
    "sklearn",
    "pandas",
    "hypothesis",
    "beartype",
    "jaxtyping",
    "pydantic",
    "safetensors",
    "PIL",
    "rich",
)
SLOWER, SECONDS, GRACE, MEMORY = 10, 30, 15, 24 << 30
WAITING = 8  # seconds that a process may be there for each of the processor's: others have it, or it waits for ever
LONGEST = 60  # seconds of the processor of judges that a mutant gets, the quickest ones; `--longest`


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: killed, survived, or uncovered (no test runs its statement); and by which test,
    after how long.
    """

    path: str
    line: int
    removed: str
    added: str
    outcome: str
    test: str
    seconds: float


def nearest(test: str, path: str) -> bool:
    """Whether a test stands in the file that mirrors this one of the source, or in one whose name begins alike, or
    reads all defaults.
    """
    name = Path(path)
    return test.startswith(READERS) or test.startswith(f"tests/{Path(*name.parts[2:]).with_name(f'test_{name.stem}')}")


@dataclass(frozen=True)
class Coverage:
    """Seconds of each test, and the tests that run each line of each file."""

    seconds: dict[str, float]
    tests: dict[str, dict[int, set[str]]]

    def judges(self, mutant: Mutant, longest: float) -> list[str]:
        """The tests that run a line of the changed statement, those of the mirrored file first, then the quickest;
        where it is run at import, those that run any line of its file, and before them those that read defaults.
        """
        lines = self.tests.get(mutant.path, {})
        found = {test for line in range(mutant.first, mutant.last + 1) for test in lines.get(line, ())}
        if found == {""}:
            found = set().union(*lines.values()) | {test for test in self.seconds if test.startswith(READERS)}
        found &= self.seconds.keys()
        if not found:
            return list(BESIDE.get(mutant.path.removeprefix("src/vael/"), ()))
        judges, spent = [], 0.0
        for test in sorted(found, key=lambda test: (not nearest(test, mutant.path), self.seconds[test])):
            spent += self.seconds[test]
            if judges and spent > longest:
                break
            judges.append(test)
        return judges


def copy_of_tree(folder: Path) -> Path:
    """The files that git knows or does not ignore, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def spent() -> float:
    """Seconds of the processor that this process and those that it started and that have ended took so far."""
    return sum(os.times()[:4])


def forked(tree: Path, body, seconds: float) -> int | None:
    """Exit status of `body` in a process of its own with the package of `tree`; None if it took longer, by the
    processor or by far by the clock.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        with open(tree / "output.txt", "w") as output:
            for stream in (1, 2):
                os.dup2(output.fileno(), stream)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree / "src")
        sys.path.insert(0, str(tree / "src"))
        status = 70
        try:
            status = int(body())
        finally:
            os._exit(status)
    end = time.monotonic() + WAITING * seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # what a test has started and not ended
            found = os.waitstatus_to_exitcode(status)
            return None if found in (-signal.SIGPROF, -signal.SIGXCPU, -signal.SIGKILL) else found
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class Watch:
    """Plugin: which test runs which line, and how long it takes."""

    def __init__(self, coverage) -> None:
        self.coverage, self.seconds, self.failed = coverage, {}, set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        begun = spent()
        result = yield
        self.coverage.switch_context("")
        self.seconds[item.nodeid] = spent() - begun
        return result

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item):
        self.coverage.switch_context(
            "setup|" + item.nodeid
        )  # a fixture of a module is judged by every test of its file
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item):
        self.coverage.switch_context("call|" + item.nodeid)
        return (yield)


class Order:
    """Plugin: the tests asked for, in the order asked for; each ends the process when it takes ten times as long as
    before.
    """

    def __init__(self, tests: list[str], seconds: dict[str, float]) -> None:
        self.place, self.seconds = {test: place for place, test in enumerate(tests)}, seconds
        self.failed = ""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        signal.setitimer(signal.ITIMER_PROF, GRACE + SLOWER * self.seconds.get(item.nodeid, LONGEST))
        result = yield
        signal.setitimer(signal.ITIMER_PROF, 0)
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: self.place.get(item.nodeid, len(self.place)))

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.failed:
            self.failed = report.nodeid


# Without the checks of shapes and types that the suite has as well: they notice more, but take most of the time to
# import the package.
QUIET = (
    "-q",
    "-o",
    "addopts=--strict-markers",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-m",
    "not slow",
    "--tb=line",
)


def covered(tree: Path, places: list[str]) -> Coverage:
    """Run the tests of a room once in the clean tree."""

    def body() -> int:
        import coverage

        watched = coverage.Coverage(
            data_file=str(tree / "lines.sqlite"), source=[str(tree / "src")], config_file=False, messages=False
        )
        watch = Watch(watched)
        watched.start()
        watched.switch_context("")
        status = pytest.main([*QUIET, *places], plugins=[watch])
        watched.stop()
        watched.save()
        (tree / "seconds.json").write_text(
            json.dumps({test: spent for test, spent in watch.seconds.items() if test not in watch.failed})
        )
        (tree / "failed.json").write_text(json.dumps(sorted(watch.failed)))
        return status

    status = forked(tree, body, 3600)
    if status not in (0, 1):
        sys.exit(f"the tests of the clean tree end with {status}:\n{(tree / 'output.txt').read_text()[-3000:]}")
    for test in json.loads((tree / "failed.json").read_text()):
        print(f"fails in the clean tree, so it judges nothing: {test}", flush=True)
    import coverage

    data = coverage.CoverageData(str(tree / "lines.sqlite"))
    data.read()
    seconds = json.loads((tree / "seconds.json").read_text())
    of_file = defaultdict(set)
    for test in seconds:
        of_file[test.partition("::")[0]].add(test)
    tests: dict[str, dict[int, set[str]]] = {}
    for file in data.measured_files():
        lines = tests.setdefault(str(Path(file).relative_to(tree)), {})
        for line, contexts in data.contexts_by_lineno(file).items():
            found = lines.setdefault(line, set())
            for context in contexts:
                when, _, test = context.partition("|")
                found |= of_file[test.partition("::")[0]] if when == "setup" else {test}
    return Coverage(seconds, tests)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def moved(tests: dict[int, set[str]], before: list[str], now: list[str]) -> dict[int, set[str]]:
    """The tests of each line after a file was changed; lines that were written anew have those of what they stand
    for.
    """
    found: dict[int, set[str]] = {}
    for _, first, last, begin, end in difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if last - first == end - begin:
            found |= {line + begin - first: tests[line] for line in range(first + 1, last + 1) if line in tests}
            continue
        around = range(first, last + 2)  # with the line before and the one after
        asked = set().union(*(tests.get(line, set()) for line in around))
        found |= dict.fromkeys(range(begin + 1, end + 1), asked)
    return found


def kept(tree: Path, file: Path) -> tuple[Coverage, dict[str, str]]:
    """What `--lines` has kept, as of the source of the tree, and the digest of each file of tests that it knows."""
    if not file.exists():
        return Coverage({}, {}), {}
    found = json.loads(file.read_text())
    digests = {name: known for name, known in found["files"].items() if (tree / name).exists()}
    digests = {name: known for name, known in digests.items() if digest(tree / name) == known}
    stands = {test for test in found["seconds"] if test.partition("::")[0] in digests} | {""}
    names = [*found["seconds"], ""]
    tests = {}
    for path, lines in found["tests"].items():
        if not (tree / path).exists():
            continue
        of_line = {int(line): {names[number] for number in some} & stands for line, some in lines.items()}
        now = (tree / path).read_text().splitlines()
        tests[path] = moved(of_line, found["sources"][path], now)
    return Coverage({test: found["seconds"][test] for test in stands - {""}}, tests), digests


def keep(tree: Path, file: Path, coverage: Coverage, digests: dict[str, str]) -> None:
    number = {test: place for place, test in enumerate([*coverage.seconds, ""])}
    what = {
        "files": digests,
        "seconds": coverage.seconds,
        "sources": {path: (tree / path).read_text().splitlines() for path in coverage.tests},
        "tests": {
            path: {line: sorted(number[test] for test in some if test in number) for line, some in lines.items()}
            for path, lines in coverage.tests.items()
        },
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(what))


def known(tree: Path, places: list[str], file: Path | None) -> Coverage:
    """Which test runs which line: as kept in a file, but for tests that are new or were changed, which are run."""
    if file is None:
        return covered(tree, places)
    coverage, digests = kept(tree, file)
    files = {}
    for place in places:
        path = tree / place.partition("::")[0]
        for one in sorted(path.rglob("test_*.py")) if path.is_dir() else [path]:
            files[str(one.relative_to(tree))] = digest(one)
    new = [name for name in files if name not in digests]
    if new:
        fresh = covered(tree, new)
        tests = {
            path: {
                line: coverage.tests.get(path, {}).get(line, set()) | fresh.tests.get(path, {}).get(line, set())
                for line in coverage.tests.get(path, {}).keys() | fresh.tests.get(path, {}).keys()
            }
            for path in coverage.tests.keys() | fresh.tests.keys()
        }
        coverage = Coverage(coverage.seconds | fresh.seconds, tests)
        keep(tree, file, coverage, digests | files)
    asked = {test: spent for test, spent in coverage.seconds.items() if test.partition("::")[0] in files}
    return Coverage(asked, coverage.tests)


def tried(tree: Path, mutant: Mutant, coverage: Coverage, longest: float) -> Verdict:
    """Write the mutant into the tree, run its judges, put the file back."""
    begun, tests = time.monotonic(), coverage.judges(mutant, longest)
    if not tests:
        return Verdict(mutant.path, mutant.first, mutant.removed, mutant.added, "uncovered", "", 0.0)
    path, kept = tree / mutant.path, (tree / mutant.path).read_bytes()

    def body() -> int:
        order = Order(tests, coverage.seconds)
        try:
            return pytest.main([*QUIET, "-x", *tests], plugins=[order])
        finally:
            (tree / "failed.txt").write_text(order.failed)

    (tree / "failed.txt").write_text("")
    try:
        path.write_text(mutant.text)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()
        status = forked(tree, body, SECONDS + SLOWER * sum(coverage.seconds.get(test, LONGEST) for test in tests))
    finally:
        path.write_bytes(kept)
    failed = (tree / "failed.txt").read_text() or ("took too long" if status is None else f"exit status {status}")
    outcome = "survived" if status == 0 else "killed"
    return Verdict(
        mutant.path,
        mutant.first,
        mutant.removed,
        mutant.added,
        outcome,
        failed if outcome == "killed" else "",
        time.monotonic() - begun,
    )


def interval(killed: int, all_of_them: int) -> tuple[float, float]:
    """Clopper-Pearson, 95 %."""
    below = beta.ppf(0.025, killed, all_of_them - killed + 1) if killed else 0.0
    above = beta.ppf(0.975, killed + 1, all_of_them - killed) if killed < all_of_them else 1.0
    return float(below), float(above)


def score(verdicts: Iterable[Verdict]) -> str:
    """`95.0 % (190 of 200; 91.0 to 97.6)`."""
    outcomes = [verdict.outcome == "killed" for verdict in verdicts]
    if not outcomes:
        return "no mutants"
    below, above = interval(sum(outcomes), len(outcomes))
    return (
        f"{100 * sum(outcomes) / len(outcomes):.1f} % ({sum(outcomes)} of {len(outcomes)}; {100 * below:.1f} to "
        f"{100 * above:.1f})"
    )


def accepted(verdict: Verdict, reasons: list[dict[str, str]]) -> bool:
    """Whether a reason is written down why this mutant cannot matter."""
    return any(
        verdict.path.endswith(reason["file"])
        and reason["removed"] in verdict.removed
        and reason["added"] in verdict.added
        for reason in reasons
    )


def gone(reasons: list[dict[str, str]]) -> list[str]:
    """The accepted changes whose line is no longer in the source: they are to be looked at again."""
    sources = {reason["file"]: ROOT / "src" / "vael" / reason["file"] for reason in reasons}
    lines = {
        name: " ".join(line.strip() for line in path.read_text().splitlines()) if path.is_file() else ""
        for name, path in sources.items()
    }
    return [f"{one['file']}: {one['removed']}" for one in reasons if one["removed"] not in lines[one["file"]]]


def once_more(args: argparse.Namespace, mutants: list[Mutant]) -> tuple[list[Mutant], list[Verdict]]:
    """With `--again`: those that survived the last run of the same sample, and the verdicts on the others, which
    stand.
    """
    target = args.output / f"{args.room}.jsonl"
    if not args.again or not target.exists():
        return mutants, []
    stands = [
        verdict
        for verdict in (Verdict(**json.loads(line)) for line in target.read_text().splitlines())
        if verdict.outcome == "killed"
    ]
    known, asked = ({(one.path, one.removed, one.added) for one in some} for some in (stands, mutants))
    left = [mutant for mutant in mutants if (mutant.path, mutant.removed, mutant.added) not in known]
    return left, [
        verdict for verdict in stands if (verdict.path, verdict.removed, verdict.added) in asked
    ]  # the source may have changed since


def run(args: argparse.Namespace, scratch: Path) -> list[Verdict]:
    every = sorted((ROOT / "src" / "vael" / args.room).rglob("*.py"))
    paths = [
        path
        for path in every
        if str(path).endswith(args.file or "") and not (args.without and args.without in path.parts)
    ]
    mutants = sampled(ROOT, paths, args.sample, args.seed)
    if args.match:
        mutants = [mutant for path in paths for mutant in mutants_of(ROOT, path) if args.match in mutant.removed]
    mutants, stands = once_more(args, mutants)
    for name in IMPORTS:
        __import__(name)
    __import__("torch").set_num_threads(1)
    trees = [copy_of_tree(scratch / str(job)) for job in range(args.jobs)]
    places = args.tests or [f"tests/{args.room}", "tests/laws", *ALSO[args.room]]
    begun = time.monotonic()
    places = [place for place in places if (ROOT / place.partition("::")[0]).exists()]
    coverage = known(trees[0], places, args.lines)
    print(
        f"{len(mutants)} mutants; {len(coverage.seconds)} tests took {time.monotonic() - begun:.0f} s "
        "in the clean tree",
        flush=True,
    )
    for tree in trees[1:]:
        shutil.copytree(trees[0], tree, dirs_exist_ok=True)
    sys.dont_write_bytecode = True  # a mutant's compiled file must not be taken for that of the next one
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    gc.freeze()
    shares = [mutants[job :: args.jobs] for job in range(args.jobs)]
    children = []
    for tree, share in zip(trees, shares, strict=True):
        children.append(os.fork())
        if children[-1] == 0:
            with open(tree / "verdicts.jsonl", "w") as file:
                for number, mutant in enumerate(share, 1):
                    verdict = tried(tree, mutant, coverage, args.longest)
                    print(json.dumps(asdict(verdict)), file=file, flush=True)
                    print(
                        f"{number}/{len(share)} {verdict.outcome:9} {verdict.seconds:5.1f} s  {mutant.name}", flush=True
                    )
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    return stands + [
        Verdict(**json.loads(line)) for tree in trees for line in (tree / "verdicts.jsonl").read_text().splitlines()
    ]


def function_at(path: Path, line: int) -> str:
    """Name of the innermost function around a line."""
    around = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.lineno <= line <= (node.end_lineno or line)
    ]
    return max(around, key=lambda node: node.lineno).name if around else "module"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=ROOMS)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--file", help="only files whose path ends so")
    parser.add_argument("--without", help="no files below a folder of this name")
    parser.add_argument("--match", help="no sample: every mutant of statements that contain this text")
    parser.add_argument(
        "--tests", action="append", help="judge by this file or folder; may be given several times; default the room's"
    )
    parser.add_argument("--lines", type=Path, help="file that keeps which test runs which line, from run to run")
    parser.add_argument(
        "--longest", type=float, default=LONGEST, help="seconds of judges that a mutant gets; default 60"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="only those that survived the last run, with new tests; the other verdicts stand",
    )
    parser.add_argument("--output", type=Path, default=Path("build/mutants"))
    args = parser.parse_args()
    args.output, args.lines = args.output.resolve(), args.lines and args.lines.resolve()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        verdicts = sorted(run(args, Path(scratch)), key=lambda verdict: (verdict.path, verdict.line))
    reasons = tomllib.loads((Path(__file__).parent / "mutants_accepted.toml").read_text()).get("accepted", [])
    alive = [verdict for verdict in verdicts if verdict.outcome != "killed"]
    print()
    for line in gone(reasons):
        print(f"accepted, but no longer in the source: {line}")
    for verdict in alive:
        mark = "accepted" if accepted(verdict, reasons) else verdict.outcome
        where = function_at(ROOT / verdict.path, verdict.line)
        print(
            f"{mark:9} {verdict.path}:{verdict.line} ({where})\n          - {verdict.removed}\n          + "
            f"{verdict.added}"
        )
    print(
        f"\n{args.room}, seed {args.seed}: {score(verdicts)}; without those that cannot matter: "
        f"{score(verdict for verdict in verdicts if verdict.outcome == 'killed' or not accepted(verdict, reasons))}"
    )
    args.output.mkdir(parents=True, exist_ok=True)
    target = args.output / f"{args.room}.jsonl"
    target.write_text("".join(json.dumps(asdict(verdict)) + "\n" for verdict in verdicts))
    print(f"every verdict: {target}")


if __name__ == "__main__":
    main()
