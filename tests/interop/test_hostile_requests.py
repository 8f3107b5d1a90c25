"""The running service on both databases, and requests that mean ill or are at the very edge.

Every operation of the service's own OpenAPI document is asked: what is bad is told so with a JSON
error, what is just inside of its bounds is kept and comes back as it was sent.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from telephony.testing.postgres import Cluster
from tests.interop.service import KEY, Service

TO = "+12025550123"
EMOJI = "\U0001f4de"
SETTINGS = {
    "TELEPHONY_REQUESTS_PER_SECOND": "100000",
    "TELEPHONY_LIVEKIT_URL": "ws://127.0.0.1:9",
    "TELEPHONY_LIVEKIT_API_KEY": "lk_key",
    "TELEPHONY_LIVEKIT_API_SECRET": "a secret of the LiveKit server, long",
}


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Client:
    """One connection at a time, and nothing done to what is sent."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.session = ""

    def ask(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Reply:
        sent = {"Authorization": f"Bearer {KEY}"}
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, raw, sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def bytes(self, request: bytes) -> bytes:
        """The answer to exactly these bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as stream:
            stream.sendall(request)
            answer = b""
            while part := stream.recv(65536):
                answer += part
            return answer


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    settings = dict(SETTINGS)
    if request.param == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres")
        settings["TELEPHONY_DATABASE_URL"] = cluster.fresh()
    service = Service(folder)
    service.start(**settings)
    made = Client(service.api_port)
    dialled = made.ask("POST", "/v1/sessions/phone", {"to": TO, "dialplan": "front-desk"})
    made.session = dialled.body["sessionId"]
    try:
        yield made
    finally:
        service.stop()
    assert service.complaints() == []


def failed(reply: Reply, *statuses: int) -> str | None:
    """What is wrong with an answer that should be a JSON error; 409 and 404 may come before."""
    if reply.status not in (statuses or (400,)):
        return f"{reply.status}: {reply.raw[:200]!r}"
    if not reply.headers["Content-Type"].startswith("application/json"):
        return reply.headers["Content-Type"]
    body = reply.body
    good = all(isinstance(body.get(name), str) and body[name] for name in ("error", "code"))
    return None if good else repr(body)


def operations(client: Client, *, having: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of those with a body or a query that are not to come."""
    found = []
    for path, item in client.ask("GET", "/openapi.json").body["paths"].items():
        for method, operation in item.items():
            if "501" in operation["responses"] and len(operation["responses"]) < 6:
                continue
            if operation.get(having):
                path_ = re.sub(r"\{id\}", client.session, path)
                found.append((method.upper(), re.sub(r"\{\w+\}", "x", path_), operation))
    return found


BAD_BODIES: list[bytes] = [
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"1",
    b"<html></html>",
    b"to=%2B12025550123&a=b",
    b"\xff\xfe{\x00}\x00",
    b'{"a": "\xff"}',
    b'{"a": "\xed\xa0\x80"}',
    b'{"a": "\\ud800"}',
    b'{"\\udfff": 1}',
    b'{"a": "\\u0000"}',
    b'{"a\\u0000b": 1}',
    b'{"a": {"b": ["\\u0000"]}}',
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": 1, "a": 2}',
    b'{"a": {"b": 1, "b": 1}}',
    b'{"a":' * 65 + b"1" + b"}" * 65,
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b'{"a": 01}',
    b'{"a": "\x01"}',
    b"{'a': 1}",
    b'{"a": 1,}',
    b"\x00",
]


def test_a_body_that_is_none_is_told_so_everywhere(client: Client) -> None:
    faults = []
    asked = operations(client, having="requestBody")
    assert len(asked) > 15
    for method, path, _ in asked:
        for raw in BAD_BODIES:
            # A thing that is not there may be said before its body is read.
            fault = failed(client.ask(method, path, raw=raw), 400, 404)
            if fault is not None:
                faults.append((method, path, raw[:40], fault))
    assert faults == []


WRONG_KINDS: list[Any] = [
    True, 0, -1, 1.5, 10**30, 10**400, 1e308, "", "x", "\u0661", "x" * 300_000, "T" * 300_000, [],
    [None], ["x"] * 5000, [[]], {}, {"": ""}, {"a": {"a": {"a": None}}}, {"x": 10**30},
]  # fmt: skip


def test_a_member_of_any_kind_is_no_fault_of_ours(client: Client) -> None:
    faults = []
    schemas = client.ask("GET", "/openapi.json").body["components"]["schemas"]
    for method, path, operation in operations(client, having="requestBody"):
        shape = operation["requestBody"]["content"]["application/json"]["schema"]
        shape = schemas[shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
        for name in shape.get("properties", ()):
            for value in WRONG_KINDS:
                reply = client.ask(method, path, {name: value})
                if reply.status >= 500 and reply.body["code"] != "NOT_IMPLEMENTED":
                    faults.append((method, path, name, repr(value)[:40], reply.raw[:200]))
    assert faults == []


NASTY = [
    "%00", "%0A", "%FF", "%ED%A0%80", "%", "%zz", "x" * 3000, "-1", "0", "1e9", "9" * 400, "NaN",
    "null", "%F0%9F%93%9E", "'; DROP TABLE calls; --", "0001-01-01", "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-02-30", "%D9%A1",
    "MDAwMS0wMS0wMVQwMDowMDowMCswMDowMCB4", "OTk5OS0xMi0zMVQyMzo1OTo1OS0xNDowMCB4", "AAAA", "____",
    "MjAyNi0wMS0wMSB4AA", "2026-01-01T00:00:00.000Z", "1=1&limit=1&limit=2",
]  # fmt: skip


def test_a_query_of_any_kind_is_no_fault_of_ours(client: Client) -> None:
    faults = []
    asked = 0
    for method, path, operation in operations(client, having="parameters"):
        names = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
        if path.endswith("/stream"):
            continue
        for name in names:
            for value in NASTY:
                asked += 1
                reply = client.ask(method, f"{path}?{name}={quote(value, safe='%=&:')}")
                if reply.status >= 500:
                    faults.append((method, path, name, value[:40], reply.raw[:200]))
                elif reply.status >= 400 and (fault := failed(reply, 400, 404)):
                    faults.append((method, path, name, value[:40], fault.encode()))
    assert asked > 300
    assert faults == []


def test_an_id_of_any_kind_is_nobody(client: Client) -> None:
    faults = []
    document = client.ask("GET", "/openapi.json").body
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "{" not in path or method not in ("get", "delete"):
                continue
            if any(p["in"] == "query" and p["required"] for p in operation["parameters"]):
                continue
            for value in ("%00", "%FF", "%ED%A0%80", "x" * 3000, "%2F..%2F", "'", "%F0%9F%93%9E",
                          "..%5c", "%0A", "%25", "%zz", "+", "%20", ";a=b"):  # fmt: skip
                asked = re.sub(r"\{\w+\}", value, path)
                reply = client.ask(method.upper(), asked)
                if fault := failed(reply, 404, 501):
                    faults.append((method, asked[:60], fault))
    assert faults == []


# --- at the very edge ----------------------------------------------------------------------------

DEEP: Any = "deep"
for _ in range(30):
    DEEP = {"d": [DEEP]}
METADATA = {
    "emoji " + EMOJI: EMOJI * 100,
    "numbers": [0, -1, 2**63, 10**400, 5e-324, 1.7976931348623157e15, -0.5, 1.0],
    "odd": ["\u2028", "\x7f", "\ufeff", "\\u0000", "\x1f", "'", '"', "</script>", "%s %d {}"],
    "null": None,
    "": {"": ""},
    "long": "x" * 100_000,
}


def test_what_is_just_inside_is_kept_as_it_was_sent(client: Client) -> None:
    metadata = METADATA | {"deep": DEEP}
    body = {
        "to": TO,
        "sourceSessionId": "\u00fc" * 64,
        "reason": EMOJI * 500,
        "instructions": "\u2028" * 4000,
        "summary": "\x01" * 4000,
        "metadata": METADATA,
        "delaySeconds": 366 * 86_400,
    }
    made = client.ask("POST", "/v1/callbacks", body)
    assert made.status == 201, made.raw
    row = client.ask("GET", f"/v1/callbacks/{made.body['id']}").body
    assert row == made.body
    assert (row["reason"], row["summary"]) == (body["reason"], body["summary"])
    assert row["metadata"] == METADATA
    source = quote(row["source_session_id"])
    found = client.ask("GET", f"/v1/callbacks?source_session_id={source}")
    assert [r["id"] for r in found.body["callbacks"]] == [row["id"]]
    longer = client.ask("POST", "/v1/callbacks", {**body, "sourceSessionId": "x" * 65})
    assert failed(longer) is None

    dialled = client.ask("POST", "/v1/sessions/phone", {
        "to": TO, "dialplan": "front-desk", "metadata": metadata,
        "intent": {"language": "en", "region": EMOJI * 200},
        "variables": {EMOJI: EMOJI}, "systemPrompt": "\u0001" + EMOJI * 1000,
    })  # fmt: skip
    assert dialled.status == 200, dialled.raw
    call = client.ask("GET", f"/v1/calls/{dialled.body['sessionId']}").body
    assert call["metadata"] == metadata


@pytest.mark.parametrize("when", ["1900-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_any_year_is_a_time(client: Client, when: str) -> None:
    made = client.ask("POST", "/v1/callbacks", {"to": TO, "scheduledAt": when})
    assert made.status == 201, made.raw
    assert made.body["scheduled_at"] == when.replace("00Z", "00.000Z")
    turn = {"index": 2**31 - 1, "source": "user", "text": EMOJI * 16384, "startedAt": when}
    posted = client.ask("POST", f"/v1/sessions/{client.session}/turns", {"turns": [turn]})
    assert (posted.status, posted.raw) == (202, b"")
    (last,) = client.ask("GET", f"/v1/sessions/{client.session}/transcript").body["entries"]
    assert (last["text"], last["index"]) == (turn["text"], turn["index"])
    if made.body["status"] == "scheduled":
        client.ask("POST", f"/v1/callbacks/{made.body['id']}/cancel", {})


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "T" * 65])
def test_a_time_that_no_database_keeps_is_none(client: Client, when: str) -> None:
    assert failed(client.ask("POST", "/v1/callbacks", {"to": TO, "scheduledAt": when})) is None
    assert failed(client.ask("GET", f"/v1/usage?from={when}")) is None


def test_what_is_set_up_at_its_largest(client: Client) -> None:
    trunk = {
        "name": "x" * 63, "gateways": [f"gw{n}.example:5080" for n in range(16)],
        "username": EMOJI * 128, "password": "\u00fc" * 128, "callsPerSecond": 10_000,
        "maxCalls": 100_000, "headers": {f"X-{n}": EMOJI * 512 for n in range(20)},
        "callerIds": [f"+1202555{n:04d}" for n in range(1000)],
    }  # fmt: skip
    made = client.ask("POST", "/v1/trunks", trunk)
    assert made.status == 201, made.raw
    assert client.ask("GET", f"/v1/trunks/{made.body['id']}").body == made.body
    number = {"e164": "+999999999999999", "label": EMOJI * 120,
              "dispatchMetadataTemplate": METADATA}  # fmt: skip
    made = client.ask("POST", "/v1/phone-numbers/import", number)
    assert made.status == 200, made.raw
    row = client.ask("GET", f"/v1/phone-numbers/{made.body['id']}").body
    assert (row["label"], row["dispatchMetadataTemplate"]) == (number["label"], METADATA)
    hook = {
        "name": EMOJI * 120, "url": "https://x.example/" + "y" * 2030, "events": ["call.report"],
        "filterTags": {f"{n:02d}" + "\u00fc" * 62: EMOJI * 256 for n in range(50)},
        "headers": {f"X-{n}": "x" * 2048 for n in range(20)}, "timeoutMs": 30_000,
        "signingSecret": "~" * 256,
    }  # fmt: skip
    made = client.ask("POST", "/v1/webhooks", hook)
    assert made.status == 201, made.raw
    row = client.ask("GET", f"/v1/webhooks/{made.body['id']}").body
    assert (row["name"], row["filterTags"]) == (hook["name"], hook["filterTags"])


def test_a_key_of_any_text_is_once(client: Client) -> None:
    body = {"to": TO, "delaySeconds": 60}
    for key in ("x" * 255, "a:b/c?d=e", EMOJI, "'; --"):
        header = key.encode().decode("latin-1")
        replies = [client.ask("POST", "/v1/callbacks", body, Idempotency_Key=header) for _ in "ab"]
        assert [r.status for r in replies] == [201, 201], replies[0].raw
        assert replies[0].body == replies[1].body
    for key in ("\xff\xfe", "a\x7fb", "\x80"):
        assert failed(client.ask("POST", "/v1/callbacks", body, Idempotency_Key=key)) is None, key


# --- the body on its way -----------------------------------------------------------------------

HEAD = (
    b"POST /v1/sessions/phone HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Authorization: Bearer " + KEY.encode() + b"\r\n"
)
GOOD = json.dumps({"to": TO, "dialplan": "front-desk"}).encode()


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"Content-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD), 200, ""),
        (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD), 200, ""),
        (b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (
            len(gzip.compress(GOOD)), gzip.compress(GOOD)), 200, ""),
        (b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nno gzip..", 400, "VALIDATION_ERROR"),
        (b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (
            len(gzip.compress(bytes(30_000_000))), gzip.compress(bytes(30_000_000))),
         413, "BODY_TOO_LARGE"),
        (b"Content-Length: 5000000\r\n\r\n" + b" " * 5_000_000, 413, "BODY_TOO_LARGE"),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + b"x" * 0x100000 + b"\r\n5\r\nxxxxx"
         b"\r\n0\r\n\r\n", 413, "BODY_TOO_LARGE"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, ""),
        (b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9\r\n\r\n--x--\r\n\r\n",
         400, "VALIDATION_ERROR"),
        (b"Content-Type: \xff\r\nContent-Length: 2\r\n\r\n{}", 400, "VALIDATION_ERROR"),
        (b"Content-Type: application/json; charset=utf-16\r\nContent-Length: 2\r\n\r\n{}", 400,
         "VALIDATION_ERROR"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "BAD_REQUEST"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400, "BAD_REQUEST"),
        (b"Content-Length: -1\r\n\r\n{}", 400, "BAD_REQUEST"),
        (b"\r\n", 400, "VALIDATION_ERROR"),
    ],
    ids=range(15),
)  # fmt: skip
def test_a_body_comes_in_many_ways(
    client: Client, request_bytes: bytes, status: int, code: str
) -> None:
    head, _, body = client.bytes(HEAD + request_bytes).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status, (head, body[:300])
    assert b"application/json" in head
    if code:
        assert json.loads(body)["code"] == code


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/organization HTTP/1.0",
        b"GET http://elsewhere.example/v1/organization HTTP/1.1",
        b"get /v1/organization HTTP/1.1",
        b"BREW /v1/organization HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT 127.0.0.1:80 HTTP/1.1",
        b"GET /v1/calls/\xff HTTP/1.1",
        b"GET /v1/calls/a\x00b HTTP/1.1",
        b"GET ../../etc/passwd HTTP/1.1",
        b"GET /files/../../etc/passwd HTTP/1.1",
        b"GET /v1/organization?\xff=\xfe HTTP/1.1",
        b"PRI * HTTP/2.0",
    ],
    ids=range(12),
)
def test_no_line_is_a_fault_of_ours(client: Client, line: bytes) -> None:
    rest = b"\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n" % KEY.encode()
    head, _, body = client.bytes(line + rest).partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status < 500 and status not in (301, 302, 307, 308), head
    if body and status >= 400:
        assert set(json.loads(body)) >= {"error", "code"}


@pytest.mark.parametrize(
    "host", [b"", b"\xff", b"a b", b"x\x01", b"evil.example/path#", b"[::1]:x"]
)
def test_a_host_that_is_none_is_in_no_url_of_ours(client: Client, host: bytes) -> None:
    request = b"GET /v1/phone-numbers/kyb HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % host
    request += b"Authorization: Bearer %s\r\n\r\n" % KEY.encode()
    head, _, body = client.bytes(request).partition(b"\r\n\r\n")
    assert int(head.split()[1]) in (200, 400), head
    assert b"evil" not in body
