"""RunSpec to JSON and back, and from a spec to a model, a training run and a run folder."""

from vael.domains import Piece
from vael.specs.asked import Request, request
from vael.specs.configuring import prepare
from vael.specs.preparing import Prepared, prepare_again
from vael.specs.reading import examples_of, pieces, table_of
from vael.specs.runs import (
    Run,
    begin,
    build,
    carry_out,
    has_checkpoint,
    load,
    new_folder,
    occupied,
    refuse_used,
    restart,
    train,
)
from vael.specs.spec import RunSpec, is_bound, read_spec, write_spec

__all__ = [
    "Piece",
    "Prepared",
    "Request",
    "Run",
    "RunSpec",
    "begin",
    "build",
    "carry_out",
    "examples_of",
    "has_checkpoint",
    "is_bound",
    "load",
    "new_folder",
    "occupied",
    "pieces",
    "prepare",
    "prepare_again",
    "read_spec",
    "refuse_used",
    "request",
    "restart",
    "table_of",
    "train",
    "write_spec",
]
