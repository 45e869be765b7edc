"""What may be known when

A value is used only if it was *known* at the prediction time (`known_at <= prediction_time`), not merely
if it had happened. History is `[admission − window, admission)`, counted from the admission of the
episode's first stay (at `preadmission` from the booking); this stay is `[admission, prediction time]`,
both ends included. A date without a time is known at the end of that day (the dates of stays themselves
are what days are counted by).

Admitting diagnosis, admission type and source and a planned procedure are known at admission, or when they
were booked. Discharge diagnoses, disposition, totals and payment groups are known at discharge, or later:
by `known_at` where the extract has it, else by the lag settings (`coding_lag_hours`, `cost_lag_hours`),
which a model keeps; the cost of a visit is known `cost_lag_hours` after it. Every feature states the first
point at which it is known; a data set for an earlier point cannot be built with it.

Unknown is not none. A table that is absent is unknown and its features are missing; one that is present
without a row for a patient says none. A history feature whose window starts before `observed_from` is
missing, not zero. A comorbidity of earlier stays is missing if one of them is not coded yet and no other
has it. A total that is not known yet leaves a sum of costs missing. Links between stays are used from when
they were known.

The latest event is looked for within 365 days. No feature looks at other patients.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from features.assemble import features_sql
from features.catalogue import CATALOGUE
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

HISTORY = """
    stay_id | patient_id | admitted_at         | discharged_at       | total_cost
    old     | 7          | 2023-01-10 07:59:59 | 2023-01-12 10:00:00 | 1000
    edge    | 7          | 2023-01-10 08:00:00 | 2023-01-13 10:00:00 | 200
    near    | 7          | 2023-12-20 08:00:00 | 2023-12-24 10:00:00 | 30
    now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00 | 5000
    """


def of_now(extract_rows: pd.DataFrame) -> pd.Series:
    return extract_rows.loc["now"]


def test_a_window_of_history_includes_its_start_and_not_the_admission_itself(tmp_path: Path) -> None:
    extract = hospital(tmp_path, observed_from="2022-01-01", stays=HISTORY)
    now = of_now(rows(extract, Point.ADMISSION))
    # 365 days before 2024-01-10 08:00 is 2023-01-10 08:00: `edge` is in, `old` one second outside, `now`
    # is no history. (`old` and `edge` overlap: one admission; its continuation is not counted again.)
    assert now["n_stays_prior_365d"] == 1
    assert now["n_stays_prior_30d"] == 1
    assert now["stay_cost_prior_365d"] == 200 + 30
    assert now["stay_cost_prior_30d"] == 30
    # 20 to 24 December: 4 midnights; 24 December to 10 January: 17 days.
    assert now["last_stay_days"] == 4
    assert now["days_since_last_discharge"] == 17


def test_a_history_that_began_before_the_extract_is_missing_not_zero(tmp_path: Path) -> None:
    extract = hospital(tmp_path, observed_from="2023-06-01", stays=HISTORY)
    now = of_now(rows(extract, Point.ADMISSION))
    assert now["n_stays_prior_180d"] == 1
    assert pd.isna(now["n_stays_prior_365d"])
    assert pd.isna(now["had_chronic_pulmonary_disease"])


def test_an_absent_table_is_unknown_and_an_empty_one_is_none(tmp_path: Path) -> None:
    absent = of_now(
        rows(hospital(tmp_path / "a", observed_from="2022-01-01", stays=HISTORY), Point.ADMISSION)
    )
    empty = of_now(
        rows(
            hospital(
                tmp_path / "b",
                observed_from="2022-01-01",
                stays=HISTORY,
                visits="visit_id | patient_id | visited_at",
            ),
            Point.ADMISSION,
        )
    )
    assert pd.isna(absent["n_emergency_visits_prior_365d"])
    assert empty["n_emergency_visits_prior_365d"] == 0


def test_at_admission_a_value_after_the_landmark_is_not_known(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays=HISTORY,
        observations="""
        patient_id | taken_at            | known_at            | code   | value | unit
        7          | 2024-01-10 09:00:00 |                     | 718-7  | 13    | g/dL
        7          | 2024-01-11 08:00:00 |                     | 718-7  | 12    | g/dL
        7          | 2024-01-11 08:00:01 |                     | 718-7  | 7     | g/dL
        7          | 2024-01-10 09:00:00 | 2024-01-12 00:00:00 | 2951-2 | 130   | mmol/L
        7          | 2024-01-10 09:00:00 |                     | 2160-0 | 88    | umol
        """,
    )
    admission, discharge = (of_now(rows(extract, point)) for point in (Point.ADMISSION, Point.DISCHARGE))
    # 24 hours after 10 January 08:00, both ends included: the last value is 12.
    assert admission["haemoglobin_first_day"] == 12
    # Taken in time but known two days later.
    assert pd.isna(admission["sodium_first_day"])
    assert discharge["sodium_first_day"] == 130
    # A value in an unknown unit is not used.
    assert pd.isna(admission["creatinine_first_day"])
    assert discharge["haemoglobin_at_discharge"] == 7


def test_an_earlier_landmark_knows_less(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays=HISTORY,
        observations="""
        patient_id | taken_at            | code  | value | unit
        7          | 2024-01-10 15:00:00 | 718-7 | 13    | g/dL
        """,
    )
    early = replace(DEFAULT_SETTINGS, landmark_hours=6.0)
    assert pd.isna(of_now(rows(extract, Point.ADMISSION, early))["haemoglobin_first_day"])
    assert of_now(rows(extract, Point.ADMISSION))["haemoglobin_first_day"] == 13


def test_a_diagnosis_coded_late_is_not_yet_known(tmp_path: Path) -> None:
    diagnoses = """
        stay_id | position | code | present_on_admission | known_at
        old     | 1        | E119 | Y                    |
        edge    | 1        | E119 | Y                    |
        near    | 1        | J449 | Y                    |
        near    | 2        | I500 | Y                    | 2024-01-20 00:00:00
        now     | 1        | J449 | Y                    |
        """
    extract = hospital(tmp_path, observed_from="2022-01-01", stays=HISTORY, diagnoses=diagnoses)
    now = of_now(rows(extract, Point.ADMISSION))
    assert now["had_chronic_pulmonary_disease"] == 1
    assert now["had_congestive_heart_failure"] == 0


def test_what_a_stay_without_codes_would_say_is_unknown_not_no(tmp_path: Path) -> None:
    diagnoses = """
        stay_id | position | code | present_on_admission
        old     | 1        | E119 | Y
        edge    | 1        | E119 | Y
        near    | 1        | J449 | Y
        now     | 1        | J449 | Y
        """
    extract = hospital(tmp_path, observed_from="2022-01-01", stays=HISTORY, diagnoses=diagnoses)
    coded = of_now(rows(extract, Point.ADMISSION))
    # E119 and J449: diabetes has weight 0 in Quan 2011, chronic pulmonary disease 1.
    assert (coded["had_chronic_pulmonary_disease"], coded["charlson_score_earlier"]) == (1, 1)
    # With a coding lag of 20 days the stay until 24 December is not coded by 11 January: whether it would
    # say chronic pulmonary disease is unknown; diabetes is known from `edge`.
    lag = replace(DEFAULT_SETTINGS, coding_lag_hours=20 * 24)
    late = of_now(rows(extract, Point.ADMISSION, lag))
    assert pd.isna(late["had_chronic_pulmonary_disease"])
    assert late["had_diabetes"] == 1
    assert pd.isna(late["charlson_score_earlier"])
    assert pd.isna(late["elixhauser_score_earlier"])


SPLIT_STAY = """
    stay_id | patient_id | admitted_at         | discharged_at
    A       | 7          | 2024-03-01 08:00:00 | 2024-03-05 08:00:00
    B       | 7          | 2024-03-05 20:00:00 | 2024-03-08 08:00:00
    """


def test_a_split_stay_is_one_only_from_when_its_codes_are_known(tmp_path: Path) -> None:
    extract = hospital(tmp_path, stays=SPLIT_STAY)
    # Same hospital, 12 hours later, same principal diagnosis (J449): coded at the discharge of 8 March,
    # it is known then to be one admission of 7 nights.
    one = rows(extract, Point.DISCHARGE).loc["B"]
    assert one["length_of_stay_days"] == 7
    assert one["n_stays_prior_30d"] == 0
    # Coded three days later, it is at its discharge a stay of 3 nights after an earlier one.
    lag = replace(DEFAULT_SETTINGS, coding_lag_hours=72)
    two = rows(extract, Point.DISCHARGE, lag).loc["B"]
    assert two["length_of_stay_days"] == 3
    assert two["n_stays_prior_30d"] == 1


def test_a_transfer_is_one_admission_at_once(tmp_path: Path) -> None:
    stays = SPLIT_STAY.replace("| admitted_at ", "| hospital_id | admitted_at ")
    stays = stays.replace("7          | 2024-03-01", "7 | H1 | 2024-03-01")
    stays = stays.replace("7          | 2024-03-05", "7 | H2 | 2024-03-05")
    lag = replace(DEFAULT_SETTINGS, coding_lag_hours=72)
    moved = rows(hospital(tmp_path, stays=stays), Point.DISCHARGE, lag).loc["B"]
    assert moved["length_of_stay_days"] == 7
    assert moved["n_stays_prior_30d"] == 0


def test_the_total_of_an_open_stay_is_not_known_at_its_admission(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        observed_from="2022-01-01",
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | total_cost
        long    | 7          | H1          | 2023-12-01 08:00:00 | 2024-02-01 10:00:00 | 9000
        other   | 8          | H1          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00 | 5000
        next    | 7          | H1          | 2024-03-01 08:00:00 | 2024-03-05 10:00:00 | 100
        """,
    )
    at_next = rows(extract, Point.ADMISSION).loc["next"]
    assert at_next["stay_cost_prior_365d"] == 9000
    with_lag = replace(DEFAULT_SETTINGS, cost_lag_hours=40 * 24)
    # There was a stay, and what it cost is not known yet: missing, not zero.
    assert pd.isna(rows(extract, Point.ADMISSION, with_lag).loc["next", "stay_cost_prior_365d"])


def test_the_cost_of_a_visit_is_known_after_the_lag(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        observed_from="2022-01-01",
        stays=HISTORY,
        visits="""
        visit_id | patient_id | visited_at          | kind       | cost
        early    | 7          | 2023-10-01 08:00:00 | outpatient | 70
        late     | 7          | 2024-01-08 08:00:00 | outpatient | 500
        """,
    )
    names = ["visit_cost_prior_365d", "outpatient_cost_prior_365d", "visit_cost_prior_30d"]
    assert of_now(rows(extract, Point.ADMISSION))[names].tolist() == [570, 570, 500]
    # The prediction is made three days after the late visit.
    just = replace(DEFAULT_SETTINGS, cost_lag_hours=3 * 24)
    assert of_now(rows(extract, Point.ADMISSION, just))[names].tolist() == [570, 570, 500]
    later = replace(DEFAULT_SETTINGS, cost_lag_hours=3 * 24 + 1)
    assert of_now(rows(extract, Point.ADMISSION, later))[names].isna().all()


def test_the_prediction_time_is_the_point_s_own(tmp_path: Path) -> None:
    extract = hospital(tmp_path, stays=HISTORY)
    assert of_now(rows(extract, Point.ADMISSION))["prediction_time"] == pd.Timestamp("2024-01-11 08:00")
    assert of_now(rows(extract, Point.DISCHARGE))["prediction_time"] == pd.Timestamp("2024-01-15 10:00")


def test_only_booked_admissions_are_rows_before_admission(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        observed_from="2022-01-01",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | booked_at  | admission_type
        first   | 7          | 2023-12-20  | 2023-12-24    |            | emergency
        booked  | 7          | 2024-01-10  | 2024-01-15    | 2023-12-22 | elective
        """,
    )
    before = rows(extract, Point.PREADMISSION)
    assert before.index.tolist() == ["booked"]
    assert before.loc["booked", "prediction_time"] == pd.Timestamp("2023-12-22")
    # Booked while the first stay was still open: it counts, its discharge is not known.
    assert before.loc["booked", "n_stays_prior_365d"] == 1
    assert pd.isna(before.loc["booked", "days_since_last_discharge"])


def test_a_feature_of_discharge_cannot_be_built_for_admission() -> None:
    with pytest.raises(ValueError, match="length_of_stay_days is known from discharge on"):
        features_sql(
            [CATALOGUE["length_of_stay_days"]], Point.ADMISSION, has_timeline=True, settings=DEFAULT_SETTINGS
        )
