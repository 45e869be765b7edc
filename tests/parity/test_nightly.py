"""Scoring every night: interruptions, two runs at once, a full disk, another task: nothing lost or mixed."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import serving.nightly.score
from features.dataset import DataSet, open_dataset
from features.errors import UserError
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from serving.champions.loaded import ChampionSet
from serving.nightly.claim import ClaimedError, claimed
from serving.nightly.score import KEPT, ScoringError, score
from tests.served import comparable


def test_an_interrupted_run_goes_on_where_it_stopped(hospital, champions, scored, tmp_path):
    out = tmp_path / "scores.parquet"
    out.write_text("what stood there")
    seen: list[tuple[str, int]] = []

    def interrupt(step: str, done: int, _total: int) -> None:
        seen.append((step, done))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interruption:
        score(hospital, champions, out, settings=DEFAULT_SETTINGS, progress=interrupt)
    assert interruption.value.__notes__ == [KEPT]
    assert out.read_text() == "what stood there"
    work = tmp_path / ".scores.parquet.partial"
    # Told of 0, 1 and 2 buckets: two parts are whole.
    assert len(list(work.glob("*.parquet"))) == 2
    run_id = json.loads((work / "run.json").read_text())["run_id"]
    seen.clear()
    done = score(hospital, champions, out, settings=DEFAULT_SETTINGS, resume=True,
                 progress=lambda step, n, _total: seen.append((step, n)))  # fmt: skip
    assert seen[:2] == [("scoring at admission", 2), ("scoring at admission", 3)]
    assert done.run_id == run_id
    assert done.resumed
    assert done.n_rows == done.n_scored == len(pd.read_parquet(scored))
    pd.testing.assert_frame_equal(comparable(out), comparable(scored), check_exact=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scores.parquet"]


def test_a_leftover_of_another_task_is_not_gone_on_with(hospital, champions, tmp_path):
    def interrupt(_step: str, done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    out = tmp_path / "scores.csv"
    with pytest.raises(KeyboardInterrupt):
        score(hospital, champions, out, settings=DEFAULT_SETTINGS, progress=interrupt)
    fewer = ChampionSet(champions.at(Point.DISCHARGE))
    with pytest.raises(ScoringError, match=r"other models\. Run without --resume"):
        score(hospital, fewer, out, settings=DEFAULT_SETTINGS, resume=True)
    done = score(hospital, fewer, out, settings=DEFAULT_SETTINGS)
    assert set(pd.read_csv(out)["prediction_point"]) == {"discharge"}
    assert done.n_admissions == done.n_rows
    assert not (tmp_path / ".scores.csv.partial").exists()


def interrupted(hospital: DataSet, champions: ChampionSet, out: Path, **options: Any) -> Path:
    """The work folder of a run that was interrupted with two of its buckets scored."""

    def interrupt(_step: str, done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(hospital, champions, out, settings=DEFAULT_SETTINGS, progress=interrupt, **options)
    work = out.with_name(f".{out.name}.partial")
    assert len(list(work.glob("*.parquet"))) == 2
    return work


def test_a_run_is_not_gone_on_with_for_another_time_span_and_its_work_stays(
    hospital, champions, scored, tmp_path
):
    out = tmp_path / "scores.parquet"
    work = interrupted(hospital, champions, out)
    since = dt.datetime(2025, 7, 1)
    with pytest.raises(ScoringError, match=r"had other --since\. Run without --resume"):
        score(hospital, champions, out, settings=DEFAULT_SETTINGS, since=since, resume=True)
    assert len(list(work.glob("*.parquet"))) == 2
    assert not out.exists()
    score(hospital, champions, out, settings=DEFAULT_SETTINGS, resume=True)
    pd.testing.assert_frame_equal(comparable(out), comparable(scored), check_exact=True)


def test_a_second_run_to_the_same_file_is_refused_while_the_first_goes_on(
    hospital, champions, scored, tmp_path
):
    out = tmp_path / "scores.parquet"
    refused: list[str] = []

    def start_another(_step: str, done: int, _total: int) -> None:
        if done == 1:
            for resume in (False, True):
                with pytest.raises(ClaimedError) as error:
                    score(hospital, champions, out, settings=DEFAULT_SETTINGS, resume=resume)
                refused.append(str(error.value))

    score(hospital, champions, out, settings=DEFAULT_SETTINGS, progress=start_another)
    said = f"scores.parquet: another run (process {os.getpid()}) is writing it. "
    assert len(refused) == 2 * 2  # at both prediction points
    assert all(text.startswith(said) for text in refused)
    pd.testing.assert_frame_equal(comparable(out), comparable(scored), check_exact=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.parquet"]


def test_the_claim_of_a_killed_run_stands_in_nobodys_way(tmp_path):
    work = tmp_path / ".scores.parquet.partial"
    script = (
        "import os, sys; from pathlib import Path; from serving.nightly.claim import claimed\n"
        "with claimed(Path(sys.argv[1]), 'scores.parquet'):\n    os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(work)])
    assert killed.returncode == -signal.SIGKILL
    assert (work / "lock").is_file()
    with claimed(work, "scores.parquet"):
        assert (work / "lock").read_text() == str(os.getpid())
        # The block may remove the folder: the next one makes it again.
        shutil.rmtree(work)
        with claimed(work, "scores.parquet"):
            pass


def full(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, "Error writing bytes to file")


@pytest.mark.parametrize("step", ["_write_part", "combine"])
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(
    hospital, champions, scored, tmp_path, monkeypatch, step
):
    out = tmp_path / "scores.parquet"
    out.write_text("what stood there")
    with monkeypatch.context() as patched:
        patched.setattr(serving.nightly.score, step, full)
        with pytest.raises(ScoringError) as error:
            score(hospital, champions, out, settings=DEFAULT_SETTINGS)
    assert str(error.value) == (
        "scores.parquet: No space left on device. What was scored so far is kept in .scores.parquet.partial: "
        "mend that and go on with --resume."
    )
    assert out.read_text() == "what stood there"
    score(hospital, champions, out, settings=DEFAULT_SETTINGS, resume=True)
    pd.testing.assert_frame_equal(comparable(out), comparable(scored), check_exact=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.parquet"]


def test_a_part_that_lost_its_end_with_the_power_is_scored_again(hospital, champions, scored, tmp_path):
    out = tmp_path / "scores.parquet"
    work = interrupted(hospital, champions, out)
    first, second = sorted(work.glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:-100])
    second.write_bytes(b"")
    score(hospital, champions, out, settings=DEFAULT_SETTINGS, resume=True)
    pd.testing.assert_frame_equal(comparable(out), comparable(scored), check_exact=True)


def test_data_that_is_replaced_while_it_is_scored_is_not_mixed(hospital, champions, tmp_path):
    data = shutil.copytree(hospital.path, tmp_path / "data")
    out = tmp_path / "scores.parquet"

    def replace(_step: str, done: int, _total: int) -> None:
        if done == 1:
            fresh = shutil.copytree(data, tmp_path / "fresh", dirs_exist_ok=True)
            shutil.rmtree(data)
            fresh.rename(data)

    # The next bucket may be read already: then the reader tells.
    with pytest.raises(UserError, match=r"the data set was replaced while it was (scored|read)"):
        score(open_dataset(data), champions, out, settings=DEFAULT_SETTINGS, progress=replace)
    assert not out.exists()


def test_a_folder_is_not_taken_for_a_file_to_write(hospital, champions, tmp_path):
    out = tmp_path / "scores.parquet"
    out.mkdir()
    with pytest.raises(ScoringError, match="name a file"):
        score(hospital, champions, out, settings=DEFAULT_SETTINGS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.parquet"]
