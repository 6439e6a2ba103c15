"""What `vael impute` takes, and which files it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vael.cli.formats import ARRAY, LAID_OUT
from vael.cli.options.declaring import argument, flag, option
from vael.cli.options.shared import ResultOptions, on_error, result, seed
from vael.cli.options.values import whole


@dataclass(frozen=True, kw_only=True)
class ImputeOptions(ResultOptions):
    """What `vael impute` takes."""

    notes = (
        "Cells that were seen stay exactly as they came. A cell is taken to be missing at random, given the cells that "
        "were seen."
    )
    data: Path = argument("TABLE", "a table with empty cells: .csv or .parquet", Path, called="the data themselves")
    output: Path | None = result(
        ".csv or .parquet; default TABLE-filled beside the table",
        lambda options: options.answers,
        formats=(LAID_OUT, ARRAY),
    )
    samples: int = option("N", "latents for each row", whole, default=200)
    multiple: int | None = option(
        "M", "write M tables (-1, -2 ...), each with draws of the missing cells; default one table of means", whole
    )
    uncertainty: Path | None = option(
        "FILE",
        "a table of how unsure each filled cell is: deviation; 1 - probability of levels",
        Path,
        written=True,
        formats=(LAID_OUT,),
    )
    fitted: bool = flag("proposals fitted to each row: slower, for rows whose weights are few")
    seed: int = seed("the draws")
    on_error: str | None = on_error()

    @property
    def target(self) -> Path:
        """The file given, or one beside the table; what came compressed is written as it is inside."""
        from vael.tables.as_text.compressed import plain_name

        plain = plain_name(self.data)
        return self.output or self.data.with_name(f"{plain.stem}-filled{plain.suffix}")

    @property
    def answers(self) -> list[Path]:
        """The filled tables that are written."""
        target, tables = self.target, range(1, (self.multiple or 0) + 1)
        return [target.with_name(f"{target.stem}-{one}{target.suffix}") for one in tables] or [target]
