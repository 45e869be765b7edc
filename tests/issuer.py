"""An issuer of tokens, with keys of its own, for the tests of who is let in."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from serving.access.key_sets import IssuerKeys
from serving.access.settings import IssuerSettings
from serving.access.tokens import Tokens

ISSUER = "https://login.hospital.example"
AUDIENCE = "wardcast"
NOW = 1_800_000_000.0

RSA_KEY = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"}, private=True)
EC_KEY = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"}, private=True)
FOREIGN_KEY = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"}, private=True)


def key_set(*keys: RSAKey | ECKey) -> bytes:
    """The public key set of an issuer, as it publishes it."""
    return json.dumps(KeySet(list(keys)).as_dict(private=False)).encode()


def settings(**changed: Any) -> IssuerSettings:
    """An issuer whose groups `wardcast-planners` and `wardcast-auditors` have roles."""
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": (AUDIENCE,),
        "key_set": "https://login.hospital.example/keys",
        "roles_claim": ("groups",),
        "roles": {"wardcast-planners": "planner", "wardcast-auditors": "auditor"},
    }
    return IssuerSettings(**(values | changed))


def tokens(*issuers: IssuerSettings, now: float = NOW) -> Tokens:
    """What a server that trusts the issuers tells callers by. No issuer is asked for its keys."""
    content = key_set(RSA_KEY, EC_KEY)
    return Tokens(
        issuers or (settings(),), now=lambda: now, keys_of=lambda _issuer: IssuerKeys(lambda: content)
    )


def claims(**changed: Any) -> dict[str, Any]:
    """Claims of a planner of cardiology, issued now for ten minutes; what is None is left out."""
    values: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u-17",
        "iat": int(NOW),
        "exp": int(NOW) + 600,
        "groups": ["wardcast-planners", "others"],
        "departments": ["Cardiology"],
    }
    return {name: value for name, value in (values | changed).items() if value is not None}


def token(
    content: Mapping[str, Any] | None = None,
    *,
    key: RSAKey | ECKey = EC_KEY,
    header: Mapping[str, Any] | None = None,
) -> str:
    """A token signed by `key`; its headers name algorithm and key, if `header` does not."""
    algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
    headers = {"alg": algorithm, "kid": key.kid} | dict(header or {})
    headers = {name: value for name, value in headers.items() if value is not None}
    encoded = f"{part(headers)}.{part(claims() if content is None else content)}"
    return f"{encoded}.{signature(encoded, key, str(headers.get('alg')))}"


def signature(encoded: str, key: RSAKey | ECKey, algorithm: str) -> str:
    """The signature of any first two parts, by the library's own algorithm."""
    from joserfc.jws import JWSRegistry

    made: bytes = JWSRegistry.algorithms[algorithm].sign(encoded.encode(), key)
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def part(content: object) -> str:
    """One part of a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def issued(**changed: Any) -> str:
    """A token as an issuer's own library makes it."""
    return jwt.encode({"alg": "ES256", "kid": EC_KEY.kid}, claims(**changed), EC_KEY)


def write_key_set(folder: Path) -> Path:
    """The key set as a file."""
    file = folder / "keys.json"
    file.write_bytes(key_set(RSA_KEY, EC_KEY))
    return file
