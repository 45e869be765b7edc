"""The settings of the definitions, apart from the limits of the machine."""

from __future__ import annotations

from dataclasses import asdict, replace

from features.settings import DEFAULT_SETTINGS


def test_definitions_are_all_settings_but_the_limits_of_the_engine():
    definitions = DEFAULT_SETTINGS.definitions()
    assert set(asdict(DEFAULT_SETTINGS)) - set(definitions) == {"threads", "memory_limit_mb"}
    assert replace(DEFAULT_SETTINGS, threads=7, memory_limit_mb=150).definitions() == definitions
    assert replace(DEFAULT_SETTINGS, minimum_age=16).definitions()["minimum_age"] == 16
