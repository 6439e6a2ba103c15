"""What can be asked of training, declared once: for `vael train` and `vael sweep`, and for `vael.specs.Request`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vael.options.declaring import flag, option, repeated, switch
from vael.options.values import natural, number, one_of, positive, share_or_test, side_or_sides, sizes, whole

NameOrPart = Any  # a part by its name, or from Python the part itself (`vael.parts.Part`); None leaves it open


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The model; None is chosen by the recipe and the data."""

    model: str | None = option("RECIPE", "network by name (`vael models`)", main=True)
    likelihood: NameOrPart = option("NAME", "likelihood by name (`vael models`)", main=True)
    latent: int | None = option("N", "number of latents", whole, main=True)
    prior: NameOrPart = option("NAME", "prior by name (`vael models`)")
    posterior: NameOrPart = option("NAME", "posterior by name (`vael models`)")
    components: int | None = option("N", "components of a mixture", whole)
    hidden: tuple[int, ...] | None = option(
        "N,N", "hidden sizes of a dense network, from the data inwards: 400,400", sizes
    )
    channels: tuple[int, ...] | None = option(
        "N,N", "channels of a convolutional network, from the image inwards: 64,128,256", sizes
    )
    blocks: int | None = option("N", "residual blocks at every resolution, of the recipe residual", whole)
    correlated: bool | None = switch("posterior with full covariance, or with independent latents; default by the data")
    set: Any = repeated(  # or, from Python, values by their paths
        "LEAF=VALUE",
        "any leaf of model, algorithm or training as run.json has it: model.network.hidden=300,100; may be repeated",
    )
    trust: tuple[str, ...] = repeated(
        "MODULE", "a module whose parts may be imported and run (model parts named module:Class); may be repeated"
    )


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How the data are read and split."""

    binarize: str | None = option(
        "HOW", "grey values to 0 and 1: dynamic, static, threshold", one_of("dynamic", "static", "threshold")
    )
    dequantize: bool = flag("add uniform noise to integers, for a continuous likelihood")
    size: int | tuple[int, int] | None = option(
        "N|HxW", "side, or height and width, that images of a folder are resized to", side_or_sides
    )
    patches: int | tuple[int, int] | None = option(
        "N|HxW",
        "train on patches of so many pixels, cut from pictures of any size at new places in every epoch; default 32 "
        "for few large pictures",
        side_or_sides,
        main=True,
    )
    levels: int | None = option(
        "N", "values that a pixel can have, 4096 for 12 bits; default by the largest of the data", number(int, 2)
    )
    skip_damaged: bool = flag("leave images out that cannot be decoded, and say so")
    schema: str | None = option(
        "FILE",
        "what the columns of a table are (JSON; `vael data info TABLE --schema FILE` writes one)",
        called="the schema itself",
    )
    sequence: str | bool | None = option(
        "COLUMN",
        "the data are sequences: name the column of times; for an .npy [examples, time, channels] give no name, and "
        "the option after the data",
        value_optional=True,
    )
    id: str | None = option("COLUMN", "column that says which series a row belongs to; default one series")
    window: int | None = option("N", "steps of an example; default by the length of the series", number(int, 2))
    stride: int | None = option(
        "N", "steps from one window of training to the next; default a quarter of a window", whole
    )
    condition_on: str | None = option(
        "WHAT",
        "model p(x | c): label (the class of each example), COLUMN,COLUMN of a table, or an array FILE.npy with a row "
        "for each example",
        called="the conditions themselves",
    )
    labels: str | None = option(
        "WHAT",
        "classes that a semi-supervised model learns: label (the labels of the data), COLUMN of a table, or a file "
        "with a label for each example (.npy, .csv); -1 or empty where unknown",
        called="the labels themselves",
    )
    labelled: int | None = option("N", "labels of each class that training is given; default all that there are", whole)
    validation: int | float | str | None = option(
        "SHARE",
        "examples set aside for validation: a share below 1, or a count; test: the test split serves",
        share_or_test,
    )
    test: int | float | None = option("SHARE", "examples set aside for the test: a share below 1, or a count", positive)
    contamination: int | float | None = option(
        "SHARE",
        "share of the rows that do not belong: train, leave the strangest out, train again; default 0",
        number(float, 0, most=0.49),
    )


@dataclass(frozen=True, kw_only=True)
class FittingOptions:
    """How the model is fitted, and for how long."""

    epochs: int | None = option("N", "passes over the data; default from the size of the data", whole, main=True)
    time_limit: int | float | None = option(
        "SECONDS", "end after so long, with the schedule fitted to it", positive, main=True
    )
    patience: int | None = option("N", "end after so many epochs without a better validation bound", whole)
    batch: int | None = option(
        "N",
        "examples per step, over all processes; default 128, or 256 for dense networks and many examples",
        whole,
        main=True,
    )
    seed: int | None = option("N", "seed of weights, order and noise; default 0", natural, main=True)
    objective: NameOrPart = option("NAME", "objective by name (`vael models`)")
    estimator: str | None = option(
        "NAME", "the bound by its estimator: closed-form (default), sampled or importance-weighted"
    )
    samples: int | None = option("N", "latent samples per example; default 1, importance-weighted 5", whole)
    beta: int | float | None = option("B", "weight of the divergence; default 1", number(float, 0))
    warmup: int | float | None = option(
        "SHARE",
        "share of training in which that weight rises from 0; default by the recipe, 0 or 0.2",
        number(float, 0, most=0.99),
    )
    terms: str | None = option(
        "WHICH", "terms of the bound that are climbed; default both", one_of("both", "reconstruction", "divergence")
    )
    optimizer: NameOrPart = option("NAME", "optimizer by name (`vael models`); default adamw")
    lr: int | float | None = option("RATE", "learning rate; default by the recipe, 0.001 or 0.004", positive)
    schedule: str | None = option(
        "NAME", "learning rate: warmup-cosine (default) or constant", one_of("warmup-cosine", "constant")
    )
    weight_decay: int | float | None = option(
        "RATE", "decoupled weight decay; default by the recipe, 0 or 0.1", number(float, 0)
    )
    average: int | float | None = option(
        "DECAY",
        "decay per step of the averaged weights that are kept; 0 keeps the weights themselves; default 0.999",
        number(float, 0, most=0.999999),
    )
    keep: str | None = option(
        "WHICH", "weights that are kept: of the best validation (default), or of the last step", one_of("best", "last")
    )


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """Where it is computed."""

    device: str | None = option("NAME", "cpu, cuda, cuda:1, ...; default the GPU where there is one", main=True)
    precision: str | None = option(
        "NAME", "float32 or bfloat16 in networks; default $VAEL_PRECISION, else what the processor has units for"
    )
    threads: int | None = option("N", "threads of the processor", whole)
    compile: bool | None = switch("compile the training step, or do not; default where it pays")
