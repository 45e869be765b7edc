"""Pseudonyms: identifiers never get past the door, the key never past its file."""

from __future__ import annotations

import hmac
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import build
from features.dataset import open_dataset
from features.ingest import ingest
from features.points import Point
from features.pseudonyms import IdKey, KeyFileError, pseudonym_sql, read_key, use_key
from features.quality.check import check
from features.tables import TABLES, TableError
from tests.command import succeeded, wardcast
from tests.tables import table, write_folder

SECRET = bytes(range(100, 132))
EXTRACT = {
    "patients": """
        patient_id | birth_date | sex
        pat-Müller | 1950-03-01 | female
        pat-王     | 1960-01-01 | male
        pat-bad    | 1960-01-01 | none of these
    """,
    "stays": """
        stay_id | patient_id | hospital_id | status | admitted_at | discharged_at | admission_type | mrn
        stay-1  | pat-Müller | H | discharged | 2024-01-01 10:00 | 2024-01-05 11:00 | emergency | mrn-1
        stay-2  | pat-王     | H | discharged | 2024-02-04 09:00 | 2024-02-06 12:00 | elective  | mrn-2
        stay-3  | pat-王     | H | discharged | 2024-03-04 09:00 | 2024-03-01 12:00 | elective  | mrn-3
    """,
    "diagnoses": """
        stay_id | kind      | position | code
        stay-1  | discharge | 1        | I50.0
        stay-2  | discharge | 1        | I10
        stay-3  | discharge | 1        | I10
    """,
    "procedures": "stay_id | position | code",
    "visits": """
        visit_id | patient_id | visited_at | kind
        visit-1  | pat-Müller | 2023-12-20 | outpatient
        visit-2  | pat-nobody | 2023-12-20 | outpatient
    """,
    "observations": """
        patient_id | stay_id | taken_at         | code  | value | unit
        pat-Müller | stay-1  | 2024-01-02 06:00 | 718-7 | 11.2  | g/dL
        pat-Müller |         | 2023-12-02 06:00 | 718-7 | 11.2  | g/dL
    """,
    "identities": "stay_id | name | ward\nstay-1 | A. N. Other | 3\nstay-9 | Nobody | 3",
    "outcomes": "stay_id | died_in_hospital\nstay-1 | false",
    "facts": "stay_id | name | value | available_from\nstay-1 | ward_score | 3 | admission",
}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return written_key(tmp_path / "keys" / "id.key", SECRET)


def written_key(file: Path, secret: bytes, mode: int = 0o600) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(secret)
    file.chmod(mode)
    return file


def pseudonym(text: str, secret: bytes = SECRET) -> str:
    """The first 128 bits of the standard library's HMAC-SHA256."""
    return hmac.new(secret, text.encode(), "sha256").hexdigest()[:32]


@settings(deadline=None, max_examples=50)
@given(
    ids=st.lists(st.text(st.characters(codec="utf-8"), max_size=200), min_size=1),
    secret=st.binary(min_size=32, max_size=200),
)
def test_the_engine_makes_the_pseudonyms_of_the_standard_library(ids: list[str], secret: bytes) -> None:
    with duckdb.connect() as con:
        use_key(con, IdKey(secret))
        found = con.execute(
            f"SELECT {pseudonym_sql('id')} FROM (SELECT unnest(?::VARCHAR[]) AS id)", [ids]
        ).fetchall()
    assert [row[0] for row in found] == [pseudonym(text, secret) for text in ids]


def test_a_published_value_of_hmac_sha256() -> None:
    # RFC 4231, test case 6: a key longer than a block.
    with duckdb.connect() as con:
        use_key(con, IdKey(b"\xaa" * 131))
        text = "'Test Using Larger Than Block-Size Key - Hash Key First'"
        found = con.execute(f"SELECT {pseudonym_sql(text)}, {pseudonym_sql('NULL::VARCHAR')}").fetchall()
    assert found == [("60e431591ee0b67f0d8a26aacbf5b77f", None)]


def test_every_table_quarantine_and_memory_of_unseen_stays_hold_pseudonyms_alone(
    tmp_path: Path, key_file: Path
) -> None:
    out = tmp_path / "out"
    quality = ingest(
        "canonical",
        write_folder(tmp_path / "in", EXTRACT),
        out,
        hash_ids=key_file,
        buckets=2,
        max_quarantine_share=1.0,
    )
    written = [file for file in out.rglob("*") if file.is_file()]
    frames = {file: pd.read_parquet(file) for file in written if file.suffix == ".parquet"}
    for file, frame in frames.items():
        text = frame.to_csv()
        for raw in ("pat-", "stay-", "visit-", "mrn"):
            assert raw not in text, file
    for file in (file for file in written if file not in frames):
        assert "pat-" not in file.read_text("utf-8")
        assert SECRET.hex() not in file.read_text("utf-8")
    assert {file.name for file in frames if file.parent.name == "quarantine"} == {
        "patients.parquet",
        "stays.parquet",
        "diagnoses.parquet",
        "visits.parquet",
        "identities.parquet",
    }
    quarantined = pd.read_parquet(out / "quarantine/stays.parquet")
    # The date stands as it came; the hospital's own column, which may identify, is gone.
    assert quarantined[["stay_id", "patient_id", "discharged_at"]].to_numpy().tolist() == [
        [pseudonym("stay-3"), pseudonym("pat-王"), "2024-03-01 12:00"]
    ]
    assert pd.read_parquet(out / "unseen_stays.parquet")["patient_id"].tolist() == [pseudonym("pat-王")]
    observations = duckdb.sql(open_dataset(out).select(TABLES["observations"])).df()
    assert set(observations["patient_id"]) == {pseudonym("pat-Müller")}
    assert observations["stay_id"].dropna().tolist() == [pseudonym("stay-1")]
    identities = duckdb.sql(open_dataset(out).select(TABLES["identities"])).fetchall()
    assert identities == [(pseudonym("stay-1"), "A. N. Other", None, "3", None, None)]
    assert {name: (n.n_in, n.n_quarantined) for name, n in quality.counts.items() if n.n_quarantined} == {
        "patients": (3, 1),
        "stays": (3, 1),
        "diagnoses": (3, 1),
        "visits": (2, 1),
        "identities": (2, 1),
    }


def test_the_data_set_says_that_ids_are_hashed_and_by_which_key(tmp_path: Path, key_file: Path) -> None:
    folder = write_folder(tmp_path / "in", EXTRACT)
    for name in ("one", "two"):
        ingest("canonical", folder, tmp_path / name, hash_ids=key_file, max_quarantine_share=1.0)
    other = written_key(tmp_path / "keys" / "other.key", SECRET[::-1])
    ingest("canonical", folder, tmp_path / "other", hash_ids=other, max_quarantine_share=1.0)
    ingest("canonical", folder, tmp_path / "plain", max_quarantine_share=1.0)
    said = {
        name: open_dataset(tmp_path / name).declaration.hashed_ids
        for name in ("one", "two", "other", "plain")
    }
    assert said["one"] == said["two"] != said["other"]
    assert said["plain"] is None
    # The same key links patients across extracts, another one does not.
    digests = [open_dataset(tmp_path / name).digest() for name in ("one", "two", "other")]
    assert digests[0] == digests[1] != digests[2]
    # It is no beginning of the key, nor of its plain hash.
    assert said["one"] == hmac.new(SECRET, b"\x00wardcast: which key\x00", "sha256").hexdigest()[:16]


def test_a_hashed_data_set_is_checked_built_and_ingested_like_any_other(
    tmp_path: Path, key_file: Path
) -> None:
    folder = write_folder(tmp_path / "in", EXTRACT)
    ingest("canonical", folder, tmp_path / "one", hash_ids=key_file, max_quarantine_share=1.0)
    assert check(tmp_path / "one").rules == ()
    made = build(open_dataset(tmp_path / "one"), Point.ADMISSION, tmp_path / "rows.parquet").read()
    assert sorted(made["stay_id"]) == sorted(pseudonym(stay) for stay in ("stay-1", "stay-2"))
    ingest("canonical", tmp_path / "one", tmp_path / "two")
    assert open_dataset(tmp_path / "two").declaration.hashed_ids is not None
    with pytest.raises(TableError, match="hashed already"):
        ingest("canonical", tmp_path / "one", tmp_path / "three", hash_ids=key_file)
    assert not (tmp_path / "three").exists()


def test_numbers_blanks_and_letter_case_are_read_as_without_a_key(tmp_path: Path, key_file: Path) -> None:
    folder = write_folder(tmp_path / "in", {name: EXTRACT[name] for name in ("procedures",)})
    pd.DataFrame({"Patient_ID": [7, 8], "sex": "male", "birth_date": "1950-01-01"}).to_parquet(
        folder / "patients.parquet"
    )
    stays = table(EXTRACT["stays"]).iloc[:2].assign(patient_id=[" 7", "8 "])
    stays.to_parquet(folder / "stays.parquet")
    table(EXTRACT["diagnoses"]).iloc[:2].to_csv(folder / "diagnoses.csv", index=False)
    quality = ingest("canonical", folder, tmp_path / "out", hash_ids=key_file)
    assert quality.rules == ()
    patients = duckdb.sql(open_dataset(tmp_path / "out").select(TABLES["patients"])).df()
    assert set(patients["patient_id"]) == {pseudonym("7"), pseudonym("8")}


def test_a_column_that_a_folder_names_is_hashed_too(tmp_path: Path, key_file: Path) -> None:
    folder = write_folder(tmp_path / "in", {name: EXTRACT[name] for name in EXTRACT if name != "visits"})
    place = folder / "visits" / "patient_id=pat-M%C3%BCller"
    place.mkdir(parents=True)
    visits = pd.DataFrame({"visit_id": ["visit-1"], "visited_at": ["2023-12-20"], "kind": ["outpatient"]})
    visits.to_parquet(place / "x.parquet")
    ingest("canonical", folder, tmp_path / "out", hash_ids=key_file, max_quarantine_share=1.0)
    found = duckdb.sql(open_dataset(tmp_path / "out").select(TABLES["visits"])).df()
    assert found[["visit_id", "patient_id"]].to_numpy().tolist() == [
        [pseudonym("visit-1"), pseudonym("pat-Müller")]
    ]


def test_the_truth_of_a_made_up_hospital_is_not_kept_beside_pseudonyms(
    tmp_path: Path, key_file: Path
) -> None:
    ingest("synthetic", None, tmp_path / "out", options={"admissions": 300}, hash_ids=key_file)
    assert not (tmp_path / "out/truth").exists()


@pytest.mark.parametrize(
    ("secret", "mode", "reason"),
    [
        (SECRET[:31], 0o600, "holds no key of 32 to 4096 random bytes"),
        (SECRET * 129, 0o600, "holds no key"),
        (b"a" * 64, 0o600, "holds no key"),
        (SECRET, 0o640, "other accounts can use the key"),
        (SECRET, 0o604, "other accounts can use the key"),
        (SECRET, 0o620, "other accounts can use the key"),
    ],
)
def test_a_key_that_is_none_or_not_secret_is_refused(
    tmp_path: Path, secret: bytes, mode: int, reason: str
) -> None:
    file = written_key(tmp_path / "id.key", secret, mode)
    with pytest.raises(KeyFileError, match=reason) as caught:
        read_key(file, apart_from=[])
    assert secret.hex()[:8] not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_key_is_kept_away_from_the_data(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "in", EXTRACT)
    beside = written_key(folder / "id.key", SECRET)
    away = written_key(tmp_path / "id.key", SECRET)
    linked = tmp_path / "linked.key"
    linked.symlink_to(beside)
    for file in (beside, linked, tmp_path / "in" / ".." / "in" / "id.key"):
        with pytest.raises(KeyFileError, match="lies in the data's own folder"):
            ingest("canonical", folder, tmp_path / "out", hash_ids=file, max_quarantine_share=1.0)
    beside.unlink()
    for place in (tmp_path / "missing.key", tmp_path):
        with pytest.raises(KeyFileError, match=r"is a folder|no such file|own folder"):
            ingest("canonical", folder, tmp_path / "out", hash_ids=place)
    assert not (tmp_path / "out").exists()
    ingest("canonical", folder, tmp_path / "out", hash_ids=away, max_quarantine_share=1.0)
    shutil.copy(away, tmp_path / "out/id.key")
    with pytest.raises(KeyFileError, match="lies in the data's own folder"):
        ingest("canonical", folder, tmp_path / "out", hash_ids=tmp_path / "out/id.key")


def test_the_key_shows_in_no_text_of_itself() -> None:
    assert "secret" not in repr(IdKey(SECRET))
    assert str(SECRET) not in f"{IdKey(SECRET)}"


def test_the_command_line_takes_the_key_by_its_file(tmp_path: Path, key_file: Path) -> None:
    write_folder(tmp_path / "in", EXTRACT)
    asked = ("ingest", "canonical", "in", "--max-quarantine-share", 1, "--hash-ids", "keys/id.key", "--out")
    assert "pat-" not in succeeded(*asked, "data", cwd=tmp_path).out
    assert open_dataset(tmp_path / "data").declaration.hashed_ids == IdKey(SECRET).key_id
    key_file.chmod(0o644)
    refused = wardcast(*asked, "other", cwd=tmp_path)
    assert (refused.code, "other accounts can use the key" in refused.err) == (1, True)
    assert not (tmp_path / "other").exists()


def test_a_folder_in_the_place_of_the_key_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    with pytest.raises(KeyFileError, match=r"keys: is a folder\. Name the file of the key"):
        read_key(tmp_path / "keys", apart_from=[])
