"""The trials of a search as MLflow runs below the run of the model that was trained with its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_trials(
    client: MlflowClient, experiment_id: str, parent_run_id: str, tuning: Mapping[str, Any]
) -> None:
    """Log each trial of `tuning`, as it stands in the results, as a child run.

    A child holds the trial's hyperparameters as parameters, `score` and `seconds` as metrics and its
    `trial_state` as a tag. A trial without a score, pruned or unfinished, is a killed run; an
    interrupted call leaves the one that it was at marked failed. Three calls a
    trial: 50 trials take about half a second on SQLite.
    """
    from mlflow.entities import Metric, Param

    for trial in tuning["trials"]:
        tags = {"mlflow.parentRunId": parent_run_id, "trial_state": trial["state"]}
        name = f"trial {trial['number']}"
        run_id = client.create_run(experiment_id, tags=tags, run_name=name).info.run_id
        now_ms = int(time.time() * 1000)
        numbers = {name: trial[name] for name in ("score", "seconds") if trial[name] is not None}
        status = "FAILED"
        try:
            client.log_batch(
                run_id,
                metrics=[
                    Metric(key, value, now_ms, 0) for key, value in numbers.items() if value is not None
                ],
                params=[Param(key, str(value)) for key, value in trial["hyperparameters"].items()],
            )
            status = "KILLED" if trial["score"] is None else "FINISHED"
        finally:
            client.set_terminated(run_id, status)
