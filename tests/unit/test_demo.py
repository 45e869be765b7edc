"""The demo keeps to the settings, and its list of risks says what it is."""

from __future__ import annotations

import datetime as dt
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.dataset import Declaration
from features.tables import TableError
from wardcast.console import program
from wardcast.demo import _MARKER, _show_top, demo_settings, run_demo, taken_over
from wardcast.settings import SettingsError, load_settings

TOP = pd.DataFrame(
    {
        "stay_id": ["S1", "S2"],
        "prediction_point": "discharge",
        "prediction_time": pd.to_datetime(["2025-12-30 10:00", "2025-11-30 10:00"]),
        "value": [0.5, 0.25],
        "band": "high",
        "reasons": [["Age: 80 years (raises the risk)"], []],
    }
)


def test_the_records_are_read_within_the_memory_of_the_settings(tmp_path, monkeypatch):
    class Told(Exception):  # noqa: N818
        """What ingest was told, without any work done."""

    def ingest(_source: str, _path: Path | None, _out: Path, **options: Any) -> None:
        raise Told(options)

    monkeypatch.setattr("features.ingest.ingest", ingest)
    settings = load_settings(work=tmp_path / "work", memory_limit_mb=345, threads=1)
    with pytest.raises(Told) as told:
        run_demo("synthetic", None, 5_000, settings, progress=lambda *_: None)
    (options,) = told.value.args
    assert (options["memory_limit_mb"], options["threads"]) == (345, 1)


DATED = Declaration(
    name="dated",
    source="test",
    currency="CNY",
    cost_basis="billed",
    time_zone="Asia/Shanghai",
    timeline="real",
    observed_from=dt.date(2022, 1, 1),
    observed_until=dt.date(2025, 12, 31),
    complete_by="admission",
    deaths="registry",
    code_systems={"diagnosis": "icd10"},
)
GIVEN = {"readmission": {"kind": "given", "definition": "all-cause within 30 days"}}


def said_of(capsys: pytest.CaptureFixture[str], top: pd.DataFrame, declaration: Declaration) -> str:
    _show_top(top, declaration)
    return " ".join(capsys.readouterr().out.split())


def test_the_list_is_named_by_what_it_holds(capsys):
    said = said_of(capsys, TOP, DATED)
    assert "The 2 highest risks of unplanned readmission, predicted at discharge in the last 60 days" in said
    assert "2025-12-30 10:00" in said
    assert "50.0%" in said
    assert "has learned from" not in said
    assert "No model of readmissions is in force" in said_of(capsys, TOP.head(0), DATED)


def test_a_list_without_dates_says_whose_outcome_it_is_and_that_the_model_knows_these_patients(capsys):
    fields = DATED.model_dump(exclude_none=True) | {"timeline": "none", "labels": GIVEN}
    undated = Declaration.model_validate({k: v for k, v in fields.items() if not k.startswith("observed")})
    said = said_of(capsys, TOP.assign(prediction_time=pd.NaT), undated)
    assert "highest risks of readmission (all-cause within 30 days), predicted at discharge ┏" in said
    assert "unplanned" not in said
    assert "NaT" not in said
    assert "predicted as of" not in said
    assert "The model has learned from these very patients" in said


def test_the_demo_has_a_folder_of_its_own_below_the_work_folder(tmp_path):
    assert demo_settings(load_settings(work=tmp_path)).work == tmp_path / "demo"


def former_demo(work: Path) -> Path:
    """A folder as a demo leaves it, as far as this goes."""
    for file in (_MARKER, "data/quality.json", "champions/model.txt", "mlflow.db"):
        (work / file).parent.mkdir(parents=True, exist_ok=True)
        (work / file).write_text("former")
    return work


def contents(work: Path) -> dict[str, str]:
    return {str(file.relative_to(work)): file.read_text() for file in work.rglob("*") if file.is_file()}


def run(work: Path, source: str = "synthetic", path: Path | None = None) -> None:
    run_demo(source, path, 5_000, load_settings(work=work), progress=lambda *_: None)


def test_records_that_cannot_be_read_leave_the_former_demo_as_it_was(tmp_path):
    work = former_demo(tmp_path / "work")
    before = contents(work)
    (tmp_path / "no.zip").write_text("not a zip file")
    with pytest.raises(TableError):
        run(work, "diabetes130", tmp_path / "no.zip")
    assert contents(work) == before


def test_a_demo_clears_what_a_demo_left_once_the_records_are_read(tmp_path, monkeypatch):
    class Enough(Exception):  # noqa: N818
        """The records are read: what follows is the rest of the demo."""

    def ingest(_source: str, _path: Path | None, out: Path, **_options: Any) -> None:
        assert "mlflow.db" in contents(work)
        (out / "quality.json").write_text("new")

    def models(*_: object) -> None:
        raise Enough

    work = former_demo(tmp_path / "work")
    (work / ".data.k1lled").mkdir()
    monkeypatch.setattr("features.ingest.ingest", ingest)
    monkeypatch.setattr("wardcast.demo._models", models)
    with pytest.raises(Enough):
        run(work)
    assert contents(work) == {_MARKER: "former", "data/quality.json": "new"}
    assert not (work / ".data.k1lled").exists()


def test_what_a_server_left_in_a_demos_folder_stands_in_no_ones_way(tmp_path, monkeypatch):
    """Keys and the record of reads are not of the demo's making: the next demo leaves them alone."""
    work = tmp_path / "work"
    former_demo(work)
    for name in ("wardcast.db", "audit.jsonl", "audit.key"):
        (work / name).write_text("the server's")

    def ingest(*_arguments: object, **_options: object) -> None:
        raise InterruptedError

    monkeypatch.setattr("features.ingest.ingest", ingest)
    with pytest.raises(InterruptedError):
        run(work)
    assert {name for name, text in contents(work).items() if text == "the server's"} == {
        "wardcast.db",
        "audit.jsonl",
        "audit.key",
    }


@pytest.mark.parametrize("theirs", ["a model of their own", "a file of their own", "a file alone"])
def test_a_folder_that_somebody_else_has_used_is_never_cleared(tmp_path, theirs):
    work = tmp_path / "work"
    if theirs == "a file alone":
        work.write_text("mine")
    else:
        former_demo(work)
    if theirs == "a model of their own":
        taken_over(work)
    if theirs == "a file of their own":
        (work / "scores.csv").write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match="holds something that no demo made"):
        run(work)
    assert contents(tmp_path) == before


def test_the_programs_are_named_so_that_a_fresh_shell_finds_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = shlex.split(program("wardcast"))
    done = subprocess.run([*named, "--version"], capture_output=True, text=True, check=True, env={})
    assert done.stdout.count(".") == 2
    # A folder with a space, below the current one: the path is short, and whole for a shell.
    (tmp_path / "a venv").mkdir()
    for name in ("python", "wardcast"):
        (tmp_path / "a venv" / name).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "a venv" / "python"))
    assert program("wardcast") == "'a venv/wardcast'"
    assert program("mlflow") == "'a venv/python' -m mlflow"
    monkeypatch.chdir(tmp_path / "a venv")
    assert program("wardcast") == "./wardcast"
