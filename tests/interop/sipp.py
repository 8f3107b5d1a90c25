"""sipp scenarios from steps: each a message to send or to expect, in sipp's own XML.

A scenario is written once and serves UDP and TCP. A caller's says ``invite``, ``ack``, ``bye``; a
callee's ``expect("INVITE")`` and ``answer``. CSeq and branches are kept here, so that a CANCEL and
the ACK of a refusal carry those of their INVITE (RFC 3261 §9.1, §17.1.1.3).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

CALLER = "+12025550188"

SDP = """v=0
o=gear 1 {version} IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP {formats}
{maps}a=ptime:20
a={direction}
"""
MAPS = {
    0: "a=rtpmap:0 PCMU/8000\n",
    8: "a=rtpmap:8 PCMA/8000\n",
    18: "a=rtpmap:18 G729/8000\n",
    101: "a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n",
}


def sdp(
    direction: str = "sendrecv", version: int = 1, formats: tuple[int, ...] = (0, 8, 101)
) -> str:
    """A description of sipp's own audio port."""
    return SDP.format(
        direction=direction,
        version=version,
        formats=" ".join(map(str, formats)),
        maps="".join(MAPS[f] for f in formats),
    )


@dataclass
class Scenario:
    """Steps, and the scenario's name, which names its files."""

    name: str
    user: str = "gear"
    """The user part of a caller's Contact."""
    caller: str = CALLER
    """The user part of a caller's From."""
    steps: list[str] = field(default_factory=list)
    _cseq: int = 0
    _invite: tuple[int, int] = (0, 0)
    _unused: set[str] = field(default_factory=set)

    # --- any step -----------------------------------------------------------------------------

    def send(
        self,
        text: str,
        body: str = "",
        content_type: str = "application/sdp",
        *,
        again: bool = True,
    ) -> Scenario:
        """A message; ``again``: retransmitted until what comes next has come."""
        lines = re.sub(r"\n\n+", "\n", text.strip("\n"))
        if body:
            lines += f"\nContent-Type: {content_type}\nContent-Length: [len]\n\n{body}"
        else:
            lines += "\nContent-Length: 0\n\n"
        retrans = ' retrans="500"' if again else ""
        self.steps.append(f"<send{retrans}><![CDATA[\n{lines}\n]]></send>")
        return self

    def expect(self, what: str | int, optional: bool = False, actions: str = "") -> Scenario:
        """A request by its method or a response by its status must come now, or may."""
        kind = "response" if isinstance(what, int) else "request"
        attributes = {kind: str(what)}
        if optional:
            attributes["optional"] = "true"
        if what in (200, "INVITE"):
            attributes["rrs"] = "true"  # remembers the peer's Contact as [next_url]
        if what in (401, 407):
            attributes["auth"] = "true"
        words = "".join(f" {k}={quoteattr(v)}" for k, v in attributes.items())
        inner = f"<action>{actions}</action>" if actions else ""
        self.steps.append(f"<recv{words}>{inner}</recv>")
        return self

    def ringing(self) -> Scenario:
        """What may come before a final response."""
        for status in (100, 180, 183):
            self.expect(status, optional=True)
        return self

    def pause(self, milliseconds: int) -> Scenario:
        self.steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    def mentions(self, variable: str) -> Scenario:
        """sipp refuses a variable that is set and never read."""
        self._unused.add(variable)
        return self

    def xml(self) -> str:
        steps = "\n".join(self.steps)
        unused = "".join(f'<Reference variables="{name}"/>\n' for name in sorted(self._unused))
        return (
            '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
            f'<scenario name="{self.name}">\n{steps}\n{unused}</scenario>\n'
        )

    # --- a caller's messages ------------------------------------------------------------------

    def _request(self, method: str, uri: str, to: str, cseq: int, branch: str, extra: str) -> str:
        return f"""
{method} {uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch};rport
Max-Forwards: 70
From: <sip:{self.caller}@[remote_ip]:[remote_port]>;tag=[pid]gear[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to}
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:{self.user}@[local_ip]:[local_port];transport=[transport]>
User-Agent: SIPp
{extra}"""

    @property
    def _target(self) -> str:
        return "sip:[service]@[remote_ip]:[remote_port]"

    def invite(self, body: str | None = None, extra: str = "") -> Scenario:
        """The first INVITE of a call, or the next try after a challenge. ``""``: no offer."""
        self._cseq += 1
        self._invite = (len(self.steps), self._cseq)
        text = self._request("INVITE", self._target, "", self._cseq, "[branch]", extra)
        return self.send(text, sdp() if body is None else body)

    def _branch_of_invite(self) -> str:
        return f"[branch-{len(self.steps) - self._invite[0]}]"

    def cancel(self) -> Scenario:
        text = self._request(
            "CANCEL", self._target, "", self._invite[1], self._branch_of_invite(), ""
        )
        return self.send(text)

    def refused(self, status: int, actions: str = "") -> Scenario:
        """A refusal of the INVITE, and its ACK."""
        self.expect(status, actions=actions)
        to, branch = "[peer_tag_param]", self._branch_of_invite()
        text = self._request("ACK", self._target, to, self._invite[1], branch, "")
        return self.send(text, again=False)

    def answered(self, actions: str = "", body: str = "") -> Scenario:
        """The 200 of the INVITE, and its ACK; with ``body`` where the 200 held the offer."""
        self.ringing().expect(200, actions=actions)
        to = "[peer_tag_param]"
        text = self._request("ACK", "[next_url]", to, self._invite[1], "[branch]", "")
        return self.send(text, body, again=False)

    def request(
        self, method: str, extra: str = "", body: str = "", content_type: str = "application/sdp"
    ) -> Scenario:
        """A request inside the call."""
        self._cseq += 1
        if method == "INVITE":
            self._invite = (len(self.steps), self._cseq)
        to = "[peer_tag_param]"
        text = self._request(method, "[next_url]", to, self._cseq, "[branch]", extra)
        return self.send(text, body, content_type)

    def reinvite(self, direction: str = "sendrecv", version: int = 1, extra: str = "") -> Scenario:
        """A new offer inside the call, taken and acknowledged."""
        return self.request("INVITE", extra, sdp(direction, version)).answered()

    def refer_progress(self, status: str, state: str) -> Scenario:
        """What becomes of a REFER, told to whom it came from (RFC 3515 §2.4.4)."""
        rows = f"Event: refer\nSubscription-State: {state}"
        self.request("NOTIFY", rows, f"SIP/2.0 {status}\n", "message/sipfrag;version=2.0")
        return self.expect(200)

    def bye(self) -> Scenario:
        return self.request("BYE").expect(200)

    def register(self, extra: str = "", expires: int = 120) -> Scenario:
        self._cseq += 1
        extra = f"Expires: {expires}\n{extra}"
        text = self._request(
            "REGISTER", "sip:[remote_ip]:[remote_port]", "", self._cseq, "[branch]", extra
        )
        return self.send(text)

    # --- a callee's messages ------------------------------------------------------------------

    def called(self, actions: str = "") -> Scenario:
        """The INVITE of somebody who calls; who that is, is kept for requests of our own."""
        self._unused.add("caller")
        keep = '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>'
        return self.expect("INVITE", actions=keep + actions)

    def answer(
        self, status: str, body: str = "", extra: str = "", *, tag: bool = True, cseq: str = ""
    ) -> Scenario:
        """A response to the last request. ``tag``: it is not inside the call yet."""
        to = ";tag=[pid]callee[call_number]" if tag else ""
        text = f"""
SIP/2.0 {status}
[last_Via:]
[last_From:]
[last_To:]{to}
[last_Call-ID:]
{cseq or "[last_CSeq:]"}
[last_Record-Route:]
Contact: <sip:{self.user}@[local_ip]:[local_port];transport=[transport]>
{extra}"""
        return self.send(text, body, again=bool(body) and status.startswith("200"))

    def inside(self, status: str, body: str = "", extra: str = "") -> Scenario:
        """A response to a request inside the call, whose To has its tag already."""
        return self.answer(status, body, extra, tag=False)

    def cancelled(self) -> Scenario:
        """Their CANCEL, and what it brings about."""
        self.expect("CANCEL").answer("200 OK")
        # The last message is the CANCEL, the 487 belongs to the INVITE.
        self.answer("487 Request Terminated", cseq="CSeq: [last_cseq_number] INVITE")
        return self.expect("ACK")

    def callee_request(self, method: str, extra: str = "", body: str = "") -> Scenario:
        """A request of the callee inside the call."""
        self._cseq += 1
        return self.send(self._callee(method, self._cseq, extra), body)

    def callee_ack(self) -> Scenario:
        return self.send(self._callee("ACK", self._cseq, ""), again=False)

    def _callee(self, method: str, cseq: int, extra: str) -> str:
        self._unused.discard("caller")
        return f"""
{method} [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:{self.user}@[local_ip]:[local_port]>;tag=[pid]callee[call_number]
To:[$caller]
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:{self.user}@[local_ip]:[local_port];transport=[transport]>
{extra}"""


@dataclass
class Sipp:
    """A sipp that runs one scenario once."""

    name: str
    process: subprocess.Popen[bytes]
    folder: Path

    def _file(self, ending: str) -> str:
        path = self.folder / f"{self.name}.{ending}"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, seconds: float = 45.0) -> None:
        """It must end well: every message came as expected."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            code = -1
        assert code == 0, f"sipp {self.name}: {code}\n{self._file('err')}\n{self._file('msg')}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def received(self) -> list[str]:
        """The messages it got, each whole."""
        return list(self._messages("received"))

    def sent(self) -> list[str]:
        """The messages it sent."""
        return list(self._messages("sent"))

    def _messages(self, which: str) -> Iterator[str]:
        for part in re.split(r"^-{20,}.*$", self._file("msg"), flags=re.M):
            head, _, message = part.strip().partition("\n\n")
            if re.search(rf"message {which}", head):
                yield message.replace("\r", "").strip()


def start(
    scenario: Scenario,
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int,
    media_port: int,
    target: str = "",
    transport: str = "udp",
    service: str = "",
    seconds: int = 40,
    echo: bool = False,
) -> Sipp:
    """Run it: as a caller with a ``target``, else as a callee on ``port``.

    ``echo``: it sends back what it hears; without that it sends no sound at all.
    """
    path = folder / f"{scenario.name}.xml"
    path.write_text(scenario.xml())
    # fmt: off
    words = [
        "sipp", "-sf", str(path), "-i", host, "-mi", host, "-p", str(port),
        "-mp", str(media_port), "-m", "1", "-l", "1", "-nostdin",
        "-t", "u1" if transport == "udp" else "t1",
        "-timeout", f"{seconds}s", "-timeout_error", "-deadcall_wait", "0",
        "-trace_err", "-error_file", str(folder / f"{scenario.name}.err"),
        "-trace_msg", "-message_file", str(folder / f"{scenario.name}.msg"),
    ]
    # fmt: on
    if service:
        words += ["-s", service]
    if echo:
        words.append("-rtp_echo")
    if target:
        words.append(target)
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return Sipp(scenario.name, process, folder)
