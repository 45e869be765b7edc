"""The cohort flow: how stays become index admissions, counted step by step, and its diagram."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import duckdb

from features.cohort import steps
from features.dataset import Declaration
from features.pictures import html_text
from features.points import Point
from features.settings import FeatureSettings


@dataclass(frozen=True)
class FlowStep:
    """One line of the cohort flow: how many episodes or rows, and why. Who leaves counts below zero."""

    step: str
    meaning: str
    n: int


def count_flow(con: duckdb.DuckDBPyConnection) -> Counter[str]:
    """The counts of one bucket that was laid out, by step."""
    counts: Counter[str] = Counter()
    for sql in (
        "SELECT 'stays', count(*) FROM stays",
        """SELECT CASE WHEN status = 'cancelled' THEN 'cancelled'
                       WHEN booked_at IS NULL THEN 'no_booking_time' ELSE 'booked' END, count(*)
           FROM stays WHERE status IN ('booked', 'cancelled') GROUP BY 1""",
        """SELECT CASE WHEN isfinite(s.ends_at) THEN 'superseded' ELSE 'merged' END, count(*)
           FROM episode_stays s JOIN episodes e USING (episode_id)
           WHERE s.stay_id <> e.last_stay_id GROUP BY 1""",
        "SELECT coalesce(left_at, 'rows'), count(*) FROM candidates GROUP BY 1",
    ):
        counts.update(dict(con.execute(sql).fetchall()))
    return counts


def cohort_flow(
    counts: Counter[str], point: Point, settings: FeatureSettings, declaration: Declaration
) -> tuple[FlowStep, ...]:
    """The flow of a data set from the summed counts of its buckets.

    At discharge a stay that was discharged and later continued is a step of its own: its score is superseded.
    """
    never_admitted = (
        FlowStep("cancelled", "booked and cancelled", -counts["cancelled"]),
        FlowStep("booked", "booked, not yet come: nothing to learn from", -counts["booked"]),
        FlowStep(
            "no_booking_time", "booked, not yet come, without a booking time", -counts["no_booking_time"]
        ),
    )
    continued = counts["superseded"] + counts["merged"]
    merged: tuple[FlowStep, ...] = (
        FlowStep("merged", "merged into the episode that they continue", -continued),
    )
    if point is Point.DISCHARGE:
        merged = (
            FlowStep(
                "superseded",
                "discharges after which the stay was continued: a score given then is superseded",
                -counts["superseded"],
            ),
            FlowStep("merged", "merged into another stay that has not ended", -counts["merged"]),
        )
    left = tuple(
        FlowStep(step.name, step.meaning, -counts[step.name])
        for step in steps(point, settings, has_timeline=declaration.has_timeline)
    )
    before = (FlowStep("stays", "stays in the extract", counts["stays"]), *never_admitted, *merged)
    episodes = FlowStep("episodes", "episodes", sum(step.n for step in before))
    rows = FlowStep("rows", f"index admissions at {point}", counts["rows"])
    assert rows.n == episodes.n + sum(step.n for step in left), "the flow does not add up"
    return (*before, episodes, *left, rows)


# The diagram's measures, in its own units: text of 13 units on lines of 18.
_BOX, _SIDE, _GAP, _LINE, _PAD, _CHARACTERS = 300, 380, 60, 18, 10, 46


def flow_svg(flow: Sequence[FlowStep], title: str) -> str:
    """The flow as a diagram in the manner of CONSORT: who remains downwards, who leaves to the side.

    A self-contained SVG document, black on white, its text as text; title and description say the same for
    screen readers. Steps at which nobody leaves are named in the description alone.
    """
    shapes: list[str] = []
    y, last_bottom = 10.0, None
    leaving: list[FlowStep] = []
    for step in flow:
        if step.n < 0 or (step.n == 0 and step.step not in ("stays", "episodes", "rows")):
            leaving.append(step)
            continue
        side = _side_lines(leaving)
        if last_bottom is not None:
            height = len(side) * _LINE + 2 * _PAD if side else 0
            top = last_bottom + 20
            y = top + height + 20
            middle = 10 + _BOX / 2
            shapes.append(_arrow(middle, last_bottom, middle, y))
            if side:
                shapes.append(_arrow(middle, top + height / 2, 10 + _BOX + _GAP, top + height / 2))
                shapes.append(_text_box(10 + _BOX + _GAP, top, _SIDE, side))
        lines = [*wrap(step.meaning[0].upper() + step.meaning[1:], 36), f"n = {step.n:,}"]
        shapes.append(_text_box(10, y, _BOX, lines))
        last_bottom, leaving = y + len(lines) * _LINE + 2 * _PAD, []
    width, height = 20 + _BOX + _GAP + _SIDE, round((last_bottom or y) + 10)
    words = "; ".join(f"{step.meaning}: {abs(step.n):,}{' left' if step.n < 0 else ''}" for step in flow)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"',
            '  aria-labelledby="flow-title flow-description"',
            '  font-family="Helvetica, Arial, sans-serif" font-size="13">',
            f'<title id="flow-title">{html_text(title)}</title>',
            f'<desc id="flow-description">{html_text(words)}.</desc>',
            _ARROW_HEAD,
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            *shapes,
            "</svg>\n",
        )
    )


_ARROW_HEAD = (
    '<defs><marker id="flow-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#000"/></marker></defs>'
)


def _side_lines(leaving: Sequence[FlowStep]) -> list[str]:
    """What stands beside the arrow: the total that leaves, then each reason."""
    left = [step for step in leaving if step.n]
    if not left:
        return []
    lines = [f"Left out: n = {-sum(step.n for step in left):,}"]
    for step in left:
        first, *more = wrap(f"{step.meaning}: {-step.n:,}", _CHARACTERS)
        lines += [f"• {first}", *(f"   {line}" for line in more)]
    return lines


def _text_box(x: float, y: float, width: float, lines: Sequence[str]) -> str:
    height = len(lines) * _LINE + 2 * _PAD
    spans = "".join(
        f'<tspan x="{x + _PAD:g}" y="{y + _PAD + place * _LINE + 13:g}" xml:space="preserve">'
        f"{html_text(line)}</tspan>"
        for place, line in enumerate(lines)
    )
    box = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="#fff" stroke="#000"/>'
    return f"{box}\n<text>{spans}</text>"


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    ends = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
    return f'<line {ends} stroke="#000" marker-end="url(#flow-arrow)"/>'
