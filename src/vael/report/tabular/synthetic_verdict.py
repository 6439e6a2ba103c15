"""How good and how private a synthetic table is, in plain sentences that rules derive from the numbers; thresholds
stand above their rules.

Each sentence has an error rate, which tests hold it to (docs/verdicts.md): what accuses a table is said of fresh rows
of the very law of the data at most once in 1 / `ALARM` = 740 tables; what praises one is said only where there are rows
enough to see a fault of the size stated.
"""

from __future__ import annotations

from collections.abc import Callable

from vael.evaluation.skill import Skill
from vael.evaluation.tabular.ranking import ALARM
from vael.evaluation.tabular.synthetic import SyntheticQuality
from vael.report.verdict import Remark, Tone

CHANCE = 3.0  # standard deviations of the null distribution beyond which rows are told apart: `ALARM`
DOUBT = 2.0  # deviations, or standard errors, within which nothing is praised
NEAR, FAR = 0.6, 0.8  # AUC of a classifier up to which a table is close to the data, and from which it is far from them
TELLS = 0.02  # fall of the AUC that makes a column worth naming
NOTHING = {"AUC": 0.6, "R²": 0.2}  # area, or correlation, below which a target is not worth predicting
MAY_LOSE = 0.05  # of the area or of R², that a table may cost that stands in for the data
OFF = 0.05  # of a distance between columns or associations, above the floor
COARSE = 0.1  # floor above which there are too few rows to praise a shape
PAIR = 0.1  # difference of one association worth naming

Rule = Callable[[SyntheticQuality], Remark | None]


def told_apart(quality: SyntheticQuality) -> Remark:
    """How well a classifier tells the table from real rows, and by what."""
    test = quality.two_sample.found
    if test.deviations <= CHANCE:
        return not_told_apart(quality)
    by = [f"`{name}`" for name, fall in quality.two_sample.telling[:3] if fall > TELLS]
    found = [quality.two_sample.clue] if quality.two_sample.clue else []
    what = "; ".join([*found, *([f"columns {', '.join(by)}"] if by else [])])
    columns = f", mostly by {what}" if what else ""
    if test.auc < NEAR:
        text = (
            f"A classifier hardly tells synthetic from real rows (AUC {test.auc:.3f}{columns}): close to the data, and "
            "not the same distribution."
        )
        return Remark("two-sample", Tone.PLAIN, text)
    how = "easily tells" if test.auc >= FAR else "tells"
    text = (
        f"A classifier {how} synthetic from real rows (AUC {test.auc:.3f}{columns}). Train longer or with a larger "
        "network, and look at these "
        "columns below: a wrong shape there, or a dependence that is missing, gives the rows away."
    )
    return Remark("two-sample", Tone.WARNING if test.auc >= FAR else Tone.PLAIN, text)


def not_told_apart(quality: SyntheticQuality) -> Remark:
    """That a classifier cannot tell, only where it is not near to it: within 2 deviations of chance, and surely
    below an AUC of 0.6.
    """
    test = quality.two_sample.found
    rows, seen = test.positives + test.negatives, 0.5 + CHANCE * test.null_error
    if not test.null_error or seen >= FAR:
        text = (
            f"{rows} rows are too few for a classifier to tell synthetic from real ones by (AUC {test.auc:.3f}); that "
            "says nothing of the table."
        )
        return Remark("two-sample", Tone.PLAIN, text)
    if test.deviations > DOUBT or test.auc + DOUBT * max(test.standard_error, test.null_error) >= NEAR:
        text = (
            f"A classifier may tell synthetic from real rows or not: AUC {test.auc:.3f}, {test.deviations:+.1f} "
            "standard deviations from 1/2, on "
            f"{rows:,} rows that it had not seen, where chance alone reaches {seen:.3f}; more rows would say."
        )
        return Remark("two-sample", Tone.PLAIN, text)
    text = (
        f"A classifier cannot tell synthetic from real rows: AUC {test.auc:.3f} on {rows:,} rows that it had not seen."
    )
    return Remark("two-sample", Tone.GOOD, text)


def learned_from(quality: SyntheticQuality) -> Remark | None:
    """What a learner loses when it is trained on the table."""
    found = quality.efficacy
    if found is None:
        return None
    learned, real = found.value
    text = (
        f"Trained on it, learners predict `{found.target}` of real rows with {found.measure} {learned:.3f}; trained on "
        f"real rows, {real:.3f}"
    )
    skill = found.skill
    if skill is None:
        return Remark(
            "efficacy", Tone.PLAIN, f"{text}. Too few real rows have its rarer values to say what that is worth."
        )
    text += "." if skill.measure == found.measure else f" (together AUC {skill.synthetic:.3f} and {skill.real:.3f})."
    return Remark("efficacy", *judged_skill(skill, found.target, text))


def judged_skill(skill: Skill, target: str, text: str) -> tuple[Tone, str]:
    """Whether anything is learned from real rows at all; then what the table costs."""
    if skill.deviations <= CHANCE:
        if skill.ceiling < NOTHING[skill.measure]:
            return (
                Tone.PLAIN,
                f"{text} Nothing can be learned there even from real rows: choose another target (--target).",
            )
        return (
            Tone.PLAIN,
            f"{text} Even from real rows nothing is learned for certain: choose another target (--target), or give "
            "more rows.",
        )
    if skill.lost_p_value < ALARM and skill.lost > 0:
        way = f"The dependence of `{target}` on other columns is partly lost: train longer, or with more latents."
        return Tone.WARNING if skill.lost > 2 * MAY_LOSE else Tone.PLAIN, f"{text} {way}"
    if skill.lost + DOUBT * skill.lost_error <= MAY_LOSE:
        return Tone.GOOD, f"{text} The table can stand in for the data in this task."
    return Tone.PLAIN, f"{text} Whether anything is lost, so few rows do not say."


def columns_apart(quality: SyntheticQuality) -> Remark:
    """Whether single columns have their shapes."""
    floor = quality.marginal_floor_mean
    known = [one for one in quality.marginals if one.distance == one.distance]
    off = [one for one in known if one.p_value * len(known) < ALARM and one.distance > floor + OFF / 2]
    worst = max(known, key=lambda one: one.distance, default=None)
    if off and worst is not None:
        text = f"Single columns are off by {quality.marginal:.3f} on average (real rows among themselves {floor:.3f})"
        many = f"{len(off)} of {len(known)} beyond chance" if len(known) > 1 else "beyond chance"
        return Remark(
            "columns", Tone.PLAIN, f"{text}, {many}; farthest off is `{worst.column}` with {worst.distance:.3f}."
        )
    if floor <= COARSE and quality.marginal - floor <= OFF / 2 and (worst is None or worst.distance <= floor + COARSE):
        text = (
            f"Single columns have the shapes of the data (mean distance {quality.marginal:.3f}, on a scale from 0 to "
            "1)."
        )
        return Remark("columns", Tone.GOOD, text)
    text = (
        f"Too few rows to say whether single columns have the shapes of the data: mean distance {quality.marginal:.3f}"
    )
    return Remark("columns", Tone.PLAIN, f"{text}, and of real rows among themselves {floor:.3f}.")


def pairs_apart(quality: SyntheticQuality) -> Remark | None:
    """Whether the associations of pairs of columns are those of the data."""
    pair, mean, floor = quality.associations.largest, quality.associations.mean, quality.association_floor.mean
    if pair is None:
        return None
    large = mean - floor > OFF / 2 or abs(pair[2]) > PAIR
    if quality.association_p_value < ALARM and large:
        text = f"Associations of pairs differ by {mean:.3f} on average (real rows among themselves {floor:.3f})"
        return Remark("pairs", Tone.PLAIN, f"{text}; most for `{pair[0]}` and `{pair[1]}`, by {pair[2]:+.2f}.")
    if floor <= COARSE and mean - floor <= OFF / 2 and abs(pair[2]) <= 2 * COARSE:
        return Remark("pairs", Tone.GOOD, f"Pairwise associations match: they differ by {mean:.3f} on average.")
    text = f"Too few rows to say whether pairwise associations match: they differ by {mean:.3f} on average"
    return Remark("pairs", Tone.PLAIN, f"{text}, those of real rows among themselves by {floor:.3f}.")


def copies(quality: SyntheticQuality) -> Remark:
    """Whether training rows come through."""
    near = quality.closest
    shares = f"{near.copies:.2%} are copies, of held-out rows {near.holdout_copies:.2%}"
    if near.suspicious:
        text = (
            f"Synthetic rows lie closer to training rows than to rows held out ({near.share_closer:.1%}, chance 50 % ± "
            f"{near.null_error:.1%}; "
            f"{shares}): the model has memorised rows. Do not hand the table out as private; train for fewer epochs, "
            "or with a smaller network or "
            "more data."
        )
        return Remark("copies", Tone.WARNING, text)
    chance = f"50 % ± {near.null_error:.1%}"
    text = (
        f"No sign of copied rows: {near.share_closer:.1%} lie closer to a training row than to a held-out one, where "
        f"chance gives {chance}; {shares}."
    )
    return Remark("copies", Tone.GOOD, text)


def membership(quality: SyntheticQuality) -> Remark:
    """Whether one can tell who was in the training data."""
    caught = [one for one in quality.attacks if one.suspicious]
    if not caught:
        text = (
            "These checks could not tell who was in the training data "
            f"({' and '.join('by ' + one.by for one in quality.attacks)})."
        )
        return Remark("membership", Tone.GOOD, f"{text} They find leaks; they prove no privacy.")
    said = "; ".join(
        f"by {one.by} with AUC {one.found.auc:.3f} (chance 0.5 ± {one.found.null_error:.3f})" for one in caught
    )
    kept = (
        " Keep the model itself to yourself." if caught == [quality.bound] else " Do not hand the table out as private."
    )
    return Remark("membership", Tone.WARNING, f"Training rows can be told from others {said}.{kept}")


def constraints(quality: SyntheticQuality) -> Remark:
    """Whether ranges, levels and decimals are kept."""
    if not quality.violations:
        return Remark(
            "constraints", Tone.GOOD, "Every cell keeps the range, the levels and the decimals of its column."
        )
    return Remark(
        "constraints",
        Tone.WARNING,
        f"Cells break the rules of their columns: {'; '.join(str(one) for one in quality.violations[:3])}.",
    )


RULES: tuple[Rule, ...] = (told_apart, learned_from, columns_apart, pairs_apart, copies, membership, constraints)


def quality_remarks(quality: SyntheticQuality) -> tuple[Remark, ...]:
    """What every rule says, what went wrong first."""
    said = [one for one in (rule(quality) for rule in RULES) if one is not None]
    return tuple(sorted(said, key=lambda one: one.tone is not Tone.WARNING))
