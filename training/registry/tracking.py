"""What a training run leaves in MLflow: parameters, metrics, plots, results and the registered model.

Only figures over whole slices and the artefact are logged; no row of a patient ever is.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.artefact import Artefact
from models.storage import write_artefact
from training.gate.decision import Gate
from training.registry.store import connect
from training.registry.trials import log_trials
from training.registry.versions import register
from training.report.card import model_card, model_card_page
from training.report.page import report_page

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from training.train import Trained

EXPERIMENT = "wardcast"
LOADER = "models.pyfunc"
DISTRIBUTIONS = ("mlflow", "lightgbm", "numpy", "pandas", "pydantic")


@dataclass(frozen=True)
class Logged:
    """A trained model in MLflow: its run, its registered version, the digest of its artefact.

    `results` is the document stored with the run: the results of training with `model`, `version` and
    `gate` filled in.
    """

    run_id: str
    name: str
    version: int
    digest: str
    results: dict[str, Any]


def log_trained(trained: Trained, gate: Gate, *, tracking_uri: str, artifact_root: Path | None) -> Logged:
    """Log a trained model with its evidence and register it under its name as a new version.

    Registration comes after the artefact, the pages and the plots, so that no version is without them. Only
    `results.json`, which names the version, comes after it. An interrupted call leaves a run marked failed;
    between the two it leaves a version of such a run without that file.
    """
    client = connect(tracking_uri)
    artefact = trained.artefact
    experiment_id = _experiment(client, artifact_root)
    with _run(client, experiment_id, artefact) as run_id, tempfile.TemporaryDirectory() as scratch:
        results = {**trained.results, "model": artefact.name, "gate": gate.document()}
        _log_numbers(client, run_id, artefact, results)
        if "tuning" in results:
            log_trials(client, experiment_id, run_id, results["tuning"])
        for name, figure in trained.figures.items():
            client.log_figure(run_id, figure, f"plots/{name}.png")
        client.log_text(run_id, model_card(artefact, results), "card.md")
        client.log_text(run_id, model_card_page(artefact, results), "card.html")
        client.log_text(run_id, report_page(artefact, results, trained.figures), "report.html")
        boosters = {name: without_ranges(text) for name, text in trained.boosters.items()}
        digest = write_artefact(Path(scratch) / artefact.name, artefact, boosters)
        model_id, source = _log_model(client, experiment_id, run_id, artefact, Path(scratch))
        version = register(
            client, artefact.name, source=source, run_id=run_id, model_id=model_id, digest=digest, gate=gate
        )
        results["version"] = version
        client.log_dict(run_id, results, "results.json")
    return Logged(run_id, artefact.name, version, digest, results)


def without_ranges(booster: str) -> str:
    """Take out of LightGBM's text each feature's smallest and largest value: they are single patients'.

    Nothing that predicts reads them.
    """
    return re.sub(
        r"^feature_infos=(.*)$",
        lambda found: f"feature_infos={' '.join('none' for _ in found[1].split())}",
        booster,
        count=1,
        flags=re.MULTILINE,
    )


@contextmanager
def _run(client: MlflowClient, experiment_id: str, artefact: Artefact) -> Iterator[str]:
    tags = {
        "target": artefact.target,
        "prediction_point": artefact.point,
        "kind": artefact.kind,
        "feature_fingerprint": artefact.fingerprint,
    }
    run_id: str = client.create_run(experiment_id, tags=tags, run_name=artefact.name).info.run_id
    status = "FAILED"
    try:
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


def _experiment(client: MlflowClient, artifact_root: Path | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    location = artifact_root.resolve().as_uri() if artifact_root else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _log_numbers(client: MlflowClient, run_id: str, artefact: Artefact, results: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    now_ms = int(time.time() * 1000)
    metrics = [Metric(name, value, now_ms, 0) for name, value in flat_metrics(results)]
    settings = {
        "landmark_hours": artefact.landmark_hours,
        "coding_lag_hours": artefact.coding_lag_hours,
        "cost_lag_hours": artefact.cost_lag_hours,
        **artefact.training.document(),
    }
    params = [Param(name, value) for name, value in flat_params(settings)]
    client.log_batch(run_id, metrics=metrics, params=params)


def flat_metrics(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield every finite number of the results' metrics and baselines by a name of its own.

    `auroc`, `auroc_low`, `auroc_high`; for a baseline `baseline_lace_auroc` and so on.
    """
    documents = {"": results["metrics"]}
    documents |= {f"baseline_{name}_": document for name, document in results.get("baselines", {}).items()}
    for prefix, document in documents.items():
        for name, estimate in document.items():
            parts = estimate if isinstance(estimate, Mapping) else {"value": estimate}
            for part, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                value = parts.get(part)
                if isinstance(value, int | float) and math.isfinite(value):
                    yield f"{prefix}{name}{suffix}", float(value)


def flat_params(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings as `outer.inner` and text."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from flat_params(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _log_model(
    client: MlflowClient, experiment_id: str, run_id: str, artefact: Artefact, scratch: Path
) -> tuple[str, str]:
    """Log the artefact `scratch/<name>` as an MLflow model; return its id and where it lies."""
    from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(experiment_id, name=artefact.name, source_run_id=run_id)
    pyfunc.save_model(
        path=scratch / "model",
        loader_module=LOADER,
        data_path=str(scratch / artefact.name),
        mlflow_model=Model(run_id=run_id, model_id=logged.model_id, model_uuid=logged.model_id),
        signature=_signature(artefact),
        input_example=_neutral_example(artefact),
        # Named, because inferring them loads the model in a new process for seconds.
        pip_requirements=[f"{name}=={installed_version(name)}" for name in DISTRIBUTIONS],
    )
    client.log_model_artifacts(logged.model_id, str(scratch / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id), str(logged.artifact_location)


def _signature(artefact: Artefact) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    inputs = [
        ColSpec(
            DataType.string if feature.type == "category" else DataType.double,
            feature.name,
            required=not feature.is_fact,
        )
        for feature in artefact.features
    ]
    columns = ("value",) if artefact.kind == "risk" else ("value", "low", "high")
    return ModelSignature(Schema(inputs), Schema([ColSpec(DataType.double, name) for name in columns]))


def _neutral_example(artefact: Artefact) -> Any:
    """One made-up row: every number 0, every category its first level. No patient stands behind it."""
    import pandas as pd

    row = {
        feature.name: (feature.levels or ("",))[0] if feature.type == "category" else 0.0
        for feature in artefact.features
    }
    # Names as objects: MLflow 3.17 compares them in a way that pandas deprecates for its string type.
    return pd.DataFrame([row], columns=pd.Index(list(row), dtype=object))
