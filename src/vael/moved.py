"""Where modules were before they moved: programs that import them by their old names get the same modules.

`from vael.data.images import read_folder` gives what `vael.data.files.images` has, with a `DeprecationWarning`.
A name that a package has for something else has no place here: imported as a module, it would replace that.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FOLDERS = {  # of modules that kept their names: where they were, and where they are now
    ("vael.applications.compression", "vael.compression"): (
        "archive bits_back container contents laws level portable reading safe stack"
    ),
    ("vael.applications.compression", "vael.compression.integers"): (
        "integer_heads integer_laws integer_network quantising"
    ),
    ("vael.applications.compression", "vael.compression.tabular"): "column_laws grids tables text_form",
    ("vael.data", "vael.data.files"): "arrays cifar idx images",
    ("vael.data", "vael.data.catalog"): "description downloading factors finding named synthetic",
    ("vael.data", "vael.tables"): "constraints inference schema schema_file typed",
    ("vael.data", "vael.tables.as_text"): "compressed output text",
    ("vael.data", "vael.tables.values"): "dates numerals",
    ("vael.evaluation", "vael.evaluation.tabular"): (
        "associations contrasts efficacy marginals privacy ranking signs synthetic two_sample"
    ),
    ("vael.inference", "vael.lectures"): "decomposition estimators projections variations",
    ("vael.probability", "vael.lectures"): "information joint tables",
    ("vael.models", "vael.models.autoencoders"): "autoencoder codes penalties quantized",
    ("vael.models", "vael.models.mixtures"): "bayesian_mixture covariance gaussian_mixture",
    ("vael.models", "vael.models.likelihoods"): "columns heads joint_gaussian support tabulated",
    ("vael.models", "vael.models.posteriors"): "correlated",
    ("vael.report", "vael.report.tabular"): "columns mixed_columns synthetic synthetic_figures synthetic_verdict",
}
MOVED = {
    "vael.applications.compression": "vael.compression",
    "vael.compression.hierarchy": "vael.compression.safe",
    "vael.report.ticks": "vael.report.tabular.synthetic_figures",
    "vael.report.known": "vael.report.record",
    "vael.report.tabular.matrices": "vael.report.tabular.synthetic_figures",
    "vael.data.tables": "vael.tables.reading",
    "vael.evaluation.refined": "vael.evaluation.evaluate",
    "vael.models.discrete": "vael.models.posteriors.bernoulli",
    "vael.applications.compression.integer_tables": "vael.compression.integers.integer_laws",
    "vael.applications.compression.levels": "vael.compression.safe",
    "vael.applications.compression.table_level": "vael.compression.tabular.column_laws",
    "vael.applications.forecasting": "vael.applications.sequences",
    "vael.applications.gaps": "vael.applications.imputation",
    "vael.applications.level_draws": "vael.applications.generation",
    "vael.applications.neighbours": "vael.applications.measuring",
    "vael.compression.given": "vael.compression.level",
    "vael.compression.integers.integer_tables": "vael.compression.integers.integer_laws",
    "vael.compression.levels": "vael.compression.safe",
    "vael.compression.tabular.table_level": "vael.compression.tabular.column_laws",
    "vael.data.conditioning.arrays": "vael.data.conditioning.conditions",
    "vael.data.conditioning.kinds": "vael.data.conditioning.columns",
    "vael.domains.column_coding": "vael.domains.coding",
    "vael.domains.element_coding": "vael.domains.coding",
    "vael.domains.patches": "vael.domains.image",
    "vael.domains.table_rows": "vael.domains.table",
    "vael.domains.units": "vael.domains.reading",
    "vael.estimators.steady": "vael.estimators.core",
    "vael.specs.starting": "vael.specs.configuring",
} | {f"{old}.{name}": f"{new}.{name}" for (old, new), names in FOLDERS.items() for name in names.split()}


class MovedModules(MetaPathFinder, Loader):
    """Finds a module that moved under its old name; asked last, when there is no module of this name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=fullname in SHELVES) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        warnings.warn(f"{old} is {MOVED[old]} now; import it from there", DeprecationWarning, stacklevel=6)
        found = importlib.import_module(MOVED[old])
        if old in SHELVES:  # one that other old names stand under keeps a module of its own, or they would be lost
            module.__dict__.update({name: value for name, value in vars(found).items() if not name.startswith("__")})
        else:
            sys.modules[old] = found


SHELVES = {name.rpartition(".")[0] for name in MOVED} & MOVED.keys()
