"""What a model is conditioned on: labels, columns, or an array beside the data."""

from vael.data.conditioning.columns import AnyCondition, ColumnsCondition
from vael.data.conditioning.conditions import FileCondition
from vael.data.conditioning.learned_conditions import conditioned, labelled, learned

__all__ = ["AnyCondition", "ColumnsCondition", "FileCondition", "conditioned", "labelled", "learned"]
