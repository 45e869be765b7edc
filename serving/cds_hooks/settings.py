"""What the services say and suggest: a TOML file, checked as a whole when it is read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import UserError
from features.sources.fhir.validate import fault_of, is_type
from models.bands import Band
from serving.reasons.languages import WORDS, Language

Hook = Literal["patient-view", "encounter-start", "encounter-discharge", "order-select", "order-sign"]
Text = Annotated[str, Field(min_length=1, max_length=500)]

REQUIRED_PREFETCH = {"patient": "Patient", "encounters": "Encounter"}
"""Keys without which nothing can be predicted → the type of their resources."""

_OWN = files("serving.cds_hooks")
_SAMPLE = {"{{context.patientId}}": "P1", "{{context.encounterId}}": "E1"}


class CdsSettingsError(UserError):
    """The settings of the services cannot be used; the message says where and why."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Coding(_Model):
    """A code of CDS Hooks."""

    system: Text
    code: Text
    display: Text | None = None


class Source(_Model):
    """Whom a card comes from."""

    label: Text
    url: Annotated[str, Field(pattern="^https?://")] | None = None
    topic: Coding | None = None


class Words(_Model):
    """What every card says; texts in braces are filled in."""

    bands: dict[Band, Text]
    summary: Text
    title: Text
    interval: Text
    open_interval: Text
    reasons: Text
    beside: Text
    unknown: Text
    refused: Text
    before_discharge: Text
    orders: Text
    provisional: Text
    not_a_cause: Text
    decides: Text
    model: Text
    left_out: Text
    foreign: Text
    paged: Text
    later: Text
    further: Text


class Service(_Model):
    """One service. With `beside` it makes one card of all its targets and shows those risks in it too."""

    id: Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,64}$")]
    hook: Hook
    title: Text
    description: Text
    targets: Annotated[list[Text], Field(min_length=1)]
    beside: list[Text] = []
    usage_requirements: Text | None = None


class Override(_Model):
    """A reason that somebody may give for not following a card; with `targets` one about these alone."""

    code: Text
    display: Text
    targets: list[Text] = []


class Overrides(_Model):
    """Those reasons, in a code system of their own."""

    system: Text
    reasons: list[Override]

    def codings(self, target: str | None = None) -> list[Coding]:
        """The reasons as a card about the target has them; None: all."""
        return [
            Coding(system=self.system, code=one.code, display=one.display)
            for one in self.reasons
            if target is None or not one.targets or target in one.targets
        ]


class Action(_Model):
    """One change that a suggestion proposes; `resource` is one of FHIR R4 with tokens of the context."""

    type: Literal["create"]
    description: Text
    resource: dict[str, Any]


class Suggestion(_Model):
    """Actions for cards of some targets in some bands. `action_selection` is of CDS Hooks 3.0 alone."""

    targets: list[Text]
    bands: list[Band]
    label: Annotated[str, Field(min_length=1, max_length=80)]
    actions: Annotated[list[Action], Field(min_length=1)]
    is_recommended: bool | None = None
    action_selection: Literal["all", "any", "at-most-one"] | None = None


class CdsSettings(_Model):
    """The whole file. A low band may do without a card; no card is `critical`, which interrupts."""

    language: Language
    source: Source
    indicators: dict[Band, Literal["none", "info", "warning"]]
    words: Words
    targets: dict[str, Text]
    prefetch: dict[str, Text]
    services: list[Service]
    overrides: Overrides | None = None
    suggestions: list[Suggestion] = []

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for name, found in (("indicators", self.indicators), ("words.bands", self.words.bands)):
            if set(found) != {"low", "medium", "high"}:
                raise ValueError(f"{name} must name low, medium and high")
        missing = [key for key in REQUIRED_PREFETCH if key not in self.prefetch]
        if missing:
            raise ValueError(f"prefetch must have the keys {', '.join(missing)}")
        ids = [service.id for service in self.services]
        if len(set(ids)) < len(ids):
            raise ValueError("services: two have the same id")
        asked = {target for service in self.services for target in (*service.targets, *service.beside)}
        if untitled := sorted(asked - set(self.targets)):
            raise ValueError(f"targets must have a title for {', '.join(untitled)}")
        for suggestion in self.suggestions:
            for action in suggestion.actions:
                _check_resource(filled(action.resource, _SAMPLE))
        return self

    def mitigations(self) -> dict[tuple[str, str], str]:
        """Target and band → what is suggested then, in words that leave the decision to a clinician."""
        found: dict[tuple[str, str], list[str]] = {}
        for suggestion in self.suggestions:
            for target in suggestion.targets:
                for band in suggestion.bands:
                    found.setdefault((target, band), []).append(suggestion.label)
        words = WORDS[self.language]
        return {
            key: f"{words.semicolon.join(labels)}{words.stop}{words.gap}{self.words.decides}"
            for key, labels in found.items()
        }


def filled(resource: Any, tokens: Mapping[str, str]) -> Any:
    """The resource with the values of the context's tokens in its texts."""
    if isinstance(resource, dict):
        return {name: filled(value, tokens) for name, value in resource.items()}
    if isinstance(resource, list):
        return [filled(value, tokens) for value in resource]
    if isinstance(resource, str):
        for token, value in tokens.items():
            resource = resource.replace(token, value)
    return resource


def read_settings(file: Path | None = None) -> CdsSettings:
    """The settings in `file`, in its language; what it leaves out is the product's. Raises CdsSettingsError.

    A key of the file stands in place of the product's whole, but of `words` and `targets` each by itself.
    """
    settings = _content(_OWN / "default.toml")
    try:
        own = {} if file is None else _content(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CdsSettingsError(f"{file}: cannot be read ({error}). Name a TOML file.") from None
    if own.get("language") == Language.ZH:
        settings = _laid_over(settings, _content(_OWN / "zh.toml"))
    try:
        return CdsSettings.model_validate(_laid_over(settings, own))
    except ValidationError as error:
        raise CdsSettingsError(f"{file}: {'; '.join(_places(error))}. Correct them.") from None


def _content(file: Traversable) -> dict[str, Any]:
    # Over JSON, so that a date in TOML is the text that FHIR has for it.
    content: dict[str, Any] = json.loads(json.dumps(tomllib.loads(file.read_text("utf-8")), default=str))
    return content


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    completed = {
        name: {**below[name], **above[name]}
        for name in ("words", "targets")
        if isinstance(above.get(name), dict)
    }
    return {**below, **above, **completed}


def _places(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"])
        yield f"{place or 'the file'}: {problem['msg']}"


def _check_resource(resource: dict[str, Any]) -> None:
    kind = str(resource.get("resourceType"))
    if not is_type(kind):
        raise ValueError("suggestions: an action's resource has no resourceType of FHIR R4")
    if fault := fault_of(resource, kind):
        raise ValueError(f"suggestions: a {kind} that is not valid FHIR R4 at {fault}")
