"""From the words on the command line to a command, and from an error to one message and an exit status."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import vael
from vael.cli.telling import answer, outlasting_readers, paragraph, quietly, speakable
from vael.errors import StateError, VaelError
from vael.signals import ending_asks

MEMORY = "not enough memory; use a smaller batch, a smaller model or less data, or a machine or device with more"
USED_UP = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "cannot allocate memory",
    "failed to map segment",
)  # in what PyTorch says, and the loader of libraries
QUIET = {"--quiet", "-q"}
ALIKE = {"evaluate", "report", "forecast", "serve", "push", "export"}  # commands that take runs on sequences as others
OF_SEQUENCES = {"sample", "reconstruct", "encode", "score", "impute"}  # those that have a way of their own for them
DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130
SHOWN = 80  # characters of a name that is too long to be one


@dataclass(frozen=True)
class Command:
    """A command: the module that has a function of its name, what it does in one line, and the module under
    `options` that has what it takes, `NameOptions`; without one the module itself has it.
    """

    module: str
    summary: str
    takes: str = ""
    keeps: bool = False  # whether what it makes, over hours, is kept, so that it goes on when nobody reads its lines

    def function(self, name: str) -> Callable[[Any], int]:
        """What carries it out: takes the record of options that `record` names, gives the exit status."""
        return getattr(importlib.import_module(f"vael.cli.{self.module}"), name)

    def record(self, name: str) -> type:
        """The record of its options."""
        module = importlib.import_module(f"vael.cli.options.{self.takes}" if self.takes else f"vael.cli.{self.module}")
        return getattr(module, f"{name.capitalize()}Options")


GROUPS = {
    "train and judge": {
        "train": Command("training", "Train a model on data; writes a run folder and a report.", "training", True),
        "sweep": Command("training", "Train with several weights of the divergence, side by side.", "training", True),
        "evaluate": Command("judging", "Judge a model: bound, log p(x), and how far to trust them.", "using"),
        "report": Command("judging", "Write report.html and the figures of a run anew.", "using"),
    },
    "draw": {
        "sample": Command("drawing.sampling", "Draw new examples from a trained model.", "drawing"),
        "forecast": Command("series", "Go on from the last step of every series.", "drawing"),
        "interpolate": Command("drawing.generating", "Go from one example to another through the latents.", "drawing"),
        "attribute": Command(
            "drawing.generating", "Add to an example what one class has and another has not.", "drawing"
        ),
        "inpaint": Command(
            "drawing.generating", "Fill a region of images from the rest of them: mean and draws.", "drawing"
        ),
    },
    "use on data": {
        "reconstruct": Command("using", "Pass data through a trained model and write what comes back.", "using"),
        "encode": Command("using", "Write the latent code (posterior mean) of every example.", "using"),
        "classify": Command("using", "Tell the class of every row, of a run that learned classes.", "using"),
        "score": Command("scoring", "Find the rows that do not belong, and what makes them strange.", "using"),
        "impute": Command("imputing", "Fill the missing cells of a table; others stay as they came.", "using"),
        "compress": Command("compressing", "Compress images, arrays or tables without loss.", "using"),
        "decompress": Command("compressing", "Give back, to the last byte, what vael compress wrote.", "using"),
        "export": Command("using", "Write encoder and decoder as ONNX files, and check them.", "using"),
    },
    "look, touch, share": {
        "explore": Command("drawing.exploring", "Open a local page over a run: map, live decoding, what if."),
        "serve": Command("sharing.serving", "Answer programs over HTTP: score, encode, impute, sample."),
        "push": Command("sharing.hub", "Send a run to the Hugging Face hub, with a model card."),
        "pull": Command("sharing.hub", "Get a run from the Hugging Face hub, checked as any other."),
    },
    "look up": {
        "data": Command("listing", "List named data sets, or say what is known of one or of a file."),
        "models": Command("listing", "List recipes and parts by name: likelihoods, priors, ..."),
        "completion": Command("sharing.completing", "Print what makes a shell complete: bash, zsh, fish."),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}

NOTES = """Try `vael train`, which learns small handwritten digits in a minute, then `vael sample runs/...`.
`vael COMMAND --help` explains a command. --version (-V) prints the version; --quiet (-q) prints only warnings, errors \
and what was asked for; --debug shows where an error came from.
Exit status: 0 done, 2 what was given cannot be used, 130 interrupted with a checkpoint, 1 anything else."""


def overview() -> str:
    """The page that `vael --help` prints."""
    lines = ["usage: vael COMMAND [ARGUMENTS]", "", "Train, judge and use variational autoencoders on your own data."]
    for title, commands in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [paragraph(command.summary, f"  {name:<12} ") for name, command in commands.items()]
    return "\n".join([*lines, "", *map(paragraph, NOTES.split("\n"))])


def main(argv: list[str] | None = None) -> int:
    """Run one command and give its exit status; every error ends as one message on standard error."""
    with speakable():
        return ended(sys.argv[1:] if argv is None else list(argv))


def ended(arguments: list[str]) -> int:
    """The exit status of a command line, whatever happens."""
    debug, quiet = "--debug" in arguments, bool(QUIET & set(arguments))
    came = threading.Event()
    try:
        with terminable() as came, quietly(quiet):
            return dispatch([word for word in arguments if word not in {"--debug", *QUIET}])
    except KeyboardInterrupt:
        return failed("interrupted", INTERRUPTED, debug)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (the reader of our output left; nothing more can be said to it)
        return FAILED
    except VaelError as error:
        return failed(str(error), UNUSABLE, debug)
    except MemoryError:
        return failed(MEMORY, FAILED, debug)
    except OSError as error:
        return failed(told(error), UNUSABLE if error.errno == errno.ENAMETOOLONG else FAILED, debug)
    except Exception as error:
        if came.is_set():
            return failed("interrupted", INTERRUPTED, debug)
        if out_of_memory(error):
            return failed(MEMORY, FAILED, debug)
        return failed(
            f"unexpected {type(error).__name__}: {error}; run again with --debug to see where, and please report it",
            FAILED,
            debug,
        )


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is used up: PyTorch has no type of its own for that of the processor."""
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError | ImportError) and any(word in str(error).lower() for word in USED_UP)
    )


def told(error: OSError) -> str:
    """A sentence about what the operating system refused, and the way out."""
    if error.errno == errno.ENAMETOOLONG:
        name = os.fsdecode(error.filename or "")
        return (
            f"{len(os.fsencode(name)):,} bytes are more than the name of a file or folder can have "
            f"({name if len(name) <= SHOWN else name[:SHOWN] + '...'}); check what was given"
        )
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        full = (
            "the file is larger than this disk or the limit of this process allows"
            if error.errno == errno.EFBIG
            else "the disk is full"
        )
        return (
            f"{full}{where}; files written before are intact: make room, then go on with --resume if this was training"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission{where}: {error.strerror}; choose another folder or file, or change its permissions"
    return f"{error.strerror or error}{where}"


def failed(message: str, status: int, debug: bool) -> int:
    """Say why, on standard error, once: of several processes only the first speaks."""
    if debug:
        traceback.print_exc()
    if os.environ.get("RANK", "0") == "0" or status == FAILED:
        answer(f"vael: {message}", file=sys.stderr)
    return status


@contextmanager
def terminable() -> Iterator[threading.Event]:
    """SIGTERM and SIGHUP (the terminal is gone) end a command as SIGINT does, unless whoever started it has them
    ignored, as `nohup` does; training itself takes them over while it can write a checkpoint.

    The event is set once one came: libraries swallow what is raised in the midst of their imports, and then fail by
    something else.
    """
    came = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        came.set()
        raise KeyboardInterrupt

    with ending_asks(interrupt):
        yield came


def command_for(name: str, options: object) -> Callable[[Any], int]:
    """What carries a command out: on a run on sequences, what does so for them.

    Errors: `StateError` for a command that is for other data.
    """
    from vael.cli.options.shared import RunOptions
    from vael.stored import present

    command = COMMANDS[name]
    if name in ALIKE or not isinstance(options, RunOptions) or not present(options.run / "run.json"):
        return command.function(name)
    from vael import domains
    from vael.specs.spec import read_spec

    data = read_spec(options.run).data
    if not domains.of(data).in_time(data):
        return command.function(name)
    if name not in OF_SEQUENCES:
        raise StateError(
            f"{options.run} was trained on sequences, which `vael {name}` does not take yet; use one of "
            f"{', '.join(sorted(ALIKE | OF_SEQUENCES))}"
        )
    return Command("series", "").function(name)


def dispatch(arguments: list[str]) -> int:
    """Find the command and run it. Errors: `UsageError` for a command or an option that there is not."""
    arguments = arguments[
        arguments[:1] == ["--"] :
    ]  # torchrun on Python 3.11 takes --run for its own unless `--` stands before it
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(overview())
        return DONE
    name, *rest = arguments
    if name in ("--version", "-V"):
        print(f"vael {vael.__version__}")
        return DONE
    # what reads the words of a command is imported now, so that the first page is there at once
    from vael.cli.options.parser import Parser, UsageError
    from vael.cli.options.places import kept_apart, places_of, refuse_endings
    from vael.nearest import hint

    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise UsageError(f"unknown {kind} {name}{hint(name, COMMANDS)}; the commands are {', '.join(COMMANDS)}")
    parser = Parser(name, COMMANDS[name].summary, COMMANDS[name].record(name))
    if "--help" in rest or "-h" in rest:
        print(parser.format_help())
        return DONE
    options = parser.read(rest)
    with trusted(options), kept_apart(places_of(options)), outlasting_readers(COMMANDS[name].keeps):
        refuse_endings(options)
        return command_for(name, options)(options)


def trusted(options: object) -> AbstractContextManager[None]:
    """A block in which parts of the modules may be imported that a command which reads a run was told to trust."""
    from vael.cli.options.shared import RunOptions

    if not isinstance(options, RunOptions) or not options.trust:
        return nullcontext()
    from vael.parts import trusting

    return trusting(*options.trust)
