"""Who learns from tables: settings that decide the figures, which are compared with published ones."""

import pytest

from vael.evaluation.tabular.efficacy import Task, quick_learners, sdgym_learners

BALANCED, ONE, TWO = {"class_weight": "balanced"}, {"hidden_layer_sizes": (50,)}, {"hidden_layer_sizes": (100,)}
LEARNERS = {
    (sdgym_learners, Task.BINARY): {
        "decision tree": ("DecisionTreeClassifier", {**BALANCED, "max_depth": 15}),
        "AdaBoost": ("AdaBoostClassifier", {}),
        "logistic regression": ("LogisticRegression", {**BALANCED, "max_iter": 50}),
        "network (50)": ("MLPClassifier", {**ONE, "max_iter": 50}),
    },
    (sdgym_learners, Task.CLASSES): {
        "decision tree": ("DecisionTreeClassifier", {**BALANCED, "max_depth": 30}),
        "network (100)": ("MLPClassifier", {**TWO, "max_iter": 50}),
    },
    (sdgym_learners, Task.NUMBER): {
        "linear regression": ("LinearRegression", {}),
        "network (100)": ("MLPRegressor", {**TWO, "max_iter": 50}),
    },
    (quick_learners, Task.BINARY): {
        "logistic regression": ("LogisticRegression", {"max_iter": 200}),
        "gradient-boosted trees": ("HistGradientBoostingClassifier", {"early_stopping": False}),
    },
    (quick_learners, Task.CLASSES): {
        "logistic regression": ("LogisticRegression", {"max_iter": 200}),
        "gradient-boosted trees": ("HistGradientBoostingClassifier", {"early_stopping": False}),
    },
    (quick_learners, Task.NUMBER): {
        "linear regression": ("LinearRegression", {}),
        "gradient-boosted trees": ("HistGradientBoostingRegressor", {"early_stopping": False}),
    },
}


@pytest.mark.parametrize(("who", "task"), LEARNERS, ids=lambda one: getattr(one, "name", getattr(one, "__name__", "")))
def test_learners_are_those_of_the_table_and_take_the_seed(who, task):
    """Whoever changes one changes every figure: what is not the library's default stands in this table."""
    known = LEARNERS[who, task]
    assert [learner.name for learner in who(task)] == list(known)
    for learner in who(task):
        made, (kind, settings) = learner.make(7), known[learner.name]
        default, own = type(made)().get_params(), made.get_params()
        if "random_state" in own and kind != "LogisticRegression":  # its solver draws nothing
            settings = {**settings, "random_state": 7}
        assert (type(made).__name__, own) == (kind, {**default, **settings})
