"""What a person at the terminal reads of a training and of the models in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.external.evaluate import External
from training.gate.decision import Check, Gate
from training.registry.promotion import ChampionRow
from wardcast.console import show_table
from wardcast.evaluation_page import evaluation_page, show_evaluation
from wardcast.pipeline import Outcome
from wardcast.reports import moment, say_outcome, show_champions, show_training
from wardcast.settings import load_settings


def measured(auroc: float) -> dict[str, Any]:
    return {"auroc": {"value": auroc, "low": None, "high": None}}


def test_a_baseline_that_lacks_rows_shows_its_share_and_a_failed_gate_its_reasons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gate = Gate((Check(False, "too flat."), Check(True, "better.")))
    show_training(
        [
            {
                "target": "readmission",
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


def evaluation(target: str) -> dict[str, Any]:
    metrics = {"mae": {"value": 2.351, "low": 2.301, "high": 2.389}}
    recalibration = {
        "suggested": "slope",
        "intercept": 0.1,
        "slope": 0.9,
        "n_fitted": 500,
        "score": {"any": 9.0, "slope": 8.0},
        "held_out": {
            "n": 500,
            "metrics": metrics,
            "metrics_recalibrated": metrics,
            "difference": {"value": -0.123, "low": -0.2, "high": -0.05},
        },
    }
    return {
        "model": "m/1",
        "data_set": "other",
        "target": target,
        "prediction_point": "admission",
        "currency": "CNY",
        "kind": "amount",
        "n": {"rows": 1010, "patients": 800, "unsettled": 0, "labelled": 1000, "judged": 1000},
        "metrics": metrics,
        "baselines": {},
        "groups": [],
        "warnings": [],
        "recalibration": recalibration,
    }


@pytest.mark.parametrize(
    ("target", "error", "change"), [("stay_days", "2.35 days", "-0.12 days"), ("charges", "2 CNY", "+0 CNY")]
)
def test_errors_of_days_have_two_decimals_wherever_they_are_told(
    target: str, error: str, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_evaluation(evaluation(target))
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split("│")[4].strip() for line in lines if line.count("│") == 8]
    # The first table has rows, d2, wape and then mae.
    assert cells[0] == error
    assert f"would change the mean absolute error by {change} (" in "\n".join(lines)


def test_the_page_of_an_evaluation_has_the_words_of_the_report() -> None:
    groups = [
        {
            "group": "department",
            "level": "general_surgery",
            "suppressed": False,
            "counts_rounded": True,
            "n": 950,
            "metrics": {"bias": {"value": 0.9, "low": 0.8, "high": 1.0}},
        }
    ]
    risk = evaluation("charges") | {
        "groups": groups,
        "data_source": "synthetic 1",
        "baselines": {
            "prior_admissions": {"n": 617, "difference": {"value": 0.114, "low": 0.094, "high": 0.132}}
        },
    }
    page = evaluation_page(External(risk, {}))
    assert "<h1>Charges of the stay, predicted at admission: m/1 on other</h1>" in page
    assert "The model is judged on a made-up hospital" in page
    assert "Mean absolute error (0 perfect)</td>" in page
    assert "2 CNY (2 to 2)" in page
    assert "<td>general surgery</td>" in page
    assert "rounded down to full 50 rows" in page
    # Counting admissions is no published score, and is named in words; its difference says of which rows.
    assert "Published scores" not in page
    assert "<td>Admissions in the year before</td><td" in page
    assert "on these rows alone" in page
    assert "+0.114 (+0.094 to +0.132)" in page
    # The 95th percentile of the chi-square distribution with 2 and with 1 degree of freedom.
    assert "reaches 6.0 for any change (found: 9.0) and 3.8 for the slope" in page
    for name in ("prior_admissions", "general_surgery", "interval_coverage"):
        assert name not in page


COST = ChampionRow(
    name="cost-admission",
    version=4,
    target="cost",
    point="admission",
    since="2026-01-05T09:00:00+00:00",
    changed_by="planner",
    digest="0" * 64,
    metrics={"d2": 0.4123, "d2_low": 0.4001, "d2_high": 0.4256, "mae": 9000.0},
    gate_passed=False,
    evidence=("Override: the former one is broken", "Failed: predicted ÷ actual 1.2."),
    is_installed=True,
    is_damaged=False,
)


def test_a_champion_stands_with_the_metric_it_is_ranked_by_and_the_verdict_of_its_gate(capsys):
    show_champions([COST])
    told = capsys.readouterr().out
    row = next(line for line in told.splitlines() if "cost-admission" in line)
    assert "d2 0.412" in row
    assert "not passed" in row
    assert "0.400 to 0.426" in told
    assert "mae" not in told
    assert "cost-admission/4: Override: the former one is broken\n" in told
    assert "cost-admission/4: Failed: predicted ÷ actual 1.2.\n" in told


def test_brackets_in_a_name_are_part_of_the_name(capsys):
    show_table("[bold]Rows[/bold]", ["department"], [["Ward [red]7[/red]"], ["[/]"]])
    told = capsys.readouterr().out
    assert "[bold]Rows[/bold]" in told
    assert "Ward [red]7[/red]" in told
    assert "[/]" in told


@pytest.mark.parametrize(
    ("promote", "passed", "said"),
    [
        (True, True, "cost-admission/3 is champion now."),
        (True, False, "cost-admission/3 is registered but not champion: the gate refused it"),
        (False, True, " promote cost-admission 3 --work 'my work'\n"),
        (False, False, " promote cost-admission 3 --work 'my work' --override 'reason'\n"),
    ],
)
def test_what_became_of_a_training_is_said(capsys, promote, passed, said):
    results = {"model": "cost-admission", "version": 3, "gate": {"passed": passed}}
    outcome = Outcome(results, promote and passed, Path("work/reports/page.html"))
    say_outcome(outcome, load_settings(work=Path("my work")), promote=promote)
    assert said in capsys.readouterr().out


def test_a_metric_that_was_not_computed_is_a_dash(capsys):
    show_champions([replace(COST, metrics={}, gate_passed=True)])
    told = capsys.readouterr().out
    assert "d2 –" in told
    assert "not passed" not in told


def test_a_champion_whose_files_were_changed_is_told_with_the_way_back(capsys):
    show_champions([replace(COST, is_damaged=True)])
    told = capsys.readouterr().out
    assert "damaged" in told
    assert "Promote it again: promote cost-admission 4" in told


def test_rules_that_were_kept_are_counted_and_listed_on_request_alone(capsys):
    kept = replace(COST, evidence=("Passed: auroc 0.7.", "Passed: bias 1.0.", "Failed: speed 3."))
    show_champions([kept])
    told = capsys.readouterr().out
    assert "Passed: auroc" not in told
    assert "cost-admission/4: Failed: speed 3.\n" in told
    assert "cost-admission/4: 2 of the gate's rules were kept; --evidence lists them.\n" in told
    show_champions([kept], with_evidence=True)
    assert "cost-admission/4: Passed: bias 1.0.\n" in capsys.readouterr().out


def test_instants_are_told_to_the_second_in_utc():
    assert moment("2026-01-05T09:00:00.123456Z") == "2026-01-05 09:00:00 UTC"
    assert moment("2026-01-05T10:00:00+01:00") == "2026-01-05 09:00:00 UTC"
