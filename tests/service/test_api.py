"""The API: one admission or many to predictions with reasons, and a problem document for every error."""

from __future__ import annotations

import copy
import datetime as dt
import gc
import json
import logging
import math
import re
import socket
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import lightgbm as lgb
import numpy as np
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from features.catalogue import features_at, fingerprint
from features.points import Point
from models.artefact import Artefact, Context, Training
from models.calibration import BetaCalibration, KnotsCalibration, LineCalibration
from models.champions import Champion, install_champion
from models.encoding import FeatureSpec
from models.storage import write_artefact
from serving.access.guard import INSECURE_DEMO
from serving.api import create_app
from serving.http.documents import ProblemDocument
from serving.http.responses import items_response, json_response
from serving.predictions.asked import Asked
from serving.predictions.documents import EXAMPLE_ANSWER, EXAMPLE_REQUEST, AnswerDocument
from serving.routes.gate import Gate
from serving.server import Server, serve, served_app, uvicorn_config
from serving.settings import ServingSettings
from tests.admission_rows import DISTRIBUTION
from tests.served import open_to_all

SECRET = "Zhang-Wei-4711"
CONTEXT = Context("Asia/Shanghai", "CNY", {"diagnosis": "icd10gb", "procedure": "icd9cm3"}, "billed")
LEVELS = {"admission_type": ("elective", "emergency")}


def specs_at(point: Point) -> tuple[FeatureSpec, ...]:
    return tuple(
        FeatureSpec(f.name, f.label, f.type, f.unit, f.available_from.value, False,
                    LEVELS.get(f.name, ("A", "B")) if f.type == "category" else ())
        for f in features_at(point)
    )  # fmt: skip


def promote(
    folder: Path,
    target: str,
    point: Point = Point.ADMISSION,
    *,
    version: int = 1,
    seed: int = 1,
    without: Collection[str] = (),
    **changes: Any,
) -> Champion:
    """A small model of random data, in force: earlier admissions raise its output.

    It learned from all features of the point, but for those `without` which it did.
    """
    specs = tuple(spec for spec in specs_at(point) if spec.name not in without)
    kind = "amount" if target == "cost" else "risk"
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 2, size=(400, len(specs))).astype(float)
    names = [spec.name for spec in specs]
    raised = matrix[:, names.index("n_stays_prior_365d")] + rng.normal(size=400)
    objectives = {"model": {"objective": "binary"}}
    label = (raised > 0.8).astype(float)
    if kind == "amount":
        label = np.exp(9 + raised)
        objectives = {
            "model": {"objective": "gamma"},
            "spread": {"objective": "gamma"},
        }
    options = {"num_threads": 1, "verbosity": -1, "deterministic": True, "seed": seed}
    boosters = {
        name: lgb.train(
            options | objective,
            lgb.Dataset(matrix, label if name == "model" else np.log(label), feature_name=names),
            num_boost_round=10,
        )
        for name, objective in objectives.items()
    }
    base = float(np.asarray(boosters["model"].predict(matrix[:1], pred_contrib=True))[0, -1])
    name = f"{target}-{point.value}"
    artefact = Artefact(
        name=name, target=target, point=point.value,
        unit="probability" if kind == "risk" else "money",
        context=CONTEXT, landmark_hours=24.0, coding_lag_hours=0.0, cost_lag_hours=0.0, features=specs,
        fingerprint=fingerprint(spec.name for spec in specs),
        calibration=LineCalibration() if kind == "risk" else None,
        distribution=DISTRIBUTION if kind == "amount" else None,
        bands=(0.2, 0.4), percentiles=tuple(np.linspace(0, 1, 101).tolist()), base_value=base,
        training=Training("real", {}, None, {"data_hash": "a"}), metrics={"auroc": {"value": 0.7}},
        intended_use="A test.",
    )  # fmt: skip
    artefact = replace(artefact, **changes)
    made = folder.parent / f"made-{name}-{version}"
    digest = write_artefact(made, artefact, {key: each.model_to_string() for key, each in boosters.items()})
    return install_champion(folder, made, name=name, version=version, digest=digest)


@pytest.fixture(scope="module")
def champions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "champions"
    for target in ("readmission", "complication", "cost"):
        promote(folder, target)
    promote(folder, "readmission", Point.DISCHARGE, version=4)
    return folder


def client_of(folder: Path, **limits: Any) -> TestClient:
    return TestClient(create_app(open_to_all(folder, **limits)))


@pytest.fixture(scope="module")
def client(champions: Path) -> Iterator[TestClient]:
    with client_of(champions) as client:
        yield client


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the server told of itself, beside the warning that nobody is asked who they are."""
    own = [each.message for each in caplog.records if each.name == "wardcast.serving"]
    return [message for message in own if message != INSECURE_DEMO]


@pytest.fixture
def admission() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE_REQUEST)


def answer(client: TestClient, content: Any, query: str = "") -> dict[str, Any]:
    response = client.post(f"/v1/predictions{query}", json=content)
    assert response.status_code == 200, response.text
    AnswerDocument.model_validate(response.json())
    document: dict[str, Any] = response.json()
    return document


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    ProblemDocument.model_validate(document)
    assert document["type"] == f"urn:wardcast:problem:{kind}"
    assert document["status"] == status
    assert SECRET not in response.text
    return document


def test_an_admission_is_answered_with_every_target_of_its_prediction_point(client, admission):
    document = answer(client, admission)
    assert [each["target"] for each in document["predictions"]] == ["complication", "cost", "readmission"]
    assert document["stay_id"] == "S9"
    # 24 hours after the admission at 2026-01-07T10:00.
    assert document["prediction_time"] == "2026-01-08T10:00:00"
    assert document["provisional"] is False
    assert document["scored_at"].endswith("Z")
    assert [each["model"] for each in document["predictions"]] == [
        "complication-admission/1",
        "cost-admission/1",
        "readmission-admission/1",
    ]


def test_base_value_and_contributions_add_up_to_the_raw_output(client, admission):
    for each in answer(client, admission, "?explain=full")["predictions"]:
        assert len(each["reasons"]) == len(features_at(Point.ADMISSION))
        total = each["base_value"] + math.fsum(reason["contribution"] for reason in each["reasons"])
        assert total == pytest.approx(each["raw_output"], abs=1e-6)


def test_a_risk_is_the_calibrated_raw_output_with_its_five_strongest_reasons(client, admission):
    risk = answer(client, admission)["predictions"][2]
    # The test's calibration leaves the log-odds as they are.
    assert risk["probability"] == pytest.approx(1 / (1 + math.exp(-risk["raw_output"])), rel=1e-12)
    assert risk["scale"] == "log_odds"
    sizes = [abs(reason["contribution"]) for reason in risk["reasons"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 5
    strongest = risk["reasons"][0]
    # S3 began within the year before S9: one earlier admission, which the test's model learned to fear.
    assert strongest["feature"] == "n_stays_prior_365d"
    assert (strongest["value"], strongest["unit"], strongest["direction"]) == (1, "stays", "raises")
    full = answer(client, admission, "?explain=full")["predictions"][2]["reasons"]
    assert full[:5] == risk["reasons"]


def test_a_cost_has_its_currency_and_an_interval_that_may_have_no_upper_end(client, admission):
    cost = answer(client, admission)["predictions"][1]
    assert cost["currency"] == "CNY"
    assert cost["expected"] > 0
    assert cost["interval"]["level"] == 0.8
    assert cost["interval"]["low"] > 0
    assert cost["interval"]["high"] is None


def test_an_earlier_question_is_provisional_and_a_later_one_refused(client, admission):
    earlier = answer(client, admission | {"prediction_time": "2026-01-07T12:00:00"})
    assert earlier["provisional"] is True
    assert earlier["prediction_time"] == "2026-01-07T12:00:00"
    later = client.post("/v1/predictions", json=admission | {"prediction_time": "2026-01-08T10:00:01"})
    document = problem(later, 422, "invalid-request")
    assert [error["field"] for error in document["errors"]] == ["prediction_time"]


def test_before_the_point_s_own_time_has_come_a_prediction_is_provisional_and_as_of_now(client, admission):
    """Admitted an hour ago: of the next 23 hours nothing is known, and the answer must not look as if."""
    now = dt.datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
    current = admission["records"]["stays"][0]
    current["admitted_at"] = (now - dt.timedelta(hours=1)).isoformat()
    document = answer(client, admission)
    assert document["provisional"] is True
    made_as_of = dt.datetime.fromisoformat(document["prediction_time"])
    assert now <= made_as_of < now + dt.timedelta(minutes=10)
    current["admitted_at"] = (now - dt.timedelta(hours=25)).isoformat()
    document = answer(client, admission)
    assert document["provisional"] is False
    # 24 of the 25 hours after the admission.
    assert dt.datetime.fromisoformat(document["prediction_time"]) == now - dt.timedelta(hours=1)


def test_an_admission_that_a_fast_clock_sent_is_as_of_its_beginning(client, admission):
    now = dt.datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
    ahead = (now + dt.timedelta(minutes=30)).isoformat()
    admission["records"]["stays"][0]["admitted_at"] = ahead
    document = answer(client, admission)
    assert (document["provisional"], document["prediction_time"]) == (True, ahead)


@pytest.mark.parametrize("days_ahead", [1, 60_000])
def test_no_answer_is_of_a_time_that_is_still_to_come(client, admission, days_ahead):
    """Admitted two hours ago and asked for what will be known after 24: nobody knows the other 22 yet."""
    now = dt.datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)
    stay = admission["records"]["stays"][0]
    stay["admitted_at"] = (now - dt.timedelta(hours=2)).isoformat()
    landmark = (now + dt.timedelta(hours=22)).isoformat()
    planned = (now + dt.timedelta(days=days_ahead)).isoformat()
    at_discharge = admission | {"prediction_point": "discharge"}
    asked = [admission | {"prediction_time": landmark}, at_discharge | {"prediction_time": planned}]
    stay_with_plan = {**stay, "discharged_at": planned, "discharge_disposition": "home"}
    rows = [stay_with_plan, *admission["records"]["stays"][1:]]
    with_plan = at_discharge | {"records": admission["records"] | {"stays": rows}}
    for each in [*asked, with_plan]:
        document = answer(client, each)
        assert document["provisional"] is True
        assert now <= dt.datetime.fromisoformat(document["prediction_time"]) < now + dt.timedelta(minutes=10)
    # A plan is no fact: the stay goes on, whether somebody has planned its end or not.
    as_of = {"prediction_time": now.isoformat()}
    planned_end, open_end = answer(client, with_plan | as_of), answer(client, at_discharge | as_of)
    assert planned_end["predictions"] == open_end["predictions"]


def test_an_offset_changes_the_clock_and_not_the_prediction(client, admission):
    local = answer(client, admission)
    admission["records"]["stays"][0]["admitted_at"] = "2026-01-07T02:00:00Z"
    assert answer(client, admission)["predictions"] == local["predictions"]


def test_an_absent_table_is_unknown_with_a_warning_and_an_empty_one_is_none(client, admission):
    unknown = answer(client, admission, "?explain=full")
    assert any(warning.startswith("visits not sent") for warning in unknown["warnings"])
    admission["records"]["visits"] = []
    none = answer(client, admission, "?explain=full")
    assert not any(warning.startswith("visits not sent") for warning in none["warnings"])

    def visits(document: dict[str, Any]) -> Any:
        reasons = document["predictions"][0]["reasons"]
        return next(r["value"] for r in reasons if r["feature"] == "n_emergency_visits_prior_365d")

    assert visits(unknown) is None
    assert visits(none) == 0


def test_the_warnings_of_the_example_are_those_of_its_request(client, admission):
    assert set(EXAMPLE_ANSWER["warnings"]) <= set(answer(client, admission)["warnings"])


def test_who_is_outside_the_population_is_answered_with_a_warning_alone_and_in_a_batch(client, admission):
    child = copy.deepcopy(admission)
    # 9 years old on 7 January 2026.
    child["records"]["patients"][0]["birth_date"] = "2016-05-04"
    warning = "outside the models' population: younger than 18 at admission"
    assert warning in answer(client, child)["warnings"]
    items = client.post("/v1/predictions/batch", json={"items": [admission, child]}).json()["items"]
    assert [warning in item["warnings"] for item in items] == [False, True]
    assert "2016" not in json.dumps(items)


def test_codes_that_no_code_set_holds_are_counted_and_not_named(client, admission):
    def codes(*found: str) -> dict[str, Any]:
        content = copy.deepcopy(admission)
        content["records"]["diagnoses"] = [
            {"stay_id": "S3", "kind": "discharge", "position": place, "code": code}
            for place, code in enumerate(found, start=1)
        ]
        return content

    # No category begins with U99 or U85; the same code twice is one code.
    items = [codes("I500"), codes("I500", "U998", "U99.8"), codes("U998", "U850")]
    found = client.post("/v1/predictions/batch", json={"items": items}).json()["items"]
    said = [[text for text in item["warnings"] if "code set" in text] for item in found]
    assert said == [
        [],
        ["1 code is not in the code set of icd10gb: treated as unknown"],
        ["2 codes are not in the code set of icd10gb: treated as unknown"],
    ]
    assert "U99" not in json.dumps(found)


def test_a_level_that_the_model_does_not_know_is_missing_with_a_warning(client, admission):
    admission["records"]["stays"][0]["payer"] = SECRET
    document = answer(client, admission, "?explain=full")
    assert any(warning.startswith("payer:") for warning in document["warnings"])
    assert SECRET not in json.dumps(document)


def test_amounts_in_another_currency_are_refused(client, admission):
    assert answer(client, admission | {"currency": "CNY"})
    response = client.post("/v1/predictions", json=admission | {"currency": "USD"})
    assert problem(response, 422, "invalid-request")["errors"][0]["field"] == "currency"


def test_the_answer_follows_from_the_raw_output_as_the_page_says(tmp_path, admission):
    folder = tmp_path / "champions"
    promote(folder, "readmission", calibration=LineCalibration("platt", -0.5, 1.25))
    promote(folder, "cost")
    with client_of(folder) as client:
        cost, risk = answer(client, admission)["predictions"]
        line = {"method": "platt", "intercept": -0.5, "slope": 1.25, "reason": ""}
        documents = client.get("/v1/models").json()["models"]
        assert [document["calibration"] for document in documents] == [None, line]
    log_odds = -0.5 + 1.25 * risk["raw_output"]
    assert risk["probability"] == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-12)
    # This distribution is neither smeared nor rescaled.
    assert cost["expected"] == pytest.approx(math.exp(cost["raw_output"]), rel=1e-12)


@pytest.mark.parametrize(
    ("calibration", "log_odds_of"),
    [
        (
            BetaCalibration(-0.5, 0.8, 1.5),
            # ln p = -ln(1 + exp(-raw)) and ln(1 - p) = -ln(1 + exp(raw)).
            lambda raw: -0.5 - 0.8 * math.log(1 + math.exp(-raw)) + 1.5 * math.log(1 + math.exp(raw)),
        ),
        # Halfway between (-4, -3) and (4, 1) stands (0, -1): half of the raw output, less 1.
        (KnotsCalibration("venn_abers", ((-4.0, -3.0), (4.0, 1.0))), lambda raw: 0.5 * raw - 1),
    ],
)
def test_the_answer_follows_from_any_risks_map_as_the_page_says(
    tmp_path, admission, calibration, log_odds_of
):
    folder = tmp_path / "champions"
    promote(folder, "readmission", calibration=calibration)
    with client_of(folder) as client:
        (risk,) = answer(client, admission)["predictions"]
        (document,) = client.get("/v1/models").json()["models"]
    assert document["calibration"] == json.loads(json.dumps(asdict(calibration)))
    assert risk["probability"] == pytest.approx(
        1 / (1 + math.exp(-log_odds_of(risk["raw_output"]))), rel=1e-9
    )


EXAMPLES = re.findall(
    r"^curl -s http://localhost:8000(/\S+) .*? -d '(.*?)'$",
    (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text("utf-8"),
    flags=re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize(
    ("place", "path", "models"),
    [
        (0, "/v1/predictions", [["readmission-discharge/4"]]),
        (
            1,
            "/v1/predictions/batch",
            [
                ["complication-admission/1", "cost-admission/1", "readmission-admission/1"],
                ["readmission-discharge/4"],
            ],
        ),
    ],
)
def test_the_examples_of_the_page_are_answered(client, place, path, models):
    # The third is about a stay whose history the server holds.
    assert [found for found, _ in EXAMPLES] == ["/v1/predictions", "/v1/predictions/batch", "/v1/predictions"]
    response = client.post(
        EXAMPLES[place][0], content=EXAMPLES[place][1], headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 200, response.text
    found = response.json()["items"] if path.endswith("batch") else [response.json()]
    assert [[each["model"] for each in item["predictions"]] for item in found] == models


def test_a_prediction_point_without_a_model_is_a_problem(client, admission):
    response = client.post("/v1/predictions", json=admission | {"prediction_point": "preadmission"})
    document = problem(response, 422, "no-model")
    assert "admission, discharge" in document["errors"][0]["message"]


def test_a_bad_item_of_a_batch_fails_alone_and_in_its_place(client, admission):
    wrong = copy.deepcopy(admission)
    wrong["records"]["patients"][0]["sex"] = SECRET
    late = admission | {"prediction_time": "2026-02-01T10:00:00"}
    ended = admission | {"stay_id": "S3", "prediction_point": "discharge"}
    items = [admission, wrong, 3, late, ended, {"stay_id": SECRET}, admission]
    response = client.post("/v1/predictions/batch", json={"items": items})
    assert response.status_code == 200
    assert SECRET not in response.text
    found = response.json()["items"]
    assert [item.get("status", 200) for item in found] == [200, 422, 422, 422, 200, 422, 200]
    assert found[1]["errors"][0]["field"] == "records.patients.0.sex"
    assert found[3]["errors"][0]["field"] == "prediction_time"
    alone = answer(client, admission)
    for item in (found[0], found[6]):
        assert item["predictions"] == alone["predictions"]
    assert found[4]["predictions"][0]["model"] == "readmission-discharge/4"
    assert found[4]["predictions"] == answer(client, ended)["predictions"]


def test_a_batch_has_a_limit_and_may_be_empty(champions, admission):
    with client_of(champions, max_batch=2) as client:
        response = client.post("/v1/predictions/batch", json={"items": [admission] * 3})
        assert problem(response, 422, "invalid-request")["errors"][0]["field"] == "items"
        assert client.post("/v1/predictions/batch", json={"items": []}).json() == {"items": []}


def test_a_body_beyond_the_limit_is_refused_declared_or_not(client):
    too_large = b" " * (5 * 1024 * 1024 + 1)
    headers = {"Content-Type": "application/json"}
    problem(client.post("/v1/predictions", content=too_large, headers=headers), 413, "too-large")
    in_parts = (too_large[start : start + 2**20] for start in range(0, len(too_large), 2**20))
    problem(client.post("/v1/predictions", content=in_parts, headers=headers), 413, "too-large")


def test_twenty_thousand_rows_are_taken_and_one_more_is_not(client, admission):
    codes = {"patient_id": "P7", "taken_at": "2026-01-07T11:00:00", "code": "1", "value": 1, "unit": "1"}
    # 1 patient, 2 stays, 1 diagnosis and 19,996 laboratory values.
    admission["records"]["observations"] = [codes] * 19_996
    assert answer(client, admission)
    admission["records"]["observations"].append(codes)
    response = client.post("/v1/predictions", json=admission)
    assert problem(response, 422, "invalid-request")["errors"][0]["field"] == "records"


def test_what_is_not_json_is_a_problem(client, admission):
    def post(content: bytes, media_type: str = "application/json") -> Any:
        return client.post("/v1/predictions", content=content, headers={"Content-Type": media_type})

    problem(post(f'{{"{SECRET}": NaN}}'.encode()), 400, "malformed-json")
    problem(post(f'{{"{SECRET}": 1, "{SECRET}": 1}}'.encode()), 400, "malformed-json")
    problem(post(b"["), 400, "malformed-json")
    problem(post(json.dumps(admission).encode(), "text/plain"), 415, "unsupported-media-type")


def test_other_errors_are_problem_documents_too(client, admission):
    problem(client.get(f"/v1/{SECRET}"), 404, "not-found")
    response = client.get("/v1/predictions")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"
    response = client.post(f"/v1/predictions?explain={SECRET}", json=admission)
    assert problem(response, 422, "invalid-request")["errors"][0]["field"] == "query.explain"


def test_a_failure_answers_without_its_insides_and_is_logged_without_values(
    champions, admission, monkeypatch, caplog
):
    def fail(*_args: Any, **_options: Any) -> Any:
        raise RuntimeError(SECRET)

    with client_of(champions) as client, caplog.at_level(logging.DEBUG):
        monkeypatch.setattr("serving.predictions.answers.predict", fail)
        response = client.post("/v1/predictions", json=admission)
        items = client.post("/v1/predictions/batch", json={"items": [admission, admission]}).json()["items"]
    problem(response, 500, "internal-error")
    assert [item["status"] for item in items] == [500, 500]
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


def failing_on(n_bad: int, sizes: list[int]) -> Any:
    """A computation that fails for every group with one of the stays B0, B1, …; notes the sizes."""

    def computed(_answers: Any, group: Any) -> list[dict[str, Any]]:
        sizes.append(len(group))
        names = [asked.records.stay_id for asked in group]
        if any(f"B{number}" in names for number in range(n_bad)):
            raise RuntimeError(SECRET)
        return [{"stay_id": name} for name in names]

    return computed


def named(admission: dict[str, Any], stay_id: str) -> dict[str, Any]:
    content = copy.deepcopy(admission)
    content["stay_id"] = content["records"]["stays"][0]["stay_id"] = stay_id
    content["records"]["diagnoses"] = []
    return content


def test_an_item_that_fails_unforeseen_is_found_among_many(champions, admission, monkeypatch):
    sizes: list[int] = []
    monkeypatch.setattr("serving.predictions.answers.Answers._computed", failing_on(1, sizes))
    items = [named(admission, f"A{place}") for place in range(63)] + [named(admission, "B0")]
    with client_of(champions) as client:
        found = client.post("/v1/predictions/batch", json={"items": items}).json()["items"]
    assert [item.get("status") for item in found] == [None] * 63 + [500]
    assert [item["stay_id"] for item in found[:63]] == [f"A{place}" for place in range(63)]
    # Halving 64 down to 1: 7 computations fail, and the other half of each of the 6 cuts does not.
    assert len(sizes) == 13


def test_a_batch_of_many_failures_is_given_up_soon(champions, admission, monkeypatch):
    sizes: list[int] = []
    monkeypatch.setattr("serving.predictions.answers.Answers._computed", failing_on(100, sizes))
    names = [f"{kind}{place}" for place in range(100) for kind in "BA"]
    items = [named(admission, name) for name in names]
    with client_of(champions) as client:
        found = client.post("/v1/predictions/batch", json={"items": items}).json()["items"]
    # The first part: B0 alone after 7 failures; A0 B1 (8) and B1 (9); A1 B2 A2 B3 (10), of them A1 B2 (11)
    # and B2 (12): given up, without a look at the second part.
    assert sizes == [125, 62, 31, 15, 7, 3, 1, 2, 1, 1, 4, 2, 1, 1]
    assert found[0]["status"] == 500
    assert found[1] == {"stay_id": "A0"}
    assert found[-1]["type"] == "urn:wardcast:problem:internal-error"


def test_a_late_time_in_a_batch_costs_no_computation(champions, admission, monkeypatch):
    sizes: list[int] = []
    monkeypatch.setattr("serving.predictions.answers.Answers._computed", failing_on(0, sizes))
    late = admission | {"prediction_time": "2026-02-01T10:00:00"}
    with client_of(champions) as client:
        found = client.post("/v1/predictions/batch", json={"items": [late, admission] * 20}).json()["items"]
    assert [item.get("status") for item in found] == [422, None] * 20
    assert sizes == [20]


def test_one_request_too_many_is_told_so_at_once_and_health_still_answers(champions, admission, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()

    def slow(_answers: Any, asked: Asked) -> dict[str, Any]:
        entered.set()
        assert go_on.wait(30)
        return {"stay_id": asked.records.stay_id}

    monkeypatch.setattr("serving.predictions.answers.Answers.answer", slow)
    with client_of(champions, max_waiting=1) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/predictions", json=admission)
        assert entered.wait(30)
        refused = client.post("/v1/predictions/batch", json={"items": [admission]})
        assert client.get("/health/live").status_code == 200
        go_on.set()
        assert first.result().status_code == 200
        assert client.post("/v1/predictions", json=admission).status_code == 200
    problem(refused, 503, "busy")
    assert refused.headers["retry-after"] == "5"


def test_a_large_batch_holds_the_places_of_many_requests(champions, admission, monkeypatch):
    """625 reasons of a target a place: 125 items with five take one, 126 take two, as do 7 with all."""
    held: list[int] = []
    place = Gate.place

    def noted(gate: Gate, n: int = 1) -> Any:
        held.append(n)
        return place(gate, n)

    monkeypatch.setattr("serving.routes.predictions.Gate.place", noted)
    monkeypatch.setattr("serving.predictions.answers.Answers._computed", failing_on(0, []))
    with client_of(champions, max_waiting=1) as client:
        for n_items, query in ((125, ""), (126, ""), (6, "?explain=full"), (7, "?explain=full")):
            body = {"items": [admission] * n_items}
            # Who needs more places than there are is answered all the same, alone.
            assert client.post(f"/v1/predictions/batch{query}", json=body).status_code == 200
    # Each body is read in a place of its own first.
    assert held == [1, 1, 1, 2, 1, 1, 1, 2]


def test_all_reasons_are_told_of_fewer_admissions_at_once(client, admission):
    for n_items, status in ((100, 200), (101, 422)):
        body = {"items": [admission | {"stay_id": "none"}] * n_items}
        found = client.post("/v1/predictions/batch?explain=full", json=body)
        assert found.status_code == status
    (error,) = problem(found, 422, "invalid-request")["errors"]
    assert error == {"field": "items", "message": "has 101 entries; with explain=full at most 100"}


def test_the_log_knows_routes_and_no_values(client, admission, caplog):
    admission["stay_id"] = admission["records"]["stays"][0]["stay_id"] = SECRET
    admission["records"]["diagnoses"] = []
    with caplog.at_level(logging.DEBUG):
        answer(client, admission)
        client.get(f"/v1/{SECRET}?name={SECRET}")
    ours = [json.loads(each.message) for each in caplog.records if each.name == "wardcast.access"]
    assert [(each["route"], each["status"]) for each in ours] == [
        ("/v1/predictions", 200),
        ("unmatched", 404),
    ]
    # The test's own client logs the address it calls; the server's loggers do not.
    assert not any(SECRET in each.getMessage() for each in caplog.records if each.name != "httpx2")


@contextmanager
def listening(folder: Path, **bounds: Any) -> Iterator[tuple[Server, threading.Thread, int]]:
    """The server on a free port, in a thread of its own."""
    settings = open_to_all(folder, **bounds)
    server = Server(settings, uvicorn_config(create_app(settings), settings))
    socket_ = socket.create_server(("127.0.0.1", 0))
    running = threading.Thread(target=server.run, args=([socket_],), daemon=True)
    running.start()
    try:
        yield server, running, socket_.getsockname()[1]
    finally:
        server.should_exit = True
        running.join(30)
        socket_.close()


@contextmanager
def stuck(port: int) -> Iterator[socket.socket]:
    """A request whose body never comes, although its length is declared."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sender:
        sender.sendall(
            b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        yield sender


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path):
    with listening(tmp_path, body_seconds=0.2) as (_, _, port), stuck(port) as sender:
        answered = b"".join(iter(lambda: sender.recv(4096), b""))
    # Read to its end: the server closed the connection.
    assert answered.startswith(b"HTTP/1.1 408 ")
    assert b"urn:wardcast:problem:too-slow" in answered


def test_a_body_that_does_not_come_does_not_keep_the_server_from_ending(tmp_path):
    with listening(tmp_path, body_seconds=60, shutdown_seconds=1) as (server, running, port), stuck(port):
        while not server.server_state.tasks:
            time.sleep(0.01)
        server.should_exit = True
        running.join(10)
        assert not running.is_alive()


@pytest.mark.parametrize(
    ("address", "name", "status"),
    [
        ("127.0.0.1", "localhost:8000", 200),
        ("127.0.0.1", "127.0.0.1", 200),
        ("::1", "[::1]:8000", 200),
        ("127.0.0.1", "evil.example", 400),
        ("0.0.0.0", "ward-3.hospital.example", 200),
    ],
)
def test_on_this_machine_alone_only_its_own_names_are_answered(tmp_path, address, name, status):
    with TestClient(served_app(ServingSettings(tmp_path / "champions"), address)) as client:
        assert client.get("/health/live", headers={"Host": name}).status_code == status


@pytest.mark.parametrize(("address", "is_warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_a_server_that_others_reach_says_that_nothing_is_encrypted(
    tmp_path, monkeypatch, caplog, address, is_warned
):
    # The tests keep the loggers that they watch.
    monkeypatch.setattr("serving.server.logging.config.dictConfig", lambda _: None)
    served: list[str] = []
    monkeypatch.setattr(Server, "run", lambda _server, sockets: served.append(sockets[0].getsockname()[0]))
    monkeypatch.setattr("serving.server.gc", Mock())
    serve(ServingSettings(tmp_path / "champions"), host=address, port=0)
    assert served == [address]
    assert ("nothing is encrypted" in caplog.text) is is_warned


def test_what_is_loaded_at_the_start_is_not_looked_through_for_garbage(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.server.logging.config.dictConfig", lambda _: None)
    frozen: list[int] = []
    monkeypatch.setattr(Server, "run", lambda _server, **_sockets: frozen.append(gc.get_freeze_count()))
    try:
        serve(ServingSettings(tmp_path / "champions"), port=0)
    finally:
        gc.unfreeze()
    # The modules alone are so many objects.
    assert frozen[0] > 100_000


def test_items_are_written_one_by_one_as_they_would_be_together():
    items = [{"stay_id": "Ä1", "value": 0.1}, {"errors": []}, {}]
    for some in (items, []):
        assert items_response(iter(some)).body == json_response({"items": some}).body
    with pytest.raises(ValueError, match="Out of range"):
        items_response([{"value": math.nan}])


def test_answers_are_kept_by_no_cache(client, admission):
    assert client.post("/v1/predictions", json=admission).headers["cache-control"] == "no-store"


def test_the_champions_are_listed_with_their_evidence(client):
    document = client.get("/v1/models").json()
    assert document["refused"] == []
    first = document["models"][0]
    assert first["model"] == "complication-admission/1"
    assert first["calibration"] == {"method": "none", "intercept": 0.0, "slope": 1.0, "reason": ""}
    assert first["bands"] == {"medium_above": 0.2, "high_above": 0.4}
    assert first["metrics"] == {"auroc": {"value": 0.7}}
    assert first["trained_on"] == {"timeline": "real", "label": {}, "data_hash": "a"}
    assert first["feature_fingerprint"] == fingerprint(f.name for f in features_at(Point.ADMISSION))


def test_a_server_without_a_champion_lives_but_is_not_ready(tmp_path, admission):
    with client_of(tmp_path / "none") as client:
        assert client.get("/health/live").json() == {"status": "live"}
        problem(client.get("/health/ready"), 503, "not-ready")
        problem(client.post("/v1/predictions", json=admission), 503, "not-ready")
        assert client.get("/v1/models").json() == {"models": [], "refused": []}


def test_a_changed_artefact_and_other_features_are_refused(tmp_path):
    folder = tmp_path / "champions"
    tampered = promote(folder, "readmission")
    promote(folder, "complication", fingerprint="0" * 64)
    model = tampered.folder / "model.txt"
    model.write_text(model.read_text() + "\n")
    with client_of(folder) as client:
        document = problem(client.get("/health/ready"), 503, "not-ready")
        refused = "Refused: complication-admission/1, readmission-admission/1; GET /v1/models says why."
        assert document["detail"].startswith(refused)
        reasons = {each["model"]: each["reason"] for each in client.get("/v1/models").json()["refused"]}
    assert "SHA-256 differs" in reasons["readmission-admission/1"]
    # Whoever asks has no business with the server's folders.
    assert str(tmp_path) not in str(reasons)
    assert "features that this version computes differently" in reasons["complication-admission/1"]


def test_a_champion_that_cannot_be_read_is_refused_by_name_and_told_in_the_log(tmp_path, admission, caplog):
    folder = tmp_path / "champions"
    promote(folder, "readmission")
    # A link to itself cannot be entered by anybody, whatever rights the account of the tests has.
    (folder / "complication-admission").symlink_to("complication-admission")
    with client_of(folder) as client:
        ready = client.get("/health/ready").json()
        assert ready["models"] == ["readmission-admission/1"]
        assert [each["model"] for each in ready["refused"]] == ["complication-admission"]
        assert ready["refused"][0]["reason"].startswith(
            "not readable (OSError). See that the server's account"
        )
        assert answer(client, admission)["predictions"]
    told = [
        json.loads(record.getMessage()) for record in caplog.records if '"refused"' in record.getMessage()
    ]
    assert [line["model"] for line in told] == ["complication-admission"]
    (tmp_path / "unreadable").symlink_to("unreadable")
    with client_of(tmp_path / "unreadable") as client:
        document = problem(client.get("/health/ready"), 503, "not-ready")
        assert document["detail"].startswith("Refused: champions; GET /v1/models says why.")


def test_a_point_whose_only_champion_is_refused_is_no_fault_of_the_request(tmp_path, admission):
    folder = tmp_path / "champions"
    promote(folder, "readmission")
    broken = promote(folder, "readmission", Point.DISCHARGE)
    (broken.folder / "model.txt").unlink()
    with client_of(folder) as client:
        assert answer(client, admission)["predictions"]
        document = problem(
            client.post("/v1/predictions", json=admission | {"prediction_point": "discharge"}),
            503,
            "not-ready",
        )
        assert document["detail"].startswith("Refused: readmission-discharge/1; GET /v1/models says why.")
        (refused,) = client.get("/v1/models").json()["refused"]
        assert "model.txt is missing" in refused["reason"]
        # At this point no model was ever promoted.
        asked = admission | {"prediction_point": "preadmission"}
        problem(client.post("/v1/predictions", json=asked), 422, "no-model")


def test_a_promotion_is_taken_up_without_a_restart(tmp_path, admission):
    folder = tmp_path / "champions"
    promote(folder, "readmission")
    with client_of(folder, reload_seconds=0) as client:
        before = answer(client, admission)["predictions"][0]
        promote(folder, "readmission", version=2, seed=2)
        after = answer(client, admission)["predictions"][0]
        assert (before["model"], after["model"]) == ("readmission-admission/1", "readmission-admission/2")
        assert before["raw_output"] != after["raw_output"]
        broken = promote(folder, "readmission", version=3, seed=3)
        (broken.folder / "model.txt").unlink()
        still = answer(client, admission)["predictions"][0]
        # Version 3 was already in force whole, or is refused and version 2 goes on: never neither.
        assert still["model"] == "readmission-admission/2"


def test_a_record_that_cannot_be_read_costs_its_own_model_alone_and_heals(tmp_path, admission, caplog):
    folder = tmp_path / "champions"
    for target in ("readmission", "complication"):
        promote(folder, target)
    record = folder / "complication-admission" / "champion.json"
    content = record.read_bytes()
    record.write_bytes(content[:20])
    caplog.set_level(logging.INFO, "wardcast.serving")
    with client_of(folder, reload_seconds=0) as client:
        ready = client.get("/health/ready").json()
        assert ready["models"] == ["readmission-admission/1"]
        assert [each["model"] for each in ready["refused"]] == ["complication-admission"]
        assert "not a champion's record" in ready["refused"][0]["reason"]
        assert [each["target"] for each in answer(client, admission)["predictions"]] == ["readmission"]
        record.write_bytes(content)
        assert client.get("/health/ready").json() == {
            "status": "ready",
            "models": ["complication-admission/1", "readmission-admission/1"],
            "refused": [],
        }
        # Once it answers, a record that is damaged later leaves the model in force.
        record.write_bytes(b"")
        assert [each["target"] for each in answer(client, admission)["predictions"]] == [
            "complication",
            "readmission",
        ]
    events = [json.loads(message) for message in said(caplog)]
    assert [(each["event"], each.get("model") or each["models"]) for each in events] == [
        ("refused", "complication-admission"),
        ("loaded", ["readmission-admission/1"]),
        ("loaded", ["complication-admission/1", "readmission-admission/1"]),
        ("refused", "complication-admission"),
    ]


@pytest.mark.parametrize(("retry_seconds", "status"), [(0.0, 200), (3600.0, 503)])
def test_files_that_are_put_back_heal_a_refused_champion(tmp_path, retry_seconds, status):
    folder = tmp_path / "champions"
    model = promote(folder, "readmission").folder / "model.txt"
    content = model.read_bytes()
    model.unlink()
    with client_of(folder, reload_seconds=0, retry_seconds=retry_seconds) as client:
        problem(client.get("/health/ready"), 503, "not-ready")
        # The champion's record stays as it is.
        model.write_bytes(content)
        assert client.get("/health/ready").status_code == status


def test_a_server_without_a_champion_says_so_in_its_log_once(tmp_path, caplog):
    with client_of(tmp_path / "none", reload_seconds=0) as client:
        for _ in range(3):
            problem(client.get("/health/ready"), 503, "not-ready")
        told = [
            each.message
            for each in caplog.records
            if each.name == "wardcast.serving" and each.message != INSECURE_DEMO
        ]
        assert told == [f"no champion in {tmp_path / 'none'}: predictions answer 503"]
        promote(tmp_path / "none", "readmission")
        assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize("hours", ["landmark_hours", "coding_lag_hours", "cost_lag_hours"])
def test_models_that_disagree_about_what_is_known_when_do_not_answer_together(tmp_path, hours):
    folder = tmp_path / "champions"
    promote(folder, "complication")
    promote(folder, "readmission", **{hours: 6.0})
    with client_of(folder) as client:
        document = client.get("/v1/models").json()
        ready = client.get("/health/ready").json()
    assert len(document["models"]) == 1
    assert len(document["refused"]) == 1
    # Whoever watches the server sees there that a target is missing, and why.
    assert ready["models"] == [document["models"][0]["model"]]
    assert ready["refused"] == document["refused"]
    assert "Train both alike and promote them." in ready["refused"][0]["reason"]


def test_records_without_dates_are_answered_by_a_model_that_learned_from_such(tmp_path, client):
    folder = tmp_path / "champions"
    promote(folder, "readmission", Point.DISCHARGE, training=Training("none", {}))
    stay = {"stay_id": "S9", "patient_id": "P7", "hospital_id": "H1", "admission_type": "emergency",
            "status": "discharged", "age_years": 74}  # fmt: skip
    fact = {"stay_id": "S9", "name": "n_stays_prior_365d", "value": "1", "available_from": "admission"}
    undated = {
        "stay_id": "S9",
        "prediction_point": "discharge",
        "records": {"patients": [{"patient_id": "P7", "sex": "female"}], "stays": [stay], "facts": [fact]},
    }
    with client_of(folder) as without_dates:
        document = answer(without_dates, undated, "?explain=full")
    assert document["prediction_time"] is None
    seen = {reason["feature"]: reason["value"] for reason in document["predictions"][0]["reasons"]}
    assert seen["n_stays_prior_365d"] == 1
    assert seen["age_years"] == 74
    # A model that learned from dates asks for them.
    found = problem(client.post("/v1/predictions", json=undated), 422, "invalid-request")
    # Nor is a stay discharged that has no times, where stays have some.
    assert [error["field"] for error in found["errors"]] == [
        "records.stays.0.status",
        "records.stays.0.discharged_at",
    ]


def test_many_at_once_are_answered_as_one_alone(client, admission):
    alone = answer(client, admission)["predictions"]
    with ThreadPoolExecutor(8) as pool:
        for document in pool.map(lambda _: answer(client, admission), range(24)):
            assert document["predictions"] == alone


def test_the_description_is_openapi_3_1_with_examples_that_work(client):
    description = client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    for path in ("/v1/predictions", "/v1/predictions/batch"):
        operation = description["paths"][path]["post"]
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            answered = client.post(path, json=example["value"])
            # This server holds no history.
            assert answered.status_code == 200 or "records-required" in answered.text
        assert {"400", "413", "415", "422", "500", "503"} <= set(operation["responses"])
    text = json.dumps(description)
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= set(description["components"]["schemas"])
    assert {"StaysRow", "HeldRequest"} <= referred


def test_every_answer_of_the_description_has_an_example_of_its_form(client):
    n_checked = 0
    paths = client.get("/openapi.json").json()["paths"]
    for route in (context.original_route for context in iter_route_contexts(client.app.routes)):
        if not route.include_in_schema:
            continue
        (method,) = route.methods
        described = paths[route.path_format][method.lower()]
        for status, response in described["responses"].items():
            for media_type, content in response["content"].items():
                assert content["example"], (route.path, status, media_type)
                if media_type == "application/problem+json":
                    assert ProblemDocument.model_validate(content["example"]).status == int(status)
                elif status == "200" and media_type == "application/json":
                    TypeAdapter(route.response_model).validate_python(content["example"])
                    n_checked += 1
    assert n_checked >= 9


def test_what_may_be_answered_anywhere_is_described_everywhere(client):
    """Two lengths, a failure and too many connections are answered before the route is looked at."""
    for operations in client.get("/openapi.json").json()["paths"].values():
        for operation in operations.values():
            for status in ("400", "500", "503"):
                assert "application/problem+json" in operation["responses"][status]["content"]
