"""OMOP's common data model, by a made-up extract: every row in its place, what is not told is unknown."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import duckdb
import pytest

from features.dataset import open_dataset
from features.ingest import ingest
from features.tables import TableError
from tests.extract import EXTRACTS, changed, select

EXTRACT = EXTRACTS / "omop"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("omop") / "out"
    ingest("omop", EXTRACT, out)
    return out


def copied(tmp_path: Path) -> Path:
    return shutil.copytree(EXTRACT, tmp_path / "extract")


def test_what_an_extract_means_is_declared(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "dataset.toml").unlink()
    with pytest.raises(TableError, match=r"currency: is required; cost_basis: is required"):
        ingest("omop", folder, tmp_path / "out")
    shutil.copy(EXTRACT / "dataset.toml", tmp_path / "meaning.toml")
    changed(tmp_path, "meaning.toml", "observed_until = 2022-12-31\n", "")
    # The table observation_period is there, and says nothing of the extract.
    with pytest.raises(TableError, match="observed_from and observed_until are required"):
        ingest("omop", folder, tmp_path / "out", options={"declaration": tmp_path / "meaning.toml"})


def test_a_birth_day_that_is_not_released_is_not_made_up(out: Path) -> None:
    assert select(out, "patients", "patient_id, birth_date::VARCHAR, sex, death_date::VARCHAR") == [
        ("1", "1950-03-07", "male", "2022-05-20"),
        ("2", None, "female", None),
        ("3", "1970-12-24", "unknown", None),
    ]
    assert select(out, "stays", "stay_id, age_years") == [
        ("11", None), ("12", None), ("13", 61), ("18", None),  # 2022 − 1961
    ]  # fmt: skip


def test_inpatient_visits_are_stays(out: Path) -> None:
    columns = "stay_id, hospital_id, status, admitted_at::VARCHAR, discharged_at::VARCHAR"
    assert select(out, "stays", columns) == [
        ("11", "MUH", "discharged", "2022-03-01 10:30:00", "2022-03-06 15:00:00"),
        ("12", "72", "discharged", "2022-05-10 00:00:00", "2022-05-20 00:00:00"),
        ("13", "unknown", "in", "2022-12-28 00:00:00", None),  # still a patient: its end is the extract's
        ("18", "MUH", "discharged", "2022-08-01 00:00:00", "2022-08-03 00:00:00"),
    ]
    columns = "stay_id, admission_type, admission_source, discharge_disposition, payer"
    assert select(out, "stays", columns) == [
        ("11", "emergency", "home", "home", "basic"),
        ("12", "unknown", "other_hospital", "died", "employer"),  # insured anew since May
        ("13", "unknown", None, None, None),
        ("18", "unknown", "home", None, None),  # its concept of discharge has no meaning here
    ]


def test_cost_is_that_of_the_declared_basis_for_whole_visits(tmp_path: Path, out: Path) -> None:
    columns = "stay_id, total_cost::DOUBLE, patient_paid::DOUBLE, payment_group"
    assert select(out, "stays", columns) == [
        ("11", 6700, 600, "291"),  # 6,000 + 700; the procedure's 3,000 may be a part of it
        ("12", 15000, 0, "180"),
        ("13", None, None, None),
        ("18", None, None, None),
    ]
    folder = changed(copied(tmp_path), "dataset.toml", '"cost"', '"billed"')
    ingest("omop", folder, tmp_path / "out")
    assert select(tmp_path / "out", "stays", "total_cost::DOUBLE")[:2] == [(10000,), (20000,)]


def test_other_visits_are_visits_of_their_kind(out: Path) -> None:
    assert select(out, "visits", "visit_id, patient_id, visited_at::DATE::VARCHAR, kind, cost::DOUBLE") == [
        ("14", "1", "2022-02-15", "emergency", 300),
        ("15", "2", "2022-06-01", "outpatient", None),
        ("16", "2", "2022-07-01", "outpatient", None),  # a kind below outpatient visits
    ]


def test_diagnoses_have_the_vocabulary_of_their_source_and_the_place_of_their_status(out: Path) -> None:
    assert select(out, "diagnoses", "stay_id, kind, position, code, code_system") == [
        ("11", "admitting", 1, "R060", "icd10"),
        ("11", "discharge", 1, "I500", "icd10"),  # marked primary, though it comes second
        ("11", "discharge", 2, "E119", "icd10cm"),
        ("12", "discharge", 1, "C341", None),  # the only one; no concept, so of the declared system
        ("18", "discharge", 2, "I10", None),  # two, and none is marked: which is the principal is unknown
        ("18", "discharge", 3, "K802", None),
    ]


def test_procedures_come_in_the_order_of_their_days(out: Path) -> None:
    assert select(out, "procedures", "stay_id, position, code, code_system, performed_at::DATE::VARCHAR") == [
        ("11", 1, "3722", "icd9cm3", "2022-03-03"),
        ("11", 2, "8872", "icd9cm3", "2022-03-04"),
    ]


def test_measurements_go_by_loinc_and_ucum_else_by_their_own_names(out: Path) -> None:
    assert select(out, "observations", "stay_id, taken_at::DATE::VARCHAR, code, value, unit") == [
        ("11", "2022-03-01", "2951-2", 131, "mmol/L"),
        ("11", "2022-03-02", "LOCAL-7", 9.5, "furlong"),
        ("11", "2022-03-06", "BARTHEL", 55, "{score}"),
        (None, "2022-02-15", "2951-2", 138, "unknown"),  # in a visit, without a unit
    ]


def test_drugs_go_by_the_nearest_group_of_atc(out: Path) -> None:
    assert select(out, "medications", "patient_id, stay_id, code, route, ended_at::DATE::VARCHAR") == [
        ("1", "11", "C03CA01", "iv", "2022-03-06"),
        ("2", None, "LOCAL-DRUG", "oral", "2022-06-14"),
    ]


def test_what_is_left_out_is_told_with_counts(tmp_path: Path) -> None:
    notes = "\n".join(ingest("omop", EXTRACT, tmp_path / "out").warnings)
    for told in (
        "visit_occurrence: 1 rows are left out: in nursing homes",
        "visit_occurrence: 1 stays have a concept in discharged_to_concept_id without a meaning here (9",
        "cost: 1 rows are left out",
        "condition_occurrence: 1 rows are left out: they belong to no stay",
        "condition_occurrence: 1 rows are left out: preliminary",
        "condition_occurrence: 1 of 3 stays have several diagnoses and none marked primary",
        "procedure_occurrence: 1 rows are left out: they belong to no stay",
        "measurement: 1 rows are left out: their value is not a number",
        "observation: 1 rows are left out: their value is not a number",
    ):
        assert told in notes


def test_without_a_vocabulary_the_declared_systems_and_local_names_hold(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "CONCEPT.csv").unlink()
    (folder / "CONCEPT_ANCESTOR.csv").unlink()
    quality = ingest("omop", folder, tmp_path / "out", max_quarantine_share=0.4)
    assert any(note.startswith("concept: no such table") for note in quality.warnings)
    # The made-up kind of visit has no meaning without its ancestors.
    assert [(rule.table, rule.rule) for rule in quality.rules] == [("visits", "not_allowed")]
    out = tmp_path / "out"
    assert select(out, "diagnoses", "code, code_system")[0] == ("C341", None)
    assert {code for (code,) in select(out, "observations", "code")} == {"NA-S", "LOCAL-7", "BARTHEL"}
    assert ("local furosemide",) in select(out, "medications", "code")


def test_tables_in_folders_compressed_or_in_parquet_read_the_same(tmp_path: Path, out: Path) -> None:
    folder = copied(tmp_path)
    (folder / "measurement.csv").unlink()
    (folder / "person.csv").unlink()
    (folder / "MEASUREMENT").mkdir()
    (folder / "Person.CSV.gz").write_bytes(gzip.compress((EXTRACT / "person.csv").read_bytes()))
    # Numbers as other tools store them: the visit of a row without one makes the column floating point.
    duckdb.sql(
        "SELECT * REPLACE (visit_occurrence_id::DOUBLE AS visit_occurrence_id) "
        f"FROM read_csv('{EXTRACT / 'measurement.csv'}')"
    ).write_parquet(str(folder / "MEASUREMENT" / "part-0.parquet"))
    ingest("omop", folder, tmp_path / "out")
    assert open_dataset(tmp_path / "out").digest() == open_dataset(out).digest()


def test_an_extract_of_stays_alone_knows_nothing_of_other_visits(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    text = (folder / "VISIT_OCCURRENCE.csv").read_text().splitlines(keepends=True)
    kept = [line for line in text if not line.startswith(("14\t", "15\t", "16\t", "17\t"))]
    (folder / "VISIT_OCCURRENCE.csv").write_text("".join(kept))
    quality = ingest("omop", folder, tmp_path / "out")
    assert not open_dataset(tmp_path / "out").has("visits")
    assert "visit_occurrence: holds no visit beside the stays, so that other visits are unknown." in (
        quality.warnings
    )


def test_codes_that_have_no_categories_are_quarantined(tmp_path: Path) -> None:
    folder = changed(
        copied(tmp_path), "CONCEPT.csv", "ICD9Proc\t4-dig billing code\t\t88.72", "CPT4\tCPT4\t\t93306"
    )
    quality = ingest("omop", folder, tmp_path / "out", max_quarantine_share=0.5)
    assert [(rule.table, rule.rule, rule.columns) for rule in quality.rules] == [
        ("procedures", "not_allowed", ("code_system",))
    ]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "VISIT_OCCURRENCE.csv",
            "DISCHARGED_TO_CONCEPT_ID",
            "DISCHARGE_TO_CONCEPT_ID",
            "missing: discharged_to",
        ),
        ("cost.csv", "703,12,Visit,32817,44818568", "703,12,Visit,32817,44818570", "2 currencies"),
        (
            "CONCEPT.csv",
            "910001\tDyspnoea",
            "910001\tDys\tp\tnoea",
            "CONCEPT\\.csv cannot be read as CSV \\(first at line 2\\): a tab",
        ),
    ],
)
def test_an_extract_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(TableError, match=message):
        ingest("omop", changed(copied(tmp_path), name, old, new), tmp_path / "out")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "death.csv").unlink()
    with pytest.raises(TableError, match="no table death there, but deaths are declared as of a registry"):
        ingest("omop", folder, tmp_path / "out")
    (folder / "person.csv").unlink()
    with pytest.raises(TableError, match="no table person there"):
        ingest("omop", folder, tmp_path / "out")
