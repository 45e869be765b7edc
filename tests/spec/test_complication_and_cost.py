"""Complication by present-on-admission, and the cost of an episode."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.points import Point
from tests.hospital import hospital, rows

ONE_STAY = """
    stay_id | patient_id | admitted_at | discharged_at
    1       | 7          | 2024-01-01  | 2024-01-05
    """


def complication(extract_rows: pd.DataFrame) -> int | None:
    value = extract_rows["label_complication"].iloc[0]
    return None if pd.isna(value) else int(value)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [("N", 1), ("Y", 0), ("U", 0), ("W", 0), ("", None)],
)
def test_a_complication_code_counts_only_if_it_was_not_present_on_admission(
    tmp_path: Path, flag: str, expected: int | None
) -> None:
    extract = hospital(
        tmp_path,
        stays=ONE_STAY,
        diagnoses=f"""
        stay_id | position | code | present_on_admission
        1       | 1        | J449 | Y
        1       | 2        | N179 | {flag}
        """,
    )
    # N179 is acute kidney failure. Without a flag it is not known when it arose.
    assert complication(rows(extract, Point.ADMISSION)) == expected


def test_an_ordinary_code_without_a_flag_is_no_complication(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays=ONE_STAY,
        diagnoses="""
        stay_id | position | code | present_on_admission
        1       | 1        | J449 |
        1       | 2        | E119 | Y
        """,
    )
    assert complication(rows(extract, Point.ADMISSION)) == 0


def test_without_discharge_diagnoses_the_label_is_missing(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays=ONE_STAY,
        diagnoses="""
        stay_id | kind      | position | code | present_on_admission
        1       | admitting | 1        | J449 | Y
        """,
    )
    assert complication(rows(extract, Point.ADMISSION)) is None


def test_an_extract_without_flags_counts_only_codes_that_cannot_be_present_on_admission(
    tmp_path: Path,
) -> None:
    for code, expected in (("T814", 1), ("N179", 0)):
        extract = hospital(
            tmp_path / code,
            stays=ONE_STAY,
            diagnoses=f"""
            stay_id | position | code
            1       | 1        | J449
            1       | 2        | {code}
            """,
        )
        assert complication(rows(extract, Point.ADMISSION)) == expected


def test_in_a_merged_episode_a_code_that_was_present_earlier_is_no_new_complication(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | hospital_id | admitted_at | discharged_at
        1       | 7          | H1          | 2024-01-01  | 2024-01-05
        2       | 7          | H2          | 2024-01-05  | 2024-01-09
        """
    for first, expected in (("Y", 0), ("N", 1)):
        extract = hospital(
            tmp_path / first,
            stays=stays,
            diagnoses=f"""
            stay_id | position | code | present_on_admission
            1       | 1        | J449 | Y
            1       | 2        | N179 | {first}
            2       | 1        | J449 | Y
            2       | 2        | N178 | N
            """,
        )
        # N179 and N178 share the 3-character code N17.
        assert complication(rows(extract, Point.ADMISSION)) == expected


def cost(extract_rows: pd.DataFrame) -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in extract_rows["label_episode_cost"]]


def test_episode_cost_adds_every_stay_that_starts_within_the_window_whole(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at | total_cost
        1       | 7          | H1          | 2024-01-01  | 2024-01-05    | 1000.10
        2       | 7          | H2          | 2024-01-06  | 2024-01-10    | 2000.20
        3       | 7          | H1          | 2024-02-09  | 2024-03-20    | 4000.40
        4       | 7          | H1          | 2024-04-30  | 2024-05-02    | 8000.80
        """,
    )
    # Stays 1 and 2 are one episode (moved to another hospital the next day). Stay 3 starts 30 days after
    # 10 January; stay 4 starts 41 days after 20 March. 1000.10 + 2000.20 + 4000.40 = 7000.70.
    assert cost(rows(extract, Point.ADMISSION)) == [7000.70, 4000.40, 8000.80]


def test_cost_is_missing_while_a_stay_in_the_window_is_not_costed_or_the_window_is_open(
    tmp_path: Path,
) -> None:
    extract = hospital(
        tmp_path,
        observed_until="2024-06-30",
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | total_cost | status
        1       | 7          | 2024-01-01  | 2024-01-05    | 1000       | discharged
        2       | 7          | 2024-01-20  | 2024-01-25    |            | discharged
        3       | 8          | 2024-06-20  | 2024-06-25    | 1000       | discharged
        4       | 9          | 2024-01-01  | 2024-01-05    | 1000       | discharged
        5       | 9          | 2024-02-01  |               |            | in
        """,
    )
    assert cost(rows(extract, Point.ADMISSION)) == [None, None, None, None, None]


TRANSFER = """
    stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | total_cost
    A       | 7          | H1          | 2024-01-01 08:00:00 | 2024-01-03 08:00:00 | 100
    B       | 7          | H2          | 2024-01-03 09:00:00 | 2024-01-20 08:00:00 | 900
    """


def test_an_episode_with_a_stay_that_is_not_coded_is_not_free_of_complications(tmp_path: Path) -> None:
    coded = "stay_id | position | code | present_on_admission\nA | 1 | J449 | Y\n"
    half = hospital(tmp_path / "a", stays=TRANSFER, diagnoses=coded)
    assert complication(rows(half, Point.ADMISSION)) is None
    whole = hospital(tmp_path / "b", stays=TRANSFER, diagnoses=coded + "B | 1 | J449 | Y")
    assert complication(rows(whole, Point.ADMISSION)) == 0
    found = hospital(tmp_path / "c", stays=TRANSFER, diagnoses=coded + "A | 2 | N179 | N")
    assert complication(rows(found, Point.ADMISSION)) == 1


def test_a_stay_without_any_flag_does_not_say_no(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | hospital_id | admitted_at | discharged_at
        1       | A          | H1          | 2024-01-01  | 2024-01-05
        2       | B          | H2          | 2024-01-01  | 2024-01-05
        """,
        diagnoses="""
        stay_id | position | code | present_on_admission
        1       | 1        | J449 | Y
        2       | 1        | J449 |
        """,
    )
    # H2 records no flags. Of its patients a complication could never count; none of them counts as free.
    labels = rows(extract, Point.ADMISSION)["label_complication"]
    assert labels.loc["1"] == 0
    assert pd.isna(labels.loc["2"])


def test_the_interim_total_of_an_open_stay_is_not_its_cost(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | status     | total_cost
        A1      | A          | 2024-01-01  | 2024-01-05    | discharged | 1000
        A2      | A          | 2024-01-12  |               | in         | 200
        B1      | B          | 2024-01-01  | 2024-01-05    | discharged | 1000
        B2      | B          | 2024-01-12  | 2024-01-15    | discharged | 200
        """,
    )
    cost = rows(extract, Point.ADMISSION)["label_episode_cost"]
    assert pd.isna(cost.loc["A1"])
    assert cost.loc["B1"] == 1000 + 200


def test_a_quarantined_stay_in_the_window_leaves_the_cost_unknown(tmp_path: Path) -> None:
    extract = hospital(tmp_path, stays=TRANSFER)
    assert rows(extract, Point.DISCHARGE)["label_episode_cost"].tolist() == [1000]
    # 20 January + 30 days = 19 February.
    for day, is_known in (("2023-12-31", True), ("2024-01-02", False), ("2024-02-19", False),
                          ("2024-02-20", True)):  # fmt: skip
        unseen = pd.DataFrame({"patient_id": ["7"], "admitted_at": pd.to_datetime([day])})
        unseen.to_parquet(extract.path / "unseen_stays.parquet")
        assert rows(extract, Point.DISCHARGE)["label_episode_cost"].notna().tolist() == [is_known], day


def test_charges_and_days_are_those_of_the_stay_that_is_scored(tmp_path: Path) -> None:
    extract = hospital(tmp_path, stays=TRANSFER)
    first = rows(extract, Point.ADMISSION).loc["A"]
    assert (first["label_index_charges"], first["label_stay_days"]) == (100, 2)
    last = rows(extract, Point.DISCHARGE).loc["B"]
    assert (last["label_index_charges"], last["label_stay_days"]) == (900, 17)
    assert first["label_episode_cost"] == last["label_episode_cost"] == 1000
