"""The whole way: a hospital's records become models and a list of admissions with reasons."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from features.dataset import open_dataset
from features.tables import TABLES
from models.model import Model, load_model
from serving.api import create_app
from serving.champions.loaded import load_champions
from tests.command import WARDCAST, Done, clean_environment, succeeded, wardcast
from tests.served import open_to_all, sent

ADMISSIONS = 20_000
LATEST_DAYS = 60
MODELS = ["readmission-discharge", "readmission-admission", "complication-admission", "cost-admission",
          "charges-admission", "stay_days-admission"]  # fmt: skip
RISK_METRICS = {"auroc", "auprc", "prevalence", "brier", "scaled_brier", "calibration_in_the_large",
                "calibration_slope", "ici"}  # fmt: skip
AMOUNT_METRICS = {"mae", "mdae", "wape", "r2", "d2", "crps", "bias", "interval_coverage", "interval_width"}


@dataclass(frozen=True)
class Demo:
    """A finished demo: its work folder, the document that it printed and its standard error."""

    work: Path
    document: dict[str, Any]
    err: str

    def rows(self, point: str) -> pd.DataFrame:
        """The data set of a prediction point."""
        return pd.read_parquet(self.work / "features" / f"{point}.parquet")

    @property
    def passed(self) -> list[str]:
        """The models whose gate said yes."""
        return sorted(each["model"] for each in self.document["models"] if each["gate"]["passed"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The made-up hospital, in a folder whose name a careless command line would break apart."""
    work = tmp_path_factory.mktemp("demo") / "a hospital's work"
    # The demo's models stay in the demo's own store, whatever server the house has.
    server = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    command = ("demo", "--json", "--admissions", ADMISSIONS, "--work", work)
    done = succeeded(*command, cwd=work.parent, environment=server)
    return Demo(work, done.document, done.err)


@pytest.fixture(scope="module")
def scored(demo: Demo) -> pd.DataFrame:
    return pd.read_parquet(demo.work / demo.document["scored"])


def test_the_document_says_what_was_made_and_where_it_lies(demo):
    assert list(demo.document) == ["work", "data", "flow", "models", "scored", "next"]
    assert Path(demo.document["work"]) == demo.work
    assert open_dataset(demo.work / demo.document["data"]).declaration.source.startswith("synthetic")
    assert (demo.work / demo.document["scored"]).is_file()
    assert (demo.work / "mlflow.db").is_file()
    assert [each["model"] for each in demo.document["models"]] == MODELS


def test_the_demo_s_models_are_found_in_its_own_store_whatever_server_the_house_has(demo):
    server = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    listed = succeeded("models", "--json", "--work", demo.work, cwd=demo.work.parent, environment=server)
    assert sorted(row["name"] for row in listed.document) == sorted(MODELS)


def test_nothing_but_progress_is_said_beside_the_document(demo):
    lines = demo.err.splitlines()
    assert lines
    assert all(line.split(": ")[1].startswith("done in ") for line in lines)


def counts_of(data: Path) -> dict[str, dict[str, int]]:
    """Rows in, out and quarantined of each table, as the quality report tells them."""
    tables = json.loads((data / "quality.json").read_text("utf-8"))["tables"]
    return {table.pop("table"): table for table in tables}


def test_every_row_that_came_in_came_out_or_is_in_quarantine(demo):
    data = demo.work / demo.document["data"]
    counts = counts_of(data)
    assert {"patients", "stays", "diagnoses", "procedures", "charges", "observations", "visits"} <= set(
        counts
    )
    for name, count in counts.items():
        assert count["n_in"] == count["n_out"] + count["n_quarantined"]
        files = (data / name).rglob("*.parquet")
        assert (
            sum(len(pd.read_parquet(file, columns=[TABLES[name].columns[0].name])) for file in files)
            == (count["n_out"])
        )
        set_aside = data / "quarantine" / f"{name}.parquet"
        assert (len(pd.read_parquet(set_aside)) if set_aside.is_file() else 0) == count["n_quarantined"]
    # About as many as asked for: patients come with whole histories.
    assert counts["stays"]["n_out"] == pytest.approx(ADMISSIONS, rel=0.1)


def test_the_flow_leads_from_all_stays_to_the_rows_of_the_data_set(demo):
    counts = counts_of(demo.work / "data")
    assert set(demo.document["flow"]) == {"discharge", "admission"}
    for point, flow in demo.document["flow"].items():
        assert flow == json.loads((demo.work / "features" / f"{point}.parquet.flow.json").read_text("utf-8"))
        steps = {step["step"]: step["n"] for step in flow}
        assert steps["stays"] == counts["stays"]["n_out"]
        # A step that leads on is a subtotal; what leaves is negative.
        leaving = sum(n for step, n in steps.items() if step not in ("stays", "episodes", "rows"))
        assert all(n <= 0 for step, n in steps.items() if step not in ("stays", "episodes", "rows"))
        assert steps["stays"] + leaving == steps["rows"] == len(demo.rows(point))


def test_every_model_stands_beside_its_baselines_with_intervals(demo):
    for results in demo.document["models"]:
        metrics = RISK_METRICS if results["kind"] == "risk" else AMOUNT_METRICS
        assert metrics <= set(results["metrics"])
        for name in metrics:
            estimate = results["metrics"][name]
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
        assert all(results["n"][part] > 0 for part in ("train", "calibration", "test"))
        assert results["version"] == 1
        assert isinstance(results["gate"]["passed"], bool)
        assert results["gate"]["reasons"]
        assert {row["group"] for row in results["groups"]} >= {"sex", "age_band", "department"}
    baselines = {results["model"]: set(results["baselines"]) for results in demo.document["models"]}
    assert baselines["readmission-discharge"] >= {"prior_admissions", "lace", "hospital", "logistic"}
    assert baselines["readmission-admission"] >= {"prior_admissions", "logistic"}
    assert baselines["complication-admission"] >= {"prior_admissions", "logistic"}
    for name in ("cost-admission", "charges-admission", "stay_days-admission"):
        assert baselines[name] >= {"overall_mean", "group_mean", "gamma"}


def test_the_champions_are_the_models_whose_gate_said_yes(demo):
    champions = load_champions(demo.work / "champions")
    assert champions.refused == ()
    assert [loaded.champion.name for loaded in champions.loaded] == demo.passed
    assert demo.passed, "no model passed its gate, so the demo has nothing to show"


def latest(demo: Demo, point: str) -> set[str]:
    """The stays of the data set whose prediction time lies in the last days of the extract."""
    until = pd.Timestamp(open_dataset(demo.work / "data").declaration.observed_until)
    times = demo.rows(point).set_index("stay_id")["prediction_time"]
    in_time = (times >= until - pd.Timedelta(days=LATEST_DAYS)) & (times < until + pd.Timedelta(days=1))
    return set(times.index[in_time])


def test_the_scored_file_holds_one_row_for_each_late_admission_and_target(demo, scored):
    assert not scored.duplicated(["stay_id", "target", "prediction_point", "model_version"]).any()
    expected = {tuple(name.rsplit("-", 1)) for name in demo.passed}
    found = dict(iter(scored.groupby(["target", "prediction_point"])))
    assert set(found) == expected
    for (_, point), rows in found.items():
        assert len(rows) == len(set(rows["stay_id"])) > 100
        assert set(rows["stay_id"]) == latest(demo, point)
    assert (scored["model"] == scored["target"] + "-" + scored["prediction_point"] + "/1").all()


def registered(demo: Demo, name: str) -> Model:
    """The model as the registry keeps it, champion or not."""
    (artefact,) = demo.work.glob(f"mlartifacts/**/data/{name}/artefact.json")
    return load_model(artefact.parent)


@pytest.mark.parametrize("name", MODELS)
def test_base_value_and_contributions_add_up_to_the_raw_output_of_every_row(demo, scored, name):
    model = registered(demo, name)
    rows = demo.rows(model.artefact.point)
    rows = rows[rows["stay_id"].isin(latest(demo, model.artefact.point))].reset_index(drop=True)
    prediction = model.predict(rows, contributions=True, threads=2)
    total = prediction.base_value + prediction.contributions.sum(axis=1)
    assert np.abs(total - prediction.raw_output).max() < 1e-6
    assert np.ptp(prediction.raw_output) > 0.5
    if name in demo.passed:
        # The very numbers of the scored file.
        target, point = name.rsplit("-", 1)
        ours = scored[(scored["target"] == target) & (scored["prediction_point"] == point)]
        ours = ours.set_index("stay_id").loc[rows["stay_id"]]
        assert (ours["raw_output"].to_numpy() == prediction.raw_output).all()
        assert (ours["value"].to_numpy() == prediction.value).all()
        assert (ours["base_value"] == prediction.base_value).all()


def test_reasons_are_the_strongest_and_name_features_of_the_data_set(demo, scored):
    for row in scored.itertuples():
        reasons = json.loads(row.reasons)
        sizes = [abs(reason["contribution"]) for reason in reasons]
        # As many as the picture of a stored prediction shows.
        assert 0 < len(reasons) <= 8
        assert sizes == sorted(sizes, reverse=True)
        assert all(reason["label"] and reason["direction"] in ("raises", "lowers") for reason in reasons)
    names = set(demo.rows("discharge").columns) | set(demo.rows("admission").columns)
    assert {reason["feature"] for text in scored["reasons"] for reason in json.loads(text)} <= names


@pytest.fixture(scope="module")
def client(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("served")
    with TestClient(create_app(open_to_all(demo.work / "champions", folder=folder))) as client:
        yield client


def asked(demo: Demo, scored: pd.DataFrame) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every so many scored rows with the request that asks for it: all of the patient's records."""
    dataset = open_dataset(demo.work / "data")
    for row in scored.iloc[:: max(1, len(scored) // 25)].itertuples():
        yield row, sent(dataset, row.stay_id, row.prediction_point)


def test_every_contribution_of_an_answer_adds_up_to_its_raw_output(demo, scored, client):
    for row, request in asked(demo, scored):
        answer = client.post("/v1/predictions?explain=full", json=request).json()
        (found,) = [each for each in answer["predictions"] if each["model"] == row.model]
        total = found["base_value"] + math.fsum(reason["contribution"] for reason in found["reasons"])
        assert total == pytest.approx(found["raw_output"], abs=1e-6)
        # The answer is the scored file's, to the last bit.
        assert (found["base_value"], found["raw_output"]) == (row.base_value, row.raw_output)


def with_later_records(request: dict[str, Any], at: pd.Timestamp) -> dict[str, Any]:
    """The request with what came to be known after the prediction time `at`, all of it alarming."""
    records = json.loads(json.dumps(request["records"]))
    (stay,) = [each for each in records["stays"] if each["stay_id"] == request["stay_id"]]
    patient, after = stay["patient_id"], (at + pd.Timedelta(days=20)).isoformat()
    if request["prediction_point"] == "admission":
        # How the stay went on was not known either.
        stay |= {"total_cost": 900_000.0, "discharge_disposition": "hospice", "discharged_at": after}
        records["diagnoses"] = [
            each for each in records["diagnoses"]
            if each["stay_id"] != stay["stay_id"] or each["kind"] == "admitting"
        ]  # fmt: skip
    records["stays"].append(
        stay | {"stay_id": "later", "admitted_at": (at + pd.Timedelta(days=40)).isoformat(),
                "booked_at": after, "discharged_at": None, "status": "in", "total_cost": None}
    )  # fmt: skip
    # Nobody is admitted who died before: that would be refused.
    last = max(each.get("admitted_at") or "" for each in records["stays"])
    records["patients"][0]["death_date"] = last[:10]
    for stay_id in (stay["stay_id"], "later") if request["prediction_point"] == "admission" else ("later",):
        records["diagnoses"].append(
            {
                "stay_id": stay_id,
                "kind": "discharge",
                "position": 1,
                "code": "C349",
                "present_on_admission": "N",
            }
        )
    records["visits"].append(
        {
            "visit_id": "later",
            "patient_id": patient,
            "visited_at": after,
            "kind": "emergency",
            "cost": 9_999.0,
        }
    )
    records["observations"] += [
        {"patient_id": patient, "taken_at": after, "code": each["code"], "value": 999.0, "unit": each["unit"]}
        for each in records["observations"][:20]
    ]
    return request | {"records": records}


def test_records_that_come_later_change_no_answer(demo, scored, client):
    for row, request in asked(demo, scored):
        before = client.post("/v1/predictions?explain=full", json=request)
        after = client.post(
            "/v1/predictions?explain=full", json=with_later_records(request, row.prediction_time)
        )
        assert (before.status_code, after.status_code) == (200, 200), after.text
        assert after.json()["predictions"] == before.json()["predictions"]


def commands(demo: Demo) -> dict[str, list[str]]:
    """The next commands as a shell reads them, by the option or name that tells them apart."""
    found = [shlex.split(line) for line in demo.document["next"]]
    names = ("serve", "models", "score", "ui")
    return {name: words for words in found for name in names if name in words}


def run_in_a_fresh_shell(words: list[str], folder: Path) -> str:
    """What a next command prints where nothing of this installation is on the path."""
    bare = clean_environment(PATH="/usr/bin:/bin")
    done = subprocess.run(words, cwd=folder, env=bare, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_next_commands_work_as_they_stand(demo, tmp_path):
    following = commands(demo)
    assert set(following) == {"serve", "models", "score", "ui"}
    listed = json.loads(run_in_a_fresh_shell([*following["models"], "--json"], tmp_path))
    assert [(each["name"], each["is_installed"]) for each in listed] == [(name, True) for name in demo.passed]
    run_in_a_fresh_shell(following["score"], tmp_path)
    assert len(pd.read_csv(tmp_path / "scores.csv")) == len(demo.passed) * 20
    address = following["ui"][-1]
    assert Path(address.removeprefix("sqlite:///")).samefile(demo.work / "mlflow.db")
    assert following["ui"][:2] == ["MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true"]
    page = following["ui"][2 : following["ui"].index("ui")]
    assert "Usage" in run_in_a_fresh_shell([*page, "ui", "--help"], tmp_path)


def test_the_server_answers_until_it_is_interrupted(demo, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*commands(demo)["serve"], "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.PIPE) as server:
        try:
            answer = get(f"http://127.0.0.1:{port}/health/ready")
            models = [f"{name}/1" for name in demo.passed]
            assert answer == {"status": "ready", "models": models, "refused": []}
        finally:
            server.send_signal(signal.SIGINT)
            err = server.communicate(timeout=60)[1].decode()
    assert "Traceback" not in err
    assert server.returncode in (0, 130)


def get(address: str, *, seconds: float = 90) -> Any:
    """The JSON at an address of this machine, as soon as somebody answers there."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return json.load(response)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="module")
def interrupted(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """A second demo over the first one's work folder, interrupted once it has trained a model."""
    work = tmp_path_factory.mktemp("again") / "work"
    shutil.copytree(demo.work, work)
    command = [*WARDCAST, "demo", "--admissions", str(ADMISSIONS), "--work", str(work)]
    with subprocess.Popen(command, cwd=work.parent, env=clean_environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("evaluating readmission at discharge: done"):
                break
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=120)[1]
    return work, process.returncode, err


def test_an_interrupted_demo_leaves_nothing_half_written(demo, interrupted):
    work, code, err = interrupted
    assert code in (130, -signal.SIGINT)
    assert "Traceback" not in err
    # What is there is whole, and the same as the first time: records, rows, perhaps the first champion.
    assert open_dataset(work / "data").digest() == open_dataset(demo.work / "data").digest()
    pd.testing.assert_frame_equal(
        pd.read_parquet(work / "features" / "discharge.parquet"), demo.rows("discharge"), check_exact=True
    )
    champions = load_champions(work / "champions")
    assert champions.refused == ()
    assert {loaded.champion.name for loaded in champions.loaded} <= {"readmission-discharge"}
    assert not (work / "scored.parquet").exists()
    assert [entry.name for entry in work.rglob(".*") if entry.name != ".wardcast-demo"] == []


@pytest.fixture(scope="module")
def shown(interrupted: tuple[Path, int, str]) -> tuple[Path, Done]:
    """The same command once more, to its end, for a person at a terminal."""
    work = interrupted[0]
    return work, succeeded("demo", "--admissions", ADMISSIONS, "--work", work, cwd=work.parent)


def test_running_the_demo_again_gives_the_same_models_and_scores(demo, scored, shown):
    work, _ = shown
    again = pd.read_parquet(work / "scored.parquet")
    its_own = ["run_id", "scored_at"]
    pd.testing.assert_frame_equal(again.drop(columns=its_own), scored.drop(columns=its_own), check_exact=True)
    for ours, theirs in zip(load_champions(demo.work / "champions").loaded,
                            load_champions(work / "champions").loaded, strict=True):  # fmt: skip
        assert (ours.champion.name, ours.champion.version) == (theirs.champion.name, theirs.champion.version)
        model = Path("model.txt")
        assert (ours.champion.folder / model).read_bytes() == (theirs.champion.folder / model).read_bytes()


def test_a_person_reads_counts_flow_metrics_reasons_and_what_to_do_next(demo, scored, shown):
    work, done = shown
    text = done.out
    for heading in (
        "Rows",
        "Who is an index admission at discharge",
        "Who is an index admission at admission",
        "Risks",
        "Cost",
        "The 10 highest risks of unplanned readmission, predicted at discharge in the last 60 days",
    ):
        assert heading in text
    for name in ("prior_admissions", "lace", "hospital", "logistic", "group_mean", "gamma", *MODELS):
        assert name in text
    assert "raises the risk" in text or "lowers the risk" in text
    assert "A clinician confirms every recommendation." in text
    for name in ("data/", "features/", "champions/", "mlflow.db", "scored.parquet"):
        assert name in text
    for command in ("serve", "models", "score"):
        assert f" {command} " in text
    assert "scored.parquet  predictions with reasons of the last 60 days alone" in text
    assert "http://127.0.0.1:5000" in text
    # Nothing was set aside here: no folder is named that is not there.
    assert "quarantine/" not in text
    assert f"sqlite:///{work}/mlflow.db" in text


def test_the_list_for_people_holds_the_highest_risks_at_discharge(scored, shown):
    risks = scored[(scored["target"] == "readmission") & (scored["prediction_point"] == "discharge")]
    listed = shown[1].out.split("highest risks of unplanned readmission")[1]
    for stay in risks.nlargest(10, "value")["stay_id"]:
        assert stay in listed


def test_a_work_folder_that_no_demo_made_is_left_as_it_is(tmp_path):
    mine = tmp_path / "work" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    done = wardcast("demo", "--work", mine.parent, cwd=tmp_path)
    assert done.code == 1
    assert "holds something that no demo made. Name another folder with --work." in done.err
    assert [(entry.name, entry.read_text()) for entry in mine.parent.iterdir()] == [
        ("mine.txt", "years of work")
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--source", "hearsay"], 2, "No source has this name."),
        (["--source", "diabetes130", "--path", "nowhere.zip"], 1, "nowhere.zip: does not exist."),
        (["--source", "diabetes130", "--path", "work/demo/mine.zip"], 1, "lies in the work folder"),
        (["--source", "diabetes130"], 2, "needs --path"),
    ],
)
def test_a_former_demo_is_not_cleared_for_one_that_cannot_start(tmp_path, arguments, code, reason):
    work = tmp_path / "work" / "demo"
    work.mkdir(parents=True)
    for name in (".wardcast-demo", "mine.zip"):
        (work / name).touch()
    done = wardcast("demo", *arguments, cwd=tmp_path)
    assert done.code == code
    assert reason in done.err
    assert sorted(entry.name for entry in work.iterdir()) == [".wardcast-demo", "mine.zip"]
