"""Whether what a run.json describes can be, before any memory is taken for it."""

from __future__ import annotations

import math
from typing import TypeGuard

from vael.claims import refuse_claim
from vael.counting import counted
from vael.errors import FormatError, VaelError
from vael.models import Model
from vael.specs.leaves import leaves
from vael.specs.preparing import build_model
from vael.specs.spec import RunSpec
from vael.training.checkpoint import TensorHeader

MOST_LAYERS = 4096
IN_TRAINING = 5  # copies of the weights: with gradients, two moments and an average
LEAST = 1 << 24  # a size that takes no memory worth speaking of
TABLED = ("levels", "components", "channels")  # sizes of a likelihood that one table may have as its sides


def hollow(spec: RunSpec, header: TensorHeader | None, where: str) -> Model:
    """The model of a spec with shapes and no memory: what run.json says may come from somebody else, so it is held
    against the weights first, or where there are none yet, against the memory that there is.

    Errors: `FormatError` for sizes that these weights cannot have, and for what describes no model.
    """
    refuse_sizes(spec, header, where)
    try:
        model = build_model(spec.model, spec.data, 0, hollow=True)
    except VaelError as error:
        raise FormatError(f"{where} describes a model that cannot be built: {error}") from error
    except (MemoryError, OSError, ImportError):  # of this machine, and not of the file
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise FormatError(
            f"{where} describes a model that cannot be built ({reason}); restore the file as `vael train` wrote it"
        ) from error
    if header is None:
        count = sum(weights.numel() for weights in model.parameters())
        if count != spec.parameters:
            raise FormatError(
                f"{where} describes a model with {counted(count, 'parameter')}, and says that there are "
                f"{spec.parameters:,}; restore the file as `vael train` wrote it"
            )
        refuse_claim(IN_TRAINING * sum(tensor.nbytes for tensor in model.state_dict().values()), where, "its model")
    return model


def refuse_sizes(spec: RunSpec, header: TensorHeader | None, where: str) -> None:
    """Errors: `FormatError` for more features than there are numbers in the weights, more layers than tensors, and
    sizes below 0; without weights, for more than the file itself says.
    """
    numbers, layers = (spec.parameters, MOST_LAYERS) if header is None else (header.numbers, len(header.shapes))
    most, beside = max(numbers, LEAST), "it says that there are" if header is None else "the weights beside it have"
    named = list(leaves(spec.model))
    for name, value in (("event", spec.data.event), ("levels", spec.data.levels), *named):
        known = value if isinstance(value, tuple) else (value,)
        wrong = next((one for one in known if is_size(one) and not 0 <= one <= most), None)
        if wrong is not None or len(known) > max(layers, len(spec.data.columns), 64):
            said = f"{len(known):,} of them" if wrong is None else f"{wrong:,}"
            raise FormatError(
                f"{where}: {name} is {said}, but {beside} {numbers:,} numbers; restore the files as `vael train` wrote "
                "them"
            )
    counts = [
        value
        for name, value in named
        if "likelihood." in name and name.rpartition(".")[2] in TABLED and isinstance(value, int) and value > 1
    ]
    deep = max((value for name, value in named if name.endswith("blocks") and isinstance(value, int)), default=0)
    if math.prod(spec.data.event) > most or math.prod(counts) > most or deep > layers:
        raise FormatError(
            f"{where} describes a model that is too large: {beside} {numbers:,} numbers; restore the files as `vael "
            "train` wrote them"
        )


def is_size(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, which sizes are."""
    return isinstance(value, int) and not isinstance(value, bool)
