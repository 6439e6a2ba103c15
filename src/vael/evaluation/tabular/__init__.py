"""Synthetic tables judged: how near to the real ones, how useful, how private."""

from vael.evaluation.tabular.privacy import ClosestRecords, Membership, closest_records
from vael.evaluation.tabular.synthetic import SyntheticQuality, judge_synthetic
from vael.evaluation.tabular.two_sample import TwoSampleTest, two_sample_test

__all__ = [
    "ClosestRecords",
    "Membership",
    "SyntheticQuality",
    "TwoSampleTest",
    "closest_records",
    "judge_synthetic",
    "two_sample_test",
]
