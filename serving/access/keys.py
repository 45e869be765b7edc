"""API keys: made, listed, revoked, and told apart.

A key is `wc_<key id>_<secret>`. Of the secret, 256 random bits, its SHA-256 digest alone is kept. The slow
hashes for passwords make up for secrets that can be guessed; these cannot be, and every request would pay.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, RowMapping, insert, select, update

from features.errors import UserError
from serving.access.caller import Caller
from serving.access.roles import Role
from serving.database.attempts import Attempts, AwayError
from serving.database.connection import StoreError, reading, writing
from serving.database.tables import API_KEYS
from serving.problems import ACCESS_UNAVAILABLE, CREDENTIAL_REFUSED, Problem

PREFIX = "wc_"
_FORM = re.compile(r"wc_(?P<key_id>[0-9a-f]{12})_(?P<secret>[0-9a-f]{64})")
_NO_DIGEST = "0" * 64


class ApiKeyError(UserError):
    """A key cannot be made or found; the message says why."""


@dataclass(frozen=True)
class ApiKey:
    """What is kept of an API key. Times in UTC; `departments` None: all."""

    key_id: str
    name: str
    digest: str
    roles: frozenset[Role]
    departments: frozenset[str] | None
    created_at: dt.datetime
    created_by: str
    expires_at: dt.datetime
    revoked_at: dt.datetime | None

    def state(self, now: dt.datetime) -> str:
        """valid, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "valid"


def create_key(
    engine: Engine,
    *,
    name: str,
    roles: Iterable[Role],
    departments: Iterable[str] | None,
    expires_at: dt.datetime,
    created_by: str,
    now: dt.datetime,
) -> str:
    """Make a key and return it: it is shown now and can never be had again.

    Raises ApiKeyError for no role, an empty name, or an end in the past.
    """
    given = sorted(set(roles))
    if not given:
        raise ApiKeyError("A key needs a role.")
    if not name.strip() or not name.isprintable() or len(name) > 255:
        raise ApiKeyError("A key needs a name of 1 to 255 printable characters: who or what uses it.")
    if expires_at <= now:
        raise ApiKeyError("The key would have expired already. Name a time to come.")
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    row = {
        "key_id": key_id,
        "name": name,
        "digest": _digest(secret),
        "roles": json.dumps(given),
        "departments": None if departments is None else json.dumps(sorted(set(departments))),
        "created_at": now,
        "created_by": created_by,
        "expires_at": expires_at,
    }
    with writing(engine) as connection:
        connection.execute(insert(API_KEYS).values(row))
    return f"{PREFIX}{key_id}_{secret}"


def list_keys(engine: Engine) -> list[ApiKey]:
    """Every key that was ever made, the oldest first."""
    with reading(engine) as connection:
        rows = connection.execute(select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.key_id))
        return [_api_key(row) for row in rows.mappings()]


def revoke_key(engine: Engine, key_id: str, *, now: dt.datetime) -> None:
    """End a key. Raises ApiKeyError if there is none of that id, or it is revoked already."""
    with writing(engine) as connection:
        open_key = (API_KEYS.c.key_id == key_id) & API_KEYS.c.revoked_at.is_(None)
        if connection.execute(update(API_KEYS).where(open_key).values(revoked_at=now)).rowcount == 0:
            raise ApiKeyError("There is no such key, or it is revoked already. See `wardcast keys list`.")


class KeyRing:
    """Tells callers by their API keys.

    The keys that were not revoked are read at once every `keys_seconds` and kept in between, so that neither
    a request nor a guessed key costs a query: a new key is accepted, a revoked one refused, at the latest
    after that time.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        keys_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._engine = engine
        self._keys_seconds = keys_seconds
        self._clock = clock
        self._now = now
        self._attempts = Attempts(clock)
        self._keys: Mapping[str, ApiKey] = {}
        self._read_at: float | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the next caller is told without a query."""
        return self._read_at is not None and self._clock() - self._read_at < self._keys_seconds

    def caller(self, text: str) -> Caller:
        """The caller of a valid key. Raises Problem: 401, or 503 if the store does not answer."""
        found = _FORM.fullmatch(text)
        key = None if found is None else self._current().get(found["key_id"])
        is_right = hmac.compare_digest(
            _digest("" if found is None else found["secret"]), _NO_DIGEST if key is None else key.digest
        )
        if key is None or not is_right:
            raise Problem(CREDENTIAL_REFUSED, "The API key is not accepted: it is unknown or was revoked.")
        if key.expires_at <= self._now():
            raise Problem(CREDENTIAL_REFUSED, "The API key has expired. Ask for a new one.")
        return Caller(key.name, key.roles, key.departments, key.key_id)

    def _current(self) -> Mapping[str, ApiKey]:
        if not self.is_fresh:
            try:
                self._attempts.attempt(self._read)
            except (StoreError, AwayError):
                # Keys read earlier may have been revoked since.
                raise Problem(ACCESS_UNAVAILABLE, "The API keys cannot be read now. Try again.") from None
        return self._keys

    def _read(self) -> None:
        if self.is_fresh:
            # Another request read them while this one waited for its turn.
            return
        asked_at = self._clock()
        with reading(self._engine) as connection:
            rows = connection.execute(select(API_KEYS).where(API_KEYS.c.revoked_at.is_(None)))
            self._keys = {row["key_id"]: _api_key(row) for row in rows.mappings()}
        self._read_at = asked_at


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _api_key(row: RowMapping) -> ApiKey:
    values: dict[str, Any] = dict(row)
    departments = values["departments"]
    values["roles"] = frozenset(Role(name) for name in json.loads(values["roles"]))
    values["departments"] = None if departments is None else frozenset(json.loads(departments))
    return ApiKey(**values)
