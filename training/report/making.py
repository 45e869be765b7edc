"""Sections on how the model was made: features, trees, search, warnings, how to make it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from features.page import listed, table
from models.card import band_cuts, interval_words
from models.words import unit_of_feature
from training.report.parts import (
    Evidence,
    Section,
    facts_table,
    for_the_hospital,
    not_done,
    section,
    shown,
    text,
)
from training.report.words import counted, plain_number, words_of, words_of_score

MOST_TRIALS = 20
LOSSES = {
    "binary": "a logistic loss",
    "log": "least squares of the logarithm",
    "gamma": "a gamma loss of the amount",
    "tweedie": "a Tweedie loss of the amount (power 1.5)",
}
"""By the objective that the trees were grown for."""


def sections(evidence: Evidence) -> Iterator[Section]:
    """Predictors, the model, tuning, leak warnings, learning curve, reproducibility."""
    yield _predictors(evidence)
    yield _model(evidence)
    yield _tuning(evidence)
    yield _leaks(evidence)
    yield _learning_curve(evidence)
    yield _reproducibility(evidence)


def predictor_list(evidence: Evidence) -> Section:
    """Every feature that the model reads."""
    rows = [
        [spec.label, unit_of_feature(spec.unit, evidence.currency), spec.type, spec.available_from, spec.name]
        for spec in evidence.artefact.features
    ]
    return section(
        "predictor-list",
        "List of predictors",
        table(
            "Every feature that the model reads; the dictionary (`wardcast dictionary`) defines each",
            ["feature", "unit", "type", "known from", "name"],
            rows,
        ),
    )


def _predictors(evidence: Evidence) -> Section:
    specs = evidence.artefact.features
    left_out = (evidence.results.get("features") or {}).get("left_out") or {}
    types = Counter(spec.type for spec in specs)
    told = ", ".join(f"{n} {name}" for name, n in sorted(types.items()))
    why = Counter(left_out.values())
    return section(
        "predictors",
        "Predictors",
        text(
            f"{len(specs)} features ({told}), chosen beforehand by what is known at the prediction point, "
            "not by their relation to the outcome. Each is declared once in the catalogue, computed by one "
            "program for training and for use, and listed at the end of this page.",
            "Numbers enter as they are: trees need no scaling, transformation or cut points. Categories "
            "enter as levels; one of fewer than 20 training rows counts as missing.",
        ),
        [table("Features left out", ["why", "features"], [[reason, n] for reason, n in sorted(why.items())])]
        if why
        else [],
        for_the_hospital(
            "predictor-judgement",
            "Who judged",
            "which of these inputs rest on a person's judgement (diagnoses, urgency, scores), and who enters "
            "them with what training.",
        ),
    )


def _model(evidence: Evidence) -> Section:
    artefact, facts = evidence.artefact, evidence.facts
    boosters = ", ".join(f"{name} {n} trees" for name, n in (evidence.results.get("trees") or {}).items())
    parameters = dict(facts.get("parameters", {}))
    monotone = [int(sign) for sign in parameters.pop("monotone_constraints", []) if sign]
    objective = parameters.get("objective", "binary" if evidence.is_risk else "")
    loss = LOSSES.get(objective, "an objective that was not recorded")
    scatter = "" if evidence.is_risk else ", beside trees of how far the logarithm scatters"
    distribution = artefact.distribution
    return section(
        "model",
        "The model",
        text(
            f"Gradient-boosted trees (LightGBM) with {loss}{scatter}, then a calibration fitted on rows of "
            "their own. How many trees is found on patients apart from those that the trees grow on.",
            "No class is re-weighted and no row resampled, so that probabilities stay probabilities; "
            "thresholds move instead.",
        ),
        facts_table(
            "Settings",
            {
                "trees": boosters or "not recorded",
                "features held to one direction": f"{len(monotone)} by clinical sense"
                if monotone
                else "none",
                "base value": f"{artefact.base_value:.4f} ({artefact.scale.replace('_', ' ')})",
                "bands cut at": band_cuts(artefact),
                "interval": interval_words(distribution) if distribution else "none: a risk",
            },
        ),
        _settings(parameters),
        text(
            "The model is kept as text (trees, calibration, levels of categories, fingerprint of the "
            "features) with a digest; that text and this program give every prediction again. It is read, "
            "never executed.",
        ),
    )


def _settings(parameters: Mapping[str, Any]) -> str:
    """Every setting of the trees, folded away: whoever makes the model again needs them, few others do."""
    if not parameters:
        return ""
    told = facts_table(
        "As LightGBM names them", {name: words_of(value) for name, value in parameters.items()}
    )
    return f"<details><summary>All settings of the trees</summary>{told}</details>"


def _tuning(evidence: Evidence) -> Section:
    found = evidence.results.get("tuning")
    if not found:
        return section(
            "tuning",
            "Search of settings",
            not_done("the settings are the defaults for this many rows; no search was asked for"),
        )
    trials = found.get("trials", [])
    score = words_of_score(str(found.get("score_name", "score")))
    done = sorted((trial for trial in trials if trial.get("score") is not None), key=lambda t: t["score"])
    searched = _searched(trials)
    rows = [
        [
            trial["number"],
            plain_number(trial["score"]),
            trial.get("state", ""),
            plain_number(trial.get("seconds")),
            *(words_of(trial["hyperparameters"].get(name, "–")) for name in searched),
        ]
        for trial in done[:MOST_TRIALS]
    ]
    on = (
        f" on {found['n_rows']:,} rows{' (a sample)' if found.get('is_sample') else ''}"
        if "n_rows" in found
        else ""
    )
    reason = f" ({found['reason']})" if found.get("reason") else ""
    return section(
        "tuning",
        "Search of settings",
        text(
            f"{found.get('n_trials', len(trials))} trials, {found.get('n_pruned', 0)} given up early, "
            f"in {plain_number(found.get('seconds'))} s; ended by {found.get('stopped_by', 'trials')}. "
            f"Scored by {score}{on} in {found.get('folds', 'folds')} within the training rows: the test had "
            "no part in it.",
            f"Chosen: {words_of(found.get('best', {}))}{reason}.",
        ),
        shown(evidence, "tuning", "Score of each trial that was not given up, and the best so far."),
        table(
            f"The best {len(rows)} of {len(trials)} trials; less is better",
            ["trial", score, "state", "seconds", *(name.replace("_", " ") for name in searched)],
            rows,
        ),
    )


def _searched(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that differ between trials."""
    settings = [trial.get("hyperparameters") or {} for trial in trials]
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({str(each.get(name)) for each in settings}) > 1]


def _leaks(evidence: Evidence) -> Section:
    found = evidence.results.get("leaks")
    title = "Search for leaks"
    if found is None:
        return section("leaks", title, not_done("no search for features that know the outcome"))
    if not found:
        return section(
            "leaks",
            title,
            text(
                "No warning: none was found of a feature that predicts too well alone, arrives after the "
                "outcome or tells it by being missing, nor of shuffled time that helps. Faint leaks, and "
                "those spread over many features, are not found this way."
            ),
        )
    rows = [
        [
            leak.get("feature", ""),
            leak.get("text", leak.get("check", "")),
            plain_number(leak.get("value")),
            plain_number(leak.get("limit")),
        ]
        for leak in found
    ]
    return section(
        "leaks",
        title,
        f'<p class="bad">{counted(len(found), "warning")}: a person must look at each before the model is '
        "used.</p>",
        table("Warnings", ["feature", "what was found", "value", "limit"], rows),
    )


def _learning_curve(evidence: Evidence) -> Section:
    steps = evidence.results.get("learning_curve")
    title = "Learning curve"
    if not steps:
        return section("learning-curve", title, not_done("the model was not fitted on parts of the rows"))
    return section(
        "learning-curve",
        title,
        shown(
            evidence,
            "learning_curve",
            "How good the model is on the test when it learns from fewer rows. Still rising at the right "
            "end: more data would help.",
        ),
    )


def _reproducibility(evidence: Evidence) -> Section:
    facts, artefact = evidence.facts, evidence.artefact
    versions = facts.get("versions", {})
    return section(
        "reproducibility",
        "How to make it again",
        facts_table(
            "The same data, seed, versions and machine give the same model text, unless time ended a search",
            {
                "model": artefact.name + (f"/{v}" if (v := evidence.results.get("version")) else ""),
                "hash of the data": facts.get("data_hash", "not recorded"),
                "seed": facts.get("seed", "not recorded"),
                "fingerprint of the features": artefact.fingerprint,
                **{f"version of {name}": value for name, value in versions.items()},
            },
        ),
        listed(
            [
                "The program is open source (Apache-2.0); its version is above.",
                "The model with its digest, the results as JSON and this page lie with its run in MLflow.",
                "To predict for new patients: `wardcast score` (a file) or `wardcast serve` (an interface).",
            ]
        ),
        for_the_hospital(
            "model-access",
            "Access to the model",
            "who may have and use the model itself, and under which restrictions.",
        ),
    )
