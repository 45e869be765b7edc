"""Who is an index admission, and how stays become episodes."""

from __future__ import annotations

from pathlib import Path

from features.points import Point
from tests.hospital import flow, hospital, rows


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
    # A6 is still in, A4 left against advice, A5 went to another acute hospital: A2 (last of the episode), A3.
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


def test_split_stays_need_the_same_diagnosis_and_24_hours(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at         | discharged_at
        1       | 7          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        2       | 7          | {again}             | 2024-01-12 10:00:00
        """
    for again, episodes in (("2024-01-06 10:00:00", 1), ("2024-01-06 10:00:01", 2)):
        extract = hospital(tmp_path / str(episodes), stays=stays.format(again=again))
        assert flow(extract, Point.DISCHARGE)["episodes"] == episodes


def test_a_stay_within_a_longer_stay_is_the_same_episode_and_the_longer_discharge_counts(
    tmp_path: Path,
) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at
        1       | 7          | H1          | 2024-01-01  | 2024-01-20
        2       | 7          | H2          | 2024-01-05  | 2024-01-06
        3       | 7          | H2          | 2024-01-21  | 2024-01-25
        """,
    )
    # Stay 2 lies within stay 1; stay 3 follows stay 1's discharge in another hospital the next day.
    assert flow(extract, Point.DISCHARGE)["episodes"] == 1
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["3"]


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


def test_who_goes_home_before_the_landmark_is_no_row_whoever_comes_back(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-01 18:00:00
        A2      | A          | H1          | 2024-01-02 04:00:00 | 2024-01-05 08:00:00
        B1      | B          | H1          | 2024-01-01 08:00:00 | 2024-01-01 18:00:00
        C1      | C          | H1          | 2024-01-01 08:00:00 | 2024-01-01 18:00:00
        C2      | C          | H2          | 2024-01-01 19:00:00 | 2024-01-05 08:00:00
        D1      | D          | H1          | 2024-01-01 08:00:00 | 2024-01-02 08:00:00
        """,
    )
    # At 2 January 08:00 A and B look the same: gone home after 10 hours. That A's return continues the stay
    # (a split stay) is known at its coding, on 5 January. C was moved: in a bed. D left at the landmark.
    assert rows(extract, Point.ADMISSION).index.tolist() == ["C1"]
    assert flow(extract, Point.ADMISSION)["left_before_landmark"] == -3


def test_any_source_that_knows_of_the_death_decides(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at | discharged_at | discharge_disposition
        1       | registry   | 2024-03-01  | 2024-03-08    | other
        2       | recorded   | 2024-03-01  | 2024-03-08    | died
        3       | same_day   | 2024-03-01  | 2024-03-08    |
        4       | at_home    | 2024-03-01  | 2024-03-08    | home
        5       | alive      | 2024-03-01  | 2024-03-08    |
        """
    patients = """
        patient_id | death_date
        registry   | 2024-03-07
        recorded   |
        same_day   | 2024-03-08
        at_home    | 2024-03-08
        alive      |
        """
    extract = hospital(tmp_path / "registry", stays=stays, patients=patients)
    assert flow(extract, Point.DISCHARGE)["died_in_hospital"] == -3
    left = rows(extract, Point.DISCHARGE)
    assert left.index.tolist() == ["4", "5"]
    assert left["label_readmission"].tolist() == [0, 0]
    # Where only deaths in hospital are known, a discharge that does not say how it ended may be one.
    unknown = hospital(tmp_path / "unknown", deaths="in_hospital", stays=stays, patients=patients)
    labels = rows(unknown, Point.DISCHARGE)["label_readmission"]
    assert labels.loc["4"] == 0
    assert labels.isna().to_dict() == {"4": False, "5": True}


def test_an_unknown_disposition_of_the_last_stay_is_not_that_of_the_first(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | discharge_disposition
        1       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-03 08:00:00 | acute_transfer
        2       | 7          | H2          | 2024-01-03 09:00:00 | 2024-01-09 08:00:00 |
        """,
    )
    assert flow(extract, Point.DISCHARGE)["transferred_out"] == 0
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["2"]


def test_an_uncoded_stay_between_two_others_is_not_merged_by_the_code_before_it(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        A       | 7          | 2024-01-01 08:00:00 | 2024-01-05 08:00:00
        B       | 7          | 2024-03-01 08:00:00 | 2024-03-05 08:00:00
        C       | 7          | 2024-03-05 18:00:00 | 2024-03-09 08:00:00
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        A       | 1        | J449 | Y
        C       | 1        | J449 | Y
        """,
    )
    # Nobody knows what B was treated for, so C is a return on the same day, not its second half.
    assert flow(extract, Point.DISCHARGE)["merged"] == 0


def test_before_an_admission_there_must_be_a_booking_before_it(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | booked_at           | admitted_at         | discharged_at
        1       | A          | 2024-02-20 08:00:00 | 2024-03-01 08:00:00 | 2024-03-05 08:00:00
        2       | B          | 2024-03-02 08:00:00 | 2024-03-01 08:00:00 | 2024-03-05 08:00:00
        3       | C          |                     | 2024-03-01 08:00:00 | 2024-03-05 08:00:00
        """,
    )
    # B was "booked" a day after it came: its own stay would be its history.
    assert rows(extract, Point.PREADMISSION).index.tolist() == ["1"]
    assert flow(extract, Point.PREADMISSION)["not_booked"] == -2
