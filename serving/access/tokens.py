"""Bearer tokens: JSON Web Tokens of trusted issuers (RFC 7519, checked as RFC 8725 asks)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from serving.access.caller import Caller, ends_as_key
from serving.access.key_sets import IssuerKeys, KeySetError, PublicKey, reader_of
from serving.access.once import UsedTokens
from serving.access.roles import Role
from serving.access.settings import IssuerSettings
from serving.problems import ACCESS_UNAVAILABLE, CREDENTIAL_REFUSED, Problem

ALL_DEPARTMENTS = "*"
MAX_TOKEN_CHARACTERS = 16_384
MAX_NAME_CHARACTERS = 255
# A token for another purpose (a logout, a proof of possession) has a type of its own.
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
# Headers that bring or name a key, or change how the token is to be read.
_REFUSED_HEADERS = frozenset({"jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})


class Tokens:
    """Tells callers by their tokens. No address that a token names is ever asked."""

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        *,
        now: Callable[[], float] = time.time,
        keys_of: Callable[[IssuerSettings], IssuerKeys] | None = None,
    ) -> None:
        make = keys_of or (lambda issuer: IssuerKeys(reader_of(issuer.key_set, issuer.ca_file)))
        self._issuers = {each.issuer: _Issuer(each, make(each), now) for each in issuers}

    def caller(self, token: str) -> Caller:
        """The caller of a valid token.

        Raises Problem: 401 with what is wrong in general words, never a value of the token; 503 if the
        issuer's keys cannot be had.
        """
        header, claims = _unverified(token)
        issuer = self._issuers.get(_text(claims.get("iss")))
        if issuer is None:
            raise _refused("Its issuer is not trusted here.")
        return issuer.caller(token, header)


class _Issuer:
    def __init__(self, settings: IssuerSettings, keys: IssuerKeys, now: Callable[[], float]) -> None:
        self._settings = settings
        self._keys = keys
        self._now = now
        self._started_at = now()
        self._used = UsedTokens() if settings.one_time else None
        self._algorithms = JWSRegistry(algorithms=settings.algorithms, strict_check_header=False)
        # The library's 512 bytes are too few for issuers that name certificates.
        self._algorithms.max_header_length = MAX_TOKEN_CHARACTERS
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=settings.leeway_seconds,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "values": list(settings.audiences)},
            exp={"essential": True},
            iat={"essential": True},
        )

    def caller(self, token: str, header: Mapping[str, Any]) -> Caller:
        claims = self._verified(token, self._key(header))
        subject = _text(claims.get("sub", ""))
        if len(subject) > MAX_NAME_CHARACTERS or not subject.isprintable() or ends_as_key(subject):
            raise _refused("Its subject is not as expected.")
        caller = Caller(
            f"{self._settings.issuer} {subject}".rstrip(), self._roles(claims), self._departments(claims)
        )
        if self._used is not None:
            self._use(claims, self._used)
        return caller

    def _key(self, header: Mapping[str, Any]) -> PublicKey:
        if _REFUSED_HEADERS & header.keys() or header.get("jku") not in (None, self._settings.key_set):
            raise _refused("Its header brings or names a key, or asks for an extension.")
        if _text(header.get("typ", "JWT")).lower() not in _TYPES:
            raise _refused("It is a token for another purpose.")
        key_id = header.get("kid")
        if key_id is not None and not isinstance(key_id, str):
            raise _refused("It is not a token as expected.")
        try:
            key = self._keys.key(key_id)
        except KeySetError:
            raise Problem(
                ACCESS_UNAVAILABLE, "The keys of the token's issuer cannot be read now. Try again."
            ) from None
        if key is None:
            raise _refused("Its issuer has no such key.")
        return key

    def _verified(self, token: str, key: PublicKey) -> Mapping[str, Any]:
        try:
            claims = jwt.decode(token, key, registry=self._algorithms).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            raise _refused("Its signature is not one of its issuer's.") from None
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise _refused("It has expired. Get a new one.") from None
        except ClaimError as error:
            raise _refused(f"Its claim {error.claim} is missing or not accepted.") from None
        if claims["exp"] > self._now() + self._settings.leeway_seconds + self._settings.max_lifetime_seconds:
            raise _refused("It is valid for longer than is accepted here.")
        return claims

    def _use(self, claims: Mapping[str, Any], used: UsedTokens) -> None:
        token_id = claims.get("jti")
        if not isinstance(token_id, str) or not 0 < len(token_id) <= MAX_NAME_CHARACTERS:
            raise _refused("Its claim jti is missing or not accepted.")
        # Which tokens were used before the server started is not known.
        if claims["iat"] < self._started_at:
            raise _refused("It was issued before the server started. Get a new one.")
        # The end is checked in whole seconds.
        until = claims["exp"] + self._settings.leeway_seconds + 1
        if not used.use(token_id, until=until, now=self._now()):
            raise _refused("It has been used before. Get a new one for every request.")

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        named = _at(claims, self._settings.roles_claim)
        # One text may hold several values, as the claim `scope` does.
        values = named.split() if isinstance(named, str) else _texts(named)
        given = {self._settings.roles[value] for value in values if value in self._settings.roles}
        return frozenset(given | set(self._settings.granted))

    def _departments(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        named = _at(claims, self._settings.departments_claim)
        values = [named] if isinstance(named, str) else _texts(named)
        if ALL_DEPARTMENTS in values or (named is None and self._settings.all_departments):
            return None
        # Others are no department's, and no database could be asked for them.
        return frozenset(value for value in values if value.isprintable())


def _refused(why: str) -> Problem:
    return Problem(CREDENTIAL_REFUSED, f"The token is not accepted. {why}")


def _unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims as they stand there, which prove nothing: they tell whose keys to check with."""
    malformed = _refused("It is not a token as expected.")
    parts = token.split(".")
    if len(token) > MAX_TOKEN_CHARACTERS or len(parts) != 3:
        raise malformed
    try:
        header, claims = (json.loads(urlsafe_b64decode(part.encode("ascii"))) for part in parts[:2])
    except (ValueError, TypeError, RecursionError):
        raise malformed from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise malformed
    return header, claims


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _at(claims: Mapping[str, Any], path: Sequence[str]) -> object:
    """The value along a path such as realm_access, roles; None where there is none."""
    value: object = claims
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
