"""Whose patient an admission is."""

from __future__ import annotations

import pytest

from features.points import Point
from features.records import AdmissionRecords
from serving.requests.department import department_of, department_of_records


@pytest.mark.parametrize(
    ("admitted_by", "discharged_by", "point", "expected"),
    [
        ("emergency", "cardiology", Point.DISCHARGE, "cardiology"),
        # Where the patient will have ended is not known before.
        ("emergency", "cardiology", Point.ADMISSION, "emergency"),
        ("emergency", "cardiology", Point.PREADMISSION, "emergency"),
        ("emergency", None, Point.DISCHARGE, "emergency"),
        (None, "cardiology", Point.ADMISSION, None),
        (None, None, Point.DISCHARGE, None),
        ("", None, Point.ADMISSION, None),
    ],
)
def test_a_stay_belongs_to_who_has_it_at_the_prediction_point(admitted_by, discharged_by, point, expected):
    stay = {"stay_id": "S1", "admission_department": admitted_by, "discharge_department": discharged_by}
    assert department_of(stay, point) == expected


def test_of_all_stays_that_are_sent_the_one_that_is_asked_about_counts():
    stays = [{"stay_id": "S1", "admission_department": "surgery"}, {"stay_id": "S2"}]
    assert department_of_records(AdmissionRecords("S1", Point.ADMISSION, {"stays": stays})) == "surgery"
    assert department_of_records(AdmissionRecords("S2", Point.ADMISSION, {"stays": stays})) is None
    assert department_of_records(AdmissionRecords("S3", Point.ADMISSION, {"stays": stays})) is None
