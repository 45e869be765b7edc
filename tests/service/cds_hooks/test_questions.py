"""CDS Hooks: what the models are asked, by hook and stay."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from features.points import Point
from serving.cds_hooks.settings import CdsSettings
from tests.cds_service import (
    OPEN_STAY,
    KnownAnswers,
    Service,
    charges,
    issue,
    risk,
)
from tests.fhir_records import Resource, encounter, prefetch

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


BOOKED = encounter("S10", "2026-02-12T08:00:00+08:00", status="planned") | {
    "statusHistory": [
        {"status": "planned", "period": {"start": "2026-01-02T09:00:00+08:00", "end": "2026-02-12"}}
    ]
}
SINCE_MONDAY = encounter("S8", "2026-01-05T10:00:00+08:00")
SEND_THE_ENCOUNTER = (
    "context.encounterId: is not sent, and 2 stays go on. Send context.encounterId of the one asked about"
)


def without_hospital(stay: Resource) -> Resource:
    """A stay that is left out, since nothing says where it is."""
    return {name: value for name, value in stay.items() if name != "serviceProvider"}


def test_whoever_is_in_hospital_is_not_asked_about_for_the_stay_that_is_booked(service: Service) -> None:
    service.cards("patient-view", prefetch(OPEN_STAY, BOOKED), encounter_id=None)
    assert [asked["stay_id"] for asked in service.answers.asked] == ["S9"]
    # A present stay that was left out is present all the same.
    response = service.call("patient-view", prefetch(without_hospital(OPEN_STAY), BOOKED), encounter_id=None)
    [told] = issue(response, 412, "missing-data")
    assert told.startswith("prefetch.encounters: 1 of 2 Encounters left out: no serviceProvider.")


@pytest.mark.parametrize(
    "encounters",
    [
        [OPEN_STAY, SINCE_MONDAY],
        [OPEN_STAY, SINCE_MONDAY, BOOKED],
        [OPEN_STAY, without_hospital(SINCE_MONDAY)],
    ],
    ids=["both", "both, and one booked", "one of them left out"],
)
def test_a_chart_of_two_stays_that_go_on_needs_the_encounter(
    service: Service, encounters: list[Resource]
) -> None:
    response = service.call("patient-view", prefetch(*encounters), encounter_id=None)
    assert issue(response, 412, "missing-data") == [SEND_THE_ENCOUNTER]
    assert service.answers.asked == []
    assert len(service.cards("patient-view", prefetch(*encounters))) == 1


def test_another_patients_open_stay_does_not_stand_in_the_way(service: Service) -> None:
    childs = encounter("S8", "2026-01-07T10:00:00+08:00", patient="P8")
    assert len(service.cards("patient-view", prefetch(OPEN_STAY, childs), encounter_id=None)) == 1


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
    elsewhere = KnownAnswers(risk("readmission", 0.2, "high"), points=[Point.DISCHARGE])
    without_point = Service(elsewhere, engine, cds)
    assert without_point.cards("patient-view", prefetch(OPEN_STAY)) == []
    of_another_target = Service(KnownAnswers(charges("high")), engine, cds)
    assert of_another_target.cards("patient-view", prefetch(OPEN_STAY)) == []


def test_one_set_of_champions_decides_on_a_whole_call(service: Service) -> None:
    # Others come into force whenever somebody looks: none of them may answer what the first was asked.
    service.cards("encounter-start", prefetch(OPEN_STAY))
    assert len(service.answers.in_force) == 1
    assert service.answers.asked_of[0] is service.answers.in_force[0]
