"""What the page is told of a run: equal to what the library gives for the same question."""

import json

import numpy as np
import pytest
import torch

import vael
from vael.applications import generation
from vael.applications.anomaly import AnomalyDetector
from vael.applications.conditional import conditional_samples
from vael.data import Batch
from vael.errors import ShapeError, StateError, SupportError, VaelError
from vael.explorer import scene_of
from vael.inference import posterior_on_grid
from vael.report.grid import to_bytes


def pixels(found):
    return [np.frombuffer(bytes.fromhex(one), np.uint8) for one in found["pixels"]]


def test_what_is_decoded_is_the_mean_of_the_model(pictures):
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean = pictures.run.model.decode((z[None],)).mean[0]
    expected = to_bytes(mean, pictures.looks.display)
    assert np.array_equal(pixels(pictures.decoded(z.tolist())), expected.reshape(5, -1))


def test_every_example_stands_on_the_map_where_its_code_is(pictures):
    """Coordinates: the plane, the code in the order of the most informative, the class; a step in the plane is the step
    that its axes say, and back.
    """
    codes, found = generation.codes(pictures.run.model, pictures.source), pictures.map_facts()
    table = np.frombuffer(pictures.coordinates(), "<f4").reshape(len(codes), -1)
    np.testing.assert_allclose(table[:, 2:5], codes[:, found["order"]], atol=1e-6)
    assert np.array_equal(table[:, 5], pictures.source.label.float())
    axes, inverse = torch.tensor(found["axes"]).double(), torch.tensor(found["inverse"]).double()
    torch.testing.assert_close(inverse @ axes, torch.eye(2).double(), atol=1e-5, rtol=0)
    plane = (codes - codes.mean(0)).double() @ inverse.T
    np.testing.assert_allclose(table[:, :2], plane, atol=1e-4)
    assert pictures.code(7) == pytest.approx(codes[7].tolist(), abs=1e-6)


def test_the_first_coordinate_is_the_most_informative(rows):
    found, codes = rows.map_facts(), generation.codes(rows.run.model, rows.source)
    if found["divergence"] is None:
        assert list(found["order"]) == codes.var(0, correction=0).argsort(descending=True).tolist()
    else:
        assert found["divergence"] == sorted(found["divergence"], reverse=True)
        assert sum(found["divergence"]) > 0.1


def test_a_picture_drawn_by_hand_is_read_as_data_are(pictures):
    x = pictures.source.batch(torch.tensor([4])).x
    grey = ((x - pictures.looks.display.low) / (pictures.looks.display.high - pictures.looks.display.low)).flatten()
    found = pictures.read(grey.tolist())
    assert found["code"] == pytest.approx(pictures.code(4), abs=1e-5)
    assert np.array_equal(pixels(found), pixels(pictures.reconstructed([4])))


def test_draws_at_a_point_come_from_its_likelihood(pictures):
    """Their mean is the decoded one: 512 draws of 64 elements, each within 6 standard errors of up to 8 levels."""
    z = [0.3, -0.2, 0.1]
    drawn = np.mean(pixels(pictures.drawn_at(z, 512, seed=1)), 0)
    assert np.abs(drawn - pixels(pictures.decoded([z]))[0]).max() < 255 / 16 * 8 * 6 / 512**0.5


def test_rows_are_written_as_the_data_write_them(rows):
    found = rows.examples(range(20))
    assert all(text in ("", "tall", "short") for text in [row[2] for row in found["texts"]])
    assert {len(row[0].partition(".")[2]) for row in found["texts"]} == {1}
    gaps = torch.isnan(rows.source.x[:20, 1]) if rows.source.rows is None else None
    if gaps is not None:
        assert [row[1] == "" for row in found["texts"]] == gaps.tolist()
    assert rows.column("weight")["values"].count(None) == int(
        sum(torch.isnan(batch.x[:, 1]).sum() for batch in generation.batches(rows.source))
    )


def test_given_columns_are_obeyed(rows):
    found = rows.given({"size": "tall", "height": "181.5"})
    row = torch.tensor([181.5, torch.nan, rows.looks.schema.columns[2].levels.index("tall")])
    expected = conditional_samples(rows.run.model, row, 400)
    assert found["columns"][1] == expected.x[:, 1].double().tolist()
    assert found["worth"] == expected.effective_samples
    assert set(found["columns"][0]) == {181.5}
    assert len(set(found["before"][0])) > 50
    assert rows.given({})["worth"] is None


def test_strangeness_is_that_of_score(pictures):
    score, p_value = pictures.strangeness.scores
    detector = AnomalyDetector(pictures.run.model, pictures.splits.train, pictures.splits.validation)
    assert score == detector.scores(pictures.source).tolist()
    assert all(0 < one <= 1 for one in p_value)


@pytest.mark.parametrize(
    "question",
    [
        lambda scene: scene.decoded([[0.0, 0.0]]),
        lambda scene: scene.decoded([]),
        lambda scene: scene.decoded([[0.0] * 3] * 513),
        lambda scene: scene.decoded([[0.0] * 3], 10**9),
        lambda scene: scene.decoded([[0.0, float("nan"), 0.0]]),
        lambda scene: scene.examples([-1]),
        lambda scene: scene.examples([10**9]),
        lambda scene: scene.code(10**9),
        lambda scene: scene.samples(0, 0),
        lambda scene: scene.drawn_at([0.0] * 3, 10**6, 0),
        lambda scene: scene.levels([1, 2], [1.0, 1.0]),
        lambda scene: scene.posterior([0.5] * 64),
        lambda scene: scene.reasons([10**9]),
        lambda scene: scene.read([0.5]),
        lambda scene: scene.read([float("inf")] * 64),
        lambda scene: scene.given({"size": "enormous"}),
        lambda scene: scene.given({"colour": "red"}),
        lambda scene: scene.given({"weight": ""}),
        lambda scene: scene.column("colour"),
    ],
)
def test_what_cannot_be_answered_is_refused(pictures, rows, question):
    for scene in (pictures, rows):
        with pytest.raises(VaelError):
            question(scene)


def test_a_missing_split_is_refused(pictures):
    with pytest.raises(StateError, match="no second split"):
        scene_of(pictures.run, "second")


@pytest.mark.parametrize("model", ["gaussian-mixture", "linear"])
def test_plain_numbers_are_explored(model, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 2)))
    scene = scene_of(vael.train(tmp_path / "x.npy", model=model, epochs=1, run=tmp_path / "run", callbacks=()))
    assert json.loads(json.dumps(scene.facts()))["title"] == "run"
    assert len(scene.examples([0, 1])["numbers"]) == 2
    assert len(scene.decoded([scene.code(0)])["numbers"]) == 1


@pytest.mark.parametrize("model", ["temporal", "kalman"])
def test_sequences_are_explored_or_refused_with_a_reason(model, tmp_path):
    series = np.random.default_rng(0).normal(size=(200, 8, 2)).cumsum(1)
    np.save(tmp_path / "x.npy", series)
    run = vael.train(tmp_path / "x.npy", sequence="", model=model, epochs=1, run=tmp_path / "run", callbacks=())
    scene = scene_of(run)
    found = scene.examples([0, 1])
    assert (found.get("rows"), len(found["numbers"])) in ((8, 16), (None, 2))
    assert len(scene.coordinates()) % 4 == 0
    assert scene.decoded([scene.code(0)])
    if scene.facts()["reasons"]:
        assert all(" at step " in one for row in scene.reasons([0, 1])["reasons"] for one in row)


def test_reasons_are_those_of_score(rows):
    """The first reason is the column that `vael score` finds most surprising given the others, with its nats."""
    chosen = [3, 0, 11]
    part = rows.source.subset(torch.tensor(chosen))
    surprise = rows.strangeness.detector.explain(part, next(rows.strangeness.detector.judge(part)).reasons)
    for told, row in zip(rows.reasons(chosen)["reasons"], surprise, strict=True):
        order = row.argsort(descending=True).tolist()
        expected = [f"{rows.looks.schema.names[one]} +{row[one]:.1f} nats" for one in order if row[one] >= 0.1]
        assert told == expected


def test_reasons_of_pictures_are_the_squares_and_pixels_that_score_has(pictures):
    """Of 8 x 8 pixels each is a square: the map of a picture is its surprise, the first reason its peak."""
    chosen = [5, 1, 8]
    part = pictures.source.subset(torch.tensor(chosen))
    surprise = next(pictures.strangeness.detector.judge(part)).reasons.sum(1)
    found = pictures.reasons(chosen)
    assert found["most"] == pytest.approx(float(surprise.max()))
    shown = np.array([list(bytes.fromhex(one)) for one in found["maps"]])
    np.testing.assert_allclose(shown / 255 * found["most"], surprise.clamp(min=0).flatten(1), atol=found["most"] / 500)
    for told, one in zip(found["reasons"], surprise, strict=True):
        row, column = divmod(int(one.argmax()), 8)
        assert told[0] == f"row {row + 1}, column {column + 1} +{one.max():.1f} nats"


def test_the_posterior_of_a_drawn_picture_is_exact(plane):
    """Shares on the grid against the nodes of an adaptive cubature: mean of z to a hundredth, divergence the same."""
    grey = (np.arange(64) // 8 % 3 / 2).tolist()
    found = plane.posterior(grey)
    batch = Batch(x=plane.looks.cells(np.array(grey, np.float32)).round())
    exact = posterior_on_grid(plane.run.model, batch)[0]
    ends = np.linspace(-found["reach"], found["reach"], found["side"])
    share = np.reshape(found["exact"], (found["side"],) * 2)
    share = share / share.sum()
    assert [share.sum(0) @ ends, share.sum(1) @ ends] == pytest.approx(exact.mean.tolist(), abs=1e-2)
    assert found["divergence"] == pytest.approx(exact.divergence, abs=2e-3)
    assert plane.facts()["exact"]
    assert max(found["encoder"]) == 1


def test_a_level_is_drawn_anew_and_the_others_stay(tmp_path):
    scene = scene_of(vael.train("digits", model="hierarchical", epochs=1, run=tmp_path / "run", callbacks=()))
    top = scene.shapes[0].numel()
    first, below, calm = (
        scene.levels([1, 2], [1.0, 1.0]),
        scene.levels([1, 9], [1.0, 1.0]),
        scene.levels([1, 2], [1.0, 0.0]),
    )
    assert first["z"][:top] == below["z"][:top] == calm["z"][:top]
    assert first["z"][top:] != below["z"][top:] != calm["z"][top:]
    assert np.array_equal(pixels(first), pixels(scene.decoded([first["z"]])))
    assert scene.facts()["levelled"]
    for wrong in (([1], [1.0, 1.0]), ([1, 2], [1.0, 1.0, 1.0]), ([1, 2], [-1.0, 1.0])):
        with pytest.raises(StateError, match=r"levels of latents|at least 0"):
            scene.levels(*wrong)


@pytest.mark.parametrize("model", ["autoencoder", "hierarchical", "vq-vae", "bernoulli-latents"])
def test_other_models_are_explored_by_what_they_can(model, tmp_path):
    small = {"set": ("model.channels=8,8", "algorithm.second_epochs=1")} if model == "vq-vae" else {}
    scene = scene_of(vael.train("digits", model=model, epochs=1, run=tmp_path / "run", callbacks=(), **small))
    facts = scene.facts()
    assert facts["moves"] == (model in ("autoencoder", "hierarchical"))
    code = scene.code(0)
    assert model == "vq-vae" or len(code) == scene.map_facts()["features"]
    assert len(scene.decoded([code])["pixels"]) == 1
    if model == "autoencoder":
        with pytest.raises(SupportError, match="no p"):
            scene.drawn_at(code, 2, 0)
    else:
        assert len(scene.drawn_at(code, 2, 0)["pixels"]) == 2
    if model == "hierarchical":
        spread = scene.read([0.0] * 64)["spread"]
        assert len(spread) == len(code)
        assert all(deviation > 0 for deviation in spread)
    if model in ("hierarchical", "autoencoder"):
        assert np.array_equal(pixels(scene.decoded([code])), pixels(scene.reconstructed([0])))


def test_a_conditional_model_is_decoded_at_the_condition_of_an_example(tmp_path):
    """So that what is decoded at an example's code is its reconstruction, and elsewhere is not."""
    run = vael.train(
        "digits", condition_on="label", epochs=3, latent=3, hidden=(16,), run=tmp_path / "run", callbacks=()
    )
    scene = scene_of(run)
    facts = scene.facts()
    assert (facts["condition"], facts["asks"], facts["draws_by_hand"]) == ("label", False, False)
    other = int((run.split()[1].label != run.split()[1].label[5]).nonzero()[0])
    own = pixels(scene.reconstructed([5]))
    assert np.abs(np.subtract(pixels(scene.decoded([scene.code(5)], 5)), own, dtype=int)).max() <= 1
    assert np.abs(np.subtract(pixels(scene.decoded([scene.code(5)], other)), own, dtype=int)).max() > 1
    assert len(scene.samples(400, 0)["pixels"]) == 400
    assert len(scene.drawn_at(scene.code(5), 3, 0, 5)["pixels"]) == 3


def test_shape_errors_name_what_was_expected(pictures):
    with pytest.raises(ShapeError, match="each of 3 numbers"):
        pictures.decoded([[1.0]])
