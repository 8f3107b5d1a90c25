"""Header rows, Via and CSeq."""

from __future__ import annotations

import pytest

from telephony.sip.headers import KNOWN, CSeq, Headers, Via, header_name, split_list
from telephony.sip.uri import SyntaxFault


def test_names_compare_without_case_and_compact_forms_are_long() -> None:
    headers = Headers([("v", "SIP/2.0/UDP a"), ("cALL-iD", "x"), ("X-Thing", "1")])
    assert headers.items() == [("Via", "SIP/2.0/UDP a"), ("Call-ID", "x"), ("X-Thing", "1")]
    assert headers.get("i") == headers.get("CALL-ID") == "x"
    assert headers.get("x-tHING") == "1"
    assert "V" in headers and "Route" not in headers and len(headers) == 3


def test_every_compact_form_has_its_long_name() -> None:
    for short, long in {
        "a": "accept-contact",
        "c": "content-type",
        "e": "content-encoding",
        "f": "from",
        "i": "call-id",
        "k": "supported",
        "l": "content-length",
        "m": "contact",
        "o": "event",
        "r": "refer-to",
        "s": "subject",
        "t": "to",
        "u": "allow-events",
        "v": "via",
        "x": "session-expires",
    }.items():
        assert KNOWN[short][0] == long and KNOWN[short.upper()][0] == long


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb"])
def test_no_value_can_start_another_row(value: str) -> None:
    headers = Headers()
    for change in (headers.add, headers.set, headers.prepend, headers.replace_first):
        with pytest.raises(ValueError, match="line break"):
            change("X-User", value)
    assert len(headers) == 0
    with pytest.raises(ValueError, match="line break"):
        Headers([("X-User", value)])


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\r\nY", "X\u00e9", "X" * 129])
def test_names_are_tokens(name: str) -> None:
    with pytest.raises(SyntaxFault):
        Headers().add(name, "v")
    with pytest.raises(SyntaxFault):
        header_name(name)


def test_lists_are_split_and_others_are_not() -> None:
    headers = Headers(
        [
            ("Contact", '"a, b" <sip:a@b;x=1,2>, <sip:c@d>'),
            ("Allow", "INVITE,ACK , BYE,"),
            ("Allow", ""),
            ("WWW-Authenticate", 'Digest realm="a", nonce="b"'),
            ("Subject", "one, two"),
        ]
    )
    assert headers.all("Contact") == ['"a, b" <sip:a@b;x=1,2>', "<sip:c@d>"]
    assert headers.all("Allow") == ["INVITE", "ACK", "BYE"]
    assert headers.all("WWW-Authenticate") == ['Digest realm="a", nonce="b"']
    assert headers.all("Subject") == ["one, two"]


def test_split_list_keeps_what_is_not_closed_together() -> None:
    assert split_list('a, "b, c') == ["a", '"b, c']
    assert split_list("a, <b, c") == ["a", "<b, c"]
    assert split_list("a,,b") == ["a", "", "b"]
    assert split_list('<a>,"') == ["<a>", '"']


def test_order_is_kept_by_every_change() -> None:
    headers = Headers([("Via", "1"), ("Route", "<sip:a>, <sip:b>"), ("Via", "2"), ("To", "t")])
    headers.prepend("Via", "0")
    assert headers.all("Via") == ["0", "1", "2"]
    assert headers.remove_first("Route") == "<sip:a>"
    assert headers.all("Route") == ["<sip:b>"]
    assert headers.remove_first("Route") == "<sip:b>"
    assert "Route" not in headers and headers.remove_first("Route") is None
    headers.replace_first("Via", "00")
    headers.set("To", "u")
    assert headers.items() == [("Via", "00"), ("Via", "1"), ("Via", "2"), ("To", "u")]
    headers.set("Via", "only")
    assert headers.items() == [("Via", "only"), ("To", "u")]
    headers.remove("Via")
    headers.replace_first("Via", "new")
    assert headers.items() == [("Via", "new"), ("To", "u")]


def test_a_copy_is_its_own() -> None:
    headers = Headers([("To", "a")])
    copy = headers.copy()
    copy.set("To", "b")
    copy.add("X-A", "1")
    assert headers.items() == [("To", "a")]
    assert headers != copy and headers == Headers([("t", "a")])


def test_parsed_values_follow_changes() -> None:
    headers = Headers([("CSeq", "1 INVITE")])
    read = lambda: headers.parsed("cseq", lambda rows: CSeq.parse(rows[0]))  # noqa: E731
    assert read().number == 1
    headers.set("CSeq", "2 INVITE")
    assert read().number == 2


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "branch"),
    [
        (
            "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKabc;rport",
            "UDP",
            "192.0.2.1",
            5060,
            "z9hG4bKabc",
        ),
        (
            "SIP / 2.0 / tcp   first.example.com: 4000;ttl=16 ;branch=z9hG4bKa7c6a8dlze.1",
            "TCP",
            "first.example.com",
            4000,
            "z9hG4bKa7c6a8dlze.1",
        ),
        (
            "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3",
            "UDP",
            "2001:db8::9:1",
            None,
            "z9hG4bKas3",
        ),
        ("SIP/2.0/UNKNOWN t4.example.com", "UNKNOWN", "t4.example.com", None, None),
    ],
)
def test_via(text: str, transport: str, host: str, port: int | None, branch: str | None) -> None:
    via = Via.parse(text)
    assert (via.transport, via.host, via.port, via.branch) == (transport, host, port, branch)
    assert str(via) == text
    rebuilt = via.with_param("received", "192.0.2.9")
    assert rebuilt.received == "192.0.2.9"
    assert Via.parse(str(rebuilt)) == rebuilt


def test_via_rport() -> None:
    via = Via.parse("SIP/2.0/UDP a;rport;branch=z9hG4bK1")
    assert via.rport == "" and via.has_cookie
    assert str(via.with_param("rport", "5")) == "SIP/2.0/UDP a;rport=5;branch=z9hG4bK1"
    assert not Via.parse("SIP/2.0/UDP a;branch=z9hG4bK").has_cookie
    assert not Via.parse("SIP/2.0/UDP a;branch=old").has_cookie
    assert Via.parse("SIP/2.0/UDP a;maddr=224.0.1.75").maddr == "224.0.1.75"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 a",
        "SIP/3.0/UDP a",
        "SIP/2.0/UDP a;;",
        "SIP/2.0/UDP a:70000",
        "SIP/2.0/UDP a b",
        "HTTP/2.0/UDP a",
        "SIP/2.0/UDP a;branch=",
        "SIP/2.0/UDP ;branch=x",
    ],
)
def test_via_refused(text: str) -> None:
    with pytest.raises(SyntaxFault):
        Via.parse(text)


def test_via_salvage() -> None:
    via = Via.salvage("SIP/7.0/UDP host:99999;;branch=z9hG4bKx;,")
    assert via is not None
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "host", None, "z9hG4bKx")
    assert Via.salvage("nonsense") is None


def test_cseq() -> None:
    assert str(CSeq.parse("0009 \t INVITE")) == "9 INVITE"
    assert CSeq.parse("4294967295 X").number == 2**32 - 1
    for text in ("", "1", "INVITE", "-1 INVITE", "4294967296 INVITE", "1 IN VITE", "9" * 99 + " X"):
        with pytest.raises(SyntaxFault):
            CSeq.parse(text)
