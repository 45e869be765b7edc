"""The public claims files: one stay per claim, every amount and code in its place."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import duckdb
import pytest

from features.dataset import open_dataset
from features.ingest import ingest
from features.quality.report import Quality
from features.tables import TABLES, TableError
from tests.extract import EXTRACTS, changed, select

EXTRACT = EXTRACTS / "synpuf"
PUBLIC_DATA = Path(os.environ.get("WARDCAST_PUBLIC_DATA") or Path(__file__).parents[3] / "shared" / "data")
INPATIENT = "DE1_0_2008_to_2010_Inpatient_Claims_Sample_0.csv"
OUTPATIENT = "DE1_0_2008_to_2010_Outpatient_Claims_Sample_0.csv"
A, B, C = "MADEUP000000000A", "MADEUP000000000B", "MADEUP000000000C"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synpuf") / "out"
    ingest("synpuf", EXTRACT, out)
    return out


def copied(tmp_path: Path) -> Path:
    return shutil.copytree(EXTRACT, tmp_path / "extract")


def test_the_format_declares_what_the_files_are(out: Path) -> None:
    found = open_dataset(out).declaration
    assert (found.currency, found.cost_basis, found.timeline, found.deaths) == (
        "USD", "paid", "real", "registry",
    )  # fmt: skip
    assert (str(found.observed_from), str(found.observed_until)) == ("2008-01-01", "2010-12-31")


def test_beneficiaries_of_three_years_are_one_patient_each(out: Path) -> None:
    assert select(out, "patients", "patient_id, birth_date::VARCHAR, sex, death_date::VARCHAR") == [
        (A, "1940-01-01", "male", None),
        (B, "1950-12-01", "female", "2010-03-01"),
        (C, "1933-06-01", "unknown", None),  # 2008 says female, 2009 male
    ]


def test_every_claim_is_one_stay_with_what_its_first_segment_says(out: Path) -> None:
    columns = "stay_id, patient_id, hospital_id, admitted_at::DATE::VARCHAR, discharged_at::DATE::VARCHAR"
    assert select(out, "stays", columns) == [
        ("910001", A, "9901ZZ", "2009-04-12", "2009-04-18"),
        ("910002", A, "9902ZZ", "2009-04-16", "2009-04-20"),  # overlaps the one before it
        ("910003", A, "9901ZZ", "2009-04-20", "2009-04-25"),  # begins on the day the other ends
        ("910004", B, "9901ZZ", "2010-02-10", "2010-02-20"),
    ]
    assert set(select(out, "stays", "status, admission_type, payer, discharge_disposition")) == {
        ("discharged", "unknown", "medicare", None)
    }


def test_cost_is_what_everyone_paid_once_per_claim(out: Path) -> None:
    assert select(out, "stays", "stay_id, payment_group, total_cost::DOUBLE, patient_paid::DOUBLE") == [
        ("910001", "234", 5068, 1068),  # 4,000 + deductible 1,068; the second segment's 7,000 not again
        ("910002", "303", 2500, 0),  # no deductible is none
        ("910003", "293", 3807, 307),  # 3,000 + 500 of another insurer + 267 coinsurance + 40 for blood
        ("910004", "208", 1450, 1650),  # −200 + 1,100 + 550
    ]


def test_diagnoses_of_all_segments_stay_in_their_places(out: Path) -> None:
    assert select(out, "diagnoses", "stay_id, kind, position, code, present_on_admission") == [
        ("910001", "admitting", 1, "7866", None),
        ("910001", "discharge", 1, "41401", None),
        ("910001", "discharge", 2, "4019", None),
        ("910001", "discharge", 11, "25000", None),  # first of the second segment
        ("910002", "discharge", 1, "41401", None),
        ("910003", "discharge", 1, "4280", None),
        ("910003", "discharge", 3, "5849", None),
        ("910004", "admitting", 1, "78605", None),
        ("910004", "discharge", 1, "486", None),
    ]


def test_only_the_first_procedure_column_holds_procedures(out: Path) -> None:
    assert select(out, "procedures", "stay_id, position, code, performed_at") == [
        ("910001", 1, "3613", None),
        ("910004", 1, "9671", None),
    ]


def test_outpatient_claims_are_visits_and_emergency_ones_are_told(out: Path) -> None:
    assert select(out, "visits", "visit_id, patient_id, visited_at::DATE::VARCHAR, kind, cost::DOUBLE") == [
        ("920001", B, "2010-01-05", "emergency", 150),  # 100 + deductible 20 + coinsurance 30; CPT 99283
        ("920002", A, "2009-01-20", "emergency", 60),  # billed in its second segment: G0383
        ("920003", A, "2009-02-20", "outpatient", 80),
    ]


def test_what_is_left_out_is_told_with_counts(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "DE1_0_2008_to_2010_Prescription_Drug_Events_Sample_0.csv").write_text("DESYNPUF_ID\n")
    notes = "\n".join(ingest("synpuf", folder, tmp_path / "out").warnings)
    assert "inpatient claims: 1 rows are further segments of a claim" in notes
    assert "inpatient claims: 2 codes in ICD9_PRCDR_CD_2 to ICD9_PRCDR_CD_6 are left out" in notes
    assert "Prescription_Drug_Events: 1 files are left out" in notes


def test_without_outpatient_claims_visits_are_unknown(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / OUTPATIENT).unlink()
    ingest("synpuf", folder, tmp_path / "out")
    assert not open_dataset(tmp_path / "out").has("visits")


def test_files_zipped_one_by_one_or_all_together_read_the_same(tmp_path: Path, out: Path) -> None:
    single, whole = tmp_path / "single", tmp_path / "whole.zip"
    single.mkdir()
    with zipfile.ZipFile(whole, "w") as archive:
        for file in EXTRACT.iterdir():
            archive.write(file, file.name)
            with zipfile.ZipFile(single / f"{file.stem}.zip", "w") as own:
                own.write(file, file.name)
                own.writestr(f"__MACOSX/._{file.name}", b"\x00\x05\x16\x07")  # some systems add such a file
    for name, source in (("a", single), ("b", whole)):
        ingest("synpuf", source, tmp_path / name)
        assert open_dataset(tmp_path / name).digest() == open_dataset(out).digest()


def test_the_owner_can_declare_an_earlier_end(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "dataset.toml").write_text("observed_until = 2009-12-31\n")
    quality = ingest("synpuf", folder, tmp_path / "out", max_quarantine_share=0.5)
    assert str(quality.declaration.observed_until) == "2009-12-31"
    rules = [(rule.table, rule.rule, rule.n_rows) for rule in quality.rules]
    assert ("stays", "after_observation", 1) in rules  # claim 910004 of 2010


@pytest.mark.parametrize(
    ("old", "new", "rule", "column"),
    [
        ("4000.00", "4 000 USD", "unreadable", "total_cost"),
        ("4000.00", "-4000.00", "negative", "total_cost"),
        ("20090412,7866", "2009-13-41,7866", "unreadable", "admitted_at"),
    ],
)
def test_what_cannot_be_read_is_quarantined(
    tmp_path: Path, old: str, new: str, rule: str, column: str
) -> None:
    folder = changed(copied(tmp_path), INPATIENT, old, new)
    quality = ingest("synpuf", folder, tmp_path / "out", max_quarantine_share=0.6)
    assert [(row.rule, row.columns, row.n_rows) for row in quality.rules if row.table == "stays"] == [
        (rule, (column,), 1)
    ]


def test_a_missing_file_or_column_is_named(tmp_path: Path) -> None:
    folder = changed(copied(tmp_path), INPATIENT, '"CLM_DRG_CD"', '"DRG"')
    with pytest.raises(TableError, match=r"Inpatient_Claims_Sample_0.csv: columns are missing: clm_drg_cd"):
        ingest("synpuf", folder, tmp_path / "out")
    (folder / INPATIENT).unlink()
    with pytest.raises(TableError, match=r"no file …Inpatient_Claims….csv there"):
        ingest("synpuf", folder, tmp_path / "out")
    with pytest.raises(TableError, match="a folder or a zip"):
        ingest("synpuf", folder / OUTPATIENT, tmp_path / "out")


def test_a_sample_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    shutil.copy(folder / INPATIENT, folder / "DE1_0_2008_to_2010_Inpatient_Claims_Sample_1.csv")
    with pytest.raises(TableError, match="5 rows repeat a claim's segment"):
        ingest("synpuf", folder, tmp_path / "out")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Quality]:
    source = PUBLIC_DATA / "desynpuf_dev.zip"
    if not source.is_file():
        pytest.skip("the public file desynpuf_dev.zip is not in the public data folder")
    out = tmp_path_factory.mktemp("public") / "out"
    return out, ingest("synpuf", source, out)


def test_the_public_files_keep_every_claim(public: tuple[Path, Quality]) -> None:
    _, quality = public
    counts = quality.counts
    assert counts["patients"].n_out == 40_000
    assert counts["stays"].n_in == 22_929  # 22,950 rows, 21 of them further segments
    assert all(count.n_in == count.n_out + count.n_quarantined for count in counts.values())
    # One payment of −3,000 with a deductible of 1,100; its 6 diagnoses and 1 procedure go with it.
    broken = {(rule.table, rule.rule, rule.n_rows) for rule in quality.rules}
    assert broken == {
        ("stays", "negative", 1),
        ("diagnoses", "unknown_stay", 6),
        ("procedures", "unknown_stay", 1),
    }
    assert (counts["diagnoses"].n_in, counts["procedures"].n_in) == (207_594, 13_026)


def test_overlaps_and_same_day_pairs_of_the_public_files_stay_in(public: tuple[Path, Quality]) -> None:
    rows = open_dataset(public[0]).select(TABLES["stays"])
    found = duckdb.sql(f"""
        WITH followed AS (
            SELECT admitted_at, max(discharged_at) OVER (
                PARTITION BY patient_id ORDER BY admitted_at, discharged_at, stay_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier_until
            FROM ({rows})
        )
        SELECT count(*) FILTER (admitted_at < earlier_until), count(*) FILTER (admitted_at = earlier_until)
        FROM followed""").fetchall()
    assert found == [(606, 104)]


def test_no_claim_of_the_public_files_begins_after_the_month_of_death(public: tuple[Path, Quality]) -> None:
    out, _ = public
    data = open_dataset(out)
    found = duckdb.sql(
        f"SELECT count(*) FROM ({data.select(TABLES['stays'])}) s JOIN ({data.select(TABLES['patients'])}) p "
        "USING (patient_id) WHERE s.admitted_at::DATE > p.death_date"
    ).fetchall()
    assert found == [(0,)]
