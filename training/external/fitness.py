"""Whether a model's numbers mean the same on another data set: what refuses it, and what is warned of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict

import pandas as pd

from features.build import PatientLevelData
from features.catalogue import fingerprint
from features.dataset import DataSet
from models.artefact import Artefact
from training.counts import WITHHELD, told
from training.document import label_rule
from training.external import ExternalError
from training.split import Rows
from training.targets import Target
from training.validation.exposure import is_exposed

MOST_LABELS = 5
"""Of features, that a warning names."""


def check_context(artefact: Artefact, dataset: DataSet) -> None:
    """Raises ExternalError where the model's inputs or its money mean something else in this data set."""
    names = [spec.name for spec in artefact.features if not spec.is_fact]
    if fingerprint(names) != artefact.fingerprint:
        raise ExternalError(
            f"{artefact.name}: trained on features that this version computes differently. Train it again, "
            "or evaluate it with the version that trained it."
        )
    declared = dataset.declaration
    context = asdict(artefact.context)
    here = {
        "currency": declared.currency,
        "cost_basis": declared.cost_basis,
        "code_systems": declared.code_systems.model_dump(exclude_none=True),
    }
    differing = [
        f"{name} {_words(context[name])} (here {_words(value)})"
        for name, value in here.items()
        if context[name] != value
    ]
    if (artefact.training.timeline == "none") == declared.has_timeline:
        there, this = ("without", "has") if declared.has_timeline else ("with", "has no")
        differing.append(f"records {there} dates (this data set {this} dates)")
    if differing:
        raise ExternalError(
            f"{artefact.name}: learned from {'; '.join(differing)}. Its predictions mean nothing here: map "
            "the extract to the model's codes and currency, or train a model of this data set."
        )


def check_label(artefact: Artefact, data: PatientLevelData, target: Target) -> None:
    """Raises ExternalError where the model's labels came about by another rule than this data set's."""
    here, there = label_rule(data, target), artefact.training.label
    differing = [
        f"{name} {_words(there.get(name))} (here {_words(here.get(name))})"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
    if differing:
        raise ExternalError(
            f"{artefact.name}: its labels follow another rule: {'; '.join(differing)}. Set the same windows "
            "(`wardcast settings`), or give an extract whose outcomes mean the same."
        )


def acted_upon(prediction_time: pd.Series, acted_on_from: dt.date | None) -> list[str]:
    """A warning where labels of judged rows were changed by acting on models; none where they were not."""
    if acted_on_from is None:
        return []
    since = is_exposed(prediction_time, acted_on_from)
    n_since, n_before = (int(part.sum()) for part in (since, ~since))
    if not n_since:
        return []
    told_since = told((n_since, n_before))[0]
    number = WITHHELD if told_since is None else f"{told_since:,}"
    return [
        f"{number} of the judged rows lie on or after {acted_on_from}, since when models are acted upon: who "
        "was helped because the risk was high may not come back, and a model that was right looks wrong. "
        "Give an extract of before it, or, of a hospital where nobody acts on models, --acted-on-from with a "
        "later day."
    ]


def missing_facts(artefact: Artefact, data: PatientLevelData) -> Iterator[str]:
    """A warning where the extract lacks facts that the model's own supplied."""
    there = {feature.name for feature in data.features}
    missing = [spec.name for spec in artefact.features if spec.is_fact and spec.name not in there]
    if missing:
        yield (
            f"Judged without {', '.join(missing)}, which the extract that the model learned from supplied "
            "and this one does not."
        )


def missing_everywhere(artefact: Artefact, rows: pd.DataFrame) -> Iterator[str]:
    """A warning where features that the model learned from are missing in every judged row."""
    labels = [
        spec.label
        for spec in artefact.features
        if not spec.is_fact and spec.name in rows and rows[spec.name].isna().all()
    ]
    if labels:
        shown = ", ".join(labels[:MOST_LABELS]) + (", …" if len(labels) > MOST_LABELS else "")
        yield (
            f"{len(labels)} of its {len(artefact.features)} features are missing in every judged row "
            f"({shown}): this data set does not hold what the model learned from, and it is judged without."
        )


def overlaps(
    artefact: Artefact, data: PatientLevelData, frame: pd.DataFrame, labelled: Rows
) -> Iterator[str]:
    """Where what is judged may be what was learned from: a model holds no identifiers, so dates must tell."""
    facts, test_from = artefact.training.facts, artefact.training.test_from
    if facts.get("data_hash") == data.data_hash:
        yield "This is the very data set that the model was trained on: this is no external validation."
    if test_from is None or not data.declaration.has_calendar:
        yield (
            "No dates tell whether the judged admissions are later than those that the model learned from: "
            "make sure that they are other patients'."
        )
        return
    times = pd.to_datetime(frame["prediction_time"])
    is_early = (times < pd.Timestamp(test_from)).to_numpy()
    n_early = int(is_early[labelled].sum())
    if n_early:
        yield (
            f"{n_early:,} of {len(labelled):,} judged rows lie before {test_from}, in the time that the "
            "model learned from. Where they are of the hospital that it learned from, it has seen them: give "
            "an extract of later admissions."
        )
    later = frame["patient_id"].iloc[labelled[~is_early[labelled]]]
    n_known = int(later[later.isin(frame["patient_id"][is_early])].nunique())
    if n_known:
        yield (
            f"{n_known:,} of {later.nunique():,} patients judged from {test_from} on were admitted before it "
            "too: where the hospital is the same, the model may have learned from them."
        )


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items()) or "none"
    return "none" if value is None else str(value)
