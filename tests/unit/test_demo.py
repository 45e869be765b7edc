"""The demo keeps to the settings, and its list of risks says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from wardcast.demo import _show_top, run_demo
from wardcast.settings import load_settings

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


def test_the_list_is_named_by_what_it_holds(capsys):
    _show_top(TOP)
    said = " ".join(capsys.readouterr().out.split())
    assert "The 2 highest risks of unplanned readmission predicted at discharge in the last 60 days" in said
    assert "50.0%" in said
    _show_top(TOP.assign(prediction_time=pd.NaT))
    undated = " ".join(capsys.readouterr().out.split())
    assert "The 2 highest risks of unplanned readmission predicted at discharge ┏" in undated
    _show_top(TOP.head(0))
    assert "No model of readmissions is in force" in capsys.readouterr().out
