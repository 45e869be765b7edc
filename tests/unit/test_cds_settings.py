"""The settings of the services: what is refused when they are read, and how it is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from serving.cds_hooks.settings import CdsSettings, CdsSettingsError, filled, read_settings
from serving.reasons.captions import CAPTIONS
from serving.reasons.cautions import PRELIMINARY
from serving.reasons.languages import WORDS, Language
from tests.unit.test_languages import is_chinese

DEFAULT = (files("serving.cds_hooks") / "default.toml").read_text("utf-8")


def refused(tmp_path: Path, old: str, new: str) -> str:
    """The message for the product's own settings with one change."""
    assert old in DEFAULT
    file = tmp_path / "cds.toml"
    file.write_text(DEFAULT.replace(old, new, 1), "utf-8")
    with pytest.raises(CdsSettingsError) as error:
        read_settings(file)
    return str(error.value)


def test_the_products_own_are_read_from_a_file_alike(tmp_path: Path) -> None:
    file = tmp_path / "cds.toml"
    file.write_text(DEFAULT, "utf-8")
    assert read_settings(file) == read_settings()


def test_no_card_may_interrupt(tmp_path: Path) -> None:
    message = refused(tmp_path, 'high = "warning"', 'high = "critical"')
    assert "indicators.high" in message
    assert "'none', 'info' or 'warning'" in message


def test_an_action_that_is_no_valid_resource_is_refused_with_its_element(tmp_path: Path) -> None:
    message = refused(tmp_path, 'intent = "proposal"', 'intention = "proposal"')
    assert "a ServiceRequest that is not valid FHIR R4" in message
    message = refused(tmp_path, 'resourceType = "Task"', 'resourceType = "Ticket"')
    assert "no resourceType of FHIR R4" in message


def test_what_a_prediction_needs_must_be_prefetched(tmp_path: Path) -> None:
    message = refused(tmp_path, "encounters = ", "stays = ")
    assert "prefetch must have the keys encounters" in message


def test_every_target_needs_a_title_and_every_band_an_indicator(tmp_path: Path) -> None:
    message = refused(tmp_path, 'targets = ["charges", "cost"', 'targets = ["mortality", "cost"')
    assert "targets must have a title for mortality" in message
    message = refused(tmp_path, 'low = "none"\n', "")
    assert "indicators must name low, medium and high" in message


def test_two_services_need_two_ids(tmp_path: Path) -> None:
    message = refused(tmp_path, "wardcast-order-sign", "wardcast-order-select")
    assert "two have the same id" in message


def test_a_hook_that_is_not_served_is_refused(tmp_path: Path) -> None:
    assert "services.0.hook" in refused(tmp_path, '"patient-view"\ntitle', '"appointment-book"\ntitle')


def test_a_file_that_is_not_there_or_no_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(CdsSettingsError, match="cannot be read"):
        read_settings(tmp_path / "none.toml")
    assert "cannot be read" in refused(tmp_path, 'language = "en"', "language")


def test_tokens_are_filled_in_wherever_a_text_stands() -> None:
    resource = {"subject": {"reference": "Patient/{{context.patientId}}"}, "note": [{"text": "no token"}]}
    assert filled(resource, {"{{context.patientId}}": "P7"}) == {
        "subject": {"reference": "Patient/P7"},
        "note": [{"text": "no token"}],
    }


def written(tmp_path: Path, text: str) -> CdsSettings:
    file = tmp_path / "cds.toml"
    file.write_text(text, "utf-8")
    return read_settings(file)


def test_a_file_needs_to_name_only_what_is_other_there(tmp_path: Path) -> None:
    text = (
        '[words]\ndecides = "The ward round decides."\n[targets]\ncost = "Cost"\n[prefetch]\npatient = "P"\n'
    )
    found, own = written(tmp_path, text + 'encounters = "E"\n'), read_settings()
    assert found.words == own.words.model_copy(update={"decides": "The ward round decides."})
    assert found.targets == {**own.targets, "cost": "Cost"}
    # What is not to be shared is left out: a table is completed by nothing.
    assert found.prefetch == {"patient": "P", "encounters": "E"}
    assert found.services == own.services


def test_a_language_alone_is_a_file(tmp_path: Path) -> None:
    chinese = written(tmp_path, 'language = "zh"\n')
    assert chinese.words.bands == {"low": "低", "medium": "中", "high": "高"}
    changed = written(tmp_path, 'language = "zh"\n[words]\ndecides = "由医师判断。"\n')
    assert changed.words == chinese.words.model_copy(update={"decides": "由医师判断。"})


_TEXTS = {"title", "description", "label", "display", "text"}


def wordless(value: Any) -> Any:
    """What a program reads of the settings: all but the words that a person does."""
    if isinstance(value, dict):
        return {name: wordless(part) for name, part in value.items() if name not in _TEXTS}
    return [wordless(part) for part in value] if isinstance(value, list) else value


def words_of(value: Any, name: str = "") -> Iterator[str]:
    """The words that a person reads."""
    if isinstance(value, str) and name in _TEXTS:
        yield value
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from words_of(part, key)
    for part in value if isinstance(value, list) else ():
        yield from words_of(part, name)


def test_the_languages_differ_in_words_alone(tmp_path: Path) -> None:
    english = read_settings().model_dump(exclude={"language", "words", "targets"})
    chinese = written(tmp_path, 'language = "zh"\n').model_dump(exclude={"language", "words", "targets"})
    assert wordless(english) == wordless(chinese)
    # The product's own name is a name.
    told = [word for word in words_of(chinese) if word != "wardcast"]
    assert len(told) == len([word for word in words_of(english) if word != "wardcast"]) > 20
    assert [word for word in told if not is_chinese(word)] == []


def test_no_word_of_a_card_is_left_in_english(tmp_path: Path) -> None:
    english, chinese = read_settings(), written(tmp_path, 'language = "zh"\n')
    for name, text in chinese.words.model_dump(exclude={"bands"}).items():
        assert text != getattr(english.words, name)
        blanks = re.findall(r"\{\w+\}", getattr(english.words, name))
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(blanks), name
        assert is_chinese(re.sub(r"\{\w+\}", "", text)) or name == "summary"
    assert chinese.targets.keys() == english.targets.keys()
    assert all(map(is_chinese, chinese.targets.values()))


@pytest.mark.parametrize("language", Language)
def test_cards_and_pictures_say_it_in_the_same_words(tmp_path: Path, language: Language) -> None:
    settings, captions = written(tmp_path, f'language = "{language}"\n'), CAPTIONS[language]
    assert settings.words.provisional == PRELIMINARY[language]
    assert settings.words.not_a_cause == WORDS[language].not_a_cause
    assert settings.words.interval == captions.interval
    assert settings.words.open_interval == captions.open_interval


def test_the_example_of_the_guide_is_a_file(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "standards.md").read_text("utf-8")
    [example] = [block for block in re.findall(r"```toml\n(.*?)```", guide, re.S) if "language" in block]
    found = written(tmp_path, example)
    assert found.words.decides == "由查房医师决定。"
    assert found.words.reasons == written(tmp_path, 'language = "zh"\n').words.reasons
    assert list(found.prefetch) == ["patient", "encounters"]
