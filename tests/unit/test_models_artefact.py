"""An artefact is whole, finite and the one that was promoted, or it is not used."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from features.build import _ROW_GROUPS
from models.artefact import ArtefactError, Training
from models.calibration import BetaCalibration, Calibration, KnotsCalibration, LineCalibration
from models.card import (
    ASSUMED,
    GROUP_FEATURES,
    ICI_INTERVAL,
    LIMITS,
    card,
    group_inputs,
    interval_words,
    reading_notes,
    table,
)
from models.champions import (
    champion_named,
    champion_records,
    install_champion,
    load_champion,
    read_champion,
)
from models.measures import estimate
from models.model import load_model
from models.storage import digest, read_artefact, write_artefact
from tests.admission_rows import DISTRIBUTION, fitted
from tests.served import in_force

RISK = "readmission-admission"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A written risk model."""
    model = fitted("readmission")
    write_artefact(tmp_path / RISK, model.model.artefact, model.boosters)
    return tmp_path / RISK


@pytest.mark.parametrize("target", ["readmission", "cost"])
def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path, target: str) -> None:
    model = fitted(target)
    written = write_artefact(tmp_path / "model", model.model.artefact, model.boosters)
    artefact, boosters = read_artefact(tmp_path / "model", written)
    assert artefact == model.model.artefact
    assert boosters == model.boosters


@pytest.mark.parametrize(
    "calibration",
    [
        LineCalibration("platt", 0.1, 1 / 3, "the lowest log loss"),
        BetaCalibration(0.1, 0.0, 1 / 3),
        KnotsCalibration("venn_abers", ((-1 / 3, -2.0), (0.1, 1 / 7))),
    ],
)
def test_every_calibration_is_read_back_to_the_last_bit(tmp_path: Path, calibration: Calibration) -> None:
    model = fitted("readmission")
    artefact = replace(model.model.artefact, calibration=calibration)
    write_artefact(tmp_path / "model", artefact, model.boosters)
    assert read_artefact(tmp_path / "model", None)[0] == artefact
    assert f"Method {calibration.method.replace('_', '-')}: " in card(artefact)


def test_the_folder_holds_plain_text_only(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == [
        "artefact.json",
        "card.html",
        "card.md",
        "model.txt",
    ]
    written = (folder / "card.md").read_text("utf-8")
    assert "if the patient is discharged alive" in written
    assert "| n_stays_prior_365d | " in written
    for limit in LIMITS:
        assert f"- {limit}" in written


@pytest.mark.parametrize(
    ("rests_on", "words"),
    [
        ("flags", "flag as not present on admission"),
        ("impossible_codes", "cannot be present on admission by their definition"),
        ("given", "what the extract itself calls a complication"),
    ],
)
def test_a_complications_card_says_what_its_labels_rest_on(rests_on: str, words: str) -> None:
    artefact = fitted("complication").model.artefact
    written = card(replace(artefact, training=Training("real", {"rests_on": rests_on})))
    assert "its labels rest on" in written
    assert words in written
    assert "the onset of a complication is undated: one before the landmark counts too" in written
    assert "undated" not in card(fitted("readmission").model.artefact)


def test_a_card_says_what_an_interval_promises_and_of_whom() -> None:
    everyone = replace(DISTRIBUTION, level=0.9, group_feature="")
    # A tenth lies outside a 90 % interval, half of it on either side.
    assert "hold 90% of actual amounts, with 5% beyond it on either side" in interval_words(everyone)
    assert "if later patients are like those of the calibration" in interval_words(everyone)
    assert "residuals of calibration rows of a like spread, where these are 500" in interval_words(everyone)
    by_department = replace(everyone, group_feature="admission_department")
    assert "of one admission department and a like spread" in interval_words(by_department)
    amount = replace(fitted("cost").model.artefact, distribution=everyone)
    assert interval_words(everyone) in card(amount)


def test_a_card_says_how_a_measure_is_to_be_read_only_where_it_stands() -> None:
    assert reading_notes({"auroc": 0.7}) == []
    assert reading_notes({"ici": 0.01, "auroc": 0.7}) == [f"- {ICI_INTERVAL}"]
    assert reading_notes({"net_benefit_at_0.1": 0.02}) == [f"- {ASSUMED}"]
    artefact = replace(fitted("readmission").model.artefact, metrics={"sensitivity_at_capacity": 0.3})
    assert "capacity and the thresholds that measures are taken at are assumed" in card(artefact)


@pytest.mark.parametrize(
    ("read", "told"),
    [
        ((), ""),
        (("sex",), "sex"),
        (("age_years", "sex"), "sex and age"),
        (("payer", "age_years", "sex"), "sex, age and payer"),
    ],
)
def test_a_card_says_which_groups_the_model_reads(read: tuple[str, ...], told: str) -> None:
    artefact = fitted("cost").model.artefact
    # Names alone decide: any feature can stand for another here.
    specs = tuple(replace(artefact.features[0], name=name) for name in ("lace_index", *read))
    assert group_inputs(replace(artefact, features=specs)) == told


def test_the_champions_card_names_version_and_day(tmp_path: Path) -> None:
    made = fitted("readmission")
    artefact = made.model.artefact
    written = write_artefact(tmp_path / "made", artefact, made.boosters)
    champion = install_champion(
        tmp_path / "champions", tmp_path / "made", name=artefact.name, version=4, digest=written
    )
    card_to_print = (tmp_path / "champions" / artefact.name / "card.html").read_text("utf-8")
    assert f"version 4, digest {written[:12]}" in card_to_print
    assert f"in service since {champion.promoted_at[:10]}" in card_to_print


def test_the_groups_of_the_report_are_known_as_inputs() -> None:
    assert {feature for feature, _ in _ROW_GROUPS.values()} <= set(GROUP_FEATURES)


def test_a_cards_tables_hold_any_text_and_its_numbers_say_when_there_is_none() -> None:
    assert table(("group", "n"), [("A|B", 3)]) == ["| group | n |", "| --- | --- |", "| A\\|B | 3 |"]
    assert table(("group",), [("A\n\n# B\r\nC",)])[2] == "| A  # B C |"
    assert [estimate("auroc", value) for value in (None, math.nan, {"value": None}, "much")] == ["–"] * 4


@pytest.mark.parametrize("name", ["artefact.json", "card.md", "card.html", "model.txt"])
def test_a_changed_byte_in_any_file_is_found(folder: Path, name: str) -> None:
    promoted = digest(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-2] + b"#" + content[-1:])
    with pytest.raises(ArtefactError, match="SHA-256 differs"):
        read_artefact(folder, promoted)


def test_content_cannot_move_from_one_file_to_the_next(folder: Path) -> None:
    promoted = digest(folder)
    card, model = (folder / "card.md").read_bytes(), (folder / "model.txt").read_bytes()
    (folder / "card.md").write_bytes(card + model[:10])
    (folder / "model.txt").write_bytes(model[10:])
    assert digest(folder) != promoted


def test_the_digest_is_compared_before_a_byte_is_parsed(folder: Path) -> None:
    promoted = digest(folder)
    (folder / "artefact.json").write_text("{ not json", "utf-8")
    with pytest.raises(ArtefactError, match="SHA-256 differs"):
        read_artefact(folder, promoted)
    with pytest.raises(ArtefactError, match="not finite, readable JSON"):
        read_artefact(folder, None)


def _set(path: tuple[str | int, ...], value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set(("base_value",), float("nan")), "not finite"),
        (_set(("metrics",), {"auroc": float("inf")}), "not finite"),
        (_set(("base_value",), "1.0"), "base_value"),
        (_set(("surprise",), 1), "surprise"),
        (_set(("features", 0, "levels"), "x"), "levels"),
        (_set(("percentiles",), [1.0]), "percentiles are not 101"),
        (_set(("bands",), [0.9, 0.1]), "bands fall"),
        (_set(("unit",), "hours"), "unit"),
        (_set(("name",), "other-admission"), "name is not"),
        (_set(("point",), "noon"), "point is unknown"),
        (_set(("calibration",), {"method": "platt", "intercept": 0.0, "slope": -1.0}), "does not rise"),
        (_set(("calibration",), {"method": "none", "intercept": 0.1, "slope": 1.0}), "none and does more"),
        (_set(("calibration",), {"method": "beta", "intercept": 0.0, "slope": 1.0}), "low_slope"),
        (_set(("calibration",), {"method": "isotonic", "knots": [[0.0, 1.0], [1.0, 0.0]]}), "falls between"),
        (_set(("calibration",), {"method": "isotonic", "knots": [[0.0, 1.0, 2.0]]}), "knots"),
        (_set(("calibration",), {"method": "isotonic", "knots": [[0.0, "1.0"]]}), "knots"),
        (_set(("calibration",), {"intercept": 0.0, "slope": 1.0}), "method"),
        (_set(("calibration", "method"), "spline"), "method"),
        (_set(("calibration", "knots"), []), "knots"),
        (_set(("distribution",), asdict(DISTRIBUTION)), "only an amount has a distribution"),
    ],
)
def test_an_artefact_that_contradicts_itself_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    document = json.loads((folder / "artefact.json").read_text("utf-8"))
    change(document)
    (folder / "artefact.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(ArtefactError, match=complaint):
        read_artefact(folder, None)


def test_an_amount_has_no_calibration() -> None:
    curve = KnotsCalibration("isotonic", ((0.0, 0.0), (1.0, 1.0)))
    with pytest.raises(ArtefactError, match="only a risk has a calibration"):
        replace(fitted("cost").model.artefact, calibration=curve)


def test_a_number_too_large_for_a_float_is_not_finite(folder: Path) -> None:
    text = (folder / "artefact.json").read_text("utf-8")
    (folder / "artefact.json").write_text(text.replace('"metrics": {}', '"metrics": {"a": 1e999}'), "utf-8")
    with pytest.raises(ArtefactError, match="not finite"):
        read_artefact(folder, None)


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    model = fitted("readmission")
    broken = replace(model.model.artefact, metrics={"auroc": float("nan")})
    with pytest.raises(ArtefactError, match="not finite"):
        write_artefact(tmp_path / "model", broken, model.boosters)
    assert list(tmp_path.iterdir()) == []


def test_a_cost_model_without_its_booster_of_the_spread_is_incomplete(tmp_path: Path) -> None:
    model = fitted("cost")
    with pytest.raises(ArtefactError, match="boosters"):
        write_artefact(tmp_path / "model", model.model.artefact, {"model": model.boosters["model"]})
    write_artefact(tmp_path / "model", model.model.artefact, model.boosters)
    (tmp_path / "model" / "spread.txt").unlink()
    with pytest.raises(ArtefactError, match=r"spread\.txt missing"):
        read_artefact(tmp_path / "model", None)


def test_a_strange_file_and_an_empty_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "code.py").write_text("", "utf-8")
    with pytest.raises(ArtefactError, match="1 files do not belong"):
        read_artefact(folder, None)
    with pytest.raises(ArtefactError, match="no model artefact there"):
        read_artefact(tmp_path, None)


def test_a_booster_of_other_features_is_refused(folder: Path) -> None:
    text = (folder / "model.txt").read_text("utf-8")
    (folder / "model.txt").write_text(text.replace("age_years", "age_wears"), "utf-8")
    with pytest.raises(ArtefactError, match="other features"):
        load_model(folder)


def test_a_booster_that_is_no_model_is_refused(folder: Path) -> None:
    (folder / "model.txt").write_text("tree\nnothing\n", "utf-8")
    with pytest.raises(ArtefactError, match="no model"):
        load_model(folder)


def test_a_champion_is_what_was_installed(folder: Path, tmp_path: Path) -> None:
    champions = tmp_path / "champions"
    champion = install_champion(champions, folder, name=RISK, version=7, digest=digest(folder))
    assert champion.model_id == "readmission-admission/7"
    assert in_force(champions) == [champion]
    assert load_champion(champion).artefact == fitted("readmission").model.artefact


def test_a_new_champion_takes_the_place_of_the_old_one(folder: Path, tmp_path: Path) -> None:
    champions = tmp_path / "champions"
    old = install_champion(champions, folder, name=RISK, version=1, digest=digest(folder))
    changed = replace(
        fitted("readmission").model.artefact, calibration=LineCalibration("shift", intercept=0.1)
    )
    second = tmp_path / "second"
    written = write_artefact(second, changed, fitted("readmission").boosters)
    new = install_champion(champions, second, name=RISK, version=2, digest=written)
    assert in_force(champions) == [new]
    assert load_champion(new).artefact == changed
    # A process that still holds the old champion can read it to the end, and a rollback finds it.
    assert load_champion(old).artefact == fitted("readmission").model.artefact


def test_a_champion_that_was_tampered_with_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    champion = install_champion(tmp_path / "champions", folder, name=RISK, version=1, digest=digest(folder))
    with (champion.folder / "model.txt").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(ArtefactError, match="SHA-256 differs"):
        load_champion(champion)


@pytest.mark.parametrize("name", ["artefact.json", "card.md", "card.html", "model.txt"])
def test_a_file_that_is_gone_is_told_to_be_missing(folder: Path, tmp_path: Path, name: str) -> None:
    champion = install_champion(tmp_path / "champions", folder, name=RISK, version=1, digest=digest(folder))
    (champion.folder / name).unlink()
    with pytest.raises(ArtefactError, match=f": {name} is missing. Put back what was promoted"):
        load_champion(champion)


def test_a_champion_that_nobody_may_look_into_is_named_and_not_passed_over(
    folder: Path, tmp_path: Path
) -> None:
    champions = tmp_path / "champions"
    assert champion_records(champions) == []
    install_champion(champions, folder, name=RISK, version=1, digest=digest(folder))
    # A link to itself cannot be entered by anybody, whatever rights the account of the tests has.
    (champions / "cost-admission").symlink_to("cost-admission")
    (champions / "notes.txt").write_text("")
    (champions / "empty").mkdir()
    records = champion_records(champions)
    assert [record.parent.name for record in records] == ["cost-admission", RISK]
    with pytest.raises(OSError, match="symbolic links"):
        read_champion(records[0])
    looped = tmp_path / "looped"
    looped.symlink_to(looped)
    with pytest.raises(OSError, match="symbolic links"):
        champion_records(looped)


def test_an_installation_that_fails_leaves_the_champion_in_force(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions = tmp_path / "champions"
    champion = install_champion(champions, folder, name=RISK, version=1, digest=digest(folder))
    with pytest.raises(ArtefactError, match="SHA-256 differs"):
        install_champion(champions, folder, name=RISK, version=2, digest="0" * 64)
    with pytest.raises(ArtefactError, match="not complication-admission"):
        install_champion(champions, folder, name="complication-admission", version=2, digest=digest(folder))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copytree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        install_champion(champions, folder, name=RISK, version=2, digest=digest(folder))
    assert in_force(champions) == [champion]
    assert [entry.name for entry in champions.iterdir()] == [RISK]


def test_a_champions_record_that_is_no_record_is_refused(folder: Path, tmp_path: Path) -> None:
    champions = tmp_path / "champions"
    assert in_force(champions) == []
    install_champion(champions, folder, name=RISK, version=1, digest=digest(folder))
    (champions / RISK / "champion.json").write_text('{"name": "x"}', "utf-8")
    with pytest.raises(ArtefactError, match="not a champion's record"):
        champion_named(champions, RISK)
    # The others are none the worse for it.
    assert champion_named(champions, "complication-admission") is None
