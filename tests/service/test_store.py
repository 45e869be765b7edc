"""The store: migrations, predictions with their history, worklists; in SQLite and in PostgreSQL alike."""

from __future__ import annotations

import datetime as dt
import json
import random
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from typer.testing import CliRunner

from features.points import Point
from serving.database import connection as database
from serving.database.connection import (
    VERSION_TABLE,
    StoreError,
    downgrade,
    file_address,
    open_database,
    reading,
    writing,
)
from serving.database.tables import CDS_FEEDBACK, METADATA, PREDICTED_TARGETS, PREDICTIONS
from serving.problems import Problem
from serving.store.feedback import Feedback, FeedbackStore
from serving.store.predictions import PredictionStore, Stored, Worklist
from serving.store.saving import save
from tests.command import ROOT
from tests.postgres import OWNER, Postgres, postgres
from tests.stored import answer
from wardcast.commands.store import app

SECRET = "Zhang-Wei-4711"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    running: Postgres = request.getfixturevalue("server")
    # A path of the test's own, which no other test has.
    name = f"test_{abs(hash(tmp_path))}"
    running.run("createdb", name)
    return running.uri(name)


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = open_database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: sa.Engine) -> PredictionStore:
    return PredictionStore(engine)


def count(engine: sa.Engine, table: sa.Table) -> int:
    with reading(engine) as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def stays(store: PredictionStore, **filters: Any) -> list[str]:
    return [row.stay_id for row in store.worklist(**filters).rows]


class TestMigrations:
    def test_they_lead_to_the_declared_tables(self, engine):
        with reading(engine) as connection:
            context = MigrationContext.configure(
                connection,
                opts={"version_table": VERSION_TABLE, "compare_type": True, "target_metadata": METADATA},
            )
            assert compare_metadata(context, METADATA) == []

    def test_every_one_can_be_taken_back_and_made_again(self, engine, url):
        scripts = ScriptDirectory(str(Path(database.__file__).parent / "migrations"))
        tables = set(sa.inspect(engine).get_table_names())
        for _ in scripts.walk_revisions():
            downgrade(engine)
        assert sa.inspect(engine).get_table_names() == [VERSION_TABLE]
        open_database(url).dispose()
        assert set(sa.inspect(engine).get_table_names()) == tables == {*METADATA.tables, VERSION_TABLE}

    def test_to_go_back_a_version_keeps_all_that_it_can_hold(self, engine, url):
        at_discharge = answer("S1", 0.4, point="discharge", time="2026-01-15T11:00:00", cost=5.0)
        stored = [answer("S1", 0.9, cost=7.0), at_discharge, answer("S2", 0.1), answer("S1", 0.8)]
        PredictionStore(engine).save(stored)
        former = PredictionStore(engine).worklist()
        downgrade(engine)
        with reading(engine) as connection:
            columns = {c["name"] for c in sa.inspect(connection).get_columns("predicted_targets")}
            assert "stands_for_stay" not in columns
            assert connection.scalar(sa.text("SELECT count(*) FROM predicted_targets")) == 6
        open_database(url).dispose()
        # What an older version stored stands on the list as if this one had.
        assert PredictionStore(engine).worklist() == former
        assert [(row.stay_id, row.prediction["probability"]) for row in former.rows] == [
            ("S1", 0.4),
            ("S2", 0.1),
        ]
        assert PredictionStore(engine).latest("S2") == answer("S2", 0.1)

    def test_who_stored_what_before_it_was_kept_is_not_known(self, engine, url):
        PredictionStore(engine).save([replace(answer("S1"), stored_by="ehr (3f9c0a1b2c4d)")])
        downgrade(engine)
        downgrade(engine)
        with reading(engine) as connection:
            assert "stored_by" not in {c["name"] for c in sa.inspect(connection).get_columns("predictions")}
        open_database(url).dispose()
        assert PredictionStore(engine).latest("S1") == answer("S1")

    def test_processes_that_start_at_once_wait_for_the_one_that_migrates(self, url):
        # Each says that it is ready, and opens the database when all are told to.
        script = (
            "import sys; from serving.database.connection import open_database; print(flush=True); "
            "sys.stdin.readline(); open_database(sys.argv[1])"
        )
        command = [sys.executable, "-c", script, url]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        starting = [subprocess.Popen(command, text=True, cwd=ROOT, **pipes) for _ in range(3)]
        for process in starting:
            process.stdout.readline()
        for process in starting:
            process.stdin.write("\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60)[1] for process in starting]
        assert [(process.returncode, text) for process, text in zip(starting, told, strict=True)] == [
            (0, "")
        ] * 3
        engine = open_database(url)
        assert set(sa.inspect(engine).get_table_names()) == {*METADATA.tables, VERSION_TABLE}
        engine.dispose()

    def test_a_database_of_a_newer_version_is_left_alone(self, engine, url):
        with writing(engine) as connection:
            connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
        with pytest.raises(StoreError, match="made by a newer version of wardcast"):
            open_database(url)

    def test_a_migration_that_fails_leaves_nothing(self, url):
        # A table of somebody else's has the name of the last one that is made.
        engine = database.connect(url)
        with writing(engine) as connection:
            connection.execute(sa.text("CREATE TABLE cds_cards (id INTEGER)"))
        with pytest.raises(StoreError, match="Name an empty database"):
            open_database(url)
        assert sa.inspect(engine).get_table_names() == ["cds_cards"]
        engine.dispose()


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("no address", "address of the database is none"),
            (f"postgresql://planner:{SECRET}@[::1/x", "address of the database is none"),
            (f"mysql://planner:{SECRET}@h/x", "not in mysql"),
            (f"nonsense://planner:{SECRET}@h/x", "not in nonsense"),
            ("sqlite://", "outlives the process"),
            ("sqlite:///:memory:", "outlives the process"),
            (f"postgresql://planner:{SECRET}@127.0.0.1:1/x", "the database x at 127.0.0.1: does not answer"),
            (f"postgresql:///x?password={SECRET}&host=/nowhere", "database x at /nowhere: does not answer"),
        ],
    )
    def test_what_is_no_usable_address_is_told_without_its_password(self, address, said):
        with pytest.raises(StoreError, match=said) as told:
            open_database(address)
        assert SECRET not in str(told.value)
        assert told.value.__suppress_context__ or told.value.__context__ is None

    def test_an_account_of_postgresql_needs_the_right_to_make_tables(self, server):
        server.run("createdb", "guarded")
        owner = open_database(server.uri("guarded"))
        with writing(owner) as connection:
            connection.execute(sa.text("CREATE ROLE reader LOGIN"))
        owner.dispose()
        server.run("createdb", "empty")
        reader = server.uri("empty").replace(f"//{OWNER}@", f"//reader:{SECRET}@")
        with pytest.raises(StoreError, match="may not be written to") as told:
            open_database(reader)
        assert SECRET not in str(told.value)
        with pytest.raises(StoreError, match="does not answer, or not to this account"):
            open_database(server.uri("no_such_database"))

    def test_a_file_that_is_no_database_is_left_as_it_is(self, tmp_path):
        (tmp_path / "scores.db").write_text("stay_id,value\n" * 1_000)
        said = r"scores\.db: not a SQLite database, .*Restore it .*, name another file"
        with pytest.raises(StoreError, match=said):
            open_database(f"sqlite:///{tmp_path}/scores.db")
        assert (tmp_path / "scores.db").read_text() == "stay_id,value\n" * 1_000

    def test_a_file_that_may_not_be_written_or_made_is_told(self, tmp_path):
        open_database(f"sqlite:///{tmp_path}/store.db").dispose()
        sa.create_engine(f"sqlite:///{tmp_path}/empty.db").connect().close()
        with pytest.raises(StoreError, match="may not be written to"):
            open_database(f"sqlite:///file:{tmp_path}/empty.db?mode=ro&uri=true")
        with pytest.raises(StoreError, match="No such file or directory"):
            open_database("sqlite:////proc/wardcast/store.db")

    def test_without_its_driver_postgresql_is_told_to_need_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg2", None)
        with pytest.raises(StoreError, match=r"install wardcast\[postgres\]"):
            open_database("postgresql://wardcast@h/x")

    def test_a_file_that_another_process_keeps_on_writing_is_told(self, tmp_path, monkeypatch):
        monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
        engine = open_database(f"sqlite:///{tmp_path}/store.db")
        store = PredictionStore(engine)
        store.save([answer("S1")])
        with writing(engine):
            with pytest.raises(StoreError, match=r"store\.db: another process has been writing it"):
                store.save([answer("S2")])
            # Who reads need not wait.
            assert store.latest("S1") == answer("S1")
        store.save([answer("S2")])
        engine.dispose()

    def test_a_process_that_hangs_in_postgresql_does_not_hold_up_others_for_ever(self, server, monkeypatch):
        monkeypatch.setattr(database, "BUSY_SECONDS", 1)
        monkeypatch.setattr(database, "IDLE_SECONDS", 2)
        server.run("createdb", "hanging")
        hanging, other = (open_database(server.uri("hanging")) for _ in range(2))
        store = PredictionStore(other)
        try:
            with hanging.connect() as connection:
                save(connection, [answer("S1")], skip_repeated=False)
                with pytest.raises(StoreError, match="another process has been writing it"):
                    store.save([answer("S2")])
                # Who reads need not wait.
                assert store.latest("S1") is None
                time.sleep(2)
                # Its transaction has done nothing for too long: it is ended, and what it did undone.
                store.save([answer("S2")])
                assert (store.latest("S1"), store.latest("S2")) == (None, answer("S2"))
                connection.invalidate()
        finally:
            hanging.dispose()
            other.dispose()

    def test_a_damaged_file_is_told(self, tmp_path):
        file = tmp_path / "store.db"
        engine = open_database(f"sqlite:///{file}")
        PredictionStore(engine).save([answer(f"S{n}") for n in range(200)])
        engine.dispose()
        content = bytearray(file.read_bytes())
        # All but the first page, which says that it is a database.
        content[4096:] = bytes(len(content) - 4096)
        file.write_bytes(content)
        with pytest.raises(StoreError, match=r"store\.db: the file is damaged"):
            open_database(f"sqlite:///{file}")

    def test_nobody_else_may_read_the_file(self, tmp_path):
        file = tmp_path / "new" / "100% of #1?" / "store.db"
        engine = open_database(file_address(file))
        PredictionStore(engine).save([answer("S1")])
        made = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in file.parent.iterdir()}
        assert made == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
        engine.dispose()


class TestPredictions:
    def test_a_later_prediction_is_the_latest_and_the_earlier_one_is_kept(self, store, engine):
        assert store.save([answer("S1", 0.2)]) == 1
        store.save([answer("S1", 0.3, scored_at="2026-01-09T02:00:00Z")])
        # Made before the others, and stored after them.
        store.save([answer("S1", 0.1, scored_at="2026-01-07T02:00:00Z")])
        found = store.latest("S1")
        assert found == answer("S1", 0.3, scored_at="2026-01-09T02:00:00Z")
        assert count(engine, PREDICTIONS) == 3
        assert [row.prediction["probability"] for row in store.worklist().rows] == [0.3]

    def test_of_predictions_of_one_second_the_one_stored_last_is_the_latest(self, store):
        store.save([answer("S1", 0.2), answer("S1", 0.4), answer("S1", 0.3)])
        assert store.latest("S1") == answer("S1", 0.3)
        assert [row.prediction["probability"] for row in store.worklist().rows] == [0.3]

    def test_each_point_has_its_latest(self, store):
        store.save(
            [answer("S1", 0.2), answer("S1", 0.4, point="discharge", scored_at="2026-01-09T02:00:00Z")]
        )
        assert store.latest("S1", Point.ADMISSION) == answer("S1", 0.2)
        assert store.latest("S1").document["prediction_point"] == "discharge"
        assert store.latest("S1", Point.PREADMISSION) is None
        points = {point: store.worklist(point=point).rows for point in Point}
        assert {point: [row.prediction["probability"] for row in rows] for point, rows in points.items()} == {
            Point.PREADMISSION: [],
            Point.ADMISSION: [0.2],
            Point.DISCHARGE: [0.4],
        }

    def test_nothing_is_known_of_a_stay_that_was_never_stored(self, store):
        store.save([answer("S1")])
        for stay_id in ("S2", "", "s1", "S%", "S1' OR '1'='1", "S1\0", "\U0001f3e5" * 100):
            assert store.latest(stay_id) is None

    def test_it_is_known_who_stored_a_prediction(self, store):
        for stored_by in ("ehr (3f9c0a1b2c4d)", "wardcast score"):
            told = replace(answer("S1"), stored_by=stored_by)
            store.save([told])
            assert store.latest("S1") == told
        # The same said by another is the same said.
        again = replace(answer("S1"), stored_by="ehr (3f9c0a1b2c4d)")
        assert store.save([again], skip_repeated=True) == 0

    def test_any_identifier_is_found_again(self, store):
        for stay_id in ("S/1", "Ärztin 7", "'; DROP TABLE predictions; --", "a\nb", "\U0001f3e5"):
            store.save([answer(stay_id)])
            assert store.latest(stay_id) == answer(stay_id)

    def test_words_are_not_stored_and_new_ones_make_no_new_prediction(self, store):
        told = answer("S1", in_words=True)
        store.save([told])
        assert store.latest("S1") == answer("S1")
        told.document["predictions"][0]["reasons"][0]["sentence"] = "过去一年住院3次"
        assert store.save([told], skip_repeated=True) == 0

    def test_all_answers_are_stored_or_none(self, store, engine):
        good, bad = answer("S1"), answer("S2")
        # The target stands twice, which its table does not take.
        bad.document["predictions"].append(bad.document["predictions"][0])
        with pytest.raises(sa.exc.IntegrityError):
            store.save([good, bad])
        assert (count(engine, PREDICTIONS), count(engine, PREDICTED_TARGETS)) == (0, 0)
        with pytest.raises(Problem) as told:
            store.save([good, answer(f"{SECRET}\0")])
        assert (told.value.kind.status, told.value.errors[0].field) == (422, "stay_id")
        assert SECRET not in json.dumps(told.value.document())
        assert count(engine, PREDICTIONS) == 0

    def test_the_same_said_again_is_stored_once_and_something_else_is_not_lost(self, store, engine):
        def scored(probability: float, day: int) -> int:
            again = answer("S1", probability, scored_at=f"2026-01-{day:02d}T02:00:00Z")
            return store.save([again], skip_repeated=True)

        assert [scored(0.2, 1), scored(0.2, 2), scored(0.3, 3), scored(0.2, 4)] == [1, 0, 1, 1]
        # A run of the 3rd goes on: what it stored before it was interrupted is not stored twice.
        assert scored(0.3, 3) == 0
        assert count(engine, PREDICTIONS) == 3
        assert store.latest("S1") == answer("S1", 0.2, scored_at="2026-01-04T02:00:00Z")

    def test_many_who_save_the_same_stay_at_once_leave_one_latest(self, store, engine):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: store.save([answer("S1", n / 100)]), range(40)))
        assert count(engine, PREDICTIONS) == 40
        assert store.worklist().n_total == 1
        assert store.worklist().rows[0].prediction == store.latest("S1").document["predictions"][0]

    def test_old_predictions_are_pruned_with_their_targets(self, store, engine, monkeypatch):
        monkeypatch.setattr("serving.store.pruning.PRUNED_AT_ONCE", 2)
        store.save([answer("S1", n / 10, scored_at=f"2025-0{n}-01T00:00:00Z") for n in range(1, 8)])
        assert store.prune(dt.datetime(2025, 6, 1, tzinfo=dt.UTC)) == 5
        assert (count(engine, PREDICTIONS), count(engine, PREDICTED_TARGETS)) == (2, 2)
        assert [row.prediction["probability"] for row in store.worklist().rows] == [0.7]
        assert store.prune(dt.datetime(2026, 6, 1, tzinfo=dt.UTC)) == 2
        assert (store.latest("S1"), store.worklist()) == (None, Worklist())

    def test_a_database_that_went_away_is_told_as_such(self, engine):
        store = PredictionStore(engine)
        store.save([answer("S1")])
        with writing(engine) as connection:
            connection.execute(sa.text("DROP TABLE predicted_targets"))
        with pytest.raises(StoreError):
            store.worklist()
        with pytest.raises(StoreError):
            store.save([answer("S2")])
        assert store.latest("S2") is None


class TestWorklist:
    def test_the_highest_come_first_and_as_many_as_are_asked_for(self, store):
        store.save([answer(f"S{n}", n / 10) for n in (3, 9, 1, 5)])
        assert stays(store) == ["S9", "S5", "S3", "S1"]
        assert stays(store, top=2) == ["S9", "S5"]
        for top in (0, 501):
            with pytest.raises(ValueError, match="top is not 1 to 500"):
                store.worklist(top=top)

    def test_it_says_how_many_there_are_beside_those_that_are_shown(self, store):
        store.save([answer(f"S{n}", n / 10, band="high" if n > 4 else "low") for n in range(1, 8)])
        assert [store.worklist(top=top).n_total for top in (1, 3, 7, 500)] == [7, 7, 7, 7]
        # Of 1 to 7 those above 4.
        assert store.worklist(top=2, band="high").n_total == 3
        assert store.worklist(departments=frozenset({"surgery"})).n_total == 0

    def test_a_stay_stands_on_it_once_by_the_point_that_it_came_to_last(self, store):
        at_admission = answer("S1", 0.9, cost=900.0, department="cardiology", band="high")
        at_discharge = answer(
            "S1", 0.1, department="surgery", band="low", point="discharge", time="2026-01-15T11:00:00"
        )
        store.save([at_discharge, at_admission, answer("S2", 0.5)])
        assert stays(store) == ["S2", "S1"]
        assert [row.prediction_point for row in store.worklist().rows] == ["admission", "discharge"]
        assert store.worklist().n_total == 2
        # Neither its former band nor its former department brings back what is over.
        assert stays(store, band="high") == ["S2"]
        assert stays(store, departments=frozenset({"cardiology"})) == ["S2"]
        # Who asks for a point gets it; a target that discharge does not predict stands as of admission.
        assert stays(store, point=Point.ADMISSION) == ["S1", "S2"]
        assert stays(store, target="cost") == ["S1"]
        # Scored later, as of an earlier time: records of the admission were corrected.
        store.save([answer("S1", 0.8, scored_at="2026-02-01T00:00:00Z")])
        assert stays(store) == ["S2", "S1"]

    def test_in_whatever_order_predictions_come_the_one_as_of_the_latest_time_stands(self, store):
        chance = random.Random(7)
        kept = []
        for number in range(60):
            some = [
                answer(
                    f"S{chance.randrange(5)}",
                    point=chance.choice([*Point]),
                    time=f"2026-01-{chance.randrange(1, 6):02d}T00:00:00",
                    scored_at=f"2026-02-{chance.randrange(1, 9):02d}T00:00:00Z",
                    cost=chance.choice([None, 5.0]),
                )
                for _ in range(3)
            ]
            store.save(some)
            kept += some
            if number % 20 < 19:
                continue
            # By stay and point what was scored last, of one second what was stored last.
            latest = {}
            for place, one in enumerate(kept):
                if one.key not in latest or latest[one.key][0] <= (one.scored_at, place):
                    latest[one.key] = ((one.scored_at, place), one)
            for target in ("readmission", "cost"):
                standing = {}
                for (_, place), one in latest.values():
                    if one.models_of(target):
                        own = (one.prediction_time, place)
                        standing[one.stay_id] = max(standing.get(one.stay_id, own), own)
                expected = {(stay_id, time) for stay_id, (time, _) in standing.items()}
                rows = store.worklist(target=target, since=dt.datetime(2026, 1, 1)).rows
                assert {(row.stay_id, row.prediction_time) for row in rows} == expected
                assert len(rows) == len(expected)

    def test_the_targets_that_are_stored_are_known(self, store):
        assert store.targets() == frozenset()
        store.save([answer("S1"), answer("S2", cost=7.0), answer("S3")])
        assert store.targets() == {"readmission", "cost"}

    def test_it_is_sorted_by_what_is_asked_for(self, store):
        store.save(
            [
                answer("S1", 0.5, percentile=0.7, time="2026-01-03T00:00:00"),
                answer("S2", 0.4, percentile=0.9, time="2026-01-02T00:00:00"),
                answer("S3", 0.6, percentile=0.8, time="2026-01-01T00:00:00"),
            ]
        )
        assert stays(store, sort="value") == ["S3", "S1", "S2"]
        assert stays(store, sort="percentile") == ["S2", "S3", "S1"]
        assert stays(store, sort="prediction_time") == ["S1", "S2", "S3"]

    def test_equal_values_stand_as_they_were_stored_the_last_first(self, store):
        store.save([answer(stay_id, 0.5) for stay_id in ("S2", "S3", "S1")])
        assert stays(store) == ["S1", "S3", "S2"]
        assert stays(store, top=1) == ["S1"]

    def test_it_is_filtered_by_department_band_and_point(self, store):
        store.save(
            [
                answer("S1", 0.4, department="cardiology", band="high"),
                answer("S2", 0.3, department="surgery", band="medium"),
                answer("S3", 0.2, department=None, band="medium"),
                answer("S4", 0.1, department="surgery", band="low", point="discharge"),
            ]
        )
        assert stays(store) == ["S1", "S2", "S3", "S4"]
        assert stays(store, departments=frozenset({"surgery"})) == ["S2", "S4"]
        assert stays(store, departments=frozenset({"surgery", "cardiology"})) == ["S1", "S2", "S4"]
        assert stays(store, departments=frozenset()) == []
        assert stays(store, departments=frozenset({"x' OR 1=1 --"})) == []
        assert stays(store, band="medium") == ["S2", "S3"]
        assert stays(store, point=Point.DISCHARGE) == ["S4"]
        assert stays(store, departments=frozenset({"surgery"}), band="low") == ["S4"]

    def test_each_target_has_its_list(self, store):
        store.save([answer("S1", 0.1, cost=90_000.0), answer("S2", 0.9, cost=10_000.0), answer("S3", 0.5)])
        assert stays(store) == ["S2", "S3", "S1"]
        costs = store.worklist(target="cost").rows
        assert [(row.stay_id, row.prediction["expected"]) for row in costs] == [
            ("S1", 90_000.0),
            ("S2", 10_000.0),
        ]
        assert stays(store, target="complication") == []

    def test_a_target_that_the_latest_prediction_lacks_is_not_shown_from_an_older_one(self, store):
        store.save([answer("S1", cost=90_000.0)])
        store.save([answer("S1", scored_at="2026-01-09T02:00:00Z")])
        assert stays(store, target="cost") == []
        assert stays(store) == ["S1"]

    def test_stays_of_more_than_thirty_days_before_the_newest_one_have_left_it(self, store):
        # 2026-01-31 less 30 days is 2026-01-01, at the same hour.
        store.save([answer("newest", time="2026-01-31T10:00:00"), answer("in", time="2026-01-01T10:00:00")])
        store.save([answer("out", 0.9, time="2026-01-01T09:59:59")])
        assert stays(store) == ["in", "newest"]
        assert stays(store, since=dt.datetime(2025, 1, 1)) == ["out", "in", "newest"]
        assert stays(store, since=dt.datetime(2026, 1, 15)) == ["newest"]

    def test_a_time_that_has_not_come_yet_empties_no_list(self, store):
        store.save([answer("S1"), answer("mistaken", time="2150-01-01T00:00:00")])
        assert set(stays(store)) == {"S1", "mistaken"}

    def test_records_whose_dates_all_lie_in_the_future_have_a_list(self, store):
        store.save([answer("S1", time="2150-03-01T00:00:00"), answer("S2", time="2150-01-01T00:00:00")])
        assert stays(store) == ["S1"]

    def test_records_without_dates_stand_on_it_by_when_they_were_scored(self, store):
        store.save([answer("S1", time=None, scored_at="2026-01-08T02:00:00Z")])
        store.save([answer("S2", time=None, scored_at="2026-03-08T02:00:00Z")])
        (row,) = store.worklist().rows
        assert (row.stay_id, row.prediction_time) == ("S2", None)

    def test_a_row_holds_the_prediction_as_it_was_answered(self, store):
        asked = answer("S1")
        store.save([asked])
        (row,) = store.worklist().rows
        assert row.prediction == asked.document["predictions"][0]
        assert row.prediction_time == dt.datetime(2026, 1, 8, 10)
        assert row.scored_at == dt.datetime(2026, 1, 8, 2, 0, 3, tzinfo=dt.UTC)
        assert (row.department, row.provisional) == ("cardiology", False)


def test_feedback_on_cards_is_kept(engine):
    feedback = Feedback(
        service="wardcast-readmission",
        card="4e0a3a1e-3283-4575-ab82-028d55fe2719",
        outcome="overridden",
        outcome_at=dt.datetime(2026, 1, 8, 10, tzinfo=dt.timezone(dt.timedelta(hours=8))),
        received_from="ehr",
        override_reason={"reason": {"code": "patient-declined"}, "userComment": "家属拒绝"},
    )
    FeedbackStore(engine).add([feedback])
    FeedbackStore(engine).add([])
    with reading(engine) as connection:
        (row,) = connection.execute(sa.select(CDS_FEEDBACK)).all()
    assert json.loads(row.override_reason)["userComment"] == "家属拒绝"
    # 10:00 in Beijing.
    assert row.outcome_at == dt.datetime(2026, 1, 8, 2, tzinfo=dt.UTC)
    assert FeedbackStore(engine).prune(feedback.received_at) == 0
    assert FeedbackStore(engine).prune(feedback.received_at + dt.timedelta(seconds=1)) == 1
    assert count(engine, CDS_FEEDBACK) == 0


def test_feedback_is_removed_a_few_rows_at_a_time_and_lets_others_write(engine, monkeypatch):
    monkeypatch.setattr("serving.store.pruning.PRUNED_AT_ONCE", 2)
    feedback = FeedbackStore(engine)
    at = dt.datetime(2026, 1, 8, tzinfo=dt.UTC)
    one = Feedback("wardcast-readmission", "card", "accepted", at, "ehr", received_at=at)
    old = [replace(one, card=f"card {number}") for number in range(5)]
    feedback.add([*old, replace(one, received_at=at + dt.timedelta(days=2))])
    n_commits = []
    sa.event.listen(engine, "commit", n_commits.append)
    assert feedback.prune(at + dt.timedelta(days=1)) == 5
    # Two, two and one.
    assert len(n_commits) == 3
    assert count(engine, CDS_FEEDBACK) == 1


def test_an_instant_without_an_offset_is_not_guessed_at(store):
    with pytest.raises(sa.exc.StatementError, match="without an offset"):
        store.prune(dt.datetime(2026, 1, 1))


def test_what_is_stored_says_which_models_predicted():
    assert Stored(answer("S1", cost=1.0).document).models == ["readmission-admission/7", "cost-admission/2"]


def test_old_predictions_are_pruned_from_the_command_line(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/wardcast.db")
    today = dt.datetime.now(dt.UTC)

    def scored(stay_id: str, days_ago: int) -> Stored:
        return answer(stay_id, scored_at=(today - dt.timedelta(days=days_ago)).isoformat())

    PredictionStore(engine).save([scored("S1", 400), scored("S2", 364), scored("S3", 366)])
    done = CliRunner().invoke(app, ["prune", "--older-than", "365", "--work", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["predictions"], found["feedback"]) == (2, 0)
    assert [PredictionStore(engine).latest(stay) is None for stay in ("S1", "S2", "S3")] == [
        True,
        False,
        True,
    ]
    engine.dispose()
    assert CliRunner().invoke(app, ["prune", "--older-than", "0"]).exit_code == 2
