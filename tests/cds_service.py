"""The routes of CDS Hooks over known answers, for the tests of them."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa
from fastapi import FastAPI
from fhir.resources.R4B import get_fhir_model_class
from starlette.testclient import TestClient

from features.points import Point
from models.artefact import Context
from serving.access.audit import AuditLog
from serving.access.caller import Caller
from serving.access.guard import Access, insecure_demo_access
from serving.cds_hooks.documents import CardsDocument
from serving.cds_hooks.settings import CdsSettings
from serving.champions.loaded import ChampionSet, Loaded
from serving.database.connection import reading
from serving.database.tables import CDS_CARDS
from serving.fhir.records import FhirRecords
from serving.http.responses import answer_problems
from serving.predictions.answers import Answers
from serving.routes.cds_hooks import router
from serving.routes.gate import Gate
from serving.settings import ServingSettings
from serving.store.cards import CardStore, IssuedCard
from serving.store.feedback import FeedbackStore
from tests.fhir_records import encounter, searchset

CONTEXT = Context("Asia/Shanghai", "CNY", {"diagnosis": "icd10", "procedure": "icd9cm3"}, "billed")
# 2026-01-07 12:30 in Shanghai.
NOW = dt.datetime(2026, 1, 7, 4, 30, tzinfo=dt.UTC)
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
SECRET = "Zhang-Wei-4711"
OPEN_STAY = encounter("S9", "2026-01-07T10:00:00+08:00")
BEFORE = encounter("S3", "2025-11-02T09:00:00+08:00", "2025-11-09T11:00:00+08:00")

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
    """Answers every request with the same predictions, and keeps the requests.

    There are models at `points`; `refused` names those that could not be loaded.
    """

    def __init__(
        self,
        *predictions: dict[str, Any],
        points: Iterable[Point] = Point,
        warnings: Sequence[str] = (),
        refused: Iterable[str] = (),
    ) -> None:
        self.warnings = list(warnings)
        self.predictions = [
            {k: v for k, v in one.items() if k != "probability" or "expected" not in one}
            for one in predictions
        ]
        self.points = tuple(points)
        self.refused = tuple((name, "the SHA-256 differs") for name in refused)
        self.asked: list[dict[str, Any]] = []
        self.in_force: list[Any] = []
        self.asked_of: list[Any] = []

    def champions(self) -> Any:
        artefact = SimpleNamespace(context=CONTEXT, landmark_hours=24.0)
        loaded = [
            SimpleNamespace(point=point, model=SimpleNamespace(artefact=artefact)) for point in self.points
        ]
        found = ChampionSet(tuple(cast("list[Loaded]", loaded)), self.refused)
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


def kept_card(engine: sa.Engine, uuid: str) -> IssuedCard | None:
    """The card of a uuid as it is stored."""
    with reading(engine) as connection:
        row = connection.execute(sa.select(CDS_CARDS).where(CDS_CARDS.c.card_uuid == uuid)).one_or_none()
    return row and IssuedCard(
        uuid=row.card_uuid,
        service=row.service_id,
        stay_id=row.stay_id,
        prediction_point=row.prediction_point,
        models=tuple(json.loads(row.model_ids)),
        indicator=row.indicator,
        issued_at=row.issued_at,
        issued_to=row.issued_to,
        hook_instance=row.hook_instance,
    )


# Made once: it holds a data engine.
RECORDS = FhirRecords()


def issue(response: Any, status: int, kind: str) -> list[str]:
    """What a refusal says, once it is a valid OperationOutcome of this kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/fhir+json"
    document = response.json()
    get_fhir_model_class("OperationOutcome").model_validate(document)
    assert {one["details"]["coding"][0]["code"] for one in document["issue"]} == {kind}
    return [one["diagnostics"] for one in document["issue"]]
