"""How a client wants to be told the reasons: the parameters `language`, `group` and the header beside them.

Annotations are not put off here: the dependency is made with them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Header, Query

from serving.reasons.contributions import N_REASONS
from serving.reasons.languages import Language, preferred


@dataclass(frozen=True)
class Telling:
    """Reasons in a language; on request by family, and with the scale that a picture of them needs."""

    language: Language = Language.EN
    by_family: bool = False
    with_scale: bool = False

    @property
    def n_reasons(self) -> int | None:
        """How many reasons a query that asks for this gets; None: all."""
        return None if self.with_scale else N_REASONS


def language_asked(
    language: Annotated[
        Language | None, Query(description="of the sentences; default: as Accept-Language prefers, else en")
    ] = None,
    accept_language: Annotated[str | None, Header()] = None,
) -> Language:
    """A dependency: the language that the query names, else the one that the header prefers."""
    return language or preferred(accept_language)


def telling_asked(
    language: Annotated[
        Language | None, Query(description="of the sentences; default: as Accept-Language prefers, else en")
    ] = None,
    accept_language: Annotated[str | None, Header()] = None,
    explain: Annotated[
        Literal["full"] | None,
        Query(
            description="full: every contribution, not the strongest five alone, and the scale beside them"
        ),
    ] = None,
    group: Annotated[
        Literal["family"] | None, Query(description="family: contributions by the family of features too")
    ] = None,
) -> Telling:
    """A dependency: how the reasons of a prediction are asked for."""
    return Telling(
        language_asked(language, accept_language),
        by_family=group == "family",
        with_scale=explain == "full",
    )
