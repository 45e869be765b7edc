"""Pseudonyms: identifiers replaced by a keyed hash on the way in (HMAC-SHA256, RFC 2104).

The key lies in a file of its own, away from the data; it is never copied, logged or written, and stands in
no query. The same key gives the same pseudonym in every extract, so that patients stay linked; without
the key nobody can make a pseudonym from an identifier. A pseudonym is the hash of the identifier as it is
read, in UTF-8 and without blanks around it, and `hmac` of any language makes the same one.
"""

from __future__ import annotations

import hashlib
import hmac
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from features.errors import UserError

HASHED_COLUMNS = ("patient_id", "stay_id", "visit_id")
"""The columns that hold an identifier of a person or of what happened to one, in every table."""

HEX_DIGITS = 32
"""128 bits: among 10⁹ identifiers a collision has a chance of 10⁻²¹."""

MIN_KEY_BYTES, MAX_KEY_BYTES = 32, 4096
_MIN_DISTINCT_BYTES = 8  # a key of random bytes has more, and so has one of random hex digits
_BLOCK_BYTES = 64  # of SHA-256
_KEY_ID_OF = b"\x00wardcast: which key\x00"


class KeyFileError(UserError):
    """The key cannot be used; the message says why and never what it holds."""


@dataclass(frozen=True)
class IdKey:
    """The secret key of the pseudonyms."""

    secret: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Tells two keys apart and nothing else: the hash of a fixed text, 16 hex digits."""
        return hmac.new(self.secret, _KEY_ID_OF, "sha256").hexdigest()[:16]


def read_key(file: Path, *, apart_from: Iterable[Path]) -> IdKey:
    """The key of a file, byte for byte.

    Raises KeyFileError if the file cannot be read, lies in (or is) one of `apart_from`, can be read by other
    accounts, or holds no key: fewer than 32 bytes, more than 4,096, or hardly any different ones.
    """
    name, place = file.name, file.resolve()
    if any(place.is_relative_to(folder.resolve()) for folder in apart_from):
        raise KeyFileError(f"{name}: the key lies in the data's own folder. Keep it in another place.")
    try:
        if place.is_dir():
            raise KeyFileError(f"{name}: is a folder. Name the file of the key.")
        if not place.is_file():
            raise KeyFileError(f"{name}: no such file. Make one: openssl rand -out {name} 32")
        if stat.S_IMODE(place.stat().st_mode) & 0o077:
            raise KeyFileError(f"{name}: other accounts can use the key. Run: chmod 600 {name}")
        with place.open("rb") as stream:
            secret = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{name}: the key cannot be read ({error.strerror}).") from None
    if not MIN_KEY_BYTES <= len(secret) <= MAX_KEY_BYTES or len(set(secret)) < _MIN_DISTINCT_BYTES:
        raise KeyFileError(
            f"{name}: holds no key of {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random bytes. "
            f"Make one: openssl rand -out {name} 32"
        )
    return IdKey(secret)


def use_key(data: duckdb.DuckDBPyConnection, key: IdKey) -> None:
    """Give the key to the engine, in whose variables it stays: no query holds it, and no table."""
    secret = key.secret if len(key.secret) <= _BLOCK_BYTES else hashlib.sha256(key.secret).digest()
    block = secret.ljust(_BLOCK_BYTES, b"\x00")
    for name, pad in (("id_key_inner", 0x36), ("id_key_outer", 0x5C)):
        data.execute(f"SET VARIABLE {name} = ?::BLOB", [bytes(byte ^ pad for byte in block)])


def pseudonym_sql(text: str) -> str:
    """SQL of the pseudonym of a text, null for null, on an engine that has the key."""
    inner = f"sha256(getvariable('id_key_inner') || encode({text}))"
    return f"left(sha256(getvariable('id_key_outer') || unhex({inner})), {HEX_DIGITS})"
