"""LACE

At discharge (van Walraven et al., CMAJ 2010;182(6):551-7), 0 to 19 points. **L**: nights of the episode,
none 0, 1 1, 2 2, 3 3, 4–6 4, 7–13 5, 14 and more 7. **A**: urgent or emergency admission 3, by the first stay
of the episode: who came as an emergency and was transferred came as an emergency. **C**: the sum of LACE's
own weights over the discharge diagnoses of the episode (`features/codes/comorbidities_lace_2010.csv`), up to
3 as it is, from 4 on 5; the severe form of a condition supersedes the mild one, and a tumour counts once.
**E**: emergency visits of the 180 days before the admission without the one that led to it (of the 24 hours
before), up to 3 as they are, from 4 on 4. Bands: 0–4, 5–9, 10 and more. Missing where an input is unknown.

Limit: previous myocardial infarction cannot be told from a present one by its codes; both count.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from tests.hospital import hospital, rows, told


@pytest.mark.parametrize(
    ("discharged_at", "admission_type", "codes", "n_visits", "expected"),
    [
        # 5 days -> 4, acute 3, chronic pulmonary disease 2, 1 visit 1: 10.
        ("2024-01-15", "emergency", ["J449"], 1, 10),
        # Same day -> 0, elective 0, none 0, no visit 0.
        ("2024-01-10", "elective", ["Z000"], 0, 0),
        # 14 days -> 7, acute 3, heart failure 2 + dementia 3 = 5 -> 5, 6 visits -> 4: 19.
        ("2024-01-24", "urgent", ["I500", "F009"], 6, 19),
        # 3 days -> 3, elective 0, diabetes with end-organ damage supersedes without (2), 3 visits 3: 8.
        ("2024-01-13", "elective", ["E112", "E119"], 3, 8),
        # 6 days -> 4, emergency 3, previous infarction 1 + cerebrovascular disease 1 + diabetes 1 = 3, 0: 10.
        ("2024-01-16", "emergency", ["I252", "I639", "E119"], 0, 10),
        # 13 days -> 5, elective 0, AIDS 4 -> 5, 4 visits -> 4: 14.
        ("2024-01-23", "elective", ["B24"], 4, 14),
        # 1 day -> 1, elective 0, mild renal disease 2; of moderate or severe 4 -> 5.
        ("2024-01-11", "elective", ["N183"], 0, 3),
        ("2024-01-11", "elective", ["N184"], 0, 6),
        # 2 days -> 2, elective 0, connective tissue disease 3, 0: 5.
        ("2024-01-12", "elective", ["M059"], 0, 5),
        # 7 days -> 5, elective 0, metastatic tumour 6 supersedes tumour -> 5: 10.
        ("2024-01-17", "elective", ["C780", "C341"], 0, 10),
    ],
)
def test_lace(
    tmp_path: Path, discharged_at: str, admission_type: str, codes: list[str], n_visits: int, expected: int
) -> None:
    coded = "\n".join(f"1 | {place} | {code} | Y" for place, code in enumerate(["Z000", *codes], start=1))
    visits = "\n".join(f"V{n} | 7 | 2023-12-0{n} 10:00:00" for n in range(1, n_visits + 1))
    extract = hospital(
        tmp_path,
        stays=f"""
        stay_id | patient_id | admitted_at | discharged_at   | admission_type
        1       | 7          | 2024-01-10  | {discharged_at} | {admission_type}
        """,
        diagnoses=f"stay_id | position | code | present_on_admission\n{coded}",
        visits=f"""
        visit_id | patient_id | visited_at
        early    | 7          | 2023-06-01 10:00:00
        led      | 7          | 2024-01-09 12:00:00
        {visits}
        """,
    )
    # The visit of June lies more than 180 days before; the one of 9 January led to the admission.
    assert rows(extract, Point.DISCHARGE)["lace_index"].tolist() == [expected]


@pytest.mark.parametrize(
    ("came_as", "moved_as", "expected"),
    # 11 nights of both stays -> 5; came urgently 3 or not 0; Z00 0; no visits 0.
    [("emergency", "elective", 8), ("elective", "emergency", 5), ("unknown", "emergency", None)],
)
def test_of_a_transferred_patient_the_first_admission_counts(
    tmp_path: Path, came_as: str, moved_as: str, expected: int | None
) -> None:
    extract = hospital(
        tmp_path,
        stays=f"""
        stay_id | patient_id | hospital_id | admitted_at         | discharged_at       | admission_type
        1       | 7          | H1          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00 | {came_as}
        2       | 7          | H2          | 2024-01-15 11:00:00 | 2024-01-21 10:00:00 | {moved_as}
        """,
        diagnoses="stay_id | position | code\n1 | 1 | Z000\n2 | 1 | Z000",
        visits="visit_id | patient_id | visited_at",
    )
    found = rows(extract, Point.DISCHARGE)
    assert told(found, "lace_index") == {"2": expected}
    # The feature is that of the stay itself.
    assert told(found, "length_of_stay_days") == {"2": 11}
    assert found["admission_type"].to_dict() == {"2": moved_as}


def test_lace_is_missing_where_emergency_visits_are_unknown(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-10  | 2024-01-15
        """,
    )
    assert rows(extract, Point.DISCHARGE)["lace_index"].isna().all()
