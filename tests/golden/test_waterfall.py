"""The picture of a prediction is what it was, says all that it draws, and is safe to open and to print."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from serving.reasons.bars import MAX_BARS
from serving.reasons.languages import Language
from serving.reasons.lines import width_of
from serving.reasons.shapes import LOWERS, RAISES
from serving.reasons.waterfall import LEAST_WIDTH, MOST_WIDTH, waterfall
from tests.pictured import RISK, pictured

GOLDEN = Path(__file__).parent
SVG = "{http://www.w3.org/2000/svg}"
PICTURES = {
    "waterfall_risk_en.svg": ("readmission", Language.EN, 640),
    "waterfall_cost_zh.svg": ("cost", Language.ZH, 320),
}
ALLOWED = {"svg", "title", "desc", "defs", "pattern", "rect", "path", "text"}


def drawn(name: str) -> str:
    target, language, width = PICTURES[name]
    return waterfall(pictured(), target, language, width=width)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_what_it_was(name: str) -> None:
    assert (GOLDEN / name).read_text("utf-8") == drawn(name), (
        f"the picture differs from tests/golden/{name}: if that is meant, look at it and write it again "
        "with `python -m tests.golden.test_waterfall`"
    )


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("n_bars", [1, 3, MAX_BARS])
def test_it_is_xml_that_runs_and_loads_nothing(name: str, n_bars: int) -> None:
    target, language, width = PICTURES[name]
    svg = waterfall(pictured(), target, language, width=width, n_bars=n_bars)
    root = parsed(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == ALLOWED
    names = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name or name == "style"]
    # The one address is that of the format itself; the one reference is to the stripes.
    assert re.findall(r"[a-z]+://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
    assert {address.split("-")[-1] for address in re.findall(r"url\(#([^)]*)\)", svg)} == {"stripes"}
    assert "<script" not in svg


@pytest.mark.parametrize("name", PICTURES)
def test_a_screen_reader_is_told_all_that_is_drawn(name: str) -> None:
    svg = drawn(name)
    root = parsed(svg)
    named = root.attrib["aria-labelledby"].split()
    by_id = {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}
    title, description = (by_id[each] for each in named)
    assert (root.attrib["role"], title.tag, description.tag) == ("img", f"{SVG}title", f"{SVG}desc")
    assert next(iter(root)) is title
    # Text stays text: the words of every bar, however its lines are broken.
    told = re.sub(r"\s", "", (title.text or "") + (description.text or ""))
    ladder = "".join(texts(svg))
    for bar in re.findall(r"\n\d+\. (.*) · [^·]*(?=\n)", description.text or ""):
        assert re.sub(r"\s", "", bar) in re.sub(r"\s", "", ladder)
    assert len(re.findall(r"\n\d+\. ", description.text or "")) == 6
    assert "23%" in told or "41,800" in told


def test_the_words_say_what_raises_and_what_lowers_and_the_prediction_without_it() -> None:
    english = parsed(drawn("waterfall_risk_en.svg")).find(f"{SVG}desc")
    chinese = parsed(drawn("waterfall_cost_zh.svg")).find(f"{SVG}desc")
    assert english is not None
    assert chinese is not None
    told = (english.text or "").replace("\N{NO-BREAK SPACE}", " ")
    assert "1. 3 admissions in the last year · without it 14 % · raises the risk" in told
    assert "3. Haemoglobin, first day: not sent · without it 29 % · lowers the risk" in told
    assert "6. 37 others together · raises the risk" in told
    assert "Start, before anything is known of the patient: 12 %" in told
    assert "This is how the model sees it, not a cause." in told
    in_chinese = (chinese.text or "").replace("\N{NO-BREAK SPACE}", " ")
    assert "5. 使用胰岛素：否 · 去除后 30,000 元 · 使预期费用减少" in in_chinese
    assert "6. 其余 37 项合计 · 使预期费用增加" in in_chinese


WARNINGS = [
    "outside the models' population: discharged or died within 24 hours of admission",
    "visits not sent: unknown, its features are missing",
    "history_from not sent: the history is taken as complete",
]


def shown(svg: str) -> str:
    """All words that stand in the picture, without the places where lines break."""
    return re.sub(r"\s", "", "".join(texts(svg)))


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            Language.EN,
            [
                "Preliminary: made before its full time of observation.",
                "Outside the models' population: discharged or died within 24 hours of admission.",
                "Visits were not sent: what rests on them is not known.",
                "The records that were sent are taken as the whole history.",
            ],
        ),
        (
            Language.ZH,
            [
                "初步预测：观察时间未满，结果仍可能变化。",
                "不属于模型适用人群：入院后 24 小时内出院或死亡。",
                "未提供门急诊就诊记录，相关信息按未知处理。",
                "所提供的记录视为患者的全部既往史。",
            ],
        ),
    ],
)
def test_what_it_rests_on_is_drawn_and_told(language: Language, told: list[str]) -> None:
    svg = waterfall(pictured() | {"provisional": True, "warnings": WARNINGS}, "readmission", language)
    description = parsed(svg).find(f"{SVG}desc")
    assert description is not None
    lines = (description.text or "").split("\n")
    assert [line for line in lines if line in told] == told
    # Before any bar, which somebody may stop at.
    assert lines.index(told[-1]) < next(place for place, line in enumerate(lines) if line.startswith("1. "))
    assert re.sub(r"\s", "", "".join(told)) in shown(svg)
    plain = waterfall(pictured(), "readmission", language)
    assert told[0] not in plain


@pytest.mark.parametrize(
    ("language", "closed", "open_ended"),
    [
        (
            Language.EN,
            "In 80 of 100 such admissions it lies between 26,100 CNY and 66,900 CNY.",
            "In 80 of 100 such admissions it is at least 26,100 CNY.",
        ),
        (
            Language.ZH,
            "每 100 例此类住院中，约 80 例的实际值在 26,100 元至 66,900 元之间。",
            "每 100 例此类住院中，约 80 例的实际值不低于 26,100 元。",
        ),
    ],
)
def test_an_amount_has_its_interval(language: Language, closed: str, open_ended: str) -> None:
    document = pictured()
    interval = document["predictions"][1]["interval"]
    for told in (closed, open_ended):
        svg = waterfall(document, "cost", language)
        assert re.sub(r"\s", "", told) in shown(svg)
        description = parsed(svg).find(f"{SVG}desc")
        assert description is not None
        assert told in (description.text or "").split("\n")
        interval["high"] = None
    interval["low"] = None
    assert "100" not in waterfall(document, "cost", language).partition("<defs>")[0]


def test_a_percentage_says_among_whom() -> None:
    for language, told in (
        (Language.EN, "High; higher than in 94 % of the admissions it was calibrated on."),
        (Language.ZH, "高；高于校准所用住院病例中的 94%。"),
    ):
        svg = waterfall(pictured(), "readmission", language)
        assert re.sub(r"\s", "", told) in shown(svg)
        description = parsed(svg).find(f"{SVG}desc")
        assert description is not None
        assert (description.text or "").startswith(f"{told}\n")


def test_what_a_label_holds_stays_text() -> None:
    svg = drawn("waterfall_risk_en.svg")
    assert "<script>" in " ".join(texts(svg))
    broken = pictured()
    broken["predictions"][0]["reasons"][0]["label"] = "bell \x07 and half a pair \ud800"
    broken["predictions"][0]["reasons"][0]["unit"] = "\x00"
    broken["stay_id"] = '"><svg onload="x">'
    picture = waterfall(broken, "readmission")
    assert not [name for each in parsed(picture).iter() for name in each.attrib if name.startswith("on")]
    assert picture.encode("utf-8")


@pytest.mark.parametrize("width", [LEAST_WIDTH, 400, 640, MOST_WIDTH])
@pytest.mark.parametrize("language", Language)
def test_no_line_is_wider_than_the_page(width: int, language: Language) -> None:
    long = pictured()
    long["predictions"][0]["reasons"][1]["label"] = "Donaudampfschifffahrtsgesellschaft" * 4
    long["stay_id"] = "S" * 200
    long |= {
        "provisional": True,
        "warnings": [*WARNINGS, f"{'W' * 300}: not supplied; treated as missing"] * 5,
    }
    for element in parsed(waterfall(long, "readmission", language, width=width)).iter(f"{SVG}text"):
        wide = width_of(element.text or "") * float(element.attrib["font-size"])
        begin = float(element.attrib["x"]) - (wide / 2 if element.attrib["text-anchor"] == "middle" else 0)
        assert begin >= 0
        assert begin + wide <= width


def arrows(svg: str) -> list[tuple[str, float, float]]:
    """Fill, start and end of each arrow, those of the legend last."""
    paths = [element.attrib for element in parsed(svg).iter(f"{SVG}path")]
    found = [
        (path["fill"], re.fullmatch(r"M([\d.]+) [\d.]+H[\d.]+L([\d.]+) .*z", path["d"])) for path in paths
    ]
    return [(fill, float(match[1]), float(match[2])) for fill, match in found if match]


def test_each_bar_begins_where_the_one_above_ends_and_points_where_it_leads() -> None:
    bars = arrows(waterfall(pictured(), "readmission"))[:-2]
    assert len(bars) == 6
    assert [end for _, _, end in bars[:-1]] == [start for _, start, _ in bars[1:]]
    raises = [reason["contribution"] > 0 for reason in RISK["reasons"]] + [True]
    assert [end > start for _, start, end in bars] == raises
    # Full or striped, not by colour alone.
    assert [fill == RAISES for fill, _, _ in bars] == raises
    # Contributions 0.6 and -0.3 on one scale: half as long, the other way.
    first, third = bars[0], bars[2]
    assert (third[1] - third[2]) / (first[2] - first[1]) == pytest.approx(0.5, abs=0.01)


def test_fewer_bars_leave_more_to_the_others() -> None:
    svg = waterfall(pictured(), "readmission", n_bars=1)
    bars = arrows(svg)[:-2]
    assert len(bars) == 2
    assert "+ 41 others together" in texts(svg)
    # -2 to -1.4, then to -1.15.
    assert (bars[1][2] - bars[1][1]) / (bars[0][2] - bars[0][1]) == pytest.approx(0.25 / 0.6, abs=0.01)


def test_marks_stand_where_the_scale_says_and_those_outside_are_left_out() -> None:
    svg = waterfall(pictured(), "readmission")
    ticks = {
        element.text: float(element.attrib["x"])
        for element in parsed(svg).iter(f"{SVG}text")
        if element.attrib["text-anchor"] == "middle"
    }
    # 10 % lies below where any bar leads, 30 % above -1, the furthest. 20 % alone is no scale: both ends of
    # the bars, 12 % at -2.0 and 23 % at -1.15, stand beside it.
    assert list(ticks) == ["12 %", "20 %", "23 %"]
    # The picture leads from -2.0 at 40 to -1.0 at 600: -1.39 is 0.61 of the way, -1.15 is 0.85.
    assert ticks["12 %"] == 40
    assert ticks["20 %"] == pytest.approx(40 + 0.61 * 560, abs=0.1)
    assert ticks["23 %"] == pytest.approx(40 + 0.85 * 560, abs=0.1)


def test_two_marks_are_a_scale_without_the_ends() -> None:
    two = pictured()
    two["predictions"][0]["marks"].append({"raw_output": -1.8, "prediction": 0.15})
    labels = [
        element.text
        for element in parsed(waterfall(two, "readmission")).iter(f"{SVG}text")
        if element.attrib["text-anchor"] == "middle"
    ]
    assert labels == ["15 %", "20 %"]


@pytest.mark.parametrize("name", PICTURES)
def test_no_line_strikes_a_text_through(name: str) -> None:
    lines: list[tuple[float, float, float]] = []
    n_crossed = 0
    paper: list[tuple[float, float, float, float]] = []
    for element in parsed(drawn(name)).iter():
        given = element.attrib
        if found := re.fullmatch(r"M([\d.]+) ([\d.]+)V([\d.]+)", given.get("d", "")):
            lines.append((float(found[1]), float(found[2]), float(found[3])))
            paper.clear()  # what was drawn before the line does not hide it
        if element.tag == f"{SVG}rect" and given["fill"] == "#fff" and "y" in given:
            left, top = float(given["x"]), float(given["y"])
            paper.append((left, left + float(given["width"]), top, top + float(given["height"])))
        if element.tag != f"{SVG}text" or given["text-anchor"] == "middle":
            continue
        begin, y, size = (float(given[each]) for each in ("x", "y", "font-size"))
        end = begin + width_of(element.text or "") * size
        middle = y - size * 0.35
        for x, top, bottom in lines:
            if begin <= x <= end and top <= middle <= bottom:
                n_crossed += 1
                assert any(a <= x <= b and c <= middle <= d for a, b, c, d in paper), element.text
    assert n_crossed > 3


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_says_why_without_it_is_another_number_than_at_the_bar(name: str) -> None:
    said = {
        Language.EN: "“without it” takes that reason alone off the prediction",
        Language.ZH: "“去除后”是从预测值中只去除这一项的结果",
    }[PICTURES[name][1]]
    assert re.sub(r"\s", "", said) in shown(drawn(name))


def test_without_its_scale_a_prediction_is_drawn_without_marks_and_base() -> None:
    bare = pictured()
    for name in ("marks", "base_prediction", "n_contributing"):
        del bare["predictions"][0][name]
    found = texts(waterfall(bare, "readmission"))
    assert "Start, before anything is known of the patient" in found
    assert "+ All others together" in found
    assert "Risk" not in found


def test_a_prediction_without_any_contribution_is_still_drawn() -> None:
    flat = pictured()
    flat["predictions"][0] |= {"reasons": [], "raw_output": -2.0, "n_contributing": 0, "probability": 0.119}
    svg = waterfall(flat, "readmission")
    assert arrows(svg)[:-2] == []
    assert "Prediction: 12 %" in texts(svg)


@pytest.mark.parametrize("n_bars", [0, MAX_BARS + 1])
def test_no_other_number_of_bars_is_drawn(n_bars: int) -> None:
    with pytest.raises(ValueError, match="bars: must be 1 to 15"):
        waterfall(pictured(), "readmission", n_bars=n_bars)


def test_a_target_that_was_not_predicted_is_no_picture() -> None:
    with pytest.raises(KeyError):
        waterfall(pictured(), "complication")


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [RAISES, LOWERS, "#1a1a1a"])
def test_every_colour_stands_out_from_white(colour: str) -> None:
    # WCAG asks for 4.5 : 1 of text and 3 : 1 of graphics.
    assert 1.05 / (luminance(colour) + 0.05) >= 7


if __name__ == "__main__":
    for each in PICTURES:
        (GOLDEN / each).write_text(drawn(each), "utf-8")
