"""The scikit-learn face: the library's own checks, and what it promises beyond them."""

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from vael.errors import FormatError, ShapeError, StateError
from vael.estimators import VAEDensity, VAEImputer, VAEOutlierDetector, VAETransformer

ALL = (VAETransformer, VAEDensity, VAEOutlierDetector, VAEImputer)
EACH = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
QUICK = {"max_iter": 2, "random_state": 0}


def answers(estimator, x):
    """Everything that an estimator says about rows."""
    names = [name for name in ("transform", "score_samples", "decision_function", "predict") if hasattr(estimator, name)]
    return [np.asarray(getattr(estimator, name)(x)) for name in names]


@pytest.fixture(scope="module")
def rows():
    weight = np.random.default_rng(0).normal(size=(2, 5))
    noise = np.random.default_rng(1)
    return noise.normal(size=(300, 2)) @ weight + 0.3 * noise.normal(size=(300, 5)) + np.array([0, 1e6, -3, 0, 5])


@pytest.fixture(scope="module")
def learned(rows):
    return VAEDensity(3, random_state=0, max_iter=80).fit(rows)


def gapped(x, share=0.3, seed=0):
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([kind(max_iter=2) for kind in ALL])
def test_what_scikit_learn_expects(estimator, check):
    """No check is expected to fail; `max_iter` is the only thing that is set, for speed."""
    check(estimator)


# a row alone and in a batch


@EACH
def test_a_row_gets_the_same_answer_alone_and_in_any_batch(kind, rows):
    """Bit for bit."""
    x = gapped(rows) if kind is VAEImputer else rows
    fitted = kind(**QUICK).fit(x)
    whole = answers(fitted, x)
    for part in (slice(7, 8), slice(3, 70), slice(None, None, -1)):
        for expected, found in zip(whole, answers(fitted, x[part]), strict=True):
            assert np.array_equal(expected[part], found)


# randomness


@EACH
def test_no_global_random_state_is_read_or_moved(kind, rows):
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    for seed in (None, 1, np.random.RandomState(5)):
        kind(max_iter=1, random_state=seed).fit(rows[:30])
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())


def test_a_seed_decides_everything(rows):
    first, second, other = (VAEDensity(max_iter=2, random_state=seed).fit(rows) for seed in (1, 1, 2))
    assert np.array_equal(first.score_samples(rows), second.score_samples(rows))
    assert not np.array_equal(first.score_samples(rows), other.score_samples(rows))
    assert np.array_equal(first.sample(4), second.sample(4))
    assert not np.array_equal(first.sample(4), first.sample(4, random_state=8))
    state = np.random.RandomState(4)
    assert not np.array_equal(first.sample(4, random_state=state), first.sample(4, random_state=state))


# work in company


def test_a_pipeline_a_column_transformer_and_a_search(rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows, columns=list("abcde")).assign(colour=["red", "blue", "green"] * 100)
    label = rows[:, 0] > 0
    columns = ColumnTransformer([("numbers", VAETransformer(**QUICK), list("abcde")), ("levels", OneHotEncoder(), ["colour"])])
    model = make_pipeline(columns, LogisticRegression())
    search = GridSearchCV(model, {"columntransformer__numbers__n_components": [1, 2]}, cv=2).fit(frame, label)
    assert search.best_score_ > 0.6
    density = GridSearchCV(VAEDensity(**QUICK), {"n_components": [1, 2]}, cv=2).fit(rows)
    assert np.isfinite(density.best_score_)
    assert clone(search.best_estimator_).get_params()["columntransformer__numbers__max_iter"] == 2


def test_frames_in_and_out(rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows, columns=list("abcde"), index=range(100, 400))
    out = VAETransformer(n_components=2, **QUICK).set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == ["vaetransformer0", "vaetransformer1"]
    assert list(out.index) == list(frame.index)
    filled = VAEImputer(add_indicator=True, **QUICK).set_output(transform="pandas").fit_transform(frame.mask(gapped(rows) != gapped(rows)))
    assert list(filled.columns) == [*"abcde", *(f"missingindicator_{name}" for name in "abcde")]
    with pytest.raises(ValueError, match="feature names"):
        VAEDensity(**QUICK).fit(frame).score(frame[list("edcba")])


def test_polars_in_and_out(rows):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(rows, schema=list("abcde"))
    fitted = VAETransformer(n_components=2, **QUICK).set_output(transform="polars").fit(frame)
    assert fitted.transform(frame).columns == ["vaetransformer0", "vaetransformer1"]
    assert list(fitted.feature_names_in_) == list("abcde")


# files


@EACH
def test_saved_and_loaded_it_gives_the_same_answers(kind, rows, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(gapped(rows) if kind is VAEImputer else rows, columns=list("abcde"))
    fitted = kind(n_components=np.int64(2), hidden_layer_sizes=(8, 4), max_iter=2, random_state=np.random.RandomState(0)).fit(frame)
    fitted.save(tmp_path / "model.safetensors")
    loaded = kind.load(tmp_path / "model.safetensors")
    for expected, found in zip(answers(fitted, frame), answers(loaded, frame), strict=True):
        assert np.array_equal(expected, found)
    assert loaded.get_params() | {"random_state": 0} == fitted.get_params() | {"random_state": 0}
    assert list(loaded.feature_names_in_) == list("abcde")
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_a_pickle_is_refused_unopened(tmp_path):
    (tmp_path / "trap").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(FormatError, match="safetensors"):
        VAEDensity.load(tmp_path / "trap")


def test_files_of_another_kind_are_refused(rows, tmp_path):
    path = tmp_path / "density"
    VAEDensity(**QUICK).fit(rows).save(path)
    with pytest.raises(FormatError, match="VAEDensity"):
        VAETransformer.load(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError):
        VAEDensity.load(path)
    path.write_bytes(content.replace(b"estimator", b"estimat0r"))
    with pytest.raises(FormatError):
        VAEDensity.load(path)
    with pytest.raises(FormatError, match="no such file"):
        VAEDensity.load(tmp_path / "nothing")


# numbers


def test_the_bound_lies_below_the_exact_density_in_the_units_of_the_data(learned, rows):
    """Against a Gaussian fitted to as many rows; the bound may fall short by 0.35 nats per row, and exceeds it by noise only (0.1)."""
    fitted = learned
    noise = np.random.default_rng(2)
    weight = np.random.default_rng(0).normal(size=(2, 5))
    fresh = noise.normal(size=(400, 2)) @ weight + 0.3 * noise.normal(size=(400, 5)) + np.array([0, 1e6, -3, 0, 5])
    exact = multivariate_normal([0, 1e6, -3, 0, 5], weight.T @ weight + 0.09 * np.eye(5)).logpdf(fresh).mean()
    assert exact - 0.35 < fitted.score(fresh) < exact + 0.1
    made = fitted.sample(4000)
    assert np.abs((made.mean(0) - rows.mean(0)) / rows.std(0)).max() < 0.15
    assert np.abs(np.corrcoef(made.T) - np.corrcoef(rows.T)).max() < 0.15


def test_another_unit_shifts_the_score_by_its_logarithm(rows):
    first, second = (VAEDensity(**QUICK).fit(rows * unit).score(rows * unit) for unit in (1, 1024))
    assert second == pytest.approx(first - 5 * np.log(1024), abs=1e-9)


def test_a_transform_goes_back(learned, rows):
    fitted = VAETransformer(3, max_iter=1).fit(rows)
    fitted.fitted_ = learned.fitted_
    back = fitted.inverse_transform(fitted.transform(rows))
    assert ((back - rows) ** 2).sum() < 0.25 * ((rows - rows.mean(0)) ** 2).sum()
    with pytest.raises(ShapeError, match="latents"):
        fitted.inverse_transform(np.zeros((3, 7)))


def test_outliers_are_found_and_the_share_is_as_said(rows):
    far = rows[:15] + 6 * rows.std(0) * np.random.default_rng(0).choice([-1, 1], (15, 5))
    x = np.vstack((rows, far))
    detector = VAEOutlierDetector(contamination=0.1, max_iter=30, random_state=0).fit(x)
    assert (detector.predict(x) == -1).mean() == pytest.approx(0.1, abs=0.01)
    assert roc_auc_score(np.arange(315) < 300, detector.decision_function(x)) > 0.95
    assert np.array_equal(detector.decision_function(x), detector.score_samples(x) - detector.offset_)
    with pytest.raises(StateError, match="contamination"):
        VAEOutlierDetector(contamination=0.7).fit(x)


def test_an_imputer_does_better_than_the_mean_and_leaves_seen_cells_alone():
    x = StandardScaler().fit_transform(load_wine().data)
    holes = gapped(x)
    missing = np.isnan(holes)
    filled = VAEImputer(max_iter=40, random_state=0).fit_transform(holes)
    mean = SimpleImputer().fit_transform(holes)
    assert np.array_equal(filled[~missing], holes[~missing])
    assert ((filled - x)[missing] ** 2).mean() < 0.75 * ((mean - x)[missing] ** 2).mean()


# awkward tables


@EACH
def test_awkward_tables(kind):
    """One row, one column, columns that never vary, a column of one integer type, columns of unlike sizes."""
    unlike = np.arange(40)[:, None] * np.array([1e150, 1e-150])
    tables = (np.ones((1, 3)), np.arange(30.0)[:, None], np.full((25, 2), 7), np.eye(30, dtype=np.float32), unlike)
    for x in tables:
        fitted = kind(**QUICK).fit(x)
        assert all(np.isfinite(found).all() for found in answers(fitted, x))
        assert all(np.isfinite(found).all() for found in answers(fitted, x.astype(np.float64) + 1e160))


def test_a_column_or_a_row_without_any_cell():
    x = gapped(np.random.default_rng(0).normal(size=(40, 3)))
    x[:, 1], x[5] = np.nan, np.nan
    filled = VAEImputer(**QUICK).fit_transform(x)
    assert np.isfinite(filled).all()
    assert (np.abs(filled[:, 1]) < 4).all()


@pytest.mark.parametrize("parameter", [{"n_components": 0}, {"max_iter": -1}, {"batch_size": 0}, {"hidden_layer_sizes": (8, 0)}])
def test_sizes_that_make_no_sense_are_refused(parameter, rows):
    with pytest.raises(StateError):
        VAEDensity(**parameter).fit(rows)
