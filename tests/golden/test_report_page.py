"""The report of a model is what it was, tells what is missing, and is safe to open and to print."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.bootstrap import Resampling
from evaluation.calibration import smooth_calibration_band
from evaluation.contribution_plots import Contributed
from evaluation.plots import amount_calibration_plot, calibration_plot, decision_curve_plot, roc_plot
from models.artefact import Artefact
from models.card_page import card_page
from tests.golden.test_quality_page import HOSTILE, _Page, normalised
from tests.report_results import AMOUNT, AMOUNT_RESULTS, RISK, RISK_RESULTS, SPECS
from training.report.card import model_card_page
from training.report.checklist import CHAI_CARD, TRIPOD_AI, read_items
from training.report.figures import contribution_figures, document_figures
from training.report.page import report_page

GOLDEN = Path(__file__).parent
MODELS: dict[str, tuple[Artefact, dict[str, Any]]] = {
    "risk": (RISK, RISK_RESULTS),
    "amount": (AMOUNT, AMOUNT_RESULTS),
}
# The checklist of TRIPOD+AI (BMJ 2024;385:e078378, table 1) has 27 items, 52 with their parts.
PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc"}
PARTS |= {23: "ab", 27: "abc"}
# The elements of the applied model card's schema 0.2 (mc.chai.org), those with content of their own.
CHAI_PARTS = {
    "Basic information": 3,
    "Release": 6,
    "Summary": 2,
    "Uses and directions": 5,
    "Warnings": 3,
    "Trust ingredients": 13,
    "Key metrics": 3,
    "Resources": 5,
    "Bibliography": 1,
}


def figures(artefact: Artefact, results: dict[str, Any]) -> dict[str, Any]:
    n = 200
    predicted = np.linspace(0.02, 0.6, n)
    label = (np.arange(n) % 7 < 10 * predicted).astype(float)
    values = np.where(np.arange(n) % 9 == 0, np.nan, np.linspace(20, 90, n))
    features = [
        Contributed("age_years", "Age", "years", values, np.linspace(-1, 1, n)),
        Contributed("sex", "Sex", "", np.arange(n) % 2.0, np.arange(n) % 2 / 5, ("female", "male")),
    ]
    if artefact.kind == "amount":
        judged = {"calibration": amount_calibration_plot(1e5 * predicted, 9e4 * predicted, unit="CNY")}
    else:
        band = smooth_calibration_band(label, predicted, range(n), Resampling(0, 20))
        judged = {
            "calibration": calibration_plot(label, predicted, band),
            "roc": roc_plot(label, {"model": predicted}),
            "decision_curve": decision_curve_plot(label, {"model": predicted}, capacity_threshold=0.4),
        }
    own = document_figures(results, unit="CNY", level=0.8)
    return {**judged, **contribution_figures(features, artefact.scale), **own}


def page_of(kind: str, **other: Any) -> str:
    artefact, results = MODELS[kind]
    changed = results | other
    return report_page(artefact, changed, figures(artefact, changed))


def written(kind: str) -> dict[str, str]:
    artefact, results = MODELS[kind]
    return {
        f"report_{kind}.html": normalised(page_of(kind)),
        f"card_{kind}.html": model_card_page(artefact, results),
    }


@pytest.mark.parametrize("kind", MODELS)
def test_the_report_and_the_card_are_what_they_were(kind: str) -> None:
    for name, made in written(kind).items():
        assert (GOLDEN / name).read_text("utf-8") == made, (
            f"the page differs from tests/golden/{name}: if that is meant, write it again with "
            "`python -m tests.golden.test_report_page`"
        )


@pytest.mark.parametrize("kind", MODELS)
def test_the_same_results_give_the_same_page(kind: str) -> None:
    assert page_of(kind) == page_of(kind)


def ids(text: str) -> list[str]:
    return [attributes["id"] or "" for _, attributes in _Page(text).tags if "id" in attributes]


def test_the_checklist_has_every_item() -> None:
    wanted = [f"{n}{part}" for n in range(1, 28) for part in PARTS.get(n, " ")]
    assert [item.number for item in read_items(TRIPOD_AI)] == [number.strip() for number in wanted]
    assert len(wanted) == 52


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("is_bare", [False, True])
def test_every_item_of_tripod_ai_has_its_place_in_every_report(kind: str, is_bare: bool) -> None:
    artefact, results = MODELS[kind]
    page = report_page(artefact, {} if is_bare else results, {})
    found = set(ids(page))
    open_places = set(re.findall(r'class="open" id="([^"]+)"', page))
    for item in read_items(TRIPOD_AI):
        assert item.anchors, item
        assert set(item.anchors) <= found, item
        has_open = bool(set(item.anchors) & open_places)
        # What only people can answer has a place of its own, and nothing else pretends to need one.
        assert has_open == (item.by != "report"), item
        assert item.by != "hospital" or set(item.anchors) <= open_places, item


def test_every_section_of_the_model_card_of_chai_has_its_place_on_the_card() -> None:
    items = read_items(CHAI_CARD)
    counted = {
        part: sum(item.part == part for item in items) for part in dict.fromkeys(i.part for i in items)
    }
    assert counted == CHAI_PARTS
    for artefact, results in MODELS.values():
        for card in (model_card_page(artefact, results), model_card_page(artefact, {}), card_page(artefact)):
            assert {anchor for item in items for anchor in item.anchors} <= set(ids(card))
            rows = dict(re.findall(r'<tr id="([^"]+)">(.*?)</tr>', card, flags=re.S))
            for item in items:
                told = "".join(rows[anchor] for anchor in item.anchors)
                is_open = "for the hospital to write" in told.lower()
                assert is_open == (item.by != "report"), item


@pytest.mark.parametrize("kind", MODELS)
def test_what_was_not_done_is_told(kind: str) -> None:
    artefact, _ = MODELS[kind]
    bare = report_page(artefact, {}, {})
    full = page_of(kind)
    # Places of what was not done stand in one short list; none is lost.
    assert set(ids(section_of(full, "not-done"))) < set(ids(section_of(bare, "not-done")))
    assert {*re.findall(r'<section id="([^"]+)">', full), *ids(section_of(full, "not-done"))} == {
        *re.findall(r'<section id="([^"]+)">', bare),
        *ids(section_of(bare, "not-done")),
    }
    for anchor in (
        *("flow", "table-one", "missing-values", "base-rates", "tuning", "leaks", "learning-curve"),
        *(
            "baselines",
            "groups",
            "heterogeneity",
            "other-uses",
            "exposed",
            "optimism",
            "contributions",
            "gate",
        ),
    ):
        assert "Not done: " in told_at(bare, anchor), anchor
    assert full.count("Not done: ") < bare.count("Not done: ")


@pytest.mark.parametrize("key", sorted(set(RISK_RESULTS) | set(AMOUNT_RESULTS)))
def test_a_report_stands_whatever_key_is_missing(key: str) -> None:
    for artefact, results in MODELS.values():
        without = {name: value for name, value in results.items() if name != key}
        assert report_page(artefact, without, {}).endswith("</html>\n")
        assert model_card_page(artefact, without).endswith("</html>\n")


def test_a_search_that_found_no_leak_says_so() -> None:
    assert "No warning: " in page_of("risk", leaks=[])
    assert "1 warning of leaks" in page_of("risk")


def section_of(page: str, anchor: str) -> str:
    start = page.index(f'<section id="{anchor}">')
    return page[start : page.index("</section>", start)]


def told_at(page: str, anchor: str) -> str:
    """The section of this name, or what the list of what was not done says of it."""
    if f'<section id="{anchor}">' in page:
        return section_of(page, anchor)
    (line,) = re.findall(rf'<li id="{anchor}">.+?: (.+?)</li>', section_of(page, "not-done"))
    return f"Not done: {line}"


def report_of(artefact: Artefact, **results: Any) -> str:
    return report_page(artefact, results, {})


def test_published_scores_are_named_where_they_stand_beside_the_model() -> None:
    # Of the results by hand LACE was computed, and HOSPITAL was not.
    background = section_of(page_of("risk"), "background")
    assert "LACE (van Walraven" in background
    assert "HOSPITAL" not in background
    without = section_of(page_of("amount"), "background")
    assert "No published score for the same purpose stands beside the model." in without


def test_the_report_says_which_groups_the_model_reads() -> None:
    reads = section_of(page_of("risk"), "groups")
    assert "the model reads sex, age and earlier stays: a prediction may differ by it" in reads
    assert "of their own" not in reads
    blind = replace(RISK, features=(replace(SPECS[0], name="lace_index"),))
    groups = RISK_RESULTS["groups"]
    assert "reads nothing that tells these groups apart" in section_of(
        report_of(blind, groups=groups), "groups"
    )
    assert AMOUNT.distribution
    shape = AMOUNT.distribution.everyone
    by = replace(AMOUNT.distribution, group_feature="admission_department", groups={"surgery": shape})
    apart = report_of(replace(AMOUNT, distribution=by), groups=groups)
    assert "shapes of their own for each admission department" in section_of(apart, "groups")


def test_the_report_says_that_calibration_and_test_share_patients() -> None:
    assert "may share patients (160 calibration rows are theirs), but no row" in section_of(
        page_of("risk"), "split"
    )
    few = report_of(RISK, split={"by": "time and patient", "calibration_rows_of_test_patients": None})
    assert "(fewer than 10 calibration rows are theirs)" in section_of(few, "split")
    # By patient, whoever is judged is in no other slice.
    assert "may share patients" not in report_of(RISK, split={"by": "patient"})


def test_patients_of_each_slice_are_told_beside_its_rows() -> None:
    rows = {"train": 200, "calibration": 100, "test": 120}
    told = {"train": 180, "calibration": None, "test": 120}
    counted = re.sub(r' class="[^"]*"', "", section_of(report_of(RISK, n=rows, n_patients=told), "split"))
    assert "<td>200</td><td>180</td>" in counted
    assert "<td>100</td><td>fewer than 10</td>" in counted
    assert "rounded to full 10" in counted
    # Of a training whose results do not hold them.
    before = re.sub(r' class="[^"]*"', "", section_of(report_of(RISK, n=rows), "split"))
    assert "<td>200</td><td>–</td>" in before
    assert "Patients were not counted: one may have several rows." in before


def test_what_is_withheld_of_fewer_than_ten_rows_is_said_to_be() -> None:
    none = {"rows": None, "events": None, "prevalence": None}
    few = report_of(
        RISK,
        split={
            "by": "time and patient",
            "removed": {"training": {"label_window_open": none}},
            "unlabelled": None,
        },
        flow=[{"step": "died", "meaning": "died (at most)", "n": -10, "is_rounded": True}],
        missingness=[{"feature": "age", "label": "Age", "training": None}],
        exposed={"from": "2024-09-01", "n": None, "n_learned": None},
    )
    split = section_of(few, "split")
    assert "<td>fewer than 10</td><td>fewer than 10 (–)</td>" in re.sub(r' class="[^"]*"', "", split)
    assert "Not used: fewer than 10 rows have no known outcome." in split
    assert "rounded to full 10 since a step is of fewer" in section_of(few, "flow")
    # Without a test there is no share of it.
    assert "<td>few</td><td>–</td>" in re.sub(r' class="[^"]*"', "", section_of(few, "missing-values"))
    assert "a withheld number of rows of the test. The model learned from a withheld number of such" in few


@pytest.mark.parametrize(
    ("target", "said", "unsaid"),
    [
        ("charges", "ends early by death or transfer", "coders"),
        ("complication", "both are coders&#x27; judgement", "drawn in"),
        ("readmission", "planned rests on coded diagnoses", "drawn in"),
        (
            "cost",
            "drawn in at both half percents of the training rows (the upper one at 210,000 CN",
            "coders",
        ),
    ],
)
def test_the_outcome_says_what_people_judged_and_what_is_truncated(
    target: str, said: str, unsaid: str
) -> None:
    base = AMOUNT if target in ("charges", "cost") else RISK
    artefact = replace(base, target=target, name=f"{target}-admission")
    outcome = section_of(report_of(artefact, truncated_at=210_000.0), "outcome")
    assert said in outcome
    assert unsaid not in outcome


def test_what_the_extract_calls_an_outcome_is_not_said_to_be_judged_from_codes() -> None:
    artefact = replace(RISK, target="complication", name="complication-admission")
    given = replace(artefact, training=replace(artefact.training, label={"rests_on": "given"}))
    assert "coders" in section_of(report_of(artefact), "outcome")
    assert "coders" not in section_of(report_of(given), "outcome")


def test_the_report_says_what_a_run_cannot_know_of_others() -> None:
    assert "judged on the same period" in section_of(page_of("risk"), "use")
    by_patient = report_of(RISK, split={"by": "patient"})
    assert "judged on the same patients" in section_of(by_patient, "use")


def test_the_report_says_that_the_training_lost_those_who_came_back_only_where_it_did() -> None:
    lost = "lost the rows of patients who came back"
    assert lost in section_of(page_of("risk"), "limits")
    assert lost not in section_of(report_of(RISK, split={"by": "patient"}), "limits")
    nobody = {"training": {"patient_in_later_slice": {"rows": 0, "events": 0, "prevalence": None}}}
    assert lost not in section_of(report_of(RISK, split={"by": "time", "removed": nobody}), "limits")


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ("log", "least squares of the logarithm, beside trees"),
        ("gamma", "a gamma loss of the amount, beside trees"),
        ("tweedie", "a Tweedie loss of the amount (power 1.5), beside trees"),
        (None, "an objective that was not recorded, beside trees"),
    ],
)
def test_the_report_names_the_loss_that_the_trees_were_grown_for(objective: str | None, words: str) -> None:
    told = {} if objective is None else {"objective": objective}
    facts = AMOUNT.training.facts | {"parameters": told}
    artefact = replace(AMOUNT, training=replace(AMOUNT.training, facts=facts))
    assert words in section_of(report_of(artefact), "model")
    assert "with a logistic loss, then" in section_of(report_of(RISK), "model")


@pytest.mark.parametrize("kind", MODELS)
def test_a_difference_from_a_baseline_says_on_which_side_it_is_better(kind: str) -> None:
    # AUROC and the deviance explained are better where they are higher.
    side = "above 0"
    artefact, results = MODELS[kind]
    assert f"model minus this (better {side})" in section_of(page_of(kind), "baselines")
    assert f"the whole interval of the difference is {side}." in model_card_page(artefact, results)


@pytest.mark.parametrize("hostile", [HOSTILE, "</style></svg><img src=x onerror=alert(1)>", "a\ud800b"])
def test_what_comes_from_the_extract_stays_text(hostile: str) -> None:
    results = json.loads(json.dumps(RISK_RESULTS))
    for group in results["groups"]:
        group["level"] = hostile
    results["importance"][0]["label"] = results["table_one"]["rows"][2]["level"] = hostile
    results["flow"][1]["meaning"] = results["by_hospital"][0]["hospital"] = hostile
    results["leaks"][0] |= {"feature": hostile, "text": hostile}
    results["gate"]["reasons"] = results["baselines"]["hospital"]["missing"] = [hostile]
    results["baselines"]["hospital"]["missing"] = hostile
    shown = [Contributed("f", hostile, hostile, np.arange(50.0), np.arange(50.0))]
    pictures = {**document_figures(results, unit="", level=None), **contribution_figures(shown, "log_odds")}
    for text in (report_page(RISK, results, pictures), model_card_page(RISK, results)):
        text.encode("utf-8")
        page = _Page(text)
        assert {"script", "img", "link", "iframe", "object"}.isdisjoint(name for name, _ in page.tags)
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
        assert "\x00" not in text
        assert "\x1b" not in text


@pytest.mark.parametrize("kind", MODELS)
def test_nothing_is_fetched_and_every_link_and_picture_has_its_words(kind: str) -> None:
    artefact, results = MODELS[kind]
    for text in (page_of(kind), model_card_page(artefact, results)):
        page, found = _Page(text), ids(text)
        assert len(found) == len(set(found))
        for tag, attributes in page.tags:
            for name, value in attributes.items():
                if name in ("src", "href", "xlink:href"):
                    assert (value or "").startswith("#"), tag
                    assert (value or "")[1:] in found, value
        policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
        assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
        assert "@page { size: A4" in text
    pictures = [a for tag, a in _Page(page_of(kind)).tags if tag == "svg"]
    # Calibration, two of contributions, base rates, tuning, two of groups and the flow; of a risk ROC,
    # decision curve and learning curve too, of an amount the groups' coverage and the PIT.
    assert len(pictures) == (11 if kind == "risk" else 10)
    assert all(a["role"] == "img" and (a.get("aria-label") or a.get("aria-labelledby")) for a in pictures)


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_wider_than_a_screen_scrolls_in_a_box_that_says_so(kind: str) -> None:
    artefact, results = MODELS[kind]
    for text in (page_of(kind), model_card_page(artefact, results)):
        # Rows of a name and its text wrap; whatever has more columns stands in a box of its own.
        for before, table in re.findall(r"(.{0,14})(<table.*?</table>)", text, flags=re.S):
            n_columns = table.count('<th scope="col"')
            assert n_columns == 0 or before == ' tabindex="0">', table[:200]
        for box, head in re.findall(r'<div class="(scroll[^"]*)"[^>]*>(<table.*?</thead>)', text, flags=re.S):
            assert ("wide" in box) == (head.count("<th ") >= 4)
        assert "Wider than the screen: scroll sideways" in text
        # Words are broken only where there is no other way.
        assert "padding: .25rem .6rem .25rem 0; overflow-wrap: break-word;" in text
    pictures = page_of(kind).count('tabindex="0"><svg')
    assert pictures == page_of(kind).count("<svg")
    # As many columns of contents as the page has room for.
    assert "nav ol { columns: 3 15rem;" in page_of(kind)


def test_words_of_a_machine_are_not_shown_to_people() -> None:
    groups = [RISK_RESULTS["groups"][0] | {"group": "payer", "level": "employee_insurance"}]
    page = page_of("risk", groups=groups)
    assert "employee insurance" in page
    assert "employee_insurance" not in page
    assert page.startswith("<!DOCTYPE html>")
    title = re.search(r"<h1>(.*?)</h1>", page)
    assert title
    assert title[1].startswith("Unplanned readmission, predicted at admission (")
    # Commands and settings are marked as such, and settings folded away.
    assert "`" not in page.replace("<code>", "")
    assert "<code>wardcast evaluate</code>" in page
    folded = page[page.index("<details>") : page.index("</details>")]
    assert "learning_rate" in folded
    assert "learning_rate" not in page.replace(folded, "")


if __name__ == "__main__":
    for kind in MODELS:
        for name, text in written(kind).items():
            (GOLDEN / name).write_text(text, "utf-8")
