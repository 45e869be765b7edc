"""The shape of a data set: what it counts, and what it never shows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from features.ingest import ingest
from features.quality.check import check
from features.quality.shape import Mix, Shape, read_shape
from features.tables import TableError
from tests.tables import write_folder

N = 120


def folder_of(place: Path, **columns: list[object]) -> Path:
    """120 patients with one stay each, 60 discharged in January 2024 and 60 in February."""
    months = ["2024-01"] * 60 + ["2024-02"] * 60
    patients = pd.DataFrame(
        {"patient_id": [f"p{i}" for i in range(N)], "birth_date": "1950-01-01", "sex": "male"}
    )
    stays = pd.DataFrame(
        {
            "stay_id": [f"s{i}" for i in range(N)],
            "patient_id": patients["patient_id"],
            "hospital_id": "H",
            "status": "discharged",
            "admitted_at": [f"{month}-10 08:00" for month in months],
            "discharged_at": [f"{month}-{12 + i % 2} 10:00" for i, month in enumerate(months)],
            "admission_type": "emergency",
            "total_cost": [1000 + i for i in range(N)],
        }
    ).assign(**columns)
    diagnoses = pd.DataFrame(
        {"stay_id": stays["stay_id"], "kind": "discharge", "position": 1, "code": "I500"}
    )
    folder = write_folder(place, {"procedures": "stay_id | position | code"})
    for name, frame in (("patients", patients), ("stays", stays), ("diagnoses", diagnoses)):
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


def shape_of_stays(place: Path, **columns: list[object]) -> Shape:
    return check(folder_of(place, **columns)).shape


def test_rows_are_counted_by_the_month_of_their_stay(tmp_path: Path) -> None:
    shape = shape_of_stays(tmp_path)
    assert {name: table.n_rows for name, table in shape.tables.items()} == {
        "patients": 120,
        "stays": 120,
        "diagnoses": 120,
        "procedures": 0,
    }
    for name in ("stays", "diagnoses"):
        assert shape.tables[name].rows_by_month == {"2024-01": 60, "2024-02": 60}
    assert shape.tables["patients"].rows_by_month == {}


def test_an_extract_by_admission_counts_by_admission(tmp_path: Path) -> None:
    late = ["2024-03-02 10:00"] * N
    by_admission = write_declared(folder_of(tmp_path, discharged_at=late), 'complete_by = "admission"')
    assert check(by_admission).shape.tables["stays"].rows_by_month == {"2024-01": 60, "2024-02": 60}


def write_declared(folder: Path, line: str) -> Path:
    name = line.split()[0]
    lines = [old for old in (folder / "dataset.toml").read_text().splitlines() if not old.startswith(name)]
    (folder / "dataset.toml").write_text("\n".join([*lines, line]))
    return folder


def test_months_of_few_patients_are_not_counted_by_patients(tmp_path: Path) -> None:
    # 9 of the stays of February lie in March.
    left = [f"2024-01-{12 + i % 2} 10:00" for i in range(60)] + ["2024-02-12 10:00"] * 51
    stays = shape_of_stays(tmp_path, discharged_at=left + ["2024-03-02 10:00"] * 9).tables["stays"]
    assert list(stays.patients_by_month) == ["2024-01", "2024-02"]


def test_missing_shares_are_told_overall_and_by_month(tmp_path: Path) -> None:
    shape = shape_of_stays(tmp_path, payer=["city"] * 90 + [None] * 30)
    payer = shape.tables["stays"].columns["payer"]
    # 30 of 120 rows; none of the 60 of January and 30 of the 60 of February.
    assert payer.missing == 0.25
    assert payer.missing_by_month == {"2024-01": 0.0, "2024-02": 0.5}
    assert shape.tables["stays"].columns["status"].missing_by_month == {}


def test_rare_values_are_pooled_overall_and_by_month(tmp_path: Path) -> None:
    # January: 30 city and 30 state; February: 50 city, 3 state, 7 of a payer that 7 patients have.
    payers = ["city"] * 30 + ["state"] * 30 + ["city"] * 50 + ["state"] * 3 + ["the mayor's own"] * 7
    shape = shape_of_stays(tmp_path, payer=payers)
    payer = shape.tables["stays"].columns["payer"]
    assert payer.mix == Mix(values={"city": 80, "state": 33}, rest=7)
    assert payer.mix_by_month == {
        "2024-01": Mix(values={"city": 30, "state": 30}, rest=0),
        "2024-02": Mix(values={"city": 50}, rest=10, hidden=("state",)),
    }


def test_many_rows_of_few_patients_are_pooled_too(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    rows = [{"patient_id": f"p{i % 9}", "visit_id": i, "department": "rare clinic"} for i in range(900)]
    rows += [{"patient_id": f"p{i}", "visit_id": 900 + i, "department": "clinic"} for i in range(20)]
    pd.DataFrame(rows).assign(visited_at="2024-01-05", kind="outpatient").to_csv(
        folder / "visits.csv", index=False
    )
    mix = check(folder).shape.tables["visits"].columns["department"].mix
    assert mix == Mix(values={"clinic": 20}, rest=900)


def test_codes_are_told_by_their_first_character_and_category(tmp_path: Path) -> None:
    columns = check(folder_of(tmp_path)).shape.tables["diagnoses"].columns
    assert [dict(columns[name].mix)["values"] for name in ("code", "code_3", "code_1")] == [
        {"I500": 120},
        {"I50": 120},
        {"I": 120},
    ]


def test_quantiles_need_fifty_rows_and_keep_three_digits(tmp_path: Path) -> None:
    stays = shape_of_stays(tmp_path, patient_paid=[100.0] * 49 + [None] * 71).tables["stays"].columns
    # 1000 to 1119: the quartiles 1029.75, 1059.5 and 1089.25; 5 and 95 % are 1005.95 and 1113.05.
    assert stays["total_cost"].quantiles == (1010.0, 1030.0, 1060.0, 1090.0, 1110.0)
    assert stays["patient_paid"].quantiles is None
    assert stays["stay_days"].quantiles == (2.0, 2.0, 2.5, 3.0, 3.0)


def test_no_identifier_name_or_free_value_is_in_it(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in")
    names = pd.DataFrame(
        {"stay_id": [f"s{i}" for i in range(N)], "name": "SECRET NAME", "ward": "SECRET WARD"}
    )
    names.to_csv(folder / "identities.csv", index=False)
    facts = pd.DataFrame({"stay_id": [f"s{i}" for i in range(N)], "name": "note", "value": "SECRET VALUE"})
    facts.assign(available_from="admission").to_csv(folder / "facts.csv", index=False)
    ingest("canonical", folder, tmp_path / "out")
    text = (tmp_path / "out/shape.json").read_text("utf-8")
    for hidden in ("SECRET", '"s1"', '"p1"', '"s10', "1950"):
        assert hidden not in text
    assert json.loads(text)["tables"]["identities"]["n_rows"] == N


def test_the_same_extract_gives_the_same_text_and_reads_back(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in")
    for out, threads, buckets in (("one", 1, 1), ("two", 2, 3)):
        ingest("canonical", folder, tmp_path / out, threads=threads, buckets=buckets)
    texts = [(tmp_path / out / "shape.json").read_bytes() for out in ("one", "two")]
    assert texts[0] == texts[1]
    assert read_shape(tmp_path / "one") == read_shape(tmp_path / "two/shape.json") == check(folder).shape


@pytest.mark.parametrize("timeline", ["shifted", "none"])
def test_without_a_calendar_there_are_no_months(tmp_path: Path, timeline: str) -> None:
    folder = write_declared(folder_of(tmp_path, age_years=[60] * N), f'timeline = "{timeline}"')
    shape = check(folder).shape
    assert shape.tables["stays"].rows_by_month == {}
    assert shape.tables["stays"].columns["admission_type"].mix == Mix(values={"emergency": N}, rest=0)


def test_a_shape_that_is_not_there_or_none_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "in")
    with pytest.raises(TableError, match=r"no shape\.json there"):
        check(folder, against=tmp_path)
    (tmp_path / "shape.json").write_text('{"version": 1, "patients": "SECRET"}')
    with pytest.raises(TableError, match="not the shape of a data set") as caught:
        check(folder, against=tmp_path)
    assert "SECRET" not in str(caught.value)
