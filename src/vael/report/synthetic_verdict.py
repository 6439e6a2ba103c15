"""How good and how private a synthetic table is, in plain sentences that rules derive from the numbers; thresholds stand above their rules."""

from __future__ import annotations

from collections.abc import Callable

from vael.evaluation.synthetic import SyntheticQuality
from vael.report.verdict import Remark, Tone

CHANCE = 3.0  # standard deviations of the null distribution
NEAR, FAR = 0.6, 0.8  # AUC of a classifier up to which a table is close to the data, and from which it is far from them
TELLS = 0.02  # fall of the AUC that makes a column worth naming
POINTS = 0.02  # of accuracy or R², that may be lost
OFF = 0.05  # of a distance between columns or associations, above the floor
COPIES = 0.01  # share of synthetic rows above that of held-out rows

Rule = Callable[[SyntheticQuality], Remark | None]


def told_apart(quality: SyntheticQuality) -> Remark:
    """How well a classifier tells the table from real rows, and by which columns."""
    test = quality.two_sample.found
    if test.deviations <= CHANCE:
        rows, seen = test.positives + test.negatives, 0.5 + CHANCE * test.null_error
        if not test.null_error or seen >= FAR:
            text = (
                f"{rows} rows are too few for a classifier to tell synthetic from real ones by (AUC {test.auc:.3f}); that says nothing of the table."
            )
            return Remark("two-sample", Tone.PLAIN, text)
        if test.auc >= NEAR:
            text = (
                f"A classifier may tell synthetic from real rows or not: AUC {test.auc:.3f} on {rows:,} rows that it had not seen, "
                f"where chance alone reaches {seen:.3f}; more rows would say."
            )
            return Remark("two-sample", Tone.PLAIN, text)
        text = f"A classifier cannot tell synthetic from real rows: AUC {test.auc:.3f} on {rows:,} rows that it had not seen."
        return Remark("two-sample", Tone.GOOD, text)
    by = [f"`{name}`" for name, fall in quality.two_sample.telling[:3] if fall > TELLS]
    columns = f", mostly by {', '.join(by)}" if by else ""
    if test.auc < NEAR:
        text = f"A classifier hardly tells synthetic from real rows (AUC {test.auc:.3f}{columns}): close to the data, and not the same law."
        return Remark("two-sample", Tone.PLAIN, text)
    what = "easily tells" if test.auc >= FAR else "tells"
    text = (
        f"A classifier {what} synthetic from real rows (AUC {test.auc:.3f}{columns}). Train longer or with a larger network, and look at these "
        "columns below: a wrong shape there, or a dependence that is missing, gives the rows away."
    )
    return Remark("two-sample", Tone.WARNING if test.auc >= FAR else Tone.PLAIN, text)


def learned_from(quality: SyntheticQuality) -> Remark | None:
    """What a learner loses when it is trained on the table."""
    found = quality.efficacy
    if found is None:
        return None
    learned, real = found.value
    lost = real - learned
    text = f"Trained on it, learners predict `{found.target}` of real rows with {found.measure} {learned:.3f}; trained on real rows, {real:.3f}."
    if real < found.baseline + POINTS:
        return Remark("efficacy", Tone.PLAIN, f"{text} Nothing can be learned there even from real rows: choose another target (--target).")
    if lost <= POINTS:
        return Remark("efficacy", Tone.GOOD, f"{text} The table can stand in for the data in this task.")
    way = f"The dependence of `{found.target}` on other columns is partly lost: train longer, or with more latents."
    return Remark("efficacy", Tone.WARNING if lost > 5 * POINTS else Tone.PLAIN, f"{text} {way}")


def columns_apart(quality: SyntheticQuality) -> Remark:
    """Whether single columns have their shapes."""
    worst, above = quality.worst, quality.marginal - quality.marginal_floor_mean
    if worst is None or above <= OFF / 2:
        return Remark(
            "columns", Tone.GOOD, f"Single columns have the shapes of the data (mean distance {quality.marginal:.3f}, on a scale from 0 to 1)."
        )
    text = f"Single columns are off by {quality.marginal:.3f} on average (real rows among themselves {quality.marginal_floor_mean:.3f})"
    return Remark("columns", Tone.PLAIN, f"{text}; farthest off is `{worst.column}` with {worst.distance:.3f}.")


def pairs_apart(quality: SyntheticQuality) -> Remark | None:
    """Whether pairs of columns hang together as in the data."""
    pair, above = quality.associations.largest, quality.associations.mean - quality.association_floor.mean
    if pair is None:
        return None
    if above <= OFF / 2:
        return Remark(
            "pairs", Tone.GOOD, f"Pairs of columns hang together as in the data: associations differ by {quality.associations.mean:.3f} on average."
        )
    floor = quality.association_floor.mean
    text = f"Associations of pairs differ by {quality.associations.mean:.3f} on average (real rows among themselves {floor:.3f})"
    return Remark("pairs", Tone.PLAIN, f"{text}; most for `{pair[0]}` and `{pair[1]}`, by {pair[2]:+.2f}.")


def copies(quality: SyntheticQuality) -> Remark:
    """Whether training rows come through."""
    near = quality.closest
    if near.suspicious or near.copies > near.holdout_copies + COPIES:
        text = (
            f"Synthetic rows lie closer to training rows than to rows held out ({near.share_closer:.1%}, chance 50 % ± {near.null_error:.1%}; "
            f"{near.copies:.2%} are copies, of held-out rows {near.holdout_copies:.2%}): the model has memorised rows. Do not hand the table out as "
            "private; train for fewer epochs, or with a smaller network or more data."
        )
        return Remark("copies", Tone.WARNING, text)
    chance = f"50 % ± {near.null_error:.1%}"
    text = f"No sign of copied rows: {near.share_closer:.1%} lie closer to a training row than to a held-out one, where chance gives {chance}."
    return Remark("copies", Tone.GOOD, text)


def membership(quality: SyntheticQuality) -> Remark:
    """Whether one can tell who was in the training data."""
    attacks = [quality.closeness, *([] if quality.bound is None else [quality.bound])]
    caught = [one for one in attacks if one.suspicious]
    if not caught:
        text = f"Who was in the training data cannot be told {' or '.join('by ' + one.by for one in attacks)}."
        return Remark("membership", Tone.GOOD, f"{text} These checks find leaks; they prove no privacy.")
    said = "; ".join(f"by {one.by} with AUC {one.found.auc:.3f} (chance 0.5 ± {one.found.null_error:.3f})" for one in caught)
    kept = " Keep the model itself to yourself." if caught == [quality.bound] else " Do not hand the table out as private."
    return Remark("membership", Tone.WARNING, f"Training rows can be told from others {said}.{kept}")


def constraints(quality: SyntheticQuality) -> Remark:
    """Whether ranges, levels and decimals are kept."""
    if not quality.violations:
        return Remark("constraints", Tone.GOOD, "Every cell keeps the range, the levels and the decimals of its column.")
    return Remark("constraints", Tone.WARNING, f"Cells break the rules of their columns: {'; '.join(str(one) for one in quality.violations[:3])}.")


RULES: tuple[Rule, ...] = (told_apart, learned_from, columns_apart, pairs_apart, copies, membership, constraints)


def quality_remarks(quality: SyntheticQuality) -> tuple[Remark, ...]:
    """What every rule says, what went wrong first."""
    said = [one for one in (rule(quality) for rule in RULES) if one is not None]
    return tuple(sorted(said, key=lambda one: one.tone is not Tone.WARNING))
