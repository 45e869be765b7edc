"""Whom the models know

Whoever asks about one admission is told if the models' population does not hold it: by the same steps that
make a cohort, on what was known at the prediction time. A child, a newborn, a patient of unknown age, a
stay that had ended by the landmark, at discharge a death, a departure against advice, a transfer to an
acute hospital, a stay that has not ended, or an admission that the measure leaves out: each is a warning
beside the prediction, in words and without values. A stay that continues an earlier one is predicted with
the episode's first at `admission`, and is told so. Before an admission the age is that of the planned day.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from features.dataset import CodeSystems
from features.online import OnlineFeatures
from features.points import Point
from features.records import AdmissionRecords
from features.settings import DEFAULT_SETTINGS

OUTSIDE = "outside the models' population: "


@pytest.fixture(scope="module")
def online() -> OnlineFeatures:
    return OnlineFeatures(CodeSystems(diagnosis="icd10gb", procedure="icd9cm3"), DEFAULT_SETTINGS)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def stay(stay_id: str, admitted_at: str, discharged_at: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "stay_id": stay_id,
        "patient_id": "P7",
        "hospital_id": "H1",
        "status": "in" if discharged_at is None else "discharged",
        "admission_type": "emergency",
        "admitted_at": at(admitted_at),
        "discharged_at": None if discharged_at is None else at(discharged_at),
    } | more


def admission(
    *stays: dict[str, Any],
    point: Point = Point.ADMISSION,
    stay_id: str = "S1",
    birth_date: str | None = "1950-01-01",
    prediction_time: str | None = None,
    **tables: list[dict[str, Any]],
) -> AdmissionRecords:
    born = None if birth_date is None else dt.date.fromisoformat(birth_date)
    patients = [{"patient_id": "P7", "sex": "female", "birth_date": born}]
    asked_at = None if prediction_time is None else at(prediction_time)
    return AdmissionRecords(stay_id, point, {"patients": patients, "stays": stays, **tables}, asked_at)


def said(online: OnlineFeatures, *asked: AdmissionRecords) -> list[list[str]]:
    """What is said of each admission's place in the population, alone and together alike."""
    together = [[text.removeprefix(OUTSIDE) for text in warnings if text.startswith(OUTSIDE)]
                for warnings in online.rows(asked).warnings]  # fmt: skip
    if len(asked) > 1:
        assert together == [said(online, each)[0] for each in asked]
    return together


def test_an_adult_who_stays_is_within_the_population(online):
    assert said(online, admission(stay("S1", "2024-03-01 10:00"))) == [[]]


def test_a_child_is_outside_until_the_eighteenth_birthday(online):
    # Born on 2 March 2006: 17 on 1 March 2024, 18 the day after.
    found = said(
        online,
        admission(stay("S1", "2024-03-01 10:00"), birth_date="2014-06-01"),
        admission(stay("S1", "2024-03-01 10:00"), birth_date="2006-03-02"),
        admission(stay("S1", "2024-03-02 10:00"), birth_date="2006-03-02"),
    )
    assert found == [["younger than 18 at admission"], ["younger than 18 at admission"], []]


def test_a_newborn_and_a_patient_of_unknown_age_are_outside(online):
    found = said(
        online,
        admission(stay("S1", "2024-03-01 10:00", admission_type="newborn"), birth_date="2024-03-01"),
        admission(stay("S1", "2024-03-01 10:00"), birth_date=None),
    )
    assert found == [["newborns"], ["age unknown"]]


def test_a_stay_of_six_hours_never_reached_the_prediction_time_of_admissions(online):
    short, whole = stay("S1", "2024-03-01 10:00", "2024-03-01 16:00"), stay("S1", "2024-03-01 10:00",
                                                                           "2024-03-02 10:01")  # fmt: skip
    found = said(online, admission(short), admission(whole))
    assert found == [["discharged or died within 24 hours of admission"], []]
    # Its discharge is predicted as any other.
    assert said(online, admission(short, point=Point.DISCHARGE)) == [[]]


def test_a_transfer_continues_an_earlier_stay_and_is_predicted_with_the_first(online):
    first = stay("S1", "2024-03-01 10:00", "2024-03-01 18:00")
    second = stay("S2", "2024-03-01 19:00", hospital_id="H2")
    found = said(online, admission(first, second, stay_id="S2"), admission(first, second))
    # The patient went straight on: the first stay's end is not the episode's.
    assert [[text.split(";")[0] for text in texts] for texts in found] == [["continues an earlier stay"], []]
    ended = second | {"status": "discharged", "discharged_at": at("2024-03-09 10:00")}
    assert said(online, admission(first, ended, stay_id="S2", point=Point.DISCHARGE)) == [[]]


@pytest.mark.parametrize(
    ("disposition", "reason"),
    [
        ("died", ["died in hospital"]),
        ("against_advice", ["left against medical advice"]),
        ("acute_transfer", ["transferred to an acute hospital outside the extract"]),
        ("home", []),
    ],
)
def test_who_cannot_be_readmitted_is_outside_at_discharge(online, disposition, reason):
    ended = stay("S1", "2024-03-01 10:00", "2024-03-05 10:00", discharge_disposition=disposition)
    assert said(online, admission(ended, point=Point.DISCHARGE)) == [reason]


def test_a_stay_still_open_at_the_discharge_asked_about_is_told(online):
    asked = admission(
        stay("S1", "2024-03-01 10:00"), point=Point.DISCHARGE, prediction_time="2024-03-04 09:00"
    )
    assert said(online, asked) == [["not yet discharged"]]


def test_a_delivery_is_outside_by_its_code_once_that_is_known(online):
    ended = stay("S1", "2024-03-01 10:00", "2024-03-05 10:00")
    codes = [{"stay_id": "S1", "kind": "discharge", "position": 1, "code": "O80"}]
    late = [codes[0] | {"known_at": at("2024-03-20 10:00")}]
    born = "1990-01-01"
    found = said(
        online,
        admission(ended, point=Point.DISCHARGE, birth_date=born, diagnoses=codes),
        admission(ended, point=Point.DISCHARGE, birth_date=born, diagnoses=late),
    )
    assert found == [["admitted for delivery"], []]


def test_a_booking_knows_age_and_type_alone(online):
    booked = stay("S1", "2024-03-01 10:00", status="booked", booked_at=at("2024-02-01 10:00")) | {
        "admitted_at": None
    }
    found = said(
        online,
        admission(booked, point=Point.PREADMISSION),
        admission(booked, point=Point.PREADMISSION, birth_date="2014-06-01"),
    )
    assert found == [[], ["younger than 18 at admission"]]


def test_a_death_on_the_day_of_discharge_counts_where_nothing_says_how_it_ended(online):
    def asked(disposition: str | None) -> AdmissionRecords:
        ended = stay("S1", "2024-03-01 10:00", "2024-03-08 10:00", discharge_disposition=disposition)
        request = admission(ended, point=Point.DISCHARGE)
        request.tables["patients"][0]["death_date"] = dt.date(2024, 3, 8)
        return request

    assert said(online, asked(None)) == [["died in hospital"]]
    assert said(online, asked("home")) == [[]]


def test_before_the_admission_age_is_that_of_the_planned_day(online):
    # Born on 2 March 2006: 17 at the booking, 18 on the day.
    booked = stay("S1", "2024-03-03 10:00", booked_at=at("2024-02-01 10:00"))
    assert said(online, admission(booked, point=Point.PREADMISSION, birth_date="2006-03-02")) == [[]]
    planned = booked | {"admitted_at": None, "planned_admission_at": at("2024-03-03 10:00")}
    assert said(online, admission(planned, point=Point.PREADMISSION, birth_date="2006-03-02")) == [[]]
    assert said(online, admission(planned, point=Point.PREADMISSION, birth_date="2006-03-04")) == [
        ["younger than 18 at admission"]
    ]
