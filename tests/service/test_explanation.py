"""The picture of a stored prediction over HTTP: who sees it, what is recorded, in which language."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from features.points import Point
from models.champions import Champion
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access
from serving.access.roles import Role
from serving.champions.loaded import ChampionSet, LiveChampions, Loaded
from serving.database.connection import open_database
from serving.http.description import describe
from serving.http.responses import answer_problems
from serving.predictions.answers import Answers
from serving.predictions.documents import EXAMPLE_REQUEST, AnswerDocument
from serving.problems import AUDIT_UNAVAILABLE, Problem
from serving.reasons import Telling, shortened
from serving.reasons.languages import Language
from serving.reasons.scale import rescaled
from serving.routes.explanation import router
from serving.settings import ServingSettings
from serving.store.predictions import PredictionStore, Stored
from tests.explained import risk_model
from tests.pictured import pictured
from tests.service.test_api import client_of, promote

PICTURE = "/v1/admissions/S9/explanation.svg"


class Recorded(AuditLog):
    """An audit log that keeps what it is told, or fails."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, str, list[str], list[str]]] = []
        self.fails = False

    def record(self, caller: Caller, action: str, stay_ids: Iterable[str], models: Iterable[str]) -> None:
        if self.fails:
            raise Problem(AUDIT_UNAVAILABLE, "Reads must be recorded.")
        self.reads.append((caller.name, action, [*stay_ids], [*models]))


class Ward:
    """The route over a store of its own, asked by whoever is named."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(f"sqlite:///{folder}/store.db")
        self.store, self.audit = PredictionStore(self.engine), Recorded()
        self.caller = Caller("planner", frozenset({Role.PLANNER}), None)
        self.champions = ChampionSet((), ())

        async def identify(_headers: object) -> Caller:
            return self.caller

        self.app = FastAPI()
        answer_problems(self.app)
        self.app.include_router(router(Access(identify), self.audit, self.store, lambda: self.champions))
        describe(self.app, ())
        self.client = TestClient(self.app)

    def stored(self, document: dict[str, Any], department: str | None = "cardiology") -> None:
        self.store.save([Stored(document, department)])

    def picture(self, query: str = "", **headers: str) -> str:
        response = self.client.get(f"{PICTURE}{query}", headers=headers)
        assert response.status_code == 200, response.text
        ElementTree.fromstring(response.text)
        return response.text


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path)
    yield made
    made.engine.dispose()


def test_a_stored_prediction_is_drawn_and_the_read_recorded(ward):
    ward.stored(pictured())
    response = ward.client.get(PICTURE)
    assert response.headers["content-type"] == "image/svg+xml"
    assert response.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "Risk of an unplanned readmission within 30 days of discharge: 23 %" in response.text
    assert ward.audit.reads == [("planner", "read_explanation", ["S9"], ["readmission-admission/7"])]


def test_target_and_language_are_as_asked_for(ward):
    ward.stored(pictured())
    assert "预期诊疗总费用：41,800 元" in ward.picture("?target=cost&language=zh")
    # The query wins over the header.
    assert "出院后 30 天内非计划再入院风险" in ward.picture(**{"Accept-Language": "zh-CN, en;q=0.5"})
    assert "Risk of" in ward.picture("?language=en", **{"Accept-Language": "zh-CN"})
    response = ward.client.get(f"{PICTURE}?language=zh")
    assert (response.headers["content-language"], response.headers["vary"]) == ("zh-Hans", "Accept-Language")


def test_the_point_may_be_named(ward):
    ward.stored(pictured())
    later = pictured() | {"prediction_point": "discharge", "scored_at": "2026-01-12T02:00:03Z"}
    ward.stored(later)
    assert "at discharge" in ward.picture()
    assert "at admission" in ward.picture("?prediction_point=admission")
    assert ward.client.get(f"{PICTURE}?prediction_point=preadmission").status_code == 404


def test_width_and_bars_are_as_asked_for(ward):
    ward.stored(pictured())
    assert 'width="400"' in ward.picture("?width=400")
    assert "+ 41 others together" in ward.picture("?bars=1")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("bars=0", "must be at least 1"),
        ("bars=16", "must be at most 15"),
        ("bars=many", "must be a whole number"),
        ("width=100", "must be at least 280"),
        ("width=99999", "must be at most 1200"),
        ("language=de", "must be 'en' or 'zh'"),
        ("prediction_point=later", "must be 'preadmission', 'admission' or 'discharge'"),
        ("target=Cost%3B", "is not in the expected form, ^[a-z_]{1,50}$"),
    ],
)
def test_what_cannot_be_drawn_is_refused_without_an_echo(ward, query, said):
    ward.stored(pictured())
    response = ward.client.get(f"{PICTURE}?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["message"] == said
    assert ward.audit.reads == []


def test_another_departments_stay_is_answered_as_an_absent_one(ward):
    ward.stored(pictured(), "oncology")
    ward.caller = Caller("planner", frozenset({Role.PLANNER}), frozenset({"cardiology"}))
    others, absent = ward.client.get(PICTURE), ward.client.get("/v1/admissions/S0/explanation.svg")
    untold = ward.client.get(f"{PICTURE}?target=cost")
    assert others.status_code == absent.status_code == untold.status_code == 404
    assert others.json() == absent.json() == untold.json()
    # Whether a target is known says nothing of a stay.
    unknown = [
        ward.client.get(f"/v1/admissions/{stay}/explanation.svg?target=dragons") for stay in ("S9", "S0")
    ]
    assert [response.status_code for response in unknown] == [422, 422]
    assert unknown[0].json() == unknown[1].json()
    assert ward.audit.reads == []


def test_a_target_that_the_last_point_does_not_predict_is_drawn_as_it_was_predicted_last(ward):
    ward.stored(pictured())
    # At the discharge no cost is predicted.
    readmission = [one for one in pictured()["predictions"] if one["target"] == "readmission"]
    later = {"prediction_point": "discharge", "scored_at": "2026-01-12T02:00:03Z", "predictions": readmission}
    ward.stored(pictured() | later)
    assert "at admission" in ward.picture("?target=cost")
    assert "at discharge" in ward.picture("?target=readmission")
    assert ward.client.get(f"{PICTURE}?target=cost&prediction_point=discharge").status_code == 404


def test_a_target_that_was_not_predicted_of_a_stay_is_not_there(ward):
    ward.stored(pictured())
    other = [one for one in pictured()["predictions"] if one["target"] == "readmission"]
    ward.stored(pictured() | {"stay_id": "S8", "predictions": other})
    response = ward.client.get("/v1/admissions/S8/explanation.svg?target=cost")
    assert (response.status_code, response.json()["type"]) == (404, "urn:wardcast:problem:no-prediction")


def test_a_target_that_nobody_knows_is_refused_with_those_that_are_known(ward):
    ward.stored(pictured())
    response = ward.client.get(f"{PICTURE}?target=dragons")
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {
            "field": "query.target",
            "message": "is no target that is predicted or stored here; known are cost, readmission",
        }
    ]
    assert ward.audit.reads == []


def test_who_may_not_read_predictions_sees_no_picture(ward):
    ward.stored(pictured())
    ward.caller = Caller("auditor", frozenset({Role.AUDITOR}), None)
    assert ward.client.get(PICTURE).status_code == 403


def test_a_read_that_cannot_be_recorded_is_not_answered(ward):
    ward.stored(pictured())
    ward.audit.fails = True
    response = ward.client.get(PICTURE)
    assert response.status_code == 503
    assert "svg" not in response.text


def test_an_identifier_may_hold_a_slash_and_markup(ward):
    stay = 'S/9"<b>'
    ward.stored(pictured() | {"stay_id": stay})
    response = ward.client.get(f"/v1/admissions/{quote(stay, safe='')}/explanation.svg")
    assert response.status_code == 200
    assert "S/9&quot;&lt;b&gt;" in response.text


def bare() -> dict[str, Any]:
    """As a batch stores it: without the scale."""
    document = pictured()
    document["predictions"] = [shortened(one) for one in document["predictions"]]
    return document


def test_a_prediction_stored_without_its_scale_gets_it_from_its_own_model(ward):
    ward.stored(bare())
    assert "Start, before anything is known of the patient<" in ward.picture()
    model = risk_model()
    ward.champions = ChampionSet((Loaded(Champion("readmission-admission", 7, "", "", Path()), model),), ())
    # Uncalibrated: the base value of -2 is 1 / (1 + e^2) = 11.9 %.
    assert "Start, before anything is known of the patient: 12 %" in ward.picture()
    assert ">20 %<" in ward.picture()


def test_the_scale_of_another_version_is_not_taken(ward):
    ward.stored(bare())
    champion = Champion("readmission-admission", 8, "", "", Path())
    ward.champions = ChampionSet((Loaded(champion, risk_model()),), ())
    assert "Start, before anything is known of the patient<" in ward.picture()


def test_the_picture_is_described(ward):
    described = ward.app.openapi()["paths"]["/v1/admissions/{stay_id}/explanation.svg"]["get"]
    assert set(described["responses"]) >= {"200", "401", "403", "404", "422", "503"}
    assert list(described["responses"]["200"]["content"]) == ["image/svg+xml"]
    assert {each["name"] for each in described["parameters"]} >= {
        "stay_id",
        "target",
        "prediction_point",
        "language",
    }


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("served") / "champions"
    for target in ("readmission", "cost"):
        promote(folder, target)
    return Answers(LiveChampions(folder), ServingSettings(folder))


def asked(answers: Answers, n_reasons: int | None = 5, **telling: Any) -> dict[str, Any]:
    content = copy.deepcopy(EXAMPLE_REQUEST)
    return answers.one(content, n_reasons=n_reasons, telling=Telling(**telling))


def test_what_the_api_answers_is_stored_and_drawn(ward, answers):
    ward.stored(asked(answers, 15, with_scale=True))
    for target in ("readmission", "cost"):
        drawn = ward.picture(f"?target={target}&bars=15")
        assert "1 admission in the last year" in drawn.replace("\N{NO-BREAK SPACE}", " ")
        assert "others together" in drawn


def test_an_answer_tells_its_reasons_in_the_language_asked_for(answers):
    english, chinese = asked(answers), asked(answers, language=Language.ZH)
    pairs = [
        (one, other)
        for left, right in zip(english["predictions"], chinese["predictions"], strict=True)
        for one, other in zip(left["reasons"], right["reasons"], strict=True)
    ]
    assert len(pairs) == 10
    for one, other in pairs:
        words = {"sentence", "effect"}
        # Words alone differ: names, values and numbers are the same in every language.
        assert {name: one[name] for name in one.keys() - words} == {
            name: other[name] for name in other.keys() - words
        }
        assert "not a cause" in one["effect"]
        assert "因果" in other["effect"]
    # The example sends no charges, observations or visits, which is told apart from what is not recorded.
    missing = {one["feature"]: one["missing"] for one, _ in pairs if one["value"] is None}
    assert set(missing.values()) <= {"not_sent", "not_known"}


def test_families_add_up_to_the_raw_output(answers):
    for prediction in asked(answers, by_family=True)["predictions"]:
        total = prediction["base_value"] + sum(group["contribution"] for group in prediction["groups"])
        assert total == pytest.approx(prediction["raw_output"], abs=1e-6)
        for group in prediction["groups"]:
            parts = sum(reason["contribution"] for reason in group["reasons"])
            assert parts == pytest.approx(group["contribution"], abs=1e-9)
            assert group["sentence"]
        assert len(prediction["reasons"]) == 5


def test_a_shortened_answer_is_the_one_that_was_not_asked_for_more(answers):
    plain, stored = asked(answers), asked(answers, 15, with_scale=True)
    assert [shortened(one) for one in stored["predictions"]] == plain["predictions"]


def test_the_scale_from_the_stored_numbers_is_that_of_the_model(answers):
    for one, loaded in zip(
        asked(answers, None, with_scale=True)["predictions"],
        answers.champions().at(Point.ADMISSION),
        strict=True,
    ):
        found = rescaled(shortened(one, 200), loaded.model.artefact)
        assert found["base_prediction"] == pytest.approx(one["base_prediction"])
        assert [mark["prediction"] for mark in found["marks"]] == [
            mark["prediction"] for mark in one["marks"]
        ]
        for mine, theirs in zip(found["marks"], one["marks"], strict=True):
            assert mine["raw_output"] == pytest.approx(theirs["raw_output"], abs=1e-6)


def test_the_parameters_of_a_prediction_say_how_it_is_told(tmp_path):
    folder = tmp_path / "champions"
    promote(folder, "readmission")
    with client_of(folder) as client:

        def told(query: str = "", **headers: str) -> dict[str, Any]:
            response = client.post(f"/v1/predictions{query}", json=EXAMPLE_REQUEST, headers=headers)
            assert response.status_code == 200, response.text
            AnswerDocument.model_validate(response.json())
            return dict(response.json()["predictions"][0])

        plain, full = told(), told("?explain=full&group=family&language=zh")
        assert "raises the risk" in plain["reasons"][0]["sentence"]
        assert "使风险升高" in told(**{"Accept-Language": "zh"})["reasons"][0]["sentence"]
        assert "使风险升高" in full["groups"][0]["sentence"]
        assert full.keys() - plain.keys() == {"groups", "n_contributing", "base_prediction", "marks"}
        many = client.post("/v1/predictions/batch?language=zh", json={"items": [EXAMPLE_REQUEST]}).json()
        assert "使风险升高" in many["items"][0]["predictions"][0]["reasons"][0]["sentence"]
        for query in ("language=de", "group=ward", "explain=half"):
            assert client.post(f"/v1/predictions?{query}", json=EXAMPLE_REQUEST).status_code == 422
