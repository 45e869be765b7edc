"""External validation: a registered model, as it is, on another data set. Nothing is changed by it.

Collins et al., BMJ 2024;384:e074820 (evaluation of clinical prediction models, part 2).
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.bootstrap import DEFAULT_RESAMPLING, Resampling
from evaluation.evaluate import sample_score
from evaluation.groups import too_small
from features.atomic import folder_beside
from features.build import PatientLevelData, build
from features.catalogue import CATALOGUE, fingerprint
from features.dataset import DataSet
from features.errors import UserError
from features.points import Point
from features.progress import Progress, silent
from features.settings import FeatureSettings
from models.artefact import Artefact
from models.champions import champion_named, load_champion
from models.model import Model, load_model
from models.storage import digest
from training.baselines import SCORES, Baselines
from training.counts import WITHHELD, told
from training.cross_validate import distribution_scores
from training.document import label_rule
from training.exposure import is_exposed
from training.inputs import read_rows
from training.recalibration import suggestion
from training.registry import fetch, registered
from training.results import Judged, assess
from training.split import Rows, labelled_rows, settled_rows
from training.targets import Target, target_at
from training.tracking import connect, has_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


CHANGED_BY_ACTING = "acting on models has changed what they are judged by"
"""Why no recalibration is suggested: it would unlearn that whoever was helped had been at risk."""


class ExternalError(UserError):
    """The model cannot be judged on this data set; the message says why and what to do."""


@dataclass(frozen=True)
class Found:
    """A model to be judged, and what it is called."""

    model_id: str
    model: Model
    digest: str


@dataclass(frozen=True, eq=False)
class External:
    """An external validation: its `document`, and its pictures by name where they were asked for."""

    document: dict[str, Any]
    figures: Mapping[str, Figure]


def find_model(name: str, *, tracking_uri: str, champions: Path) -> Found:
    """The model of a folder with an artefact, of `NAME/VERSION` in the registry, or the champion of `NAME`.

    A registered artefact is read only if its digest is the registered one. Raises ExternalError if there is
    no such model, RegistryError and ArtefactError as the registry does.
    """
    if (Path(name) / "artefact.json").is_file():
        folder = Path(name)
        found = digest(folder)
        return Found(str(folder), load_model(folder, found), found)
    base, slash, version = name.partition("/")
    if slash and version.isdecimal() and has_store(tracking_uri):
        client = connect(tracking_uri)
        entry = registered(client, base, int(version))
        with tempfile.TemporaryDirectory() as scratch:
            return Found(name, load_model(fetch(client, entry, Path(scratch)), entry.digest), entry.digest)
    champion = None if slash else champion_named(champions, name)
    if champion is None:
        raise ExternalError(
            f"{name}: no such model. Name a champion like readmission-discharge, a registered version like "
            "readmission-discharge/2, or an artefact's folder; `wardcast models` lists the champions."
        )
    return Found(champion.model_id, load_champion(champion), champion.digest)


def evaluate_elsewhere(
    found: Found,
    dataset: DataSet,
    *,
    settings: FeatureSettings,
    scratch: Path,
    resampling: Resampling = DEFAULT_RESAMPLING,
    with_figures: bool = False,
    acted_on_from: dt.date | None = None,
    progress: Progress = silent,
) -> External:
    """Judge a model on every settled row of a data set, built with the model's own landmark and lags.

    Acting on models since the day `acted_on_from` has changed labels: no recalibration is then suggested.
    The rows, which are patients', lie in a folder below `scratch` meanwhile; what a killed process left of
    them there is removed first. Raises ExternalError where the model's numbers would mean something else on
    this data set, or too few rows have an outcome.
    """
    artefact = found.model.artefact
    check_context(artefact, dataset)
    own = replace(
        settings,
        landmark_hours=artefact.landmark_hours,
        coding_lag_hours=artefact.coding_lag_hours,
        cost_lag_hours=artefact.cost_lag_hours,
        optional_features=any(
            spec.name in CATALOGUE and CATALOGUE[spec.name].optional for spec in artefact.features
        ),
    )
    with folder_beside(scratch / "evaluate") as folder:
        data = build(dataset, Point(artefact.point), folder / "rows.parquet", settings=own, progress=progress)
        progress(f"judging {found.model_id}", 0, 1)
        judged = judge_elsewhere(
            found,
            data,
            resampling=resampling,
            threads=settings.threads,
            with_figures=with_figures,
            acted_on_from=acted_on_from,
        )
        progress(f"judging {found.model_id}", 1, 1)
    return judged


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


def judge_elsewhere(
    found: Found,
    data: PatientLevelData,
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
    threads: int = 1,
    with_figures: bool = False,
    acted_on_from: dt.date | None = None,
) -> External:
    """The external validation on built rows: see `evaluate_elsewhere`.

    Keys of its document: model, digest, target, prediction_point, data_set, data_hash, n (rows, labelled; of
    these judged, and unsettled, since only the short stays of their days have an outcome yet: None for 1 to
    9, and the other rounded; patients judged), kind, metrics, baselines (published scores on the same rows,
    by their own points), groups, recalibration, warnings.
    """
    model = found.model
    artefact = model.artefact
    target = target_at(artefact.target, data.point)
    _check_label(artefact, data, target)
    frame = read_rows(data, target)
    has_calendar = data.declaration.has_calendar
    is_labelled, _ = labelled_rows(frame, target)
    is_settled = settled_rows(frame, target)[0] if has_calendar and is_labelled.any() else is_labelled
    chosen, n_labelled = np.flatnonzero(is_settled), int(is_labelled.sum())
    rows = frame.iloc[chosen]
    label = target.labels(rows)
    reason = too_small(len(rows), label if target.kind == "risk" else None)
    if reason:
        raise ExternalError(
            f"{data.declaration.name}: {len(rows)} of {len(frame)} rows have a settled outcome of "
            f"{target.name}, {reason}; that is too few to judge a model by. Give an extract that holds "
            "outcomes and is observed until they are known."
        )
    predicted = model.predict(rows, contributions=False, threads=threads)
    crps, pit = distribution_scores(predicted, label)
    judged = Judged(
        rows=chosen,
        value=predicted.value,
        low=predicted.low,
        high=predicted.high,
        crps=crps,
        pit=pit,
        baselines=Baselines({}, {}),
        truncated_at=None,
    )
    evidence = assess(frame, target, judged, resampling, has_calendar=has_calendar)
    if target.kind == "risk":
        evidence["baselines"] = dict(_scores(target, data.point, rows, label, predicted.value, resampling))
    n_judged, n_unsettled = told((len(rows), n_labelled - len(rows)))
    acted_upon = _acted_upon(rows["prediction_time"], acted_on_from)
    document = {
        "model": found.model_id,
        "digest": found.digest,
        "target": target.name,
        "prediction_point": artefact.point,
        "data_set": data.declaration.name,
        "data_hash": data.data_hash,
        "n": {
            "rows": len(frame),
            "labelled": n_labelled,
            "judged": n_judged,
            "unsettled": n_unsettled,
            "patients": int(rows["patient_id"].nunique()),
        },
        **evidence,
        "recalibration": {"missing": CHANGED_BY_ACTING}
        if acted_upon
        else suggestion(target.kind, predicted.value, label, rows["patient_id"], resampling),
        "warnings": [
            *_missing_facts(artefact, data),
            *_overlaps(artefact, data, frame, chosen),
            *acted_upon,
        ],
    }
    figures: Mapping[str, Figure] = {}
    if with_figures:
        from training.report.figures import judged_figures

        currency = artefact.context.currency
        figures = judged_figures(target, currency, label, judged, rows["patient_id"], resampling)
    return External(document, figures)


def _acted_upon(prediction_time: pd.Series, acted_on_from: dt.date | None) -> list[str]:
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


def _check_label(artefact: Artefact, data: PatientLevelData, target: Target) -> None:
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


def _missing_facts(artefact: Artefact, data: PatientLevelData) -> Iterator[str]:
    there = {feature.name for feature in data.features}
    missing = [spec.name for spec in artefact.features if spec.is_fact and spec.name not in there]
    if missing:
        yield (
            f"Judged without {', '.join(missing)}, which the extract that the model learned from supplied "
            "and this one does not."
        )


def _scores(
    target: Target,
    point: Point,
    rows: pd.DataFrame,
    label: NDArray[np.float64],
    value: NDArray[np.float64],
    resampling: Resampling,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Published scores as they are: ranked by their points, nothing fitted."""
    for score in SCORES:
        if score.is_for_discharge and not (target.name == "readmission" and point is Point.DISCHARGE):
            continue
        if score.feature not in rows.columns:
            yield score.name, {"missing": score.missing}
            continue
        points = rows[score.feature].to_numpy(dtype=np.float64, na_value=np.nan)
        has = ~np.isnan(points)
        reason = too_small(int(has.sum()), label[has])
        if reason:
            yield score.name, {"missing": f"rows that have it ({reason})"}
            continue
        patients = rows["patient_id"][has]
        theirs = sample_score(label[has], points[has], patients, resampling)
        ours = sample_score(label[has], value[has], patients, resampling)
        yield (
            score.name,
            {
                "n": int(has.sum()),
                "share_scored": float(has.mean()),
                **theirs.metrics(),
                "difference": ours.minus(theirs).metric("auroc"),
            },
        )


def _overlaps(
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
