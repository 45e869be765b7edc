"""What became of cards is counted by service and model, and names nobody."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from serving.database.connection import file_address, open_database
from serving.store.cards import CardStore, IssuedCard
from serving.store.feedback import Feedback, FeedbackStore
from serving.store.outcomes import outcomes
from tests.cds_service import kept_card
from tests.postgres import Postgres, postgres
from wardcast.cli import app

AT = dt.datetime(2026, 1, 8, 2, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SYSTEM = "urn:wardcast:override-reason"
OFFERED = {(SYSTEM, "disagree"), (SYSTEM, "already-planned")}
STAY, NAME = "S-4711", "Zhang Wei"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        running.run("createdb", "cards")
        yield running


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(file_address(tmp_path / "wardcast.db"))
    yield opened
    opened.dispose()


def card(number: int, *, model: str = "readmission-admission/7", indicator: str = "warning") -> IssuedCard:
    return IssuedCard(
        uuid=f"00000000-0000-4000-8000-{number:012d}",
        service="wardcast-patient-view",
        stay_id=STAY,
        prediction_point="admission",
        models=(model,),
        indicator=indicator,
        issued_at=AT,
        issued_to="ehr",
    )


def said(number: int, outcome: str, after: dt.timedelta = HOUR, **facts: Any) -> Feedback:
    return Feedback("wardcast-patient-view", card(number).uuid, outcome, AT + after, "ehr", **facts)


def because(code: str, system: str = SYSTEM) -> dict[str, Any]:
    return {"override_reason": {"reason": {"system": system, "code": code}, "userComment": NAME}}


def stored(engine: Engine) -> None:
    """Five cards of version 7, of which four came back, one of version 8, and one that nobody knows."""
    CardStore(engine).save([*map(card, range(1, 6)), card(6, model="readmission-admission/8")])
    FeedbackStore(engine).add(
        [
            said(1, "accepted"),
            said(2, "overridden", **because("disagree")),
            said(3, "overridden", **because(NAME, "urn:ehr")),
            said(4, "overridden"),
            # Taken an hour after it was put aside.
            said(4, "accepted", 2 * HOUR),
            said(6, "overridden", **because("already-planned")),
            said(99, "accepted"),
        ]
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_cards_are_counted_by_what_was_done_last(kind: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue("engine")
    if kind == "postgresql":
        engine = open_database(request.getfixturevalue("server").uri("cards"))
    stored(engine)
    found = outcomes(engine, OFFERED)
    engine.dispose()
    assert [one.document() for one in found] == [
        {
            "service": "wardcast-patient-view",
            "models": ["readmission-admission/7"],
            "indicator": "warning",
            "shown": 5,
            "accepted": 2,
            "overridden": 2,
            "reasons": {"disagree": 1, "other": 1},
        },
        {
            "service": "wardcast-patient-view",
            "models": ["readmission-admission/8"],
            "indicator": "warning",
            "shown": 1,
            "accepted": 0,
            "overridden": 1,
            "reasons": {"already-planned": 1},
        },
        {
            "service": "wardcast-patient-view",
            "models": None,
            "indicator": None,
            "shown": None,
            "accepted": 1,
            "overridden": 0,
            "reasons": {},
        },
    ]


def test_cards_of_another_indicator_are_counted_apart(engine: Engine) -> None:
    CardStore(engine).save([card(1), card(2, indicator="info"), card(3, indicator="info")])
    assert [(one.indicator, one.shown) for one in outcomes(engine, ())] == [("info", 2), ("warning", 1)]


def test_old_cards_are_pruned_by_when_they_were_shown(engine: Engine) -> None:
    cards = CardStore(engine)
    cards.save([card(1)])
    assert cards.prune(AT) == 0
    assert cards.prune(AT + HOUR) == 1
    assert kept_card(engine, card(1).uuid) is None


def test_the_command_tells_counts_and_names_nobody(engine: Engine, tmp_path: Path) -> None:
    stored(engine)
    told = CliRunner().invoke(app, ["store", "feedback", "--work", str(tmp_path), "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)["outcomes"]
    assert [(one["shown"], one["accepted"], one["overridden"]) for one in found] == [
        (5, 2, 2),
        (1, 0, 1),
        (None, 1, 0),
    ]
    plain = CliRunner().invoke(app, ["store", "feedback", "--work", str(tmp_path)])
    assert "readmission-admission/7" in plain.stdout
    assert "not known" in plain.stdout
    for output in (told.output, plain.output):
        assert not [word for word in (STAY, NAME, "00000000", "ehr") if word in output]


def test_a_card_that_nothing_was_predicted_rests_on_no_model(engine: Engine, tmp_path: Path) -> None:
    CardStore(engine).save([replace(card(1, indicator="info"), models=())])
    told = CliRunner().invoke(app, ["store", "feedback", "--work", str(tmp_path)])
    assert told.stdout.startswith("wardcast-patient-view, no model: 1 shown (info), ")


def test_pruning_removes_cards_too(engine: Engine, tmp_path: Path) -> None:
    stored(engine)
    arguments = ["store", "prune", "--older-than", "30", "--work", str(tmp_path), "--json"]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    # Shown in January 2026; the feedback on them was received just now.
    assert json.loads(told.stdout)["cards"] == 6
    assert [one.models for one in outcomes(engine, OFFERED)] == [None]
