"""Single numbers that stand among others for something else: a zero, a cap, -999, 9999-12-31."""

from __future__ import annotations

import numpy as np

SPIKE = 0.03  # least share of a value that is a spike
FEW = 20  # values from which a number may have spikes
LEAST_FAR = 2  # cells of the largest or the least value from which it is a stand-in, where it lies far from all others


def spikes(seen: np.ndarray) -> tuple[float, ...]:
    """Single values that many cells have, among others that few have, at most three; and stand-ins that lie far
    from all others (9999-12-31).
    """
    values, counts = np.unique(seen, return_counts=True)
    far = _far(values, counts)
    if len(values) < FEW:
        return far
    often = (counts > SPIKE * len(seen)) & (counts > 5 * float(np.quantile(counts, 0.9)))
    most = sorted(zip(counts[often].tolist(), values[often].tolist(), strict=True), reverse=True)
    return tuple(sorted({*(value for _, value in most[:3]), *far}))


def usual_range(seen: np.ndarray, often: tuple[float, ...]) -> tuple[float, ...]:
    """Least and largest of the values that are no spikes, where a spike lies beyond them; else nothing."""
    rest = seen[~np.isin(seen, often)]
    inside = not often or not len(rest) or (rest.min() <= min(often) and max(often) <= rest.max())
    return () if inside else (float(rest.min()), float(rest.max()))


def _far(values: np.ndarray, counts: np.ndarray) -> tuple[float, ...]:
    """The least and the largest value where several cells have it and all others lie closer together than to it."""
    ends = [place for place in (0, len(values) - 1) if counts[place] >= LEAST_FAR]
    others = np.delete(values, ends)
    if len(others) < 3:
        return ()
    return tuple(float(values[place]) for place in ends if np.abs(values[place] - others).min() > 2 * np.ptp(others))


def apart(values: np.ndarray) -> np.ndarray:
    """Which of different numbers, in order, stand apart from the others, as -999 does among 1 to 5.

    Where the widest gap is wider than all that lies on that side of it where the more numbers are, the others stand
    apart; and again without them.
    """
    begin, end = 0, len(values)
    while end - begin > 2:
        kept = values[begin:end]
        cut = int(np.diff(kept).argmax()) + 1
        gap, few_below = kept[cut] - kept[cut - 1], cut < len(kept) - cut
        span = kept[-1] - kept[cut] if few_below else kept[cut - 1] - kept[0]
        if 2 * cut == len(kept) or not gap > span:
            break
        begin, end = (begin + cut, end) if few_below else (begin, begin + cut)
    found = np.ones(len(values), bool)
    found[begin:end] = False
    return found
