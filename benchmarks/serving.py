"""Measured work: the server under load, alone, against MLflow's, and for long."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.admission import admission_request
from benchmarks.feature_tasks import read_built
from benchmarks.load import Load
from benchmarks.measuring import Measured
from benchmarks.servers import Running, mlflow_server, wardcast_server
from models.champions import champion_records, read_champion
from models.model import load_model

N_BODIES = 64
CLIENTS = 64
ALONE_S, ROUND_S, WARM_UP_S = 20.0, 10.0, 3.0
ROUNDS, STARTS = 3, 3
SAMPLE_S = 10.0
MLFLOW_MODEL = "readmission-admission"


def serving(champions: Path, built: Path, out: Path, soak_minutes: float) -> Measured:
    """Every figure of the server in one run, as `facts` by name. `out` is a folder for what it needs."""
    out.mkdir(parents=True, exist_ok=True)
    work, bodies, rows = _work_folder(champions, out), out / "admissions.jsonl", out / "rows.jsonl"
    requests = [json.dumps(admission_request(patient)) for patient in range(N_BODIES)]
    bodies.write_text("\n".join(requests), "utf-8")
    _write_rows(built, champions, rows)
    model = _mlflow_model(champions, out)
    key = {"X-API-Key": _api_key(work)}
    measured = Measured()
    with measured.timed():
        starts = []
        for _ in range(STARTS):
            with wardcast_server(work, out / "wardcast.log") as server:
                starts.append({"ready_s": server.ready_s, "cpu_s": server.cpu_s()})
        with (
            wardcast_server(work, out / "wardcast.log") as server,
            mlflow_server(model, out / "mlflow.log") as mlflow,
        ):
            for each, path, sent in ((server, PREDICTIONS, bodies), (mlflow, INVOCATIONS, rows)):
                _load(each, path, sent, clients=8, seconds=WARM_UP_S, headers=key)
            alone = _load(server, PREDICTIONS, bodies, clients=1, seconds=ALONE_S, headers=key)
            rounds = []
            for _ in range(ROUNDS):
                ours = _load(server, PREDICTIONS, bodies, clients=CLIENTS, seconds=ROUND_S, headers=key)
                theirs = _load(mlflow, INVOCATIONS, rows, clients=CLIENTS, seconds=ROUND_S)
                rounds.append({"wardcast": ours, "mlflow": theirs})
        rate = float(np.median([each["wardcast"]["per_second"] for each in rounds])) / 2
        with wardcast_server(work, out / "soak.log") as server:
            soak = _soak(server, bodies, key, rate=rate, minutes=soak_minutes)
    measured.facts = {
        "body_bytes": round(float(np.mean([len(body) for body in requests]))),
        "models": [record.parent.name for record in champion_records(champions)],
        "mlflow_model": MLFLOW_MODEL,
        "starts": starts,
        "alone": alone,
        "clients": CLIENTS,
        "rounds": rounds,
        "soak": soak,
    }
    return measured


PREDICTIONS, INVOCATIONS = "/v1/predictions", "/invocations"
_EXPECTED = {PREDICTIONS: '"reasons"', INVOCATIONS: '"predictions"'}


def _load(server: Running, path: str, bodies: Path, **how: Any) -> dict[str, Any]:
    """One load from a second process, with the server's processor time for each answer."""
    before = server.cpu_s()
    found = _answered(_started(Load(server.port, path, str(bodies), expect=_EXPECTED[path], **how)))
    return found | {"cpu_ms": 1000 * (server.cpu_s() - before) / max(found["answers"], 1)}


def _started(load: Load) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _answered(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    assert process.returncode == 0, "the load generator failed"
    found: dict[str, Any] = json.loads(out)
    return found


def _soak(
    server: Running, bodies: Path, key: dict[str, str], *, rate: float, minutes: float
) -> dict[str, Any]:
    """A steady load with the memory read from time to time, after a warm-up at full load.

    The first tenth of the time is warm-up too: `slope_mb_per_hour` is of the straight line through the later
    samples; `low` and `high` are the outermost means of a minute relative to the mean of all, `lowest` and
    `highest` the outermost samples, which hold what the queries of that moment take. `megabytes` are all.
    """
    _load(server, PREDICTIONS, bodies, clients=CLIENTS, seconds=ROUND_S, headers=key)
    load = Load(server.port, PREDICTIONS, str(bodies), CLIENTS, 60 * minutes, '"reasons"', rate, key)
    process, start = _started(load), time.perf_counter()
    seconds, megabytes = [], []
    while process.poll() is None:
        seconds.append(time.perf_counter() - start)
        megabytes.append(server.memory_mb())
        time.sleep(SAMPLE_S)
    found = _answered(process)
    later = np.array(seconds) >= 6 * minutes
    settled, mean = np.array(megabytes)[later], float(np.mean(np.array(megabytes)[later]))
    n_minutes = max(1, round(len(settled) * SAMPLE_S / 60))
    of_minutes = np.array([part.mean() for part in np.array_split(settled, n_minutes)])
    return found | {
        "minutes": minutes,
        "rate": rate,
        "samples": len(settled),
        "mean_mb": mean,
        "low": float(of_minutes.min()) / mean - 1,
        "high": float(of_minutes.max()) / mean - 1,
        "lowest": float(settled.min()) / mean - 1,
        "highest": float(settled.max()) / mean - 1,
        "slope_mb_per_hour": float(np.polyfit(np.array(seconds)[later], settled, 1)[0]) * 3600,
        "megabytes": [round(each, 1) for each in megabytes],
    }


def _work_folder(champions: Path, out: Path) -> Path:
    """A work folder that holds these champions under the name that the server looks for."""
    work = out / "work"
    work.mkdir(exist_ok=True)
    link = work / "champions"
    if not link.is_symlink():
        link.symlink_to(champions.resolve())
    return work


def _api_key(work: Path) -> str:
    """A key that may ask for predictions."""
    options = ["--work", str(work), "--name", "benchmark", "--role", "integrator", "--expires-in", "1"]
    command = [sys.executable, "-m", "wardcast", "keys", "create", *options]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def _write_rows(built: Path, champions: Path, out: Path) -> None:
    """Ready-made feature rows, as MLflow's server takes them: one a request."""
    model = load_model(read_champion(champions / MLFLOW_MODEL / "champion.json").folder)
    names = [spec.name for spec in model.artefact.features]
    rows = read_built(built).read().iloc[:N_BODIES][names]
    numbers = [spec.name for spec in model.artefact.features if spec.type != "category"]
    rows = rows.astype(dict.fromkeys(numbers, "float64"))
    parts = (rows.iloc[[row]].to_json(orient="split", index=False) for row in range(len(rows)))
    out.write_text("\n".join(f'{{"dataframe_split":{part}}}' for part in parts), "utf-8")


def _mlflow_model(champions: Path, out: Path) -> Path:
    """The champion as the MLflow model that training logs: the same loader and signature."""
    from mlflow import pyfunc

    from training.registry.tracking import LOADER, _signature

    folder = out / "mlflow-model"
    if not folder.is_dir():
        champion = read_champion(champions / MLFLOW_MODEL / "champion.json")
        artefact = load_model(champion.folder).artefact
        pyfunc.save_model(
            path=folder,
            loader_module=LOADER,
            data_path=str(champion.folder),
            signature=_signature(artefact),
            pip_requirements=[],
        )
    return folder
