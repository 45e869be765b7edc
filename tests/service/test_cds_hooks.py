"""CDS Hooks 2.0: discovery, calls, cards and feedback, in the shapes of the specification."""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fhir.resources.R4B import get_fhir_model_class
from starlette.testclient import TestClient

from features.points import Point
from models.artefact import Context
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access, insecure_demo_access
from serving.access.roles import Role
from serving.cds_hooks.documents import CardsDocument, ServicesDocument
from serving.cds_hooks.examples import EXAMPLE_CARDS, EXAMPLE_FEEDBACK, EXAMPLE_REQUEST
from serving.cds_hooks.settings import REQUIRED_PREFETCH, CdsSettings, read_settings
from serving.champions.loaded import LiveChampions
from serving.database.connection import open_database, reading
from serving.database.tables import CDS_FEEDBACK
from serving.fhir.records import FhirRecords
from serving.http.responses import answer_problems
from serving.predictions.answers import Answers
from serving.routes.cds_hooks import router
from serving.routes.gate import Gate
from serving.settings import ServingSettings
from serving.store.cards import CardStore, IssuedCard
from serving.store.feedback import FeedbackStore
from tests.fhir_records import PATIENT, Resource, condition, encounter, prefetch, searchset
from tests.issuer import FOREIGN_KEY, claims, settings, token, tokens
from tests.service.test_api import promote
from tests.stored import answer

CONTEXT = Context("Asia/Shanghai", "CNY", {"diagnosis": "icd10", "procedure": "icd9cm3"}, "billed")
# 2026-01-07 12:30 in Shanghai.
NOW = dt.datetime(2026, 1, 7, 4, 30, tzinfo=dt.UTC)
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
SECRET = "Zhang-Wei-4711"
OPEN_STAY = encounter("S9", "2026-01-07T10:00:00+08:00")

REASON = {
    "feature": "n_stays_prior_365d",
    "label": "Admissions in the last year",
    "value": 3,
    "unit": "stays",
    "contribution": 0.62,
    "direction": "raises",
}


def risk(target: str, probability: float, band: str) -> dict[str, Any]:
    return {
        "target": target,
        "probability": probability,
        "band": band,
        "percentile": 0.94,
        "reasons": [REASON],
        "base_value": -2.1,
        "raw_output": -1.2,
        "scale": "log_odds",
        "model": f"{target}-admission/7",
    }


def charges(band: str) -> dict[str, Any]:
    return {
        **risk("charges", 0, band),
        "expected": 41800.0,
        "interval": {"level": 0.8, "low": 26100.0, "high": 66900.0},
        "unit": "money",
        "currency": "CNY",
        "scale": "log_money",
    } | {"model": "charges-admission/2"}


class KnownAnswers:
    """Answers every request with the same predictions, and keeps the requests."""

    def __init__(
        self, *predictions: dict[str, Any], points: Iterable[Point] = Point, warnings: Sequence[str] = ()
    ) -> None:
        self.warnings = list(warnings)
        self.predictions = [
            {k: v for k, v in one.items() if k != "probability" or "expected" not in one}
            for one in predictions
        ]
        self.points = tuple(points)
        self.asked: list[dict[str, Any]] = []
        self.in_force: list[Any] = []
        self.asked_of: list[Any] = []

    def champions(self) -> Any:
        loaded = SimpleNamespace(
            model=SimpleNamespace(artefact=SimpleNamespace(context=CONTEXT, landmark_hours=24.0))
        )
        found = SimpleNamespace(loaded=(loaded,), at=lambda point: (loaded,) if point in self.points else ())
        self.in_force.append(found)
        return found

    def ask(self, content: Any, *, n_reasons: int | None, champions: Any) -> Any:
        assert n_reasons == 5
        self.asked.append(content)
        self.asked_of.append(champions)
        return content

    def answer(self, content: Any) -> dict[str, Any]:
        return {
            "stay_id": content["stay_id"],
            "prediction_point": content["prediction_point"],
            "prediction_time": content.get("prediction_time", "2026-01-08T10:00:00"),
            "predictions": copy.deepcopy(self.predictions),
            "provisional": "prediction_time" in content,
            "warnings": self.warnings,
            "scored_at": "2026-01-07T04:30:00Z",
        }


class Recorded:
    """An audit log in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, list[str], list[str]]] = []

    def record(self, caller: Caller, action: str, stay_ids: Iterable[str], models: Iterable[str]) -> None:
        self.lines.append((caller.name, action, list(stay_ids), list(models)))


class Service:
    """The routes over known answers."""

    def __init__(
        self,
        answers: KnownAnswers,
        engine: sa.Engine,
        cds: CdsSettings,
        *,
        access: Access | None = None,
        now: dt.datetime = NOW,
    ) -> None:
        self.answers, self.audit = answers, Recorded()
        app = FastAPI()
        answer_problems(app)
        app.include_router(
            router(
                access or insecure_demo_access(),
                cast("AuditLog", self.audit),
                cast("Answers", answers),
                CardStore(engine),
                FeedbackStore(engine),
                cds,
                Gate(8),
                ServingSettings(Path("none")),
                records=RECORDS,
                now=lambda: now,
            )
        )
        self.client = TestClient(app)

    def call(self, hook: str, sent: Any, *, encounter_id: str | None = "S9", **more: Any) -> Any:
        context: dict[str, Any] = {"userId": "Practitioner/D1", "patientId": "P7"}
        if encounter_id is not None:
            context["encounterId"] = encounter_id
        if hook.startswith("order-"):
            context |= {"draftOrders": searchset([]), "selections": ["MedicationRequest/M1"]}
        body = {
            "hook": hook,
            "hookInstance": INSTANCE,
            "context": context | more.pop("context", {}),
            "prefetch": sent,
            **more,
        }
        return self.client.post(f"/cds-services/wardcast-{hook}", json=body)

    def cards(self, hook: str, sent: Any, **more: Any) -> list[dict[str, Any]]:
        response = self.call(hook, sent, **more)
        assert response.status_code == 200, response.text
        CardsDocument.model_validate(response.json())
        found: list[dict[str, Any]] = response.json()["cards"]
        return found


# Made once: it holds a data engine.
RECORDS = FhirRecords()


@pytest.fixture(scope="module")
def cds() -> CdsSettings:
    return read_settings()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    opened = open_database(f"sqlite:///{tmp_path_factory.mktemp('store')}/store.db")
    yield opened
    opened.dispose()


@pytest.fixture
def service(engine: sa.Engine, cds: CdsSettings) -> Service:
    return Service(
        KnownAnswers(risk("readmission", 0.231, "high"), risk("complication", 0.03, "low")), engine, cds
    )


def issue(response: Any, status: int, kind: str) -> list[str]:
    """What a refusal says, once it is a valid OperationOutcome of this kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/fhir+json"
    document = response.json()
    get_fhir_model_class("OperationOutcome").model_validate(document)
    assert {one["details"]["coding"][0]["code"] for one in document["issue"]} == {kind}
    return [one["diagnostics"] for one in document["issue"]]


def test_discovery_needs_no_credential_and_lists_a_service_for_each_hook(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    async def nobody(_headers: Any) -> Caller:
        raise AssertionError("asked who it is")

    service = Service(KnownAnswers(), engine, cds, access=Access(nobody))
    response = service.client.get("/cds-services")
    assert response.status_code == 200
    ServicesDocument.model_validate(response.json())
    services = response.json()["services"]
    assert {one["hook"] for one in services} == {
        *("patient-view", "encounter-start", "encounter-discharge", "order-select", "order-sign")
    }
    for one in services:
        assert one["title"]
        assert one["description"]
        assert None not in one.values()


def test_prefetch_templates_keep_to_what_cds_hooks_recommends(cds: CdsSettings) -> None:
    # A read by id, or a search by references and tokens with `=`; tokens are root fields of the context.
    read = re.compile(r"[A-Z][A-Za-z]+/\{\{context\.patientId\}\}")
    search = re.compile(r"[A-Z][A-Za-z]+\?patient=\{\{context\.patientId\}\}(&code=[0-9,-]+)?")
    for template in cds.prefetch.values():
        assert read.fullmatch(template) or search.fullmatch(template), template
    assert set(REQUIRED_PREFETCH) <= set(cds.prefetch)


def test_observations_are_asked_for_by_the_codes_that_features_are_made_of(cds: CdsSettings) -> None:
    from features.codes.measures import MEASURES
    from features.rule_files import rule_rows

    file = Path(__file__).parents[2] / "features" / "codes" / "measure_codes_2025.csv"
    loinc = {row["code"] for row in rule_rows(file) if row["source"].startswith("LOINC")}
    assert MEASURES
    asked = cds.prefetch["observations"].partition("&code=")[2].split(",")
    assert set(asked) == loinc
    assert len(asked) == len(loinc)


def test_a_high_risk_is_a_card_and_a_low_one_is_none(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert card["summary"] == "Unplanned readmission within 30 days of discharge: 23 % (high)"
    assert card["indicator"] == "warning"
    assert card["source"]["label"] == "wardcast"
    assert card["source"]["topic"]["code"] == "admission-prediction"
    assert "- 3 admissions in the last year (raises the risk)" in card["detail"]
    assert "readmission-admission/7" in card["detail"]
    assert UUID(card["uuid"])


def test_a_medium_risk_informs(engine: sa.Engine, cds: CdsSettings) -> None:
    service = Service(KnownAnswers(risk("readmission", 0.1, "medium")), engine, cds)
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert card["indicator"] == "info"


def test_suggestions_are_valid_fhir_about_this_patient_and_encounter(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert card["selectionBehavior"] == "any"
    assert [one["label"] for one in card["suggestions"]] == [
        "Consider: a follow-up visit within 7 days of discharge",
        "Consider: a check of the discharge plan and the medication",
    ]
    kinds = []
    for suggestion in card["suggestions"]:
        assert UUID(suggestion["uuid"])
        [action] = suggestion["actions"]
        assert action["type"] == "create"
        resource = action["resource"]
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        kinds.append(resource["resourceType"])
        assert "{{" not in json.dumps(resource)
        assert resource["encounter"] == {"reference": "Encounter/S9"}
        assert {"reference": "Patient/P7"} in (resource.get("subject"), resource.get("for"))
    assert kinds == ["ServiceRequest", "Task"]


def test_reasons_to_override_have_words(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    assert [one["display"] for one in card["overrideReasons"]] == [
        "Already planned or done",
        "Does not apply to this patient",
        "I assess the risk differently",
        "The patient declined",
    ]
    assert {one["system"] for one in card["overrideReasons"]} == {"urn:wardcast:override-reason"}


def test_every_card_has_another_uuid(service: Service) -> None:
    uuids = [service.cards("encounter-start", prefetch(OPEN_STAY))[0]["uuid"] for _ in range(2)]
    assert uuids[0] != uuids[1]


def test_expected_charges_stand_beside_the_risks(engine: sa.Engine, cds: CdsSettings) -> None:
    service = Service(KnownAnswers(charges("high"), risk("readmission", 0.231, "high")), engine, cds)
    for hook in ("order-select", "order-sign"):
        [card] = service.cards(hook, prefetch(OPEN_STAY))
        assert card["summary"] == "Expected charges of this stay: 41,800 CNY (high)"
        assert "In 80 of 100 such admissions it lies between 26,100 CNY and 66,900 CNY." in card["detail"]
        assert "- **Unplanned readmission within 30 days of discharge: 23 %**" in card["detail"]
        assert "- Complication of care in this episode: not predicted" in card["detail"]
        assert "Orders that are not signed yet are not part of it." in card["detail"]
        # Escaped or not, a hyphen and a slash are themselves in Markdown.
        assert (
            "Model charges-admission/2, readmission-admission/7, as of 2026-01-07 12:30 (Asia/Shanghai)."
            in card["detail"]
        )
        assert "suggestions" not in card
        assert "selectionBehavior" not in card


def test_a_card_tells_what_its_prediction_rests_on(engine: sa.Engine, cds: CdsSettings) -> None:
    warnings = (
        "outside the models' population: died in hospital",
        "charges not sent: unknown, its features are missing",
        "history_from not sent: the history is taken as complete",
        "2 values are in a unit that is not known and are not used",
        "observations not sent: unknown, its features are missing",
    )
    answers = KnownAnswers(risk("readmission", 0.231, "high"), warnings=warnings)
    [card] = Service(answers, engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    # What the prediction is worth first, then what the records lack, the shortest line first.
    assert (
        "- Preliminary: made before its full time of observation.\n"
        "- Outside the models' population: died in hospital.\n"
        "- Counted from a discharge alive and to no other hospital, which is still to come.\n"
        "- Values in a unit that is not known, not used: 2.\n"
        "- The records that were sent are taken as the whole history.\n"
        "- Not sent, so not known to the model: charges, laboratory values and scores.\n\n"
    ) in card["detail"]


def test_a_card_keeps_to_few_lines_about_the_records(engine: sa.Engine, cds: CdsSettings) -> None:
    warnings = [f"{n} codes are not in the code set of icd{n}: treated as unknown" for n in range(2, 9)]
    answers = KnownAnswers(risk("complication", 0.4, "high"), warnings=warnings)
    [card] = Service(answers, engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    # Seven notes: the four shortest, and how many there are beside them.
    assert card["detail"].count("that the code set") == 4
    assert "- Further notes on the records: 3." in card["detail"]


def test_a_card_long_after_its_prediction_time_says_what_is_not_part_of_it(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    warnings = ("7 rows lie after the prediction time and are ignored",)
    answers = KnownAnswers(risk("readmission", 0.231, "high"), warnings=warnings)
    # The stay began on the 7th at 10:00 in Shanghai, its landmark is 24 hours later, the chart is opened on
    # the 10th at 10:00.
    service = Service(answers, engine, cds, now=dt.datetime(2026, 1, 10, 2, 0, tzinfo=dt.UTC))
    [card] = service.cards("patient-view", prefetch(OPEN_STAY))
    later = "- As of 2026-01-08 10:00 (Asia/Shanghai): what was recorded since then is not part of it."
    assert later in card["detail"]
    assert "Rows of the records after" not in card["detail"]
    [soon] = Service(answers, engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    assert "what was recorded since then" not in soon["detail"]
    assert "- Rows of the records after the prediction time, not used: 7." in soon["detail"]


@pytest.mark.parametrize(
    ("percentile", "told"),
    [(1.0, "more than 99 %"), (0.9962, "more than 99 %"), (0.94, "94 %"), (0.0, "less than 1 %")],
)
def test_nobody_is_told_to_be_above_all_admissions(
    engine: sa.Engine, cds: CdsSettings, percentile: float, told: str
) -> None:
    found = risk("readmission", 0.231, "high") | {"percentile": percentile}
    [card] = Service(KnownAnswers(found), engine, cds).cards("patient-view", prefetch(OPEN_STAY))
    assert f"(high; higher than in {told} of the admissions it was calibrated on)" in card["detail"]


def test_reasons_against_a_card_about_money_are_about_money(engine: sa.Engine, cds: CdsSettings) -> None:
    service = Service(KnownAnswers(charges("high"), risk("readmission", 0.231, "high")), engine, cds)
    [card] = service.cards("order-sign", prefetch(OPEN_STAY))
    assert [one["display"] for one in card["overrideReasons"]] == [
        "This patient needs the care",
        "Cost and stay were already reviewed",
        "Does not apply to this patient",
        "I expect another cost or length of stay",
    ]


def test_nothing_is_proposed_for_whom_the_models_do_not_know(engine: sa.Engine, cds: CdsSettings) -> None:
    # A follow-up visit for a patient who died would be worse than no card.
    warnings = ("outside the models' population: died in hospital",)
    answers = KnownAnswers(risk("readmission", 0.6, "high"), warnings=warnings)
    [card] = Service(answers, engine, cds).cards("encounter-discharge", prefetch(OPEN_STAY))
    assert card["indicator"] == "info"
    assert "suggestions" not in card
    assert "- Outside the models' population: died in hospital." in card["detail"]
    # Who is about to leave is whom a follow-up visit is for.
    answers.warnings = ["outside the models' population: not yet discharged"]
    [leaving] = Service(answers, engine, cds).cards("encounter-discharge", prefetch(OPEN_STAY))
    assert leaving["indicator"] == "warning"
    assert "- Not yet discharged: predicted as if the patient left now." in leaving["detail"]
    assert len(leaving["suggestions"]) == 2


def test_an_interval_without_an_upper_end_says_at_least(engine: sa.Engine, cds: CdsSettings) -> None:
    open_ended = charges("high")
    open_ended["interval"]["high"] = None
    [card] = Service(KnownAnswers(open_ended), engine, cds).cards("order-sign", prefetch(OPEN_STAY))
    assert "In 80 of 100 such admissions it is at least 26,100 CNY." in card["detail"]


def test_texts_of_records_are_no_markdown(engine: sa.Engine, cds: CdsSettings) -> None:
    prediction = risk("readmission", 0.231, "high")
    prediction["reasons"] = [
        {**REASON, "feature": "ward", "label": "Department", "value": "[click](http://x)<b>", "unit": ""}
    ]
    [card] = Service(KnownAnswers(prediction), engine, cds).cards("encounter-start", prefetch(OPEN_STAY))
    assert r"\[click\](http://x)\<b\>" in card["detail"]


def test_a_title_of_any_length_makes_a_summary_below_140_characters(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    wordy = cds.model_copy(update={"targets": {**cds.targets, "readmission": "Readmission " * 20}})
    [card] = Service(KnownAnswers(risk("readmission", 0.2, "high")), engine, wordy).cards(
        "encounter-start", prefetch(OPEN_STAY)
    )
    assert len(card["summary"]) == 139
    assert card["summary"].endswith("…")


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> CdsSettings:
    file = tmp_path_factory.mktemp("cds") / "cds.toml"
    file.write_text('language = "zh"\n', "utf-8")
    return read_settings(file)


def test_a_card_in_chinese_has_no_word_of_english(engine: sa.Engine, chinese: CdsSettings) -> None:
    warnings = (
        "outside the models' population: newborns",
        "visits not sent: unknown, its features are missing",
    )
    answers = KnownAnswers(charges("high"), risk("readmission", 0.231, "high"), warnings=warnings)
    service = Service(answers, engine, chinese)
    [card] = service.cards("order-sign", prefetch(OPEN_STAY))
    assert card["summary"] == "预期本次住院费用：41,800 元（高）"
    for told in (
        "**预期本次住院费用：41,800 元**（高；高于校准所用住院病例中的 94%）",
        "每 100 例此类住院中，约 80 例的实际值在 26,100 元至 66,900 元之间。",
        "- 近一年住院次数：3 次（使预期费用增加）",
        "- **出院后 30 天内非计划再入院风险：23%**（高；高于校准所用住院病例中的 94%）",
        "- 本次诊疗期间发生并发症的风险：未预测",
        "- 初步预测：观察时间未满，结果仍可能变化。\n- 不属于模型适用人群：新生儿。\n",
        "- 未提供、按未知处理：门急诊就诊记录。",
        "这是模型的计算结果，不代表因果关系。最终由临床医生决定。",
    ):
        assert told in card["detail"]
    known = Service(KnownAnswers(risk("readmission", 0.231, "high")), engine, chinese)
    [risky] = known.cards("patient-view", prefetch(OPEN_STAY))
    labels = [one["label"] for one in risky["suggestions"]]
    assert labels == ["可考虑：出院后 7 天内随访", "可考虑：核对出院计划和用药"]
    assert [one["display"] for one in risky["overrideReasons"]] == [
        *("已安排或已完成", "不适用于该患者", "本人对风险的判断不同", "患者拒绝")
    ]
    # The names of models and time zones are names.
    for one in (card, risky):
        told = one["summary"] + re.sub(r"[a-z]+-admission/\d|Asia/Shanghai", "", one["detail"])
        assert re.findall("[A-Za-z]+", told) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_summary_of_any_target_and_value_is_below_140_characters(
    engine: sa.Engine, cds: CdsSettings, chinese: CdsSettings, language: str
) -> None:
    settings = {"en": cds, "zh": chinese}[language]
    for target in settings.targets:
        found = (
            charges("medium")
            if target in ("charges", "cost", "stay_days")
            else risk(target, 0.0004, "medium")
        )
        found |= {"target": target} | ({"expected": 1_284_067_000.0} if "expected" in found else {})
        only = settings.services[0].model_copy(update={"targets": [target]})
        service = Service(KnownAnswers(found), engine, settings.model_copy(update={"services": [only]}))
        [card] = service.cards("patient-view", prefetch(OPEN_STAY))
        assert len(card["summary"]) < 140
        assert "…" not in card["summary"]


# What is asked of the models. The stay began 2026-01-07 10:00 in Shanghai, 2 hours and a half ago.


def test_in_the_first_day_of_a_stay_it_is_asked_as_of_now(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    [asked] = service.answers.asked
    assert (asked["stay_id"], asked["prediction_point"]) == ("S9", "admission")
    assert asked["prediction_time"] == "2026-01-07T12:30:00"
    assert asked["records"]["stays"][0]["admitted_at"] == "2026-01-07T10:00:00"
    assert "Preliminary: made before its full time of observation." in card["detail"]


def test_once_the_landmark_has_passed_it_is_the_points_own_prediction(
    engine: sa.Engine, cds: CdsSettings
) -> None:
    # 24 hours after 02:00 UTC of the 7th: from 02:00 UTC of the 8th on.
    for now, as_of in (
        (dt.datetime(2026, 1, 8, 1, 59, tzinfo=dt.UTC), "2026-01-08T09:59:00"),
        (dt.datetime(2026, 1, 8, 2, 0, tzinfo=dt.UTC), None),
    ):
        service = Service(KnownAnswers(risk("readmission", 0.2, "high")), engine, cds, now=now)
        service.cards("patient-view", prefetch(OPEN_STAY))
        assert service.answers.asked[0].get("prediction_time") == as_of


def test_at_discharge_a_stay_that_goes_on_is_asked_about_as_of_now(service: Service) -> None:
    service.cards("encounter-discharge", prefetch(OPEN_STAY))
    assert service.answers.asked[0]["prediction_point"] == "discharge"
    assert service.answers.asked[0]["prediction_time"] == "2026-01-07T12:30:00"


def test_until_the_patient_has_left_the_days_after_discharge_are_to_come(service: Service) -> None:
    to_come = "Counted from a discharge alive and to no other hospital, which is still to come."
    [early] = service.cards("encounter-discharge", prefetch(OPEN_STAY))
    assert to_come in early["detail"]
    ended = encounter("S9", "2026-01-05T10:00:00+08:00", "2026-01-07T11:00:00+08:00")
    [after] = service.cards("encounter-discharge", prefetch(ended))
    assert to_come not in after["detail"]


def test_at_discharge_a_stay_that_has_ended_is_asked_about_at_its_end(service: Service) -> None:
    ended = encounter("S9", "2026-01-05T10:00:00+08:00", "2026-01-07T11:00:00+08:00")
    service.cards("encounter-discharge", prefetch(ended))
    assert "prediction_time" not in service.answers.asked[0]


def test_a_booked_stay_is_asked_about_before_admission(service: Service) -> None:
    booked = encounter("S9", "2026-01-12T08:00:00+08:00", status="planned")
    booked["statusHistory"] = [
        {"status": "planned", "period": {"start": "2026-01-02T09:00:00+08:00", "end": "2026-01-12"}}
    ]
    service.cards("patient-view", prefetch(booked))
    assert service.answers.asked[0]["prediction_point"] == "preadmission"


def test_a_chart_without_an_encounter_is_about_the_one_open_stay(service: Service) -> None:
    before = encounter("S3", "2025-11-02T09:00:00+08:00", "2025-11-09T11:00:00+08:00")
    [card] = service.cards("patient-view", prefetch(before, OPEN_STAY), encounter_id=None)
    assert service.answers.asked[0]["stay_id"] == "S9"
    assert card["suggestions"][0]["actions"][0]["resource"]["encounter"]["reference"] == "Encounter/S9"


def test_a_part_of_a_stay_is_the_stay(service: Service) -> None:
    part = encounter("S9a", "2026-01-07T10:00:00+08:00") | {"partOf": {"reference": "Encounter/S9"}}
    service.cards("patient-view", prefetch(OPEN_STAY, part), encounter_id="S9a")
    assert service.answers.asked[0]["stay_id"] == "S9"


@pytest.mark.parametrize(
    ("hook", "encounters"),
    [
        ("patient-view", [encounter("S9", "2025-11-02T09:00:00+08:00", "2025-11-09T11:00:00+08:00")]),
        ("patient-view", [encounter("S9", "2026-01-07T09:00:00+08:00", kind="AMB")]),
        ("encounter-start", [encounter("S9", "2026-01-07T23:00:00+08:00")]),
        ("patient-view", [encounter("S9", "2026-01-12T08:00:00+08:00", status="cancelled")]),
    ],
    ids=["ended", "an outpatient visit", "begins later", "cancelled"],
)
def test_where_there_is_nothing_to_predict_there_is_no_card(
    service: Service, hook: str, encounters: list[Resource]
) -> None:
    assert service.cards(hook, prefetch(*encounters)) == []
    assert service.answers.asked == []
    assert service.audit.lines == []


def test_where_no_model_predicts_there_is_no_card(engine: sa.Engine, cds: CdsSettings) -> None:
    without_point = Service(KnownAnswers(risk("readmission", 0.2, "high"), points=[]), engine, cds)
    assert without_point.cards("patient-view", prefetch(OPEN_STAY)) == []
    of_another_target = Service(KnownAnswers(charges("high")), engine, cds)
    assert of_another_target.cards("patient-view", prefetch(OPEN_STAY)) == []


def test_one_set_of_champions_decides_on_a_whole_call(service: Service) -> None:
    # Others come into force whenever somebody looks: none of them may answer what the first was asked.
    service.cards("encounter-start", prefetch(OPEN_STAY))
    assert len(service.answers.in_force) == 1
    assert service.answers.asked_of[0] is service.answers.in_force[0]


# What is prefetched.


def test_what_was_looked_for_and_not_found_is_none_and_what_was_not_looked_for_is_unknown(
    service: Service,
) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY, conditions=None, procedures=searchset([])))
    records = service.answers.asked[0]["records"]
    assert records["diagnoses"] == []
    assert records["procedures"] == []
    assert "observations" not in records


def test_whose_encounters_all_came_had_no_other_visits(service: Service) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY))
    paged = searchset([OPEN_STAY]) | {"link": [{"relation": "next", "url": "https://ehr.example/page2"}]}
    service.cards("encounter-start", {"patient": PATIENT, "encounters": paged})
    visit = encounter("V1", "2025-12-01T09:00:00+08:00", "2025-12-01T10:00:00+08:00", kind="EMER")
    service.cards("encounter-start", prefetch(OPEN_STAY, visit))
    every, some, one = (asked["records"] for asked in service.answers.asked)
    assert every["visits"] == []
    assert "visits" not in some
    assert [row["kind"] for row in one["visits"]] == ["emergency"]


def test_a_query_that_failed_is_not_none(service: Service) -> None:
    failed = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "timeout"}],
    }
    service.cards("encounter-start", prefetch(OPEN_STAY, conditions=failed))
    assert "diagnoses" not in service.answers.asked[0]["records"]


def test_a_resource_that_two_queries_found_counts_once(service: Service) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY, OPEN_STAY))
    assert len(service.answers.asked[0]["records"]["stays"]) == 1


def test_another_patients_records_are_left_out_and_counted(service: Service) -> None:
    child = {**PATIENT, "id": "P8"}
    others = encounter("S8", "2026-01-07T10:00:00+08:00", patient="P8")
    sent = prefetch(OPEN_STAY, others, conditions=searchset([child, condition("C1", "S8", "Z38.0")]))
    [card] = service.cards("encounter-start", sent)
    records = service.answers.asked[0]["records"]
    assert [row["patient_id"] for row in records["patients"]] == ["P7"]
    assert [row["stay_id"] for row in records["stays"]] == ["S9"]
    assert records["diagnoses"] == []
    # Their stay and its diagnosis.
    assert "Records with errors, not used: 2." in card["detail"]


def benefit(currency: str | None) -> Resource:
    """What the stay S3 of 2025 cost."""
    amount = {"value": 18200.0} | ({} if currency is None else {"currency": currency})
    types = "http://terminology.hl7.org/CodeSystem/"
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": "E1",
        "status": "active",
        "type": {"coding": [{"system": f"{types}claim-type", "code": "institutional"}]},
        "use": "claim",
        "patient": {"reference": "Patient/P7"},
        "created": "2025-11-10",
        "insurer": {"reference": "Organization/I1"},
        "provider": {"reference": "Organization/H1"},
        "outcome": "complete",
        "insurance": [{"focal": True, "coverage": {"reference": "Coverage/C1"}}],
        "billablePeriod": {"start": "2025-11-02", "end": "2025-11-09"},
        "item": [
            {
                "sequence": 1,
                "productOrService": {"text": "bed"},
                "encounter": [{"reference": "Encounter/S3"}],
                "servicedDate": "2025-11-03",
                "net": amount,
            }
        ],
        "total": [
            {
                "category": {"coding": [{"system": f"{types}adjudication", "code": "submitted"}]},
                "amount": amount,
            }
        ],
    }


BEFORE = encounter("S3", "2025-11-02T09:00:00+08:00", "2025-11-09T11:00:00+08:00")


@pytest.mark.parametrize("currency", ["CNY", None])
def test_amounts_are_read_in_the_currency_of_the_models(service: Service, currency: str | None) -> None:
    sent = prefetch(BEFORE, OPEN_STAY, explanationsOfBenefit=searchset([benefit(currency)]))
    [card] = service.cards("encounter-start", sent)
    [asked] = service.answers.asked
    assert asked["currency"] == "CNY"
    costs = {row["stay_id"]: row.get("total_cost") for row in asked["records"]["stays"]}
    assert costs == {"S3": 18200.0, "S9": None}
    assert len(asked["records"]["charges"]) == 1
    assert "currency" not in card["detail"]


def test_a_stay_that_was_paid_for_in_another_currency_is_a_stay_of_unknown_cost(service: Service) -> None:
    sent = prefetch(BEFORE, OPEN_STAY, explanationsOfBenefit=searchset([benefit("USD")]))
    [card] = service.cards("encounter-start", sent)
    [asked] = service.answers.asked
    costs = {row["stay_id"]: row.get("total_cost") for row in asked["records"]["stays"]}
    assert costs == {"S3": None, "S9": None}
    # Charges in part would be read as few.
    assert "charges" not in asked["records"]
    # The total and the one item.
    assert "- Amounts in another currency than CNY, not used: 2." in card["detail"]


def test_pages_that_did_not_come_are_told(service: Service) -> None:
    paged = searchset([OPEN_STAY]) | {"link": [{"relation": "next", "url": "https://ehr.example/page2"}]}
    [card] = service.cards("encounter-start", {"patient": PATIENT, "encounters": paged})
    assert "Only a part of the records came: what is missing is not known." in card["detail"]


NO_HOSPITAL = (
    "no serviceProvider. Send Encounter.serviceProvider, or name the hospital in the server's setting "
    "`hospital`"
)


def but(resource: Resource, *without: str, **other: Any) -> Resource:
    """The resource without some elements, or with others in their place."""
    return {name: value for name, value in resource.items() if name not in without} | other


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({}, ["prefetch.patient: holds no Patient.", "prefetch.encounters: holds no Encounter."]),
        ({"patient": PATIENT}, ["prefetch.encounters: holds no Encounter."]),
        (prefetch(), ["prefetch.encounters: holds no Encounter."]),
        ({"patient": None, "encounters": searchset([OPEN_STAY])}, ["prefetch.patient: holds no Patient."]),
        (
            {"patient": but(PATIENT, id="P8"), "encounters": searchset([OPEN_STAY])},
            ["prefetch.patient: holds 1 Patient, none with the id of context.patientId."],
        ),
        (
            prefetch(encounter("S3", "2026-01-07T10:00:00+08:00")),
            ["context.encounterId: names none of the 1 Encounter of prefetch.encounters by its id."],
        ),
        (
            prefetch(but(OPEN_STAY, period={"start": "07.01.2026"})),
            ["prefetch.encounters: 1 of 1 Encounter left out: not valid FHIR R4 at period.start."],
        ),
        (
            prefetch(but(OPEN_STAY, "class")),
            ["prefetch.encounters: 1 of 1 Encounter left out: not valid FHIR R4 at class"],
        ),
        (
            prefetch(but(OPEN_STAY, "serviceProvider"), encounter("S1", "2025-01-07T10:00:00+08:00", "2025")),
            [
                "prefetch.encounters: 1 of 2 Encounters left out: unreadable at period.end.",
                f"prefetch.encounters: 1 of 2 Encounters left out: {NO_HOSPITAL}",
            ],
        ),
        (
            prefetch(but(OPEN_STAY, subject={"reference": "Patient/P8"})),
            ["prefetch.encounters: 1 of 1 Encounter left out: the subject is not the patient of the context"],
        ),
    ],
    ids=[
        *("nothing", "no encounters", "none found", "no patient", "another patient", "not this encounter"),
        *("unreadable", "no class", "no hospital", "of another"),
    ],
)
def test_missing_records_are_412_with_each_cause_its_count_and_what_to_do(
    service: Service, sent: dict[str, Any], told: list[str]
) -> None:
    response = service.call("encounter-start", sent)
    found = issue(response, 412, "missing-data")
    assert [one[: len(start)] for one, start in zip(found, told, strict=True)] == told
    for value in ("S9", "S1", "S3", "P7", "P8", "07.01.2026"):
        assert value not in response.text


def test_an_open_stay_that_was_left_out_is_told_where_the_context_names_none(service: Service) -> None:
    sent = prefetch(but(OPEN_STAY, "serviceProvider"))
    [told] = issue(service.call("patient-view", sent, encounter_id=None), 412, "missing-data")
    assert told == f"prefetch.encounters: 1 of 1 Encounter left out: {NO_HOSPITAL}"


def test_an_earlier_stay_that_was_left_out_stops_no_call(service: Service) -> None:
    earlier = but(
        encounter("S1", "2025-01-07T10:00:00+08:00", "2025-01-09T10:00:00+08:00"), "serviceProvider"
    )
    assert service.cards("patient-view", prefetch(earlier), encounter_id=None) == []
    [card] = service.cards("encounter-start", prefetch(earlier, OPEN_STAY))
    assert "Records with errors, not used: 1." in card["detail"]


def test_what_is_no_resource_is_422_without_a_value_of_it(service: Service) -> None:
    for broken in (SECRET, [SECRET], {"name": SECRET}, {"resourceType": "Bundle", "entry": [SECRET]}):
        response = service.call("encounter-start", prefetch(OPEN_STAY, conditions=broken))
        issue(response, 422, "invalid-request")
        assert SECRET not in response.text


def test_two_versions_none_of_which_is_newer_are_422(service: Service) -> None:
    other = {**OPEN_STAY, "status": "finished"}
    [told] = issue(service.call("encounter-start", prefetch(OPEN_STAY, other)), 422, "invalid-request")
    assert "1 ids of type Encounter" in told


# Requests.


def test_the_request_of_the_specification_is_taken(service: Service) -> None:
    # Its shape: fhirServer with fhirAuthorization, and an extension; a server that is named is never called.
    authorization = {
        "access_token": "opaque",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "user/Patient.read user/Observation.read",
        "subject": "cds-service4",
    }
    cards = service.cards(
        "patient-view",
        prefetch(OPEN_STAY),
        fhirServer="http://127.0.0.1:9/never-called",
        fhirAuthorization=authorization,
        extension={"com.example.timestamp": "2026-01-07T12:30:00Z"},
    )
    assert len(cards) == 1


def test_the_examples_of_the_description_are_of_its_shape(service: Service) -> None:
    response = service.client.post("/cds-services/wardcast-encounter-start", json=EXAMPLE_REQUEST)
    assert response.status_code == 200
    CardsDocument.model_validate(EXAMPLE_CARDS)
    response = service.client.post("/cds-services/wardcast-encounter-start/feedback", json=EXAMPLE_FEEDBACK)
    assert response.status_code == 200


def test_a_hook_that_is_not_the_services_is_422(service: Service) -> None:
    body = {**EXAMPLE_REQUEST, "hook": "patient-view"}
    response = service.client.post("/cds-services/wardcast-encounter-start", json=body)
    assert issue(response, 422, "invalid-request") == ["hook: must be encounter-start for this service"]


def test_a_service_that_is_not_there_is_404(service: Service) -> None:
    for path in ("/cds-services/other", "/cds-services/other/feedback"):
        issue(service.client.post(path, json={}), 404, "unknown-service")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hookInstance": "not-a-uuid"}, "hookInstance"),
        ({"context": {"userId": "Practitioner/D1", "patientId": "P7"}}, "context.encounterId"),
        ({"context": {"userId": "Practitioner/D1", "encounterId": "S9"}}, "context.patientId"),
        ({"context": {"userId": "U", "patientId": f"P7 {SECRET}", "encounterId": "S9"}}, "context.patientId"),
        ({"context": [SECRET]}, "context"),
        ({"prefetch": SECRET}, "prefetch"),
    ],
)
def test_what_the_specification_requires_is_required(
    service: Service, changes: dict[str, Any], field: str
) -> None:
    response = service.client.post(
        "/cds-services/wardcast-encounter-start", json={**EXAMPLE_REQUEST, **changes}
    )
    [told] = issue(response, 422, "invalid-request")
    assert told.startswith(f"{field}: ")
    assert SECRET not in response.text


def test_orders_need_their_drafts(service: Service) -> None:
    response = service.call("order-select", prefetch(OPEN_STAY), context={"draftOrders": None})
    assert issue(response, 422, "invalid-request") == ["context.draftOrders: must be an object"]


def test_bodies_that_are_no_json_are_refused(service: Service) -> None:
    path = "/cds-services/wardcast-encounter-start"
    headers = {"content-type": "application/json"}
    issue(service.client.post(path, content=b"{", headers=headers), 400, "malformed-json")
    issue(service.client.post(path, content=b"[]", headers=headers), 422, "invalid-request")
    issue(service.client.post(path, content=b"hook"), 415, "unsupported-media-type")


def test_who_may_not_use_the_services_is_refused(engine: sa.Engine, cds: CdsSettings) -> None:
    async def planner(_headers: Any) -> Caller:
        return Caller("ward", frozenset({Role.PLANNER}), None)

    service = Service(KnownAnswers(), engine, cds, access=Access(planner))
    response = service.call("encounter-start", prefetch(OPEN_STAY))
    issue(response, 403, "forbidden")
    assert "WWW-Authenticate" in response.headers


def test_every_card_is_recorded_with_stay_and_models(service: Service) -> None:
    service.cards("encounter-start", prefetch(OPEN_STAY))
    assert service.audit.lines == [
        ("insecure-demo", "read_cards", ["S9"], ["readmission-admission/7", "complication-admission/7"])
    ]


def test_every_card_is_kept_with_what_stands_on_it(engine: sa.Engine, cds: CdsSettings) -> None:
    answers = KnownAnswers(
        charges("medium"), risk("readmission", 0.231, "high"), risk("complication", 0.3, "high")
    )
    service, store = Service(answers, engine, cds), CardStore(engine)
    [card] = service.cards("order-sign", prefetch(OPEN_STAY))
    assert store.find(card["uuid"]) == IssuedCard(
        uuid=card["uuid"],
        service="wardcast-order-sign",
        stay_id="S9",
        prediction_point="admission",
        models=("charges-admission/2", "readmission-admission/7", "complication-admission/7"),
        indicator="info",
        issued_at=NOW,
        issued_to="insecure-demo",
        hook_instance=INSTANCE,
    )
    two = service.cards("patient-view", prefetch(OPEN_STAY))
    kept_cards = [store.find(one["uuid"]) for one in two]
    assert [one.models for one in kept_cards if one] == [
        ("readmission-admission/7",),
        ("complication-admission/7",),
    ]
    assert store.find("00000000-0000-4000-8000-000000000000") is None


# Feedback.


def kept(engine: sa.Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        rows = connection.execute(sa.select(CDS_FEEDBACK).order_by(CDS_FEEDBACK.c.id)).mappings().all()
    return [dict(row) for row in rows]


def send(service: Service, *feedback: dict[str, Any], of: str = "encounter-start") -> Any:
    return service.client.post(f"/cds-services/wardcast-{of}/feedback", json={"feedback": list(feedback)})


def test_an_accepted_suggestion_comes_back_to_the_store(service: Service, engine: sa.Engine) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    suggestion = card["suggestions"][0]["uuid"]
    response = send(
        service,
        {
            "card": card["uuid"],
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": suggestion}],
            "outcomeTimestamp": "2026-01-07T12:31:00+08:00",
        },
    )
    assert response.status_code == 200
    assert response.json() == {"received": 1}
    row = kept(engine)[-1]
    assert (row["service"], row["card"], row["outcome"]) == (
        "wardcast-encounter-start",
        card["uuid"],
        "accepted",
    )
    assert json.loads(row["accepted_suggestions"]) == [suggestion]
    assert row["override_reason"] is None
    assert row["outcome_at"] == dt.datetime(2026, 1, 7, 4, 31, tzinfo=dt.UTC)
    assert row["received_from"] == "insecure-demo"


def test_an_overridden_card_comes_back_with_reason_and_comment(service: Service, engine: sa.Engine) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    reason = {name: card["overrideReasons"][0][name] for name in ("system", "code")}
    overridden = {
        "card": card["uuid"],
        "outcome": "overridden",
        "overrideReason": {"reason": reason, "userComment": "Seen yesterday."},
        "outcomeTimestamp": "2026-01-07T04:31:00.52Z",
    }
    dismissed = {
        "card": card["uuid"],
        "outcome": "overridden",
        "outcomeTimestamp": "2026-01-07T04:32:00Z",
    }
    assert send(service, overridden, dismissed).json() == {"received": 2}
    with_reason, without = kept(engine)[-2:]
    assert json.loads(with_reason["override_reason"]) == {"reason": reason, "userComment": "Seen yesterday."}
    assert with_reason["outcome_at"] == dt.datetime(2026, 1, 7, 4, 31, 0, 520_000, tzinfo=dt.UTC)
    assert without["override_reason"] is None


def test_feedback_that_is_sent_again_is_kept_once(service: Service, engine: sa.Engine) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    first = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-01-07T04:31:00.5Z"}
    # The same instant in another form, as a proxy or a second try may write it.
    again = {**first, "outcomeTimestamp": "2026-01-07T12:31:00.500+08:00"}
    later = {**first, "outcomeTimestamp": "2026-01-07T04:32:00Z"}
    before = len(kept(engine))
    answers = [send(service, first, first), send(service, first), send(service, again, later)]
    # Who tries again is answered as the first time.
    assert [response.json() for response in answers] == [{"received": n} for n in (2, 1, 2)]
    found = kept(engine)[before:]
    assert [row["outcome_at"] for row in found] == [
        dt.datetime(2026, 1, 7, 4, 31, 0, 500_000, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 7, 4, 32, tzinfo=dt.UTC),
    ]
    # What another service, or another caller, says of a card is another's word.
    send(service, first, of="patient-view")
    assert len(kept(engine)) == before + 3


def test_an_unknown_card_is_answered_like_a_known_one(service: Service) -> None:
    [card] = service.cards("encounter-start", prefetch(OPEN_STAY))
    told = {"outcome": "overridden", "outcomeTimestamp": "2026-01-07T04:31:00Z"}
    known = send(service, {"card": card["uuid"], **told})
    unknown = send(service, {"card": "00000000-0000-4000-8000-000000000000", **told})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"outcome": "accepted"}, "feedback.0"),
        ({"outcome": "ignored"}, "feedback.0.outcome"),
        ({"outcomeTimestamp": "2026-01-07T04:31:00"}, "feedback.0.outcomeTimestamp"),
        ({"outcomeTimestamp": SECRET}, "feedback.0.outcomeTimestamp"),
        ({"card": SECRET}, "feedback.0.card"),
        ({"overrideReason": {"reason": {"code": SECRET}}}, "feedback.0.overrideReason.reason.system"),
    ],
)
def test_feedback_that_is_none_is_422_and_nothing_of_it_is_kept(
    service: Service, engine: sa.Engine, changes: dict[str, Any], field: str
) -> None:
    good = {
        "card": "4e0a3a1e-3283-4575-ab82-028d55fe2719",
        "outcome": "overridden",
        "outcomeTimestamp": "2026-01-07T04:31:00Z",
    }
    before = len(kept(engine))
    response = send(service, {**good, **changes}, good)
    [told] = issue(response, 422, "invalid-request")
    assert told.startswith(f"{field}: ")
    assert SECRET not in response.text
    assert len(kept(engine)) == before


def test_no_feedback_is_422(service: Service) -> None:
    issue(send(service), 422, "invalid-request")


def test_a_stored_answer_of_a_card_is_what_the_api_gives() -> None:
    # The made-up predictions above have the fields of the API's own.
    assert set(risk("readmission", 0.2, "high")) == set(answer("S9").document["predictions"][0])


def test_from_resources_to_a_card_with_models_in_force(
    engine: sa.Engine, cds: CdsSettings, tmp_path: Path
) -> None:
    # The stay before ended 58 days ago; the models' output rises with such stays.
    for target in ("readmission", "complication", "cost"):
        promote(tmp_path / "champions", target)
    serving = ServingSettings(tmp_path / "champions")
    champions = LiveChampions(serving.champions)
    orders = cds.model_copy(update={"indicators": {"low": "info", "medium": "info", "high": "warning"}})
    app = FastAPI()
    answer_problems(app)
    app.include_router(
        router(
            insecure_demo_access(),
            cast("AuditLog", Recorded()),
            Answers(champions, serving),
            CardStore(engine),
            FeedbackStore(engine),
            orders,
            Gate(8),
            serving,
            records=FhirRecords(),
            now=lambda: NOW,
        )
    )
    before = encounter("S3", "2025-11-02T09:00:00+08:00", "2025-11-09T11:00:00+08:00")
    sent = prefetch(before, OPEN_STAY, conditions=searchset([condition("C1", "S3", "I50.0")]))
    context = {"userId": "Practitioner/D1", "patientId": "P7", "encounterId": "S9"}
    with TestClient(app) as client:
        body = {"hook": "encounter-start", "hookInstance": INSTANCE, "context": context, "prefetch": sent}
        response = client.post("/cds-services/wardcast-encounter-start", json=body)
        assert response.status_code == 200, response.text
        cards = CardsDocument.model_validate(response.json()).cards
        assert len(cards) == 2
        assert "1 admission in the last year" in cards[0].detail
        drafts = {"draftOrders": searchset([]), "selections": ["MedicationRequest/M1"]}
        body |= {"hook": "order-select", "context": {**context, **drafts}}
        response = client.post("/cds-services/wardcast-order-select", json=body)
        assert response.status_code == 200, response.text
        [card] = CardsDocument.model_validate(response.json()).cards
        assert card.summary.startswith("Expected cost of the episode: ")
        assert "Unplanned readmission" in card.detail


def test_half_of_a_character_in_a_resource_is_no_failure(service: Service) -> None:
    # JSON may hold one half of a surrogate pair; nothing can write it out again.
    body = {
        **EXAMPLE_REQUEST,
        "prefetch": prefetch(OPEN_STAY, conditions=searchset([{**PATIENT, "resourceType": "\ud800"}])),
    }
    wrong = {**condition("C1", "S9", "I50.0"), "subject": {"resourceType": "\ud800"}, "id": "\u0000"}
    for conditions in (body["prefetch"]["conditions"], searchset([wrong])):
        body["prefetch"]["conditions"] = conditions
        response = service.client.post(
            "/cds-services/wardcast-encounter-start",
            content=json.dumps(body),
            headers={"content-type": "application/json"},
        )
        assert response.status_code == 200, response.text


def test_more_resources_than_can_be_validated_in_time_are_422(service: Service) -> None:
    many = searchset([OPEN_STAY] * 10_000)
    told = issue(
        service.call("encounter-start", {"patient": PATIENT, "encounters": many}), 422, "invalid-request"
    )
    assert told == ["prefetch: has 10001 resources; at most 10000. Set _count in the templates"]


def test_nesting_as_deep_as_json_may_be_is_no_failure(service: Service) -> None:
    deep: Any = {"resourceType": "Condition", "id": "C1"}
    for _ in range(400):
        deep = {"resourceType": "Condition", "id": "C1", "contained": [deep]}
    response = service.call("encounter-start", prefetch(OPEN_STAY, conditions=searchset([deep])))
    assert response.status_code in (200, 422)


def test_an_ehr_signs_every_call_with_a_token_that_is_used_once(engine: sa.Engine, cds: CdsSettings) -> None:
    # As CDS Hooks has it: `aud` is the address that is called, `jti` makes the token one of a kind.
    address = "https://cds.hospital.example/cds-services/wardcast-encounter-start"
    trusted = settings(audiences=(address,), roles={}, granted=("integrator",), one_time=True)
    accepted = tokens(trusted)

    async def identify(headers: Any) -> Caller:
        return accepted.caller(headers.get("authorization", "").removeprefix("Bearer "))

    service = Service(KnownAnswers(risk("readmission", 0.231, "high")), engine, cds, access=Access(identify))

    def call(signed: str) -> Any:
        service.client.headers["authorization"] = f"Bearer {signed}"
        return service.call("encounter-start", prefetch(OPEN_STAY))

    first = token(claims(aud=address, jti="one"))
    assert call(first).status_code == 200
    issue(call(first), 401, "credential-refused")
    assert call(token(claims(aud=[address], jti="two"))).status_code == 200
    other = "https://cds.hospital.example/cds-services/another"
    issue(call(token(claims(aud=other, jti="three"))), 401, "credential-refused")
    issue(call(token(claims(aud=address, jti="four"), key=FOREIGN_KEY)), 401, "credential-refused")
    assert len(service.audit.lines) == 2
