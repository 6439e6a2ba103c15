"""Running an algorithm in the world."""

from vael.training.callbacks import Callback, Plan, Row, Tick, read_row
from vael.training.coding import coded, coded_splits
from vael.training.lines import Lines, NotebookBar, on_terminal
from vael.training.loop import run
from vael.training.order import Order, permutation
from vael.training.pretraining import encoded, pretrain
from vael.training.schedules import Constant, WarmupCosine
from vael.training.settings import Fit, Keep, Resolved, Settings, resolve

__all__ = [
    "Callback",
    "Constant",
    "Fit",
    "Keep",
    "Lines",
    "NotebookBar",
    "Order",
    "Plan",
    "Resolved",
    "Row",
    "Settings",
    "Tick",
    "WarmupCosine",
    "coded",
    "coded_splits",
    "encoded",
    "on_terminal",
    "permutation",
    "pretrain",
    "read_row",
    "resolve",
    "run",
]
