"""The model card: what a model is for, what it was made from, how good it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEVER = """\
- Reasons describe the model, not the patient's biology: they are associations, never effects of a treatment.
- Never a limit for, a ranking of, or a pay input for one physician.
- A clinician confirms every recommendation. A low risk is no reason for an early discharge."""


def card(artefact: Mapping[str, Any]) -> str:
    """The card as Markdown, from the artefact's content as plain values."""
    context, calibration = artefact["context"], artefact["calibration"]
    lines = [
        f"# {artefact['name']}",
        "",
        artefact["intended_use"],
        "",
        "## It must not be used as",
        "",
        NEVER,
        "",
        "## Made from",
        "",
        *(f"- {name}: {_plain(value)}" for name, value in artefact["training"].items()),
        f"- currency {context['currency']}, cost basis {context['cost_basis']}, "
        f"time zone {context['time_zone']}, codes {_plain(context['code_systems'])}",
        f"- landmark {artefact['landmark_hours']:g} h after admission; {len(artefact['features'])} features",
        "",
        "## Calibration",
        "",
        f"intercept {calibration['intercept']:.4f}, slope {calibration['slope']:.4f}"
        + (f" ({calibration['reason']})" if calibration["reason"] else ""),
        "",
        "## Metrics",
        "",
        *_metrics(artefact["metrics"]),
        "",
        "## Features",
        "",
        "| feature | meaning | unit | known from |",
        "|---|---|---|---|",
        *(
            f"| {spec['name']} | {spec['label']} | {spec['unit']} | {spec['available_from']} |"
            for spec in artefact["features"]
        ),
    ]
    return "\n".join(lines) + "\n"


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    rows = ["| metric | value | 95 % interval |", "|---|---|---|"]
    for name, metric in metrics.items():
        if isinstance(metric, Mapping) and "value" in metric:
            ends = f"{_number(metric.get('low'))} – {_number(metric.get('high'))}"
            rows.append(f"| {name} | {_number(metric['value'])} | {ends} |")
    return rows if len(rows) > 2 else ["None recorded."]


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "–"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
