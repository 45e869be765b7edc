"""The command line as people and scripts rely on it: names, exit codes, JSON, messages, settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.assemble import features_sql
from features.catalogue import CATALOGUE, FAMILY_OF, features_at
from features.dataset import open_dataset
from features.points import Point
from features.settings import DEFAULT_SETTINGS
from features.tables import TABLES
from tests.command import ROOT, WARDCAST, clean_environment, succeeded, wardcast
from tests.tables import write_folder
from wardcast.pipeline import account

COMMANDS = ("demo", "ingest", "check", "features", "dictionary", "tables", "train", "evaluate", "models",
            "promote", "rollback", "retire", "score", "serve", "settings")  # fmt: skip
HEAVY = ("duckdb", "lightgbm", "matplotlib", "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "scipy",
         "shap", "sklearn", "uvicorn", "fastapi")  # fmt: skip
NAME = "readmission-discharge"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made-up hospital's data set in it, as the command line makes it."""
    folder = tmp_path_factory.mktemp("house")
    succeeded("ingest", "synthetic", "--out", "data", "--admissions", 6_000, "--seed", 3, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def trained(house: Path) -> dict[str, Any]:
    """A registered model; whether it is champion is the gate's affair."""
    return succeeded("train", "data", "--target", "readmission", "--json", cwd=house).document


# Help


def test_help_answers_at_once(tmp_path):
    seconds = []
    for _ in range(3):
        begun = time.monotonic()
        succeeded("--help", cwd=tmp_path)
        seconds.append(time.monotonic() - begun)
    # Well under half a second on a machine of its own; the best of three is what other work leaves of it.
    assert min(seconds) < 1.5


def test_help_loads_no_package_that_it_does_not_need():
    script = "import sys; import wardcast.cli; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint({"features", "models", "evaluation", "training", "serving"})


def test_help_names_every_command_and_a_command_alone_shows_the_help(tmp_path):
    done = succeeded("--help", cwd=tmp_path)
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", done.out)
    assert wardcast(cwd=tmp_path).code == 2
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", succeeded("--version", cwd=tmp_path).out)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
def test_every_command_that_prints_a_result_prints_it_as_json(tmp_path, name):
    assert "--json" in succeeded(name, "--help", cwd=tmp_path).out


def test_the_installed_command_is_this_one(tmp_path):
    command = Path(sys.executable).with_name("wardcast")
    if not command.is_file():
        pytest.skip("the package is not installed in this environment, so there is no command to compare")
    ours = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ours.stdout == succeeded("--version", cwd=tmp_path).out


# Exit codes: 2 wrong usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["train"],
        ["features", ".", "--out", "x.parquet", "--point", "yesterday"],
        ["train", ".", "--target", "readmission", "--point", "yesterday"],
        ["demo", "--admissions", "10"],
        ["demo", "--path", "file.zip"],
        ["demo", "--source", "diabetes130"],
        ["ingest", "synthetic", "file.zip"],
        ["ingest", "synthetic", "--admissions", "0"],
        ["ingest", "synthetic", "--seed", "-1"],
        ["ingest", "canonical", ".", "--seed", "1"],
        ["ingest", "canonical", ".", "--max-quarantine-share", "2"],
        ["ingest", "canonical", ".", "--mapping", "m.toml"],
        ["ingest", "canonical", ".", "--describe"],
        ["ingest", "table", "--describe"],
        ["ingest", "table", "x.csv", "--describe", "--json"],
        ["ingest", "table", ".", "--option", "mapping=m.toml"],
        ["score", ".", "--out", "x.csv", "--since", "yesterday"],
        ["score", ".", "--out", "x.csv", "--top", "0"],
        ["score", "."],
        ["promote", "readmission-discharge", "latest"],
        ["serve", "--port", "eight"],
        ["serve", "--port", "99999"],
        ["train", ".", "--target", "luck"],
        ["train", ".", "--target", "cost", "--point", "discharge"],
        ["ingest", "hearsay"],
        ["demo", "--source", "hearsay"],
        ["score", ".", "--out", "x.xlsx"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2_and_changes_nothing(tmp_path, arguments):
    done = wardcast(*arguments, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "Usage" in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "choice"),
    [
        (["ingest", "hearsay"], "Choose one of: canonical, diabetes130"),
        (
            ["ingest", "canonical", ".", "--mapping", "m"],
            "canonical takes no option mapping; it goes with table",
        ),
        (["ingest", "table", "t.csv", "--option", "x"], "write it like --option name=value"),
        (["train", ".", "--target", "luck"], "readmission, complication, cost"),
        (["train", ".", "--target", "cost"], "preadmission, admission"),
        (["features", ".", "--out", "x", "--point", "luck"], "preadmission, admission, discharge"),
        (["features", ".", "--out", "x.csv"], ".parquet"),
        (["features", ".", "--out", "no/x.parquet"], "no: no such folder"),
        (["ingest", "synthetic", "--out", "no/data"], "no: no such folder"),
        (["score", ".", "--out", "no/x.csv"], "no: no such folder"),
        (["score", ".", "--out", "x.xlsx"], ".parquet or .csv"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_wrong_usage_says_what_there_is_to_choose_from(tmp_path, arguments, choice):
    # The box around the message is drawn; its words may stand on two lines.
    said = " ".join(wardcast(*arguments, cwd=tmp_path).err.replace("│", " ").split())
    assert choice in said


def test_a_file_is_described_then_ingested_by_the_mapping_that_was_proposed(tmp_path):
    rows = "".join(f"{stay},{stay // 2},{20 + stay},F\n" for stay in range(40))
    (tmp_path / "ward.csv").write_text(f"stay_id,patient_id,age,sex\n{rows}")
    said = succeeded("ingest", "table", "ward.csv", "--describe", cwd=tmp_path).out
    assert 'patient_id = "patient_id"' in said
    succeeded("ingest", "table", "ward.csv", "--describe", "--mapping", "ward.csv.toml", cwd=tmp_path)
    assert (tmp_path / "ward.csv.toml").read_text() == said
    again = wardcast("ingest", "table", "ward.csv", "--describe", "--mapping", "ward.csv.toml", cwd=tmp_path)
    assert again.code == 2
    assert "ward.csv.toml: exists" in again.err.replace("\n", "").replace("│", "")
    quality = json.loads(succeeded("ingest", "table", "ward.csv", "--json", cwd=tmp_path).out)
    assert {count["table"]: count["n_out"] for count in quality["tables"]} == {"patients": 20, "stays": 40}


# Exit codes: 1 the data said no


@pytest.mark.parametrize(
    ("arguments", "what_to_do"),
    [
        (["ingest", "canonical", "nowhere", "--out", "o"], "Name one that exists."),
        (["check", "nowhere"], "Name one that exists."),
        (["features", "nowhere", "--out", "x.parquet"], "Name a folder that `wardcast ingest` wrote"),
        (["train", "nowhere", "--target", "readmission"], "Name a folder that `wardcast ingest` wrote"),
        (["score", "nowhere", "--out", "x.csv"], "Name a folder that `wardcast ingest` wrote"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_what_is_not_there_is_exit_1_with_what_to_do(tmp_path, arguments, what_to_do):
    done = wardcast(*arguments, cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert what_to_do in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


MARKER = "MARKERPATIENT4711"
PATIENTS = f"""
    patient_id | birth_date | sex
    {MARKER}   | 1950-03-01 | female
    8          | 1960-01-01 | male
"""
STAYS = f"""
    stay_id | patient_id | hospital_id | status | admitted_at | discharged_at | admission_type | total_cost
    1 | {MARKER} | H | discharged | 2024-01-01 10:00 | 2024-01-05 11:00 | emergency | 1000
    2 | 8        | H | discharged | 2024-02-04 09:00 | 2024-02-06 12:00 | elective  | 500
"""
DIAGNOSES = """
    stay_id | kind      | position | code  | present_on_admission
    1       | discharge | 1        | I50.0 | Y
    2       | discharge | 1        | i10   | Y
"""
TABLES_OF_TWO = {"patients": PATIENTS, "stays": STAYS, "diagnoses": DIAGNOSES}


def refused(folder: Path, *more: str) -> str:
    """What ingest says of a folder that it must refuse; nothing of a patient's may be in it."""
    done = wardcast("ingest", "canonical", folder, "--out", "data", *more, cwd=folder.parent)
    assert (done.code, done.out) == (1, "")
    assert MARKER not in done.err
    assert "Traceback" not in done.err
    assert sorted(entry.name for entry in folder.parent.iterdir()) == [folder.name]
    return done.err


def test_a_missing_column_is_named_with_its_table(tmp_path):
    without = STAYS.replace("| admission_type ", "").replace("| emergency ", "").replace("| elective  ", "")
    folder = write_folder(tmp_path / "in", TABLES_OF_TWO | {"stays": without})
    assert "stays: required columns are missing: admission_type. Add them." in refused(folder)


def test_a_missing_table_is_named(tmp_path):
    folder = write_folder(tmp_path / "in", {"patients": PATIENTS, "stays": STAYS})
    assert "diagnoses: the required table is missing. Add it." in refused(folder)


def test_an_unreadable_file_is_named(tmp_path):
    folder = write_folder(tmp_path / "in", TABLES_OF_TWO)
    (folder / "stays.csv").unlink()
    (folder / "stays.parquet").write_bytes(f"not a Parquet file {MARKER}".encode())
    assert "stays: file stays.parquet cannot be read as Parquet. Replace the file." in refused(folder)


def test_a_broken_line_is_named_by_its_number(tmp_path):
    folder = write_folder(tmp_path / "in", TABLES_OF_TWO)
    with (folder / "patients.csv").open("a") as file:
        file.write(f"{MARKER},1950-03-01,female,and more than the header\n")
    # The header is line 1, two patients follow.
    assert "patients: file patients.csv cannot be read as CSV (first at line 4)" in refused(folder)


def test_duplicate_keys_are_counted_and_the_first_is_named_by_its_row(tmp_path):
    twice = PATIENTS + f"    {MARKER}   | 1950-03-02 | female\n"
    folder = write_folder(tmp_path / "in", TABLES_OF_TWO | {"patients": twice})
    err = refused(folder)
    assert "patients: 2 of 3 rows share their key (patient_id) with another row (first at row 1)." in err
    assert "Leave only one row per key in the extract." in err


def test_too_many_bad_rows_stop_the_extract_with_counts_and_rules(tmp_path):
    backwards = STAYS.replace("2024-01-05 11:00", "2023-01-05 11:00")
    folder = write_folder(tmp_path / "in", TABLES_OF_TWO | {"stays": backwards})
    err = refused(folder)
    assert "stays: 1 of 2 rows discharged_before_admitted (first at row 1)." in err
    assert "Correct the extract, or raise --max-quarantine-share." in err


def test_a_few_bad_rows_go_to_quarantine_and_check_exits_1(tmp_path):
    backwards = STAYS.replace("2024-01-05 11:00", "2023-01-05 11:00")
    folder = write_folder(tmp_path / "in", TABLES_OF_TWO | {"stays": backwards})
    arguments = ("ingest", "canonical", folder, "--out", "data", "--max-quarantine-share", "0.6")
    done = succeeded(*arguments, "--json", cwd=tmp_path)
    # The stay and, without it, its diagnosis.
    counts = {table.pop("table"): table for table in done.document["tables"]}
    assert counts["patients"] == {"n_in": 2, "n_out": 2, "n_quarantined": 0}
    assert counts["stays"] == counts["diagnoses"] == {"n_in": 2, "n_out": 1, "n_quarantined": 1}
    assert MARKER not in done.out + done.err
    written = json.loads((tmp_path / "data" / "quality.json").read_text("utf-8"))
    assert {table.pop("table"): table for table in written["tables"]} == counts
    before = wardcast("check", folder, "--json", cwd=tmp_path)
    assert before.code == 1
    assert {table.pop("table"): table for table in before.document["tables"]} == counts
    assert MARKER not in before.out + before.err
    assert wardcast("check", "data", cwd=tmp_path).code == 0


# Training, registry, scoring


def test_training_prints_the_document_of_results(trained, house):
    assert {
        "target",
        "prediction_point",
        "model",
        "version",
        "n",
        "metrics",
        "baselines",
        "groups",
        "gate",
    } <= set(trained)
    assert (trained["target"], trained["prediction_point"], trained["model"]) == (
        "readmission",
        "discharge",
        NAME,
    )
    assert trained["version"] == 1
    assert set(trained["gate"]) == {"passed", "reasons", "checks"}
    assert not (house / "work" / "champions").exists(), "without --promote nothing changes"


@pytest.fixture(scope="module")
def champion(trained: dict[str, Any], house: Path) -> dict[str, Any]:
    """The model in force, whatever the gate said."""
    return succeeded("promote", NAME, 1, "--override", "a test's reason", "--json", cwd=house).document


def test_a_promotion_says_what_is_in_force_and_models_tells_its_evidence(champion, trained, house):
    assert (champion["name"], champion["version"]) == (NAME, 1)
    (row,) = succeeded("models", "--json", cwd=house).document
    assert (row["name"], row["version"], row["is_installed"]) == (NAME, 1, True)
    assert row["digest"] == champion["digest"]
    assert row["evidence"][0] == "Override: a test's reason"
    assert row["gate_passed"] == trained["gate"]["passed"]
    told = succeeded("models", "--evidence", cwd=house).out
    assert NAME in told
    auroc = trained["metrics"]["auroc"]
    assert f"auroc {auroc['value']:.3f}" in told
    assert f"{auroc['low']:.3f} to {auroc['high']:.3f}" in told
    assert ("not passed" in told) == (not trained["gate"]["passed"])
    for reason in ("Override: a test's reason", *trained["gate"]["reasons"]):
        assert f"{NAME}/1: {reason}\n" in told


def test_there_is_nothing_before_the_first_champion(champion, house):
    done = wardcast("rollback", NAME, cwd=house)
    assert (done.code, done.err) == (1, f"{NAME}: there is no earlier champion to go back to.\n")
    done = wardcast("promote", NAME, 7, cwd=house)
    assert done.code == 1
    assert f"{NAME}: no version 7 is registered; there: 1. `wardcast models --versions" in done.err


def test_it_is_told_how_many_predictions_were_stored_and_how_many_say_nothing_new(champion, house):
    some = ("score", "data", "--since", "2025-07-01", "--store")
    first = succeeded(*some, "--out", "monday.parquet", "--json", cwd=house).document
    # One target at one point: a prediction for each row.
    assert first["stored"] == {"n_new": first["rows"], "n_unchanged": 0}
    assert first["rows"] > 7
    done = succeeded(*some, "--out", "tuesday.parquet", cwd=house)
    assert done.out.splitlines()[-1] == (
        f"Stored: 0 new predictions; {first['rows']:,} left out, which say what was stored before."
    )


def test_scores_are_told_and_the_top_are_kept(champion, house):
    everything = succeeded("score", "data", "--out", "all.parquet", "--json", cwd=house).document
    assert everything["rows"] == everything["scored"] == everything["admissions"]
    n = everything["rows"]
    assert everything["counts"] == [
        {"target": "readmission", "prediction_point": "discharge", "n_scored": n, "n_rows": n}
    ]
    assert everything["resumed"] is False
    assert everything["stored"] is None
    assert everything["models"] == [f"{NAME}/1"]
    assert len(pd.read_parquet(house / "all.parquet")) == everything["rows"]
    some = ("--since", "2025-07-01", "--top", 7)
    done = succeeded("score", "data", "--out", "top.csv", *some, "--resume", cwd=house)
    nothing, summary, of_target = done.out.splitlines()
    assert nothing == "There was no interrupted run to go on with: everything was scored anew."
    n_late = int(re.fullmatch(r"(\d+) admissions scored; 7 rows in top.csv:", summary)[1])
    assert 7 < n_late < n
    assert of_target == f"  readmission at discharge: 7 rows of {n_late} scored, the highest"
    top = pd.read_csv(house / "top.csv", parse_dates=["prediction_time"])
    assert len(top) == 7
    assert (top["prediction_time"] >= "2025-07-01").all()


def test_a_time_after_the_last_prediction_is_told(champion, house, tmp_path):
    out = tmp_path / "none.parquet"
    done = succeeded("score", "data", "--out", out, "--since", "2031-01-01", cwd=house)
    until = open_dataset(house / "data").declaration.observed_until
    assert f"0 admissions scored; 0 rows in {out}:\n" in done.out
    assert f"No prediction time lies at or after 2031-01-01 00:00: the extract ends on {until}." in done.out


def test_without_a_champion_there_is_no_score(house, tmp_path):
    done = wardcast("score", house / "data", "--out", "scores.csv", cwd=tmp_path)
    assert done.code == 1
    assert "No champion to score with. Train a model with --promote first, or" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_hospital_too_small_for_its_faults_is_refused_in_words(tmp_path):
    done = wardcast("ingest", "synthetic", "--dirty", "--admissions", 10, cwd=tmp_path)
    assert done.code == 1
    assert re.search(r"Planting faults needs \d+ discharged stays\. Ask for more admissions\.\n$", done.err)
    assert list(tmp_path.iterdir()) == []


def test_too_few_admissions_are_refused_in_words(tmp_path):
    succeeded("ingest", "synthetic", "--out", "data", "--admissions", 300, cwd=tmp_path)
    done = wardcast("train", "data", "--target", "readmission", "--promote", "--json", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert re.search(
        r"readmission: the \w+ slice holds \d+ rows, \d+ of the rarer outcome; .*longer extract\.",
        done.err,
    )


def test_a_target_that_the_extract_cannot_tell_is_refused_before_any_training(tmp_path):
    without = STAYS.replace("| total_cost", "").replace("| 1000", "").replace("| 500", "")
    write_folder(tmp_path / "in", TABLES_OF_TWO | {"stays": without})
    succeeded("ingest", "canonical", "in", "--out", "data", cwd=tmp_path)
    done = wardcast("train", "data", "--target", "cost", "--point", "admission", cwd=tmp_path)
    assert done.code == 1
    assert done.err.endswith("cost: this extract holds no costs, so there is nothing to learn from.\n")


def test_a_training_says_what_became_of_the_model_and_a_command_that_goes_on(trained, champion, house):
    shown = succeeded("train", "data", "--target", "readmission", cwd=house)
    *_, said, command = shown.out.splitlines()
    version = int(re.match(rf"{NAME}/(\d+) is registered, not promoted", said)[1])
    assert f" promote {NAME} {version} --work work" in command
    steps = [line.split(": ")[0] for line in shown.err.splitlines()]
    assert "logging and registering readmission at discharge" in steps
    assert "comparing readmission at discharge with the champion" in steps


def test_a_gate_that_says_no_is_exit_1_and_the_results_are_printed_all_the_same(trained, champion, house):
    done = wardcast("train", "data", "--target", "readmission", "--promote", "--json", cwd=house)
    # The same rows again cannot beat the model in force by any margin, and no later row tells them apart.
    assert done.document["version"] > trained["version"]
    assert done.code == (0 if done.document["gate"]["passed"] else 1)
    assert any("against champion version 1" in reason for reason in done.document["gate"]["reasons"])


# The data set and the dictionary


def test_features_writes_the_data_set_and_its_flow(house, tmp_path):
    out = tmp_path / "admission.parquet"
    done = succeeded("features", house / "data", "--out", out, "--json", cwd=tmp_path).document
    assert done["file"] == str(out)
    assert done["data_hash"] == open_dataset(house / "data").digest()
    assert done["flow"] == json.loads((tmp_path / "admission.parquet.flow.json").read_text("utf-8"))
    assert done["flow"][-1]["n"] == len(pd.read_parquet(out))
    shown = succeeded("features", house / "data", "--out", out, cwd=tmp_path).out
    assert "Who is an index admission at admission" in shown


def test_the_dictionary_is_the_catalogue(tmp_path):
    document = succeeded("dictionary", "--json", cwd=tmp_path).document
    assert [each["name"] for each in document] == list(CATALOGUE)
    for each in document:
        feature = CATALOGUE[each["name"]]
        declared = {
            name: getattr(feature, name)
            for name in ("label", "type", "unit", "minimum", "maximum", "description", "source")
        }
        assert (each["optional"], each["calendar"]) == (feature.optional, feature.calendar)
        assert each["family"] == FAMILY_OF[feature.name]
        assert {name: each[name] for name in declared} == declared
        assert each["available_from"] == feature.available_from.value
        assert tuple(each["tables"]) == feature.tables


def test_every_feature_is_explained_to_the_people_who_read_it():
    labels = [feature.label for feature in CATALOGUE.values()]
    assert len(labels) == len(set(labels)), "two features with one label cannot be told apart in a reason"
    for name, feature in CATALOGUE.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert feature.label[0].isupper() or feature.label[0].isdigit(), name
        assert feature.label != name
        assert len(feature.description) >= 10, name
        assert feature.description != feature.label, name
        # A number without a unit, such as a month, says by its bounds what it can be.
        is_bounded = feature.minimum is not None and feature.maximum is not None
        assert feature.unit or feature.type in ("flag", "category") or is_bounded, name
        # A derived feature has no table of its own.
        assert set(feature.tables) <= set(TABLES), name
        if feature.minimum is not None and feature.maximum is not None:
            assert feature.minimum < feature.maximum, name


@pytest.mark.parametrize("point", [Point.PREADMISSION, Point.ADMISSION])
def test_a_feature_cannot_be_built_before_it_is_known(point):
    later = [feature for feature in CATALOGUE.values() if not point.knows(feature.available_from)]
    assert later
    for feature in later:
        assert feature not in features_at(point)
        with pytest.raises(
            ValueError, match=f"{feature.name} is known from {feature.available_from} on"
        ) as error:
            features_sql((*features_at(point), feature), point, has_timeline=True, settings=DEFAULT_SETTINGS)
        assert "Build the data set for a later point, or leave the feature out." in str(error.value)


def test_the_dictionary_for_people_names_every_feature(tmp_path):
    text = succeeded("dictionary", cwd=tmp_path).out
    assert all(name in text for name in CATALOGUE)


def test_the_tables_are_those_that_are_read(tmp_path):
    document = succeeded("tables", "--json", cwd=tmp_path).document
    assert {each["name"]: [column["name"] for column in each["columns"]] for each in document} == {
        name: [column.name for column in table.columns] for name, table in TABLES.items()
    }
    assert [each["name"] for each in document if each["required"]] == ["patients", "stays", "diagnoses"]
    stays = {column["name"]: column for column in document[1]["columns"]}
    assert stays["status"]["allowed"] == ["booked", "in", "discharged", "cancelled"]
    assert (stays["stay_id"]["required"], stays["total_cost"]["type"]) == (True, "money")
    shown = succeeded("tables", cwd=tmp_path).out
    assert "stays: one inpatient admission as one hospital records it (required)" in shown
    assert "booked, in, discharged, cancelled" in " ".join(shown.split())


# Settings: file, then environment, then option


def in_force(folder: Path, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = succeeded("settings", "--json", cwd=folder, environment=environment).document
    return found


def test_defaults_are_those_of_the_definitions(tmp_path):
    found = in_force(tmp_path)
    assert {each["from"] for each in found.values()} == {"default"}
    defaults = {"landmark_hours": 24.0, "minimum_age": 18, "readmission_window_days": 30,
                "cost_window_days": 30, "max_stay_days": 60, "coding_lag_hours": 0.0,
                "cost_lag_hours": 0.0, "host": "127.0.0.1", "work": "work"}  # fmt: skip
    assert {name: found[name]["value"] for name in defaults} == defaults


def test_the_environment_comes_before_the_file(tmp_path):
    (tmp_path / "wardcast.toml").write_text("minimum_age = 16\nport = 9000\n")
    found = in_force(tmp_path, WARDCAST_PORT="9001")
    assert found["minimum_age"] == {"value": 16, "from": "wardcast.toml"}
    assert found["port"] == {"value": 9001, "from": "WARDCAST_PORT"}
    shown = succeeded("settings", cwd=tmp_path, environment={"WARDCAST_PORT": "9001"}).out
    assert "WARDCAST_PORT" in shown
    assert "wardcast.toml" in shown


def test_a_misspelt_variable_is_refused_and_a_foreign_one_is_left_alone(tmp_path):
    done = wardcast("settings", cwd=tmp_path, environment={"WARDCAST_DATABSE": "postgresql://secret"})
    assert done.code == 1
    assert "WARDCAST_DATABSE is no setting; the nearest is WARDCAST_DATABASE" in done.err
    assert "secret" not in done.err
    assert in_force(tmp_path, WARDCAST_KEY="mine", WARDCAST_DEBUG="1")["database"]["value"] is None


def test_settings_are_shown_as_people_write_them_and_without_secrets(tmp_path):
    shown = succeeded("settings", cwd=tmp_path, environment={"WARDCAST_DATABASE": "sqlite:///secret.db"}).out
    assert "secret" not in shown
    assert "None" not in shown
    assert "Path" not in shown


def test_an_option_comes_before_the_environment(tmp_path):
    """The demo refuses a folder of somebody else's and names it: that is the one in force."""
    for name in ("file/demo", "environment/demo", "option"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mine.txt").touch()
    (tmp_path / "wardcast.toml").write_text('work = "file"\n')
    environment = {"WARDCAST_WORK": "environment"}

    def work(*option: str, **variables: str) -> str:
        done = wardcast("demo", *option, cwd=tmp_path, environment=variables)
        assert done.code == 1
        return done.err.split(":")[0]

    assert work("--work", "option", **environment) == "option"
    # Without an option the demo keeps to a folder of its own below the work folder.
    assert work(**environment) == "environment/demo"
    assert work() == "file/demo"


def test_a_setting_reaches_the_cohort(house, tmp_path):
    def newborns_apart(**environment: str) -> dict[str, int]:
        document = succeeded("features", house / "data", "--out", "x.parquet", "--json", cwd=tmp_path,
                             environment=environment).document  # fmt: skip
        return {step["meaning"]: step["n"] for step in document["flow"]}

    assert newborns_apart()["younger than 18 at admission"] < 0
    (tmp_path / "wardcast.toml").write_text("minimum_age = 40\n")
    at_forty = newborns_apart()["younger than 40 at admission"]
    assert at_forty < newborns_apart(WARDCAST_MINIMUM_AGE="30")["younger than 30 at admission"] < 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("colour = 1", "settings: wardcast.toml: colour is no setting; there are work, host, "),
        ("champion_rul = 1", "champion_rul is no setting; the nearest is champion_rule"),
        ("port = [", "wardcast.toml: not readable as TOML"),
        ("threads = 0", "settings: wardcast.toml: threads: input should be greater than or equal to 1"),
        ("landmark_hours = -1", "toml: landmark_hours: input should be greater than or equal to 0"),
        ("landmark_hours = nan", "toml: landmark_hours: input should be a finite number"),
        ("minimum_age = -1", "toml: minimum_age: input should be greater than or equal to 0"),
        ("port = 99999", "toml: port: input should be less than or equal to 65535"),
        ("memory_limit_mb = 0", "toml: memory_limit_mb: input should be greater than or equal to 100"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(tmp_path, text, problem):
    (tmp_path / "wardcast.toml").write_text(text)
    done = wardcast("settings", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert problem in done.err
    assert "Traceback" not in done.err


def test_a_file_of_settings_in_another_encoding_is_refused_in_words(tmp_path):
    (tmp_path / "wardcast.toml").write_bytes(b"work = '\xff'")
    done = wardcast("settings", cwd=tmp_path)
    # Seven characters and the quote stand before it.
    assert (done.code, done.err) == (
        1, "wardcast.toml: byte 9 is not UTF-8. Save the file as UTF-8 text.\n"
    )  # fmt: skip


# What else can go wrong on a machine


def test_a_full_disk_is_told_in_words(tmp_path):
    limited = 'ulimit -f 4; exec "$@"'
    command = ["bash", "-c", limited, "-", *WARDCAST, "ingest", "synthetic", "--admissions", "300"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("run the command again.")
    assert "Internal error" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["missing", "truncated"])
def test_a_damaged_file_of_a_data_set_is_named(tmp_path, how):
    write_folder(tmp_path / "in", TABLES_OF_TWO)
    succeeded("ingest", "canonical", "in", "--out", "data", cwd=tmp_path)
    part = tmp_path / "data" / "diagnoses" / "bucket=0" / "data.parquet"
    if how == "missing":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-20])
    done = wardcast("features", "data", "--out", "x.parquet", cwd=tmp_path)
    assert done.code == 1
    assert done.err.endswith(
        "data: 1 files are missing or damaged (first diagnoses/bucket=0/data.parquet). "
        "Run `wardcast ingest` again.\n"
    )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data", "in"]


def test_a_server_of_models_that_does_not_answer_is_told_soon_and_without_its_password(tmp_path):
    environment = {"MLFLOW_TRACKING_URI": "http://user:SECRET@127.0.0.1:9"}
    begun = time.monotonic()
    done = wardcast("models", cwd=tmp_path, environment=environment)
    assert time.monotonic() - begun < 60
    assert done.code == 1
    assert "MLFLOW_TRACKING_URI" in done.err
    assert "SECRET" not in done.err + done.out
    assert list(tmp_path.iterdir()) == []


def test_where_no_model_was_trained_there_is_no_champion_and_nothing_is_made(tmp_path):
    done = succeeded("models", "--work", "nowhere", cwd=tmp_path)
    assert done.out.startswith("No champion yet: train a model with --promote")
    done = wardcast("promote", "../../etc/passwd", "1", cwd=tmp_path)
    assert done.code == 1
    assert "no model is registered" in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_account_without_a_name_is_its_number(monkeypatch):
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", unknown)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert account() == "uid:4711"


def test_what_may_hold_patients_records_is_for_this_account_alone(house):
    modes = {path: path.stat().st_mode & 0o777 for path in (house / "data").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert (house / "data").stat().st_mode & 0o777 == 0o700


def test_the_module_is_the_command():
    assert WARDCAST[1:] == ("-m", "wardcast")
    done = subprocess.run(
        [*WARDCAST, "--version"], cwd=ROOT, env=clean_environment(), capture_output=True, check=True
    )
    assert done.stdout
