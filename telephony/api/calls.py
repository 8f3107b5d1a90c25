"""Calls: detail, events, report and its finalizing, recording, end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from telephony.api.body import read_object
from telephony.api.files import message_url, recording_file, sign_url
from telephony.api.routes import Ask, Route
from telephony.api.said import turns_of
from telephony.api.wire.base import parse, render
from telephony.api.wire.calls import (
    CallDetail,
    EndReply,
    EventList,
    EventRow,
    FinalizeBody,
    FinalizeReply,
    RecordingUrl,
    ReportBody,
)
from telephony.base.errors import NotFound
from telephony.calls.call import Call
from telephony.calls.money import CostLine
from telephony.calls.record import CallReport, Turn
from telephony.reports.cost import used
from telephony.reports.fold import known

NO_SESSION = "SESSION_NOT_FOUND"


async def find(ask: Ask) -> Call:
    """The call of the path. Raises NotFound: no such call of this organization."""
    call = await ask.deps.calls.get(ask.organization, ask.params["id"])
    if call is None:
        raise NotFound("session not found", code=NO_SESSION)
    return call


async def turns(ask: Ask, call: Call, report: CallReport | None) -> Sequence[Turn]:
    """What was said so far: what an agent posted, the report's, or folded from a live call."""
    posted = await ask.deps.calls.turns_of(ask.organization, call.id)
    if posted or report is None:
        events = [] if posted else await ask.deps.calls.events_of(ask.organization, call.id)
        return turns_of(call.id, events, posted)
    return sorted(report.turns, key=lambda turn: turn.index)


async def lines(ask: Ask, call: Call, report: CallReport | None) -> Sequence[CostLine]:
    """What the call used: the lines of its bill, or what its events say where nothing is priced."""
    if report is not None and report.cost_lines:
        return report.cost_lines
    return used(known(await ask.deps.calls.events_of(ask.organization, call.id)))


async def recording_url(ask: Ask) -> str:
    """The signed URL of the call's recording. Raises NotFound (RECORDING_NOT_AVAILABLE)."""
    call = await ask.deps.calls.get(ask.organization, ask.params["id"])
    if call is None or recording_file(call, ask.deps.recordings) is None:
        raise NotFound("recording not available", code="RECORDING_NOT_AVAILABLE")
    return sign_url(ask, call.id)


def _body(ask: Ask, report: CallReport, said: Sequence[Turn]) -> ReportBody:
    whole = replace(report, turns=tuple(said))
    return ReportBody.of(whole, lambda message: message_url(ask, report.session, message))


async def detail(ask: Ask) -> web.StreamResponse:
    """GET /v1/calls/{id}."""
    call = await find(ask)
    report = await ask.deps.calls.report(ask.organization, call.id)
    said = await turns(ask, call, report)
    return render(CallDetail.of(call, _body(ask, report, said) if report else None, said))


async def events(ask: Ask) -> web.StreamResponse:
    """GET /v1/calls/{id}/events, oldest first."""
    call = await find(ask)
    found = await ask.deps.calls.events_of(ask.organization, call.id)
    return render(EventList(events=[EventRow.of(event) for event in found]))


async def report(ask: Ask) -> web.StreamResponse:
    """GET /v1/calls/{id}/report; 404 while there is none."""
    call = await find(ask)
    found = await ask.deps.calls.report(ask.organization, call.id)
    if found is None:
        raise _no_report()
    return render(_body(ask, found, await turns(ask, call, found)))


async def finalize(ask: Ask) -> web.StreamResponse:
    """POST /v1/calls/{id}/report/finalize."""
    call = await find(ask)
    parse(FinalizeBody, await read_object(ask.request))
    found = await ask.deps.finalize(call)
    if found is None:
        raise _no_report()
    return render(FinalizeReply.of(found))


def _no_report() -> NotFound:
    return NotFound("the call has no report yet")


async def recording(ask: Ask) -> web.StreamResponse:
    """GET /v1/calls/{id}/recording: a URL, never a redirect."""
    return render(RecordingUrl(url=await recording_url(ask)))


async def end(ask: Ask) -> web.StreamResponse:
    """POST /v1/calls/{id}/end. The body says nothing, so it is not read."""
    result = await ask.deps.dialler.end(ask.organization, ask.params["id"])
    if result is None:
        raise NotFound("session not found", code=NO_SESSION)
    return render(EndReply.of(result), without_null=True)


def routes() -> list[Route]:
    return [
        Route("GET", "/v1/calls/{id}", detail, reply=CallDetail),
        Route("GET", "/v1/calls/{id}/events", events, reply=EventList),
        Route("GET", "/v1/calls/{id}/report", report, reply=ReportBody),
        Route(
            "POST",
            "/v1/calls/{id}/report/finalize",
            finalize,
            body=FinalizeBody,
            reply=FinalizeReply,
        ),
        Route("GET", "/v1/calls/{id}/recording", recording, reply=RecordingUrl),
        Route("POST", "/v1/calls/{id}/end", end, reply=EndReply),
    ]
