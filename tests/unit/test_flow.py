"""The diagram of the cohort flow: the same counts as the table, readable without colour and without eyes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from features.flow import FlowStep, flow_svg
from features.points import Point
from tests.hospital import built, hospital

FLOW = (
    FlowStep("stays", "stays in the extract", 1234),
    FlowStep("cancelled", "booked and cancelled", 0),
    FlowStep("merged", "merged into the episode that they continue", -34),
    FlowStep("episodes", "episodes", 1200),
    FlowStep("minor", "younger than 18 at admission", -150),
    FlowStep("age_unknown", "age unknown", -50),
    FlowStep("rows", "index admissions at admission", 1000),
)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(flow: tuple[FlowStep, ...], title: str = "Who is an index admission") -> ElementTree.Element:
    return ElementTree.fromstring(flow_svg(flow, title))


def texts(svg: ElementTree.Element) -> list[list[str]]:
    return [[str(line.text) for line in box] for box in svg.iter(f"{SVG}text")]


def test_boxes_say_who_remains_and_who_left_why() -> None:
    assert texts(drawn(FLOW)) == [
        ["Stays in the extract", "n = 1,234"],
        ["Left out: n = 34", "• merged into the episode that they continue: 34"],
        ["Episodes", "n = 1,200"],
        ["Left out: n = 200", "• younger than 18 at admission: 150", "• age unknown: 50"],
        ["Index admissions at admission", "n = 1,000"],
    ]


def test_the_diagram_has_a_title_and_every_count_in_words() -> None:
    svg = drawn(FLOW, "A & B <hospital>")
    title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert title.text == "A & B <hospital>"
    assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    for step in FLOW:
        assert f"{step.meaning}: {abs(step.n):,}" in str(description.text)


def test_boxes_lie_within_the_drawing_below_one_another_and_hold_their_text() -> None:
    long = FlowStep("long", "a reason of very many words " * 6, -7)
    svg = drawn((*FLOW[:5], long, *FLOW[5:]))
    width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
    boxes = [
        [float(box.get(name, 0)) for name in ("x", "y", "width", "height")]
        for box in svg.iter(f"{SVG}rect")
        if box.get("stroke")
    ]
    assert all(x >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    bottom = 0.0
    for (_, y, _, h), lines in zip(boxes, svg.iter(f"{SVG}text"), strict=True):
        assert y >= bottom  # also the boxes at the side stand between those they come from and lead to
        bottom = y + h
        assert all(y < float(line.get("y", 0)) < bottom for line in lines)


def test_nobody_left_out_is_no_box() -> None:
    assert texts(drawn((FLOW[0], FLOW[1], FLOW[3]))) == [
        ["Stays in the extract", "n = 1,234"],
        ["Episodes", "n = 1,200"],
    ]


def test_the_builder_writes_table_and_diagram_beside_the_data_set(tmp_path: Path) -> None:
    stays = "stay_id | patient_id | admitted_at | discharged_at\n1 | 7 | 2024-01-01 | 2024-01-05"
    made = built(hospital(tmp_path, stays=stays), Point.ADMISSION)
    table = json.loads(made.path.with_name(f"{made.path.name}.flow.json").read_text("utf-8"))
    svg = ElementTree.parse(made.path.with_name(f"{made.path.name}.flow.svg")).getroot()
    assert [step["n"] for step in table if step["step"] in ("stays", "episodes", "rows")] == [1, 1, 1]
    title = svg.find(f"{SVG}title")
    assert title is not None
    assert title.text == "test: who is an index admission at admission"
    assert texts(svg)[-1] == ["Index admissions at admission", "n = 1"]
