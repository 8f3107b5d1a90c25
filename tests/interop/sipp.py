"""sipp scenarios from steps: each a message to send or to expect, in sipp's own XML."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

SDP = """v=0
o=gear 1 {version} IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a={direction}
"""


def sdp(direction: str = "sendrecv", version: int = 1) -> str:
    return SDP.format(direction=direction, version=version)


@dataclass
class Scenario:
    """Steps, and the scenario's name."""

    name: str
    steps: list[str] = field(default_factory=list)

    def send(self, text: str, body: str = "", retrans: int | None = None, **attrs: str) -> Scenario:
        extra = "".join(f" {k}={quoteattr(v)}" for k, v in attrs.items())
        again = f' retrans="{retrans}"' if retrans else ""
        lines = text.strip("\n")
        if body:
            lines += f"\nContent-Type: application/sdp\nContent-Length: [len]\n\n{body}"
        else:
            lines += "\nContent-Length: 0\n"
        self.steps.append(f"<send{again}{extra}><![CDATA[\n{lines}\n]]></send>")
        return self

    def expect(self, what: str | int, optional: bool = False, **attrs: str) -> Scenario:
        extra = "".join(f" {k}={quoteattr(v)}" for k, v in attrs.items())
        kind = "response" if isinstance(what, int) else "request"
        maybe = ' optional="true"' if optional else ""
        self.steps.append(f'<recv {kind}="{what}"{maybe}{extra}></recv>')
        return self

    def pause(self, milliseconds: int) -> Scenario:
        self.steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    def xml(self) -> str:
        steps = "\n".join(self.steps)
        return (
            '<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
            f'<scenario name="{self.name}">\n{steps}\n</scenario>\n'
        )

    # --- a caller's messages ---------------------------------------------------------------

    def invite(
        self, body: str = "", extra: str = "", cseq: int = 1, to_tag: bool = False
    ) -> Scenario:
        to = "[peer_tag_param]" if to_tag else ""
        return self.send(
            f"""
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: gear <sip:+12025550188@[local_ip]:[local_port]>;tag=[pid]gear[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to}
Call-ID: [call_id]
CSeq: {cseq} INVITE
Contact: <sip:gear@[local_ip]:[local_port];transport=[transport]>
Supported: timer
{extra}""",
            body or sdp(),
            retrans=500,
        )

    def in_dialog(self, method: str, cseq: int, extra: str = "", body: str = "") -> Scenario:
        return self.send(
            f"""
{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: gear <sip:+12025550188@[local_ip]:[local_port]>;tag=[pid]gear[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:gear@[local_ip]:[local_port];transport=[transport]>
{extra}""",
            body,
            retrans=None if method == "ACK" else 500,
        )

    # --- a callee's messages ---------------------------------------------------------------

    def answer(self, status: str, body: str = "", extra: str = "", tag: bool = True) -> Scenario:
        to = ";tag=[pid]callee[call_number]" if tag else ""
        retrans = 500 if status.startswith("2") and body else None
        return self.send(
            f"""
SIP/2.0 {status}
[last_Via:]
[last_From:]
[last_To:]{to}
[last_Call-ID:]
[last_CSeq:]
[last_Record-Route:]
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
{extra}""",
            body,
            retrans=retrans,
        )

    def again(self, status: str, body: str = "", extra: str = "") -> Scenario:
        """An answer within the dialog, whose To has its tag already."""
        return self.answer(status, body, extra, tag=False)

    def callee_request(self, method: str, cseq: int, extra: str = "", body: str = "") -> Scenario:
        return self.send(
            f"""
{method} [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:callee@[local_ip]:[local_port]>;tag=[pid]callee[call_number]
To: [$1]
Call-ID: [call_id]
CSeq: {cseq} {method}
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
{extra}""",
            body,
            retrans=None if method == "ACK" else 500,
        )


def command(
    scenario: Scenario,
    folder: Path,
    *,
    port: int,
    target: str = "",
    transport: str = "udp",
    service: str = "",
    options: tuple[str, ...] = (),
) -> list[str]:
    path = folder / f"{scenario.name}.xml"
    path.write_text(scenario.xml())
    words = ["sipp", "-sf", str(path), "-i", "127.0.0.1", "-p", str(port), "-m", "1", "-nostdin"]
    words += ["-t", "u1" if transport == "udp" else "t1", "-timeout", "40s", "-timeout_error"]
    words += ["-trace_err", "-error_file", str(folder / f"{scenario.name}.err")]
    if service:
        words += ["-s", service]
    words += list(options)
    if target:
        words.append(target)
    return words


@dataclass
class Sipp:
    """A sipp that runs one scenario once."""

    scenario: Scenario
    process: subprocess.Popen[bytes]
    folder: Path

    def wait(self, seconds: float = 45.0) -> None:
        """It must end well: every message came as expected."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = -1
        errors = self.folder / f"{self.scenario.name}.err"
        said = errors.read_text() if errors.exists() else ""
        assert code == 0, f"sipp {self.scenario.name} ended with {code}:\n{said}"


def start(scenario: Scenario, folder: Path, **how: object) -> Sipp:
    words = command(scenario, folder, **how)  # type: ignore[arg-type]
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return Sipp(scenario, process, folder)
