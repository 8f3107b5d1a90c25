"""RFC 4475 at the parser: every message has a verdict, and the verdict fits the RFC's."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed, parse

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc4475"


def _rows(name: str) -> dict[str, dict[str, str]]:
    with (VECTORS / name).open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}


RFC = _rows("expected-rfc4475.tsv")
OURS = _rows("parser.tsv")


def load(name: str) -> Request | Response | Malformed:
    return parse((VECTORS / f"{name}.dat").read_bytes())


def request(name: str) -> Request:
    message = load(name)
    assert isinstance(message, Request), message
    return message


def test_every_message_has_a_verdict() -> None:
    files = {path.stem for path in VECTORS.glob("*.dat")}
    assert len(RFC) == 50
    assert files == set(OURS) == set(RFC) | {"baddn-wire"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_verdict(name: str) -> None:
    row = OURS[name]
    message = load(name)
    if row["verdict"] == "accept":
        assert not isinstance(message, Malformed)
        return
    assert isinstance(message, Malformed)
    assert (message.status, message.answer is not None) == (
        int(row["status"]),
        row["answered"] == "yes",
    )
    if message.answer is not None:
        # From, To and CSeq are echoed as they came, so the answer itself may be no good SIP.
        answer = message.answer
        assert answer.status == message.status
        assert bytes(answer).startswith(b"SIP/2.0 %d " % message.status)
        assert answer.top_via.host and answer.call_id
        assert ";tag=" in (answer.headers.get("To") or "")


@pytest.mark.parametrize("name", sorted(RFC))
def test_verdict_fits_the_rfc(name: str) -> None:
    """A refusal is among the RFC's answers; what must be refused is not accepted."""
    wanted = RFC[name]["expected_uas"].replace(",", "|").split("|")
    message = load(name)
    if not isinstance(message, Malformed):
        assert wanted not in (["400"], ["505"])
    elif message.answer is None:
        assert "DROP" in wanted
    else:
        status = str(message.status)
        assert status in wanted or ("NOT400" in wanted and status != "400")


def _but_length(message: Request | Response) -> list[tuple[str, str]]:
    return [pair for pair in message.headers.items() if pair[0] != "Content-Length"]


@pytest.mark.parametrize("name", sorted(n for n, row in OURS.items() if row["verdict"] == "accept"))
def test_what_is_accepted_survives_a_round_trip(name: str) -> None:
    first = load(name)
    assert not isinstance(first, Malformed)
    second = parse(bytes(first))
    assert type(second) is type(first) and not isinstance(second, Malformed)
    assert _but_length(second) == _but_length(first)
    assert second.body == first.body
    assert second.top_via == first.top_via
    assert bytes(second) == bytes(first)


def test_wsinv() -> None:
    message = request("wsinv")
    assert message.to_tag == "1918181833n"
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.from_tag == "98asjd8"
    assert message.max_forwards == 68
    assert (message.cseq.number, message.cseq.method) == (9, "INVITE")
    assert [via.host for via in message.vias] == [
        "192.0.2.2",
        "spindle.example.com",
        "192.168.255.111",
    ]
    assert message.top_via.branch == "390skdjuw" and not message.top_via.has_cookie
    assert message.contact is not None and message.contact.display == 'Quoted string ""'
    assert message.contact.param("q") == "0.33"
    assert message.headers.get("Subject") == ""
    assert message.routes[0].uri.param("lr") == ""
    assert len(message.body) == 150


def test_intmeth_keeps_its_bytes() -> None:
    data = (VECTORS / "intmeth.dat").read_bytes()
    message = request("intmeth")
    assert message.from_.param("fromParam''~+*_!.-%") == "работающий"
    assert message.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    sent = bytes(message)
    for line in data.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        assert value.strip() in sent, name
    assert sent.startswith(data.split(b"\r\n")[0])


def test_escapes_are_undone_once() -> None:
    message = request("esc01")
    assert message.request_uri.user == "sips:user@example.com"
    assert message.to.uri.user == "user"
    contact = message.contact
    assert contact is not None
    assert contact.uri.user == "caller"
    assert contact.uri.param("lr") == ""
    assert contact.uri.param("name") == "value%41"


def test_a_nul_does_not_end_a_user() -> None:
    message = request("escnull")
    assert message.to.uri.user == "null-\x00-null"
    assert [c.uri.user for c in message.contacts] == ["\x00", "\x00\x00"]


def test_an_escaped_header_name_is_another_header() -> None:
    message = request("esc02")
    assert message.method == "RE%47IST%45R"
    assert len(message.contacts) == 2


def test_the_second_message_of_a_datagram_is_noise() -> None:
    message = request("dblreq")
    assert message.method == "REGISTER" and message.body == b""


def test_semicolon_and_escaped_at_in_the_user() -> None:
    uri = request("semiuri").request_uri
    assert (uri.user, uri.host) == ("user;par=u@example.net", "example.com")


def test_parameters_belong_to_what_they_stand_in() -> None:
    outside, inside = request("cparam01").contact, request("cparam02").contact
    assert outside is not None and inside is not None
    assert outside.uri.params == () and outside.param("unknownparam") == ""
    assert inside.params == () and inside.uri.param("unknownparam") == ""


def test_escaped_headers_of_a_contact_are_kept() -> None:
    contact = request("regescrt").contact
    assert contact is not None
    assert contact.uri.headers == (("Route", "<sip:sip.example.com>"),)
    assert str(contact.uri) == "sip:user@example.com?Route=%3Csip:sip.example.com%3E"


def test_other_schemes_are_opaque() -> None:
    message = request("unksm2")
    assert message.to.uri.scheme == "isbn" and message.to.uri.opaque == "2983792873"
    assert request("novelsc").request_uri.scheme == "soap.beep"
    assert request("unkscm").request_uri.scheme == "nobodyknowsthisscheme"


def test_multipart_is_framed_by_its_length() -> None:
    message = request("mpart01")
    assert len(message.body) == 553 and b"\x00" in message.body


def test_reason_phrases() -> None:
    odd, empty = load("unreason"), load("noreason")
    assert isinstance(odd, Response) and odd.reason.startswith("= 2**3 * 5**2 но")
    assert isinstance(empty, Response) and empty.reason == ""


def test_a_broken_via_is_answered_by_what_could_be_read() -> None:
    message = load("badinv01")
    assert isinstance(message, Malformed) and message.answer is not None
    assert str(message.answer.top_via) == "SIP/2.0/UDP 192.0.2.15"
