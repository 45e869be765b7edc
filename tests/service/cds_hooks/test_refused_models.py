"""CDS Hooks: what a model that cannot be used would have said is not known, and never reads as low."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from features.points import Point
from serving.cds_hooks.settings import CdsSettings
from tests.cds_service import OPEN_STAY, KnownAnswers, Service, charges, issue, kept_card, risk
from tests.fhir_records import prefetch

LOW = risk("complication", 0.03, "low")
UNKNOWN = "Unplanned readmission within 30 days of discharge: not predicted"


@pytest.mark.parametrize("refused", ["readmission-discharge/3", "readmission-discharge", "champions"])
def test_at_a_discharge_whose_only_model_was_refused_there_is_no_answer(
    engine: sa.Engine, cds: CdsSettings, refused: str
) -> None:
    answers = KnownAnswers(points=[Point.ADMISSION], refused=[refused])
    response = Service(answers, engine, cds).call("encounter-discharge", prefetch(OPEN_STAY))
    [told] = issue(response, 503, "not-ready")
    assert told.startswith(f"Refused: {refused}; GET /v1/models says why.")
    assert "Retry-After" in response.headers


@pytest.mark.parametrize("refused", [[], ["readmission-admission/3"]], ids=["none", "of another point"])
def test_at_a_discharge_for_which_nothing_was_promoted_there_is_no_card(
    engine: sa.Engine, cds: CdsSettings, refused: list[str]
) -> None:
    answers = KnownAnswers(points=[Point.ADMISSION], refused=refused)
    assert Service(answers, engine, cds).cards("encounter-discharge", prefetch(OPEN_STAY)) == []


def test_a_risk_whose_model_was_refused_is_told_as_not_predicted(engine: sa.Engine, cds: CdsSettings) -> None:
    answers = KnownAnswers(LOW, refused=["readmission-admission/8"])
    [card] = Service(answers, engine, cds).cards("encounter-start", prefetch(OPEN_STAY))
    assert card["summary"] == UNKNOWN
    assert card["indicator"] == "info"
    assert card["detail"] == (
        f"{UNKNOWN}\n\n"
        "Its model cannot be used at present: nothing is known of it, which does not mean that it is low."
    )
    assert "suggestions" not in card
    kept = kept_card(engine, card["uuid"])
    assert kept is not None
    assert kept.models == ()


@pytest.mark.parametrize(
    "answers",
    [
        KnownAnswers(risk("readmission", 0.02, "low"), LOW, refused=["readmission-admission/8"]),
        KnownAnswers(LOW, refused=["readmission-discharge/8"]),
        KnownAnswers(LOW, refused=["charges-admission/8"]),
        KnownAnswers(LOW),
    ],
    ids=["its predecessor answers", "another point's", "another service's", "never promoted"],
)
def test_what_is_predicted_or_was_never_promoted_is_not_told_as_refused(
    engine: sa.Engine, cds: CdsSettings, answers: KnownAnswers
) -> None:
    assert Service(answers, engine, cds).cards("encounter-start", prefetch(OPEN_STAY)) == []


def test_low_charges_hide_no_risk_whose_model_was_refused(engine: sa.Engine, cds: CdsSettings) -> None:
    answers = KnownAnswers(charges("low"), LOW, refused=["readmission-admission/8"])
    [card] = Service(answers, engine, cds).cards("order-sign", prefetch(OPEN_STAY))
    assert card["summary"] == "Expected charges of this stay: 41,800 CNY (low)"
    assert card["indicator"] == "info"
    assert f"- {UNKNOWN}" in card["detail"]


def test_an_amount_whose_model_was_refused_is_told_once(engine: sa.Engine, cds: CdsSettings) -> None:
    refused = ["charges-admission/2", "cost-admission/2"]
    days = charges("medium") | {"target": "stay_days", "model": "stay_days-admission/1"}
    [card] = Service(KnownAnswers(days, LOW, refused=refused), engine, cds).cards(
        "order-sign", prefetch(OPEN_STAY)
    )
    assert card["summary"].startswith("Expected length of this stay: ")
    for told in ("Expected charges of this stay", "Expected cost of the episode"):
        assert card["detail"].count(f"{told}: not predicted") == 1
    [card] = Service(KnownAnswers(LOW, refused=refused), engine, cds).cards("order-sign", prefetch(OPEN_STAY))
    assert card["summary"] == "Expected charges of this stay: not predicted"
    assert "Expected cost of the episode: not predicted" in card["detail"]


def test_in_chinese_it_is_told_in_chinese(engine: sa.Engine, chinese: CdsSettings) -> None:
    answers = KnownAnswers(LOW, refused=["readmission-admission/8"])
    [card] = Service(answers, engine, chinese).cards("encounter-start", prefetch(OPEN_STAY))
    assert card["summary"] == "出院后 30 天内非计划再入院风险：未预测"
    assert re.findall("[A-Za-z]+", card["detail"]) == []
