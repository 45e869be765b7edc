"""Ingest: what is kept, what is set aside, and what is never left half-done."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import features.ingest
import features.sources.canonical
from features.atomic import OutputError, written_aside
from features.dataset import bucket_sql, open_dataset
from features.ingest import ingest
from features.quality.check import check
from features.sources import Extract
from features.tables import DIAGNOSES, OBSERVATIONS, PATIENTS, SQL_TYPES, STAYS, TABLES, TableError
from tests.tables import table, write_folder

CLEAN = {
    "patients": """
        patient_id | birth_date | sex
        7          | 1950-03-01 | female
        8          | 1960-01-01 | male
        9          | 1970-01-01 | male
    """,
    "stays": """
        stay_id | patient_id | hospital_id | status | admitted_at | discharged_at | admission_type |total_cost
        3 | 8 | H | discharged | 2024-03-20T08:00:00+08:00 | 2024-03-25 09:00 | urgent    | 800.5
        1 | 7 | H | discharged | 2024-01-01T02:00:00Z      | 2024-01-05 11:00 | emergency | 1000
        2 | 7 | H | discharged | 2024-02-04 09:00          | 2024-02-06 12:00 | elective  |
    """,
    "diagnoses": """
        stay_id | kind      | position | code
        3       | discharge | 1        | e11.9
        1       | discharge | 2        | I10
        1       | discharge | 1        | i50. 0
        2       | discharge | 1        | I10
    """,
    "observations": """
        patient_id | taken_at         | code  | value | unit
        8          | 2024-03-21 06:00 | 718-7 | 11.2  | g/dL
        7          | 2024-01-02 06:00 | 718-7 | 12    | g/dL
    """,
    "procedures": "stay_id | position | code",
    "payment_groups": """
        payment_group | scheme_version | insurer | hospital_id | valid_from
        FR1           | 1              | city    | H           | 2024-01-01
    """,
}


def rows(out: Path, name: str, bucket: int | None = None) -> pd.DataFrame:
    return duckdb.sql(open_dataset(out).select(TABLES[name], bucket)).df()


def dirty(n_bad: int = 1) -> dict[str, str]:
    """The clean tables; the first `n_bad` stays are discharged before they are admitted."""
    stays = table(CLEAN["stays"])
    stays.loc[: n_bad - 1, "discharged_at"] = "2023-06-01"
    text = stays.astype("object").where(stays.notna(), "").astype("str")
    lines = [" | ".join(stays.columns), *(" | ".join(row) for row in text.itertuples(index=False))]
    return CLEAN | {"stays": "\n".join(lines)}


def test_ingest_writes_every_declared_column_with_its_type(tmp_path: Path) -> None:
    ingest("canonical", write_folder(tmp_path / "in", CLEAN), tmp_path / "out")
    described = duckdb.sql(f"DESCRIBE {open_dataset(tmp_path / 'out').select(STAYS)}").fetchall()
    assert [(row[0], row[1]) for row in described] == [
        (column.name, SQL_TYPES[column.type]) for column in STAYS.columns
    ]


def test_times_become_local_and_codes_lose_dots_and_gain_capitals(tmp_path: Path) -> None:
    ingest("canonical", write_folder(tmp_path / "in", CLEAN), tmp_path / "out")
    stays = rows(tmp_path / "out", "stays").set_index("stay_id")
    # Asia/Shanghai is eight hours ahead of UTC; a time without an offset is local already.
    assert stays["admitted_at"].astype("str").to_dict() == {
        "1": "2024-01-01 10:00:00",
        "2": "2024-02-04 09:00:00",
        "3": "2024-03-20 08:00:00",
    }
    assert stays["total_cost"].isna().to_dict() == {"1": False, "2": True, "3": False}
    codes = rows(tmp_path / "out", "diagnoses")
    assert codes["code"].tolist() == ["I500", "I10", "I10", "E119"]  # sorted by stay, kind, position
    assert rows(tmp_path / "out", "observations")["code"].tolist() == ["718-7", "718-7"]


def test_quarantine_keeps_the_row_as_it_came_with_its_reason(tmp_path: Path) -> None:
    tables = dirty() | {
        "patients": CLEAN["patients"].replace("sex", "sex | note").replace("male", "male | x")
    }
    folder = write_folder(tmp_path / "in", tables)
    quality = ingest("canonical", folder, tmp_path / "out", max_quarantine_share=0.5)
    stays = pd.read_parquet(tmp_path / "out/quarantine/stays.parquet")
    assert stays.columns.tolist() == [*table(CLEAN["stays"]).columns, "reason"]
    assert stays.iloc[0].to_dict() | {"total_cost": "800.5"} == {
        "stay_id": "3",
        "patient_id": "8",
        "hospital_id": "H",
        "status": "discharged",
        "admitted_at": "2024-03-20T08:00:00+08:00",
        "discharged_at": "2023-06-01",
        "admission_type": "urgent",
        "total_cost": "800.5",
        "reason": "discharged_before_admitted",
    }
    diagnoses = pd.read_parquet(tmp_path / "out/quarantine/diagnoses.parquet")
    assert diagnoses[["stay_id", "code", "reason"]].to_numpy().tolist() == [["3", "e11.9", "unknown_stay"]]
    counts = {name: (count.n_in, count.n_out, count.n_quarantined) for name, count in quality.counts.items()}
    assert counts["stays"] == (3, 2, 1)
    assert counts["diagnoses"] == (4, 3, 1)
    assert counts["patients"] == (3, 3, 0)
    assert json.loads((tmp_path / "out/quality.json").read_text("utf-8")) == quality.as_dict()


@pytest.mark.parametrize("buckets", [1, 3])
def test_a_patient_and_all_its_rows_lie_in_one_bucket(tmp_path: Path, buckets: int) -> None:
    out = tmp_path / "out"
    quality = ingest("canonical", write_folder(tmp_path / "in", CLEAN), out, buckets=buckets)
    assert quality.declaration.buckets == open_dataset(out).declaration.buckets == buckets
    stays = rows(out, "stays").set_index("stay_id")["patient_id"]
    for bucket in range(buckets):
        for name in ("patients", "stays", "diagnoses", "observations"):
            found = rows(out, name, bucket)
            owners = found["stay_id"].map(stays) if name == "diagnoses" else found["patient_id"]
            for owner in owners:
                assert duckdb.sql(f"SELECT {bucket_sql(repr(owner), buckets)}").fetchall() == [(bucket,)]
    for shape in (PATIENTS, STAYS, DIAGNOSES, OBSERVATIONS):
        assert len(rows(out, shape.name)) == len(table(CLEAN[shape.name]))
    assert (out / "payment_groups/data.parquet").is_file()


def test_the_same_rows_in_any_order_and_form_give_the_same_bytes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "csv", CLEAN)
    other = tmp_path / "parquet"
    other.mkdir()
    shutil.copy(folder / "dataset.toml", other)
    for name, text in CLEAN.items():
        backwards = table(text).iloc[::-1]
        (other / name).mkdir()
        backwards.iloc[:1].to_parquet(other / name / "a.parquet", index=False)
        backwards.iloc[1:].to_parquet(other / name / "b.parquet", index=False)
    ingest("canonical", folder, tmp_path / "one", buckets=2, threads=1)
    ingest("canonical", other, tmp_path / "two", buckets=2)
    assert open_dataset(tmp_path / "one").digest() == open_dataset(tmp_path / "two").digest()


def test_an_ingested_data_set_passes_the_check_and_ingests_to_itself(tmp_path: Path) -> None:
    quality = ingest("canonical", write_folder(tmp_path / "in", CLEAN), tmp_path / "one", buckets=2)
    again = check(tmp_path / "one")
    assert (again.rules, again.warnings) == ((), ())
    assert again.counts == quality.counts
    ingest("canonical", tmp_path / "one", tmp_path / "two", buckets=2)
    assert open_dataset(tmp_path / "one").digest() == open_dataset(tmp_path / "two").digest()


def test_natural_parquet_types_read_like_text(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", CLEAN)
    stays = table(CLEAN["stays"])
    local = pd.Series(
        pd.to_datetime(["2024-03-20 08:00", "2024-01-01 10:00", "2024-02-04 09:00"])
    ).dt.tz_localize("Asia/Shanghai")
    natural = stays.assign(
        admitted_at=local.dt.tz_convert("UTC"),
        discharged_at=pd.to_datetime(stays["discharged_at"]),
        total_cost=[800.5, 1000.0, float("nan")],
        planned_return_31d=[1.0, 0.0, float("nan")],
    )
    ingest("canonical", folder, tmp_path / "text")
    (folder / "stays.csv").unlink()
    natural.to_parquet(folder / "stays.parquet", index=False)
    ingest("canonical", folder, tmp_path / "natural")
    columns = ["stay_id", "admitted_at", "discharged_at", "total_cost"]
    text, typed = rows(tmp_path / "text", "stays"), rows(tmp_path / "natural", "stays")
    pd.testing.assert_frame_equal(text[columns], typed[columns])
    assert typed["planned_return_31d"].astype("object").where(
        typed["planned_return_31d"].notna(), None
    ).tolist() == [
        False,
        None,
        True,
    ]


def test_a_hive_folder_may_name_a_column(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", CLEAN)
    (folder / "stays.csv").unlink()
    place = folder / "stays" / "hospital_id=North%20Wing"
    place.mkdir(parents=True)
    table(CLEAN["stays"]).drop(columns="hospital_id").to_parquet(place / "x.parquet", index=False)
    ingest("canonical", folder, tmp_path / "out")
    assert rows(tmp_path / "out", "stays")["hospital_id"].unique().tolist() == ["North Wing"]


def test_too_much_quarantine_stops_with_rows_and_rules_and_leaves_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", dirty())
    with pytest.raises(TableError) as caught:
        ingest("canonical", folder, tmp_path / "out")
    # 1 of 3 stays, 1 of 4 diagnoses; 2 of 13 rows (3 + 3 + 4 + 2 + 1) of all tables.
    assert str(caught.value).splitlines() == [
        "More than 5.00% of the rows would be quarantined: stays 33.33%, diagnoses 25.00%, "
        "all tables 15.38%. Correct the extract, or raise --max-quarantine-share.",
        "stays: 1 of 3 rows discharged_before_admitted (first at row 1). "
        "Correct the times of admission and discharge.",
        "diagnoses: 1 of 4 rows unknown_stay (first at row 1). Add or correct the stay that the row names.",
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_a_refusal_tells_what_the_source_left_out_too(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", dirty() | {"wards": "a\n1"})
    with pytest.raises(TableError, match=r"\nwards: not a table of the data contract; it is left out\.$"):
        ingest("canonical", folder, tmp_path / "out")


def test_a_share_just_at_the_limit_goes_on(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", dirty())
    quality = ingest("canonical", folder, tmp_path / "out", max_quarantine_share=1 / 3)
    assert quality.quarantined_share == pytest.approx(2 / 13)


@pytest.mark.parametrize("reason", [KeyboardInterrupt, OSError])
def test_an_interrupt_leaves_no_half_written_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: type[BaseException]
) -> None:
    folder = write_folder(tmp_path / "in", CLEAN)
    ingest("canonical", folder, tmp_path / "out")
    before = open_dataset(tmp_path / "out").digest()
    write_table = features.ingest._write_table

    def interrupted(checked: object, shape: object, place: Path, scratch: Path) -> int:
        if place.name == "diagnoses":
            raise reason
        return write_table(checked, shape, place, scratch)  # type: ignore[arg-type]

    monkeypatch.setattr(features.ingest, "_write_table", interrupted)
    for out in ("out", "fresh"):
        with pytest.raises(reason):
            ingest("canonical", folder, tmp_path / out, buckets=2)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in", "out"]
    assert open_dataset(tmp_path / "out").digest() == before


def test_a_folder_that_is_no_data_set_is_never_replaced(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", CLEAN)
    for out in (folder, tmp_path):
        with pytest.raises(TableError, match="holds the source itself"):
            ingest("canonical", folder, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(TableError, match="is not a data set"):
        ingest("canonical", folder, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").is_file()


def test_what_a_person_keeps_in_a_data_set_s_folder_is_never_deleted(tmp_path: Path) -> None:
    source, out = write_folder(tmp_path / "in", CLEAN), tmp_path / "out"
    ingest("canonical", source, out)
    ingest("canonical", source, out)  # what an ingest wrote may be replaced
    for name in ("thesis.docx", "other/dataset.toml", "stays/notes.txt", "zoo/cat.jpg"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).touch()
    with pytest.raises(TableError, match=r"not write: other, stays/notes\.txt, thesis\.docx and 1 more"):
        ingest("canonical", source, out)
    assert (out / "thesis.docx").is_file()


def test_a_data_set_is_not_written_into_another_one(tmp_path: Path) -> None:
    source, out = write_folder(tmp_path / "in", CLEAN), tmp_path / "out"
    ingest("canonical", source, out)
    with pytest.raises(TableError, match="lies in the data set"):
        ingest("canonical", source, out / "newer")


def test_whoever_replaces_another_data_set_is_told_its_name(tmp_path: Path) -> None:
    source, out = write_folder(tmp_path / "in", CLEAN), tmp_path / "out"
    ingest("synthetic", None, out, options={"admissions": 50})
    former = open_dataset(out).declaration
    (said,) = (text for text in ingest("canonical", source, out).warnings if "replaces" in text)
    assert said == f"{out}: replaces the data set {former.name} (source {former.source}) that stood there."
    assert not any("replaces" in text for text in ingest("canonical", source, out).warnings)


def test_damaged_bytes_inside_a_parquet_file_are_fatal_and_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", CLEAN)
    many = pd.DataFrame(
        {"patient_id": [f"p{i}" for i in range(5000)], "sex": "male", "birth_date": "1950-01-01"}
    )
    file = folder / "patients.parquet"
    many.to_parquet(file, index=False)
    (folder / "patients.csv").unlink()
    content = bytearray(file.read_bytes())
    content[200:1200] = b"\xff" * 1000  # the footer, which says where the columns lie, stays whole
    file.write_bytes(content)
    with pytest.raises(TableError, match=r"patients: file patients\.parquet cannot be read to its end"):
        ingest("canonical", folder, tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_a_table_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", CLEAN)
    (folder / "stays").mkdir()
    with pytest.raises(TableError, match="stays: there is more than one file or folder"):
        ingest("canonical", folder, tmp_path / "out")


def test_a_table_that_cannot_be_read_is_named_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_folder(tmp_path / "in", CLEAN)
    monkeypatch.setattr("os.access", lambda place, _mode: Path(place).name != "stays.csv")
    with pytest.raises(TableError, match=r"stays\.csv: cannot be read by this account"):
        ingest("canonical", folder, tmp_path / "out")


def test_an_unknown_source_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="Choose one of: canonical, diabetes130"):
        ingest("sap", tmp_path, tmp_path / "out")


def test_every_planted_fault_of_a_dirty_hospital_is_found_and_nothing_else(tmp_path: Path) -> None:
    quality = ingest("synthetic", None, tmp_path / "out", options={"admissions": 3_000, "dirty": True})
    faults = json.loads((tmp_path / "out/truth/faults.json").read_text("utf-8")).values()
    planted = {(fault["table"], fault["rule"]): fault["rows"] for fault in faults}
    assert {(rule.table, rule.rule): rule.n_rows for rule in quality.rules} == planted
    for name, count in quality.counts.items():
        kept = len(rows(tmp_path / "out", name))
        aside = tmp_path / "out/quarantine" / f"{name}.parquet"
        set_aside = len(pd.read_parquet(aside)) if aside.is_file() else 0
        assert (count.n_in, count.n_out) == (kept + set_aside, kept)


def test_a_clean_made_up_hospital_has_nothing_in_quarantine(tmp_path: Path) -> None:
    quality = ingest("synthetic", None, tmp_path / "out", options={"admissions": 3_000})
    assert (quality.rules, quality.warnings) == ((), ())
    assert not (tmp_path / "out/quarantine").exists()
    assert (tmp_path / "out/truth/admissions.parquet").is_file()


def test_folders_named_like_columns_say_nothing_of_the_rows(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source", CLEAN)
    out = tmp_path / "hospital_id=WRONG" / "sex=other" / "data"
    ingest("canonical", source, out, buckets=2)
    assert sorted(rows(out, "patients")["sex"]) == ["female", "male", "male"]
    assert set(rows(out, "stays")["hospital_id"]) == {"H"}


def test_a_text_of_several_lines_stays_readable(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "source", CLEAN, name='"a\\nb \\"c\\" \\\\ d"')
    ingest("canonical", source, tmp_path / "out")
    assert open_dataset(tmp_path / "out").declaration.name == 'a\nb "c" \\ d'


def test_a_date_without_a_time_is_known_at_the_end_of_that_day(tmp_path: Path) -> None:
    days = {
        "observations": """
            patient_id | taken_at         | code  | value | unit
            7          | 2024-01-02       | 718-7 | 12    | g/dL
            8          | 2024-03-21 06:00 | 718-7 | 11.2  | g/dL
        """,
        "stays": CLEAN["stays"].replace("2024-02-04 09:00          ", "2024-02-04"),
    }
    ingest("canonical", write_folder(tmp_path / "source", CLEAN | days), tmp_path / "out")
    taken = rows(tmp_path / "out", "observations").set_index("patient_id")["taken_at"]
    assert taken.loc["7"] == pd.Timestamp("2024-01-02 23:59:59.999999")
    assert taken.loc["8"] == pd.Timestamp("2024-03-21 06:00")
    # A stay's own dates are what its days are counted by.
    admitted = rows(tmp_path / "out", "stays").set_index("stay_id")["admitted_at"]
    assert admitted.loc["2"] == pd.Timestamp("2024-02-04 00:00")


def test_a_column_of_dates_reads_as_dates_of_text_do(tmp_path: Path) -> None:
    source = write_folder(
        tmp_path / "source", {name: CLEAN[name] for name in CLEAN if name != "observations"}
    )
    frame = pd.DataFrame(
        {
            "patient_id": ["7"],
            "taken_at": [dt.date(2024, 1, 2)],
            "code": ["718-7"],
            "value": [12.0],
            "unit": ["g/dL"],
        }
    )
    frame.to_parquet(source / "observations.parquet")
    ingest("canonical", source, tmp_path / "out")
    taken = rows(tmp_path / "out", "observations")["taken_at"]
    assert taken.tolist() == [pd.Timestamp("2024-01-02 23:59:59.999999")]


def test_quarantined_stays_are_remembered_by_patient_and_day(tmp_path: Path) -> None:
    stays = """
        stay_id | patient_id | hospital_id | status | admitted_at | discharged_at | admission_type
        1 | 7 | H | discharged | 2024-01-01 08:00 | 2024-01-05 11:00 | emergency
        2 | 7 | H | discharged | 2024-02-01 08:00 | 2024-01-05 11:00 | emergency
        3 | 8 | H | discharged | 2024-02-02 08:00 | 2024-02-05 11:00 | sometime
        4 | 8 | H | discharged | 2024-13-02 08:00 | 2024-02-05 11:00 | emergency
        5 | 9 | H | booked     |                  |                  | sometime
        6 | 9 | H | discharged | 1924-02-02 08:00 | 1924-02-05 11:00 | emergency
    """
    tables = {name: CLEAN[name] for name in ("patients", "observations")} | {
        "stays": stays,
        "diagnoses": "stay_id | kind | position | code\n1 | discharge | 1 | I10",
    }
    ingest("canonical", write_folder(tmp_path / "source", tables), tmp_path / "out", max_quarantine_share=1.0)
    unseen = open_dataset(tmp_path / "out").unseen_stays(0)
    # Of stay 2 one of the dates is wrong, of stay 4 the day is not readable, stay 6 is one before the birth;
    # stay 5 was only booked.
    assert duckdb.sql(f"SELECT * FROM ({unseen}) ORDER BY ALL NULLS FIRST").fetchall() == [
        ("7", None),
        ("8", None),
        ("8", dt.datetime(2024, 2, 2, 8)),
        ("9", None),
    ]


def test_what_an_earlier_ingest_did_not_see_stays_unknown(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ingest("canonical", write_folder(tmp_path / "in", dirty()), first, max_quarantine_share=1)
    said = (
        "unseen_stays.parquet: an earlier ingest set 1 stays of 1 patients aside; what became of these "
        "patients stays unknown. Once the stays are corrected and in the extract, remove the file."
    )
    assert check(first).warnings == (said,)
    assert said in ingest("canonical", first, second).warnings
    unseen = [duckdb.sql(open_dataset(out).unseen_stays(0)).fetchall() for out in (first, second)]
    assert unseen[0] == unseen[1] == [("8", None)]
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    ingest("canonical", first, tmp_path / "hashed", hash_ids=key)
    ((hashed, _),) = duckdb.sql(open_dataset(tmp_path / "hashed").unseen_stays(0)).fetchall()
    assert hashed == hmac.new(bytes(range(32)), b"8", "sha256").hexdigest()[:32]


def test_a_memory_of_unseen_stays_that_is_none_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", CLEAN)
    pd.DataFrame({"a": [1]}).to_parquet(folder / "unseen_stays.parquet")
    with pytest.raises(TableError, match="cannot be read as the stays that an ingest set aside"):
        check(folder)


def test_an_extract_of_headers_alone_is_told_by_its_empty_tables(tmp_path: Path) -> None:
    bare = CLEAN | {
        name: CLEAN[name].strip().splitlines()[0] for name in ("stays", "diagnoses", "observations")
    }
    quality = ingest("canonical", write_folder(tmp_path / "in", bare), tmp_path / "out")
    assert [text for text in quality.warnings if "no rows" in text] == [
        "stays, diagnoses: no rows at all, only the header. Ask for the rows: nothing can be learned or "
        "predicted without them."
    ]


def test_an_extract_by_admission_holds_stays_that_ended_after_it(tmp_path: Path) -> None:
    late = {
        "stays": CLEAN["stays"].replace("2024-02-06 12:00", "2025-01-06 12:00"),
        "procedures": "stay_id | position | code | performed_at\n2 | 1 | 3615 | 2025-01-02 08:00",
        "observations": """
            patient_id | stay_id | taken_at         | code  | value | unit
            7          | 2       | 2025-01-02 08:00 | 718-7 | 12    | g/dL
            7          |         | 2024-12-30 08:00 | 718-7 | 12    | g/dL
        """,
    }
    quality = ingest(
        "canonical",
        write_folder(tmp_path / "a", CLEAN | late, complete_by='"admission"'),
        tmp_path / "a out",
    )
    assert {name for name, count in quality.counts.items() if count.n_quarantined} == set()
    assert quality.warnings == ()
    # What belongs to no stay is observed until the last day alone.
    beyond = late | {"observations": late["observations"].replace("2024-12-30", "2025-01-01")}
    found = ingest(
        "canonical",
        write_folder(tmp_path / "c", CLEAN | beyond, complete_by='"admission"'),
        tmp_path / "c out",
        max_quarantine_share=1.0,
    )
    assert found.counts["observations"].n_quarantined == 1
    by_discharge = ingest(
        "canonical", write_folder(tmp_path / "b", CLEAN | late), tmp_path / "b out", max_quarantine_share=1.0
    )
    assert by_discharge.counts["stays"].n_quarantined == 1


@pytest.mark.parametrize("there", ["folder", "file"])
def test_what_stands_in_the_place_of_the_output_is_never_replaced_by_another_kind(
    tmp_path: Path, there: str
) -> None:
    target = tmp_path / "precious"
    if there == "folder":
        target.mkdir()
        (target / "kept.txt").write_text("kept")
    else:
        target.write_text("kept")
    with (
        pytest.raises(OutputError, match=f"is a {there}"),
        written_aside(target, folder=there == "file") as fresh,
    ):
        fresh.touch()
    assert (target / "kept.txt" if there == "folder" else target).read_text() == "kept"


def test_what_a_source_says_it_left_out_comes_first_among_the_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, note = features.sources.canonical.stage, "12 resources entered in error are left out."

    def stage_with_note(path: Path, staging: Path, **options: object) -> Extract:
        return Extract(stage(path, staging, **options), (note,))  # type: ignore[arg-type]

    monkeypatch.setattr(features.sources.canonical, "stage", stage_with_note)
    folder = write_folder(tmp_path / "in", CLEAN | {"labs": "a | b"})
    said = (note, "labs: not a table of the data contract; it is left out.")
    assert ingest("canonical", folder, tmp_path / "out").warnings == said
    assert check(folder).warnings == said
    assert json.loads((tmp_path / "out/quality.json").read_text("utf-8"))["warnings"] == list(said)


def test_a_folder_named_like_a_pattern_holds_its_own_data_set(tmp_path: Path) -> None:
    other = {**CLEAN, "stays": CLEAN["stays"].replace("800.5", "900.5")}
    write_folder(tmp_path / "extract1", other)
    write_folder(tmp_path / "extract[1]", CLEAN)
    ingest("canonical", tmp_path / "extract1", tmp_path / "data1", buckets=2)
    ingest("canonical", tmp_path / "extract[1]", tmp_path / "data[1]", buckets=2)
    assert set(rows(tmp_path / "data[1]", "stays")["total_cost"].dropna().astype(float)) == {800.5, 1000.0}
