"""Whatever an extract holds, ingest ends in a data set whose counts add up or in a refusal in words.

No traceback, no hang, no value of a row in a message, and nothing at the output after a refusal.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.dataset import open_dataset
from features.errors import UserError
from features.ingest import ingest
from features.quality.check import check
from features.tables import TABLES
from tests.tables import DECLARATION

SECONDS = 10  # of the processors, whatever else the machine does; a case takes a fraction of one
N = 8
HOSTILE = (
    "", " ", "\x00", "SECRET\x00x", "\ufeff", "\u202e", "𝕊", "'", '"', '"""', "\\", ",", "\n", "\r\n", "a\tb",
    "=CMD|'/C calc'!A0", "@SUM(1)", "+1", "<script>alert(1)</script>", "'; DROP TABLE stays; --",
    "${jndi:ldap://x}", "SECRET" * 2_000, "nan", "NaN", "inf", "-inf", "null", "NULL", "None", "NA", "-", "?",
    "1e400", "1e-400", "-0", "0x1F", "1_000", "1,000", "１２", "1e3", "9" * 400, "99999999999", "2147483648",
    "-1", "3.7", "0.005", "1/2", "true", "0000-00-00", "1900-01-01", "1899-12-31", "2200-02-30", "9999-12-31",
    "10000-01-01", "2024-02-30", "2024-13-01", "2024-01-01T25:61:61", "2024-01-01T00:00:00+99:99", "infinity",
    "-infinity", "epoch", "today", "now", "1704067200", "01/02/2024", "2024年1月2日", "294247-01-10",
    "-4712-01-01", "SECRET",
)  # fmt: skip

Change = Callable[[Path, random.Random], None]


def extract(folder: Path, rng: random.Random) -> None:
    """Eight patients with a stay each, as CSV or Parquet; every identifier and name holds SECRET."""
    ids = range(N)
    stay = [f"SECRET-s{i}" for i in ids]
    patient = [f"SECRET-p{i}" for i in ids]
    tables = {
        "patients": {"patient_id": patient, "birth_date": "1950-03-01", "sex": "male", "death_date": None},
        "stays": {
            "stay_id": stay, "patient_id": patient, "hospital_id": "H", "status": "discharged",
            "admitted_at": "2024-01-01 10:00", "discharged_at": "2024-01-05 11:00",
            "admission_type": "emergency", "total_cost": "100.5", "age_years": "60",
            "planned_return_31d": "false",
        },
        "diagnoses": {"stay_id": stay, "kind": "discharge", "position": "1", "code": "I50.0"},
        "procedures": {"stay_id": stay, "position": "1", "code": "36.06", "performed_at": "2024-01-02"},
        "observations": {
            "patient_id": patient, "stay_id": stay, "taken_at": "2024-01-02 06:00", "code": "718-7",
            "value": "11.2", "unit": "g/dL",
        },
        "identities": {"stay_id": stay, "name": "SECRET NAME"},
    }  # fmt: skip
    folder.mkdir()
    lines = [f"{name} = {value}" for name, value in DECLARATION.items()]
    (folder / "dataset.toml").write_text("\n".join(lines), "utf-8")
    for name, columns in tables.items():
        frame = pd.DataFrame(columns, index=ids, dtype="object")
        if rng.random() < 0.5:
            frame.to_csv(folder / f"{name}.csv", index=False)
        else:
            frame.astype("str").to_parquet(folder / f"{name}.parquet", index=False)


def some_file(folder: Path, rng: random.Random, *suffixes: str) -> Path | None:
    found = sorted(
        file for file in folder.iterdir() if file.is_file() and (not suffixes or file.suffix in suffixes)
    )
    return rng.choice(found) if found else None


def flipped(folder: Path, rng: random.Random) -> None:
    if (file := some_file(folder, rng)) and (content := bytearray(file.read_bytes())):
        for _ in range(rng.choice((1, 3, 30))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)


def overwritten(folder: Path, rng: random.Random) -> None:
    if (file := some_file(folder, rng)) and (content := bytearray(file.read_bytes())):
        start = rng.randrange(len(content))
        length = rng.randrange(1, 60)
        content[start : start + length] = rng.choice(
            (b"\x00" * length, rng.randbytes(length), b"", b'"', b"\xff\xfe")
        )
        file.write_bytes(content)


def truncated(folder: Path, rng: random.Random) -> None:
    if file := some_file(folder, rng):
        content = file.read_bytes()
        file.write_bytes(content[: rng.randrange(len(content) + 1)])


def appended(folder: Path, rng: random.Random) -> None:
    if file := some_file(folder, rng):
        tails = (b"\x00" * 100, b"\n\n\n", b'"', b",,,,,,,\n", b"\x1a", file.read_bytes(), rng.randbytes(50))
        file.write_bytes(file.read_bytes() + rng.choice(tails))


def encoded(folder: Path, rng: random.Random) -> None:
    """The same text in another encoding, with letters that need it."""
    if file := some_file(folder, rng, ".csv", ".toml"):
        text = file.read_bytes().decode("utf-8", "replace").replace("SECRET NAME", "SECRET Ärztin 张三")
        encoding = rng.choice(
            ("gb18030", "utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "shift_jis")
        )
        file.write_bytes(text.encode(encoding, "replace"))


def line_ends(folder: Path, rng: random.Random) -> None:
    if file := some_file(folder, rng, ".csv"):
        file.write_bytes(
            file.read_bytes().replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\r", b"\n\n", b"\x0b")))
        )


def read(file: Path) -> pd.DataFrame | None:
    """The table as text, if what was done before leaves one."""
    try:
        frame = pd.read_csv(file, dtype="str") if file.suffix == ".csv" else pd.read_parquet(file)
    except Exception:
        return None
    return frame if len(frame.columns) else None


def write(frame: pd.DataFrame, file: Path) -> None:
    if file.suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        columns = [
            pa.array([None if pd.isna(v) else str(v) for v in frame.iloc[:, n]], pa.string())
            for n in range(frame.shape[1])
        ]
        pq.write_table(pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns]), file)


def columns_changed(folder: Path, rng: random.Random) -> None:
    if (file := some_file(folder, rng, ".csv", ".parquet")) and (frame := read(file)) is not None:
        names = list(frame.columns)
        victim = rng.randrange(len(names))
        kind = rng.choice(("drop", "rename", "double", "shuffle", "upper", "blank", "reserved", "no rows"))
        if kind == "drop":
            frame = frame.drop(columns=names[victim])
        elif kind == "double":
            frame = pd.concat([frame, frame[[names[victim]]]], axis="columns")
        elif kind == "shuffle":
            frame = frame[rng.sample(names, len(names))]
        elif kind == "no rows":
            frame = frame.iloc[:0]
        else:
            new = {
                "rename": "SECRET name",
                "upper": str(names[victim]).upper(),
                "blank": "",
                "reserved": "_row",
            }[kind]
            frame.columns = [new if place == victim else name for place, name in enumerate(names)]
        write(frame, file)


def values_changed(folder: Path, rng: random.Random) -> None:
    if (
        (file := some_file(folder, rng, ".csv", ".parquet"))
        and (frame := read(file)) is not None
        and len(frame)
    ):
        frame = frame.astype("object")
        for _ in range(rng.choice((1, 2, 8))):
            frame.iloc[rng.randrange(len(frame)), rng.randrange(frame.shape[1])] = rng.choice(HOSTILE)
        write(frame, file)


def types_changed(folder: Path, rng: random.Random) -> None:
    """A Parquet column of a type that nobody expects."""
    if (
        (file := some_file(folder, rng, ".csv", ".parquet"))
        and (frame := read(file)) is not None
        and len(frame)
    ):
        n = len(frame)
        odd = rng.choice(
            (
                pa.array([[1, 2]] * n, pa.list_(pa.int64())),
                pa.array([{"SECRET": 1}] * n),
                pa.array([b"SECRET\xff"] * n, pa.binary()),
                pa.nulls(n),
                pa.array([2**63] * n, pa.uint64()),
                pa.array([float("nan"), float("inf")] * n, pa.float32())[:n],
                pa.array([1_704_067_200_000_000_000] * n, pa.timestamp("ns", tz="America/New_York")),
                pa.array([-(2**62)] * n, pa.timestamp("ms")),
                pa.array([12345] * n, pa.date32()),
                pa.array([12345] * n, pa.time32("s")),
                pa.array(["SECRET"] * n).dictionary_encode(),
                pa.array([True] * n),
                pa.array([10**30] * n, pa.decimal256(60, 3)),
                pa.array([1] * n, pa.duration("s")),
            )
        )
        table = pa.Table.from_pandas(frame.astype("str"), preserve_index=False)
        place = rng.randrange(table.num_columns)
        file.unlink()
        pq.write_table(table.set_column(place, table.column_names[place], odd), file.with_suffix(".parquet"))


def places_changed(folder: Path, rng: random.Random) -> None:
    if file := some_file(folder, rng):
        kind = rng.choice(
            ("folder", "folder of files", "loop", "dangling", "pipe", "empty", "twice", "gone", "suffix")
        )
        content = file.read_bytes()
        file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "folder of files":
            place = folder / file.stem / "hospital_id=SECRET%00x"
            place.mkdir(parents=True)
            (place / file.name).write_bytes(content)
            (folder / file.stem / "readme.txt").write_text("SECRET")
        elif kind == "loop":
            file.symlink_to(file.name)
        elif kind == "dangling":
            file.symlink_to("nowhere")
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "empty":
            file.write_bytes(b"")
        elif kind == "twice":
            file.write_bytes(content)
            file.with_suffix(".parquet" if file.suffix == ".csv" else ".csv").write_bytes(content)
        elif kind == "suffix":
            file.with_suffix(".csv" if file.suffix == ".parquet" else ".parquet").write_bytes(content)


def declaration_changed(folder: Path, rng: random.Random) -> None:
    file = folder / "dataset.toml"
    if file.is_file():
        lines = file.read_text("utf-8", "replace").splitlines()
        place = rng.randrange(len(lines)) if lines else 0
        # What the declaration names is no patient's, and the report tells it: no quoted secret here.
        odd = (
            "SECRET",
            '"odd"',
            "[]",
            "{}",
            "1",
            "0001-01-01",
            "9999-12-31",
            '"\\u0000"',
            "nan",
            "[[[[[[",
        )
        line = f"{lines[place].split('=')[0] if lines else 'name'} = {rng.choice(odd)}"
        lines[place : place + 1] = rng.choice(([line], [], [line, line], ["x = 1"]))
        file.write_text("\n".join(lines), "utf-8")


CHANGES: tuple[Change, ...] = (
    flipped, overwritten, truncated, appended, encoded, line_ends, columns_changed, values_changed,
    values_changed, types_changed, places_changed, declaration_changed,
)  # fmt: skip


def _says_no_value(error: UserError) -> None:
    assert str(error).strip()
    assert "SECRET" not in str(error)


def holds(changes: list[Change], seed: int, *, with_key: bool = False) -> str:
    """Ingest an extract after the changes, and insist on what this file promises; how it ended."""
    rng = random.Random(seed)
    with TemporaryDirectory(prefix="fuzz-") as place:
        folder, out = Path(place) / "in", Path(place) / "out"
        extract(folder, rng)
        for change in changes:
            change(folder, rng)
        key = None
        if with_key:
            key = Path(place) / "id.key"
            key.write_bytes(bytes(range(40)))
            key.chmod(0o600)
        started = time.process_time()
        try:
            quality = ingest(
                "canonical", folder, out, max_quarantine_share=1.0, buckets=rng.choice((1, 2)), hash_ids=key
            )
        except UserError as error:
            _says_no_value(error)
            left = {entry.name for entry in Path(place).iterdir()} - {"in", "id.key"}
            assert left == set()
            ended = "refused"
        else:
            dataset = open_dataset(out)
            for name, count in quality.counts.items():
                kept = duckdb.sql(dataset.select(TABLES[name])).fetchall()
                aside = out / "quarantine" / f"{name}.parquet"
                n_aside = pq.read_metadata(aside).num_rows if aside.is_file() else 0
                assert (count.n_in, len(kept), n_aside) == (
                    len(kept) + n_aside,
                    count.n_out,
                    count.n_quarantined,
                )
            assert "SECRET" not in quality.to_json()
            assert "SECRET" not in quality.shape.to_json()
            # What was kept keeps every rule.
            assert check(out).rules == ()
            ended = "ingested"
        assert time.process_time() - started < SECONDS
        shutil.rmtree(folder)
    return ended


MANY_CHANGES = st.lists(st.sampled_from(CHANGES), min_size=1, max_size=3)
SEEDS = st.integers(min_value=0, max_value=2**32)
QUICK = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def test_an_unchanged_extract_is_taken() -> None:
    assert {holds([], seed) for seed in range(4)} == {"ingested"}


@pytest.mark.parametrize("change", dict.fromkeys(CHANGES), ids=lambda change: change.__name__)
def test_every_kind_of_damage_ends_in_a_data_set_or_in_words(change: Change) -> None:
    for seed in range(6):
        holds([change], seed)


@given(changes=MANY_CHANGES, seed=SEEDS)
@settings(QUICK, max_examples=60)
def test_damage_upon_damage_ends_in_a_data_set_or_in_words(changes: list[Change], seed: int) -> None:
    holds(changes, seed)


@given(changes=MANY_CHANGES, seed=SEEDS)
@settings(QUICK, max_examples=15)
def test_damage_under_a_key_ends_in_a_data_set_or_in_words(changes: list[Change], seed: int) -> None:
    holds(changes, seed, with_key=True)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_in_every_column_ends_in_words_or_in_quarantine(value: str, tmp_path: Path) -> None:
    extract(tmp_path / "in", random.Random(1))
    for file in sorted((tmp_path / "in").glob("*.*")):
        if (frame := read(file) if file.suffix != ".toml" else None) is not None:
            frame = frame.astype("object")
            for place in range(frame.shape[1]):
                frame.iloc[place % N, place] = value
            write(frame, file)
    try:
        quality = ingest("canonical", tmp_path / "in", tmp_path / "out", max_quarantine_share=1.0)
    except UserError as error:
        _says_no_value(error)
    else:
        assert "SECRET" not in quality.to_json()


@pytest.mark.prove
@pytest.mark.timeout(3 * 3600)
@given(changes=MANY_CHANGES, seed=SEEDS, with_key=st.booleans())
@settings(deadline=None, max_examples=3_000, suppress_health_check=[HealthCheck.too_slow])
def test_thousands_of_damaged_extracts_end_in_a_data_set_or_in_words(
    changes: list[Change], seed: int, with_key: bool
) -> None:
    holds(changes, seed, with_key=with_key)
