"""The LACE index (van Walraven, CMAJ 2010), from records."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from tests.hospital import hospital, rows


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


def test_lace_is_missing_where_emergency_visits_are_unknown(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at
        1       | 7          | 2024-01-10  | 2024-01-15
        """,
    )
    assert rows(extract, Point.DISCHARGE)["lace_index"].isna().all()
