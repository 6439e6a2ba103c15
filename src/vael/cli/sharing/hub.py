"""`vael push` and `vael pull`: runs on the Hugging Face hub."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vael.cli.options.parser import UsageError
from vael.cli.options.shared import CommandOptions, RunOptions
from vael.cli.telling import said
from vael.errors import StateError, VaelError
from vael.options.declaring import argument, flag, option
from vael.options.values import whole

if TYPE_CHECKING:
    from vael.specs import Run

NAMED = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def refuse_other(name: str) -> None:
    """Errors: `UsageError` for what is not user/name."""
    if NAMED.fullmatch(name) is None:
        raise UsageError(f"expected user/name, such as ada/digits; got {name!r}")


@dataclass(frozen=True, kw_only=True)
class PushOptions(RunOptions):
    """What `vael push` takes."""

    notes: ClassVar[str] = (
        "Sent are run.json (without paths of this machine), the weights, the curves and a model card with the numbers "
        "of an evaluation; no example of the data, unless --with-figures sends the report. Log in first: "
        "`hf auth login`, or the environment variable HF_TOKEN."
    )
    name: str = argument("USER/NAME", "repository on the hub")
    private: bool = flag("make the repository for nobody else, where it is new", main=True)
    with_figures: bool = flag("send report.html and the figures too: they show examples", main=True)
    importance_samples: int | None = option("N", "draws for each example, for the numbers of the card", whole)


@dataclass(frozen=True, kw_only=True)
class PullOptions(CommandOptions):
    """What `vael pull` takes."""

    notes: ClassVar[str] = (
        "Taken are run.json, the weights, the curves and the card, checked as any run of somebody else is: nothing in "
        "them is executed."
    )
    name: str = argument("USER/NAME", "repository on the hub")
    run: Path | None = option(
        "DIR", "folder for the run; default runs/NAME", Path, main=True, written=True, folder=True
    )
    revision: str | None = option("NAME", "a branch, a tag or a commit; default the newest")


def push(options: PushOptions) -> int:
    """A run to the hub."""
    from vael import files, specs
    from vael.specs.cards import fill_shared, model_card

    refuse_other(options.name)
    hub, run = hugging_face(), specs.load(options.run)
    judged = numbers_of(run, options.importance_samples)
    use = ("pip install 'vael[hub]'", f"vael pull {options.name} --run theirs", "vael sample theirs")
    with files.scratch_folder() as place:
        card = model_card(run, options.name, judged, use, figures=options.with_figures)
        fill_shared(run, place, card, figures=options.with_figures)
        sent = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        with answered(f"{options.name} could not be sent"):
            api = hub.HfApi()
            api.create_repo(options.name, private=options.private or None, exist_ok=True)
            told = f"A run of vael: {run.spec.recipe} on {run.spec.data.name}"
            api.upload_folder(repo_id=options.name, folder_path=str(place), commit_message=told)
    return said(
        options.json,
        {"repository": options.name, "files": sent, "judged": bool(judged)},
        f"{options.name}: {', '.join(sent)}",
        *([] if judged else ["note: the data are not at hand, so the card has the numbers of training alone"]),
    )


def pull(options: PullOptions) -> int:
    """A run from the hub."""
    from vael import files
    from vael.specs.cards import SHARED, take_shared

    refuse_other(options.name)
    hub, place = hugging_face(), options.run or Path("runs") / options.name.rpartition("/")[2]
    files.check_folder(place)
    with files.scratch_folder() as folder:
        with answered(f"{options.name} could not be had"):
            hub.snapshot_download(
                options.name, revision=options.revision, local_dir=str(folder), allow_patterns=list(SHARED)
            )
        take_shared(folder, place)
    return said(options.json, {"run": str(place)}, f"Run folder: {place}")


def numbers_of(run: Run, importance_samples: int | None) -> list[str]:
    """The numbers of a run in sentences; none where its data are not at hand."""
    from vael.cli.judging import judge
    from vael.cli.wording import sentences

    try:
        run.splits()
    except VaelError:
        return []
    return sentences(judge(run, importance_samples=importance_samples), run.spec)


def hugging_face() -> Any:
    """The package that speaks to the hub. Errors: `StateError` where it is not installed."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise StateError("the hub needs huggingface_hub, which is not installed: pip install 'vael[hub]'")
    import huggingface_hub

    return huggingface_hub


@contextmanager
def answered(what: str) -> Iterator[None]:
    """A block in which the hub is spoken to. Errors: `StateError` for whatever it says no with."""
    try:
        yield
    except VaelError:
        raise
    except Exception as error:  # of HTTP, of the network and of the package, which changed its client twice
        first = next(iter(str(error).strip().splitlines()), "")
        raise StateError(
            f"{what} ({type(error).__name__}: {first[:200]}); look at the name, at the network, and at who is logged "
            "in (`hf auth whoami`)"
        ) from error
