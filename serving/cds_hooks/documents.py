"""Requests and answers of CDS Hooks 2.0, with what 3.0 adds as an option.

What a client sends beyond it is ignored: clients of other versions and with extensions of their own are
served too. `fhirServer` and `fhirAuthorization` are never used: no server that a request names is called.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from serving.cds_hooks.settings import Coding
from serving.requests.schema import YEARS

FhirId = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
MAX_FEEDBACK = 1_000
MAX_COMMENT = 4_000
_OLDEST, _NEWEST = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (YEARS.start, YEARS.stop))


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class HookContext(_Sent):
    """What every hook says that is served here; encounter-start and -discharge name the encounter too."""

    userId: ShortText  # noqa: N815 - the names are those of the specification
    patientId: FhirId  # noqa: N815
    encounterId: FhirId | None = None  # noqa: N815


class EncounterContext(HookContext):
    """The context of encounter-start and encounter-discharge."""

    encounterId: FhirId  # noqa: N815


class OrderSignContext(HookContext):
    """The context of order-sign. Drafts are no records yet: they are not read."""

    draftOrders: dict[str, Any]  # noqa: N815


class OrderSelectContext(OrderSignContext):
    """The context of order-select."""

    selections: list[ShortText]


CONTEXTS: dict[str, type[HookContext]] = {
    "patient-view": HookContext,
    "encounter-start": EncounterContext,
    "encounter-discharge": EncounterContext,
    "order-select": OrderSelectContext,
    "order-sign": OrderSignContext,
}


class HookRequest(_Sent):
    """The call of a service."""

    hook: ShortText
    hookInstance: UUID  # noqa: N815
    context: dict[str, Any]
    prefetch: dict[str, Any] = {}


class AcceptedSuggestion(_Sent):
    """A suggestion that was taken."""

    id: UUID


class SentCoding(_Sent):
    """A code that the card offered, or one of the client's own."""

    system: ShortText
    code: ShortText
    display: ShortText | None = None


class OverrideReason(_Sent):
    """Why a card was not followed; the comment is free text and may name anybody."""

    reason: SentCoding | None = None
    userComment: Annotated[str, Field(min_length=1, max_length=MAX_COMMENT)] | None = None  # noqa: N815


class CardFeedback(_Sent):
    """What became of one card."""

    card: UUID
    outcome: Literal["accepted", "overridden"]
    acceptedSuggestions: Annotated[list[AcceptedSuggestion], Field(max_length=100)] = []  # noqa: N815
    overrideReason: OverrideReason | None = None  # noqa: N815
    outcomeTimestamp: Annotated[AwareDatetime, Field(ge=_OLDEST, lt=_NEWEST)]  # noqa: N815

    @model_validator(mode="after")
    def _says_what_was_accepted(self) -> Self:
        if self.outcome == "accepted" and not self.acceptedSuggestions:
            raise ValueError("accepted without acceptedSuggestions")
        return self

    @property
    def outcome_at(self) -> dt.datetime:
        """When it was acted upon, in UTC."""
        return self.outcomeTimestamp.astimezone(dt.UTC)


class FeedbackRequest(_Sent):
    """Feedback on one card or several."""

    feedback: Annotated[list[CardFeedback], Field(min_length=1, max_length=MAX_FEEDBACK)]


class FeedbackDocument(BaseModel):
    """How many entries were received; one that was sent before is kept once."""

    received: int


class ServiceDocument(BaseModel):
    """A service as discovery tells it."""

    hook: str
    title: str
    description: str
    id: str
    prefetch: dict[str, str]
    usageRequirements: str | None = None  # noqa: N815


class ServicesDocument(BaseModel):
    """The answer of discovery."""

    services: list[ServiceDocument]


class ActionDocument(BaseModel):
    """A change that is proposed."""

    type: Literal["create", "update", "delete"]
    description: str
    resource: dict[str, Any] | None = None
    resourceId: str | None = None  # noqa: N815


class SuggestionDocument(BaseModel):
    """Changes to be taken together; `actionSelectionBehavior` is of 3.0."""

    label: str
    uuid: UUID
    isRecommended: bool | None = None  # noqa: N815
    actions: list[ActionDocument]
    actionSelectionBehavior: Literal["all", "any", "at-most-one"] | None = None  # noqa: N815


class SourceDocument(BaseModel):
    """Whom the card comes from."""

    label: str
    url: str | None = None
    topic: Coding | None = None


class CardDocument(BaseModel):
    """A card."""

    uuid: UUID
    summary: Annotated[str, Field(max_length=139)]
    detail: str
    indicator: Literal["info", "warning", "critical"]
    source: SourceDocument
    suggestions: list[SuggestionDocument] | None = None
    selectionBehavior: Literal["at-most-one", "any"] | None = None  # noqa: N815
    overrideReasons: list[Coding] | None = None  # noqa: N815


class CardsDocument(BaseModel):
    """The answer of a service; no card where there is nothing to say."""

    cards: list[CardDocument]


def as_sent(document: BaseModel) -> dict[str, Any]:
    """The document as JSON values; what has no value is left out, as CDS Hooks asks."""
    return document.model_dump(mode="json", exclude_none=True)
