"""Who is let in: the issuers of tokens that are trusted, and where reads are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from serving.access.roles import Role

# Signatures by a key pair alone: with a shared secret (HS256) whoever checks a token can make one.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
Name = Annotated[str, Field(min_length=1, max_length=255)]

# A misspelt name in wardcast.toml must not leave a default in force.
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class IssuerSettings:
    """One issuer of bearer tokens (OpenID Connect, or the JWT of a CDS Hooks client).

    `issuer` and one of `audiences` must stand in the token's `iss` and `aud`, letter for letter. `key_set`
    is the issuer's JSON Web Key Set: an https address or a file; `ca_file` the authority that its
    certificate is checked with (default: the system's). `roles` gives each value of the claim found along
    the path `roles_claim` its role; `granted` are the roles of every token. Departments are the values of
    the claim along `departments_claim`, where "*" is all; a token without it sees no department, unless
    `all_departments`. With `one_time` a token is accepted once. A token may be valid for
    `max_lifetime_seconds` at the most; clocks may differ by `leeway_seconds`.
    """

    issuer: Name
    audiences: Annotated[tuple[Name, ...], Field(min_length=1)]
    key_set: Name
    ca_file: Path | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    roles_claim: Annotated[tuple[Name, ...], Field(min_length=1)] = ("roles",)
    roles: Mapping[str, Role] = Field(default_factory=dict)
    granted: tuple[Role, ...] = ()
    departments_claim: Annotated[tuple[Name, ...], Field(min_length=1)] = ("departments",)
    all_departments: bool = False
    one_time: bool = False
    leeway_seconds: Annotated[int, Field(ge=0, le=300)] = 30
    max_lifetime_seconds: Annotated[int, Field(ge=1)] = 86_400

    @field_validator("key_set")
    @classmethod
    def _is_file_or_https(cls, key_set: str) -> str:
        scheme, separator, _ = key_set.partition("://")
        if separator and scheme != "https":
            raise ValueError("key_set must be an https:// address or a file")
        return key_set


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class AccessSettings:
    """Part `[access]` of wardcast.toml, `[[access.issuers]]` for each issuer.

    `keys_seconds` is how long a revoked API key may still be accepted. `audit_log` and `audit_key` are files,
    relative to the work folder; servers that share a database need logs of different names.
    """

    issuers: tuple[IssuerSettings, ...] = ()
    keys_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    audit_log: Path = Path("audit.jsonl")
    audit_key: Path = Path("audit.key")

    @field_validator("issuers")
    @classmethod
    def _are_different(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        if len({each.issuer for each in issuers}) < len(issuers):
            raise ValueError("an issuer is named twice")
        return issuers
