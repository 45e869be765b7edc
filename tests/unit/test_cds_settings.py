"""The settings of the services: what is refused when they are read, and how it is told."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from serving.cds_hooks.settings import CdsSettingsError, filled, read_settings

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
    message = refused(tmp_path, "charges = ", "fees = ")
    assert "targets must have a title for charges" in message
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


def test_the_other_language_tells_the_reasons(tmp_path: Path) -> None:
    file = tmp_path / "cds.toml"
    file.write_text(DEFAULT.replace('language = "en"', 'language = "zh"'), "utf-8")
    assert read_settings(file).language.value == "zh"
