"""The public keys of an issuer of tokens, as its JSON Web Key Set has them (RFC 7517)."""

from __future__ import annotations

import json
import logging
import math
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, import_key
from joserfc.util import base64_to_int

from features.errors import UserError

PublicKey = RSAKey | ECKey

READ_SECONDS = 5.0
RETRY_SECONDS = 10.0
"""The least time between two looks, so that tokens with made-up key ids do not make the issuer's load."""
REFRESH_SECONDS = 300.0
"""After that a key which the issuer has withdrawn is no longer accepted."""
MAX_AGE_SECONDS = 86_400.0
"""So long an issuer that does not answer is trusted by the keys it had."""
MAX_BYTES = 1024 * 1024
_MIN_RSA_BITS = 2048

_log = logging.getLogger("wardcast.serving")


class KeySetError(UserError):
    """The issuer's keys cannot be had; the message says why."""


class IssuerKeys:
    """The keys of one issuer by their id. Read at first use, at an unknown id, and from time to time.

    `read` gives the key set; it may raise OSError or KeySetError. Nothing of a token decides where it is
    read.
    """

    def __init__(self, read: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._reading = threading.Lock()
        self._keys: Mapping[str | None, PublicKey] = {}
        self._read_at = self._tried_at = -math.inf
        # Whether the last attempt to read them failed.
        self._is_away = False

    def key(self, key_id: str | None) -> PublicKey | None:
        """The key of that id, or the only one for None; None if there is no such key. Raises KeySetError."""
        age = self._clock() - self._read_at
        if age > REFRESH_SECONDS or self._found(key_id) is None:
            self._look_again(must=age > MAX_AGE_SECONDS or not self._keys)
        return self._found(key_id)

    def _found(self, key_id: str | None) -> PublicKey | None:
        keys = self._keys
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    def _look_again(self, *, must: bool) -> None:
        # While one request waits for the issuer, others go on with the keys that are there; where there are
        # none they wait too, unless the issuer did not answer the last time either.
        if not self._reading.acquire(timeout=READ_SECONDS if must and not self._is_away else 0):
            if must:
                raise KeySetError("the issuer's keys are being read")
            return
        try:
            if self._clock() - self._tried_at >= RETRY_SECONDS:
                self._tried_at = self._clock()
                self._keys = parse_key_set(self._read())
                self._read_at, self._is_away = self._clock(), False
        except (OSError, KeySetError) as error:
            # The attempt itself may have taken longer than the time until the next.
            self._tried_at, self._is_away = self._clock(), True
            _log.warning(json.dumps({"event": "issuer_keys_unreadable", "reason": _reason(error)}))
        finally:
            self._reading.release()
        if self._clock() - self._read_at > MAX_AGE_SECONDS:
            raise KeySetError("the issuer's keys cannot be read")


def parse_key_set(content: bytes) -> dict[str | None, PublicKey]:
    """The keys that signatures can be checked with. Others, such as for encryption, are passed over.

    Raises KeySetError if it is no key set, has no usable key or two of one id, or holds a secret.
    """
    try:
        entries = json.loads(content)["keys"]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise KeySetError("not a JSON Web Key Set")
    except (ValueError, TypeError, KeyError, RecursionError):
        raise KeySetError("not a JSON Web Key Set") from None
    keys: dict[str | None, PublicKey] = {}
    for entry in entries:
        key = _public_key(entry)
        if key is None:
            continue
        if key.kid in keys:
            raise KeySetError("two keys have the same id")
        keys[key.kid] = key
    if not keys:
        raise KeySetError("no key that signatures can be checked with")
    return keys


def _public_key(entry: Mapping[str, Any]) -> PublicKey | None:
    if entry.get("kty") not in ("RSA", "EC") or entry.get("use", "sig") != "sig":
        return None
    if "d" in entry:
        raise KeySetError("holds a private key; give the public part alone")
    try:
        if entry["kty"] == "RSA" and base64_to_int(entry["n"]).bit_length() < _MIN_RSA_BITS:
            return None
        key = import_key(dict(entry))
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        raise KeySetError("holds a key that cannot be read") from None
    assert isinstance(key, (RSAKey, ECKey))
    return key


def reader_of(key_set: str, ca_file: Path | None) -> Callable[[], bytes]:
    """How a key set is read: from an https address, or from a file, which must be there now.

    Raises KeySetError for a file that is none, or a `ca_file` that cannot be used: a server that could let
    nobody in had better not start. An address that does not answer yet is asked again later.
    """
    if not key_set.startswith("https://"):
        file = Path(key_set)
        try:
            parse_key_set(_limited(file.read_bytes()))
        except (OSError, KeySetError) as error:
            raise KeySetError(f"key_set {file}: {_reason(error)}") from None
        return lambda: _limited(file.read_bytes())
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise KeySetError(f"ca_file {ca_file}: {_reason(error)}") from None
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))

    def read() -> bytes:
        try:
            with opener.open(key_set, timeout=READ_SECONDS) as answer:
                content = _in_time(answer)
        except HTTPException:
            raise KeySetError("the address does not answer as HTTP does") from None
        return _limited(content)

    return read


def _in_time(answer: Any) -> bytes:
    """A body up to the size that is taken. All of it together may take `READ_SECONDS`, and one part more."""
    until, content = time.monotonic() + READ_SECONDS, b""
    while len(content) <= MAX_BYTES and (part := answer.read1(MAX_BYTES)):
        content += part
        if time.monotonic() > until:
            raise KeySetError("the address answers too slowly")
    return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The configured address is asked, and no other that it names."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


def _reason(error: OSError | KeySetError) -> str:
    return str(error) if isinstance(error, KeySetError) else (error.strerror or type(error).__name__)


def _limited(content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise KeySetError(f"larger than {MAX_BYTES} bytes")
    return content
