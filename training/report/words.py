"""Numbers and measures as a reader sees them: plain names, few digits, intervals in brackets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from training.counts import WITHHELD

METRICS = {
    "auroc": "AUROC (0.5 chance, 1 perfect)",
    "auprc": "AUPRC (prevalence is chance)",
    "prevalence": "Prevalence of the outcome",
    "brier": "Brier score (0 perfect)",
    "scaled_brier": "Scaled Brier score (0 no better than the prevalence, 1 perfect)",
    "calibration_in_the_large": "Calibration-in-the-large (0 ideal; above 0, risks are too low)",
    "calibration_slope": "Calibration slope (1 ideal; below 1, predictions are too extreme)",
    "ici": "Integrated calibration index (0 ideal; its interval lies too high)",
    "observed_expected_ratio": "Observed ÷ expected (1 ideal)",
    "sensitivity": "Sensitivity",
    "ppv": "Positive predictive value",
    "alerts_per_week": "Flagged in a week",
    "alert_share": "Share flagged",
    "net_benefit": "Net benefit",
    "net_benefit_of_all": "Net benefit of flagging everyone",
    "mae": "Mean absolute error",
    "mdae": "Median absolute error",
    "wape": "WAPE: absolute error ÷ actual total (0 perfect)",
    "r2": "R² (0 no better than the mean, 1 perfect)",
    "d2": "D², deviance explained (0 no better than the mean, 1 perfect)",
    "bias": "Predicted ÷ actual total (1 ideal)",
    "crps": "CRPS of the predictive distribution (0 perfect)",
    "interval_coverage": "Share of actual amounts within the interval",
    "interval_width": "Mean width of the interval",
    "interval_width_median": "Median width of the interval",
    "interval_open_share": "Share of intervals without an upper end",
}
BASELINES = {
    "lace": "LACE index",
    "hospital": "HOSPITAL score",
    "prior_admissions": "Admissions in the year before",
    "logistic": "Logistic regression on the same features",
    "gamma": "Gamma regression on the same features",
    "overall_mean": "Mean of everyone",
    "group_mean": "Mean of the admitting diagnosis group",
}
SHORT_BASELINES = {"lace": "LACE", "hospital": "HOSPITAL"}
"""In pictures; the others are called what they are called."""
TARGETS = {
    "cost": "cost of the episode",
    "charges": "charges of the stay",
    "stay_days": "length of stay",
}
STEPS = {
    "training": "the rows that the trees grew on",
    "stopping": "the rows that said when to stop growing",
    "calibration": "the rows that the calibration was fitted on",
    "test": "the test: rows not used before, of patients whom the trees did not learn from",
}
GROUPS = {"age_band": "age", "earlier_stay": "earlier stay"}


def metric_name(name: str) -> str:
    """A measure's name in words, with the threshold or the capacity that it is taken at."""
    plain, at = re.fullmatch(r"(.*?)(?:_at_(.+))?", name).groups()  # type: ignore[union-attr]
    if at is None:
        return METRICS.get(plain, plain)
    where = "at the capacity" if at == "capacity" else f"at a threshold of {at}"
    return f"{METRICS.get(plain, plain)}, {where}"


def target_name(name: str) -> str:
    """What is predicted, in words."""
    return TARGETS.get(name, name)


def group_name(name: str) -> str:
    """What a column of groups tells patients apart by."""
    return GROUPS.get(name, name.replace("_", " "))


def short_name(name: str) -> str:
    """A measure's name for the head of a column: without what it is held against."""
    return re.split(r" \(|:", metric_name(name))[0]


def counted(n: int, thing: str) -> str:
    """`1 warning`, `2 warnings`."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def number(value: object) -> str:
    """A number with three digits or its whole part, thousands apart; a dash for none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def number_or_few(count: int | None) -> str:
    """A count; None is one of 1 to 9, which is withheld."""
    return WITHHELD if count is None else number(count)


def count_or_withheld(count: int | None) -> str:
    """A count; None is one that is withheld, since it or what it leaves is of 1 to 9."""
    return "a withheld number of" if count is None else number(count)


def percent(value: object) -> str:
    """A share as a percentage; a dash for none."""
    return f"{value:.1%}" if isinstance(value, int | float) and math.isfinite(value) else "–"


def estimate(value: object) -> str:
    """A number with its 95 % interval in brackets; why there is none, if the results say so."""
    parts = value if isinstance(value, Mapping) else {"value": value}
    if parts.get("value") is None and parts.get("reason"):
        return f"– ({parts['reason']})"
    found, low, high = (number(parts.get(name)) for name in ("value", "low", "high"))
    return found if "–" in (low, high) else f"{found} ({low} to {high})"


def words_of_score(name: str) -> str:
    """The name of the score that a search minimises."""
    return name.replace("_", " ")


def words_of(value: object) -> str:
    """Nested settings as a phrase."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words_of(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(words_of(inner) for inner in value) or "none"
    return number(value) if isinstance(value, float) else str(value)


def unit_words(unit: str, currency: str) -> str:
    """What an amount is counted in: the currency, or days."""
    return {"money": currency, "days": "days"}.get(unit, "")
