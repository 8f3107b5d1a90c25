"""Properties of the syntax layer: it never raises, it round-trips, and its work is linear."""

from __future__ import annotations

import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.sip import auth, digest, framing, headers, message, parser, uri
from telephony.sip.auth import Authorization, Challenge
from telephony.sip.framing import StreamFramer
from telephony.sip.headers import Headers, Via, split_list
from telephony.sip.message import Request, Response
from telephony.sip.parser import Malformed, parse
from telephony.sip.uri import NameAddr, SyntaxFault, Uri

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc4475"
SEEDS = [path.read_bytes() for path in sorted(VECTORS.glob("*.dat"))]

# -- it never raises -------------------------------------------------------------------------------


def look_at_everything(data: bytes) -> None:
    """Parse, and use all that the parser promises can be used."""
    got = parse(data)
    if isinstance(got, Malformed):
        if got.answer is not None:
            assert got.answer.top_via.host
            bytes(got.answer)
        return
    if isinstance(got, Request):
        assert got.request_uri.scheme
        bytes(got.reply(200, to_tag="t"))
    assert got.top_via.host and got.cseq.method and got.call_id
    for _ in (got.vias, got.from_.tag, got.to.tag, got.contacts, got.routes, got.record_routes):
        pass
    for _ in (got.expires, got.min_expires, got.retry_after, got.max_forwards, got.content_type):
        pass
    for name in ("Supported", "Allow", "Require"):
        got.option_tags(name)
    again = parse(bytes(got))
    assert type(again) is type(got), again


@given(st.binary(max_size=2000))
def test_arbitrary_bytes(data: bytes) -> None:
    look_at_everything(data)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(data)))
        what = draw(st.integers(0, 4))
        if what == 0:
            data[at : at + 1] = draw(st.binary(max_size=3))
        elif what == 1:
            del data[at : at + draw(st.integers(1, 40))]
        elif what == 2:
            data[at:at] = draw(
                st.sampled_from([b"\r\n", b'"', b"<", b">", b";", b",", b"\x00", b"%"])
            )
        elif what == 3:
            other = draw(st.sampled_from(SEEDS))
            data[at:at] = other[: draw(st.integers(0, 200))]
        else:
            data[at:at] = data[max(0, at - 60) : at]
    return bytes(data)


@given(mutated())
@settings(max_examples=400)
def test_mutations_of_real_messages(data: bytes) -> None:
    look_at_everything(data)


@given(mutated(), st.integers(1, 50))
def test_a_stream_of_mutations(data: bytes, size: int) -> None:
    """Any cut gives the same as all at once, and nothing is kept beyond the ceilings."""
    whole, cut = StreamFramer(), StreamFramer()
    expected = [type(item) for item in whole.feed(data)]
    got = [type(i) for n in range(0, len(data), size) for i in cut.feed(data[n : n + size])]
    pings = framing.KeepAlive
    assert [k for k in got if k is not pings] == [k for k in expected if k is not pings]
    assert whole.failed == cut.failed and cut.buffered <= len(data)


@given(st.text(max_size=200))
def test_values_raise_only_what_they_say(text: str) -> None:
    for parse_value in (
        Uri.parse, NameAddr.parse, Via.parse, headers.CSeq.parse, Challenge.parse,
        Authorization.parse, uri.parse_params, headers.header_name,
    ):  # fmt: skip
        try:
            parse_value(text)
        except SyntaxFault:
            continue
    split_list(text)
    Via.salvage(text)


# -- round trips -----------------------------------------------------------------------------------

names = st.text("abcXYZ019-.", min_size=1, max_size=12)
free = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
params = st.lists(st.tuples(names, st.one_of(st.just(""), free)), max_size=4).map(tuple)
uris = st.builds(
    Uri,
    st.sampled_from(["sip", "sips"]),
    st.one_of(st.none(), free.filter(bool)),
    st.none(),
    st.sampled_from(["host", "192.0.2.1", "2001:db8::1", "a-b.example"]),
    st.one_of(st.none(), st.integers(0, 65535)),
    st.lists(st.tuples(free.filter(bool), free), max_size=3).map(tuple),
    st.lists(st.tuples(free.filter(bool), free), max_size=3).map(tuple),
)


@given(uris)
def test_uri_round_trip(value: Uri) -> None:
    assert Uri.parse(str(value)) == value
    assert value.matches(Uri.parse(str(value)))


@given(st.builds(NameAddr, free.map(lambda t: t.strip(" \t")), uris, params))
def test_name_addr_round_trip(value: NameAddr) -> None:
    parsed = NameAddr.parse(str(value))
    assert parsed == value and replace(parsed) == value


@given(st.builds(Via, st.sampled_from(["UDP", "TCP"]), st.just("h.example"), st.none(), params))
def test_via_round_trip(value: Via) -> None:
    assert Via.parse(str(value)) == value


@given(
    st.lists(
        st.tuples(names.map(lambda n: "X-" + n), free.map(lambda t: t.strip(" \t"))), max_size=9
    ),
    st.binary(max_size=300),
    uris,
)
def test_message_round_trip(rows: list[tuple[str, str]], body: bytes, target: Uri) -> None:
    target = replace(target, headers=())
    built = Request("INVITE", target, Headers(rows), body)
    built.headers.prepend("Via", "SIP/2.0/UDP h;branch=z9hG4bK1")
    for name, value in (("From", "<sip:a@b>;tag=1"), ("To", "<sip:c@d>"), ("Call-ID", "x"),
                        ("CSeq", "1 INVITE"), ("Contact", f"<{target}>")):  # fmt: skip
        built.headers.add(name, value)
    got = parse(bytes(built))
    if len(built.uri) > 512:
        assert isinstance(got, Malformed) and got.status == 414
        return
    assert isinstance(got, Request), got
    assert (got.method, got.uri, got.body) == ("INVITE", built.uri, body)
    got.headers.remove("Content-Length")
    assert got.headers == built.headers
    assert got.request_uri == target


@given(st.integers(100, 699), free)
def test_response_round_trip(status: int, reason: str) -> None:
    rows = [("Via", "SIP/2.0/UDP h"), ("From", "sip:a@b"), ("To", "sip:a@b")]
    rows += [("Call-ID", "x"), ("CSeq", "1 BYE")]
    built = Response(status, reason.replace("\x00", ""), Headers(rows))
    got = parse(bytes(built))
    assert isinstance(got, Response)
    assert (got.status, got.reason) == (built.status, built.reason)


# -- linear ----------------------------------------------------------------------------------------

HEAD = (
    b"OPTIONS sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\n"
    b"Call-ID: x\r\nCSeq: 1 OPTIONS\r\n"
)
SHAPES: dict[str, Callable[[int], bytes]] = {
    "header rows": lambda n: HEAD + b"X: y\r\n" * (n // 50) + b"\r\n",
    "folds": lambda n: HEAD + b"X: y\r\n" + b" z\r\n" * n + b"\r\n",
    "empty lines": lambda n: b"\r\n" * n + HEAD + b"\r\n",
    "commas": lambda n: HEAD + b"Contact: " + b"," * n + b"\r\n\r\n",
    "quotes": lambda n: HEAD + b"Contact: <sip:a@b>," + b'\\"' * n + b"\r\n\r\n",
    "brackets": lambda n: HEAD + b"Contact: " + b"<," * n + b"\r\n\r\n",
    "parameters": lambda n: HEAD + b"Contact: <sip:a@b>" + b";x" * n + b"\r\n\r\n",
    "spaces": lambda n: HEAD + b"Contact: <sip:a@b>" + b" " * n + b";\r\n\r\n",
    "vias": lambda n: HEAD + b"Via: " + b"SIP/2.0/UDP h," * (n // 20) + b"\r\n\r\n",
    "escapes": lambda n: HEAD.replace(b"sip:b@h", b"sip:" + b"%41" * n + b"@h") + b"\r\n",
    "lone breaks": lambda n: HEAD + b"X: " + b"\n" * n + b"\r\n\r\n",
}


def calls(data: bytes) -> int:
    """Function calls, ours and built in, that parsing takes: a count, not a time."""
    count = 0

    def tally(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tally)
    try:
        parse(data)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_doubling_the_input_at_most_doubles_the_work(shape: str) -> None:
    for size in (250, 500, 1000):
        assert calls(SHAPES[shape](2 * size)) <= 2.5 * calls(SHAPES[shape](size))


def _patterns() -> Iterator[Any]:
    for module in (auth, digest, framing, headers, message, parser, uri):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield pytest.param(value, id=f"{module.__name__}.{name}")


def _repeats(tree: Any, inside: bool = False) -> Iterator[str]:
    """Unbounded repetitions that can give characters back, within another such repetition."""
    for operator, argument in tree:
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            _, most, body = argument
            unbounded = most == sre.MAXREPEAT
            backs = unbounded and operator is not sre.POSSESSIVE_REPEAT
            if backs and inside:
                yield "nested repetition"
            yield from _repeats(body, inside or unbounded)
        elif operator is sre.SUBPATTERN:
            yield from _repeats(argument[-1], inside)
        elif operator is sre.BRANCH:
            for branch in argument[1]:
                yield from _repeats(branch, inside)
        elif operator is sre.ATOMIC_GROUP:
            yield from _repeats(argument, inside)


@pytest.mark.parametrize("pattern", list(_patterns()))
def test_no_pattern_backtracks_within_a_repetition(pattern: re.Pattern[Any]) -> None:
    assert list(_repeats(sre_parser.parse(pattern.pattern, pattern.flags))) == []
