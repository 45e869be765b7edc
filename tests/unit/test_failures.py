"""How a command ends: what a person can mend is told in words, a defect without a patient's value."""

from __future__ import annotations

import errno
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

import features
import models
import serving
import training
import wardcast
from features.errors import UserError
from features.sources.fhir.flat import LeftOut
from features.tables import TableError
from models.calibration import NoMap
from serving.access.heads import ForeignHeadError
from serving.access.pages import NoSuchPageError
from serving.database.attempts import AwayError
from serving.problems import Problem
from wardcast.failures import told

SECRET = "Zhang-Wei-4711"


def ended(
    capsys: pytest.CaptureFixture[str], failing: BaseException | Callable[[], None]
) -> tuple[object, str]:
    """The exit code and what was said when a command raised this, or what this raises."""

    def run() -> None:
        if isinstance(failing, BaseException):
            raise failing
        failing()

    with pytest.raises(SystemExit) as end, told():
        run()
    printed = capsys.readouterr()
    assert printed.out == ""
    return end.value.code, printed.err


def test_what_a_person_can_mend_is_told_as_it_is(capsys):
    assert ended(capsys, TableError("stays: 3 rows. Mend them.")) == (1, "stays: 3 rows. Mend them.\n")


def test_a_full_disk_is_named_with_its_file(capsys):
    full = OSError(errno.ENOSPC, f"could not write {SECRET}", "scores.parquet")
    said = "scores.parquet: No space left on device. Mend that and run the command again.\n"
    assert ended(capsys, full) == (1, said)


def test_what_is_made_aside_is_named_as_it_was_asked_for(capsys):
    for aside in ("out/.scores.csv.a1b2c3d4", "out/.scores.csv.a1b2c3d4/scores.csv"):
        denied = OSError(errno.EACCES, "no", aside)
        said = "out/scores.csv: Permission denied. Mend that and run the command again.\n"
        assert ended(capsys, denied) == (1, said)


def test_too_little_memory_is_told_with_the_setting(capsys):
    def fill() -> None:
        with duckdb.connect(config={"memory_limit": "1MB", "temp_directory": ""}) as con:
            con.execute("CREATE TABLE t AS SELECT range, repeat('x', 1000) FROM range(100_000)")

    for failing in (fill, MemoryError()):
        code, said = ended(capsys, failing)
        assert code == 1
        assert "memory_limit_mb" in said


def test_a_file_that_the_data_engine_cannot_use_is_no_defect(capsys, tmp_path):
    def copy() -> None:
        duckdb.sql(f"COPY (SELECT '{SECRET}') TO '{tmp_path}/no folder/x.parquet'")

    code, said = ended(capsys, copy)
    assert code == 1
    assert "is the disk full" in said
    assert SECRET not in said


def test_a_store_of_models_out_of_reach_is_named_with_mlflows_own_code(capsys):
    lost = MlflowException(f"the server said {SECRET}", error_code=TEMPORARILY_UNAVAILABLE)
    code, said = ended(capsys, lost)
    assert code == 1
    assert "MLFLOW_TRACKING_URI" in said
    assert said.endswith("(TEMPORARILY_UNAVAILABLE)\n")
    assert SECRET not in said


def cast_in_the_engine() -> None:
    duckdb.sql(f"SELECT '{SECRET}'::INTEGER").fetchall()


def cast_in_pandas() -> None:
    pd.Series([SECRET]).astype("float64")


@pytest.mark.parametrize(
    ("failing", "kind"), [(cast_in_the_engine, "ConversionException"), (cast_in_pandas, "ValueError")]
)
def test_a_defect_is_told_by_its_kind_and_place_without_the_value_it_quotes(
    capsys, monkeypatch, failing, kind
):
    monkeypatch.delenv("WARDCAST_DEBUG", raising=False)
    with pytest.raises(Exception, match=SECRET):
        failing()
    code, said = ended(capsys, failing)
    assert code == 1
    assert SECRET not in said
    assert f"{kind}\n" in said
    assert f"test_failures.py:{inspect.getsourcelines(failing)[1] + 1} in {failing.__name__}\n" in said
    assert "WARDCAST_DEBUG=1" in said


def test_on_request_a_defect_and_the_machines_errors_are_shown_whole(capsys, monkeypatch):
    monkeypatch.setenv("WARDCAST_DEBUG", "1")
    with pytest.raises(duckdb.ConversionException, match=SECRET), told():
        cast_in_the_engine()
    with pytest.raises(FileNotFoundError), told():
        Path("/nowhere/at all").read_bytes()
    assert ended(capsys, TableError("stays: 3 rows. Mend them.")) == (1, "stays: 3 rows. Mend them.\n")


def test_an_interrupt_in_the_data_engine_is_an_interrupt(capsys):
    for interrupt in (RuntimeError("Query interrupted"), duckdb.InterruptException(), KeyboardInterrupt()):
        assert ended(capsys, interrupt) == (130, "Interrupted. Nothing half-written was left.\n")


def test_an_interrupt_that_falls_into_a_destructor_is_not_lost():
    script = (
        "import time; from wardcast.failures import told\n"
        "class Booster:\n"
        "    def __del__(self): raise KeyboardInterrupt\n"
        "with told():\n"
        "    Booster()\n"
        "    time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (130, "Interrupted. Nothing half-written was left.\n")


def test_every_error_that_is_declared_here_is_one_for_the_person_who_can_mend_it():
    declared = set()
    for package in (features, models, training, serving, wardcast):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                module = importlib.import_module(found.name)
                declared |= {
                    each
                    for _, each in inspect.getmembers(module, inspect.isclass)
                    if issubclass(each, Exception) and each.__module__ == found.name
                }
    # A problem document answers a request, and its 500 is for nobody to mend; what is left out is no failure.
    verdicts = {Problem, LeftOut, NoMap}
    # What the server tells itself, and catches: it is answered as a problem.
    verdicts |= {AwayError, ForeignHeadError, NoSuchPageError}
    assert {each.__name__ for each in declared - verdicts if not issubclass(each, UserError)} == set()
    assert len(declared) > 5
