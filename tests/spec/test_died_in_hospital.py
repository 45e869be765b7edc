"""Died in hospital

Any source that knows decides whether a patient left alive: the outcome that the extract supplies, the
disposition, or a date of death before that of the discharge. A death on the day of the discharge may also
be one at home: it counts as in hospital only where the disposition is unknown. Where only deaths in
hospital are known (`deaths = "in_hospital"`) and nothing says how a stay ended, it may have been a death:
the readmission label is missing.
"""

from __future__ import annotations

from pathlib import Path

from features.points import Point
from tests.hospital import flow, hospital, rows


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


def test_the_outcome_that_the_extract_supplies_is_a_source_too(tmp_path: Path) -> None:
    extract = hospital(
        tmp_path,
        stays="""
        stay_id | patient_id | admitted_at | discharged_at | discharge_disposition
        1       | A          | 2024-03-01  | 2024-03-08    | other
        2       | B          | 2024-03-01  | 2024-03-08    | other
        """,
        outcomes="""
        stay_id | died_in_hospital
        1       | true
        2       | false
        """,
    )
    assert flow(extract, Point.DISCHARGE)["died_in_hospital"] == -1
    assert rows(extract, Point.DISCHARGE).index.tolist() == ["2"]
    assert rows(extract, Point.ADMISSION)["row_died_in_hospital"].tolist() == [1, 0]
