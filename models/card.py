"""The model card: what a model is for and must never be used as, what it was made from, how good it was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from models.artefact import Artefact
from models.calibration import KnotsCalibration

LIMITS = (
    "Its reasons are associations in past records. They describe the model, not the patient's biology, "
    "and say nothing about what would happen if something were changed.",
    "The effect of a pathway or a treatment is never read off a reason or a difference of two predictions.",
    "It is never a limit for, a ranking of, or a pay input for one physician.",
    "It does not benchmark providers: its inputs include what the provider influences.",
    "A low risk or a cost alert is no reason for an early discharge. Cost is always shown beside the risks.",
    "A clinician confirms every recommendation.",
)
READING_REASONS = {
    "log_odds": "Contributions are on the log-odds scale and add up with the base value to the raw output, "
    "from which calibration makes the probability. +0.69 about doubles the odds; it does not add 69 points.",
    "log_money": "Contributions are on the scale of log money and add up with the base value to the raw "
    "output, from which calibration makes the expected amount. +0.10 raises it by about 10 %.",
    "log_days": "Contributions are on the scale of log days and add up with the base value to the raw "
    "output, from which calibration makes the expected length of stay. +0.10 raises it by about 10 %.",
}
COMPLICATIONS_REST_ON = {
    "flags": "the codes that the records flag as not present on admission",
    "impossible_codes": "the codes that cannot be present on admission by their definition, since the "
    "records carry no flags of what was",
    "given": "what the extract itself calls a complication",
}


@dataclass(frozen=True)
class Section:
    """A part of the card: its heading and its lines of Markdown; without lines it is left out."""

    title: str
    lines: Sequence[str]

    def __str__(self) -> str:
        return "\n".join((f"## {self.title}", "", *self.lines))


def card(artefact: Artefact, evidence: Sequence[Section] | None = None, *, version: int | None = None) -> str:
    """The card as Markdown. `evidence` stands where the artefact's own metrics would."""
    heading = artefact.name if version is None else f"{artefact.name}, version {version}"
    sections = (
        Section("What must never be claimed", [f"- {limit}" for limit in LIMITS]),
        Section("Data", _data(artefact)),
        Section("Calibration", _calibration(artefact)),
        *([Section("Metrics", _metrics(artefact.metrics))] if evidence is None else evidence),
        Section("Reading the reasons", [READING_REASONS[artefact.scale]]),
        Section("Features", _features(artefact)),
    )
    parts = (f"# {heading}", artefact.intended_use, *(str(section) for section in sections if section.lines))
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table of Markdown, line by line."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def estimate(value: object) -> str:
    """A number with its 95 % interval, given as `{"value", "low", "high"}` or bare; a dash for none."""
    parts = value if isinstance(value, Mapping) else {"value": value}
    found, low, high = (_number(parts.get(name)) for name in ("value", "low", "high"))
    if found is None:
        return "–"
    return found if low is None or high is None else f"{found} ({low} to {high})"


def _number(value: object) -> str | None:
    return f"{value:.4g}" if isinstance(value, int | float) and math.isfinite(value) else None


def _data(artefact: Artefact) -> list[str]:
    context = artefact.context
    codes = ", ".join(f"{kind} {system}" for kind, system in context.code_systems.items())
    training = [f"- {name}: {_words(value)}" for name, value in artefact.training.document().items()]
    return [
        f"- target {artefact.target}, predicted at {artefact.point} "
        f"(the landmark is {artefact.landmark_hours:g} h after admission)",
        *_complications(artefact),
        f"- time zone {context.time_zone}, currency {context.currency}, cost basis {context.cost_basis}",
        *([f"- codes: {codes}"] if codes else []),
        f"- after discharge codes count as known from {artefact.coding_lag_hours:g} h on, totals from "
        f"{artefact.cost_lag_hours:g} h on, where no `known_at` says otherwise",
        *training,
    ]


def _complications(artefact: Artefact) -> list[str]:
    if artefact.target != "complication":
        return []
    meaning = COMPLICATIONS_REST_ON.get(artefact.training.label.get("rests_on", ""))
    return [
        *([f"- its labels rest on {meaning}"] if meaning else []),
        "- the onset of a complication is undated: one before the landmark counts too",
    ]


def _calibration(artefact: Artefact) -> list[str]:
    calibration = artefact.calibration
    if calibration is None:
        return []
    reason = f" ({calibration.reason})" if calibration.reason else ""
    if isinstance(calibration, KnotsCalibration):
        numbers = f"{len(calibration.knots)} knots"
    else:
        named = {name: value for name, value in asdict(calibration).items() if isinstance(value, float)}
        numbers = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in named.items())
    return [f"Method {calibration.method.replace('_', '-')}: {numbers}{reason}."]


def _metrics(metrics: Mapping[str, object]) -> list[str]:
    rows = [(name, estimate(metric)) for name, metric in metrics.items()]
    return table(("metric", "value (95 % interval)"), rows) if rows else []


def _features(artefact: Artefact) -> list[str]:
    rows = [(spec.name, spec.label, spec.unit, spec.available_from) for spec in artefact.features]
    return table(("feature", "meaning", "unit", "known from"), rows)


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
