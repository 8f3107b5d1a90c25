"""The service as a process: how it starts, refuses to start, drains, dies and comes back."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from telephony.audio.wav import parse
from tests.interop.conftest import Gear
from tests.interop.service import ROOT, Service, eventually, how, types
from tests.interop.sipp import Scenario, sdp

Alone = Callable[..., Service]


def stays(name: str) -> Scenario:
    """A caller that leaves when it is told to."""
    return Scenario(name).invite().answered().expect("BYE").inside("200 OK")


def payload(events: list[dict[str, Any]], event_type: str) -> dict[str, Any]:
    return dict(next(e["payload"] for e in events if e["event_type"] == event_type))


# -- it dies ----------------------------------------------------------------------------------


def test_a_call_that_was_alive_when_it_was_killed(alone: Alone, gear: Gear) -> None:
    service = alone()
    service.start()
    gear.calls(service, stays("active"), "recorded")
    active = service.api.new_session([])
    service.api.wait(active, "call.prompt.played", 30)
    gear.calls(service, Scenario("ringing").invite().expect(100, optional=True).expect(180)
               .expect(200), "slow")  # fmt: skip
    ringing = service.api.new_session([active])
    service.api.wait(ringing, "call.ringing")
    service.kill()

    service.start()
    events = service.api.ended(active)
    assert how(events) == ("ended", "interrupted", "service")
    assert types(events).count("call.leg.hangup") == 1
    report = service.api.report(active)
    assert report["outcome"] == "interrupted"
    assert report["transcript"]["entries"]
    # What was said until then is not lost with the process.
    assert payload(events, "call.recording.ready")["reason"] == "interrupted"
    assert parse(service.api.recording(active)).seconds > 3
    events = service.api.ended(ringing)
    assert how(events)[:2] == ("failed", "interrupted")
    assert service.api.report(ringing)["outcome"] == "interrupted"

    # It takes calls again, and the next start finds nothing left to close.
    caller = gear.calls(service, Scenario("after").invite().answered().pause(300).bye())
    caller.wait()
    assert service.stop() == 0
    before = len(service.log())
    service.start()
    assert service.stop() == 0
    assert not [li for li in service.log()[before:] if "interrupted" in li["event"]]
    assert service.complaints() == []


# -- it is told to stop -----------------------------------------------------------------------


def test_sigterm_lets_calls_end(alone: Alone, gear: Gear, transport: str) -> None:
    service = alone()
    service.start(TELEPHONY_DRAIN_SECONDS="60")
    last = gear.calls(service, stays("last"), "talk", transport)
    session = service.api.new_session([])
    service.api.wait(session, "call.answered")
    assert service.process is not None
    service.process.send_signal(signal.SIGTERM)

    def draining() -> bool:
        try:
            with urllib.request.urlopen(f"{service.api.base}/readyz", timeout=5):
                return False
        except urllib.error.HTTPError as error:
            with error:
                return error.code == 503

    eventually("it says that it drains", draining)
    late = gear.calls(service, Scenario("late").invite().ringing().refused(503), "talk", transport)
    late.wait()
    assert any("Retry-After:" in m for m in late.received())
    last.wait()  # it was told everything, and then its BYE
    assert service.process.wait(20) == 0
    service.start()
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "service")
    assert service.api.report(session)["outcome"] == "completed"
    assert payload(events, "call.prompt.played")["reason"] == "finished"
    assert service.api.sessions() == [session]
    assert service.stop() == 0
    assert service.complaints() == []


def test_what_has_not_ended_by_then_is_ended(alone: Alone, gear: Gear) -> None:
    service = alone()
    service.start(TELEPHONY_DRAIN_SECONDS="0.3")
    callers = [gear.calls(service, stays(f"cut-{n}"), "long") for n in range(3)]
    eventually("three calls", lambda: len(service.api.sessions()) == 3)
    sessions = service.api.sessions()
    for session in sessions:
        service.api.wait(session, "call.answered")
    assert service.stop() == 0
    for caller in callers:
        caller.wait()
    service.start()
    for session in sessions:
        assert how(service.api.ended(session)) == ("ended", None, "service")
    assert service.stop() == 0
    assert service.complaints() == []


def test_a_second_signal_does_not_wait(alone: Alone, gear: Gear) -> None:
    service = alone()
    service.start(TELEPHONY_DRAIN_SECONDS="600")
    caller = gear.calls(service, stays("now"), "long")
    service.api.wait(service.api.new_session([]), "call.answered")
    assert service.process is not None
    service.process.send_signal(signal.SIGTERM)
    eventually("it drains", lambda: any(li["event"] == "stopping" for li in service.log()))
    service.process.send_signal(signal.SIGINT)
    caller.wait()
    assert service.process.wait(20) == 0


# -- the disk ---------------------------------------------------------------------------------


def on_a_tiny_disk(folder: Path) -> list[str]:
    """The service, to whom ``folder`` is a disk of 100 KB: three seconds of a call.

    The mount is seen by nobody else and goes with the process.
    """
    alone = ["unshare", "--mount"]
    if os.geteuid() != 0:
        alone += ["--user", "--map-root-user"]
    folder.mkdir(parents=True)
    mount = f"mount -t tmpfs -o size=100k tmpfs {shlex.quote(str(folder))}"
    serve = f"exec {shlex.quote(sys.executable)} -m telephony serve"
    return [*alone, "sh", "-c", f"{mount} && {serve}"]


def test_a_full_disk_ends_the_recording_and_not_the_call(alone: Alone, gear: Gear) -> None:
    service = alone()
    service.start(on_a_tiny_disk(service.data / "recordings"))
    caller = gear.calls(service, stays("full"), "recorded")
    session = service.api.new_session([])
    failed = service.api.wait(session, "call.recording.failed", 30)
    assert failed["payload"]["kind"] == "call"
    assert "space" in failed["payload"]["error"].lower()
    assert failed["payload"]["duration_ms"] > 1000
    # The caller hears the sentence to its end all the same.
    sentence = service.api.wait(session, "call.prompt.played", 30)["payload"]
    assert sentence["reason"] == "finished"
    service.api.post(f"/v1/calls/{session}/end")
    caller.wait()
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "api")
    assert types(events).count("call.recording.failed") == 1
    assert "call.recording.ready" not in types(events)
    assert service.stop() == 0


def test_no_place_to_record_is_no_reason_not_to_answer(alone: Alone, gear: Gear) -> None:
    service = alone()
    folder = service.data / "recordings"
    folder.mkdir(parents=True)
    (folder / f"{datetime.now(UTC):%Y}").write_text("not a folder")
    service.start()
    caller = gear.calls(service, Scenario("nowhere").invite().answered().pause(1000).bye())
    caller.wait()
    session = service.api.new_session([])
    events = service.api.ended(session)
    assert how(events) == ("ended", None, "caller")
    assert types(events).count("call.recording.failed") == 1
    assert service.stop() == 0


# -- two of them ------------------------------------------------------------------------------


def test_two_services_on_one_machine(alone: Alone, gear: Gear) -> None:
    """Each with its own ports for SIP, both with the same range for sound."""
    one, other = alone(), alone()
    for service in (one, other):
        service.start(TELEPHONY_RTP_PORTS="25000-25031")
    callers = [
        gear.calls(service, Scenario(f"{name}-{n}").invite().answered().pause(500).bye())
        for name, service in (("one", one), ("other", other))
        for n in range(4)
    ]
    for caller in callers:
        caller.wait()
    for service in (one, other):
        sessions = service.api.sessions()
        assert len(sessions) == 4
        for session in sessions:
            assert how(service.api.ended(session)) == ("ended", None, "caller")
        assert service.stop() == 0
        assert service.complaints() == []


def test_one_service_calls_the_other(alone: Alone, gear: Gear) -> None:
    """Our caller and our callee: what one says, the other writes down."""
    callee = alone()
    callee.start()
    caller = alone(
        f'[[trunks]]\nname = "there"\ngateways = ["{callee.sip}"]\n'
        'caller_ids = ["+12025550100"]\nusername = "acme"\npassword = "open sesame"\n'
    )
    caller.start()
    trunk = {"name": "here", "gateways": ["192.0.2.1"], "username": "acme"}
    made = callee.api.post("/v1/trunks", {**trunk, "password": "open sesame"})
    callee.api.post(
        "/v1/phone-numbers/import",
        {"e164": "+12025550123", "sipTrunkId": made["id"], "dialplan": "code"},
    )
    session = caller.api.dial(dialplan="talk")
    inbound = callee.api.new_session([])
    assert how(caller.api.ended(session)) == ("ended", None, "service")
    events = callee.api.ended(inbound)
    assert how(events) == ("ended", None, "caller")
    assert payload(events, "call.initiated")["trunk"] == made["id"]
    for service in (caller, callee):
        (quality,) = service.api.report(service.api.sessions()[0])["artifacts"][
            "media_quality"
        ].values()
        assert quality["lost"] == 0
        assert quality["packets_received"] > 50
        assert quality["mos"] > 4
        assert service.stop() == 0
        assert service.complaints() == []


def test_a_port_that_is_taken(alone: Alone) -> None:
    one, other = alone(), alone()
    one.start()
    port, other.sip_port = other.sip_port, one.sip_port
    said = other.fails()
    assert f"sip_port: 127.0.0.1:{one.sip_port}: " in said
    assert "Traceback" not in said
    other.sip_port, other.api_port = port, one.api_port
    said = other.fails()
    assert f"api_port: 127.0.0.1:{one.api_port}: " in said
    assert "Traceback" not in said
    assert one.stop() == 0


# -- it refuses to start ----------------------------------------------------------------------


def test_a_bad_dialplan_names_file_and_line(alone: Alone) -> None:
    service = alone(dialplans={"broken": "start: a\nnodes:\n  a: {verb: say, text: hi, next: b}\n"})
    said = service.fails()
    assert "broken.yaml:3" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("settings", "toml", "named"),
    [
        ({"TELEPHONY_SIP_PROT": "5070"}, "", "TELEPHONY_SIP_PORT"),
        ({"TELEPHONY_MAX_CALLS": "many"}, "", "max_calls"),
        ({}, "sip_prot = 5070\n", "sip_port"),
        ({}, '[[trunks]]\nname = "main"\ngatways = ["x"]\n', "gateways"),
        ({"TELEPHONY_DEFAULT_DIALPLAN": "nowhere"}, "", "nowhere"),
    ],
)
def test_a_bad_setting_is_named(
    alone: Alone, settings: dict[str, str], toml: str, named: str
) -> None:
    said = alone(toml).fails(**settings)
    assert named in said
    assert "Traceback" not in said


# -- as it is installed -----------------------------------------------------------------------


def test_the_systemd_unit_starts_it(alone: Alone, gear: Gear) -> None:
    """The unit's own command line and environment, in another place than /opt/telephony."""
    unit = (ROOT / "deploy" / "systemd" / "telephony.service").read_text()
    rows = [line.partition("=")[::2] for line in unit.splitlines() if "=" in line]
    keys = dict(rows)
    words = shlex.split(keys["ExecStart"])
    installed = "/opt/telephony/.venv/bin/"
    assert words[0].startswith(installed)
    words[0] = words[0].replace(installed, f"{Path(sys.executable).parent}{os.sep}")
    environment = dict(v.split("=", 1) for k, v in rows if k == "Environment")
    assert environment.pop("TELEPHONY_DATA_DIR") == f"/var/lib/{keys['StateDirectory']}"
    service = alone()
    service.start(words, **environment)
    with urllib.request.urlopen(f"{service.api.base}/healthz", timeout=10) as reply:
        assert reply.status == 200
        assert json.loads(reply.read())
    gear.calls(service, Scenario("unit").invite("").answered(body=sdp()).pause(200).bye()).wait()
    assert keys["KillSignal"] == "SIGTERM"
    assert service.stop() == 0
    assert service.log()
    assert service.complaints() == []
