"""Measured work: one admission at a time through the API over HTTP on this machine."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from benchmarks.measuring import Measured
from serving.api import create_app
from serving.settings import ServingSettings

N_EARLIER_STAYS, N_DIAGNOSES, N_LABORATORY_VALUES = 5, 40, 30
_ADMITTED_AT = dt.datetime(2026, 1, 7, 9, 30)  # noqa: DTZ001 - records hold local wall time
_CODES = ("I500", "E119", "J440", "I10", "N183", "I252", "K746", "F329", "I480", "D509")
_ANALYTES = (("718-7", 11.2, "g/dL"), ("2951-2", 134.0, "mmol/L"), ("2160-0", 1.6, "mg/dL"))


def online_requests(champions: Path, requests: int, warm_up: int) -> Measured:
    """The latency of single requests, one after another on one connection; `facts` in milliseconds."""
    app = create_app(ServingSettings(champions))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    running = threading.Thread(target=server.run, args=([listening],), daemon=True)
    running.start()
    connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=60)
    body, measured = json.dumps(example_request()), Measured()
    for _ in range(warm_up):
        _ask(connection, body)
    waits = []
    with measured.timed():
        for _ in range(requests):
            start = time.perf_counter()
            answer = _ask(connection, body)
            waits.append(1000 * (time.perf_counter() - start))
    server.should_exit = True
    running.join(timeout=30)
    predictions = answer["predictions"]
    assert all(prediction["reasons"] for prediction in predictions), "an answer came without reasons"
    measured.facts = {
        "requests": requests,
        "targets": sorted(prediction["target"] for prediction in predictions),
        "p50_ms": float(np.quantile(waits, 0.5)),
        "p99_ms": float(np.quantile(waits, 0.99)),
        "body_bytes": len(body),
    }
    return measured


def _ask(connection: http.client.HTTPConnection, body: str) -> dict[str, Any]:
    connection.request("POST", "/v1/predictions", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, f"the API answered {response.status}: {content[:500]!r}"
    return dict(json.loads(content))


def example_request() -> dict[str, Any]:
    """A made-up admission with five earlier stays, forty diagnoses and thirty laboratory values."""
    admissions = [_ADMITTED_AT - dt.timedelta(days=60 * n) for n in range(N_EARLIER_STAYS, -1, -1)]
    stays = [_stay(number, at) for number, at in enumerate(admissions)]
    records = {
        "patients": [{"patient_id": "p", "birth_date": "1951-03-02", "sex": "male"}],
        "stays": stays,
        "diagnoses": [_diagnosis(number) for number in range(N_DIAGNOSES)],
        "observations": [_value(number) for number in range(N_LABORATORY_VALUES)],
        "procedures": [],
        "visits": [],
    }
    return {
        "stay_id": stays[-1]["stay_id"],
        "prediction_point": "admission",
        "history_from": "2021-01-01",
        "records": records,
    }


def _stay(number: int, admitted_at: dt.datetime) -> dict[str, Any]:
    stay: dict[str, Any] = {
        "stay_id": f"s{number}",
        "patient_id": "p",
        "hospital_id": "h",
        "admitted_at": admitted_at.isoformat(),
        "admission_type": "emergency",
        "admission_source": "home",
    }
    if number < N_EARLIER_STAYS:
        stay |= {"discharged_at": (admitted_at + dt.timedelta(days=6)).isoformat(), "total_cost": 14250.0}
    return stay


def _diagnosis(number: int) -> dict[str, Any]:
    """One admitting diagnosis of the present stay, the others at discharge of the earlier ones."""
    code = _CODES[number % len(_CODES)]
    if number == 0:
        return {"stay_id": f"s{N_EARLIER_STAYS}", "kind": "admitting", "position": 1, "code": code}
    stay, position = number % N_EARLIER_STAYS, number // N_EARLIER_STAYS + 1
    return {"stay_id": f"s{stay}", "kind": "discharge", "position": position, "code": code}


def _value(number: int) -> dict[str, Any]:
    code, value, unit = _ANALYTES[number % len(_ANALYTES)]
    taken_at = _ADMITTED_AT + dt.timedelta(minutes=30 * number)
    return {
        "patient_id": "p",
        "taken_at": taken_at.isoformat(),
        "code": code,
        "value": value + 0.1 * number,
        "unit": unit,
    }
