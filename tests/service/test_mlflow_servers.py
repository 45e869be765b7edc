"""The life of a model in both stores of mlflow/README.md: a SQLite file, and a server on PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pytest

from models.champions import Champion, champion_named, load_champion
from models.model import model_from_text
from models.storage import digest
from tests.command import ROOT
from tests.postgres import Postgres, mlflow_server, postgres, running
from tests.served import in_force
from tests.small_models import FAILED, NAME, PASSED, TrainedModel, admissions, trained_cost, trained_risk
from training.gate.decision import Check, Gate
from training.registry.changes import LONGEST_RECORD
from training.registry.promotion import PromotionError, audit, champions_table, promote, retire, rollback
from training.registry.store import connect
from training.registry.tracking import Logged, log_trained
from training.registry.versions import registered

COST = "cost-admission"


class Store(Protocol):
    """Where models are kept: `uri` its address, `artifacts` the folder on its disk."""

    uri: str
    artifacts: Path
    artifact_root: Path | None

    def lose(self) -> None:
        """Lose database and artefacts; whatever serves them stands still."""

    def resume(self) -> None:
        """Serve again after a restore."""

    def environment(self) -> dict[str, str]:
        """What the commands of backup and restore need to find it, the current folder (PWD) among it."""


class File:
    """A SQLite file and a folder in a work folder."""

    kind = "file"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'work' / 'mlflow.db'}"
        self.artifacts = folder / "work" / "mlartifacts"
        self.artifact_root: Path | None = self.artifacts

    def lose(self) -> None:
        (self.folder / "work" / "mlflow.db").unlink()
        shutil.rmtree(self.artifacts)

    def resume(self) -> None:
        """A file is there or not."""

    def environment(self) -> dict[str, str]:
        return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


class Server:
    """`mlflow server` on a database of PostgreSQL."""

    kind = "database"

    def __init__(self, folder: Path, database: Postgres) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.artifact_root: Path | None = None
        self._database, self._running = database, ExitStack()
        database.run("createdb", "mlflow")
        self.resume()

    def lose(self) -> None:
        self._running.close()
        self._database.run("dropdb", "mlflow")
        shutil.rmtree(self.artifacts)

    def resume(self) -> None:
        server = mlflow_server(self._database.uri("mlflow"), self.artifacts, self.folder / "server.log")
        self.uri = self._running.enter_context(server)

    def close(self) -> None:
        self._running.close()

    def environment(self) -> dict[str, str]:
        path = f"{self._database.programs}:{os.environ['PATH']}"
        where = {"PGHOST": str(self._database.folder), "PGUSER": "postgres"}
        return where | {"PATH": path, "ARTIFACTS": str(self.artifacts)}


@pytest.fixture(scope="module", params=[File, Server])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[File | Server]:
    folder = tmp_path_factory.mktemp(request.param.kind)
    if request.param is File:
        yield File(folder)
        return
    with postgres() as database:
        server = Server(folder, database)
        try:
            yield server
        finally:
            server.close()


def log(store: Store, trained: TrainedModel, gate: Gate = PASSED) -> Logged:
    return log_trained(trained, gate, tracking_uri=store.uri, artifact_root=store.artifact_root)


def where(store: Store, champions: Path) -> dict[str, Any]:
    return {"tracking_uri": store.uri, "champions": champions, "changed_by": "tester"}


def renamed(trained: TrainedModel, target: str, point: str) -> TrainedModel:
    """The same model under a name of its own, so that a test finds no other's versions."""
    artefact = replace(trained.artefact, name=f"{target}-{point}", target=target, point=point)
    return replace(trained, artefact=artefact)


def predictions(champion: Champion) -> bytes:
    found = load_champion(champion).predict(admissions(40))
    assert found.contributions is not None
    return found.value.tobytes() + found.contributions.tobytes()


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_model_is_logged_registered_promoted_rolled_back_and_retired(store: Store, tmp_path: Path):
    champions, options = tmp_path / "champions", where(store, tmp_path / "champions")
    first, second = (log(store, trained_risk(seed)) for seed in (1, 2))
    former = promote(NAME, first.version, **options)
    exact, files = predictions(former), content(former.folder)
    assert predictions(promote(NAME, second.version, **options)) != exact
    back = rollback(NAME, **options)
    assert (predictions(back), content(back.folder)) == (exact, files)
    assert champions_table(tracking_uri=store.uri, champions=champions)[0].is_installed
    retire(NAME, **options, reason="its ward is closed")
    assert in_force(champions) == []
    assert [(change.action, change.version) for change in audit(NAME, tracking_uri=store.uri)] == [
        ("promote", first.version),
        ("promote", second.version),
        ("rollback", first.version),
        ("retire", first.version),
    ]
    assert predictions(promote(NAME, first.version, **options)) == exact


def test_a_long_override_is_recorded_whole_enough_for_the_database(store: Store, tmp_path: Path):
    gate = Gate(tuple(Check(False, f"department {number}: " + "x" * 400) for number in range(30)))
    logged = log(store, renamed(trained_risk(), "readmission", "admission"), gate)
    promote(logged.name, logged.version, **where(store, tmp_path), override="the committee has seen it")
    tags = connect(store.uri).get_registered_model(logged.name).tags
    assert all(4_000 < len(text) <= LONGEST_RECORD for text in tags.values())
    assert registered(connect(store.uri), logged.name, logged.version).gate == gate


def test_an_artefact_that_was_changed_on_the_servers_disk_is_refused(store: Store, tmp_path: Path):
    trained = renamed(trained_risk(), "readmission", "preadmission")
    good, bad = (
        log(store, trained),
        log(store, replace(trained, artefact=replace(trained.artefact, landmark_hours=6.0))),
    )
    before = predictions(promote(good.name, good.version, **where(store, tmp_path)))
    for model in store.artifacts.rglob("model.txt"):
        if digest(model.parent) == bad.digest:
            model.write_text(model.read_text().replace("leaf_value=", "leaf_value=9 ", 1))
    with pytest.raises(PromotionError, match="SHA-256 differs"):
        promote(bad.name, bad.version, **where(store, tmp_path))
    present = champion_named(tmp_path, good.name)
    assert present is not None
    assert (present.version, predictions(present)) == (good.version, before)
    assert len(audit(good.name, tracking_uri=store.uri)) == 1


def test_nothing_is_unpickled_where_a_model_is_loaded_and_asked(store: Store, tmp_path: Path):
    """Python tells its audit hooks of every class that any unpickler looks up, in C or in Python."""
    logged = log(store, renamed(trained_risk(), "complication", "admission"))
    promote(logged.name, logged.version, **where(store, tmp_path))
    admissions(5).to_parquet(tmp_path / "rows.parquet")
    script = """
import sys
from pathlib import Path
import pandas as pd
from training.registry.store import connect
uri, name, version, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
client = connect(uri)
import mlflow, pickle, joblib, cloudpickle
from models.champions import champion_named, load_champion
rows = pd.read_parquet(folder / "rows.parquet")
def forbid(event, given):
    if event == "pickle.find_class":
        raise SystemExit(f"unpickled: {given}")
sys.addaudithook(forbid)
for module in (pickle, joblib, cloudpickle):
    module.load = module.loads = lambda *given, **named: sys.exit("unpickled")
champion = load_champion(champion_named(folder, name)).predict(rows)
mlflow.set_tracking_uri(uri)
served = mlflow.pyfunc.load_model(f"models:/{name}/{version}").predict(rows)
assert served["value"].tolist() == champion.value.tolist()
print("done")
"""
    command = [sys.executable, "-c", script, store.uri, logged.name, str(logged.version), str(tmp_path)]
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet, timeout=180)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    for folder in {file.parent for file in store.artifacts.rglob("MLmodel")}:
        assert "cloudpickle" not in (folder / "MLmodel").read_text()
        # Every pickle that Python has written since 3.0 begins with this byte; no text does.
        files = [file for file in folder.rglob("*") if file.is_file()]
        assert not [file.name for file in files if file.read_bytes()[:1] == b"\x80"]


def test_mlflow_models_serve_answers_as_the_model_does(store: Store, tmp_path: Path):
    # The risk from the file, the amount from the server: both kinds, both ways, one wait each.
    trained = trained_risk() if isinstance(store, File) else trained_cost()
    logged = log(
        store, renamed(trained, "complication", "preadmission") if isinstance(store, File) else trained
    )
    promote(logged.name, logged.version, **where(store, tmp_path))
    rows = admissions(20)
    rows.loc[0, "age_years"] = None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "--model-uri",
        f"models:/{logged.name}@champion",
    ]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with running(command, f"{address}/ping", tmp_path / "log", MLFLOW_TRACKING_URI=store.uri):
        body = json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split", double_precision=15))})
        request = urllib.request.Request(
            f"{address}/invocations", body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = pd.DataFrame(json.load(answer)["predictions"])
    expected = model_from_text(trained.artefact, trained.boosters).predict(rows)
    assert np.allclose(found["value"], expected.value, rtol=1e-12)
    assert list(found) == (["value"] if expected.low is None else ["value", "low", "high"])


# MLflow 3.17 calls pandas in ways that pandas 4 will not know.
@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
@pytest.mark.parametrize("kind", ["risk", "amount"])
def test_mlflow_evaluates_the_registered_model(store: Store, kind: str, monkeypatch: pytest.MonkeyPatch):
    import mlflow

    # MLflow keeps the address in the environment: it must not outlast the server.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)

    trained = trained_risk() if kind == "risk" else trained_cost()
    logged = log(store, trained)
    rows = admissions(200)
    value = model_from_text(trained.artefact, trained.boosters).predict(rows).value
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_experiment("wardcast")
    with mlflow.start_run():
        found = mlflow.models.evaluate(
            f"models:/{logged.name}/{logged.version}",
            # Every outcome 0.1 above what is predicted: the mean absolute error is 0.1.
            rows.assign(outcome=value + 0.1),
            targets="outcome",
            predictions="value",
            model_type="regressor",
            evaluators="default",
            evaluator_config={"log_model_explainability": False},
        )
    assert found.metrics["example_count"] == 200
    assert found.metrics["mean_absolute_error"] == pytest.approx(0.1)


def test_a_lost_store_is_restored_from_its_backup_and_its_champion_verified(
    store: File | Server, tmp_path: Path
):
    """The very commands of mlflow/README.md."""
    logged = log(store, renamed(trained_risk(3), "readmission", "discharge"), FAILED)
    before = promote(NAME, logged.version, **where(store, tmp_path / "before"), override="to lose it")
    commands = re.findall(r"```sh\n(.*?)```", (ROOT / "mlflow" / "README.md").read_text("utf-8"), flags=re.S)
    back_up, restore = (
        next(block for block in commands if block.startswith(f"# {what} the {store.kind}"))
        for what in ("back up", "restore")
    )
    environment = os.environ | store.environment() | {"BACKUP": str(tmp_path / "backup" / "today")}

    def run(block: str) -> None:
        done = subprocess.run(
            ["bash", "-euc", block], cwd=store.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    run(back_up)
    history = audit(NAME, tracking_uri=store.uri)
    store.lose()
    run(restore)
    store.resume()
    assert audit(NAME, tracking_uri=store.uri) == history
    row = next(
        row
        for row in champions_table(tracking_uri=store.uri, champions=tmp_path / "after")
        if row.name == NAME
    )
    assert (row.version, row.is_installed) == (logged.version, False)
    after = promote(NAME, logged.version, **where(store, tmp_path / "after"), override="again")
    assert content(after.folder) == content(before.folder)
    assert predictions(after) == predictions(before)
    assert audit(NAME, tracking_uri=store.uri) == history
