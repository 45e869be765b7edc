"""The files of the audit log: the log itself, and its secret key."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from sqlalchemy import Engine

from features.pseudonyms import read_key
from serving.access.audit import AuditLog, AuditLogError
from serving.access.chain import AuditKey
from serving.access.settings import AccessSettings

_KEY_BYTES = 32


def open_audit_log(settings: AccessSettings, work: Path, engine: Engine) -> AuditLog:
    """Go on with the log of a work folder; with the first one its key is made.

    Raises AuditLogError if the log cannot be written, KeyFileError if its key cannot be used.
    """
    log, key = log_file(settings, work), key_file(settings, work)
    if not key.exists() and not log.exists():
        _make_key(key)
    return AuditLog(log, read_audit_key(key), engine)


def log_file(settings: AccessSettings, work: Path) -> Path:
    """Where the log lies."""
    return work / settings.audit_log


def key_file(settings: AccessSettings, work: Path) -> Path:
    """Where the key of the log lies."""
    return work / settings.audit_key


def read_audit_key(file: Path) -> AuditKey:
    """The key of a log.

    Raises AuditLogError if there is none, KeyFileError if it cannot be used or others can read it.
    """
    if not file.exists():
        raise AuditLogError(
            f"{file}: there is no key of the audit log. Name the server's work folder with --work, or put "
            "the key back from a copy; with another key nothing of the log can be checked or found."
        )
    return AuditKey(read_key(file, apart_from=[]).secret)


def _make_key(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(_KEY_BYTES))
        stream.flush()
        os.fsync(descriptor)
