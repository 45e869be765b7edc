"""Hand-written attacks on the real server: each is refused with the right status, and leaves no trace."""

from __future__ import annotations

import copy
import gzip
import json
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from features.dataset import open_dataset
from serving.predictions.documents import EXAMPLE_REQUEST
from tests.attacks import PREDICT, STORED, attacked_server, head_of, raw
from tests.fuzzing import Served
from tests.mutations import SECRET, at, places
from tests.served import sent

MEBIBYTE = 1024 * 1024
GOOD = json.dumps(EXAMPLE_REQUEST).encode()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with attacked_server(tmp_path_factory.mktemp("attacked")) as server:
        yield server


BODIES = {
    "empty": (b"", 400),
    "blank": (b" ", 400),
    "a number": (b"1", 422),
    "null": (b"null", 422),
    "a list": (b"[]", 422),
    "cut": (GOOD[:-1], 400),
    "followed by more": (GOOD + b"x", 400),
    "deep lists": (b"[" * 200_000, 400),
    "deep objects": (b'{"a":' * 100_000, 400),
    "deep and closed": (b"[" * 100_000 + b"]" * 100_000, 400),
    "NaN": (GOOD.replace(b"18200.0", b"NaN"), 400),
    "Infinity": (GOOD.replace(b"18200.0", b"Infinity"), 400),
    "-Infinity": (GOOD.replace(b"18200.0", b"-Infinity"), 400),
    "1e999": (GOOD.replace(b"18200.0", b"1e999"), 422),
    "5000 digits": (GOOD.replace(b"18200.0", b"1" * 5_000), 400),
    "a hundred digits": (GOOD.replace(b"18200.0", b"1" * 100), 422),
    "a key twice": (GOOD[:-1] + b',"stay_id":"S9"}', 400),
    "a key twice, escaped": (GOOD[:-1] + b',"stay\\u005fid":"S9"}', 400),
    "a key twice, deep": (GOOD.replace(b'"sex": "female"', b'"sex": "female", "sex": "male"'), 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), 400),
    "Latin-1": (GOOD.replace(b"S9", b"S\xe9"), 400),
    "with a byte order mark": (b"\xef\xbb\xbf" + GOOD, 400),
    "half a surrogate": (GOOD.replace(b"S9", b"\\ud800"), 422),
    "comments": (b"/* */" + GOOD, 400),
    "single quotes": (GOOD.replace(b'"', b"'"), 400),
    "a prototype": (GOOD[:-1] + b',"__proto__":{"a":1}}', 422),
    "rows that are an object": (
        GOOD.replace(b'"patients": [{', b'"patients": {"0": {').replace(b'}], "stays', b'}}, "stays'),
        422,
    ),
    "a flag as a date": (GOOD.replace(b'"1951-03-02"', b"true"), 422),
    "a number as an id": (GOOD.replace(b'"S9"', b"9"), 422),
    "a date as seconds": (GOOD.replace(b'"1951-03-02"', b"0"), 422),
    "an id of a million letters": (GOOD.replace(b"P7", b"P" * 1_000_000), 422),
    "a date of no calendar": (GOOD.replace(b"1951-03-02", b"2023-02-29"), 422),
    "the year 9999": (GOOD.replace(b"2026-", b"9999-"), 422),
    "another patient's stay": (
        GOOD.replace(b'"patient_id": "P7", "hospital', b'"patient_id": "P8", "hospital', 1),
        422,
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_not_as_described_is_refused(attacked: Served, name: str):
    content, status = BODIES[name]
    assert content != GOOD
    answer = attacked.ask("POST", PREDICT, raw=content)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", [PREDICT, "/v1/predictions/batch", "/cds-services/wardcast-patient-view"])
def test_a_body_larger_than_allowed_is_refused_before_it_is_read(attacked: Served, path: str):
    """6 MiB where 5 are taken: declared, nothing of it needs to come; in parts, no more than 5 are read."""
    lines = (b"Content-Type: application/json", f"Content-Length: {6 * MEBIBYTE}".encode())
    answer = raw(attacked, head_of(attacked, path.encode(), *lines, method=b"POST"))
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    lines = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    head = head_of(attacked, path.encode(), *lines, method=b"POST")
    part = b"100000\r\n" + b" " * MEBIBYTE + b"\r\n"
    answer = raw(attacked, head, *[part] * 6)
    # The server closes while more is on its way: then what it said may be lost with the connection.
    assert answer.status in (0, 413)


def test_a_compressed_body_is_not_unpacked(attacked: Served):
    """A gigabyte of zeros is a megabyte on the way."""
    bomb = gzip.compress(b" " * 64 * MEBIBYTE)
    before = attacked.server.resident_mb()
    for encoding in ("gzip", "deflate", "br", "gzip, gzip"):
        answer = attacked.ask("POST", PREDICT, raw=bomb, headers={"Content-Encoding": encoding})
        assert answer.status_code == 415
    assert (
        attacked.ask("POST", PREDICT, raw=GOOD, headers={"Content-Encoding": "identity"}).status_code == 200
    )
    assert attacked.server.resident_mb() < before + 30


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "text/html", "multipart/form-data", "application/jsonp", "*/*", "application/xml"],
)
def test_a_body_that_is_not_declared_as_json_is_refused(attacked: Served, media_type: str):
    """A page elsewhere could have a browser send the others without asking first."""
    assert attacked.ask("POST", PREDICT, raw=GOOD, headers={"Content-Type": media_type}).status_code == 415


INJECTIONS = (
    f"'; DROP TABLE predictions; -- {SECRET}",
    f"\" OR 1=1 $asked \\'; SELECT 1; {SECRET}",
    f"<script>alert('{SECRET}')</script><img src=x onerror=alert(1)>",
    f"${{jndi:ldap://{SECRET}}}{{{{7*7}}}}%s%n",
    f"../../{SECRET}?x#y;z",
)


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_and_html_in_any_text_are_text(attacked: Served, text: str):
    """Every text of a request with rows in every table: it stays what it is, or is no value of its field."""
    rich = sent(open_dataset(attacked.work.parent / "history"), "now", "discharge")
    for place in [place for place in places(rich) if isinstance(at(rich, place), str)]:
        changed = copy.deepcopy(rich)
        at(changed, place[:-1])[place[-1]] = text
        assert attacked.ask("POST", PREDICT, body=changed).status_code in (200, 422)
    # As the identifier of the stay and its ward, everywhere at once: kept, and read on every route.
    whole = json.loads(
        json.dumps(rich)
        .replace('"now"', json.dumps(text))
        .replace('department": "surgery"', f'department": {json.dumps(text)}')
    )
    assert attacked.ask("POST", PREDICT, body=whole, query={"store": "true"}).status_code == 200
    for name in STORED:
        answer = attacked.ask("GET", f"/v1/admissions/{{stay_id}}/{name}", stay_id=text)
        assert answer.status_code == 200
        assert (
            not any(mark in answer.text for mark in ("<script", "<img"))
            or "json" in answer.headers["Content-Type"]
        )
    listed = attacked.ask("GET", "/v1/worklist", query={"department": text, "since": "2024-01-01"}).json()[
        "items"
    ]
    assert [(each["stay_id"], each["department"]) for each in listed] == [(text, text)]


@pytest.mark.parametrize(
    "text", [f"\r\nX-Evil: {SECRET}", f"\x1b[31m{SECRET}", f"{SECRET}\x00", f"\x7f{SECRET}", "\t"]
)
def test_control_characters_are_in_no_text(attacked: Served, text: str):
    """A line break in an identifier could be stored, and no address would lead to it."""
    body = json.loads(GOOD.replace(b'"S9"', json.dumps(text).encode()))
    answer = attacked.ask("POST", PREDICT, body=body, query={"store": "true"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "stay_id"


PATHS = {
    b"/v1/admissions/../../etc/passwd/prediction": 404,
    b"/v1/admissions/%2e%2e%2f%2e%2e%2fpasswd/prediction": 404,
    b"/v1/admissions//prediction": 404,
    b"/v1/admissions/%00/prediction": 404,
    b"/v1/admissions/a%00b/prediction": 404,
    b"/v1/admissions/now%00/prediction": 404,
    b"/v1/admissions/now;a=1/prediction": 404,
    b"/v1/admissions/now%20/prediction": 404,
    b"/v1/admissions/NOW/prediction": 404,
    b"/v1/admissions/now%23/prediction": 404,
    b"/v1/admissions/%/prediction": 404,
    b"/v1/admissions/%zz/prediction": 404,
    b"/v1/admissions/%c0%ae%c0%ae/prediction": 404,
    b"/v1/admissions/%ed%a0%80/prediction": 404,
    b"/v1/admissions/%25%6e%6f%77/prediction": 404,
    b"/v1/admissions/%6eow/prediction": 200,
    b"/v1/admissions/now": 404,
    b"/v1/admissions/" + b"x" * 20_000 + b"/prediction": 404,
    b"/v1/admissions/" + b"x" * 300_000 + b"/prediction": 400,
    b"/V1/admissions/now/prediction": 404,
    b"//v1/admissions/now/prediction": 404,
    b"/v1/./admissions/now/prediction": 404,
    b"/v1/admissions/now/prediction/": 404,
    b"/v1/worklist/": 404,
    b"/metrics/": 404,
    b"/docs": 404,
    b"/redoc": 404,
    b"/.git/config": 404,
    b"/v1/admissions/now/prediction/../explanation.svg": 404,
    b"/static/../../etc/passwd": 404,
    b"/v1/admissions/now\\..\\x/prediction": 404,
    b"/cds-services/..%2f..%2fmetrics": 404,
    b"http://evil.example/v1/models": 404,
    b"/v1/admissions/now/prediction?": 200,
    b"/v1/admissions/now/prediction#x": 404,
    b"*": 404,
}


@pytest.mark.parametrize("target", PATHS, ids=lambda target: target[:60].decode())
def test_a_path_leads_to_its_own_resource_and_nowhere_else(attacked: Served, target: bytes):
    answer = raw(attacked, head_of(attacked, target))
    assert answer.status == PATHS[target], answer
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "method", [b"TRACE", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"HEAD", b"get", b"GeT", b"FOO"]
)
def test_a_method_that_a_route_does_not_take_is_refused(attacked: Served, method: bytes):
    answer = raw(attacked, head_of(attacked, b"/v1/worklist", b"X-Trace: " + SECRET.encode(), method=method))
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


def test_nobody_is_connected_to_elsewhere(attacked: Served):
    answer = raw(attacked, head_of(attacked, b"evil.example:443", method=b"CONNECT"))
    assert answer.status in (400, 404, 405)


BODY = b"Content-Type: application/json"
HEADS: dict[str, tuple[Sequence[bytes], int]] = {
    "a huge header": ([b"X-Name: " + SECRET.encode() * 30_000], 400),
    "ten thousand headers": ([b"X: y"] * 60_000, 400),
    "two lengths": ([BODY, b"Content-Length: 5", b"Content-Length: 6"], 400),
    "two lengths in one": ([BODY, b"Content-Length: 5, 6"], 400),
    "a negative length": ([BODY, b"Content-Length: -5"], 400),
    "a length with a sign": ([BODY, b"Content-Length: +5"], 400),
    "a length in words": ([BODY, b"Content-Length: " + SECRET.encode()], 400),
    "an unknown transfer coding": ([BODY, b"Transfer-Encoding: " + SECRET.encode()], 400),
    "two transfer codings": ([BODY, b"Transfer-Encoding: gzip, chunked"], 400),
    "a space before the colon": ([BODY, b"Content-Length : 5"], 400),
    "a name with a blank": ([b"X Name: 1"], 400),
    "NUL in a header": ([b"X-Name: a\x00b"], 400),
    "two hosts": ([b"Host: evil.example"], 400),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_two_could_read_in_two_ways_is_refused(attacked: Served, name: str):
    lines, status = HEADS[name]
    answer = raw(attacked, head_of(attacked, PREDICT.encode(), *lines, method=b"POST"))
    assert answer.status == status
    assert answer.rest == b""


def test_a_second_request_hidden_in_a_body_is_not_answered(attacked: Served):
    """Whoever stands before the server goes by the length, the server by the coding, or the reverse."""
    hidden = b"GET /" + SECRET.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for order in ((0, 1), (1, 0)):
        lines = [b"Content-Length: %d" % (5 + len(hidden)), b"Transfer-Encoding: chunked"]
        head = head_of(attacked, PREDICT.encode(), BODY, *(lines[each] for each in order), method=b"POST")
        answer = raw(attacked, head.replace(b"Connection: close\r\n", b"") + b"0\r\n\r\n" + hidden)
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert answer.rest == b""


@pytest.mark.parametrize(
    "host", [b"evil.example", b"127.0.0.1.evil.example", b"", b"localhost@evil.example", b"0.0.0.0"]
)
def test_a_request_for_another_host_is_refused(attacked: Served, host: bytes):
    """A page in a browser of this machine, whose name was made to point here."""
    assert raw(attacked, head_of(attacked, b"/v1/worklist", host=host)).status == 400


def test_a_body_that_comes_too_slowly_is_refused(attacked: Served):
    """One second is given here."""
    lines = (BODY, b"Content-Length: 1000")
    answer = raw(attacked, head_of(attacked, PREDICT.encode(), *lines, method=b"POST") + b"{")
    assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_clients_that_hang_up_or_never_ask_leave_the_server_as_it_was(attacked: Served):
    """A hundred that hang up in the middle of a body, and two hundred that connect and say nothing."""
    head = head_of(attacked, PREDICT.encode(), BODY, b"Content-Length: %d" % len(GOOD), method=b"POST")

    def hang_up(sent_bytes: int) -> None:
        with socket.create_connection(("127.0.0.1", attacked.server.port), timeout=20) as connection:
            connection.sendall((head + GOOD)[:sent_bytes])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(hang_up, range(0, len(head + GOOD), len(head + GOOD) // 100)))
    with ExitStack() as open_:
        for _ in range(200):
            open_.enter_context(socket.create_connection(("127.0.0.1", attacked.server.port), timeout=20))
        assert attacked.ask("POST", PREDICT, body=EXAMPLE_REQUEST).status_code == 200
    assert attacked.ask("GET", "/health/ready").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "stored=true",
        "store=true&store=false",
        "store=false&store=true",
        f"{SECRET}={SECRET}",
        "store=true&",
        "%00=1",
        "language=zh&language=en",
        "&".join(f"a{n}=1" for n in range(1_000)),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, "/v1/predictions/batch"])
def test_a_parameter_that_is_unknown_or_given_twice_is_refused(attacked: Served, path: str, query: str):
    """A misspelt `store` would leave a prediction unstored, two of them could be read in two ways."""
    content = GOOD if path == PREDICT else b'{"items": []}'
    lines = (BODY, b"Content-Length: %d" % len(content))
    answer = raw(attacked, head_of(attacked, f"{path}?{query}".encode(), *lines, method=b"POST") + content)
    assert answer.status == (200 if query == "store=true&" else 422)


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("query", [f"{SECRET}=1", "target=cost&target=readmission", "departments=surgery"])
def test_stored_predictions_are_not_read_by_unknown_parameters(attacked: Served, name: str, query: str):
    answer = raw(attacked, head_of(attacked, f"/v1/admissions/now/{name}?{query}".encode()))
    assert answer.status == 422


@pytest.mark.parametrize(
    "lines",
    [
        (b"Accept: text/html",),
        (b"Accept: */*;q=0",),
        (b"Accept: " + SECRET.encode(),),
        (b"Accept: application/xml",),
        (b"Accept-Language: " + b"zh;q=0.5," * 2_000,),
        (b"Accept-Language: zh;q=nan, en;q=inf",),
        (b"Accept-Encoding: gzip;q=x",),
        (b"Range: bytes=0-1",),
        (b"If-None-Match: *",),
        (b"Expect: 200-ok",),
        (b"X-Forwarded-For: " + SECRET.encode(),),
        (b"X-Forwarded-Host: evil.example", b"Forwarded: host=evil.example"),
        (b"X-HTTP-Method-Override: DELETE",),
        (b"X-Original-URL: /metrics", b"X-Rewrite-URL: /metrics"),
        (b"Cookie: a=" + SECRET.encode(),),
        (b"Origin: https://evil.example",),
    ],
)
def test_headers_that_ask_for_something_else_change_nothing(attacked: Served, lines: Sequence[bytes]):
    answer, plain = (raw(attacked, head_of(attacked, b"/v1/worklist", *each)) for each in (lines, ()))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    if not lines[0].startswith(b"Accept-Language"):
        assert answer.body == plain.body
    assert not [name for name in answer.headers if name.startswith("access-control")]
