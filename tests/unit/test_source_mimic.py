"""MIMIC-IV's module hosp, by an extract of made-up rows: every value in its place, nothing guessed."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from features.dataset import open_dataset
from features.ingest import ingest
from features.tables import TABLES, TableError
from tests.extract import EXTRACTS, changed, select

EXTRACT = EXTRACTS / "mimic"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mimic") / "out"
    ingest("mimic", EXTRACT, out)
    return out


def copied(tmp_path: Path) -> Path:
    return shutil.copytree(EXTRACT, tmp_path / "extract")


def test_dates_are_shifted_and_the_period_is_declared_never_guessed(tmp_path: Path, out: Path) -> None:
    found = open_dataset(out).declaration
    assert (found.timeline, found.deaths, found.has_calendar) == ("shifted", "registry", False)
    folder = copied(tmp_path)
    (folder / "dataset.toml").rename(tmp_path / "period.toml")
    with pytest.raises(TableError, match=r"observed_from and observed_until are required[^$]*shifts dates"):
        ingest("mimic", folder, tmp_path / "out")
    ingest("mimic", folder, tmp_path / "out", options={"declaration": tmp_path / "period.toml"})


def test_the_age_goes_with_the_shifted_year(out: Path) -> None:
    assert select(out, "patients", "patient_id, birth_date, sex, death_date::VARCHAR") == [
        ("90000001", None, "female", None),
        ("90000002", None, "male", "2163-03-02"),
        ("90000003", None, "female", None),
    ]
    assert select(out, "stays", "stay_id, age_years") == [
        ("99000001", 60),
        ("99000002", 61),  # 60 in 2150, admitted in 2151
        ("99000003", 93),  # 91 in 2161 stands for anyone over 89, admitted in 2163
        ("99000004", 92),
    ]


def test_how_a_stay_began_and_ended(out: Path) -> None:
    columns = "stay_id, admission_type, admission_source, discharge_disposition, payment_group"
    assert select(out, "stays", columns) == [
        ("99000001", "emergency", "home", "home", "291"),  # of two groupers the payer's
        ("99000002", "elective", "outpatient", "nursing", None),
        (
            "99000003",
            "emergency",
            "other_hospital",
            "died",
            "193",
        ),  # observation by way of the emergency room
        ("99000004", "unknown", None, "home", None),  # observation, of which no more is known
    ]
    assert select(out, "stays", "stay_id, admission_department, discharge_department, payer") == [
        ("99000001", "MED", "CMED", "Medicare"),
        ("99000002", "ORTHO", "ORTHO", "Medicare"),
        ("99000003", None, None, "Other"),
        ("99000004", None, None, "Other"),
    ]


def test_every_code_keeps_its_edition(out: Path) -> None:
    assert select(out, "diagnoses", "stay_id, kind, position, code, code_system") == [
        ("99000001", "discharge", 1, "I5033", "icd10cm"),
        ("99000001", "discharge", 2, "E119", "icd10cm"),
        ("99000002", "discharge", 1, "M1711", "icd10cm"),
        ("99000003", "discharge", 1, "486", "icd9cm"),
        ("99000004", "discharge", 1, "78650", "icd9cm"),
    ]
    assert select(out, "procedures", "stay_id, position, performed_at::DATE::VARCHAR, code, code_system") == [
        ("99000002", 1, "2151-01-10", "0SRC0J9", "icd10pcs"),
        ("99000003", 1, "2163-02-21", "9671", "icd9cm3"),
    ]


def test_results_are_numbers_known_once_they_are_stored(out: Path) -> None:
    columns = "code, value, unit, stay_id, taken_at::VARCHAR, known_at::VARCHAR"
    assert select(out, "observations", columns) == [
        ("2951-2", 131, "mEq/L", "99000001", "2150-05-02 04:00:00", "2150-05-02 05:30:00"),
        ("6301-6", 1.1, "{INR}", "99000001", "2150-05-03 06:00:00", "2150-05-03 07:00:00"),
        ("718-7", 11.2, "g/dL", None, "2150-03-01 09:00:00", "2150-03-01 10:00:00"),  # between stays
        ("mimic:59999", 7, "unknown", "99000003", "2163-02-21 06:00:00", "2163-02-21 07:00:00"),
    ]


def test_a_code_of_the_extract_goes_before_the_published_one(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "hosp" / "d_labitems.csv").write_text("itemid,loinc_code\n50983,2947-0\n51222,\n")
    ingest("mimic", folder, tmp_path / "out")
    codes = {code for (code,) in select(tmp_path / "out", "observations", "code")}
    assert codes == {"2947-0", "718-7", "6301-6", "mimic:59999"}


def test_emergency_stays_are_visits_with_those_that_led_to_an_admission(out: Path) -> None:
    assert select(out, "visits", "visit_id, patient_id, visited_at::VARCHAR, kind") == [
        ("31000001", "90000001", "2150-05-02 03:10:00", "emergency"),  # led to the admission of 8:00
        ("31000003", "90000001", "2150-02-11 20:00:00", "emergency"),  # with the observation that follows it
        ("31000005", "90000003", "2140-09-09 01:00:00", "emergency"),
    ]


def test_main_drugs_are_medications_by_name(out: Path) -> None:
    assert select(out, "medications", "patient_id, stay_id, started_at::VARCHAR, code, route") == [
        ("90000001", "99000001", "2150-05-02 10:00:00", "Furosemide", "IV")
    ]


def test_what_is_left_out_or_cannot_be_told_is_said_with_counts(tmp_path: Path) -> None:
    notes = "\n".join(ingest("mimic", EXTRACT, tmp_path / "out").warnings)
    assert "admissions: 2 rows are for observation" in notes
    # Anchors 2150 of 2017-2019 and 2161 of 2008-2010: 2150 may be 2019, 2151 even 2020; 2163 at most 2012.
    assert "admissions: 2 rows may be of 2019, the last year" in notes
    assert "labevents: 1 rows are left out: their result is not a number" in notes
    assert "labevents: 1 rows have no unit" in notes
    assert "prescriptions: 1 rows are left out" in notes
    # In the emergency room from 18 February, 15:00, admitted on the 20th at 22:00.
    assert "transfers: 1 emergency visits are left out" in notes


def test_tables_that_are_not_there_are_unknown(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    for name in ("procedures_icd", "labevents", "prescriptions", "transfers", "services", "drgcodes"):
        (folder / "hosp" / f"{name}.csv").unlink()
    ingest("mimic", folder, tmp_path / "out")
    data = open_dataset(tmp_path / "out")
    assert [name for name in TABLES if data.has(name)] == ["patients", "stays", "diagnoses"]


def test_compressed_files_in_the_folder_itself_read_the_same(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "hosp"
    folder.mkdir()
    for file in (EXTRACT / "hosp").iterdir():
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    shutil.copy(EXTRACT / "dataset.toml", folder)
    ingest("mimic", folder, tmp_path / "out")
    assert open_dataset(tmp_path / "out").digest() == open_dataset(out).digest()


@pytest.mark.parametrize(
    ("name", "old", "new", "rule", "columns"),
    [
        ("admissions.csv", "EW EMER.", "NEW KIND", "not_allowed", ("admission_type",)),
        ("admissions.csv", "2151-01-12 11:00:00", "2151-01-09 11:00:00", "discharged_before_admitted", ()),
        ("patients.csv", "F,60", "F,", "age_unknown", ()),
    ],
)
def test_what_cannot_be_mapped_or_cannot_be_is_quarantined(
    tmp_path: Path, name: str, old: str, new: str, rule: str, columns: tuple[str, ...]
) -> None:
    folder = changed(copied(tmp_path), f"hosp/{name}", old, new)
    quality = ingest("mimic", folder, tmp_path / "out", max_quarantine_share=1)
    found = [(row.rule, row.columns) for row in quality.rules if row.table == "stays"]
    assert found == [(rule, columns)]


def test_a_missing_file_or_column_is_named(tmp_path: Path) -> None:
    folder = changed(copied(tmp_path), "hosp/admissions.csv", "dischtime", "outtime")
    with pytest.raises(TableError, match=r"admissions.csv: columns are missing: dischtime"):
        ingest("mimic", folder, tmp_path / "out")
    (folder / "hosp" / "patients.csv").unlink()
    with pytest.raises(TableError, match=r"patients.csv.gz missing in hosp/"):
        ingest("mimic", folder, tmp_path / "out")
