"""URIs and name-addrs: RFC 3261 §19.1 and §20.10."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telephony.sip.limits import MAX_PARAMS
from telephony.sip.uri import NameAddr, SyntaxFault, Uri, format_params, parse_params


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:alice@atlanta.com", "alice", "atlanta.com", None),
        ("sip:alice:secretword@atlanta.com;transport=tcp", "alice", "atlanta.com", None),
        (
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "alice",
            "atlanta.com",
            None,
        ),
        ("sip:+1-212-555-1212:1234@gateway.com;user=phone", "+1-212-555-1212", "gateway.com", None),
        ("sips:1212@gateway.com", "1212", "gateway.com", None),
        ("sip:alice@192.0.2.4", "alice", "192.0.2.4", None),
        ("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com", None, "atlanta.com", None),
        ("sip:alice;day=tuesday@atlanta.com", "alice;day=tuesday", "atlanta.com", None),
        ("sip:[2001:db8::10]:5070", None, "2001:db8::10", 5070),
        ("sip:*21#@pbx.example", "*21#", "pbx.example", None),
        ("SIP:user@host_with_underscore:1", "user", "host_with_underscore", 1),
    ],
)
def test_parse(text: str, user: str | None, host: str, port: int | None) -> None:
    uri = Uri.parse(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert str(uri) == text
    again = replace(uri)
    assert Uri.parse(str(again)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@host",
        "sip:a@",
        "sip:a b@host",
        "sip:a@host:99999",
        "sip:a@host:",
        "sip:a@ho st",
        "sip:a@host;",
        "sip:a@host;;x",
        "sip:a%4@host",
        "sip:a@host;x=%zz",
        "sip:a@[::1",
        "sip:a@host?x",
        "sip:a@b@c",
        "alice@atlanta.com",
        "tel:call-me",
        "<sip:a@b>",
        "1x:y",
        "x:",
        "sip:a@host\r\nX: y",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(SyntaxFault):
        Uri.parse(text)


def test_tel() -> None:
    uri = Uri.parse("tel:+1-202-555-0123;phone-context=example.com")
    assert (uri.scheme, uri.user) == ("tel", "+1-202-555-0123")
    assert uri.param("phone-context") == "example.com"
    assert str(replace(uri, user="112")) == "tel:112;phone-context=example.com"


def test_a_built_uri_is_escaped() -> None:
    uri = Uri("sip", 'a b@c"\r\n', None, "host", params=(("x", "a;b"),), headers=(("h", "a&b"),))
    assert str(uri) == "sip:a%20b%40c%22%0D%0A@host;x=a%3Bb?h=a%26b"
    assert Uri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_rfc_3261_19_1_4_equal(one: str, other: str) -> None:
    assert Uri.parse(one).matches(Uri.parse(other))
    assert Uri.parse(other).matches(Uri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ],
)
def test_rfc_3261_19_1_4_not_equal(one: str, other: str) -> None:
    assert not Uri.parse(one).matches(Uri.parse(other))
    assert not Uri.parse(other).matches(Uri.parse(one))


@pytest.mark.parametrize(
    ("text", "display", "uri", "tag"),
    [
        (
            '"A. G. Bell" <sip:agb@bell.example> ;tag=a48s',
            "A. G. Bell",
            "sip:agb@bell.example",
            "a48s",
        ),
        ("sip:+12125551212@server.example;tag=887s", "", "sip:+12125551212@server.example", "887s"),
        (
            "Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8",
            "Anonymous",
            "sip:c8oqz84zk7z@privacy.org",
            "hyh8",
        ),
        ("<sip:a@b>", "", "sip:a@b", None),
        ('"a \\"b\\" <c>"<sip:a@b;x>', 'a "b" <c>', "sip:a@b;x", None),
        ("J\u00e4s\u00f8n (work) <sip:a@b>", "J\u00e4s\u00f8n (work)", "sip:a@b", None),
        ("sip:a@b ; TAG=x", "", "sip:a@b", "x"),
    ],
)
def test_name_addr(text: str, display: str, uri: str, tag: str | None) -> None:
    value = NameAddr.parse(text)
    assert (value.display, str(value.uri), value.tag) == (display, uri, tag)
    assert str(value) == text
    assert NameAddr.parse(str(replace(value))) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        '"x <sip:a@b>',
        "a, b <sip:a@b>",
        "<sip:a@b> x",
        "<sip:a@b>;",
        "<sip:a@b>;;x",
        "<sip:a@b>;x=",
        '<sip:a@b>;x="y',
        "<< sip:a@b>>",
        "*",
    ],
)
def test_name_addr_refused(text: str) -> None:
    with pytest.raises(SyntaxFault):
        NameAddr.parse(text)


def test_with_tag_replaces() -> None:
    value = NameAddr.parse("Bob <sip:bob@b>;x=1;tag=old").with_tag("new")
    assert str(value) == "Bob <sip:bob@b>;x=1;tag=new"


def test_params_are_quoted_when_they_must_be() -> None:
    params = parse_params(';a=b ; c="d \\"e\\";f" ;g')
    assert params == (("a", "b"), ("c", 'd "e";f'), ("g", ""))
    assert parse_params(format_params(params)) == params


def test_parameter_ceiling() -> None:
    assert len(parse_params(";x" * MAX_PARAMS)) == MAX_PARAMS
    with pytest.raises(SyntaxFault):
        parse_params(";x" * (MAX_PARAMS + 1))
    with pytest.raises(SyntaxFault):
        Uri.parse("sip:host" + ";x" * (MAX_PARAMS + 1))
    with pytest.raises(SyntaxFault):
        Uri.parse("sip:host?" + "&".join(["x=y"] * (MAX_PARAMS + 1)))
