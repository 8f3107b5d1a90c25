"""Callers whom LiveKit's dispatch rules put into rooms: found, offered once, answered, let go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.protocol import models
from structlog.testing import capture_logs

from telephony.calls.events import LegAnswered
from telephony.calls.outcome import Cause, EndedBy, Outcome
from telephony.carriers.livekit.wire import CLAIM
from telephony.testing.livekit_sip import LiveKitStandIn
from tests.wire.livekit.conftest import NUMBER, LiveKitHouse, until

House = Callable[..., Awaitable[LiveKitHouse]]
ROOM = "sip-in_+12025550188_x"


async def ready(house: House, **config: Any) -> LiveKitHouse:
    home = await house(**config)
    home.add_trunk()
    home.add_number()
    return home


async def looked(server: LiveKitStandIn, times: int = 3) -> None:
    """So many lists of rooms from now on have been asked for."""
    before = len(server.asked("ListRooms"))
    await until(lambda: len(server.asked("ListRooms")) >= before + times)


async def test_a_caller_is_offered_answered_and_hangs_up(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house, sweep=60.0)
    caller = server.calls_in(
        ROOM, NUMBER, **{"sip.h.x-ref": "7", "sip.h.from": "no", "sip.h.x-bad": "a\nb"}
    )
    await home.tell(server.event("participant_joined", ROOM, caller.info))
    call = await home.offered()
    offered = call.offer.event
    assert (offered.dialled, offered.from_number) == (NUMBER, "+12025550188")
    assert (offered.provider, offered.trunk) == ("livekit", "tr_lk")
    assert offered.headers == {"X-Ref": "7", "X-Bad": "a\ufffdb"}
    assert (call.offer.organization, call.offer.stranger) == ("org_default", False)
    assert home.rooms.links == []
    call.leg.ring()
    call.leg.answer()
    await until(lambda: home.rooms.links)
    (link,) = home.rooms.links
    assert (link.meeting.room, link.meeting.identity) == (ROOM, "service-phone-1")
    # LiveKit finds our track, and answers.
    caller.says("active")
    answered = await call.until("LegAnswered")
    assert isinstance(answered, LegAnswered)
    await home.tell(caller.leaves())
    await call.until("LegEnded")
    assert call.kinds() == ["LegRinging", "LegAnswered", "LegEnded"]
    assert call.end.outcome == Outcome.completed(EndedBy.CALLER)
    assert caller.info.attributes["telephony.leg"] == "phone-1"
    assert home.heard == [ROOM, ROOM]
    assert home.carrier.legs == 0
    assert server.deleted == []


async def test_a_caller_of_whom_no_webhook_told_is_found(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house)
    server.calls_in(ROOM, NUMBER)
    await home.offered()
    await looked(server)
    assert len(home.caught) == 1


async def test_doubled_late_and_foreign_webhooks_change_nothing(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house, sweep=60.0, look_active=0.05)
    caller = server.calls_in(ROOM, NUMBER)
    joined = server.event("participant_joined", ROOM, caller.info)
    again = server.event("participant_joined", ROOM, caller.info)
    earlier = models.ParticipantInfo()
    earlier.CopyFrom(caller.info)
    earlier.sid = "PA_before"
    earlier.disconnect_reason = models.CONNECTION_TIMEOUT
    left_before = server.event("participant_left", ROOM, earlier)
    stranger = server.enter(ROOM, "recorder", {}, models.ParticipantInfo.EGRESS)
    await home.tell(
        left_before,
        server.event("room_started", ROOM),
        joined,
        joined,
        again,
        server.event("participant_joined", "another room", stranger.info),
        server.event("track_published", ROOM, caller.info),
    )
    call = await home.offered()
    call.leg.answer()
    caller.says("active")
    await call.until("LegAnswered")
    await home.tell(left_before, again, stranger.leaves())
    looks = len(server.asked("ListParticipants"))
    await until(lambda: len(server.asked("ListParticipants")) > looks + 3)
    assert call.kinds() == ["LegAnswered"]
    assert len(home.caught) == 1
    await home.tell(caller.leaves())
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.completed(EndedBy.CALLER)


async def test_why_an_earlier_stay_ended_is_not_why_this_one_does(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house, look_active=0.05)
    caller = server.calls_in(ROOM, NUMBER)
    call = await home.offered()
    call.leg.answer()
    caller.says("active")
    await call.until("LegAnswered")
    earlier = models.ParticipantInfo()
    earlier.CopyFrom(caller.info)
    earlier.sid = "PA_before"
    earlier.disconnect_reason = models.CONNECTION_TIMEOUT
    await home.tell(server.event("participant_left", ROOM, earlier))
    caller.leaves()
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.completed(EndedBy.CALLER)


async def test_a_caller_who_gives_up_has_cancelled(house: House, server: LiveKitStandIn) -> None:
    home = await ready(house)
    caller = server.calls_in(ROOM, NUMBER)
    call = await home.offered()
    call.leg.ring()
    await home.tell(caller.leaves())
    await call.until("LegEnded")
    assert call.end.outcome == Outcome.canceled(EndedBy.CALLER, 487)


async def test_a_refused_caller_is_sent_out_and_not_offered_again(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house)
    home.admits = False
    caller = server.calls_in(ROOM, NUMBER)
    call = await home.offered()
    call.leg.end(Outcome.failed(Cause.CAPACITY, 503))
    await until(lambda: not caller.present)
    server.people.setdefault(ROOM, {})[caller.info.identity] = caller
    await looked(server)
    assert len(home.caught) == 1


async def test_what_livekit_answered_a_refused_caller(house: House, server: LiveKitStandIn) -> None:
    home = await ready(house)
    server.calls_in(ROOM, NUMBER)
    call = await home.offered()
    call.leg.end(Outcome.declined())
    assert call.end.outcome.sip_status == 486


async def test_a_caller_whom_livekit_does_not_answer_is_let_go(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house, answer=0.2)
    caller = server.calls_in(ROOM, NUMBER)
    call = await home.offered()
    call.leg.answer()
    await call.until("LegEnded")
    assert call.end.outcome.cause is Cause.NETWORK
    await until(lambda: not caller.present)


async def test_we_hang_up_by_sending_the_caller_out(house: House, server: LiveKitStandIn) -> None:
    """The room is his alone, and goes with him."""
    home = await ready(house)
    caller = server.calls_in(ROOM, NUMBER)
    call = await home.offered()
    call.leg.answer()
    caller.says("active")
    await call.until("LegAnswered")
    call.leg.end(Outcome.completed(EndedBy.API))
    await until(lambda: not caller.present)
    assert server.deleted == [ROOM]


async def test_a_second_caller_in_a_room_is_no_second_call(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house)
    server.calls_in(ROOM, NUMBER)
    await home.offered()
    second = server.calls_in(ROOM, NUMBER, "+12025550177")
    await home.tell(server.event("participant_joined", ROOM, second.info))
    await looked(server)
    assert len(home.caught) == 1
    assert second.present


# -- whose a caller is ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "attributes"),
    [
        ("somebody's", {}),
        ("call-of-ours", {}),
        (ROOM, {"sip.callStatus": "automation"}),
        (ROOM, {"sip.callStatus": "dialing"}),
        (ROOM, {"sip.callStatus": "hangup"}),
        (ROOM, {"telephony.leg": "phone-of-another-node"}),
        ("sip-out-phone-lost", {}),
    ],
)
async def test_who_is_none_of_ours_is_left_alone(
    house: House, server: LiveKitStandIn, room: str, attributes: dict[str, str]
) -> None:
    home = await ready(house)
    caller = server.calls_in(room, NUMBER, **attributes)
    await home.tell(server.event("participant_joined", room, caller.info))
    await looked(server)
    assert home.caught == []
    assert caller.present


async def test_a_caller_whom_somebody_of_us_is_with_is_left_alone(
    house: House, server: LiveKitStandIn
) -> None:
    home = await ready(house, orphan=0.0)
    caller = server.calls_in(ROOM, NUMBER)
    server.enter(ROOM, "service-phone-of-another-node", {}, models.ParticipantInfo.STANDARD)
    await home.tell(server.event("participant_joined", ROOM, caller.info))
    await looked(server)
    assert home.caught == []
    assert caller.present


async def test_a_number_on_another_trunk_is_not_livekit_s(
    house: House, server: LiveKitStandIn
) -> None:
    home = await house()
    home.add_trunk()
    home.add_trunk("second", livekit_trunk="ST_two")
    home.add_number(trunk="tr_gone")
    server.calls_in(ROOM, NUMBER)
    await looked(server)
    assert home.caught == []


async def test_a_number_of_another_organization_is_not_this_trunk_s(
    house: House, server: LiveKitStandIn
) -> None:
    home = await house()
    home.add_trunk()
    home.add_trunk("second", livekit_trunk="ST_two")
    home.add_number(organization="org_other")
    server.calls_in(ROOM, NUMBER)
    await looked(server)
    assert home.caught == []


async def test_the_only_trunk_takes_numbers_that_nobody_imported(
    house: House, server: LiveKitStandIn
) -> None:
    home = await house()
    home.add_trunk(country="US")
    server.calls_in(ROOM, "(202) 555-0142", "")
    offered = (await home.offered()).offer.event
    assert (offered.dialled, offered.from_number) == ("+12025550142", "anonymous")


async def test_a_trunk_that_is_full_takes_nobody(house: House, server: LiveKitStandIn) -> None:
    home = await house()
    home.add_trunk(max_calls=1)
    home.add_number()
    server.calls_in(ROOM, NUMBER)
    await home.offered()
    second = server.calls_in("sip-in_other", NUMBER, "+12025550177")
    await until(lambda: not second.present)
    assert len(home.caught) == 1


# -- what nobody holds ------------------------------------------------------------------------


async def test_a_call_of_a_process_that_died_is_ended(house: House, server: LiveKitStandIn) -> None:
    home = await ready(house, orphan=0.1)
    orphan = server.enter("sip-out-phone-lost", "phone-lost", {"sip.callStatus": "active"})
    foreign = server.enter("theirs", "phone-theirs", {"sip.callStatus": "active"})
    held = server.enter("sip-out-phone-held", "phone-held", {"sip.callStatus": "active"})
    server.enter("sip-out-phone-held", "service-phone-held", {}, models.ParticipantInfo.STANDARD)
    mine = home.dial(leg="phone-mine")
    await mine.until("LegAnswered")
    await until(lambda: not orphan.present)
    await looked(server, 5)
    assert server.deleted == ["sip-out-phone-lost"]
    assert foreign.present
    assert held.present
    assert mine.kinds() == ["LegAnswered"]


async def test_livekit_away_and_back(house: House, server: LiveKitStandIn) -> None:
    home = await ready(house)
    server.away = True
    server.calls_in(ROOM, NUMBER)
    before = len(server.asked("ListRooms"))
    await until(lambda: len(server.asked("ListRooms")) > before + 2)
    assert home.caught == []
    server.away = False
    await home.offered()


async def test_nobody_asks_livekit_where_no_trunk_is_its(
    house: House, server: LiveKitStandIn
) -> None:
    await house(sweep=0.01)
    await asyncio.sleep(0.1)
    assert server.requests == []


async def test_no_number_is_logged(
    house: House, server: LiveKitStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logs:
        home = await ready(house, orphan=0.05)
        caller = server.calls_in(ROOM, NUMBER)
        await home.tell(server.event("participant_joined", ROOM, caller.info))
        call = await home.offered()
        server.away = True
        before = len(server.asked("ListParticipants"))
        await until(lambda: len(server.asked("ListParticipants")) > before)
        server.away = False
        call.leg.answer()
        caller.says("active")
        await call.until("LegAnswered")
        names = [task.get_name() for task in asyncio.all_tasks()]
        await home.tell(caller.leaves())
        await call.until("LegEnded")
        server.enter("sip-in_+12025550177_y", "sip_+12025550177", {CLAIM: "phone-gone"})
        await until(lambda: server.deleted)
    assert [entry["sip_call"] for entry in logs if entry["event"] == "livekit.taken"]
    said = repr(logs) + repr(names) + caplog.text
    for number in ("2025550188", "2025550123", "2025550177"):
        assert number not in said
