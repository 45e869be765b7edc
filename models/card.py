"""The model card: what a model is for and must never be used as, what it was made from, how good it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from models.artefact import Artefact
from models.calibration import KnotsCalibration
from models.distribution import FEWEST_SHAPE_ROWS, Distribution
from models.measures import amount, estimate, measure_name, percent
from models.words import made_up_warning, model_title, outcome_words, unit_of_feature, unit_words

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
    "from which calibration makes the probability. Before calibration, +0.69 about doubles the odds; it does "
    "not add 69 points.",
    "log_money": "Contributions are on the scale of log money and add up with the base value to the raw "
    "output, from which calibration makes the expected amount. +0.10 raises the typical (median-like) amount "
    "by about 10 % at equal spread; the spread has trees of its own, which contributions do not explain.",
    "log_days": "Contributions are on the scale of log days, each stay half a day longer, and add up with "
    "the base value to the raw output, from which calibration makes the expected length of stay. +0.10 "
    "raises the typical (median-like) stay by about 10 % at equal spread; the spread has trees of its own, "
    "which contributions do not explain.",
}
GROUP_FEATURES = {
    "sex": "sex",
    "age_years": "age",
    "payer": "payer",
    "admission_department": "department of admission",
    "discharge_department": "department of discharge",
    "n_stays_prior_365d": "earlier stays",
}
"""Features that tell apart the groups of patients that a model is judged in."""
ICI_INTERVAL = (
    "The interval of the ICI lies too high: it is a mean of absolute distances, and resampling adds to them. "
    "That it ends above 0 does not show a fault."
)
ASSUMED = (
    "The capacity and the thresholds that measures are taken at are assumed, not asked of this hospital."
)
TOLD_APART = ("groups", "findings")
"""Facts of training with places of their own on the card."""
COMPLICATIONS_REST_ON = {
    "flags": "the codes that the records flag as not present on admission",
    "impossible_codes": "the codes that cannot be present on admission by their definition, since the "
    "records carry no flags of what was",
    "given": "what the extract itself calls a complication",
}


def group_inputs(artefact: Artefact) -> str:
    """Which of what tells groups of patients apart the model reads, in words; empty for none of it."""
    read = {spec.name for spec in artefact.features}
    *others, last = [words for name, words in GROUP_FEATURES.items() if name in read] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def band_cuts(artefact: Artefact) -> str:
    """Where the bands are cut: risks as percentages, amounts in their unit."""
    unit = unit_words(artefact.unit, artefact.context.currency)
    return " and ".join(
        percent(cut) if artefact.kind == "risk" else amount(cut, unit) for cut in artefact.bands
    )


def interval_words(distribution: Distribution) -> str:
    """What the interval of an amount promises, what it rests on, and when the promise holds."""
    side = (1 - distribution.level) / 2
    by = distribution.group_feature.replace("_", " ")
    alike = f"of one {by} and a like spread" if by else "of a like spread"
    return (
        f"made to hold {distribution.level:.0%} of actual amounts, with {side:.0%} beyond it on either side: "
        f"conformal, from normalised residuals of calibration rows {alike}, where these are "
        f"{FEWEST_SHAPE_ROWS} or more. That holds on average, and if later patients are like those of the "
        "calibration"
    )


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
    warning = made_up_warning(artefact.training.facts.get("source"))
    sections = (
        Section("What to watch", [f"- {finding}" for finding in artefact.training.facts.get("findings", ())]),
        Section("What must never be claimed", [f"- {limit}" for limit in LIMITS]),
        Section("Data", _data(artefact)),
        Section("Calibration", _calibration(artefact)),
        *([Section("Metrics", _metrics(artefact))] if evidence is None else evidence),
        Section("Reading the reasons", [READING_REASONS[artefact.scale]]),
        Section("Features", _features(artefact)),
    )
    parts = (
        f"# {heading}",
        *([f"**{warning}**"] if warning else []),
        f"{model_title(artefact.target, artefact.point)}. {artefact.intended_use}",
        *(str(section) for section in sections if section.lines),
    )
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table of Markdown, line by line; what would end a cell or a line in a name does not."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def _cell(value: object) -> str:
    return " ".join(str(value).splitlines()).replace("|", r"\|")


def reading_notes(metrics: Mapping[str, object]) -> list[str]:
    """What must be known to read these measures, one line each."""
    return [
        *([f"- {ICI_INTERVAL}"] if "ici" in metrics else []),
        *([f"- {ASSUMED}"] if any("_at_" in name for name in metrics) else []),
    ]


def _data(artefact: Artefact) -> list[str]:
    context = artefact.context
    codes = ", ".join(f"{kind} {system}" for kind, system in context.code_systems.items())
    training = [
        f"- {name}: {_words(value)}"
        for name, value in artefact.training.document().items()
        if name not in TOLD_APART
    ]
    return [
        f"- outcome: {outcome_words(artefact.target, artefact.training.label)}",
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
        interval = artefact.distribution
        return [] if interval is None else [f"The interval is {interval_words(interval)}."]
    reason = f" ({calibration.reason})" if calibration.reason else ""
    if isinstance(calibration, KnotsCalibration):
        numbers = f"{len(calibration.knots)} knots"
    else:
        named = {name: value for name, value in asdict(calibration).items() if isinstance(value, float)}
        numbers = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in named.items())
    return [f"Method {calibration.method.replace('_', '-')}: {numbers}{reason}."]


def _metrics(artefact: Artefact) -> list[str]:
    metrics, unit = artefact.metrics, unit_words(artefact.unit, artefact.context.currency)
    rows = [(measure_name(name), estimate(name, metric, unit)) for name, metric in metrics.items()]
    notes = reading_notes(metrics)
    return (
        [*table(("metric", "value (95 % interval)"), rows), *(["", *notes] if notes else [])] if rows else []
    )


def _features(artefact: Artefact) -> list[str]:
    currency = artefact.context.currency
    rows = [
        (spec.name, spec.label, unit_of_feature(spec.unit, currency), spec.available_from)
        for spec in artefact.features
    ]
    return table(("feature", "meaning", "unit", "known from"), rows)


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
