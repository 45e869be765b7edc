"""What the terminal shows of a training."""

from __future__ import annotations

from typing import Any

import pytest

from training.gate import Check, Gate
from wardcast.reports import show_training


def measured(auroc: float) -> dict[str, Any]:
    return {"auroc": {"value": auroc, "low": None, "high": None}}


def test_a_baseline_that_lacks_rows_shows_its_share_and_a_failed_gate_its_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gate = Gate((Check(False, "too flat."), Check(True, "better.")))
    show_training(
        [
            {
                "model": "readmission-discharge",
                "version": 2,
                "kind": "risk",
                "n": {"test": 2000},
                "metrics": measured(0.71),
                "baselines": {
                    "lace": {"n": 2000, "share_scored": 1.0, **measured(0.66)},
                    "hospital": {"n": 1234, "share_scored": 0.617, **measured(0.65)},
                },
                "gate": gate.document(),
            }
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "hospital" in line).split("│")[2].strip() == "1,234 (62%)"
    assert next(line for line in lines if "lace" in line).split("│")[2].strip() == ""
    assert lines[-2:] == ["readmission-discharge/2: gate not passed", "  Failed: too flat."]
