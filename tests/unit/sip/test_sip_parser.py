"""The parser beyond RFC 4475: ceilings one step over the line, and how refusals are answered."""

from __future__ import annotations

import pytest

from telephony.sip import limits
from telephony.sip.headers import Headers
from telephony.sip.message import Message, Request, Response
from telephony.sip.parser import Malformed, parse, refuse
from telephony.sip.uri import SyntaxFault

LINES = {
    "Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc",
    "From": "<sip:a@example.com>;tag=1",
    "To": "<sip:b@example.com>",
    "Call-ID": "id@example.com",
    "CSeq": "1 OPTIONS",
    "Max-Forwards": "70",
}


def build(
    start: str = "OPTIONS sip:b@example.com SIP/2.0",
    extra: str = "",
    body: bytes = b"",
    **changed: str | None,
) -> bytes:
    lines = LINES | {name.replace("_", "-"): value for name, value in changed.items()}
    rows = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{start}\r\n{rows}{extra}\r\n".encode() + body


def accepted(data: bytes) -> Message:
    message = parse(data)
    assert isinstance(message, Message), message
    return message


def refused(data: bytes, status: int = 400, *, answered: bool = True) -> Malformed:
    message = parse(data)
    assert isinstance(message, Malformed), message
    assert (message.status, message.answer is not None) == (status, answered), message
    return message


def test_the_plain_case() -> None:
    message = accepted(build())
    assert isinstance(message, Request)
    assert message.method == "OPTIONS" and message.uri == "sip:b@example.com"
    assert message.call_id == "id@example.com" and message.max_forwards == 70
    assert message.request_uri.user == "b"


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call_ID", "CSeq"])
def test_what_must_be_there(name: str) -> None:
    refused(build(**{name: None}), answered=False)


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Type"])
def test_what_must_be_there_once(name: str) -> None:
    value = LINES.get(name, "text/plain")
    refused(build(extra=f"{name}: {value}\r\n{name}: {value}\r\n"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc;;"),
        ("From", "sip:a b@c"),
        ("To", "<sip:a@b"),
        ("Call_ID", "two words"),
        ("CSeq", "-1 OPTIONS"),
        ("CSeq", "1 INVITE"),
        ("Max_Forwards", "many"),
        ("Max_Forwards", "-1"),
        ("Max_Forwards", "\u0661"),
        ("Contact", "<sip:a@b>;;"),
        ("Contact", "<sip:a@b>, *"),
        ("Route", "<sip:a@b>,,<sip:c@d>"),
        ("Record_Route", "sip:a b"),
        ("Content_Length", "-1"),
        ("Content_Length", "+1"),
        ("Content_Length", "1"),
        ("Content_Length", "\u0661"),
        ("Content_Length", ""),
    ],
)
def test_malformed_values(name: str, value: str) -> None:
    refused(build(**{name: value}))


@pytest.mark.parametrize(
    "start",
    [
        "OPTIONS  sip:b@example.com SIP/2.0",
        "OPTIONS sip:b@example.com SIP/2.0 ",
        "OPTIONS sip:b@example.com",
        "OPTIONS sip:b@example.com HTTP/1.1",
        "OPTIONS sip:b@exa mple.com SIP/2.0",
        "OPTIONS b@example.com SIP/2.0",
        "OPTIONS sip:b@example.com?x=y SIP/2.0",
        "OPTIONS * SIP/2.0",
    ],
)
def test_malformed_request_lines(start: str) -> None:
    refused(build(start))


def test_no_method_is_not_answered() -> None:
    refused(build("OPT@ONS sip:b@example.com SIP/2.0"), answered=False)
    refused(build(" sip:b@example.com SIP/2.0"), answered=False)


def test_another_version_gets_505() -> None:
    refused(build("OPTIONS sip:b@example.com SIP/3.0"), 505)
    accepted(build("OPTIONS sip:b@example.com sip/2.0"))


@pytest.mark.parametrize("status", ["099", "700", "1000", "20", "2000000200"])
def test_malformed_status_lines(status: str) -> None:
    refused(build(f"SIP/2.0 {status} OK"), answered=False)


def test_a_response_needs_no_cseq_of_ours() -> None:
    message = accepted(build("SIP/2.0 180 Ringing", CSeq="1 INVITE"))
    assert isinstance(message, Response) and message.status == 180


def test_a_malformed_ack_is_never_answered() -> None:
    refused(build("ACK sip:b@example.com SIP/2.0", CSeq="x ACK"), answered=False)


def test_a_malformed_response_is_never_answered() -> None:
    refused(build("SIP/2.0 200 OK", CSeq="x INVITE"), answered=False)


@pytest.mark.parametrize("blank", [b"", b"\r\n", b"\r\n\r\n", b"\r\n" * 1000])
def test_nothing_but_empty_lines(blank: bytes) -> None:
    refused(blank, answered=False)
    accepted(blank + build())


@pytest.mark.parametrize("ending", ["\n", "\r", "\n\r"])
def test_a_lone_cr_or_lf_is_no_line_break(ending: str) -> None:
    refused(build(extra=f"X-A: 1{ending}X-B: 2\r\n"))


def test_a_header_without_colon_or_with_a_bad_name() -> None:
    refused(build(extra="nothing\r\n"))
    refused(build(extra="a b: c\r\n"))
    refused(build(extra=": c\r\n"))


def test_other_headers_are_not_read() -> None:
    message = accepted(build(extra="Date: never\r\nExpires: ;;\r\nWarning: ,,\r\nX-Y:\r\n"))
    assert message.expires is None and message.headers.get("X-Y") == ""


def test_the_answer_echoes_what_rfc_3261_8_2_6_asks() -> None:
    data = build(
        extra="Via: SIP/2.0/TCP far.example.com\r\nSubject: no\r\n",
        CSeq="5 INVITE",
    )
    answer = refused(data).answer
    assert answer is not None
    assert [name for name, _ in answer.headers.items()] == [
        "Via", "Via", "From", "To", "Call-ID", "CSeq",
    ]  # fmt: skip
    assert answer.headers.get("CSeq") == "5 INVITE"
    assert len(answer.vias) == 2
    again = refused(data).answer
    assert again is not None and again.to_tag and again.to_tag == answer.to_tag
    other = refused(build(CSeq="5 INVITE", Call_ID="other")).answer
    assert other is not None and other.to_tag != answer.to_tag


def test_an_answer_keeps_the_tag_there_was() -> None:
    answer = refused(build(To="<sip:b@example.com> ; Tag=old", CSeq="5 INVITE")).answer
    assert answer is not None and answer.to_tag == "old"


# -- ceilings, each one step over the line ---------------------------------------------------------


def test_message_parsed_ceiling() -> None:
    refused(build(body=b"x" * limits.MAX_MESSAGE_PARSED), 513, answered=False)


def test_message_ceiling() -> None:
    room = limits.MAX_MESSAGE - len(build(Content_Length="0"))
    accepted(build(Content_Length="0", body=b"x" * room))
    refused(build(Content_Length="0", body=b"x" * (room + 1)), 513)


def test_an_endless_head_is_answered_by_what_was_read() -> None:
    refused(build()[:-2] + b"X: y\r\n" * 5000, 513)


def test_body_ceiling() -> None:
    accepted(build(body=b"x" * limits.MAX_BODY))
    refused(build(body=b"x" * (limits.MAX_BODY + 1)), 413)


def test_request_uri_ceiling() -> None:
    fits = "sip:" + "u" * (limits.MAX_REQUEST_URI - 6) + "@h"
    accepted(build(f"OPTIONS {fits} SIP/2.0"))
    refused(build(f"OPTIONS {fits}h SIP/2.0"), 414)


def test_start_line_ceiling() -> None:
    refused(build("OPTIONS sip:" + "u" * limits.MAX_START_LINE + " SIP/2.0"), 414, answered=False)


def test_header_count_ceiling() -> None:
    more = limits.MAX_HEADERS - len(LINES)
    accepted(build(extra="X: y\r\n" * more))
    refused(build(extra="X: y\r\n" * (more + 1)))


def test_header_size_ceiling() -> None:
    accepted(build(extra="X: " + "y" * (limits.MAX_HEADER_SIZE - 3) + "\r\n"))
    refused(build(extra="X: " + "y" * (limits.MAX_HEADER_SIZE - 2) + "\r\n"))


def test_via_ceiling() -> None:
    row = "Via: SIP/2.0/UDP h\r\n"
    accepted(build(extra=row * (limits.MAX_VIAS - 1)))
    refused(build(extra=row * limits.MAX_VIAS))
    refused(build(Via=", ".join(["SIP/2.0/UDP h"] * (limits.MAX_VIAS + 1))))


@pytest.mark.parametrize(
    ("name", "ceiling"),
    [
        ("Contact", limits.MAX_CONTACTS),
        ("Route", limits.MAX_ROUTES),
        ("Record_Route", limits.MAX_ROUTES),
    ],
)
def test_address_list_ceilings(name: str, ceiling: int) -> None:
    accepted(build(**{name: ", ".join(["<sip:a@b>"] * ceiling)}))
    refused(build(**{name: ", ".join(["<sip:a@b>"] * (ceiling + 1))}))


def test_token_ceilings() -> None:
    fits = "x" * limits.MAX_TOKEN
    accepted(build(Call_ID=fits, From=f"<sip:a@b>;tag={fits}"))
    refused(build(Call_ID=fits + "x"))
    refused(build(From=f"<sip:a@b>;tag={fits}x"))
    refused(build(To=f"<sip:a@b>;tag={fits}x"))


def test_numbers_are_cut_off() -> None:
    message = accepted(build(Max_Forwards="300", extra=f"Expires: {10**40}\r\n"))
    assert message.max_forwards == limits.MAX_MAX_FORWARDS
    assert message.expires == limits.MAX_DELTA_SECONDS


def test_content_length_digits() -> None:
    refused(build(Content_Length="0" * limits.MAX_CONTENT_LENGTH_DIGITS + "0"))
    accepted(build(Content_Length="0" * limits.MAX_CONTENT_LENGTH_DIGITS))


# -- messages --------------------------------------------------------------------------------------


def test_reply() -> None:
    request = accepted(build(extra="Record-Route: <sip:p;lr>\r\nTimestamp: 54\r\nX-A: 1\r\n"))
    assert isinstance(request, Request)
    trying = request.reply(100, to_tag="t")
    assert trying.to_tag == "" and trying.headers.get("Timestamp") == "54"
    ok = request.reply(200, to_tag="t")
    assert (ok.status, ok.reason, ok.to_tag) == (200, "OK", "t")
    assert "X-A" not in ok.headers and "Record-Route" not in ok.headers
    assert bytes(ok).endswith(b"Content-Length: 0\r\n\r\n")
    request.method = "INVITE"
    assert "Record-Route" in request.reply(183, to_tag="t").headers
    assert "Record-Route" not in request.reply(404, to_tag="t").headers
    request.headers.set("To", "<sip:b@example.com>;tag=mine")
    assert request.reply(200, to_tag="t").to_tag == "mine"


def test_bytes_write_the_length_of_the_body_once() -> None:
    headers = Headers([("Content-Length", "999"), ("Subject", "x")])
    request = Request("INFO", "sip:a@b", headers, b"12")
    assert bytes(request) == b"INFO sip:a@b SIP/2.0\r\nSubject: x\r\nContent-Length: 2\r\n\r\n12"


@pytest.mark.parametrize("uri", ["sip:a@b\r\nX: y", "sip:a b@c", "sip:a\tb"])
def test_no_request_line_can_be_split(uri: str) -> None:
    with pytest.raises(SyntaxFault):
        Request("INVITE", uri)
    with pytest.raises(SyntaxFault):
        Request("INV ITE", "sip:a@b")
    with pytest.raises(SyntaxFault):
        Response(200, "OK\r\nX: y")


def test_extensions() -> None:
    message = accepted(build(extra="X-Id: 1\r\nx-other: 2\r\nX-Id: 3\r\n"))
    assert message.extensions() == {"X-Id": "1", "x-other": "2"}


def test_contact_star() -> None:
    message = accepted(build(Contact="*"))
    assert message.is_contact_star and message.contacts == () and message.contact is None


def test_content_type_is_bare() -> None:
    assert accepted(build(Content_Type="Application / SDP ; x=y")).content_type == "application/sdp"
    assert accepted(build()).content_type == ""


def test_a_hand_made_message_says_what_is_missing() -> None:
    request = Request("INVITE", "sip:a@b")
    for name in ("top_via", "from_", "to", "cseq"):
        with pytest.raises(SyntaxFault):
            getattr(request, name)


def test_refuse_reads_what_there_is() -> None:
    whole = build()
    assert refuse(whole, 513, "Too large").answer is not None
    assert refuse(whole[:60], 513, "Too large").answer is None
    assert refuse(b"", 513, "Too large").answer is None
