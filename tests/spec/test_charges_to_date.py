"""Charges to date

What the episode has cost by the prediction time: in all, a day, and for drugs, diagnostics (diagnostics,
laboratory, imaging), operations (surgery, anaesthesia) and consumables. A charge is known at its
`known_at`, without one at the end of its day: the day of the prediction itself is then not in it.
Antimicrobials are a part of drugs and are not added twice. Charges a day are the charges so far by the
midnights since the admission, at least one.

Without the table, and as long as no charge of the stay is known, they are missing; a kind of which there is
none beside others is 0. Without dates the charges a day are missing. The total of the stay itself is known
at discharge (`stay_cost`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from features.dataset import DataSet
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from tests.hospital import hospital, rows

STAYS = """
    stay_id | patient_id | admitted_at         | discharged_at
    now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00
    """
CHARGES = """
    stay_id | incurred_on | category       | amount | known_at
    now     | 2024-01-10  | drugs          | 100    |
    now     | 2024-01-10  | antimicrobials | 40     |
    now     | 2024-01-10  | laboratory     | 30     |
    now     | 2024-01-10  | imaging        | 20     |
    now     | 2024-01-10  | consumables    | 5      | 2024-01-13 09:00:00
    now     | 2024-01-11  | surgery        | 500    |
    now     | 2024-01-11  | anaesthesia    | 50     |
    now     | 2024-01-12  | drugs          | 10     |
    now     | 2024-01-15  | general        | 7      |
    """
ALL = replace(DEFAULT_SETTINGS, optional_features=True)


def test_at_the_landmark_the_first_day_is_known(tmp_path: Path) -> None:
    now = rows(hospital(tmp_path, stays=STAYS, charges=CHARGES), Point.ADMISSION, ALL).loc["now"]
    # By 11 January 08:00 the charges of the 10th are known, but for the one that was entered on the 13th.
    assert now["charges_so_far"] == 100 + 30 + 20
    assert now["charges_per_day_so_far"] == 150  # one midnight
    assert now["drug_charges_so_far"] == 100
    assert now["antimicrobial_charges_so_far"] == 40
    assert now["diagnostic_charges_so_far"] == 30 + 20
    assert now["operation_charges_so_far"] == 0
    assert now["consumable_charges_so_far"] == 0


def test_at_discharge_all_but_the_last_day_is_known(tmp_path: Path) -> None:
    now = rows(hospital(tmp_path, stays=STAYS, charges=CHARGES), Point.DISCHARGE).loc["now"]
    assert now["charges_so_far"] == 150 + 5 + 500 + 50 + 10
    assert now["charges_per_day_so_far"] == 715 / 5
    assert now["operation_charges_so_far"] == 550
    assert now["drug_charges_so_far"] == 110
    assert now["consumable_charges_so_far"] == 5


def charges_so_far(extract: DataSet, hours: float = 24) -> float:
    settings = replace(DEFAULT_SETTINGS, landmark_hours=hours)
    return float(rows(extract, Point.ADMISSION, settings).loc["now", "charges_so_far"])


def test_what_is_not_known_is_missing_not_zero(tmp_path: Path) -> None:
    assert pd.isna(charges_so_far(hospital(tmp_path / "absent", stays=STAYS)))
    none = "stay_id | incurred_on | category | amount"
    assert pd.isna(charges_so_far(hospital(tmp_path / "none", stays=STAYS, charges=none)))
    # Without dates nothing says how many days they cover.
    dated = hospital(tmp_path / "undated", stays=STAYS, charges=CHARGES)
    undated = replace(dated, declaration=dated.declaration.model_copy(update={"timeline": "none"}))
    now = rows(undated, Point.DISCHARGE).loc["now"]
    assert now["charges_so_far"] == 150 + 5 + 500 + 50 + 10 + 7
    assert pd.isna(now["charges_per_day_so_far"])
    # At 14:00 of the first day no day has ended yet.
    assert pd.isna(charges_so_far(hospital(tmp_path / "early", stays=STAYS, charges=CHARGES), hours=6))
