"""Digest: published vectors, the client's exchange, the server's nonces."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from telephony.sip import limits
from telephony.sip.auth import (
    Authorization,
    Challenge,
    Credentials,
    DigestClient,
    DigestServer,
    digest_flow,
    digest_response,
    stored_secret,
    user_hash,
)
from telephony.sip.headers import Headers
from telephony.sip.message import Response
from telephony.sip.uri import SyntaxFault

VECTORS = Path(__file__).parents[2] / "vectors" / "sip-digest"
DIGESTS: list[dict[str, Any]] = json.loads((VECTORS / "digest_vectors.json").read_text("utf-8"))
HEADERS: list[dict[str, Any]] = json.loads((VECTORS / "digest_headers.json").read_text("utf-8"))
REALM = "sip.example.com"


def compute(vector: dict[str, Any]) -> str:
    algorithm = vector.get("algorithm", "MD5")
    secret = vector.get("ha1", "")
    if "password" in vector:
        secret = stored_secret(algorithm, vector["username"], vector["realm"], vector["password"])
    return digest_response(
        algorithm,
        secret,
        method=vector["method"],
        uri=vector["uri"],
        nonce=vector["nonce"],
        nc=vector.get("nc", ""),
        cnonce=vector.get("cnonce", ""),
        qop=vector.get("qop", ""),
        body=vector.get("body", "").encode(),
    )


def test_all_vectors_are_here() -> None:
    assert (len(DIGESTS), len(HEADERS)) == (29, 12)


@pytest.mark.parametrize("vector", DIGESTS, ids=lambda v: v["id"])
def test_digest_vectors(vector: dict[str, Any]) -> None:
    response = compute(vector)
    assert response == vector["response"]
    if vector["matches_source"] is False:
        assert response != vector["printed_in_source"]


def test_userhash_vector() -> None:
    vector = next(v for v in DIGESTS if "userhash_computed" in v)
    hashed = user_hash(vector["algorithm"], vector["username"], vector["realm"])
    assert hashed == vector["userhash_computed"]


@pytest.mark.parametrize("case", HEADERS, ids=lambda c: c["id"])
def test_header_vectors(case: dict[str, Any]) -> None:
    kind = Authorization if "Authorization" in case["header"] else Challenge
    if case["ok"] == "either":
        with pytest.raises(SyntaxFault):
            kind.parse(case["value"])
    elif case["ok"]:
        parsed = kind.parse(case["value"])
        assert kind.parse(str(parsed)) == parsed
    else:
        with pytest.raises(SyntaxFault):
            kind.parse(case["value"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Digest",
        "Digest ",
        'Digest realm="a"',
        'Digest nonce="a"',
        'Digest realm="a", nonce=""',
        'Digest realm="a", nonce="b", realm="c"',
        'Digest realm="a", nonce="b",',
        'Digest realm="a, nonce="b"',
        "Digest " + ", ".join(f'x{i}="1"' for i in range(limits.MAX_AUTH_PARAMS + 1)),
    ],
)
def test_malformed_challenges(text: str) -> None:
    with pytest.raises(SyntaxFault):
        Challenge.parse(text)


def test_no_password_in_a_repr() -> None:
    assert "hunter2" not in repr(Credentials("u", "hunter2"))


# -- client ----------------------------------------------------------------------------------------


def challenged(*challenges: Challenge, status: int = 401) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return Response(status, None, Headers([(name, str(c)) for c in challenges]))


def client(*credentials: Credentials) -> DigestClient:
    given = credentials or (Credentials("1001", "s3cr3t"),)
    return DigestClient(given, random.Random(1))


def test_the_flow_answers_once_and_takes_the_answer() -> None:
    flow = digest_flow(client(), "REGISTER", "sip:example.com")
    assert next(flow) == []
    ((name, value),) = flow.send(challenged(Challenge(REALM, "n1", "MD5", ("auth",))))
    given = Authorization.parse(value)
    assert name == "Authorization"
    assert (given.nonce, given.nc, given.qop, given.uri) == (
        "n1",
        "00000001",
        "auth",
        "sip:example.com",
    )
    with pytest.raises(StopIteration):
        flow.send(Response(200))


def test_a_wrong_password_is_not_tried_again() -> None:
    dut = client()
    flow = digest_flow(dut, "REGISTER", "sip:example.com")
    next(flow)
    flow.send(challenged(Challenge(REALM, "n1")))
    with pytest.raises(StopIteration):
        flow.send(challenged(Challenge(REALM, "n2")))
    assert dut.authorize("REGISTER", "sip:example.com") == []


def test_a_stale_nonce_is_answered_once_more() -> None:
    flow = digest_flow(client(), "INVITE", "sip:b@example.com")
    next(flow)
    flow.send(challenged(Challenge(REALM, "n1")))
    ((_, value),) = flow.send(challenged(Challenge(REALM, "n2", stale=True)))
    assert Authorization.parse(value).nonce == "n2"
    with pytest.raises(StopIteration):
        flow.send(challenged(Challenge(REALM, "n3", stale=True)))


def test_the_next_request_goes_out_with_credentials_and_counts() -> None:
    dut = client()
    flow = digest_flow(dut, "INVITE", "sip:b@example.com")
    next(flow)
    flow.send(challenged(Challenge(REALM, "n1", qop=("auth",))))
    flow = digest_flow(dut, "BYE", "sip:b@example.com")
    ((_, value),) = next(flow)
    assert Authorization.parse(value).nc == "00000002"
    # The nonce has expired and the server does not say so: answered once all the same.
    ((_, value),) = flow.send(challenged(Challenge(REALM, "n2", qop=("auth",))))
    assert (Authorization.parse(value).nonce, Authorization.parse(value).nc) == ("n2", "00000001")
    with pytest.raises(StopIteration):
        flow.send(challenged(Challenge(REALM, "n3", qop=("auth",))))


def test_a_proxy_and_the_far_end_may_both_ask() -> None:
    flow = digest_flow(client(), "INVITE", "sip:b@example.com")
    next(flow)
    ((first, _),) = flow.send(challenged(Challenge("proxy", "n1"), status=407))
    rows = flow.send(challenged(Challenge("far", "n2")))
    assert first == "Proxy-Authorization"
    assert [name for name, _ in rows] == ["Proxy-Authorization", "Authorization"]


def test_the_strongest_challenge_is_answered() -> None:
    flow = digest_flow(client(), "INVITE", "sip:b@example.com")
    next(flow)
    ((_, value),) = flow.send(
        challenged(
            Challenge(REALM, "a", "MD5"),
            Challenge(REALM, "b", "SHA-256"),
            Challenge(REALM, "c", "SHA-512-256"),
            Challenge(REALM, "d", "SHA-512-256"),
        )
    )
    assert Authorization.parse(value).nonce == "c"


def test_what_cannot_be_answered_is_passed_over() -> None:
    flow = digest_flow(client(), "INVITE", "sip:b@example.com")
    next(flow)
    response = challenged(Challenge(REALM, "x", qop=("auth-conf",)), Challenge(REALM, "y"))
    response.headers.prepend("WWW-Authenticate", 'Basic realm="a"')
    response.headers.prepend("WWW-Authenticate", 'Digest realm="a", nonce="b", algorithm=CHACHA123')
    ((_, value),) = flow.send(response)
    assert Authorization.parse(value).nonce == "y"


def test_a_foreign_realm_is_never_answered() -> None:
    dut = client(Credentials("u", "p", realm="trunk-a"))
    flow = digest_flow(dut, "INVITE", "sip:b@example.com")
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(challenged(Challenge("trunk-b", "n")))


def test_the_credentials_of_the_realm_come_before_those_of_any() -> None:
    dut = client(Credentials("any", "p"), Credentials("own", "p", realm=REALM))
    dut.learn(challenged(Challenge(REALM, "n")))
    ((_, value),) = dut.authorize("INVITE", "sip:b@example.com")
    assert Authorization.parse(value).username == "own"


def test_a_server_that_names_new_realms_for_ever_is_left() -> None:
    flow = digest_flow(client(), "INVITE", "sip:b@example.com")
    next(flow)
    rounds = 0
    with pytest.raises(StopIteration):
        for rounds in range(100):
            flow.send(challenged(Challenge(f"r{rounds}", "n")))
    assert rounds == limits.MAX_AUTH_ROUNDS - 1


def test_realms_remembered_have_a_ceiling() -> None:
    dut = client()
    for n in range(limits.MAX_CLIENT_REALMS + 1):
        dut.learn(challenged(Challenge(f"r{n}", "n")))
    assert len(dut.authorize("INVITE", "sip:b")) == limits.MAX_CLIENT_REALMS


def test_auth_int_opaque_sess_and_userhash() -> None:
    dut = client()
    challenge = Challenge(REALM, "n", "SHA-256-sess", ("auth-int",), "op", userhash=True)
    dut.learn(challenged(challenge))
    ((_, value),) = dut.authorize("INVITE", "sip:b", b"v=0\r\n")
    given = Authorization.parse(value)
    assert (given.qop, given.opaque, given.userhash) == ("auth-int", "op", True)
    assert given.username == user_hash("SHA-256", "1001", REALM)
    assert given.response == digest_response(
        "SHA-256-sess", stored_secret("SHA-256", "1001", REALM, "s3cr3t"), method="INVITE",
        uri="sip:b", nonce="n", nc=given.nc, cnonce=given.cnonce, qop="auth-int", body=b"v=0\r\n",
    )  # fmt: skip


# -- server ----------------------------------------------------------------------------------------

PASSWORDS = {"1001": "s3cr3t", "empty": ""}


class Phone:
    """A client and a server that talk through their header texts."""

    def __init__(
        self, server: DigestServer, username: str = "1001", password: str = "s3cr3t"
    ) -> None:
        self.server = server
        self.client = DigestClient((Credentials(username, password),), random.Random(2))

    def challenge(self, now: float, *, stale: bool = False, source: str = "192.0.2.1") -> None:
        values = self.server.challenges(now, source=source, stale=stale)
        rows = Headers([("WWW-Authenticate", value) for value in values])
        self.client.learn(Response(401, None, rows))

    def rows(self, uri: str = "sip:example.com") -> list[str]:
        return [value for _, value in self.client.authorize("REGISTER", uri)]

    def verify(self, rows: list[str], now: float, **changed: Any) -> Any:
        arguments: dict[str, Any] = {"source": "192.0.2.1"} | changed
        method = arguments.pop("method", "REGISTER")
        return self.server.verify(rows, method, PASSWORDS.get, now, **arguments)


def server(**changed: Any) -> DigestServer:
    return DigestServer(REALM, b"k" * 32, random.Random(3), **changed)


def test_sha_256_is_offered_before_md5() -> None:
    values = [Challenge.parse(v) for v in server().challenges(5.0)]
    assert [c.algorithm for c in values] == ["SHA-256", "MD5"]
    assert all(c.qop == ("auth",) and not c.stale for c in values)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess"])
def test_a_right_password_is_taken(algorithm: str) -> None:
    phone = Phone(server(algorithms=(algorithm,)))
    phone.challenge(5.0)
    verdict = phone.verify(phone.rows(), 6.0)
    assert verdict.ok and verdict.username == "1001"


@pytest.mark.parametrize(
    ("username", "password"),
    [("1001", "wrong"), ("nobody", "s3cr3t"), ("empty", ""), ("nobody", ""), ("nobody", "\x00")],
)
def test_a_wrong_one_is_refused_and_leaves_nothing(username: str, password: str) -> None:
    dut = server()
    phone = Phone(dut, username, password)
    phone.challenge(5.0)
    for _ in range(50):
        verdict = phone.verify(phone.rows(), 6.0)
        assert not verdict.ok and not verdict.stale
    assert len(dut) == 0


def test_nothing_usable_is_not_stale() -> None:
    phone = Phone(server())
    for rows in ([], ["Basic x"], ["NoOneKnowsThisScheme opaque-data=here"], ["Digest bogus tull"]):
        verdict = phone.verify(rows, 6.0)
        assert not verdict.ok and not verdict.stale and verdict.username == ""
    other = DigestServer("other", b"k" * 32, random.Random(3))
    stranger = Phone(other)
    stranger.challenge(5.0)
    assert not phone.verify(stranger.rows(), 6.0).username


def test_an_algorithm_that_was_not_offered_is_refused() -> None:
    weak = Phone(server(algorithms=("MD5",)))
    weak.challenge(5.0)
    strong = Phone(server(algorithms=("SHA-256",)))
    assert not strong.verify(weak.rows(), 6.0).ok


def test_a_nonce_ages_and_the_client_recovers() -> None:
    phone = Phone(server())
    phone.challenge(5.0)
    rows = phone.rows()
    assert phone.verify(rows, 5.0 + limits.NONCE_SECONDS + 0.1).stale
    phone.challenge(400.0, stale=True)
    assert phone.verify(phone.rows(), 400.0).ok


def test_a_nonce_is_bound_to_its_source_and_its_secret() -> None:
    phone = Phone(server())
    phone.challenge(5.0)
    assert phone.verify(phone.rows(), 6.0, source="192.0.2.2").stale
    assert phone.verify(phone.rows(), 6.0).ok
    phone.server = DigestServer(REALM, b"x" * 32, random.Random(3))
    assert phone.verify(phone.rows(), 6.0).stale


@pytest.mark.parametrize("nonce", ["", "x", "AAAA", "A" * 48, "\u00e9", "=" * 48])
def test_a_forged_nonce_is_stale(nonce: str) -> None:
    secret = stored_secret("MD5", "1001", REALM, "s3cr3t")
    response = digest_response("MD5", secret, method="REGISTER", uri="sip:x", nonce=nonce)
    row = str(Authorization("1001", REALM, nonce, "sip:x", response))
    verdict = Phone(server()).verify([row], 6.0)
    assert not verdict.ok and verdict.stale


def test_a_replay_is_refused() -> None:
    phone = Phone(server())
    phone.challenge(5.0)
    rows = phone.rows()
    assert phone.verify(rows, 6.0).ok
    assert phone.verify(rows, 6.0).stale
    assert phone.verify(phone.rows(), 6.0).ok


def test_method_uri_and_body_are_part_of_it() -> None:
    phone = Phone(server(qop=("auth-int",)))
    phone.challenge(5.0)
    assert not phone.verify(phone.rows(), 6.0, method="INVITE").ok
    assert not phone.verify(phone.rows(), 6.0, body=b"x").ok
    assert not phone.verify(phone.rows(), 6.0, request_uri="sip:other.example.com").ok
    assert phone.verify(phone.rows(), 6.0, request_uri="sip:EXAMPLE.com").ok


def test_counts_may_come_out_of_order_within_the_window() -> None:
    phone = Phone(server())
    phone.challenge(5.0)
    sent = [phone.rows() for _ in range(limits.NONCE_COUNT_WINDOW + 1)]
    assert phone.verify(sent[-1], 6.0).ok
    assert phone.verify(sent[1], 6.0).ok
    assert phone.verify(sent[1], 6.0).stale
    assert phone.verify(sent[0], 6.0).stale, "one step behind the window"


def _counted(dut: DigestServer, nc: str) -> str:
    nonce = Challenge.parse(dut.challenges(5.0, source="192.0.2.1")[1]).nonce
    secret = stored_secret("MD5", "1001", REALM, "s3cr3t")
    response = digest_response(
        "MD5", secret, method="REGISTER", uri="sip:x", nonce=nonce, nc=nc, cnonce="c", qop="auth"
    )
    return str(Authorization("1001", REALM, nonce, "sip:x", response, "MD5", "auth", nc, "c"))


@pytest.mark.parametrize("nc", ["ffffffff", "00000001"])
def test_any_count_costs_the_same(nc: str) -> None:
    dut = server()
    assert Phone(dut).verify([_counted(dut, nc)], 6.0).ok
    (window,) = dut._windows.values()
    assert window.seen.bit_length() <= limits.NONCE_COUNT_WINDOW


@pytest.mark.parametrize("nc", ["", "1", "00000000", "000000001", "xxxxxxxx", "-0000001"])
def test_malformed_counts(nc: str) -> None:
    dut = server()
    assert not Phone(dut).verify([_counted(dut, nc)], 6.0).ok


def test_without_qop_a_nonce_is_good_once() -> None:
    dut = server()
    nonce = Challenge.parse(dut.challenges(5.0, source="192.0.2.1")[1]).nonce
    secret = stored_secret("MD5", "1001", REALM, "s3cr3t")
    response = digest_response("MD5", secret, method="REGISTER", uri="sip:x", nonce=nonce)
    row = str(Authorization("1001", REALM, nonce, "sip:x", response))
    phone = Phone(dut)
    assert phone.verify([row], 6.0).ok
    assert phone.verify([row], 6.0).stale


def test_nonces_remembered_have_a_ceiling_and_none_is_forgotten_into_use() -> None:
    dut = server(seconds=1e9)
    phone = Phone(dut)
    first: list[str] = []
    for n in range(limits.MAX_NONCES + 1):
        phone.challenge(10.0 + n)
        rows = phone.rows()
        first = first or rows
        assert phone.verify(rows, 10.0 + n).ok
    assert len(dut) == limits.MAX_NONCES
    assert phone.verify(first, 20.0 + limits.MAX_NONCES).stale


def test_expired_nonces_make_room() -> None:
    dut = server()
    phone = Phone(dut)
    for n in range(10):
        phone.challenge(n * 400.0)
        assert phone.verify(phone.rows(), n * 400.0).ok
    assert len(dut) == 1
