"""CDS Hooks: what became of cards."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
import sqlalchemy as sa

from serving.database.connection import reading
from serving.database.tables import CDS_FEEDBACK
from tests.cds_service import (
    OPEN_STAY,
    SECRET,
    Service,
    issue,
)
from tests.fhir_records import prefetch


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
        ({"outcomeTimestamp": "0001-01-01T00:00:00+14:00"}, "feedback.0.outcomeTimestamp"),
        ({"outcomeTimestamp": "9999-12-31T23:59:59-14:00"}, "feedback.0.outcomeTimestamp"),
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
