"""A SIP peer written by hand: it says to one agent exactly what a test wants said."""

from __future__ import annotations

import itertools

from telephony.sip.addresses import Source
from telephony.sip.agent import UserAgent
from telephony.sip.events import SipEvent
from telephony.sip.headers import Headers
from telephony.sip.message import Request, Response
from telephony.sip.parser import parse


class Peer:
    """Speaks to ``agent`` from ``host``; keeps what the agent sent and reported.

    ``now`` is the only clock. Messages are not retransmitted by the peer itself.
    """

    def __init__(
        self,
        agent: UserAgent,
        *,
        host: str = "192.0.2.9",
        port: int = 5060,
        transport: str = "UDP",
        call_id: str = "call-1",
    ) -> None:
        self.agent = agent
        self.source = Source(
            (host, port),
            transport,
            (agent.config.host, agent.config.port),
            0 if transport == "UDP" else 1,
        )
        self.call_id = call_id
        self.tag = "peer"
        self.now = 1000.0
        self.cseq = itertools.count(1)
        self.events: list[SipEvent] = []
        self.sent: list[Request | Response] = []
        self.to_tag = ""
        self._branches = itertools.count(1)

    # -- what the agent did -------------------------------------------------------------------

    def collect(self) -> list[Request | Response]:
        """Take what the agent sent since; all of it stays in ``sent``."""
        fresh: list[Request | Response] = []
        for send in self.agent.take_sends():
            message = parse(send.data)
            assert isinstance(message, Request | Response), send.data
            fresh.append(message)
        self.sent.extend(fresh)
        self.events.extend(self.agent.take_events())
        return fresh

    def words(self) -> list[str]:
        """:meth:`collect`, each message as its method or status."""
        return [m.method if isinstance(m, Request) else str(m.status) for m in self.collect()]

    def last(self, word: str) -> Request | Response:
        """The last message of the agent with this method or status."""
        self.collect()
        for message in reversed(self.sent):
            name = message.method if isinstance(message, Request) else str(message.status)
            if name == word:
                return message
        raise AssertionError(f"the agent sent no {word}")

    def last_request(self, method: str) -> Request:
        """The last request of the agent with this method."""
        message = self.last(method)
        assert isinstance(message, Request)
        return message

    def last_response(self, status: int) -> Response:
        """The last response of the agent with this status."""
        message = self.last(str(status))
        assert isinstance(message, Response)
        return message

    def of(self, kind: type[SipEvent]) -> list[SipEvent]:
        """The events of a kind."""
        self.collect()
        return [event for event in self.events if isinstance(event, kind)]

    def pass_time(self, seconds: float) -> None:
        """Let the agent do all that falls due."""
        end = self.now + seconds
        while (at := self.agent.next_deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.agent.expire(self.now)
        self.now = end

    # -- what the peer says -------------------------------------------------------------------

    def say(self, message: Request | Response | bytes, source: Source | None = None) -> None:
        """Put a message in."""
        self.agent.receive(bytes(message), source or self.source, self.now)

    def reply(
        self,
        request: Request,
        status: int,
        *,
        tag: str = "peer",
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        contact: bool = True,
    ) -> Response:
        """Answer a request of the agent."""
        response = request.reply(status, to_tag=tag)
        host, port = self.source.address
        if contact and 100 < status < 300:
            response.headers.add("Contact", f"<sip:peer@{host}:{port}>")
        for name, value in headers:
            response.headers.add(name, value)
        if body:
            response.headers.set("Content-Type", "application/sdp")
            response.body = body
        self.say(response)
        return response

    def request(
        self,
        method: str,
        *,
        cseq: int | None = None,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        content_type: str = "application/sdp",
        branch: str = "",
        say: bool = True,
    ) -> Request:
        """A request to the agent, in the dialog once ``to_tag`` is set."""
        host, port = self.source.address
        number = next(self.cseq) if cseq is None else cseq
        rows = Headers()
        branch = branch or f"z9hG4bKpeer{next(self._branches)}"
        rows.add("Via", f"SIP/2.0/{self.source.transport} {host}:{port};branch={branch}")
        rows.add("Max-Forwards", "70")
        rows.add("From", f"<sip:peer@{host}>;tag={self.tag}")
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        rows.add("To", f"<sip:desk@{self.agent.config.host}>{tag}")
        rows.add("Call-ID", self.call_id)
        rows.add("CSeq", f"{number} {method}")
        if method in ("INVITE", "UPDATE", "REFER", "REGISTER"):
            rows.add("Contact", f"<sip:peer@{host}:{port}>")
        for name, value in headers:
            rows.add(name, value)
        if body:
            rows.set("Content-Type", content_type)
        request = Request(method, f"sip:desk@{self.agent.config.host}", rows, body)
        if say:
            self.say(request)
        return request
