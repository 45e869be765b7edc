"""What validation, search and other ways of use showed, in sentences: above all what lies beyond margins.

The gate judges the test alone. A hospital left out or an earlier hour may be far off all the same: that is
told where limits are read, not only in a table further down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.margins import margin, margins_off
from models.measures import estimate, number, percent, short_name
from models.words import group_name, plain_words

LEVELS = {
    "risk": ("calibration_in_the_large", "calibration_slope"),
    "amount": ("bias", "interval_coverage"),
}
"""Measures with a margin, by what is predicted."""


@dataclass(frozen=True)
class Finding:
    """A sentence, and whether it tells of something beyond the margins."""

    text: str
    is_beyond: bool


def findings_in_words(results: Mapping[str, Any]) -> list[str]:
    """What the search found, and the worst hospital, period and other use, a sentence each.

    `results` is the document of results of training; what was not done has no sentence.
    """
    return [finding.text for finding in findings(results)]


def to_watch(results: Mapping[str, Any], level: float | None = None) -> list[str]:
    """What lies beyond the margins, and groups that intervals miss: what limits and card must tell.

    `level` as in `findings`.
    """
    beyond = [finding.text for finding in findings(results, level) if finding.is_beyond]
    return [*beyond, *_groups_missed(results, level or _level(results))]


def findings(results: Mapping[str, Any], level: float | None = None) -> list[Finding]:
    """Search, hospitals left out, earlier periods, other uses: the worst of each by the gate's margins.

    `level` is the share that intervals promise to hold, by default what the results say of it.
    """
    level = level or _level(results)
    kind = str(results.get("kind", ""))
    found = [Finding(text, is_beyond=False) for text in _search(results.get("tuning"))]
    for words, entries in (
        ("Hospital {name}, judged by a model that has not seen it", _hospitals(results)),
        ("The period {name}, judged by a model of the time before it", _periods(results)),
        ("Used otherwise, {name}", _uses(results)),
    ):
        found += _worst(words, entries, kind, level)
    return found


def groups_missed(results: Mapping[str, Any], level: float | None) -> list[Mapping[str, Any]]:
    """The groups whose whole interval of the coverage misses the share that intervals promise."""
    if level is None:
        return []
    missed = []
    for group in results.get("groups") or ():
        coverage = (group.get("metrics") or {}).get("interval_coverage") or {}
        low, high = coverage.get("low"), coverage.get("high")
        if low is not None and high is not None and not low <= level <= high:
            missed.append(group)
    return sorted(missed, key=lambda group: -abs(group["metrics"]["interval_coverage"]["value"] - level))


def _level(results: Mapping[str, Any]) -> float | None:
    level = (results.get("distribution") or {}).get("level")
    return None if level is None else float(level)


def _groups_missed(results: Mapping[str, Any], level: float | None) -> Iterator[str]:
    missed = groups_missed(results, level)
    if missed and level is not None:
        told = ", ".join(
            f"{group_name(group['group'])} {plain_words(str(group['level']))} "
            f"{estimate('interval_coverage', group['metrics']['interval_coverage'])}"
            for group in missed
        )
        yield (
            f"Look at the intervals of these groups: they hold clearly more or fewer actual amounts than the "
            f"{percent(level)} that are promised: {told}."
        )


def _search(tuning: Mapping[str, Any] | None) -> Iterator[str]:
    if tuning:
        n = tuning.get("n_trials", len(tuning.get("trials", ())))
        why = tuning.get("reason") or "the best of them was taken"
        ended = " Time ended it." if tuning.get("stopped_by") == "time" else ""
        yield f"Search of settings: {n} trial{'' if n == 1 else 's'}; {why}.{ended}"


Entries = Sequence[tuple[str, Mapping[str, Any]]]


def _hospitals(results: Mapping[str, Any]) -> Entries:
    return [(str(entry["hospital"]), entry) for entry in results.get("by_hospital") or ()]


def _periods(results: Mapping[str, Any]) -> Entries:
    return [(f"{entry['from']} to {entry['until']}", entry) for entry in results.get("back_test") or ()]


def _uses(results: Mapping[str, Any]) -> Entries:
    asked = [
        (f"asked {entry['hours_after_admission']:g} h after admission", entry)
        for entry in results.get("asked_earlier") or ()
    ]
    deaths = results.get("deaths_as_not_readmitted")
    return [*asked, *([("deaths in hospital counted as not readmitted", deaths)] if deaths else [])]


def _worst(words: str, entries: Entries, kind: str, level: float | None) -> Iterator[Finding]:
    """The entry that lies furthest off, by the measure by which it does, and how many lie beyond."""
    off = {
        (name, measure): margins_off(measure, value, level)
        for name, entry in entries
        for measure in LEVELS.get(kind, ())
        if (value := _value(entry, measure)) is not None
    }
    off = {key: distance for key, distance in off.items() if not math.isnan(distance)}
    if not off:
        return
    # A value on a margin's own edge passes, as in the gate.
    beyond = {name for (name, _), distance in off.items() if distance > 1 + 1e-9}
    name, measure = max(off, key=lambda key: off[key])
    entry = dict(entries)[name]
    ends = margin(measure, level)
    assert ends is not None
    found = estimate(measure, entry["metrics"][measure])
    rows = f" on {entry['n']:,} rows" if entry.get("n") is not None else ""
    judged = {name for name, _ in off}
    span = f"{number(measure, ends[0])} to {number(measure, ends[1])}"
    what = f"{words.format(name=name)}: {short_name(measure)} {found}{rows}"
    others = f" ({len(beyond)} of {len(judged)} lie beyond such margins; this is the worst)"
    if beyond:
        value = _value(entry, measure) or 0.0
        many = others if len(judged) > 1 else ""
        yield Finding(f"{what}, beyond {span}: {_meaning(measure, value, level)}{many}.", is_beyond=True)
    else:
        worst = f", the worst of {len(judged)}" if len(judged) > 1 else ""
        yield Finding(f"{what}, within {span}{worst}.", is_beyond=False)


def _value(entry: Mapping[str, Any], measure: str) -> float | None:
    value = ((entry.get("metrics") or {}).get(measure) or {}).get("value")
    return None if value is None else float(value)


def _meaning(measure: str, value: float, level: float | None) -> str:
    """What a value beyond its margin means for a prediction."""
    if measure == "bias":
        return f"amounts are {abs(value - 1):.0%} too {'low' if value < 1 else 'high'}"
    if measure == "calibration_in_the_large":
        return f"risks are too {'low' if value > 0 else 'high'}"
    if measure == "calibration_slope":
        return "predictions are too extreme" if value < 1 else "predictions are not extreme enough"
    few = level is not None and value < level
    return f"intervals hold too {'few' if few else 'many'} actual amounts"
