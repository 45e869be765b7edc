"""Every trial of a search is a run of its own below the model's run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_models import PASSED, trained_risk
from training.registry.store import connect
from training.registry.tracking import log_trained
from training.registry.trials import log_trials

CHOICE = {"objective": "binary", "max_depth": 4, "learning_rate": 0.05}
TUNING = {
    "score_name": "log_loss",
    "trials": [
        {"number": 0, "state": "complete", "score": 0.31, "seconds": 2.5, "hyperparameters": CHOICE},
        {"number": 1, "state": "pruned", "score": None, "seconds": 0.5, "hyperparameters": CHOICE},
    ],
}


def test_trials_are_child_runs_with_choice_score_and_state(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("tuning", artifact_location=tmp_path.as_uri())
    parent = client.create_run(experiment).info.run_id
    log_trials(client, experiment, parent, TUNING)
    runs = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    children = {run.info.run_name: run for run in runs}
    assert set(children) == {"trial 0", "trial 1"}
    first, second = children["trial 0"], children["trial 1"]
    assert first.data.metrics == {"score": 0.31, "seconds": 2.5}
    assert first.data.params == {"objective": "binary", "max_depth": "4", "learning_rate": "0.05"}
    assert (first.data.tags["trial_state"], first.info.status) == ("complete", "FINISHED")
    # A score of some folds is no score.
    assert second.data.metrics == {"seconds": 0.5}
    assert (second.data.tags["trial_state"], second.info.status) == ("pruned", "KILLED")
    assert client.get_run(parent).info.status == "RUNNING"


def test_an_interrupted_trial_is_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("tuning", artifact_location=tmp_path.as_uri())
    parent = client.create_run(experiment).info.run_id

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "log_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log_trials(client, experiment, parent, TUNING)
    (child,) = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert child.info.status == "FAILED"


def test_a_model_that_was_tuned_is_logged_with_its_trials(tmp_path: Path) -> None:
    tuned = replace(trained_risk(), results={**trained_risk().results, "tuning": TUNING})
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logged = log_trained(tuned, PASSED, tracking_uri=uri, artifact_root=tmp_path / "artifacts")
    client = connect(uri)
    experiment = client.get_run(logged.run_id).info.experiment_id
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{logged.run_id}'")
    assert len(children) == 2
    assert json.loads(json.dumps(logged.results))["tuning"] == TUNING
