"""Bearer tokens: those of trusted issuers are taken for what they say, all others are refused."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from serving.access.caller import Caller
from serving.access.key_sets import IssuerKeys
from serving.access.once import UsedTokens
from serving.access.roles import Role
from serving.access.tokens import Tokens
from serving.problems import Problem
from tests.issuer import (
    AUDIENCE,
    EC_KEY,
    FOREIGN_KEY,
    ISSUER,
    NOW,
    RSA_KEY,
    claims,
    issued,
    part,
    settings,
    signature,
    token,
    tokens,
)


def refusal(text: str, by: Tokens | None = None) -> Problem:
    with pytest.raises(Problem) as refused:
        (by or tokens()).caller(text)
    return refused.value


def test_a_token_of_a_trusted_issuer_names_caller_roles_and_departments():
    expected = Caller(f"{ISSUER} u-17", frozenset({Role.PLANNER}), frozenset({"Cardiology"}))
    assert tokens().caller(issued()) == expected
    assert tokens().caller(token(key=RSA_KEY)) == expected


def test_one_of_several_audiences_is_enough():
    assert tokens().caller(token(claims(aud=["another", AUDIENCE]))).name == f"{ISSUER} u-17"


def test_a_claim_of_several_values_in_one_text_gives_all_their_roles():
    both = tokens().caller(token(claims(groups="wardcast-planners wardcast-auditors x")))
    assert both.roles == {Role.PLANNER, Role.AUDITOR}


def test_roles_are_found_along_a_path_of_claims():
    keycloak = settings(roles_claim=("realm_access", "roles"), roles={"p": "planner"})
    content = claims(realm_access={"roles": ["p"]})
    assert tokens(keycloak).caller(token(content)).roles == {Role.PLANNER}
    assert tokens(keycloak).caller(token(claims(realm_access="p"))).roles == frozenset()


def test_values_that_the_settings_do_not_know_give_no_role():
    # "planner" is the name of a role, not of a group that this issuer was given one for.
    assert tokens().caller(token(claims(groups=["planner", "administrator", 7]))).roles == frozenset()


def test_every_token_of_an_issuer_may_be_granted_a_role():
    ehr = settings(granted=("integrator",), roles={}, all_departments=True)
    caller = tokens(ehr).caller(token(claims(sub=None, departments=None)))
    assert caller == Caller(ISSUER, frozenset({Role.INTEGRATOR}), None)


@pytest.mark.parametrize(
    ("named", "seen"),
    [
        ("Cardiac Surgery", frozenset({"Cardiac Surgery"})),
        (["A", "B"], frozenset({"A", "B"})),
        (["A", "*"], None),
        ("*", None),
        ([], frozenset()),
        (None, frozenset()),
        ({"A": 1}, frozenset()),
        # PostgreSQL takes no NUL, and no database half a character.
        (["A\0", "\ud800", "心内科"], frozenset({"心内科"})),
    ],
)
def test_departments_are_those_that_the_claim_names(named: object, seen: frozenset[str] | None):
    assert tokens().caller(token(claims(departments=named))).departments == seen


def test_a_named_department_restricts_where_all_are_the_default():
    by = tokens(settings(all_departments=True))
    assert by.caller(token(claims(departments=["A"]))).departments == {"A"}
    assert by.caller(token(claims(departments=[]))).departments == frozenset()


# 30 seconds of leeway: clocks differ.
@pytest.mark.parametrize(
    "content",
    [
        claims(exp=int(NOW) - 29),
        claims(nbf=int(NOW) + 29),
        claims(iat=int(NOW) + 29),
        claims(exp=NOW + 0.5),
        claims(exp=int(NOW) + 86_400 + 30),
    ],
)
def test_times_within_the_leeway_are_accepted(content: dict[str, Any]):
    assert tokens().caller(token(content)).name == f"{ISSUER} u-17"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (claims(exp=int(NOW) - 31), "expired"),
        (claims(exp=0), "expired"),
        (claims(nbf=int(NOW) + 31), "claim nbf"),
        (claims(iat=int(NOW) + 31), "claim iat"),
        (claims(exp=int(NOW) + 86_400 + 31), "valid for longer"),
        (claims(exp=10**400), "valid for longer"),
        (claims(exp=float("inf")), "claim exp"),
        (claims(exp=float("nan")), "claim exp"),
        (claims(exp=True), "claim exp"),
        (claims(exp=str(int(NOW) + 600)), "claim exp"),
        (claims(exp=None), "claim exp"),
        (claims(iat=None), "claim iat"),
        (claims(aud=None), "claim aud"),
        (claims(aud="another"), "claim aud"),
        (claims(aud=AUDIENCE.upper()), "claim aud"),
        (claims(aud=[]), "claim aud"),
        (claims(aud={AUDIENCE: 1}), "claim aud"),
        (claims(aud=[["wardcast"]]), "claim aud"),
        (claims(iss=None), "issuer is not trusted"),
        (claims(iss="https://foreign.example"), "issuer is not trusted"),
        (claims(iss=ISSUER + "/"), "issuer is not trusted"),
        (claims(iss=ISSUER.upper()), "issuer is not trusted"),
        (claims(iss=[ISSUER]), "issuer is not trusted"),
        (claims(sub=["u-17"]), "claim sub"),
        (claims(sub="u" * 256), "subject"),
        (claims(sub="u\n17"), "subject"),
        # The audit log would find its reads among those of the key.
        (claims(sub="bed management (3f9c0a1b2c4d)"), "subject"),
    ],
)
def test_claims_that_are_not_as_expected_are_refused(content: dict[str, Any], why: str):
    problem = refusal(token(content))
    assert (problem.kind.name, problem.kind.status) == ("credential-refused", 401)
    assert why in problem.detail


def test_no_algorithm_is_refused_with_and_without_a_signature():
    for name in ("none", "None", "NONE", "nOnE", ""):
        unsigned = f"{part({'alg': name, 'kid': 'ec-1'})}.{part(claims())}."
        assert refusal(unsigned).kind.status == 401
        assert refusal(unsigned + signature(unsigned[:-1], EC_KEY, "ES256")).kind.status == 401


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "hs256"])
@pytest.mark.parametrize("form", ["pem", "der", "json"])
def test_a_public_key_is_no_shared_secret(algorithm: str, form: str):
    # Whoever has the issuer's public key could sign, if the token chose the kind of signature.
    if form == "json":
        secret = json.dumps(RSA_KEY.as_dict(private=False)).encode()
    else:
        secret = RSA_KEY.as_pem(private=False) if form == "pem" else RSA_KEY.as_der(private=False)
    encoded = f"{part({'alg': algorithm, 'kid': 'rsa-1', 'typ': 'JWT'})}.{part(claims())}"
    made = hmac.digest(secret, encoded.encode(), f"sha{algorithm[2:]}")
    assert "signature" in refusal(f"{encoded}.{part(made)}").detail


def test_an_algorithm_that_the_issuer_does_not_use_is_refused():
    only_rsa = tokens(settings(algorithms=("RS256",)))
    assert "signature" in refusal(token(key=EC_KEY), by=only_rsa).detail
    assert only_rsa.caller(token(key=RSA_KEY)).name == f"{ISSUER} u-17"


def test_a_key_serves_its_own_kind_of_signature_alone():
    encoded = f"{part({'alg': 'ES256', 'kid': 'rsa-1'})}.{part(claims())}"
    assert "signature" in refusal(f"{encoded}.{signature(encoded, EC_KEY, 'ES256')}").detail


def test_another_key_under_the_same_id_does_not_sign():
    assert "signature" in refusal(token(key=FOREIGN_KEY)).detail


FOREIGN_PUBLIC = FOREIGN_KEY.as_dict(private=False)


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://foreign.example/keys"},
        {"jku": "https://login.hospital.example/keys?"},
        {"jku": ["https://login.hospital.example/keys"]},
        {"x5u": "https://foreign.example/cert"},
        {"jwk": FOREIGN_PUBLIC},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
    ],
)
@pytest.mark.parametrize("key", [EC_KEY, FOREIGN_KEY])
def test_headers_that_bring_or_name_a_key_or_change_the_reading_are_refused(
    header: dict[str, Any], key: ECKey
):
    assert "header" in refusal(token(key=key, header=header)).detail


def test_the_configured_address_may_be_named_as_clients_of_cds_hooks_do():
    named = token(header={"jku": "https://login.hospital.example/keys", "typ": "JWT"})
    assert tokens().caller(named).name == f"{ISSUER} u-17"


@pytest.mark.parametrize(
    "key_id",
    [
        "unknown",
        "",
        "EC-1",
        "ec-1 ",
        "../../../../dev/null",
        "/etc/passwd",
        "https://foreign.example/keys",
        "file:///dev/null",
        "ec-1' OR '1'='1",
        "ec-1\x00",
        "k" * 3_000,
    ],
)
def test_a_key_id_is_a_name_and_nothing_else(key_id: str):
    assert "no such key" in refusal(token(header={"kid": key_id})).detail


@pytest.mark.parametrize("key_id", [7, ["ec-1"], {"kid": "ec-1"}, True])
def test_a_key_id_is_a_text(key_id: object):
    assert refusal(token(header={"kid": key_id})).kind.status == 401


def test_without_a_key_id_the_only_key_serves_and_among_several_none():
    unnamed = token(header={"kid": None})
    assert "no such key" in refusal(unnamed).detail
    alone = json.dumps({"keys": [EC_KEY.as_dict(private=False)]}).encode()
    one = Tokens([settings()], now=lambda: NOW, keys_of=lambda _: IssuerKeys(lambda: alone))
    assert one.caller(unnamed).name == f"{ISSUER} u-17"


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "JOSE", "", 7])
def test_a_token_for_another_purpose_is_refused(kind: object):
    assert "purpose" in refusal(token(header={"typ": kind})).detail


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
def test_access_tokens_are_taken_by_each_of_their_names(kind: str | None):
    assert tokens().caller(token(header={"typ": kind})).name == f"{ISSUER} u-17"


def test_a_changed_payload_no_longer_fits_its_signature():
    header, _, signed = token().split(".")
    changed = part(claims(groups=["wardcast-auditors"]))
    assert "signature" in refusal(f"{header}.{changed}.{signed}").detail


def test_every_changed_character_of_a_token_is_refused():
    text = token()
    # The last character has bits that stand for nothing.
    for place in range(len(text) - 1):
        for instead in "A-. ":
            changed = text[:place] + instead + text[place + 1 :]
            if changed != text:
                refusal(changed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "a.b.c.d.e",
        "é.é.é",
        "e30.e30.",
        f"{part([])}.{part(claims())}.x",
        f"{part('alg')}.{part(claims())}.x",
        f"{part({'alg': ['ES256']})}.{part(claims())}.x",
        f"{part({})}.{part(claims())}.x",
        f"{part({'alg': 'ES256', 'kid': 'ec-1'})}.{part([claims()])}.x",
        f"{part({'alg': 'ES256', 'kid': 'ec-1'})}.{part(b'{')}.x",
        f"{part({'alg': 'ES256', 'kid': 'ec-1'})}.{part(bytes([0xFF]))}.x",
        f"{part({'alg': 'ES256', 'kid': 'ec-1'})}.{part(claims())}.",
        # Nested deeper than a parser goes.
        f"{part(b'[' * 9_000)}.{part(claims())}.x",
        f"{part({'alg': 'ES256', 'kid': 'ec-1'})}.{part(b'[' * 9_000)}.x",
        # A number of more digits than are read.
        f"{part({'alg': 'ES256', 'kid': 'ec-1'})}.{part(b'{' + b'9' * 5_000 + b'}')}.x",
        "x" * 20_000,
        "." * 20_000,
        token(claims(filling="x" * 20_000)),
    ],
)
def test_what_is_no_token_is_refused(text: str):
    assert refusal(text).kind.status == 401


def test_a_refusal_holds_nothing_of_the_token():
    secret = "patient-4711"
    contents = [
        claims(iss=secret),
        claims(aud=secret),
        claims(sub=secret + "\n"),
        claims(exp=secret),
        {secret: 1},
    ]
    for content in contents:
        assert secret not in json.dumps(refusal(token(content)).document())
    for header in ({"kid": secret}, {"alg": "ES256", "typ": secret}, {"jku": secret}, {secret: 1, "jwk": 1}):
        assert secret not in json.dumps(refusal(token(header=header)).document())


def test_tokens_of_two_issuers_are_checked_by_the_keys_of_each():
    other = settings(issuer="https://other.example", granted=("administrator",))
    sets = {ISSUER: EC_KEY, "https://other.example": RSAKey.generate_key(2048, {"kid": "ec-1"})}

    def keys_of(issuer: Any) -> IssuerKeys:
        content = json.dumps({"keys": [sets[issuer.issuer].as_dict(private=False)]}).encode()
        return IssuerKeys(lambda: content)

    both = Tokens([settings(), other], now=lambda: NOW, keys_of=keys_of)
    assert both.caller(token()).roles == {Role.PLANNER}
    # The first issuer's key under the name of the second, who gives more.
    assert "signature" in refusal(token(claims(iss="https://other.example")), by=both).detail


def test_one_time_tokens_are_accepted_once():
    by = tokens(settings(one_time=True))
    first = token(claims(jti="a"))
    assert by.caller(first).name == f"{ISSUER} u-17"
    assert "used before" in refusal(first, by=by).detail
    # Signed anew, it is the same token still.
    assert "used before" in refusal(token(claims(jti="a", exp=int(NOW) + 300)), by=by).detail
    assert by.caller(token(claims(jti="b"))).name == f"{ISSUER} u-17"


def test_a_token_that_is_refused_is_not_used_up():
    by = tokens(settings(one_time=True))
    refusal(token(claims(jti="a"), key=FOREIGN_KEY), by=by)
    assert by.caller(token(claims(jti="a"))).name == f"{ISSUER} u-17"


@pytest.mark.parametrize("token_id", [None, "", 7, "j" * 256])
def test_a_one_time_token_needs_an_id(token_id: object):
    assert "claim jti" in refusal(token(claims(jti=token_id)), by=tokens(settings(one_time=True))).detail


def test_a_one_time_token_from_before_the_start_could_have_been_used_then():
    by = tokens(settings(one_time=True))
    assert "before the server started" in refusal(token(claims(jti="a", iat=int(NOW) - 1)), by=by).detail


def test_a_one_time_token_is_remembered_as_long_as_it_would_be_accepted():
    seconds = [NOW]
    content = json.dumps({"keys": [EC_KEY.as_dict(private=False)]}).encode()
    by = Tokens(
        [settings(one_time=True, leeway_seconds=0)],
        now=lambda: seconds[0],
        keys_of=lambda _: IssuerKeys(lambda: content),
    )
    text = token(claims(jti="a", exp=NOW + 10.5))
    assert by.caller(text).name == f"{ISSUER} u-17"
    # Ends are checked in whole seconds: this one is accepted until 11 seconds have passed.
    for passed in (10.4, 10.6, 10.9):
        seconds[0] = NOW + passed
        assert "used before" in refusal(text, by=by).detail
    seconds[0] = NOW + 11
    assert "expired" in refusal(text, by=by).detail


def test_without_one_time_a_token_serves_until_it_expires():
    by, text = tokens(), token(claims(jti="a"))
    assert by.caller(text) == by.caller(text)


def test_used_tokens_are_forgotten_when_they_have_expired_anyway():
    used = UsedTokens(max_tokens=2)
    assert used.use("a", until=10.0, now=0.0)
    assert used.use("b", until=20.0, now=0.0)
    with pytest.raises(Problem) as full:
        used.use("c", until=20.0, now=10.0)
    assert full.value.kind.status == 503
    assert used.use("c", until=20.0, now=10.1)
    assert not used.use("b", until=20.0, now=20.0)


def test_keys_that_cannot_be_had_are_no_refusal():
    def unreachable() -> bytes:
        raise OSError("no route")

    by = Tokens([settings()], now=lambda: NOW, keys_of=lambda _: IssuerKeys(unreachable))
    problem = refusal(token(), by=by)
    assert (problem.kind.name, problem.kind.status) == ("access-unavailable", 503)


def test_a_server_without_issuers_takes_no_token():
    assert "issuer is not trusted" in refusal(token(), by=Tokens([])).detail
