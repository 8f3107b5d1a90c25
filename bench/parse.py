"""An INVITE with SDP parsed, microseconds a message, beside other Python stacks where installed.

Ours is parsed with Via, From, To, CSeq, Contact and the SDP's offer read; peers the same way.
The best of seven rounds.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from bench.harness import Rows, arguments
from telephony.sdp.model import SessionDescription
from telephony.sip.message import Request
from telephony.sip.parser import parse

SDP = (
    "v=0\r\no=- 3874923 3874923 IN IP4 203.0.113.20\r\ns=call\r\nc=IN IP4 203.0.113.20\r\n"
    "t=0 0\r\nm=audio 18232 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)
INVITE = (
    "INVITE sip:+12025550123@198.51.100.7:5060 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 203.0.113.9:5060;rport;branch=z9hG4bKPjd7f1c2a9e3b84c55\r\n"
    "Via: SIP/2.0/UDP 203.0.113.20:5062;received=203.0.113.20;branch=z9hG4bK8d1f\r\n"
    "Record-Route: <sip:203.0.113.9;lr;ftag=7c1b>\r\n"
    "Max-Forwards: 69\r\n"
    'From: "Jane Caller" <sip:+12025550188@203.0.113.20>;tag=7c1b9a20d\r\n'
    "To: <sip:+12025550123@198.51.100.7>\r\n"
    "Call-ID: 6f0d5a2c-91b7-4a4b-8f70-2f6c4c1bb1de@203.0.113.20\r\n"
    "CSeq: 102 INVITE\r\n"
    "Contact: <sip:+12025550188@203.0.113.20:5062>\r\n"
    "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE\r\n"
    "Supported: timer, replaces\r\nSession-Expires: 1800\r\nUser-Agent: carrier-sbc 7.2\r\n"
    "Content-Type: application/sdp\r\n"
    f"Content-Length: {len(SDP)}\r\n\r\n{SDP}"
).encode()


def ours() -> None:
    message = parse(INVITE)
    assert isinstance(message, Request)
    assert message.top_via and message.from_ and message.to and message.cseq and message.contact
    SessionDescription.parse(message.body)


def peers(rows: Rows) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    try:
        from aiosipua import SipMessage, parse_sdp  # type: ignore[import-not-found]

        def aiosipua() -> None:
            message = SipMessage.parse(INVITE)
            assert message.via and message.from_addr and message.to_addr
            assert message.cseq and message.contact
            parse_sdp(INVITE.decode().partition("\r\n\r\n")[2])

        found["aiosipua"] = aiosipua
    except ImportError as error:
        rows.absent("aiosipua", str(error))
    try:
        from sippy.SipRequest import SipRequest  # type: ignore[import-not-found]

        def sippy() -> None:
            message = SipRequest(INVITE.decode())
            for name in ("via", "from", "to", "cseq", "contact"):
                message.getHFBody(name).getCopy()
            message.getBody().parse()

        found["sippy"] = sippy
    except ImportError as error:
        rows.absent("sippy", str(error))
    return found


def best(work: Callable[[], object]) -> float:
    """Microseconds a call: the best of seven rounds."""
    timer = timeit.Timer(work)
    count, _ = timer.autorange()
    return min(timer.repeat(7, count)) / count * 1e6


def main() -> None:
    a = arguments(__doc__ or "").parse_args()
    rows = Rows("parse")
    case = f"INVITE with SDP, {len(INVITE)} bytes"
    rows.add(case, "telephony", best(ours), "us a message")
    for name, work in peers(rows).items():
        try:
            work()
        except Exception as error:
            rows.absent(name, repr(error))
            continue
        rows.add(case, name, best(work), "us a message")
    rows.show(a.json)


if __name__ == "__main__":
    main()
