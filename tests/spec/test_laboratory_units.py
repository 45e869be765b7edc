"""Laboratory values in one unit

An analyte is known by its LOINC codes, of mass and of substance concentration; the unit of the row decides
how its value is converted (`features/codes/measures_2025.csv`, `measure_codes_2025.csv`,
`measure_units_2025.csv`): by molar masses, by powers of ten, HbA1c from IFCC to NGSP by 0.0915 · x + 2.15
(Hoelzel et al., Clin Chem 2004;50(1):166-74); a percentage by the IFCC's method is not used.
Spellings differ in case, spaces, `µ` and `^`. Converted values keep four decimals.

A value in a unit that is not known is not used, and neither is one beyond the plausible range of its
analyte in the unit given: haemoglobin of 132 g/dL is a mistaken unit. The check counts both.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.ingest import ingest
from features.points import Point
from tests.hospital import hospital, rows
from tests.tables import write_folder

STAYS = """
    stay_id | patient_id | admitted_at         | discharged_at
    now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00
    """


@pytest.mark.parametrize(
    ("code", "value", "unit", "name", "expected"),
    [
        ("2160-0", 0.9, "mg/dL", "creatinine", 0.9),
        ("14682-9", 100, "µmol/L", "creatinine", 1.1312),  # 113.12 g/mol
        ("2160-0", 100, "umol / l", "creatinine", 1.1312),  # the unit decides, not the code
        ("14749-6", 10, "mmol/L", "glucose", 180.156),  # 180.156 g/mol
        ("22664-7", 5, "mmol/L", "urea_nitrogen", 14.007),  # 28.014 g of nitrogen in a mole of urea
        ("3091-6", 20, "mg/dL", "urea_nitrogen", 9.3293),  # urea, 60.056 g/mol: 20 * 28.014 / 60.056
        ("3094-0", 20, "mg/dL", "urea_nitrogen", 20),  # urea nitrogen already
        ("718-7", 120, "g/L", "haemoglobin", 12),
        ("59260-0", 8, "mmol/L", "haemoglobin", 12.8916),  # 16114.5 g/mol
        ("6690-2", 7.5, "10^9/L", "white_cells", 7.5),
        ("6690-2", 7.5, "x10*9/L", "white_cells", 7.5),
        ("6690-2", 7500, "/uL", "white_cells", 7.5),
        ("777-3", 250, "10E3/uL", "platelets", 250),
        ("1988-5", 1.2, "mg/dL", "c_reactive_protein", 12),
        ("14631-6", 100, "umol/L", "bilirubin", 5.8466),  # 584.66 g/mol
        ("1751-7", 38, "g/L", "albumin", 3.8),
        ("2951-2", 140, "mEq/L", "sodium", 140),
        # Not used: an unknown unit, another quantity, a mistaken unit.
        ("2160-0", 0.9, "furlong", "creatinine", None),
        ("718-7", 12, "mmol", "haemoglobin", None),
        ("718-7", 132, "g/dL", "haemoglobin", None),
    ],
)
def test_a_value_is_converted_or_not_used(
    tmp_path: Path, code: str, value: float, unit: str, name: str, expected: float | None
) -> None:
    extract = hospital(
        tmp_path,
        stays=STAYS,
        observations=f"""
        patient_id | taken_at            | code   | value   | unit
        7          | 2024-01-10 12:00:00 | {code} | {value} | {unit}
        """,
    )
    found = rows(extract, Point.ADMISSION).loc["now", f"{name}_first_day"]
    assert (None if pd.isna(found) else found) == expected


def test_the_check_counts_what_is_not_used(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "extract",
        {
            "patients": "patient_id | birth_date | sex\n7 | 1950-01-01 | female",
            "stays": """
            stay_id | patient_id | hospital_id | status     | admission_type | admitted_at | discharged_at
            now     | 7          | H1          | discharged | emergency      | 2024-01-10  | 2024-01-15
            """,
            "diagnoses": "stay_id | kind | position | code\nnow | discharge | 1 | J449",
            "observations": """
            patient_id | taken_at            | code    | value | unit
            7          | 2024-01-10 12:00:00 | 2160-0  | 0.9   | furlong
            7          | 2024-01-11 12:00:00 | 2160-0  | 0.9   | mg/dL
            7          | 2024-01-10 12:00:00 | 718-7   | 132   | g/dL
            7          | 2024-01-11 12:00:00 | 718-7   | 129   | g/dL
            7          | 2024-01-11 12:00:00 | 99999-9 | 1     | furlong
            """,
            "medications": """
            patient_id | started_at          | code
            7          | 2024-01-10 12:00:00 | A10BA02
            7          | 2024-01-10 12:00:00 | LOCAL17
            7          | 2024-01-11 12:00:00 | metformin
            """,
        },
    )
    quality = ingest("canonical", folder, tmp_path / "out")
    about = [warning for warning in quality.warnings if warning.startswith("observations")]
    assert about == [
        "observations: 1 values of creatinine are not used: unknown unit. Convert them to a known one.",
        "observations: 2 values of haemoglobin are not used: not plausible in the unit given. Correct value "
        "or unit.",
        "observations: 1 values, of 1 different codes, are read by no feature. Where one of them means a "
        "test that features use, give it that test's LOINC code.",
    ]
    assert [warning for warning in quality.warnings if warning.startswith("medications")] == [
        "medications: 2 of 3 rows have a code that is not ATC: they are counted, and features of groups of "
        "medications are missing. Map the codes to ATC.",
    ]
