"""What a service answers is what the functions of the run give."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import vael
from vael.errors import FormatError, VaelError
from vael.service import Limits, Service
from vael.service.forms import RowForm, TooMuch
from vael.service.openapi import document
from vael.service.page import page
from vael.service.service import QUESTIONS, Deadline, TooLong

PEOPLE = [
    {"height": 171.5, "weight": 70.25, "size": "short", "born": "1971-03-04", "member": "True"},
    {"height": 190, "weight": None, "size": "tall", "born": "1999-03-28", "member": "False"},
    {"height": 120.0, "weight": 140.0, "size": "short", "born": None, "member": "True"},
]
IMAGES = np.random.default_rng(1).integers(0, 17, (3, 1, 8, 8)).astype(np.uint8)
SERIES = [{"time": t, "id": i, "load": t / 10, "heat": -t / 10} for i in (1, 2) for t in range(20)]
NUMBERS = [{"a": 0.5, "b": -1, "c": 0.25}, {"c": 3.0, "a": 1, "b": 2.5}]
GIVEN = {"rows": PEOPLE, "pictures": IMAGES.tolist(), "classes": IMAGES.tolist(), "series": SERIES, "numbers": NUMBERS}


@pytest.fixture(scope="module", params=GIVEN)
def served(request):
    """A service of each kind, examples for it, and the run as it is loaded again."""
    run = request.getfixturevalue(request.param)
    return Service(run), GIVEN[request.param], vael.load(run.folder)


def in_json(answer):
    """As a program gets it."""
    return json.loads(json.dumps(answer, allow_nan=False))


def asked(service, name, examples, **more):
    return in_json(service.answer(name, {service.form.key: examples, **more}))


def cells(rows):
    return [[None if cell is None else str(cell) for cell in row.values()] for row in rows]


def test_every_answer_is_that_of_the_run(served):
    service, given, run = served
    examples = np.array(given) if service.columns is None else given
    if "score" in service.questions:
        told, found = asked(service, "score", given, threshold=0.5), run.score(examples)
        assert [one["score"] for one in told["scores"]] == found.score.tolist()
        assert [one["p_value"] for one in told["scores"]] == found.p_value.tolist()
        assert [one["flag"] for one in told["scores"]] == (found.p_value <= 0.5).tolist()
    if "encode" in service.questions:
        assert asked(service, "encode", given)["codes"] == run.encode(examples).tolist()
    if "impute" in service.questions:
        told, found = asked(service, "impute", given, seed=4, draws=2), run.impute(examples, seed=4, draws=2)
        assert cells(told["rows"]) == cells(found.table.to_pylist())
        assert [cells(one) for one in told["draws"]] == [cells(one.to_pylist()) for one in found.draws]
    told, found = in_json(service.answer("sample", {"count": 5, "seed": 3})), run.sample(5, 3)
    if found.table is None:
        assert next(iter(told.values())) == found.x.tolist()
    else:
        assert cells(told["rows"]) == cells(found.table.to_pylist())
    if "predict" in service.questions and service.columns is None:
        told = asked(service, "predict", given)
        assert [list(one.values()) for one in told["probabilities"]] == run.classify(examples).tolist()
        assert told["classes"] == [run.use.classes[place] for place in run.classify(examples).argmax(1)]
    elif "predict" in service.questions:
        told = asked(service, "predict", given, steps=3)
        assert told["rows"] == in_json(run.forecast(examples, steps=3).to_pylist())


def test_every_question_is_there_or_has_a_reason(served):
    service = served[0]
    assert set(service.questions) | set(service.left_out) == {one.name for one in QUESTIONS}
    assert all(service.left_out.values())
    assert "sample" in service.questions
    for name in (*service.left_out, "other", "../run.json"):
        with pytest.raises(FormatError, match=r"there is no /.*there is /"):
            service.answer(name, {})


def test_each_kind_of_run_answers_what_it_can(rows, pictures, classes, series, numbers):
    questions = {
        name: set(Service(run).questions)
        for name, run in {"rows": rows, "pictures": pictures, "classes": classes, "series": series}.items()
    }
    assert questions["rows"] == {"score", "encode", "impute", "sample"}
    assert questions["pictures"] == {"score", "encode", "sample"}
    assert questions["classes"] == {"score", "encode", "predict", "sample"}
    assert questions["series"] == {"predict", "sample"}


def test_what_needs_the_data_of_the_run_is_left_out_where_they_are_gone(numbers, tmp_path, monkeypatch):
    run = vael.load(numbers.folder)
    monkeypatch.setattr(type(run), "splits", lambda self: vael.load(tmp_path / "gone").splits())
    service = Service(run)
    assert set(service.questions) == {"encode"}
    assert "gone" in service.left_out["score"]


def test_filled_rows_keep_what_came(rows):
    told = asked(Service(rows), "impute", PEOPLE)
    for came, back, deviation in zip(PEOPLE, told["rows"], told["deviation"], strict=True):
        assert {name: back[name] for name, cell in came.items() if cell is not None} == {
            name: cell for name, cell in came.items() if cell is not None
        }
        assert set(deviation) == {name for name, cell in came.items() if cell is None}
    assert isinstance(told["rows"][1]["weight"], float)
    assert len(told["rows"][2]["born"]) == len("1971-03-04")


def test_a_png_is_the_image_that_it_holds(folder):
    run = vael.train(
        "digits", run=folder / "png", epochs=1, latent=2, hidden=(8,), callbacks=()
    )  # whole numbers from 0 to 16
    service = Service(run)
    stream = io.BytesIO()
    Image.fromarray(IMAGES[0, 0]).save(stream, "png")
    text = base64.b64encode(stream.getvalue()).decode()
    assert asked(service, "encode", [text, IMAGES[0].tolist()])["codes"] == run.encode(IMAGES[[0, 0]]).tolist()
    for wrong in ("", "!", base64.b64encode(b"not a picture").decode(), text[: len(text) // 2 // 4 * 4]):
        with pytest.raises(FormatError, match="PNG"):
            asked(service, "encode", [wrong])
    stream = io.BytesIO()
    Image.new("RGB", (9, 8)).save(stream, "png")
    with pytest.raises(VaelError, match="8×9"):
        asked(service, "encode", [base64.b64encode(stream.getvalue()).decode()])


WRONG = [
    ("score", [], "no JSON object"),
    ("score", {}, "rows"),
    ("score", {"rows": []}, "empty"),
    ("score", {"rows": 3}, "no object"),
    ("score", {"rows": [[1, 2]]}, "no object"),
    ("score", {"rows": [{"height": 1}]}, "weight"),
    ("score", {"rows": [{**PEOPLE[0], "height": [1]}]}, "one value"),
    ("score", {"rows": [{**PEOPLE[0], "height": "tall"}]}, "height"),
    ("score", {"rows": [{**PEOPLE[0], "height": 10**400}]}, "height|large"),
    ("score", {"rows": [{**PEOPLE[0], "height": 1}, {**PEOPLE[0], "height": "x"}]}, "height|type"),
    ("score", {"rows": [{**PEOPLE[0], "size": "huge"}]}, "huge"),
    ("score", {"rows": [{**PEOPLE[0], "size": 3}]}, "size"),
    ("score", {"rows": [{**PEOPLE[0], "born": "yesterday"}]}, "born"),
    ("score", {"rows": PEOPLE, "threshold": 2}, "threshold"),
    ("score", {"rows": PEOPLE, "threshold": "low"}, "threshold"),
    ("score", {"rows": PEOPLE, "treshold": 0.1}, "treshold.*threshold"),
    ("impute", {"rows": PEOPLE, "samples": 0}, "samples"),
    ("impute", {"rows": PEOPLE, "samples": True}, "samples"),
    ("impute", {"rows": PEOPLE, "draws": 50}, "50 draws"),
    ("sample", {"count": -1}, "count"),
    ("sample", {"count": 101}, "at most 100"),
    ("sample", {"count": 1.5}, "whole"),
    ("sample", {"where": {"size": "tall"}}, "conditioned on nothing"),
    ("sample", {"where": "tall"}, "object"),
    ("sample", {"seed": 10**30}, "seed"),
    ("encode", {"rows": PEOPLE * 40}, "at most 100"),
]


@pytest.mark.parametrize(("name", "body", "said"), WRONG)
def test_what_does_not_fit_is_refused_in_one_message(rows, name, body, said):
    with pytest.raises(VaelError, match=said) as refused:
        Service(rows, Limits(rows=100)).answer(name, body)
    assert str(rows.folder) not in str(refused.value)


def test_too_many_examples_are_told_apart_from_wrong_ones(rows):
    with pytest.raises(TooMuch):
        Service(rows, Limits(rows=2)).answer("score", {"rows": PEOPLE})


def test_no_answer_is_given_after_the_time_is_over(rows):
    for name, body in (("score", {"rows": PEOPLE}), ("impute", {"rows": PEOPLE}), ("sample", {})):
        with pytest.raises(TooLong, match="seconds"):
            Service(rows).answer(name, body, Deadline(1.0, begin=-1e9))


def refs(found):
    if isinstance(found, dict):
        yield from ([found["$ref"]] if "$ref" in found else [])
        found = list(found.values())
    for one in found if isinstance(found, list) else []:
        yield from refs(one)


def test_the_document_tells_of_every_question_and_column(served):
    service = served[0]
    found = in_json(document(service))
    assert found["openapi"] == "3.1.0"
    assert set(found["paths"]) == {f"/{name}" for name in service.questions}
    assert {one.removeprefix("#/components/schemas/") for one in refs(found)} <= set(found["components"]["schemas"])
    example = found["components"]["schemas"]["Example"]
    if isinstance(service.form, RowForm):
        assert list(example["properties"]) == [one.name for one in service.form.columns] == example["required"]
    for name, one in service.questions.items():
        request = found["paths"][f"/{name}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(request["properties"]) == {part.name for part in one.parameters} | (
            {service.form.key} if one.takes else set()
        )


def test_the_schema_of_rows_has_their_levels(rows):
    properties = document(Service(rows))["components"]["schemas"]["Example"]["properties"]
    assert properties["size"]["oneOf"][0]["enum"] == ["short", "tall"]
    assert "%Y-%m-%d" in properties["born"]["description"]
    assert properties["height"]["oneOf"][0]["type"] == "number"


def test_the_page_loads_nothing_and_names_every_question(served):
    service = served[0]
    html = page(service)
    assert all(f"/{name}" in html for name in (*service.questions, *service.left_out))
    assert "src=" not in html
    assert "<script" not in html
