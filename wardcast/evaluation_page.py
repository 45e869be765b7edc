"""An external validation as a person reads it: at the terminal, and as a page that stands by itself.

Tables, names of measures, captions and numbers are those of a model's report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.primary import PRIMARY, Kind
from features.atomic import written_aside
from features.page import banner, listed, page, picture, table
from features.pictures import html_text, inline_svg
from models.measures import difference, estimate, short_name
from models.words import (
    group_name,
    made_up,
    made_up_warning,
    model_title,
    outcome_words,
    plain_words,
    unit_words,
)
from training.counts import WITHHELD
from wardcast.console import say, show_table

if TYPE_CHECKING:
    from training.external.evaluate import External

_MEASURES: Mapping[Kind, Sequence[str]] = {
    "risk": ("auroc", "brier", "calibration_in_the_large", "calibration_slope", "ici"),
    "amount": ("d2", "wape", "mae", "r2", "bias", "interval_coverage"),
}
_GROUP_MEASURES: Mapping[Kind, Sequence[str]] = {
    "risk": ("auroc", "calibration_in_the_large", "calibration_slope"),
    "amount": ("wape", "bias", "interval_coverage"),
}
_BESIDE_PRIMARY: Mapping[Kind, Sequence[str]] = {"risk": ("auprc",), "amount": ()}
NOTHING_CHANGED = "Nothing was changed: the model in force predicts as before."
Table = tuple[str, Sequence[str], Sequence[Sequence[object]]]


def show_evaluation(document: Mapping[str, Any]) -> None:
    """Metrics, simple scores, groups, the recalibration it would take, and warnings."""
    if warning := _made_up(document):
        say(f"Warning: {warning}")
    for text in document["warnings"]:
        say(f"Warning: {text}")
    measures = _MEASURES[document["kind"]]
    cells = _cells(document, document["metrics"], measures, between="\n")
    title = f"{document['model']} on {document['data_set']}"
    show_table(title, ["rows", *map(short_name, measures)], [[f"{document['n']['judged']:,}", *cells]])
    for caption, columns, rows in _tables(document, between="\n"):
        show_table(caption, columns, rows)
    for text in _recalibration(document):
        say(text)


def write_evaluation_page(external: External, file: Path) -> None:
    """Write the page in one step."""
    with written_aside(file) as fresh:
        fresh.write_text(evaluation_page(external), "utf-8")


def evaluation_page(external: External) -> str:
    """The page's text."""
    from training.report.parts import groups_note, metrics_table
    from training.report.performance import CAPTIONS, INTERVAL_NOTE

    document = external.document
    kind: Kind = document["kind"]
    name = f"{document['model']} on {document['data_set']}"
    title = f"{model_title(document['target'], document['prediction_point'])}: {name}"
    measured = f"On {document['n']['judged']:,} rows. {INTERVAL_NOTE}"
    groups = document["groups"]
    parts = [
        f"<h1>{html_text(title)}</h1>",
        banner(_made_up(document)),
        _judged(document),
        listed(document["warnings"]) if document["warnings"] else "",
        metrics_table(measured, document["metrics"], _MEASURES[kind], unit=_unit(document)),
        *(table(*each) for each in _tables(document, note=groups_note(groups))),
        *(
            picture(inline_svg(figure, f"{plain_words(drawn)} of {name}"), CAPTIONS[kind].get(drawn, drawn))
            for drawn, figure in external.figures.items()
        ),
        "<h2>Recalibration</h2>",
        listed(_recalibration(document)),
    ]
    return page(title, filter(None, parts))


def _made_up(document: Mapping[str, Any]) -> str:
    """A warning where the records that the model learned from, or is judged on, are of nobody."""
    learned, judged = document.get("model_source"), document.get("data_source")
    if made_up(judged):
        both = "The model learned from, and is judged on," if made_up(learned) else "The model is judged on"
        return made_up_warning(judged, what=both)
    return made_up_warning(learned)


def _judged(document: Mapping[str, Any]) -> str:
    """Which rows are judged, and which are not."""
    n, outcome = document["n"], outcome_words(document["target"], document.get("label", {}))
    text = (
        f"{n['labelled']:,} of {n['rows']:,} index admissions have a known outcome: {outcome}. Judged are "
        f"{n['judged']:,}, of {n['patients']:,} patients{_left_out(n['unsettled'])}. In brackets: 95 % "
        "intervals, resampled by patient."
    )
    return f"<p>{html_text(text)}</p>"


def _left_out(n_unsettled: int | None) -> str:
    if n_unsettled == 0:
        return ""
    number = WITHHELD if n_unsettled is None else f"{n_unsettled:,}"
    return f", without {number} of days of which only the short stays have an outcome yet"


def _tables(document: Mapping[str, Any], *, between: str = " ", note: str = "") -> Iterator[Table]:
    """Simple scores, groups with a `note`, recalibration; `between` stands between value and interval."""
    kind: Kind = document["kind"]
    primary = PRIMARY[kind].name
    ranked = (primary, *_BESIDE_PRIMARY[kind])
    if document["baselines"]:
        yield (
            "Simple scores, ranked by their points, each on the rows that have it. The difference is on "
            "these rows alone: it is not that of the values shown where the model is judged on more",
            [
                "score",
                "rows that have it",
                *map(short_name, ranked),
                f"{short_name(primary)}: model minus score",
            ],
            [
                _baseline(name, found, document, ranked, between)
                for name, found in document["baselines"].items()
            ],
        )
    shown = [group for group in document["groups"] if not group["suppressed"]]
    if shown:
        measures = _GROUP_MEASURES[kind]
        yield (
            f"By group. {note}" if note else "By group",
            ["group", "level", "rows", *map(short_name, measures)],
            [
                [
                    group_name(group["group"]),
                    plain_words(str(group["level"])),
                    f"{group['n']:,}",
                    *_cells(document, group["metrics"], measures, between=between),
                ]
                for group in shown
            ],
        )
    held = document["recalibration"].get("held_out")
    if held and document["recalibration"]["suggested"] != "none":
        # Intervals are not recalibrated.
        measures = [
            name for name in _MEASURES[kind] if (held["metrics"].get(name) or {}).get("value") is not None
        ]
        yield (
            f"On {held['n']:,} rows of the other half of the patients",
            ["", *map(short_name, measures)],
            [
                ["as it is", *_cells(document, held["metrics"], measures, between=between)],
                ["recalibrated", *_cells(document, held["metrics_recalibrated"], measures, between=between)],
            ],
        )


def _baseline(
    name: str, found: Mapping[str, Any], document: Mapping[str, Any], ranked: Sequence[str], between: str
) -> list[object]:
    from training.report.words import BASELINES

    label = BASELINES.get(name, plain_words(name))
    if "missing" in found:
        return [label, "", f"not possible: {found['missing']}", *[""] * len(ranked)]
    ahead = difference(ranked[0], found["difference"], _unit(document), between=between)
    return [label, f"{found['n']:,}", *_cells(document, found, ranked, between=between), ahead]


def _cells(
    document: Mapping[str, Any], metrics: Mapping[str, Any], names: Sequence[str], *, between: str
) -> list[str]:
    unit = _unit(document)
    return [estimate(name, metrics[name], unit, between=between) if name in metrics else "" for name in names]


def _unit(document: Mapping[str, Any]) -> str:
    """What an amount is counted in; empty for a risk."""
    from training.targets import TARGETS

    return unit_words(TARGETS[document["target"]].unit, document.get("currency") or "")


def _recalibration(document: Mapping[str, Any]) -> Iterator[str]:
    from training.external.recalibration import CHI_SQUARE_95

    found = document["recalibration"]
    if "missing" in found:
        yield f"No recalibration can be suggested: {found['missing']}."
        return
    scale = "log-odds of the predicted risk" if document["kind"] == "risk" else "logarithm of the prediction"
    score = found["score"]
    rows = f"{found['n_fitted']:,} rows of half of the patients"
    if found["suggested"] == "none":
        yield f"No recalibration is needed, by {rows}."
    else:
        line = f"{found['intercept']:+.3f} + {found['slope']:.3f} × the {scale}"
        yield f"Suggested, from {rows}: {line}."
        held = found["held_out"]
        error = "brier" if document["kind"] == "risk" else "mae"
        named = "Brier score" if error == "brier" else "mean absolute error"
        change = difference(error, held["difference"], _unit(document))
        yield f"On the other half's {held['n']:,} rows it would change the {named} by {change}."
    yield (
        "How that was decided: predictions and outcomes disagree by more than chance where the score "
        f"statistic, taken by patient, reaches {CHI_SQUARE_95[2]:.1f} for any change (found: "
        f"{score['any']:.1f}) and {CHI_SQUARE_95[1]:.1f} for the slope beside a shift (found: "
        f"{score['slope']:.1f})."
    )
    yield NOTHING_CHANGED
