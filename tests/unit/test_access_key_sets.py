"""An issuer's keys: read where the settings say, again when they change, never more often than needed."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OctKey, RSAKey

from serving.access import key_sets
from serving.access.key_sets import (
    MAX_AGE_SECONDS,
    MAX_BYTES,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    IssuerKeys,
    KeySetError,
    parse_key_set,
    reader_of,
)
from serving.access.settings import AccessSettings, IssuerSettings
from serving.access.tokens import Tokens
from tests.issuer import EC_KEY, RSA_KEY, key_set, settings, write_key_set

MODULUS_OF_1024_BITS = (
    "yg_JWCHIo3V6RO0FzOGjcQFaqLGtVWgbcRFjGgMWy51t_rXFwS9RdD73wuMKAvXiaBfoXMx1m_FOtB2oQwIW0Ee7QGZiFD7nfjqoskWdy"
    "PjXQND5h5MPZtVPSAxBWHEe87Zz6BImdGnK1IxqGisk8JHR56qfb31QV4mLZ3HPl18"
)


class Issuer:
    """Publishes keys, and counts how often they are read."""

    def __init__(self, *keys: RSAKey | ECKey) -> None:
        self.content = key_set(*keys)
        self.fails = False
        self.n_reads = 0
        self.seconds = 0.0

    def read(self) -> bytes:
        self.n_reads += 1
        if self.fails:
            raise OSError("unreachable")
        return self.content

    def keys(self) -> IssuerKeys:
        return IssuerKeys(self.read, clock=lambda: self.seconds)


def test_keys_are_read_at_first_use_and_kept():
    issuer = Issuer(EC_KEY)
    keys = issuer.keys()
    assert issuer.n_reads == 0
    assert keys.key("ec-1") is keys.key("ec-1")
    assert issuer.n_reads == 1


def test_a_new_key_is_found_by_its_unknown_id():
    issuer = Issuer(EC_KEY)
    keys = issuer.keys()
    assert keys.key("rsa-1") is None
    issuer.content = key_set(EC_KEY, RSA_KEY)
    issuer.seconds += RETRY_SECONDS
    assert keys.key("rsa-1") is not None
    assert issuer.n_reads == 2


def test_made_up_key_ids_do_not_make_the_issuers_load():
    issuer = Issuer(EC_KEY)
    keys = issuer.keys()
    for number in range(100):
        assert keys.key(f"made-up-{number}") is None
    assert issuer.n_reads == 1


def test_a_withdrawn_key_is_refused_after_the_next_look():
    issuer = Issuer(EC_KEY, RSA_KEY)
    keys = issuer.keys()
    assert keys.key("rsa-1") is not None
    issuer.content = key_set(EC_KEY)
    issuer.seconds += REFRESH_SECONDS
    assert keys.key("rsa-1") is not None
    issuer.seconds += 1
    assert keys.key("rsa-1") is None


def test_an_issuer_that_does_not_answer_is_trusted_by_the_keys_it_had_for_a_day():
    issuer = Issuer(EC_KEY)
    keys = issuer.keys()
    assert keys.key("ec-1") is not None
    issuer.fails = True
    issuer.seconds = MAX_AGE_SECONDS
    assert keys.key("ec-1") is not None
    issuer.seconds += 1
    with pytest.raises(KeySetError):
        keys.key("ec-1")


def test_a_broken_key_set_does_not_replace_the_keys():
    issuer = Issuer(EC_KEY)
    keys = issuer.keys()
    assert keys.key("ec-1") is not None
    issuer.content = b"<html>maintenance</html>"
    issuer.seconds += REFRESH_SECONDS + 1
    assert keys.key("ec-1") is not None
    assert issuer.n_reads == 2


def test_before_the_first_answer_no_token_can_be_judged():
    issuer = Issuer(EC_KEY)
    issuer.fails = True
    keys = issuer.keys()
    for _ in range(5):
        with pytest.raises(KeySetError):
            keys.key("ec-1")
    assert issuer.n_reads == 1
    issuer.fails = False
    issuer.seconds += RETRY_SECONDS
    assert keys.key("ec-1") is not None


def test_while_one_request_waits_for_the_issuer_others_go_on_with_the_keys_that_are_there():
    issuer = Issuer(EC_KEY)
    asked, answer = threading.Event(), threading.Event()

    def read() -> bytes:
        if issuer.n_reads:
            asked.set()
            assert answer.wait(10)
        return issuer.read()

    keys = IssuerKeys(read, clock=lambda: issuer.seconds)
    assert keys.key("ec-1") is not None
    issuer.seconds += REFRESH_SECONDS + 1
    waits = threading.Thread(target=keys.key, args=("ec-1",))
    waits.start()
    assert asked.wait(10)
    assert keys.key("ec-1") is not None
    answer.set()
    waits.join()
    assert issuer.n_reads == 2


def without(key: ECKey | RSAKey, **changed: object) -> dict[str, object]:
    values = dict(key.as_dict(private=False)) | changed
    return {name: value for name, value in values.items() if value is not None}


def test_an_issuer_that_is_away_is_waited_for_by_one_request_alone():
    issuer = Issuer(EC_KEY)
    began, may_fail = threading.Event(), threading.Event()

    def slow() -> bytes:
        began.set()
        may_fail.wait(10)
        # As long as no other attempt is allowed, and longer.
        issuer.seconds += RETRY_SECONDS + 5
        return issuer.read()

    issuer.fails = True
    keys = IssuerKeys(slow, clock=lambda: issuer.seconds)
    may_fail.set()
    with pytest.raises(KeySetError):
        keys.key("ec-1")
    # An attempt that took so long is not followed by the next one at once.
    with pytest.raises(KeySetError):
        keys.key("ec-1")
    assert issuer.n_reads == 1
    may_fail.clear()
    began.clear()
    issuer.seconds += RETRY_SECONDS
    issuer.fails = False
    waiting = threading.Thread(target=keys.key, args=("ec-1",))
    waiting.start()
    assert began.wait(10)
    asked_at = time.monotonic()
    with pytest.raises(KeySetError, match="are being read"):
        keys.key("ec-1")
    assert time.monotonic() - asked_at < 1.0
    may_fail.set()
    waiting.join(10)
    assert keys.key("ec-1") is not None


def test_keys_for_other_purposes_are_passed_over():
    secret = OctKey.generate_key(256, {"kid": "shared"})
    too_small = {"kty": "RSA", "kid": "of-1024-bits", "e": "AQAB", "n": MODULUS_OF_1024_BITS}
    entries = [
        without(RSA_KEY),
        secret.as_dict(private=True),
        without(EC_KEY, use="enc", kid="for-encryption"),
        {"kty": "AKP", "kid": "of-tomorrow"},
        too_small,
    ]
    assert set(parse_key_set(json.dumps({"keys": entries}).encode())) == {"rsa-1"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a JSON Web Key Set"),
        (b"[]", "not a JSON Web Key Set"),
        (b"{}", "not a JSON Web Key Set"),
        (b'{"keys": {}}', "not a JSON Web Key Set"),
        (b'{"keys": [1]}', "not a JSON Web Key Set"),
        (b"[" * 100_000, "not a JSON Web Key Set"),
        (b'{"keys": []}', "no key that"),
        (b'{"keys": [{"kty": "RSA", "kid": "a"}]}', "cannot be read"),
        (b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}', "cannot be read"),
        (json.dumps({"keys": [EC_KEY.as_dict(private=True)]}).encode(), "private key"),
        (json.dumps({"keys": [without(EC_KEY), without(RSA_KEY, kid="ec-1")]}).encode(), "same id"),
    ],
)
def test_what_is_no_key_set_is_refused(content: bytes, why: str):
    with pytest.raises(KeySetError, match=why):
        parse_key_set(content)


def test_a_key_set_may_be_a_file(tmp_path: Path):
    read = reader_of(str(write_key_set(tmp_path)), None)
    assert set(parse_key_set(read())) == {"rsa-1", "ec-1"}


def test_a_file_that_is_too_large_is_no_key_set(tmp_path: Path):
    file = tmp_path / "keys.json"
    file.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(KeySetError, match="larger"):
        reader_of(str(file), None)()


@pytest.mark.parametrize("content", [None, b"no key set"])
def test_a_file_that_could_let_nobody_in_is_told_at_the_start(tmp_path: Path, content: bytes | None):
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KeySetError, match=r"key_set .*keys\.json: (No such file|not a JSON Web Key Set)"):
        Tokens([settings(key_set=str(file))])


def test_a_certificate_of_an_authority_that_cannot_be_used_is_told_at_the_start(tmp_path: Path):
    with pytest.raises(KeySetError, match=r"ca_file .*none\.pem: No such file"):
        Tokens([settings(ca_file=tmp_path / "none.pem")])


def test_a_file_of_keys_is_read_again_when_a_token_names_a_new_one(tmp_path: Path):
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(EC_KEY))
    seconds = [0.0]
    keys = IssuerKeys(reader_of(str(file), None), clock=lambda: seconds[0])
    assert keys.key("rsa-1") is None
    file.write_bytes(key_set(EC_KEY, RSA_KEY))
    seconds[0] += RETRY_SECONDS
    assert keys.key("rsa-1") is not None


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer of the tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "issuer.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@contextmanager
def https_server(pem: Path, answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_arguments: object) -> None:
            pass

    class Server(HTTPServer):
        def handle_error(self, *_arguments: object) -> None:
            # A client that does not trust the certificate ends the connection.
            pass

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/keys"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def publish(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(key_set(EC_KEY))


def test_a_key_set_is_read_over_https_from_the_authority_that_is_named(tmp_path: Path):
    pem = certificate(tmp_path)
    with https_server(pem, publish) as address:
        assert set(parse_key_set(reader_of(address, pem)())) == {"ec-1"}
        # Not an authority of this system.
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            reader_of(address, None)()


def test_no_other_address_is_followed(tmp_path: Path):
    pem, asked = certificate(tmp_path), []

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.send_response(302)
        handler.send_header("Location", "/other")
        handler.end_headers()

    with https_server(pem, redirect) as address, pytest.raises(OSError, match="302"):
        reader_of(address, pem)()
    assert asked == ["/keys"]


def test_an_endless_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(key_sets, "MAX_BYTES", 100)
    pem = certificate(tmp_path)
    with https_server(pem, publish) as address, pytest.raises(KeySetError, match="larger"):
        reader_of(address, pem)()


def test_an_answer_that_trickles_in_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(key_sets, "READ_SECONDS", 0.5)
    pem = certificate(tmp_path)

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        # Whitespace is a good beginning of JSON: 10 seconds of it.
        for _ in range(200):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    with https_server(pem, trickle) as address:
        asked_at = time.monotonic()
        with pytest.raises(KeySetError, match="too slowly"):
            reader_of(address, pem)()
        assert time.monotonic() - asked_at < 5


@pytest.mark.parametrize(
    "address", ["http://login.example/keys", "file:///keys.json", "ftp://a/b", "HTTPS://a"]
)
def test_an_address_must_be_https(address: str):
    with pytest.raises(ValueError, match="https"):
        settings(key_set=address)


def test_settings_refuse_what_would_leave_a_default_in_force_or_weaken_a_check():
    valid = {"issuer": "i", "audiences": ("a",), "key_set": "keys.json"}
    assert IssuerSettings(**valid).algorithms == ("RS256", "ES256")  # type: ignore[arg-type]
    for wrong in (
        {"audience": "a"},
        {"audiences": ()},
        {"algorithms": ()},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"roles": {"x": "root"}},
        {"leeway_seconds": 3_600},
    ):
        with pytest.raises(ValueError, match="validation error"):
            IssuerSettings(**(valid | wrong))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="named twice"):
        AccessSettings(issuers=(settings(), settings()))
