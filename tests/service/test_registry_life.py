"""Evaluate, promote, look back and retire, as a person at the terminal does it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, succeeded, wardcast
from wardcast.pipeline import account

NAME = "readmission-discharge"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a champion, and another hospital's data set beside its own."""
    folder = tmp_path_factory.mktemp("house")
    for name, seed in (("data", 3), ("other", 4)):
        succeeded("ingest", "synthetic", "--out", name, "--admissions", 6_000, "--seed", seed, cwd=folder)
    succeeded("train", "data", "--target", "readmission", cwd=folder)
    succeeded("promote", NAME, 1, "--override", "a test's reason", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(house: Path) -> dict[str, Any]:
    """The champion on the other hospital."""
    return succeeded("evaluate", NAME, "other", "--html", "page.html", "--json", cwd=house).document


def test_a_champion_is_judged_on_another_hospital(house: Path, evaluated: dict[str, Any]):
    assert (evaluated["model"], evaluated["prediction_point"]) == (f"{NAME}/1", "discharge")
    assert evaluated["n"]["labelled"] > 1_000
    assert 0.55 < evaluated["metrics"]["auroc"]["value"] < 0.9
    assert {"lace", "hospital", "prior_admissions"} <= set(evaluated["baselines"])
    # The same years: dates alone cannot tell that the patients are others.
    assert "judged rows lie before" in evaluated["warnings"][0]
    assert evaluated["recalibration"].keys() & {"suggested", "missing"}


def test_the_registered_version_is_judged_alike_and_no_rows_are_left_behind(
    house: Path, evaluated: dict[str, Any]
):
    assert succeeded("evaluate", f"{NAME}/1", "other", "--json", cwd=house).document == evaluated
    assert not [entry for entry in (house / "work").iterdir() if entry.name.startswith(".")]


def test_the_terminal_and_the_page_say_what_it_would_take_and_that_nothing_was_changed(
    house: Path, evaluated: dict[str, Any]
):
    before = {file: file.stat().st_mtime_ns for file in (house / "work" / "champions").rglob("*")}
    told = succeeded("evaluate", NAME, "other", cwd=house).out
    page = (house / "page.html").read_text("utf-8")
    auroc = f"{evaluated['metrics']['auroc']['value']:.3f}"
    needs = evaluated["recalibration"]["suggested"] != "none"
    for text in (told, page):
        assert f"{NAME}/1 on " in text
        assert auroc in text
        assert "Nothing was changed: the model in force predicts as before." in text
        assert ("Suggested, from " if needs else "No recalibration is needed") in text
    assert page.count("<svg") == 3
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert {file: file.stat().st_mtime_ns for file in (house / "work" / "champions").rglob("*")} == before


def test_where_models_were_acted_upon_no_recalibration_is_suggested(house: Path, evaluated: dict[str, Any]):
    # The champion was promoted today, after the last admission; somebody knows better.
    assert not [text for text in evaluated["warnings"] if "acted upon" in text]
    since = succeeded(
        "evaluate", NAME, "other", "--acted-on-from", "2000-01-01", "--json", cwd=house
    ).document
    assert since["recalibration"] == {"missing": "acting on models has changed what they are judged by"}
    assert "on or after 2000-01-01, since when models are acted upon" in since["warnings"][-1]
    assert since["metrics"] == evaluated["metrics"]


def test_a_model_or_a_page_that_cannot_be_is_told(house: Path):
    done = wardcast("evaluate", "luck-discharge", "other", cwd=house)
    assert done.code == 1
    assert "luck-discharge: no such model." in done.err
    done = wardcast("evaluate", NAME, "other", "--html", "page.txt", cwd=house)
    assert done.code == 2


def test_mlflow_runs_the_entry_points_of_the_project(house: Path):
    # As mlflow/README.md has it: the store is named, the environment is this one.
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{house / 'work' / 'mlflow.db'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT / "mlflow"), "--env-manager", "local"]
    command += ["-e", "evaluate", "-P", f"model={NAME}", "-P", "data=other"]
    command += ["-P", f"html={house / 'run.html'}", "-P", f"work={house / 'work'}"]
    done = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Nothing was changed" in (house / "run.html").read_text("utf-8")
    assert not (ROOT / "mlflow" / "work").exists()


def test_the_history_tells_who_changed_what_when_and_why_and_a_retired_model_is_gone(house: Path):
    retired = succeeded("retire", NAME, "--reason", "its ward is closed", "--json", cwd=house).document
    assert (retired["name"], retired["version"]) == (NAME, 1)
    first, last = succeeded("models", "--history", NAME, "--json", cwd=house).document
    assert (first["action"], first["version"], first["previous_version"]) == ("promote", 1, None)
    assert first["reasons"][0] == "Override: a test's reason"
    assert (last["action"], last["changed_at"]) == ("retire", retired["retired_at"])
    assert (last["reasons"], last["changed_by"]) == (["its ward is closed"], account())
    told = succeeded("models", "--history", NAME, cwd=house).out
    assert f"promote {NAME}/1: Override: a test's reason\n" in told
    assert f"retire {NAME}/1: its ward is closed\n" in told
    assert succeeded("models", "--json", cwd=house).document == []
    assert wardcast("score", "other", "--out", "scores.csv", cwd=house).code == 1
    done = wardcast("rollback", NAME, cwd=house)
    assert (done.code, f"{NAME}/1: retired by {account()} at " in done.err) == (1, True)
    done = wardcast("models", "--history", "luck-discharge", cwd=house)
    assert (done.code, done.err) == (
        1,
        "luck-discharge: no version was ever champion. `wardcast models` lists what is in force.\n",
    )
