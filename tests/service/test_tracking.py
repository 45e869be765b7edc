"""Training runs in a real MLflow store (SQLite and a folder): logged, registered, promoted, rolled back."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.build import PatientLevelData
from features.dataset import Declaration
from features.feature import Feature
from features.points import Point
from features.settings import FeatureSettings
from models.artefact import ArtefactError
from models.champions import load_champion
from models.model import model_from_text
from models.storage import digest, write_artefact
from serving.champions.loaded import ChampionSet, LiveChampions
from tests.served import in_force
from tests.small_models import (
    FAILED,
    NAME,
    PASSED,
    TrainedModel,
    admissions,
    results,
    trained_cost,
    trained_risk,
)
from training.gate import decide
from training.gate.decision import Check, Gate
from training.registry.changes import LONGEST_RECORD, Change, changes, standing
from training.registry.promotion import (
    ChampionRow,
    PromotionError,
    audit,
    champions_table,
    history_of_all,
    promote,
    retire,
    rollback,
    versions_table,
)
from training.registry.store import StoreError, connect, default_tracking
from training.registry.tracking import Logged, log_trained
from training.registry.versions import RegistryError, registered
from training.report.card import model_card
from training.train import Effort, train_model


@dataclass(frozen=True)
class Store:
    """A work folder with its MLflow store and its champions folder."""

    work: Path

    @property
    def tracking(self) -> tuple[str, Path | None]:
        return f"sqlite:///{self.work / 'mlflow.db'}", self.work / "mlartifacts"

    @property
    def uri(self) -> str:
        return self.tracking[0]

    @property
    def champions(self) -> Path:
        return self.work / "champions"

    def log(self, trained: TrainedModel, gate: Gate = PASSED) -> Logged:
        return log_trained(trained, gate, tracking_uri=self.uri, artifact_root=self.tracking[1])

    def promote(self, version: int, **options: Any) -> Any:
        where = {"tracking_uri": self.uri, "champions": self.champions, "changed_by": "tester"}
        return promote(NAME, version, **where, **options)

    def rollback(self) -> Any:
        return rollback(NAME, tracking_uri=self.uri, champions=self.champions, changed_by="tester")

    def retire(self, reason: str = "") -> Change:
        where = {"tracking_uri": self.uri, "champions": self.champions, "changed_by": "tester"}
        return retire(NAME, **where, reason=reason)

    def champion_alias(self) -> int | None:
        aliases = connect(self.uri).get_registered_model(NAME).aliases
        return int(aliases["champion"]) if "champion" in aliases else None


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow store; its tables take a second to make."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{file}")
    return file


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Store:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Store(tmp_path)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_run_keeps_parameters_data_hash_metrics_with_ends_plots_results_and_card(store: Store):
    logged = store.log(trained_risk())
    client = connect(store.uri)
    run = client.get_run(logged.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["data_hash"] == "a" * 64
    assert run.data.params["params.num_leaves"] == "7"
    assert run.data.params["label.window_days"] == "30"
    assert (run.data.params["timeline"], run.data.params["test_from"]) == ("real", "2024-06-01")
    assert run.data.params["coding_lag_hours"] == "48.0"
    # The slope of `results` has no value: it is left out, not written as 0.
    assert run.data.metrics == {
        "auroc": 0.74,
        "auroc_low": 0.72,
        "auroc_high": 0.76,
        "baseline_lace_auroc": 0.66,
        "baseline_lace_auroc_low": 0.64,
        "baseline_lace_auroc_high": 0.68,
        "baseline_lace_difference": 0.07,
        "baseline_lace_difference_low": 0.05,
        "baseline_lace_difference_high": 0.09,
        "baseline_lace_n": 90.0,
        "baseline_lace_share_scored": 0.9,
    }
    assert {item.path for item in client.list_artifacts(logged.run_id)} == {
        "card.html",
        "card.md",
        "plots",
        "report.html",
        "results.json",
    }
    assert [item.path for item in client.list_artifacts(logged.run_id, "plots")] == ["plots/calibration.png"]


def test_results_name_model_version_and_gate(store: Store):
    from mlflow.artifacts import load_dict

    store.log(trained_risk())
    logged = store.log(trained_risk(), FAILED)
    run = connect(store.uri).get_run(logged.run_id)
    document = load_dict(f"{run.info.artifact_uri}/results.json")
    assert (document["model"], document["version"]) == (NAME, 2)
    slope = "calibration_slope 0.700 (must be 0.80 to 1.25)."
    assert document["gate"] == {
        "passed": False,
        "reasons": [f"Failed: {slope}"],
        "checks": [{"passed": False, "text": slope}],
    }
    assert registered(connect(store.uri), NAME, 2).gate == FAILED
    assert document == json.loads(json.dumps(logged.results))


def test_the_card_shows_metrics_beside_baselines_groups_and_what_must_not_be_claimed():
    groups = [
        {
            "group": "sex",
            "level": "female",
            "suppressed": False,
            "n": 60,
            "metrics": {"auroc": {"value": 0.7}},
        },
        {"group": "sex", "level": "unknown", "suppressed": True, "reason": "fewer than 50 rows"},
    ]
    card = model_card(trained_risk().artefact, {**results(), "groups": groups, "version": 4})
    assert card.startswith("# readmission-discharge, version 4\n\nUnplanned readmission, predicted at ")
    assert "| AUROC (0.5 chance, 1 perfect) | 0.740 (0.720 to 0.760) | 0.660 (0.640 to 0.680) |" in card
    # The slope could not be computed, which says why, and LACE has none here.
    assert "| Calibration slope (1 ideal; below 1, predictions are too extreme) | – (too few) | – |" in card
    assert "- HOSPITAL score: not computed, for want of haemoglobin" in card
    assert "- LACE index: on the 90.0% of rows that have it (90)" in card
    ahead = "| AUROC: model minus baseline on the same rows; better above 0 |  | +0.070 (+0.050 to +0.090) |"
    assert ahead in card
    assert "| sex | female | 60 | 0.700 |" in card
    assert "| sex | unknown | fewer than 50 rows | – |" in card
    assert "never a limit for, a ranking of, or a pay input for one physician" in card
    assert "+0.69 about doubles the odds" in card


def test_the_card_says_since_when_the_model_is_acted_upon():
    exposed = {
        "from": "2025-04-01",
        "n": 30,
        "n_learned": 7,
        "metrics": {"missing": "fewer than 50 rows"},
        "metrics_unexposed": {"auroc": {"value": 0.7, "low": 0.6, "high": 0.8}, "calibration_slope": 1.0},
    }
    card = model_card(trained_risk().artefact, {**results(), "exposed": exposed})
    assert (
        "From 2025-04-01 on, labels are changed by acting on the model: 30 judged rows, and 7 that it "
        "learned from.\n\n| rows | AUROC | Calibration slope |\n| --- | --- | --- |\n"
        "| since | fewer than 50 rows | – |\n| before | 0.700 (0.600 to 0.800) | 1.000 |\n"
    ) in card
    assert "acting on" not in model_card(trained_risk().artefact, results())


def test_artefacts_lie_beside_the_store_and_nothing_in_the_working_directory(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    elsewhere = store.work / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    store.log(trained_risk())
    assert files_below(elsewhere) == []
    assert files_below(store.work / "mlartifacts")


def test_the_registered_model_predicts_in_mlflow_what_it_predicts_here(store: Store):
    trained = trained_risk()
    rows = admissions(40)
    rows.loc[0, ["age_years", "sex"]] = None
    expected = model_from_text(trained.artefact, trained.boosters).predict(rows)
    logged = store.log(trained)
    found = load_pyfunc(store, logged).predict(rows)
    assert list(found.columns) == ["value"]
    assert found["value"].to_numpy().tobytes() == expected.value.tobytes()
    served = load_champion(store.promote(logged.version)).predict(rows)
    assert served.contributions.tobytes() == expected.contributions.tobytes()


def test_a_cost_in_mlflow_has_its_interval_and_no_upper_end_is_missing(store: Store):
    trained = trained_cost()
    rows = admissions(10)
    expected = model_from_text(trained.artefact, trained.boosters).predict(rows)
    found = load_pyfunc(store, store.log(trained)).predict(rows)
    assert list(found.columns) == ["value", "low", "high"]
    assert found["low"].tolist() == list(expected.low)
    # `high` is None: no finite upper end.
    assert found["high"].isna().all()


def test_mlflow_refuses_rows_without_a_feature_but_not_without_an_extracts_own_fact(store: Store):
    from mlflow.exceptions import MlflowException

    model = load_pyfunc(store, store.log(trained_risk()))
    rows = admissions(3)
    assert len(model.predict(rows.drop(columns="supplied_score"))) == 3
    with pytest.raises(MlflowException, match="missing inputs"):
        model.predict(rows.drop(columns="age_years"))


def test_the_input_example_is_made_up_and_accepted_by_the_model(store: Store):
    model = load_pyfunc(store, store.log(trained_risk()))
    example = model.input_example
    assert example.to_dict("records") == [
        {"age_years": 0.0, "has_diabetes": 0.0, "sex": "female", "supplied_score": 0.0}
    ]
    assert 0 < model.predict(example)["value"].item() < 1


def load_pyfunc(store: Store, logged: Logged) -> Any:
    from mlflow import pyfunc, set_tracking_uri

    set_tracking_uri(store.uri)
    return pyfunc.load_model(f"models:/{logged.name}/{logged.version}")


def test_a_promoted_version_is_champion_in_mlflow_and_on_the_spot(store: Store):
    logged = store.log(trained_risk())
    champion = store.promote(logged.version)
    assert champion.model_id == f"{NAME}/1"
    assert store.champion_alias() == 1
    assert digest(champion.folder) == logged.digest
    row = champions_table(tracking_uri=store.uri, champions=store.champions)[0]
    assert (row.name, row.version, row.target, row.point) == (NAME, 1, "readmission", "discharge")
    assert (row.evidence, row.changed_by, row.digest) == (PASSED.reasons, "tester", logged.digest)
    assert row.metrics["auroc"] == 0.74
    assert row.is_installed


def test_promote_promote_rollback_brings_back_the_exact_bytes(store: Store):
    first = store.promote(store.log(trained_risk(1)).version)
    before = {file.name: file.read_bytes() for file in files_below(first.folder)}
    store.promote(store.log(trained_risk(2)).version)
    assert in_force(store.champions)[0].version == 2
    back = store.rollback()
    assert {file.name: file.read_bytes() for file in files_below(back.folder)} == before
    assert (in_force(store.champions)[0].version, store.champion_alias()) == (1, 1)
    assert load_champion(back).artefact == trained_risk(1).artefact
    row = champions_table(tracking_uri=store.uri, champions=store.champions)[0]
    # In force again since the rollback, on the evidence of its promotion.
    assert row.since == changes(connect(store.uri), NAME)[-1].changed_at
    assert row.evidence == PASSED.reasons


def test_the_record_tells_every_change_with_who_when_what_and_why(store: Store):
    for seed in (1, 2):
        store.promote(store.log(trained_risk(seed)).version)
    store.rollback()
    client = connect(store.uri)
    history = changes(client, NAME)
    assert [(change.action, change.version, change.previous_version) for change in history] == [
        ("promote", 1, None),
        ("promote", 2, 1),
        ("rollback", 1, 2),
    ]
    assert {change.changed_by for change in history} == {"tester"}
    assert [change.changed_at for change in history] == sorted(change.changed_at for change in history)
    assert history[1].reasons == PASSED.reasons
    assert history[2].digest == history[0].digest == registered(client, NAME, 1).digest


def test_a_second_rollback_goes_one_further_back_and_the_first_champion_stays(store: Store):
    for seed in (1, 2, 3):
        store.promote(store.log(trained_risk(seed)).version)
    assert store.rollback().version == 2
    assert store.rollback().version == 1
    with pytest.raises(PromotionError, match="no earlier champion"):
        store.rollback()
    assert in_force(store.champions)[0].version == 1


def change(action: str, version: int) -> Change:
    return Change(action, version, None, "d", "2026-01-01T00:00:00.000000Z", "tester", ())


def test_two_simultaneous_rollbacks_to_one_version_count_once_and_the_first_champion_stays():
    promoted = [change("promote", version) for version in (1, 2, 3)]
    both = [change("rollback", 2), change("rollback", 2)]
    assert [each.version for each in standing([*promoted, *both])] == [1, 2]
    both = [change("rollback", 1), change("rollback", 1)]
    assert [each.version for each in standing([*promoted[:2], *both])] == [1]
    # Two people promote the same version at once: one rollback leads back from it.
    twice = [*promoted[:2], change("promote", 2)]
    assert [each.version for each in standing(twice)] == [1, 2]
    # A version may come back: it is the later one that is rolled back to and from.
    again = [*promoted[:2], change("promote", 1), change("rollback", 2)]
    assert [each.version for each in standing(again)] == [1, 2]


def test_a_retired_champion_is_out_of_service_everywhere_and_on_record(store: Store):
    store.promote(store.log(trained_risk()).version)
    store.retire("a ward reported risks that cannot be")
    assert in_force(store.champions) == []
    assert store.champion_alias() is None
    assert champions_table(tracking_uri=store.uri, champions=store.champions) == []
    last = audit(NAME, tracking_uri=store.uri)[-1]
    assert (last.action, last.version, last.previous_version) == ("retire", 1, 1)
    assert (last.changed_by, last.reasons) == ("tester", ("a ward reported risks that cannot be",))
    assert last.digest == registered(connect(store.uri), NAME, 1).digest


def test_serving_goes_on_without_a_champion_that_was_retired(store: Store):
    store.promote(store.log(trained_risk()).version)
    served = LiveChampions(store.champions, reload_seconds=0)
    # The champion is refused for its made-up fingerprint; what counts is that serving knows of it.
    assert [name for name, _ in served.current().refused] == [f"{NAME}/1"]
    store.retire()
    assert served.current() == ChampionSet()


def test_nothing_is_rolled_back_across_a_retirement_and_a_promotion_begins_anew(store: Store):
    for seed in (1, 2):
        store.promote(store.log(trained_risk(seed)).version)
    store.retire()
    with pytest.raises(PromotionError, match=rf"{NAME}/2: retired by tester at .* promote it"):
        store.rollback()
    with pytest.raises(PromotionError, match=rf"{NAME}/2: retired by tester at"):
        store.retire()
    assert store.promote(1).version == 1
    assert (in_force(store.champions)[0].version, store.champion_alias()) == (1, 1)
    with pytest.raises(PromotionError, match="no earlier champion"):
        store.rollback()
    assert [change.action for change in audit(NAME, tracking_uri=store.uri)] == [
        "promote",
        "promote",
        "retire",
        "promote",
    ]


@pytest.mark.parametrize("step", ["unpoint_champion", "remove_champion"])
def test_an_interrupted_retirement_is_completed_by_repeating_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: str
):
    store.promote(store.log(trained_risk()).version)
    with monkeypatch.context() as during:
        during.setattr(f"training.registry.promotion.{step}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.retire()
    assert in_force(store.champions)[0].version == 1
    store.retire()
    assert (in_force(store.champions), store.champion_alias()) == ([], None)
    assert [change.action for change in audit(NAME, tracking_uri=store.uri)] == ["promote", "retire"]


def test_the_history_of_a_store_is_that_of_all_its_models(store: Store):
    store.promote(store.log(trained_risk()).version)
    other = store.log(trained_cost())
    where: dict[str, Any] = {"tracking_uri": store.uri, "champions": store.champions, "changed_by": "tester"}
    promote(other.name, other.version, **where)
    digests = {change.digest for change in history_of_all(tracking_uri=store.uri)}
    assert (other.name != NAME, len(digests)) == (True, 2)
    assert history_of_all(tracking_uri=f"sqlite:///{store.work}/none.db") == []


def test_what_was_never_champion_has_no_record_and_cannot_be_retired(store: Store):
    store.log(trained_risk())
    for ask in (store.retire, lambda: audit(NAME, tracking_uri=store.uri)):
        with pytest.raises(PromotionError, match=f"{NAME}: no version was ever champion"):
            ask()


def test_a_record_fits_the_column_of_any_database_with_the_persons_own_reason_first(store: Store):
    gate = Gate(tuple(Check(False, f"department {number}: " + "x" * 400) for number in range(30)))
    store.log(trained_risk(), gate)
    store.promote(1, override="the committee has seen it")
    tags = connect(store.uri).get_registered_model(NAME).tags
    assert [len(text) <= LONGEST_RECORD for text in tags.values()] == [True]
    reasons = audit(NAME, tracking_uri=store.uri)[0].reasons
    assert reasons[0] == "Override: the committee has seen it"
    # Each of the 30 takes about 430 characters: ten or eleven fit.
    n_left = 31 - (len(reasons) - 1)
    assert reasons[-1] == f"{n_left} more in the version's tag `gate`."
    assert 19 <= n_left <= 21
    with pytest.raises(PromotionError, match="1001 characters"):
        store.promote(1, override="x" * 1001)


def test_of_two_first_trainings_at_once_both_find_the_store_that_one_of_them_made(tmp_path: Path):
    file = tmp_path / "work" / "mlflow.db"
    script = (
        "import sys; from training.registry.store import connect\n"
        "client = connect(sys.argv[1]); client.create_experiment(sys.argv[2])"
    )
    command = [sys.executable, "-c", script, f"sqlite:///{file}"]
    both = [subprocess.Popen([*command, name]) for name in ("one", "other")]
    assert [each.wait(timeout=120) for each in both] == [0, 0]
    names = {each.name for each in connect(f"sqlite:///{file}").search_experiments()}
    assert {"one", "other"} <= names


def test_looking_for_a_model_where_there_is_no_store_makes_none(tmp_path: Path):
    nowhere = Store(tmp_path / "nowhere")
    assert champions_table(tracking_uri=nowhere.uri, champions=nowhere.champions) == []
    for change_champion in (lambda: nowhere.promote(1), nowhere.rollback, nowhere.retire):
        with pytest.raises(PromotionError, match="no model is registered"):
            change_champion()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_model_can_bear_is_one_that_is_not_registered(store: Store):
    with pytest.raises(RegistryError, match="no version 1 is registered"):
        registered(connect(store.uri), "../../etc/passwd", 1)
    assert changes(connect(store.uri), "../../etc/passwd") == []


def test_promoting_the_champion_again_installs_it_and_records_nothing(store: Store):
    store.log(trained_risk())
    store.promote(1)
    store.promote(1)
    assert len(changes(connect(store.uri), NAME)) == 1


@pytest.mark.parametrize("step", ["point_champion", "install_champion"])
def test_an_interrupted_promotion_is_completed_by_repeating_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: str
):
    for seed in (1, 2):
        store.log(trained_risk(seed))
    store.promote(1)
    with monkeypatch.context() as during:
        during.setattr(f"training.registry.promotion.{step}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.promote(2)
    # Meanwhile the old champion is served, whole, and the table says that the new one is not here yet.
    assert load_champion(in_force(store.champions)[0]).artefact == trained_risk(1).artefact
    assert not champions_table(tracking_uri=store.uri, champions=store.champions)[0].is_installed
    store.promote(2)
    assert (in_force(store.champions)[0].version, store.champion_alias()) == (2, 2)
    assert [change.version for change in changes(connect(store.uri), NAME)] == [1, 2]


def test_an_interrupted_rollback_repeated_goes_back_one_step_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    for seed in (1, 2, 3):
        store.promote(store.log(trained_risk(seed)).version)
    with monkeypatch.context() as during:
        during.setattr("training.registry.promotion.install_champion", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.rollback()
    assert store.rollback().version == 2
    assert (in_force(store.champions)[0].version, store.champion_alias()) == (2, 2)


def test_a_champions_folder_that_cannot_be_written_is_found_before_the_change_is_recorded(store: Store):
    store.log(trained_risk())
    store.champions.mkdir()
    (store.champions / NAME).write_text("in the way")
    with pytest.raises(PromotionError, match=r"no champion can be put there.*Nothing was changed"):
        store.promote(1)
    assert (changes(connect(store.uri), NAME), store.champion_alias()) == ([], None)


def test_a_champion_whose_files_were_changed_is_damaged_until_it_is_promoted_again(store: Store):
    champion = store.promote(store.log(trained_risk()).version)
    (champion.folder / "model.txt").write_text("other trees")
    assert [row.is_damaged for row in table(store)] == [True]
    since = table(store)[0].since
    assert store.promote(1).promoted_at == since
    assert [row.is_damaged for row in table(store)] == [False]


def table(store: Store) -> list[ChampionRow]:
    return champions_table(tracking_uri=store.uri, champions=store.champions)


def test_every_version_is_listed_the_latest_first_with_its_gate(store: Store):
    for seed, gate in ((1, PASSED), (2, FAILED)):
        store.log(trained_risk(seed), gate)
    store.promote(1)
    rows = versions_table(NAME, tracking_uri=store.uri)
    assert [(row.version, row.gate_passed, row.is_champion) for row in rows] == [
        (2, False, False),
        (1, True, True),
    ]
    assert rows[0].metrics["auroc"] == 0.74
    with pytest.raises(PromotionError, match="no version is registered"):
        versions_table("o'neill", tracking_uri=store.uri)


def test_a_store_that_cannot_be_read_or_written_is_told_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    store.log(trained_risk())
    allowed = {"read": os.R_OK, "written": os.W_OK}
    for missing, mode in allowed.items():
        with monkeypatch.context() as during:
            during.setattr("os.access", lambda _place, asked, mode=mode: not asked & mode)
            with pytest.raises(StoreError, match=f"store of models cannot be {missing}"):
                store.promote(1)


def interrupt(*_args: object, **_options: object) -> None:
    raise KeyboardInterrupt


def test_a_tampered_artefact_is_refused_and_nothing_changes(store: Store):
    store.promote(store.log(trained_risk(1)).version)
    store.log(trained_risk(2))
    for model in (store.work / "mlartifacts").rglob("model.txt"):
        if digest(model.parent) == registered(connect(store.uri), NAME, 2).digest:
            model.write_text(model.read_text().replace("leaf_value=", "leaf_value=9 ", 1))
    with pytest.raises(PromotionError, match="registry's own files of it are damaged"):
        store.promote(2)
    assert (in_force(store.champions)[0].version, store.champion_alias()) == (1, 1)
    assert len(changes(connect(store.uri), NAME)) == 1


def test_a_version_that_failed_its_gate_needs_a_persons_reason(store: Store):
    store.log(trained_risk(), FAILED)
    with pytest.raises(PromotionError, match=r"did not pass its gate.*calibration_slope 0\.700"):
        store.promote(1)
    assert in_force(store.champions) == []
    store.promote(1, override="first pilot, reviewed by the committee")
    reasons = changes(connect(store.uri), NAME)[0].reasons
    assert reasons == ("Override: first pilot, reviewed by the committee", *FAILED.reasons)


@pytest.mark.parametrize("version", [1, 99])
def test_a_version_that_is_not_there_is_refused_in_words(store: Store, version: int):
    if version == 99:
        store.log(trained_risk())
    there = "1" if version == 99 else "none"
    with pytest.raises(RegistryError, match=f"no version {version} is registered; there: {there}"):
        store.promote(version)


def test_no_patients_id_or_value_is_in_any_byte_of_the_store(store: Store):
    """Ids of every row, a level that one patient has, and a feature's largest value, also one patient's."""
    n = 1500
    random = np.random.default_rng(3)
    discharged = pd.Timestamp("2023-01-01") + pd.to_timedelta(np.arange(n) * 12, unit="h")
    rows = pd.DataFrame(
        {
            "stay_id": [f"MARKERSTAY{i}" for i in range(n)],
            "patient_id": [f"MARKERPATIENT{i}" for i in range(n)],
            "prediction_time": discharged,
            "prior_cost": random.uniform(0, 5000, n).round(2),
            "ward": random.choice(["A", "B"], n),
            "row_label_end_on_readmission": (discharged + pd.Timedelta(days=30)).date,
            "row_group_sex": random.choice(["female", "male"], n),
        }
    )
    rows["label_readmission"] = (random.uniform(size=n) < rows["prior_cost"] / 10_000).astype(float)
    # Row 100 of 1,500 in order of time: in the training slice.
    rows.loc[100, ["prior_cost", "ward"]] = [987654.375, "MARKERWARD"]
    trained = train_model(patient_level(rows, store.work), "readmission", effort=Effort(20), threads=1)
    assert {spec.name for spec in trained.artefact.features} == {"prior_cost", "ward"}
    store.log(trained, decide(trained.results))
    store.promote(1, override="for the search")
    found = [file for file in files_below(store.work) if file.suffix != ".parquet"]
    assert len(found) > 10
    for marker in (b"MARKER", b"987654"):
        assert [file.name for file in found if marker in file.read_bytes()] == []


def patient_level(rows: pd.DataFrame, folder: Path) -> PatientLevelData:
    """A built data set of these rows with two facts of the extract's own."""
    rows.to_parquet(folder / "rows.parquet")
    facts = {"prior_cost": "number", "ward": "category"}
    return PatientLevelData(
        path=folder / "rows.parquet",
        flow=(),
        features=tuple(
            Feature(name, name, kind, "", Point.DISCHARGE, "", "facts", name, ("facts",), is_fact=True)
            for name, kind in facts.items()
        ),
        point=Point.DISCHARGE,
        declaration=Declaration(
            name="marked",
            source="test",
            currency="CNY",
            cost_basis="billed",
            time_zone="Asia/Shanghai",
            timeline="real",
            observed_from=dt.date(2022, 1, 1),
            observed_until=dt.date(2026, 1, 1),
            complete_by="admission",
            deaths="registry",
            code_systems={"diagnosis": "icd10"},
        ),
        settings=FeatureSettings(),
        data_hash="b" * 64,
        complication_by="flags",
    )


def test_a_failing_run_is_marked_and_registers_nothing(store: Store):
    trained = trained_risk()
    with pytest.raises(ArtefactError):
        store.log(replace(trained, boosters={}))
    client = connect(store.uri)
    experiment = client.get_experiment_by_name("wardcast")
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert list(client.search_registered_models()) == []


def test_the_address_comes_from_the_environment_or_is_a_file_in_the_work_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_tracking(tmp_path) == (f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlartifacts")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert default_tracking(tmp_path) == ("http://127.0.0.1:5000", None)
    # Whoever names the work folder's own file means its artefacts too, not MLflow's own place for them.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert default_tracking(tmp_path) == (f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlartifacts")


def test_logging_and_promoting_make_no_outside_connection_and_say_nothing(store: Store):
    """In a process of its own, since MLflow reads its settings when it is imported."""
    write_artefact(store.work / "given", trained_risk().artefact, trained_risk().boosters)
    script = """
import socket, sys
from pathlib import Path
def refuse(self, address, *rest):
    raise SystemExit(f"connection attempted: {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = lambda *given, **named: refuse(None, given)
from types import SimpleNamespace
from models.storage import read_artefact
from training.gate.decision import Check, Gate
from training.registry.promotion import promote
from training.registry.tracking import log_trained
work = Path(sys.argv[1])
artefact, boosters = read_artefact(work / "given", None)
trained = SimpleNamespace(artefact=artefact, boosters=boosters, results={"metrics": {}}, figures={})
uri = f"sqlite:///{work / 'mlflow.db'}"
gate = Gate((Check(True, "tested"),))
logged = log_trained(trained, gate, tracking_uri=uri, artifact_root=work / "mlartifacts")
promote(logged.name, 1, tracking_uri=uri, champions=work / "champions", changed_by="tester")
import threading
assert not [thread for thread in threading.enumerate() if "telemetry" in thread.name.lower()]
print("done")
"""
    bare = {
        name: value for name, value in os.environ.items() if "MLFLOW" not in name and name != "DO_NOT_TRACK"
    }
    # MLflow keeps its telemetry off by itself under pytest and in continuous integration.
    for name in ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "CI"):
        bare.pop(name, None)
    command = [sys.executable, "-W", "error", "-c", script, str(store.work)]
    done = subprocess.run(command, capture_output=True, text=True, env=bare, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
