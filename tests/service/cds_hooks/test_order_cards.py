"""CDS Hooks: the cards of orders, in which amounts and risks stand together."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from serving.cds_hooks.settings import CdsSettings
from tests.cds_service import OPEN_STAY, KnownAnswers, Service, charges, risk
from tests.fhir_records import prefetch


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


def test_reasons_against_a_card_about_money_are_about_money(engine: sa.Engine, cds: CdsSettings) -> None:
    service = Service(KnownAnswers(charges("high"), risk("readmission", 0.231, "high")), engine, cds)
    [card] = service.cards("order-sign", prefetch(OPEN_STAY))
    assert [one["display"] for one in card["overrideReasons"]] == [
        "This patient needs the care",
        "Cost and stay were already reviewed",
        "Does not apply to this patient",
        "I expect another cost or length of stay",
    ]


@pytest.mark.parametrize(
    ("amount", "readmission", "indicator"),
    [
        ("low", "low", None),
        ("low", "medium", "info"),
        ("low", "high", "warning"),
        ("medium", "high", "warning"),
        ("high", "low", "warning"),
    ],
)
def test_a_low_amount_hides_no_risk_that_stands_beside_it(
    engine: sa.Engine, cds: CdsSettings, amount: str, readmission: str, indicator: str | None
) -> None:
    """Who orders for a patient likely to come back is told so, however little the stay is to cost."""
    answers = KnownAnswers(charges(amount), risk("readmission", 0.231, readmission))
    for hook in ("order-select", "order-sign"):
        cards = Service(answers, engine, cds).cards(hook, prefetch(OPEN_STAY))
        assert [card["indicator"] for card in cards] == ([] if indicator is None else [indicator])


def test_the_longest_stay_is_told_beside_low_charges(engine: sa.Engine, cds: CdsSettings) -> None:
    days = charges("high") | {"target": "stay_days", "model": "stay_days-admission/1"}
    [card] = Service(KnownAnswers(charges("low"), days), engine, cds).cards("order-sign", prefetch(OPEN_STAY))
    assert card["indicator"] == "warning"
    assert "**Expected length of this stay:" in card["detail"]
