"""What a model is conditioned on: labels, columns, or an array beside the data."""

from vael.data.conditioning.arrays import FileCondition
from vael.data.conditioning.columns import ColumnsCondition
from vael.data.conditioning.kinds import AnyCondition
from vael.data.conditioning.learned_conditions import conditioned, labelled, learned

__all__ = ["AnyCondition", "ColumnsCondition", "FileCondition", "conditioned", "labelled", "learned"]
