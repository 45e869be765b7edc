"""Index admissions

An **index admission** is an episode that is scored or learned from. Left out, with a count each:

- stays that were booked and cancelled, or have not come yet,
- newborns, patients under 18 (`minimum_age`) at admission, unknown ages,
- at `admission` those who left by the landmark; at `preadmission` those without a booking before the
  admission,
- at `discharge` those who are still in hospital, died in hospital, left against medical advice, went to an
  acute hospital outside the extract, or were admitted for delivery, rehabilitation, psychiatric care, or
  medical treatment of cancer.

The last four are the principal diagnosis of the episode's last stay by AHRQ CCS category, as the CMS
Hospital-Wide All-Cause Unplanned Readmission measure has them (delivery: categories 181–196; cancer: 11–45
without surgery). Surgery is one of the measure's potentially planned procedures that is an operation;
where the extract has no procedures, surgery is unknown and the patient stays in.

Before discharge some of these facts lie in the future: everyone is scored, and the number means "if
discharged alive and not transferred"; the model card also says how it does if deaths in hospital count as
not readmitted. At every point, a stay that leaves at discharge has no readmission label.

Patients with a single admission stay in. An index admission may itself be a readmission of an earlier one.
"""

from __future__ import annotations

from pathlib import Path

from features.points import Point
from tests.hospital import flow, hospital, rows, told


def test_every_step_of_the_flow_is_counted(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        patients="""
        patient_id | birth_date
        adult      | 1950-01-01
        child      | 2010-01-01
        baby       | 2024-01-01
        """,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | status     | admission_type | discharge_disposition
        A1      | adult      | H1          | 2024-01-01 08:00:00 | 2024-01-05 08:00:00 | discharged | emergency      | home
        A2      | adult      | H2          | 2024-01-05 12:00:00 | 2024-01-09 08:00:00 | discharged | emergency      | home
        A3      | adult      | H1          | 2024-03-01 08:00:00 | 2024-03-01 20:00:00 | discharged | elective       | home
        A4      | adult      | H1          | 2024-05-01 08:00:00 | 2024-05-09 08:00:00 | discharged | elective       | against_advice
        A5      | adult      | H1          | 2024-07-01 08:00:00 | 2024-07-09 08:00:00 | discharged | elective       | acute_transfer
        A6      | adult      | H1          | 2024-12-20 08:00:00 |                     | in         | elective       |
        A7      | adult      | H1          |                     |                     | booked     | elective       |
        C1      | child      | H1          | 2024-01-01 08:00:00 | 2024-01-05 08:00:00 | discharged | emergency      | home
        B1      | baby       | H1          | 2024-01-01 08:00:00 | 2024-01-05 08:00:00 | discharged | newborn        | home
        """,  # noqa: E501
    )
    at_admission = flow(extract, Point.ADMISSION)
    # 9 stays, one only booked, one merged (A2 continues A1): 7 episodes. B1 newborn, C1 a child,
    # A3 left before 24 hours: A1, A4, A5, A6 stay.
    assert at_admission == {
        "stays": 9,
        "cancelled": 0,
        "booked": 0,
        "no_booking_time": -1,
        "merged": -1,
        "episodes": 7,
        "newborn": -1,
        "minor": -1,
        "age_unknown": 0,
        "left_before_landmark": -1,
        "rows": 4,
    }
    at_discharge = flow(extract, Point.DISCHARGE)
    # A1's discharge was continued, A6 is still in, A4 left against advice, A5 went to another acute
    # hospital: A2 (last of the episode) and A3 remain.
    assert (at_discharge["superseded"], at_discharge["merged"]) == (-1, 0)
    assert at_discharge["still_in_hospital"] == -1
    assert at_discharge["against_advice"] == -1
    assert at_discharge["transferred_out"] == -1
    assert at_discharge["rows"] == 2
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["A2", "A3"]
    assert rows(extract, Point.ADMISSION).index.tolist() == ["A1", "A4", "A5", "A6"]


def test_before_discharge_the_label_of_who_died_or_was_moved_is_missing_and_everyone_is_scored(
    tmp_path: Path,
) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | discharge_disposition
        1       | 7          | 2024-01-01  | 2024-01-05    | died
        2       | 8          | 2024-01-01  | 2024-01-05    | home
        """,
    )
    admission = rows(extract, Point.ADMISSION)
    assert admission["label_readmission"].isna().tolist() == [True, False]
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["2"]


def test_cancer_treatment_is_left_out_unless_there_was_surgery(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 8          | 2024-01-01  | 2024-01-05
        3       | 9          | 2024-01-01  | 2024-01-05
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        1       | 1        | C341 | Y
        2       | 1        | C341 | Y
        3       | 1        | F200 | Y
        """,
        procedures="""
        stay_id | position | code
        2       | 1        | 324
        """,
    )
    # C341 lung cancer (CCS 19); 324 lobectomy of lung (CCS 36); F200 schizophrenia: psychiatric care.
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["2"]


def test_readmitted_patients_are_index_admissions_again(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-01-12  | 2024-01-13
        3       | 7          | 2024-01-20  | 2024-01-25
        4       | 8          | 2024-01-01  | 2024-01-05
        """,
    )
    assert rows(extract, Point.DISCHARGE)["label_readmission"].tolist() == [1, 1, 0, 0]


def test_patients_with_a_single_admission_and_last_admissions_stay_in(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        only    | 7          | 2024-01-01  | 2024-01-05
        first   | 8          | 2024-01-01  | 2024-01-05
        last    | 8          | 2024-06-01  | 2024-06-05
        """,
    )
    for point in (Point.ADMISSION, Point.DISCHARGE):
        assert told(rows(extract, point), "label_readmission") == {"first": 0, "last": 0, "only": 0}


def test_delivery_rehabilitation_and_psychiatric_care_are_no_index_admissions_at_discharge(
    tmp_path: Path,
) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        born    | A          | 2024-01-01  | 2024-01-05
        trained | B          | 2024-01-01  | 2024-01-05
        mind    | C          | 2024-01-01  | 2024-01-05
        alcohol | D          | 2024-01-01  | 2024-01-05
        second  | E          | 2024-01-01  | 2024-01-05
        """,
        diagnoses="""
        stay_id | position | code
        born    | 1        | O80
        trained | 1        | Z501
        mind    | 1        | F200
        alcohol | 1        | F102
        second  | 1        | J449
        second  | 2        | F200
        """,
    )
    # Delivery, rehabilitation, schizophrenia. Alcohol is no reason of the measure; secondary codes are none.
    counted = flow(extract, Point.DISCHARGE)
    assert (counted["delivery"], counted["rehabilitation"], counted["psychiatric"]) == (-1, -1, -1)
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["alcohol", "second"]
    at_admission = rows(extract, Point.ADMISSION)
    assert told(at_admission, "label_readmission") == {
        "alcohol": 0, "born": None, "mind": None, "second": 0, "trained": None
    }  # fmt: skip


def test_without_procedures_nobody_knows_of_surgery_and_the_patient_stays_in(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        without=("procedures",),
        stays="stay_id | patient_id | admitted_at | discharged_at\n1 | 7 | 2024-01-01 | 2024-01-05",
        diagnoses="stay_id | position | code\n1 | 1 | C341",
    )
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["1"]
