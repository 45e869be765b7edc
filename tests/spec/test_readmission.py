"""30-day unplanned readmission, as the definitions say it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.dataset import DataSet
from features.points import Point
from tests.hospital import hospital, rows


def outcome(frame: pd.DataFrame) -> dict[str, int | None]:
    return {
        str(stay): None if pd.isna(value) else int(value)
        for stay, value in frame["label_readmission"].items()
    }


def quarantined(extract: DataSet, patient_id: str, admitted_at: str | None) -> None:
    unseen = pd.DataFrame({"patient_id": [patient_id], "admitted_at": pd.to_datetime([admitted_at])})
    unseen.to_parquet(extract.path / "unseen_stays.parquet")


def test_days_count_from_discharge_to_admission_both_ends_included(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at         | discharged_at
        A1      | A          | 2024-01-01 08:00:00 | 2024-01-31 10:00:00
        A2      | A          | 2024-03-01 23:00:00 | 2024-03-02 10:00:00
        B1      | B          | 2024-01-01 08:00:00 | 2024-01-31 10:00:00
        B2      | B          | 2024-03-02 00:30:00 | 2024-03-03 10:00:00
        """,
    )
    # 31 January + 30 days = 1 March (leap year). Admit to admit would be 60 days.
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A1": 1, "A2": 0, "B1": 0, "B2": 0}


def test_a_patient_still_under_follow_up_has_no_outcome_yet(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        observed_until="2024-04-01",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-02-04  | 2024-02-06
        3       | 8          | 2024-03-20  | 2024-03-25
        4       | 9          | 2024-03-05  | 2024-03-10
        5       | 9          | 2024-03-15  | 2024-03-16
        """,
    )
    # 5 January + 30 = 4 February: readmitted. 25 March + 30 lies after 1 April: unknown.
    # Stay 4 has come back, but its window is still open: an early event is never learned from.
    assert outcome(rows(extract, Point.DISCHARGE)) == {"1": 1, "2": 0, "3": None, "4": None, "5": None}


def test_an_extract_of_discharged_patients_matures_later(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        """
    # 5 January + 30 + 60 (longest stay) = 4 April 2024.
    early = hospital(tmp_path / "a", observed_until="2024-04-03", complete_by="discharge", stays=stays)
    late = hospital(tmp_path / "b", observed_until="2024-04-04", complete_by="discharge", stays=stays)
    assert outcome(rows(early, Point.DISCHARGE)) == {"1": None}
    assert outcome(rows(late, Point.DISCHARGE)) == {"1": 0}


def test_only_the_first_return_counts_and_a_planned_one_ends_the_follow_up(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-01-12  | 2024-01-13
        3       | 7          | 2024-01-20  | 2024-01-25
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        1       | 1        | I500 | Y
        2       | 1        | Z511 | Y
        3       | 1        | I500 | Y
        """,
    )
    # Z511 is maintenance chemotherapy (CCS 45), always planned. Stay 2 itself is no index admission
    # (its principal diagnosis is cancer treatment), so only stays 1 and 3 are rows.
    assert outcome(rows(extract, Point.DISCHARGE)) == {"1": 0, "3": 0}


@pytest.mark.parametrize(
    ("principal", "procedure", "expected"),
    [
        ("I350", "3521", 0),  # valve replacement (CCS 43) for aortic stenosis: potentially planned, not acute
        ("I214", "3606", 1),  # coronary intervention for acute infarction (CCS 100): acute, so unplanned
        ("J449", "4100", 0),  # bone marrow transplant (CCS 64): always planned
        ("I350", "8872", 1),  # a diagnostic ultrasound plans nothing
    ],
)
def test_the_cms_rule_of_planned_returns(
    tmp_path: Path, principal: str, procedure: str, expected: int
) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-01-12  | 2024-01-20
        """,
        diagnoses=f"""
        stay_id | position | code        | present_on_admission
        1       | 1        | J449        | Y
        2       | 1        | {principal} | Y
        """,
        procedures=f"""
        stay_id | position | code
        2       | 1        | {procedure}
        """,
    )
    assert outcome(rows(extract, Point.DISCHARGE))["1"] == expected


def test_an_uncoded_return_leaves_the_label_missing(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 7          | 2024-01-12  | 2024-01-20
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        1       | 1        | J449 | Y
        """,
    )
    assert outcome(rows(extract, Point.DISCHARGE))["1"] is None


def test_a_return_on_the_day_of_discharge_counts_unless_it_is_the_same_episode(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        A2      | A          | H1          | 2024-01-05 20:00:00 | 2024-01-09 10:00:00
        B1      | B          | H1          | 2024-01-01 08:00:00 | 2024-01-05 10:00:00
        B2      | B          | H2          | 2024-01-05 12:00:00 | 2024-01-09 10:00:00
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        A1      | 1        | J449 | Y
        A2      | 1        | I500 | Y
        B1      | 1        | J449 | Y
        B2      | 1        | J449 | Y
        """,
    )
    # A came back to the same hospital with another diagnosis: a return on day 0. B was moved to
    # another hospital: one episode, scored at discharge by its last stay.
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A1": 1, "A2": 0, "B2": 0}


def test_death_in_the_window_is_a_competing_event_and_no_readmission(tmp_path: Path) -> None:
    patients = """
        patient_id | death_date
        7          | 2024-01-20
        8          |
        """
    stays = """
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-01  | 2024-01-05
        2       | 8          | 2024-01-01  | 2024-01-05
        """
    registry = rows(hospital(tmp_path / "a", patients=patients, stays=stays), Point.DISCHARGE)
    assert outcome(registry) == {"1": 0, "2": 0}
    assert registry["label_readmission_or_death"].tolist() == [1, 0]
    assert registry["row_first_event"].tolist() == ["died", "neither"]
    in_hospital = hospital(tmp_path / "b", deaths="in_hospital", patients=patients, stays=stays)
    assert rows(in_hospital, Point.DISCHARGE)["label_readmission_or_death"].isna().all()


def test_the_front_page_variant_takes_a_planned_return_at_its_word_unless_it_is_an_emergency(
    tmp_path: Path,
) -> None:
    stays = """
        stay_id | patient_id | admitted_at | discharged_at | admission_type | planned_return_31d
        A1      | A          | 2024-01-01  | 2024-01-05    | elective       | true
        A2      | A          | 2024-01-12  | 2024-01-20    | elective       |
        B1      | B          | 2024-01-01  | 2024-01-05    | elective       | true
        B2      | B          | 2024-01-12  | 2024-01-20    | emergency      |
        """
    front_page = hospital(tmp_path / "a", variant="front_page", stays=stays)
    cms = hospital(tmp_path / "b", variant="cms", stays=stays)
    assert outcome(rows(front_page, Point.DISCHARGE)) == {"A1": 0, "A2": 0, "B1": 1, "B2": 0}
    assert outcome(rows(cms, Point.DISCHARGE)) == {"A1": 1, "A2": 0, "B1": 1, "B2": 0}


RETURN = """
    stay_id | patient_id | admitted_at | discharged_at | admission_type
    A1      | A          | 2024-01-01  | 2024-01-05    | emergency
    A2      | A          | 2024-01-12  | 2024-01-20    | emergency
    """


def test_without_procedures_no_return_can_be_judged(tmp_path: Path) -> None:
    coded = """
        stay_id | position | code | present_on_admission
        A1      | 1        | J449 | Y
        A2      | 1        | I251 | Y
        """
    # I251 is coronary atherosclerosis, not acute; 3615 a coronary bypass: a planned return.
    operated = "stay_id | position | code\nA2 | 1 | 3615"
    planned = hospital(tmp_path / "a", stays=RETURN, diagnoses=coded, procedures=operated)
    assert outcome(rows(planned, Point.DISCHARGE)) == {"A1": 0, "A2": 0}
    none = hospital(tmp_path / "b", stays=RETURN, diagnoses=coded)
    assert outcome(rows(none, Point.DISCHARGE)) == {"A1": 1, "A2": 0}
    # No table of procedures: unknown, and unknown for everyone, so that no outcome is favoured.
    unknown = hospital(tmp_path / "c", stays=RETURN, diagnoses=coded, without=("procedures",))
    assert outcome(rows(unknown, Point.DISCHARGE)) == {"A1": None, "A2": None}


def test_a_procedure_in_any_stay_of_the_return_counts(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-05 08:00:00
        A2      | A          | H1          | 2024-01-12 08:00:00 | 2024-01-13 08:00:00
        A3      | A          | H2          | 2024-01-13 09:00:00 | 2024-01-20 08:00:00
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        A1      | 1        | I251 | Y
        A2      | 1        | I251 | Y
        A3      | 1        | I251 | Y
        """,
        procedures="stay_id | position | code\nA3 | 1 | 3615",
    )
    # Came back to the first hospital and was operated on in the second: one planned return.
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A1": 0, "A3": 0}


def test_a_return_whose_diagnosis_has_no_category_is_not_judged_by_its_operation(tmp_path: Path) -> None:
    coded = "stay_id | position | code | present_on_admission\nA1 | 1 | J449 | Y\nA2 | 1 | U99 | Y"
    operated = "stay_id | position | code\nA2 | 1 | 3615"
    extract = hospital(tmp_path / "a", stays=RETURN, diagnoses=coded, procedures=operated)
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A1": None, "A2": 0}
    # Without an operation nothing could make it a planned one.
    plain = hospital(tmp_path / "b", stays=RETURN, diagnoses=coded)
    assert outcome(rows(plain, Point.DISCHARGE)) == {"A1": 1, "A2": 0}


def test_the_plan_of_the_first_stay_is_not_the_plan_of_the_last(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        variant="front_page",
        stays="""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | planned_return_31d | admission_type
        A1      | A          | H1          | 2024-01-01 08:00:00 | 2024-01-03 08:00:00 | true               | urgent
        A2      | A          | H2          | 2024-01-03 09:00:00 | 2024-01-09 08:00:00 |                    | urgent
        A3      | A          | H1          | 2024-01-20 09:00:00 | 2024-01-25 08:00:00 |                    | urgent
        """,  # noqa: E501
    )
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A2": 1, "A3": 0}


@pytest.mark.parametrize(
    ("unseen", "expected"),
    [
        ("2024-01-01", 0),  # before the discharge of 5 January
        ("2024-01-05", None),
        ("2024-02-04", None),  # 5 January + 30 days
        ("2024-02-05", 0),
        (None, None),  # nobody knows when
    ],
)
def test_a_quarantined_stay_leaves_unknown_what_became_of_the_patient(
    tmp_path: Path, unseen: str | None, expected: int | None
) -> None:
    stays = "stay_id | patient_id | admitted_at | discharged_at\nA1 | A | 2024-01-01 | 2024-01-05"
    extract = hospital(tmp_path, stays=stays)
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A1": 0}
    quarantined(extract, "A", unseen)
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A1": expected}
    quarantined(extract, "another", unseen)
    assert outcome(rows(extract, Point.DISCHARGE)) == {"A1": 0}


@pytest.mark.parametrize(("unseen", "expected"), [("2024-01-08", None), ("2024-01-14", 1)])
def test_only_a_stay_before_the_known_return_may_have_been_the_first(
    tmp_path: Path, unseen: str, expected: int | None
) -> None:
    # The known return is of 12 January. One before it may have been planned, and then ended the follow-up.
    extract = hospital(tmp_path, stays=RETURN)
    quarantined(extract, "A", unseen)
    assert outcome(rows(extract, Point.DISCHARGE))["A1"] == expected


def test_the_first_event_is_unknown_where_deaths_outside_are(tmp_path: Path) -> None:
    dispositions = """
        stay_id | patient_id | admitted_at | discharged_at | discharge_disposition
        A1      | A          | 2024-01-01  | 2024-01-05    | home
        A2      | A          | 2024-01-12  | 2024-01-20    | home
        B1      | B          | 2024-01-01  | 2024-01-05    | home
        """
    known = rows(hospital(tmp_path / "a", stays=dispositions), Point.DISCHARGE)
    assert known["row_first_event"].tolist() == ["readmitted", "neither", "neither"]
    unknown = rows(hospital(tmp_path / "b", deaths="in_hospital", stays=dispositions), Point.DISCHARGE)
    assert unknown["row_first_event"].fillna("unknown").tolist() == ["readmitted", "unknown", "unknown"]
