"""The scikit-learn face: the library's own checks, and what it promises beyond them."""

import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from vael.errors import FormatError, ShapeError, StateError, SupportError
from vael.estimators import VAEDensity, VAEImputer, VAEOutlierDetector, VAETransformer
from vael.estimators.core import dependent_columns

ALL = (VAETransformer, VAEDensity, VAEOutlierDetector, VAEImputer)
EACH = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
QUICK = {"max_iter": 2, "batch_size": 128, "random_state": 0}  # few steps of the usual network
SMALL = {"max_iter": 1, "batch_size": 128, "n_components": 2, "hidden_layer_sizes": (8,)}


def answers(estimator, x):
    """Everything that an estimator says about rows."""
    names = [
        name for name in ("transform", "score_samples", "decision_function", "predict") if hasattr(estimator, name)
    ]
    return [np.asarray(getattr(estimator, name)(x)) for name in names]


@pytest.fixture(scope="module")
def rows():
    weight = np.random.default_rng(0).normal(size=(2, 5))
    noise = np.random.default_rng(1)
    return noise.normal(size=(300, 2)) @ weight + 0.3 * noise.normal(size=(300, 5)) + np.array([0, 1e6, -3, 0, 5])


@pytest.fixture(scope="module")
def learned(rows):
    return VAEDensity(3, random_state=0, max_iter=40, learning_rate=6e-3).fit(rows)


def gapped(x, share=0.3, seed=0):
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x)


# with "auto" the strangest of 300 rows is among the 30 set aside in one of ten tables, and then no row has p <= 0.05;
# checks want outliers
SHARE = {VAEOutlierDetector: {"contamination": 0.1}}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([kind(**SMALL, **SHARE.get(kind, {})) for kind in ALL])
def test_what_scikit_learn_expects(estimator, check):
    """No check is expected to fail; a small network that takes few steps is asked for, for speed alone."""
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
        kind(**SMALL, random_state=seed).fit(rows[:30])
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())


def test_a_seed_decides_everything(rows):
    first, second, other = (VAEDensity(**SMALL, random_state=seed).fit(rows) for seed in (1, 1, 2))
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
    columns = ColumnTransformer(
        [("numbers", VAETransformer(**QUICK), list("abcde")), ("levels", OneHotEncoder(), ["colour"])]
    )
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
    filled = (
        VAEImputer(add_indicator=True, **QUICK)
        .set_output(transform="pandas")
        .fit_transform(frame.mask(gapped(rows) != gapped(rows)))
    )
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
    fitted = kind(
        n_components=np.int64(2), hidden_layer_sizes=(8, 4), max_iter=2, random_state=np.random.RandomState(0)
    ).fit(frame)
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
    """Against a Gaussian fitted to as many rows; the bound may fall short by 0.35 nats per row, and exceeds it by
    noise only (0.1).
    """
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
    fitted = VAETransformer(3, **QUICK).fit(rows)
    fitted.fitted_ = learned.fitted_
    back = fitted.inverse_transform(fitted.transform(rows))
    assert ((back - rows) ** 2).sum() < 0.25 * ((rows - rows.mean(0)) ** 2).sum()
    with pytest.raises(ShapeError, match="latents"):
        fitted.inverse_transform(np.zeros((3, 7)))


def test_outliers_are_found_and_the_share_is_as_said(rows):
    far = rows[:15] + 6 * rows.std(0) * np.random.default_rng(0).choice([-1, 1], (15, 5))
    x = np.vstack((rows, far))
    detector = VAEOutlierDetector(contamination=0.1, max_iter=30, batch_size=32, random_state=0).fit(x)
    assert (detector.predict(x) == -1).mean() == pytest.approx(0.1, abs=0.01)
    assert roc_auc_score(np.arange(315) < 300, detector.decision_function(x)) > 0.95
    assert np.array_equal(detector.decision_function(x), detector.score_samples(x) - detector.offset_)


def test_p_values_are_those_of_the_detector_beneath(rows):
    """(1 + #{held-out scores at least as strange}) / (n + 1); "auto" takes rows up to 0.05 for outliers."""
    detector = VAEOutlierDetector(max_iter=3, random_state=0).fit(rows)
    strange = -detector.score_samples(rows)
    held_out = detector._detector.calibration
    expected = (1 + (held_out[None] >= strange[:, None]).sum(1)) / (len(held_out) + 1)
    assert np.array_equal(detector.p_values(rows), expected)
    assert np.array_equal(detector.predict(rows) == -1, expected <= 0.05)


def test_an_imputer_does_better_than_the_mean_and_leaves_seen_cells_alone():
    x = StandardScaler().fit_transform(load_wine().data)
    holes = gapped(x)
    missing = np.isnan(holes)
    filled = VAEImputer(max_iter=25, random_state=0).fit_transform(holes)
    mean = SimpleImputer().fit_transform(holes)
    assert np.array_equal(filled[~missing], holes[~missing])
    assert ((filled - x)[missing] ** 2).mean() < 0.75 * ((mean - x)[missing] ** 2).mean()


def test_a_density_of_columns_that_have_none_is_finite_and_said_to_be(rows):
    """A copy, a sum and a constant are named; σ has a floor of e^-6 of the spread, so that a column adds 6 - 0.92
    nats at most.
    """
    x = np.column_stack((rows[:, [0, 2]], rows[:, 0], rows[:, 0] + rows[:, 2], np.full(len(rows), 7.0)))
    with pytest.warns(UserWarning, match="never varying: x4; linear functions of other columns: x0, x1, x2, x3"):
        fitted = VAEDensity(**QUICK).fit(x)
    with torch.no_grad():
        next(value for name, value in fitted.fitted_.model.named_parameters() if name.endswith("log_scale")).fill_(-1e9)
    found = fitted.score_samples(x)
    assert np.isfinite(found).all()
    assert found.max() < 5 * (6 - 0.91) - np.log(fitted.fitted_.scale).sum()
    assert (fitted.sample(20)[:, 4] == 7).all()


def test_columns_that_others_give_are_told_from_those_that_they_do_not(rows):
    x, noise = rows[:, [0, 2]], np.random.default_rng(0).normal(size=len(rows))
    assert dependent_columns(np.column_stack((x, 1e9 * x[:, 0] + 3))).tolist() == [0, 2]
    assert dependent_columns(np.column_stack((x, x[:, 0] + 0.01 * noise))).tolist() == []
    assert dependent_columns(x[:3]).tolist() == dependent_columns(rows[:5]).tolist() == []


def test_narrow_tables_have_latents_enough(rows):
    """Three columns made by two factors, 600 rows: with one latent the bound lies 0.3 to 0.6 nats below the exact
    density, with two or three 0.03.
    """
    found = [VAEDensity(**QUICK).fit(rows[:, :columns]).fitted_.part.latent for columns in (1, 2, 3, 5)]
    assert found == [1, 2, 3, 4]
    assert VAEDensity(**QUICK).fit(rows[:100, :3]).fitted_.part.latent == 2


# awkward tables


@EACH
@pytest.mark.filterwarnings("ignore:X has columns without a density")
def test_awkward_tables(kind):
    """One row, one column, columns that never vary, a column of one integer type, columns of unlike sizes, the ends
    of float64.
    """
    unlike = np.arange(40)[:, None] * np.array([1e150, 1e-150])
    ends = np.where(np.arange(40)[:, None] < 35, -1.7e308, [1.7e308, 5e-324])
    tables = (
        np.ones((1, 3)),
        np.arange(30.0)[:, None],
        np.full((25, 2), 7),
        np.eye(30, dtype=np.float32),
        unlike,
        ends,
    )
    for x in tables:
        fitted = kind(**QUICK).fit(x)
        assert all(np.isfinite(found).all() for found in answers(fitted, x))
        if float(np.abs(x).max()) < 1e200:
            assert all(np.isfinite(found).all() for found in answers(fitted, x.astype(np.float64) + 1e160))


def test_a_column_or_a_row_without_any_cell():
    """As `SimpleImputer` has it."""
    x = gapped(np.random.default_rng(0).normal(size=(40, 3)))
    x[:, 1], x[5] = np.nan, np.nan
    left, kept = (VAEImputer(keep_empty_features=keep, **QUICK).fit(x) for keep in (False, True))
    assert list(left.get_feature_names_out()) == ["x0", "x2"]
    assert np.array_equal(left.transform(x), kept.transform(x)[:, [0, 2]])
    assert np.isfinite(left.transform(x)).all()
    assert not kept.transform(x)[:, 1].any()
    with pytest.raises(StateError, match="nothing to learn from"):
        VAEImputer().fit(np.full((3, 2), np.nan))


def test_a_block_that_is_filled_in_parts_is_whole(rows, monkeypatch):
    """Where a block of rows needs more latents than are drawn at once."""
    monkeypatch.setattr("vael.applications.imputation.LATENTS_AT_ONCE", 10_000)
    holes = gapped(rows[:70])
    filled = VAEImputer(**QUICK).fit(holes).transform(holes)
    assert np.isfinite(filled).all()
    assert np.array_equal(filled[~np.isnan(holes)], holes[~np.isnan(holes)])


def test_a_number_may_stand_for_a_missing_cell(rows):
    holes = gapped(rows[:60])
    marked = np.where(np.isnan(holes), -1.0, holes)
    found = VAEImputer(missing_values=-1, **QUICK).fit_transform(marked)
    assert np.array_equal(found, VAEImputer(**QUICK).fit_transform(holes))
    with pytest.raises(ValueError, match="NaN"):
        VAEImputer(missing_values=-1, **QUICK).fit(holes)


# frames with columns of several kinds


@pytest.fixture
def quick_laws(monkeypatch):
    """Laws of columns that begin after few steps, for tests that ask nothing of their quality."""
    monkeypatch.setattr("vael.models.likelihoods.columns.FITTING", 4)


def trees(frame_of, count=120):
    noise = np.random.default_rng(0)
    z = noise.normal(size=count)
    days = np.datetime64("2020-01-01", "us") + (100 * z + 500).astype(int) * np.timedelta64(1, "D").astype(
        "timedelta64[us]"
    )
    return frame_of(
        {
            "height": np.exp(z + 0.2 * noise.normal(size=count)).round(3),
            "kind": np.where(z + 0.3 * noise.normal(size=count) > 0, "oak", "ash"),
            "nests": noise.poisson(3, count),
            "marked": z > 0.5,
            "planted": days,
        }
    )


def test_a_mixed_frame_is_taken_as_a_table():
    """Codes, densities, new rows of the same types, outliers; a column that is missing or a level that is new is
    named.
    """
    pandas = pytest.importorskip("pandas")
    frame = trees(pandas.DataFrame)
    frame["grade"] = pandas.Categorical(np.where(frame.height > 1, "b", "a"))
    density = VAEDensity(**QUICK).fit(frame)
    made = density.sample(30)
    assert list(made.dtypes) == list(frame.dtypes)
    assert set(made.kind) <= {"oak", "ash"}
    assert made.height.between(frame.height.min(), frame.height.max()).all()
    assert np.array_equal(density.score_samples(frame)[7:8], density.score_samples(frame.iloc[7:8]))
    codes = VAETransformer(2, **QUICK).fit(frame)
    assert list(codes.inverse_transform(codes.transform(frame)).columns) == list(frame.columns)
    detector = VAEOutlierDetector(max_iter=8, batch_size=32, random_state=0).fit(frame)
    odd = frame.iloc[:1].assign(height=1e5, nests=400)
    assert list(detector.predict(odd)) == [-1]
    for trouble, word in (
        (frame.assign(kind="yew"), "yew"),
        (frame.drop(columns="nests"), "nests"),
        (frame.to_numpy(), "frame"),
    ):
        with pytest.raises((SupportError, StateError, ValueError), match=word):
            density.score_samples(trouble)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_gaps_of_a_mixed_frame_are_filled_in_kind(library, tmp_path, quick_laws):
    made = pytest.importorskip(library)
    frame = trees(made.DataFrame)
    gone = np.random.default_rng(1).random((len(frame), 5)) < 0.2
    gone[gone.all(1), 0] = False
    if library == "pandas":
        holes = frame.mask(gone)
    else:
        holes = frame.with_columns(
            [
                made.when(made.Series(gone[:, k])).then(None).otherwise(made.col(name)).alias(name)
                for k, name in enumerate(frame.columns)
            ]
        )
    imputer = VAEImputer(add_indicator=True, max_iter=10, batch_size=64, random_state=0).fit(holes)
    filled = imputer.transform(holes)
    assert type(filled) is type(frame)
    assert list(filled.columns) == list(imputer.get_feature_names_out())
    before, cells = (
        np.array([one[name].to_list() for name in frame.columns], dtype=object).T for one in (frame, filled)
    )
    assert np.array_equal(before[~gone], cells[~gone])
    assert not any(cell is None or cell != cell for cell in cells.ravel())
    imputer.save(tmp_path / "imputer")
    assert VAEImputer.load(tmp_path / "imputer").transform(holes).equals(filled)
    alone = imputer.transform(holes[3:4])
    assert all(alone[name].to_list() == filled[name].to_list()[3:4] for name in frame.columns)


def test_columns_of_pandas_keep_the_types_that_arrow_does_not_tell_apart(tmp_path, quick_laws):
    """Whole numbers, booleans and text that can be missing, text as objects, levels: filled gaps and new rows."""
    pandas = pytest.importorskip("pandas")
    noise = np.random.default_rng(0)
    numbers, marks, words = noise.integers(0, 9, 60), noise.random(60) < 0.5, noise.choice(["x", "y"], 60)
    whole = pandas.DataFrame(
        {
            "height": noise.normal(size=60),
            "count": pandas.array(numbers, "Int16"),
            "share": pandas.array(noise.random(60), "Float32"),
            "mark": pandas.array(marks, "boolean"),
            "word": pandas.array(words, "string"),
            "text": words.astype(object),
            "grade": pandas.Categorical(words, ["z", "y", "x"], ordered=True),
            "arrow": pandas.array(numbers, "int8[pyarrow]"),
        },
    )
    whole["text"] = whole["text"].astype(object)
    holes = whole.mask(noise.random(whole.shape) < 0.2)
    assert list(holes.dtypes) == list(whole.dtypes)
    imputer = VAEImputer(max_iter=2, random_state=0).fit(holes)
    imputer.save(tmp_path / "imputer")
    for filled in (imputer.transform(holes), VAEImputer.load(tmp_path / "imputer").transform(holes)):
        assert list(filled.dtypes) == list(whole.dtypes)
        assert not filled.isna().any().any()
        assert (filled == holes).where(holes.notna(), True).all().all()
    density = VAEDensity(max_iter=2, random_state=0).fit(whole)
    density.save(tmp_path / "density")
    for made in (density.sample(20), VAEDensity.load(tmp_path / "density").sample(20)):
        assert list(made.dtypes) == list(whole.dtypes)
        assert not made.isna().any().any()


@pytest.mark.parametrize("kind", [VAEDensity, VAEImputer, VAEOutlierDetector, VAETransformer])
def test_a_row_as_a_dictionary_is_refused_with_the_way_out(kind):
    with pytest.raises(StateError, match=r"a dictionary was given: pandas.DataFrame\(\[row\]\)"):
        kind(max_iter=1).fit({"a": 1.0, "b": 2.0})


def test_a_mixed_frame_in_a_pipeline_and_a_search(quick_laws):
    pandas = pytest.importorskip("pandas")
    frame = trees(pandas.DataFrame)[["height", "kind", "nests"]]
    model = make_pipeline(VAEImputer(**QUICK), VAETransformer(**QUICK), LogisticRegression())
    search = GridSearchCV(model, {"vaetransformer__n_components": [1, 2]}, cv=2, error_score="raise")
    assert search.fit(frame.assign(kind=frame.kind.mask(frame.nests == 1)), frame.height > 1).best_score_ > 0.4
    columns = ColumnTransformer([("all", VAETransformer(2, **QUICK), ["height", "kind"])])
    assert columns.fit_transform(frame).shape == (len(frame), 2)


def test_a_row_of_a_mixed_frame_without_any_cell(quick_laws):
    """An imputer fills it, as it does in arrays, also where there are no other rows; the others say before they
    train that it tells nothing.
    """
    pandas = pytest.importorskip("pandas")
    frame = trees(pandas.DataFrame, 40)[["height", "kind"]]
    holes = frame.copy()
    holes.loc[[0, 7]] = None
    holes.loc[3, "kind"] = None
    imputer = VAEImputer(**QUICK).fit(holes)
    filled = imputer.transform(holes)
    assert not filled.isna().any().any()
    assert filled.loc[~holes.isna().any(axis=1)].equals(frame.loc[~holes.isna().any(axis=1)])
    assert imputer.transform(holes.iloc[[0]]).equals(filled.iloc[[0]])
    with pytest.raises(SupportError, match="row 1 of the frame has no cell, nor have 1 others"):
        VAEDensity(**QUICK).fit(holes)


def test_rows_that_cannot_be_written_to_are_read_without_a_warning(rows, recwarn):
    rows = rows[:30].copy()
    rows.setflags(write=False)
    fitted = VAETransformer(**SMALL, random_state=0).fit(rows)
    z = fitted.transform(rows)
    z.setflags(write=False)
    fitted.inverse_transform(z)
    assert not [str(one.message) for one in recwarn]


@pytest.mark.parametrize(
    "parameter",
    [
        {"n_components": 0},
        {"n_components": True},
        {"max_iter": -1},
        {"batch_size": 0},
        {"hidden_layer_sizes": (8, 0)},
        {"hidden_layer_sizes": (8.5,)},
        {"hidden_layer_sizes": "wide"},
        {"learning_rate": -1},
        {"learning_rate": float("nan")},
        {"learning_rate": "fast"},
    ],
)
def test_sizes_that_make_no_sense_are_refused(parameter, rows):
    with pytest.raises(StateError, match=next(iter(parameter))):
        VAEDensity(**parameter).fit(rows)


PUBLIC = [
    (kind, name)
    for kind in ALL
    for name in dir(kind)
    if not name.startswith("_")
    and callable(getattr(kind, name))
    and name not in {"fit", "fit_transform", "fit_predict", "load", "set_output"}
    and not name.startswith(("get_metadata", "get_params", "set_"))
]


@pytest.mark.parametrize(("kind", "name"), PUBLIC, ids=lambda one: getattr(one, "__name__", one))
def test_every_method_says_where_nothing_was_fitted_yet(kind, name, tmp_path):
    given = {"sample": (2,), "save": (tmp_path / "never",), "get_feature_names_out": ()}.get(name, (np.zeros((3, 2)),))
    with pytest.raises(NotFittedError):
        getattr(kind(), name)(*given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", ["many", None, 0, 0.7])
def test_shares_that_make_no_sense_are_refused(share, rows):
    with pytest.raises(StateError, match="contamination"):
        VAEOutlierDetector(contamination=share).fit(rows)


def test_one_hidden_layer_is_a_number_as_for_networks_of_scikit_learn(rows):
    fitted = VAEDensity(**QUICK | {"hidden_layer_sizes": 8}).fit(rows)
    assert fitted.fitted_.part.network.hidden == (8,)
    assert fitted.sample(np.int64(2)).shape == (2, 5)
    for count in (0, 2.5, None):
        with pytest.raises(StateError, match="n_samples"):
            fitted.sample(count)
