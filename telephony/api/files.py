"""Recordings and messages as files, behind a signed URL instead of a key."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from telephony.api.peer import base_url
from telephony.api.routes import Ask, Route
from telephony.api.signing import RECORDING_URL_LIFE, Grant, Signer
from telephony.base.errors import NotFound
from telephony.calls.call import Call
from telephony.calls.record import Message


def recording_file(call: Call, folder: Path) -> Path | None:
    """The finished recording of a call, if it is there."""
    if call.recording_status != "ready" or call.recording_path is None:
        return None
    return _inside(call.recording_path, folder)


def _inside(stored: str, folder: Path) -> Path | None:
    """The file of a stored path; what does not lie below the recordings is not served."""
    path = Path(stored).resolve()
    return path if path.is_relative_to(folder.resolve()) and path.is_file() else None


def sign_url(ask: Ask, session: str, message: str | None = None) -> str:
    """An absolute URL on our host that opens one file for five minutes."""
    expires = ask.deps.clock.now() + RECORDING_URL_LIFE
    grant = Grant(ask.organization, session, expires, message)
    token = Signer(ask.deps.secret_key).sign(grant)
    return f"{base_url(ask.request, ask.deps)}/files/{token}"


def message_url(ask: Ask, session: str, message: Message) -> str:
    """The signed URL of a message that a caller left."""
    return sign_url(ask, session, message.id)


async def serve(ask: Ask) -> web.StreamResponse:
    """GET /files/{token}: WAV, with ranges."""
    path = await _granted(ask)
    if path is None:
        raise NotFound("recording not available", code="RECORDING_NOT_AVAILABLE")
    return web.FileResponse(
        path,
        headers={
            "Content-Type": "audio/wav",
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _granted(ask: Ask) -> Path | None:
    deps = ask.deps
    grant = Signer(deps.secret_key).open(ask.params["token"], deps.clock.now())
    if grant is None:
        return None
    if grant.message is None:
        call = await deps.calls.get(grant.organization, grant.session)
        return recording_file(call, deps.recordings) if call is not None else None
    report = await deps.calls.report(grant.organization, grant.session)
    stored = (
        next((m.path for m in report.messages if m.id == grant.message), None) if report else None
    )
    return _inside(stored, deps.recordings) if stored is not None else None


def routes() -> list[Route]:
    return [Route("GET", "/files/{token}", serve, public=True)]
