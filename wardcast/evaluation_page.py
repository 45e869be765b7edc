"""An external validation as a person reads it: at the terminal, and as a page that stands by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.primary import PRIMARY, Kind
from features.atomic import written_aside
from features.page import listed, page, picture, table
from features.pictures import html_text, inline_svg
from training.counts import WITHHELD
from wardcast.console import digits_of, say, show_table, with_interval

if TYPE_CHECKING:
    from training.external.evaluate import External

_MEASURES = {
    "risk": ("auroc", "brier", "calibration_in_the_large", "calibration_slope", "ici"),
    "amount": ("d2", "wape", "mae", "r2", "bias", "interval_coverage"),
}
_BESIDE_PRIMARY = {"risk": ("auprc",), "amount": ()}
NOTHING_CHANGED = "Nothing was changed: the model in force predicts as before."


def show_evaluation(document: Mapping[str, Any]) -> None:
    """Metrics, published scores, groups, the recalibration it would take, and warnings."""
    for text in document["warnings"]:
        say(f"Warning: {text}")
    for title, columns, rows in _tables(document):
        show_table(title, columns, rows)
    for text in _recalibration(document):
        say(text)


def write_evaluation_page(external: External, file: Path) -> None:
    """Write the page in one step."""
    with written_aside(file) as fresh:
        fresh.write_text(evaluation_page(external), "utf-8")


def evaluation_page(external: External) -> str:
    """The page's text."""
    document = external.document
    title = f"{document['model']} on {document['data_set']}"
    n = document["n"]
    parts = [
        f"<h1>{html_text(title)}</h1>",
        f"<p>{n['labelled']:,} of {n['rows']:,} index admissions have an outcome of "
        f"{html_text(document['target'])}. Judged are {n['judged']:,}, of {n['patients']:,} patients"
        f"{_left_out(n['unsettled'])}. In brackets or below: "
        "95 % intervals, resampled by patient.</p>",
        *([listed(document["warnings"])] if document["warnings"] else []),
        *(table(*each) for each in _tables(document)),
        *(
            picture(inline_svg(figure, f"{name.replace('_', ' ')} of {title}"), name.replace("_", " "))
            for name, figure in external.figures.items()
        ),
        "<h2>Recalibration</h2>",
        listed(_recalibration(document)),
    ]
    return page(title, parts)


def _left_out(n_unsettled: int | None) -> str:
    if n_unsettled == 0:
        return ""
    number = WITHHELD if n_unsettled is None else f"{n_unsettled:,}"
    return f", without {number} of days of which only the short stays have an outcome yet"


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str], Sequence[Sequence[object]]]]:
    kind: Kind = document["kind"]
    measures = _MEASURES[kind]
    cells = partial(_cells, target=document["target"])
    yield (
        f"{document['model']} on {document['data_set']}",
        ["rows", *measures],
        [[f"{document['n']['judged']:,}", *cells(document["metrics"], measures)]],
    )
    ranked = (PRIMARY[kind].name, *_BESIDE_PRIMARY[kind])
    if document["baselines"]:
        yield (
            "Published scores on the same rows, by their points",
            ["score", "rows", *ranked, "the model is ahead by"],
            [_baseline(name, found, ranked, cells) for name, found in document["baselines"].items()],
        )
    shown = [group for group in document["groups"] if not group["suppressed"]]
    if shown:
        yield (
            "Groups",
            ["group", "level", "rows", *measures],
            [
                [group["group"], group["level"], f"{group['n']:,}", *cells(group["metrics"], measures)]
                for group in shown
            ],
        )
    held = document["recalibration"].get("held_out")
    if held and document["recalibration"]["suggested"] != "none":
        yield (
            f"On {held['n']:,} rows of the other half of the patients",
            ["", *measures],
            [
                ["as it is", *cells(held["metrics"], measures)],
                ["recalibrated", *cells(held["metrics_recalibrated"], measures)],
            ],
        )


def _baseline(
    name: str, found: Mapping[str, Any], ranked: Sequence[str], cells: Callable[..., list[str]]
) -> list[object]:
    if "missing" in found:
        return [name, "", f"not possible: {found['missing']}", *[""] * len(ranked)]
    return [name, f"{found['n']:,}", *cells(found, ranked), with_interval(found["difference"])]


def _cells(metrics: Mapping[str, Any], names: Sequence[str], *, target: str) -> list[str]:
    return [
        with_interval(metrics[name], digits_of(name, target)) if name in metrics else "" for name in names
    ]


def _recalibration(document: Mapping[str, Any]) -> Iterator[str]:
    found = document["recalibration"]
    if "missing" in found:
        yield f"No recalibration can be suggested: {found['missing']}."
        return
    scale = "log-odds of the predicted risk" if document["kind"] == "risk" else "logarithm of the prediction"
    score = found["score"]
    tests = f"score statistic by patient {score['any']:.1f}, of the slope alone {score['slope']:.1f}"
    if found["suggested"] == "none":
        yield f"No recalibration is needed, by {found['n_fitted']:,} rows of half of the patients ({tests})."
    else:
        line = f"{found['intercept']:+.3f} + {found['slope']:.3f} × the {scale}"
        yield f"Suggested, from {found['n_fitted']:,} rows of half of the patients: {line} ({tests})."
        held = found["held_out"]
        error = "Brier score" if document["kind"] == "risk" else "mean absolute error"
        digits = 4 if document["kind"] == "risk" else digits_of("mae", document["target"])
        change = with_interval(held["difference"], digits).replace("\n", ", ")
        yield f"On the other half's {held['n']:,} rows it would change the {error} by {change}."
    yield NOTHING_CHANGED
