"""How sources read files: any encoding and separator, refused with words where it cannot be read."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from features.dataset import connect
from features.delimited import csv_to_parquet
from features.sources.declared import declared
from features.sources.reading import dated, files_of, mapped, reader, unpacked
from features.tables import TableError


def _rows(tmp_path: Path, sql: str, **files: bytes) -> list[tuple[object, ...]]:
    (tmp_path / "staging").mkdir(exist_ok=True)
    paths = []
    for name, content in files.items():
        path = tmp_path / name.replace("__", ".")
        path.write_bytes(content)
        paths.append(path)
    with reader(tmp_path / "staging") as source:
        source.open("rows", paths, optional=("absent",), empty=("-",), encoding="gb18030")
        return source.data.execute(sql).fetchall()


def test_texts_of_another_encoding_are_read_with_dashes_as_empty(tmp_path: Path) -> None:
    content = "ID,Name\n 1 ,内科\n2,-\n".encode("gb18030")
    assert _rows(tmp_path, "SELECT id, name, absent, _row FROM rows ORDER BY _row", a__csv=content) == [
        ("1", "内科", None, 1),
        ("2", None, None, 2),
    ]


def test_several_files_are_one_view_whatever_order_their_columns_have(tmp_path: Path) -> None:
    packed = gzip.compress(b"b,a\n3,2\n")
    found = _rows(
        tmp_path, "SELECT a, b, _row FROM rows ORDER BY _row", one__csv=b"A\n1\n", two__csv__gz=packed
    )
    assert found == [("1", None, 1), ("2", "3", 2)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,\xff\xff\n", "is not text in GB18030"),
        (b"a,a\n1,2\n", "repeats or leaves out"),
        (b"a,b\n1,2\n1,2,3\n", r"first at line 3"),
        (b"", "is empty"),
        (b"a,b\n1,2\n1,2,\n", r"first at line 3"),
        (b"a,b\r\n1,2\r\n1,,", r"first at line 3"),
        (b'a,b\n1,2,""\n', r"first at line 2"),
        (b"a" * (1 << 20), "has no line break in its first megabyte"),
        (b"a,_row\n1,2\n", "a column named _row, which reading needs for itself"),
        (b"a,FILE_ROW_NUMBER\n1,2\n", "a column named file_row_number"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_without_its_content(
    tmp_path: Path, content: bytes, words: str
) -> None:
    with pytest.raises(TableError, match=words):
        _rows(tmp_path, "SELECT 1", a__csv=content)


def test_a_gzip_file_cut_off_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 10_000)[:-20]
    with pytest.raises(TableError, match=r"cannot be read|cut off"):
        _rows(tmp_path, "SELECT 1", a__csv__gz=packed)


def test_a_gzip_file_with_a_changed_byte_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,b\n1,2\n", compresslevel=0)  # the text stands in it as it is
    (tmp_path / "staging").mkdir()
    (tmp_path / "a.csv.gz").write_bytes(packed.replace(b"1,2", b"7,2"))
    with reader(tmp_path / "staging") as source, pytest.raises(TableError, match="damaged or cut off"):
        source.open("rows", [tmp_path / "a.csv.gz"])


def test_a_disk_that_cannot_be_written_to_is_not_laid_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with connect(threads=1, memory_limit_mb=100) as data, pytest.raises(duckdb.IOException):
        csv_to_parquet(data, tmp_path / "a.csv", tmp_path / "no folder" / "a.parquet")


def test_a_last_value_may_be_empty(tmp_path: Path) -> None:
    found = _rows(tmp_path, "SELECT a, b FROM rows ORDER BY _row", a__csv=b'a,b\n1,\n2,""\n"",\\n\n')
    assert found == [("1", None), ("2", None), (None, "\\n")]


@pytest.mark.parametrize("name", ["ward[1].csv", "ward?.csv", "ward*.csv"])
def test_a_file_named_like_a_pattern_is_read_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "ward1.csv").write_text("a\nanother\n")
    (tmp_path / name).write_text("a\nown\n")
    with reader(tmp_path / "staging") as source:
        source.open("rows", [tmp_path / name])
        assert source.data.execute("SELECT a FROM rows").fetchall() == [("own",)]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "a.csv").write_text("x\n1\n")
    with reader(tmp_path / "staging") as source, pytest.raises(TableError, match=r"a.csv: .*missing: y, z\."):
        source.open("rows", [tmp_path / "a.csv"], required=("x", "y", "z"))


def test_what_cannot_be_mapped_stays_for_the_check_to_find(tmp_path: Path) -> None:
    found = _rows(
        tmp_path,
        f"SELECT {dated('d', '%Y%m%d')}, {mapped('s', {'1': 'male'})} FROM rows ORDER BY _row",
        a__csv=b"d,s\n20090412,1\n12.4.09,7\n,\n",
    )
    assert found == [("2009-04-12", "male"), ("12.4.09", "7"), (None, None)]


def test_files_of_a_table_are_found_by_name_alone(tmp_path: Path) -> None:
    for name in ("Person.CSV", "person_old.csv", "PERSON.txt.gz"):
        (tmp_path / name).touch()
    (tmp_path / "person").mkdir()
    (tmp_path / "person" / "part-0.parquet").touch()
    found = sorted(str(file.relative_to(tmp_path)) for file in files_of(tmp_path, "person"))
    assert found == ["PERSON.txt.gz", "Person.CSV", "person/part-0.parquet"]


def test_a_zip_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../escaped.csv", "a\n1\n")
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == [tmp_path / "out" / "escaped.csv"]


def test_a_zip_that_would_fill_the_disk_is_refused_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", "a\n" * 1_000_000)  # 2 MB, packed to 2 kB
    monkeypatch.setattr(
        "features.sources.reading.shutil.disk_usage", lambda _folder: SimpleNamespace(free=1_999_999)
    )
    with pytest.raises(TableError, match="more than the disk has left"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_in_a_rare_way_is_refused(tmp_path: Path, packed: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", packed) as archive:
        archive.writestr("a.csv", "a\n1\n")
    with pytest.raises(TableError, match="packed in a way that is not read"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")


def test_what_the_format_fixes_need_not_be_declared_but_the_period_must(tmp_path: Path) -> None:
    fixed = {
        "name": "x",
        "source": "x 1",
        "currency": "CNY",
        "cost_basis": "billed",
        "time_zone": "Asia/Shanghai",
        "timeline": "real",
        "complete_by": "discharge",
        "deaths": "in_hospital",
        "code_systems": {"diagnosis": "icd10gb"},
    }
    with pytest.raises(TableError, match="observed_from and observed_until are required"):
        declared(tmp_path, None, fixed)
    (tmp_path / "dataset.toml").write_text(
        'observed_from = 2021-01-01\nobserved_until = 2021-12-31\ncurrency = "USD"\n'
    )
    found = declared(tmp_path, None, fixed)
    assert (found.currency, str(found.observed_until)) == ("USD", "2021-12-31")
