"""The rules of the house, read off the source: who may import whom, no pickle, no global random state, no paths of
a machine.
"""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from sources import tree_of

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
FILES = sorted(SOURCE.rglob("*.py"))


def EACH(rule):
    """A test of a rule over all files at once, which names every file that breaks it: thousands of small tests take
    longer to start than to run.
    """

    def over_every_file():
        broken = {}
        for path in FILES:
            try:
                rule(path)
            except AssertionError as error:
                broken[str(path.relative_to(SOURCE))] = str(error)
        assert broken == {}

    over_every_file.__doc__ = rule.__doc__
    return over_every_file


ROWS = [  # a row imports only rows below it
    {"__main__"},
    {"cli"},
    {"service"},
    {"explorer"},  # below cli, which has the command that opens it; what serves its page serves a service too
    {"estimators"},
    {"specs"},
    {"domains"},  # below specs: to prepare a run is to ask the kind of its data, and no kind needs to know of runs
    {"report"},
    {"recipes"},
    {"applications", "compression"},
    {"evaluation"},
    {"training"},
    {"lectures"},  # above inference, whose starts it takes
    {"inference"},
    {"objectives"},
    {"models"},
    {"probability", "networks", "data"},
    {"tables"},
    {"stored"},
    {"files"},
    {"claims", "options", "parts"},
    {"counting", "errors", "moved", "nearest", "process", "signals", "visible"},
]
HEIGHT = {part: -row for row, parts in enumerate(ROWS) for part in parts}
FACE = {"__version__"}  # what a part may take from the package itself, whose other names lead upwards


def module_name(path):
    """Dotted name of a file under src; a package by the name of its folder."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imported(path, tree):
    """Every name below `vael` that a file imports: at its top, in functions, relative, under TYPE_CHECKING, by
    importlib.
    """
    here = module_name(path)
    package = here if path.name == "__init__.py" else here.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and last_name(node.func) == "import_module"
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.args[0].value


def own_imports(path, tree):
    """Those within the project."""
    return sorted({name for name in imported(path, tree) if name.split(".")[0] == "vael"})


def violations(path, tree):
    """Imports that the order of rows forbids."""
    mine = module_name(path).split(".")[1:2]
    for name in own_imports(path, tree) if mine else []:
        parts = name.split(".")[1:]
        if not parts or parts[0] in FACE or parts[0] == mine[0]:
            continue
        if parts[0] not in HEIGHT:
            yield f"{name}: the package itself is imported, or {parts[0]} has no row in tests/test_house.py"
        elif HEIGHT[parts[0]] >= HEIGHT[mine[0]]:
            yield f"{mine[0]} imports {name}, which is not below it"


@EACH
def test_a_part_imports_only_rows_below(path):
    part = module_name(path).split(".")[1:2]
    assert not part or part[0] in HEIGHT, f"{part[0]} has no row in the import order"
    assert list(violations(path, tree_of(path))) == []


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("models/new.py", "from vael.training import run"),
        ("models/new.py", "def f():\n    import vael.objectives.bounds"),
        ("data/new.py", "from ..probability import draw"),
        ("data/new.py", "from vael import networks"),
        ("data/__init__.py", "from ..models.core import Terms"),
        ("errors.py", "from vael import load"),
        ("report/new.py", "import importlib\nimportlib.import_module('vael.cli')"),
    ],
)
def test_the_check_of_the_order_sees(file, code):
    assert len(list(violations(SOURCE / "vael" / file, ast.parse(code)))) == 1


def test_no_import_cycles():
    """Between files, imports inside functions included."""
    graph = {}
    for path, tree in zip(FILES, map(tree_of, FILES), strict=True):
        here, below = module_name(path), set()
        for name in own_imports(path, tree):
            found = name if name in MODULES else name.rpartition(".")[0]
            below |= {found} & MODULES.keys() - {here}
        graph[here] = below - {"vael"} if here != "vael" else below
    list(TopologicalSorter(graph).static_order())


def test_the_page_on_architecture_has_the_rows():
    page = (ROOT / "docs" / "architecture.md").read_text()
    [block] = re.findall(r"^```text\n(cli\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    there = {path.stem for path in (SOURCE / "vael").iterdir()} - {"__main__"}
    rows = [parts & there for parts in ROWS]
    assert [set(re.split(r" \| ", line.split("  ")[0])) for line in block.splitlines()] == [row for row in rows if row]


CALLS = {}


def calls(tree):
    """Every call with its dotted name as written."""
    if tree not in CALLS:
        CALLS[tree] = [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return CALLS[tree]


UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "random"}


def unsafe(tree):
    """What could execute a file that is read: pickle in any form, eval."""
    for node in ast.walk(tree):
        names = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        yield from (f"import {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES)
    for name, node in calls(tree):
        if name in {"torch.load", "torch.save", "eval", "exec", "pd.read_pickle"}:
            yield name
        for word in node.keywords:
            if word.arg in {"allow_pickle", "weights_only"} and ast.unparse(word.value) != str(
                word.arg == "weights_only"
            ):
                yield f"{name}({word.arg}={ast.unparse(word.value)})"


@EACH
def test_nothing_is_pickled(path):
    assert list(unsafe(tree_of(path))) == []


DRAWS = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"}
GLOBAL_SEEDS = {"set_rng_state", "manual_seed_all", "fork_rng"}
PRIVATE_NUMPY = {"Generator", "Philox", "PCG64", "SeedSequence", "default_rng"}  # with a seed they touch nothing shared


def global_random(tree):
    """What reads or sets a global random state; `fork_rng` does both, and two threads in it disturb each other."""
    for name, node in calls(tree):
        given = {word.arg for word in node.keywords}
        first, _, last = name.rpartition(".")
        seeds = last in GLOBAL_SEEDS or (
            last in {"manual_seed", "seed"} and first.split(".")[0] == "torch" and "Generator(" not in name
        )
        draws = (first == "torch" and last in DRAWS and "generator" not in given) or last in {
            "rand_like",
            "randn_like",
            "rsample",
        }
        shared = bool(re.fullmatch(r"(np|numpy)\.random", first)) and (
            last not in PRIVATE_NUMPY or not (node.args or node.keywords)
        )
        if seeds or draws or shared:
            yield name


@EACH
def test_no_global_random_state(path):
    assert list(global_random(tree_of(path))) == []


@pytest.mark.parametrize(
    "code",
    [
        "torch.manual_seed(0)",
        "torch.randn(3)",
        "np.random.seed(1)",
        "np.random.default_rng()",
        "q.rsample()",
        "torch.rand_like(x)",
        "torch.random.fork_rng()",
        "torch.random.default_generator.manual_seed(0)",
    ],
)
def test_the_check_of_random_state_sees(code):
    assert len(list(global_random(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "torch.load(f)",
        "np.load(f, allow_pickle=True)",
        "f(x, weights_only=False)",
        "from joblib import dump",
    ],
)
def test_the_check_of_pickle_sees(code):
    assert len(list(unsafe(ast.parse(code)))) == 1


MAKES = re.compile(  # calls that make, change or take away files whatever they are given
    "write_(text|bytes|feather)|touch|(mk|rm)(dir|tree)|makedirs|removedirs|renames?|symlink(_to)?|hardlink_to|link(_to)?|mkfifo|mknod|f?truncate|"
    "copy(file|2|tree|fileobj)|mk[sd]temp|(Named)?TemporaryFile|TemporaryDirectory|SpooledTemporaryFile|savetxt|tofile|save_file|urlretrieve|"
    "extractall|FileHandler|open_memmap|OSFile|FileOutputStream|imsave|sendfile|f?ch(mod|own)"
)
OPENS = {"open", "ZipFile", "TarFile", "GzipFile", "BZ2File", "LZMAFile", "fdopen", "FileIO"}
MODULES_THAT_OPEN = {
    "io",
    "gzip",
    "bz2",
    "lzma",
    "tarfile",
    "os",
    "archive",
    "Image",
}  # what is opened comes first, as in `open` itself
# calls that write to the file-like object that they are given first, or second, and would write to a path as well
SINKS = (
    re.compile("save(z|z_compressed|fig)?|ParquetWriter|new_(stream|file)|to_(csv|parquet|json|html|pickle|feather)"),
    re.compile("write_(csv|table|dataset)|CSVWriter|dump"),
)
STREAMS = {"stream", "streams", "buffer", "file", "self.file"}  # what such an object is called
THROUGH_IT = {"safetensors.torch.save", "made.save"}  # gives bytes; `IntegerVAE.save`


def opens_for_writing(name, node):
    """Whether a call opens a file in another way than to read it, or in a way that cannot be told."""
    first, _, last = name.rpartition(".")
    place = 0 if first and last == "open" and first not in MODULES_THAT_OPEN else 1
    given = next((word.value for word in node.keywords if word.arg == "mode"), ast.Constant("r"))
    mode = node.args[place] if len(node.args) > place else given
    return name == "os.open" or not (isinstance(mode, ast.Constant) and re.fullmatch("r[bt]?", str(mode.value)))


def writes(tree):
    """Calls that write to the disk by another way than `vael.files`; taking away a file (`unlink`) is no writing."""
    for name, node in calls(tree):
        first, _, last = name.rpartition(".")
        if (
            first == "files"
            or name in THROUGH_IT
            or "os.devnull" in map(ast.unparse, node.args)
            or (name == "self.save" and not node.args)
        ):
            continue
        replaces = last == "replace" and (first == "os" or (len(node.args) == 1 and not node.keywords and first))
        sink = next(
            (place for place, known in enumerate(SINKS) if known.fullmatch(last) and (first or last[0].isupper())), None
        )
        by_writer = last == "write_table" and len(node.args) == 1  # the method of a `ParquetWriter`
        unknown = (
            sink is not None
            and not by_writer
            and [ast.unparse(one) for one in node.args[sink : sink + 1]] not in [[name] for name in STREAMS]
        )
        moves = first == "shutil" and last in {"copy", "move"}
        if MAKES.fullmatch(last) or replaces or unknown or moves or (last in OPENS and opens_for_writing(name, node)):
            yield name


@EACH
def test_files_are_written_in_one_place(path):
    if module_name(path) != "vael.files":
        assert list(writes(tree_of(path))) == []


WRITING = """open(path, 'w'); open(path, mode='ab'); open(path, mode); path.open('x'); io.open(p, 'r+'); gzip.open(p, 'wt'); path.write_text(x)
path.write_bytes(x); os.open(p, os.O_RDONLY); os.replace(a, b); a.replace(b); path.rename(b); shutil.copy(a, b); np.save(path, x)
np.savez(f'{n}.npz', x=x)
figure.savefig(folder / 'a.png'); image.save(target); pa.csv.write_csv(table, path); pyarrow.parquet.ParquetWriter(self.path, schema); folder.mkdir()
pq.write_table(table, path); tempfile.mkdtemp(); x.tofile(path); safetensors.torch.save_file(x, path); frame.to_csv(path); zipfile.ZipFile(path, 'w')
tarfile.open(path, 'w:gz'); json.dump(x, out)"""
READING = """open(path); open(path, 'rb'); Image.open(path); zipfile.ZipFile(path); files.write_bytes(path, x); np.save(stream, x)
text.replace('a', 'b')
date.replace(tzinfo=None); replace(record); self.writer.write_table(table); gzip.open(path); archive.open(name)"""


@pytest.mark.parametrize("code", re.split("; |\n", WRITING))
def test_the_check_of_writing_sees(code):
    assert len(list(writes(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", re.split("; |\n", READING))
def test_the_check_of_writing_lets_reading_pass(code):
    assert list(writes(ast.parse(code))) == []


MODES = re.compile(r"(no_grad|inference_mode|enable_grad|set_grad_enabled|autocast)\b")


def lent_modes(tree):
    """Lines where a generator gives a value while gradients are off: whoever takes it goes on without them, and two
    such generators side by side leave the process without them for good. A context manager is made for that.
    """
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        decorators = [ast.unparse(one) for one in function.decorator_list]
        if "contextmanager" in decorators:
            continue
        blocks = [one for one in ast.walk(function) if isinstance(one, ast.With)]
        inside = [one for one in blocks if any(MODES.search(ast.unparse(item)) for item in one.items)]
        for part in [*inside, *([function] if any(map(MODES.search, decorators)) else [])]:
            yield from (one.lineno for one in ast.walk(part) if isinstance(one, ast.Yield | ast.YieldFrom))


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("def f():\n    with torch.no_grad():\n        yield 1", 1),
        ("@torch.no_grad()\ndef f():\n    yield 1", 1),
        ("def f():\n    with torch.no_grad():\n        x = 1\n    yield x", 0),
        ("@contextmanager\ndef f():\n    with torch.no_grad():\n        yield", 0),
    ],
)
def test_the_check_of_lent_modes_sees(code, seen):
    assert len(list(lent_modes(ast.parse(code)))) == seen


@EACH
def test_nothing_is_given_away_while_gradients_are_off(path):
    assert list(lent_modes(tree_of(path))) == []


@EACH
def test_no_asserts(path):
    """What can go wrong is raised with a message; an assert vanishes under -O and says nothing."""
    assert [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)] == []


@EACH
def test_public_names_are_described(path):
    tree = tree_of(path)
    lacking = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ):
            lacking.append(node.name)
    assert lacking == []


IN_THE_LANGUAGE = {"ABC", "BaseModel", "Enum", "Exception", "Generic", "NamedTuple", "object", "Protocol"}


def members(kind):
    """Names of the methods and fields that stand in a class."""
    fields = {one.target.id for one in kind.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)}
    return fields | {one.name for one in kind.body if isinstance(one, ast.FunctionDef)}


def overrides(kind, name, classes):
    """Whether a class inherits a member of this name, which says what it does: from one of `classes`, or from another
    package, whose pages say so.
    """
    for base in (node.value if isinstance(node, ast.Subscript) else node for node in kind.bases):
        known = classes.get(last_name(base))
        if last_name(base) not in IN_THE_LANGUAGE and known is None:
            return True
        if known is not None and (name in members(known) or overrides(known, name, classes)):
            return True
    return False


def undescribed(trees):
    """Public methods of public classes without a docstring that are not described where they are first declared."""
    kinds = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    classes = {kind.name: kind for kind in kinds}
    for kind in [kind for kind in kinds if not kind.name.startswith("_")]:
        for node in [one for one in kind.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]:
            if not ast.get_docstring(node) and not overrides(kind, node.name, classes):
                yield f"{kind.name}.{node.name}"


def test_public_methods_are_described_where_they_are_declared():
    """What overrides one may say more, and need not."""
    assert list(undescribed(map(tree_of, FILES))) == []


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("class A:\n    def f(self): pass", ["A.f"]),
        ("class A(ABC):\n    @property\n    def f(self): pass", ["A.f"]),
        ("class A:\n    def f(self):\n        'Says.'\nclass B(A):\n    def f(self): pass", []),
        ("class A:\n    f: int\nclass B(A[int]):\n    def f(self): pass\n    def g(self): pass", ["B.g"]),
        ("class A(nn.Module):\n    def forward(self): pass", []),
        ("class _A:\n    def f(self): pass\nclass B:\n    def _f(self): pass", []),
    ],
)
def test_the_check_of_methods_sees(code, seen):
    assert list(undescribed([ast.parse(code)])) == seen


@EACH
def test_at_most_eight_arguments(path):
    """Of functions that people call; `self` does not count."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list:
            names = [
                a.arg
                for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                if a.arg not in {"self", "cls"}
            ]
            assert len(names) <= 8, f"{node.name} takes {len(names)}: {', '.join(names)}"


@EACH
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 500  # at 120 columns
    assert path.name not in {"utils.py", "helpers.py"}


def test_the_type_checker_reads_everything_with_every_rule():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyrefly"]
    assert settings["project-includes"] == ["src"]
    assert settings.keys() == {"project-includes", "search-path", "python-version", "ignore-missing-imports"}


def attributes(kind):
    """Names that the methods of a class set on `self`."""
    return {
        node.attr
        for node in ast.walk(kind)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }


def test_an_object_keeps_at_most_ten_things():
    """What has more does several things: each of them can be a class."""
    kinds = [node for tree in map(tree_of, FILES) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert {kind.name for kind in kinds if len(attributes(kind)) > 10} == set()


def test_no_folder_has_more_than_twenty_modules():
    modules = {}
    for path in FILES:
        if path.name != "__init__.py":
            modules.setdefault(str(path.parent.relative_to(SOURCE / "vael")), []).append(path.name)
    assert {folder for folder, names in modules.items() if len(names) > 20} == set()


NO_MIRROR = {"laws", "chains"}  # of many modules: laws over all members of a family, commands one after another
OF_THE_WHOLE = {
    "checked_calls",
    "benchmarks",
    "docs",
    "gallery",
    "house",
    "named_options",
    "package",
    "reference",
    "slower",
}  # beside the package: its pages, its text, its wheel, its types


def about(place):
    """Whether the folder of a test file under tests/ is one of the package, and its name begins with that of a module or
    folder there, or of the folder itself.
    """
    folder, stem = SOURCE / "vael" / place.parent, place.stem.removeprefix("test_")
    if place.parts[0] in NO_MIRROR or (place.parts == (f"test_{stem}.py",) and stem in OF_THE_WHOLE):
        return True
    names = (
        {one.stem for one in folder.iterdir()} - {"__init__", "__main__", "__pycache__"} if folder.is_dir() else set()
    )
    return any(f"{stem}_".startswith(f"{name}_") for name in names | {folder.name})


def test_tests_stand_where_what_they_are_about_stands():
    places = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(str(place) for place in places if not about(place)) == []
    assert {name for name in OF_THE_WHOLE if not (ROOT / "tests" / f"test_{name}.py").is_file()} == set()


@pytest.mark.parametrize(
    "place",
    ["test_elbo.py", "training/test_idle.py", "training/test_loops.py", "idle/test_loop.py", "cli/test_docs.py"],
)
def test_the_check_of_places_of_tests_sees(place):
    assert not about(Path(place))


def test_no_two_files_of_tests_have_one_name():
    """Pytest could not collect them together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_no_class_name_means_two_things():
    homes: dict[str, list[str]] = {}
    for path, tree in zip(FILES, map(tree_of, FILES), strict=True):
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


ROOMS_ABOVE_DATA = (  # where no line may ask what kind of data it has
    "specs",
    "cli",
    "report",
    "applications",
    "estimators",
    "evaluation",
    "compression",
    "training",
    "objectives",
    "recipes",
)
MARKS = {"schema", "has_schema", "windowing", "table", "sequence"}  # what tables and sequences have and other data lack
TELLS = {"is_table_file", "is_table", "ending_of"}
QUESTIONS = 51  # places that do so today; `vael.domains` is to answer them all, so this may only fall


def last_name(node):
    """The name of a variable, or the last one of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def a_kind(node):
    """Whether `Kind.SOMETHING` stands in an expression."""
    return any(isinstance(one, ast.Attribute) and last_name(one.value) == "Kind" for one in ast.walk(node))


def axes_or_ending(node):
    """Whether a side of a comparison is a number of axes, or how the name of a file ends."""
    if isinstance(node, ast.Call) and last_name(node.func) == "lower":
        node = node.func.value
    if isinstance(node, ast.Call):
        of = last_name(node.args[0]) if node.args else ""
        return (last_name(node.func), of) == ("dim", "") or (last_name(node.func) == "len" and of.endswith(SHAPES))
    return last_name(node) in {"ndim", "suffix"}


SHAPES = ("event", "shape")


def questions(tree):
    """Every place that asks what kind of data there are: whether they have a schema or a windowing, how many axes, of
    which kind elements are, how a file is called.
    """

    def tested(node):
        parts = node.values if isinstance(node, ast.BoolOp) else [node.operand] if isinstance(node, ast.UnaryOp) else []
        for part in parts:
            yield from tested(part)
        if last_name(node) in MARKS:
            yield node

    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            lacks = any(isinstance(one, ast.Constant) and one.value is None for one in sides)
            marked = lacks and any(last_name(one) in MARKS for one in sides)
            if marked or any(axes_or_ending(one) or a_kind(one) for one in sides):
                yield node
        elif (
            (isinstance(node, ast.Dict) and any(key is not None and a_kind(key) for key in node.keys))
            or (isinstance(node, ast.Call) and last_name(node.func) in TELLS)
            or (isinstance(node, ast.BoolOp) and any(last_name(one) == "has_schema" for one in node.values))
        ):
            yield node
        elif isinstance(node, ast.If | ast.IfExp):
            yield from tested(node.test)
        elif isinstance(node, ast.comprehension):
            for one in node.ifs:
                yield from tested(one)


def asked_in(rooms):
    """All such places, by file."""
    return {
        str(path.relative_to(SOURCE)): found
        for path, tree in zip(FILES, map(tree_of, FILES), strict=True)
        if module_name(path).split(".")[1:2] and module_name(path).split(".")[1] in rooms
        if (found := [f"{node.lineno}: {ast.unparse(node)}" for node in questions(tree)])
    }


def test_fewer_places_ask_what_kind_of_data_there_are():
    found = asked_in(ROOMS_ABOVE_DATA)
    assert sum(map(len, found.values())) <= QUESTIONS, "\n".join(
        ["asked outside of `vael.domains`, more often than before:"]
        + [f"{path}:{one}" for path, lines in sorted(found.items()) for one in lines]
    )


@pytest.mark.parametrize(
    "code",
    [
        "if source.schema is None: pass",
        "x = 1 if not data.sequence else 2",
        "len(source.event) == 3",
        "x.dim() != 4",
        "target.suffix.lower() == '.png'",
        "source.kind is Kind.BINARY",
        "{Kind.REAL: 1}",
        "is_table_file(path)",
        "[one for one in found if one.windowing]",
    ],
)
def test_the_count_of_such_places_sees(code):
    assert len(list(questions(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ["len(columns) == 3", "column.kind is ColumnKind.DATE", "f(schema)", "x.dim()"])
def test_the_count_of_such_places_lets_others_pass(code):
    assert list(questions(ast.parse(code))) == []


def tracked():
    """Text files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so which files belong to it is not known")
    return [
        ROOT / name
        for name in listed.stdout.split("\0")
        if name and not name.endswith((".png", ".webp", ".npy", ".safetensors")) and (ROOT / name).is_file()
    ]


def test_no_tracked_file_knows_a_machine():
    home, shared = "/(work|root|home/[a-z]+|Users/[a-z]+)/", r"\.\./" + "shared"
    public = r"(?! https://download\.pytorch\.org/)"  # PyTorch's own index, which everybody has
    host = "(index-" + f"url{public}|find-" + "links|file:" + "///)"
    found = []
    for path in tracked():
        allowed = {shared} if path == ROOT / ".ci" / "run" else set()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found += [
                f"{path.relative_to(ROOT)}:{number}: {line}"
                for rule in {home, shared, host} - allowed
                if re.search(rule, line)
            ]
    assert found == []


def test_nothing_is_left_for_later():
    words = "TO" + "DO|FIX" + "ME|X" + "XX"
    assert [path for path in tracked() if re.search(rf"\b({words})\b", path.read_text())] == []


def test_help_is_quick_because_nothing_heavy_is_imported():
    """Of all commands. How long it takes depends on the machine; what is imported does not."""
    code = """
import contextlib, io, sys
from vael.cli.main import COMMANDS, main
with contextlib.redirect_stdout(io.StringIO()):
    status = [main(["--help"]), main(["-V"]), *(main([name, "--help"]) for name in COMMANDS)]
print(set(status), sorted({"torch", "numpy", "matplotlib", "sklearn", "scipy", "pyarrow", "pydantic", "PIL", "rich"} & sys.modules.keys()))
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "{0} []"
    )
