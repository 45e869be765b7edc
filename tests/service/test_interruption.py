"""Interrupting any command leaves no half-written output, and the same command afterwards succeeds.

A command runs once to its end, for what it makes and how long it takes from the moment that it first writes
something. Then it is stopped at seeded moments of that span, asked (SIGINT, as Ctrl-C does, and SIGTERM, as
systemd and Kubernetes do) and unasked (SIGKILL, as a machine does that runs out of memory), each time over
what the last one left.
The demo's interruption stands with the demo, in test_whole_way.py.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.atomic import written_aside
from features.build import build
from features.dataset import DataSet, open_dataset
from features.ingest import ingest
from features.points import Point
from models.champions import install_champion
from models.storage import read_artefact, write_artefact
from tests.command import WARDCAST, clean_environment
from training.registry.store import connect, default_tracking
from training.registry.versions import fetch, registered
from training.train import Effort, train_model

ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143}
INTERRUPTED = ENDS[signal.SIGINT]


@dataclass(frozen=True)
class Job:
    """A command to interrupt: what shows that it is at work, and what it makes, as bytes to compare.

    `made` gives None where the target is absent, and fails where it is not whole. `left` are the hidden
    entries that an interruption may leave, for a later run to go on from, which it does with the options
    `again`. `replaces`: a further run puts its output in the place of the former one.
    """

    arguments: tuple[str, ...]
    begun: str
    made: Callable[[Path], Any]
    left: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    replaces: bool = True


def bytes_of(folder: Path) -> Any:
    """Name and content of every file of a folder."""
    if not folder.exists():
        return None
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def data_set(folder: Path) -> Any:
    return bytes_of(folder / "data")


def rows_of_features(folder: Path) -> Any:
    file = folder / "admission.parquet"
    return pq.read_table(file).to_pydict() if file.exists() else None


def scores(folder: Path) -> Any:
    """Every scored row without what belongs to the run alone."""
    file = folder / "scores.parquet"
    if not file.exists():
        return None
    return pq.read_table(file).drop_columns(["run_id", "scored_at"]).to_pydict()


def registered_models(folder: Path) -> Any:
    """The text of every registered version's model: each version has its whole artefact, or is not there."""
    if not (folder / "work" / "mlflow.db").exists():
        return None
    client = connect(default_tracking(folder / "work")[0])
    found = []
    for version in client.search_model_versions("name = 'readmission-discharge'"):
        model = registered(client, version.name, int(version.version))
        scratch = folder / "fetched" / str(model.version)
        scratch.mkdir(parents=True, exist_ok=True)
        found.append(read_artefact(fetch(client, model, scratch), model.digest)[1]["model"])
    # One version for each run that came to its end, and all of them the same: training is deterministic.
    return found[0] if found and len(set(found)) == 1 else found or None


INGEST = Job(("ingest", "synthetic", "--admissions", "12000", "--out", "data"), ".data.*", data_set)
FEATURES = Job(
    ("features", "hospital", "--out", "admission.parquet"), ".admission.parquet.*", rows_of_features
)
TRAIN = Job(
    ("train", "hospital", "--target", "readmission"), "work/features", registered_models, replaces=False
)
SCORE = Job(
    ("score", "hospital", "--out", "scores.parquet"),
    ".scores.parquet.partial",
    scores,
    left=(".scores.parquet.partial",),
    again=("--resume",),
)
JOBS = {"ingest": INGEST, "features": FEATURES, "train": TRAIN, "score": SCORE}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """A made-up hospital in several buckets, so that work goes on bucket by bucket."""
    out = tmp_path_factory.mktemp("hospital") / "data"
    ingest("synthetic", None, out, options={"admissions": 6_000, "seed": 3}, buckets=4)
    return open_dataset(out)


@pytest.fixture(scope="module")
def champions(hospital: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with one model in force."""
    work = tmp_path_factory.mktemp("work")
    data = build(hospital, Point.ADMISSION, work / "admission.parquet")
    trained = train_model(data, "readmission", effort=Effort(10))
    name = trained.artefact.name
    digest = write_artefact(work / name, trained.artefact, trained.boosters)
    install_champion(work / "champions", work / name, name=name, version=1, digest=digest)
    return work


def start(job: Job, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [*WARDCAST, *job.arguments, *more]
    return subprocess.Popen(command, cwd=folder, env=clean_environment(), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def wait_until_begun(job: Job, process: subprocess.Popen[str], folder: Path, before: set[Path]) -> None:
    """Wait until the command writes something of its own, or ends."""
    while process.poll() is None and not set(folder.glob(job.begun)) - before:
        time.sleep(0.005)


def prepared(folder: Path, hospital: DataSet, champions: Path | None) -> Path:
    folder.mkdir()
    (folder / "hospital").symlink_to(hospital.path, target_is_directory=True)
    if champions is not None:
        (folder / "work").mkdir()
        (folder / "work" / "champions").symlink_to(champions / "champions", target_is_directory=True)
    return folder


def hidden(folder: Path) -> set[str]:
    """Hidden entries that the command left beside its outputs."""
    return {entry.name for place in (folder, folder / "work", folder / "work" / "features")
            if place.is_dir() for entry in place.iterdir() if entry.name.startswith(".")}  # fmt: skip


def stop_again_and_again(
    job: Job, folder: Path, whole: Any, seconds: float, moments: list[tuple[int, float]]
) -> None:
    """Stop the command at each moment, a share of its span, and look at what is there."""
    for kind, share in moments:
        before, hidden_before = set(folder.glob(job.begun)), hidden(folder)
        process = start(job, folder, *job.again)
        wait_until_begun(job, process, folder, before)
        time.sleep(share * seconds)
        process.send_signal(kind)
        _, err = process.communicate(timeout=300)
        moment = f"{signal.Signals(kind).name} at {share:.0%}"
        # Where it was faster than before, it has ended; where a library's destructor swallowed the
        # interrupt, it went on to its end. Where native code saw it, or Python was already closing down, it
        # ends by the signal itself, which a shell shows as the same 130.
        expected = {0, ENDS.get(kind, 0), -kind}
        assert process.returncode in expected, f"{moment}: ended with {process.returncode}\n{err}"
        found = job.made(folder)
        assert found is None or found == whole, f"{moment}: what it left is not whole"
        if process.returncode in ENDS.values():
            said = "Interrupted" if kind == signal.SIGINT else "Terminated"
            assert f"{said}. Nothing half-written was left." in err, moment
            assert "Traceback" not in err, f"{moment}\n{err}"
        if kind in ENDS:
            assert hidden(folder) - hidden_before <= set(job.left), moment


def check_interruptions(job: Job, make: Callable[[str], Path], moments: list[tuple[int, float]]) -> None:
    """Run to the end once; stop at the moments in another folder; run to the end there."""
    folder = make("whole")
    process = start(job, folder)
    wait_until_begun(job, process, folder, set())
    begun = time.monotonic()
    _, err = process.communicate(timeout=600)
    seconds = time.monotonic() - begun
    assert process.returncode == 0, err
    whole = job.made(folder)
    assert whole is not None
    folder = make("stopped")
    stop_again_and_again(job, folder, whole, seconds, moments)
    done = start(job, folder, *job.again)
    _, err = done.communicate(timeout=600)
    assert done.returncode == 0, err
    assert job.made(folder) == whole
    if job.replaces:
        # Over a complete former output, an interruption leaves that one or the new one, the same here.
        stop_again_and_again(job, folder, whole, seconds, moments[:1])
        assert job.made(folder) == whole


def seeded_moments(seed: int, n_asked: int, n_unasked: int) -> list[tuple[int, float]]:
    chosen = random.Random(seed)
    kinds = [*(list(ENDS) * n_asked)[:n_asked], *[signal.SIGKILL] * n_unasked]
    chosen.shuffle(kinds)
    return [(kind, chosen.random()) for kind in kinds]


@pytest.fixture
def folders(
    tmp_path: Path, hospital: DataSet, request: pytest.FixtureRequest
) -> Callable[[Job], Callable[[str], Path]]:
    """Fresh folders for a job: with the hospital's data set, and for scoring with a model in force."""

    def for_job(job: Job) -> Callable[[str], Path]:
        work = request.getfixturevalue("champions") if job is SCORE else None
        return lambda name: prepared(tmp_path / name, hospital, work)

    return for_job


@pytest.mark.parametrize("name", JOBS)
def test_an_interrupted_command_leaves_nothing_half_written_and_succeeds_afterwards(folders, name):
    # Training takes longest: two moments gate a change, many of all kinds are proved below.
    n_asked = 1 if name == "train" else 2
    check_interruptions(JOBS[name], folders(JOBS[name]), seeded_moments(20, n_asked, n_unasked=1))


@pytest.mark.prove
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", JOBS)
def test_many_interruptions_leave_nothing_half_written(folders, name, seed):
    check_interruptions(JOBS[name], folders(JOBS[name]), seeded_moments(seed, n_asked=10, n_unasked=10))


DEFAULT_WORK = "work"
"""Where every command works unless told otherwise, below the folder that it is called in."""


@pytest.mark.parametrize(
    ("kind", "n_bytes"),
    [(signal.SIGINT, 200_000), (signal.SIGKILL, 200_000)],
)
def test_a_store_of_models_that_was_half_made_does_not_stop_the_next_command(tmp_path, kind, n_bytes):
    """MLflow makes its tables one by one when a work folder is new."""
    script = "import sys; from training.registry.store import connect; connect(sys.argv[1])"
    command = [sys.executable, "-c", script, f"sqlite:///{DEFAULT_WORK}/mlflow.db"]
    options: dict[str, Any] = {"cwd": tmp_path, "env": clean_environment(), "text": True,
                               "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}  # fmt: skip
    with subprocess.Popen(command, **options) as process:
        while process.poll() is None and not has_grown(tmp_path / DEFAULT_WORK, n_bytes):
            time.sleep(0.001)
        process.send_signal(kind)
        process.communicate(timeout=120)
    done = subprocess.run(command, timeout=120, **options)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([*WARDCAST, "models", "--json"], timeout=120, **options)
    assert (listed.returncode, listed.stdout) == (0, "[]\n"), listed.stderr


def has_grown(work: Path, n_bytes: int) -> bool:
    """Whether the store, of some 900,000 bytes when all its tables are made, has come so far."""
    return work.is_dir() and any(file.stat().st_size > n_bytes for file in work.rglob("mlflow.db"))


def test_an_interrupt_between_the_two_renames_keeps_what_stood_there(tmp_path, monkeypatch):
    target = tmp_path / "data"
    target.mkdir()
    (target / "former.txt").write_text("former")

    def interrupt(self: Path, other: Path) -> Path:
        raise KeyboardInterrupt

    def write() -> None:
        with written_aside(target, folder=True) as fresh:
            fresh.mkdir()
            monkeypatch.setattr(Path, "replace", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert bytes_of(target) == {"former.txt": hashlib.sha256(b"former").hexdigest()}
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


def test_what_a_killed_process_left_aside_is_removed_by_the_next_one_and_what_is_at_work_stays(tmp_path):
    target = tmp_path / "data [1].parquet"
    script = (
        "import os, sys; from pathlib import Path; from features.atomic import written_aside\n"
        "with written_aside(Path(sys.argv[1])) as fresh:\n"
        "    fresh.write_text('records'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".data [1].parquet.")
    with written_aside(target) as outer:
        assert not leftover.exists()
        outer.write_text("outer")
        with written_aside(target) as inner:
            assert outer.read_text() == "outer"
            inner.write_text("inner")
        assert target.read_text() == "inner"
    assert target.read_text() == "outer"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_was_moved_aside_by_a_killed_process_goes_back(tmp_path):
    target = tmp_path / "data"
    target.mkdir()
    (target / "former.txt").write_text("former")
    script = (
        "import os, sys; from pathlib import Path; from features.atomic import written_aside\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), 9)\n"
        "with written_aside(Path(sys.argv[1]), folder=True) as fresh:\n"
        "    fresh.mkdir()"
    )
    subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert not target.exists()
    with pytest.raises(KeyboardInterrupt), written_aside(target, folder=True):
        raise KeyboardInterrupt
    assert (target / "former.txt").read_text() == "former"
    assert list(tmp_path.iterdir()) == [target]


def test_what_was_left_for_another_name_that_begins_alike_is_not_touched(tmp_path):
    other = tmp_path / ".data.old.abcdefgh"
    other.mkdir()
    (other / "former content").write_text("former")
    (other / "held while writing").touch()
    with written_aside(tmp_path / "data") as fresh:
        fresh.write_text("new")
    assert (other / "former content").read_text() == "former"


def test_what_somebody_else_made_meanwhile_is_not_replaced_where_that_is_asked(tmp_path):
    target = tmp_path / "mlflow.db"
    with written_aside(target, replace=False) as fresh:
        fresh.write_text("ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupted_score_says_how_to_go_on(folders):
    folder = folders(SCORE)("score")
    process = start(SCORE, folder)
    while process.poll() is None and not list(folder.glob(".scores.parquet.partial/*.parquet")):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "The parts that were finished are kept: the same command with --resume goes on from there." in err


def test_a_terminated_command_leaves_no_folder_for_temporary_files(hospital, tmp_path):
    folder = prepared(tmp_path / "features", hospital, None)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = clean_environment(TMPDIR=str(scratch))
    with subprocess.Popen([*WARDCAST, *FEATURES.arguments], cwd=folder, env=environment) as process:
        while process.poll() is None and not list(scratch.glob("wardcast-*")):
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    assert list(scratch.iterdir()) == []


def test_an_interrupt_before_any_work_is_exit_130_too(tmp_path):
    """At the very start Python itself is still loading: whatever it prints, nothing is written."""
    process = start(INGEST, tmp_path)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (INTERRUPTED, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []
