"""Who asks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from serving.access.roles import PERMISSIONS, Permission, Role

_KEY = re.compile(r"(?P<name>.*) \((?P<key_id>[0-9a-f]{12})\)")


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request, as the credential says.

    `name` is the name of an API key, or the issuer and subject of a token, without a subject the issuer
    alone: never a patient. `departments` are those whose patients the caller sees; None stands for all.
    `key_id` is that of an API key, None of a token.
    """

    name: str
    roles: frozenset[Role]
    departments: frozenset[str] | None
    key_id: str | None = None

    @property
    def identity(self) -> str:
        """Who it is among all others. Names of keys are not unique: a key is named with its id."""
        return self.name if self.key_id is None else f"{self.name} ({self.key_id})"

    def may(self, permission: Permission) -> bool:
        """Whether one of the roles allows it."""
        return any(permission in PERMISSIONS[role] for role in self.roles)

    def sees(self, department: str | None) -> bool:
        """Whether the department's patients are shown. An unknown department is for those who see all."""
        return self.departments is None or (department is not None and department in self.departments)


def is_named(asked: str, identity: str) -> bool:
    """Whether `asked` is a caller's identity, or the name or the id of its key."""
    key = _KEY.fullmatch(identity)
    return asked == identity or (key is not None and asked in key.groups())


def ends_as_key(subject: str) -> bool:
    """Whether a subject would be taken for an API key of this server in the audit log."""
    return _KEY.fullmatch(subject) is not None


def insecure_demo_caller() -> Caller:
    """Everybody, where `--insecure-demo` has turned authentication off: every role, every department."""
    return Caller("insecure-demo", frozenset(Role), None)
