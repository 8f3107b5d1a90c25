"""What the contract has and we answer 501 until its piece of work is done: never 404."""

from __future__ import annotations

from aiohttp import web

from telephony.api.errors import error_reply
from telephony.api.routes import Ask, Route

# The contract's endpoint index (section 2), less what is served.
_PATHS = """
POST /v1/sessions/{id}/sidebands/openai
POST /v1/calls/{id}/transfers/blind
POST /v1/calls/{id}/transfers/warm
POST /v1/calls/{id}/transfers/{transfer}/complete
POST /v1/calls/{id}/transfers/{transfer}/cancel
POST /v1/callbacks/{id}/dispatch
POST /v1/webhook-deliveries/{id}/redeliver
POST /v1/transcribe
POST /v1/synthesize
POST /v1/complete
"""

# Section 13.
_SMS = """
POST /v1/sms/messages
GET /v1/sms/messages
GET /v1/sms/messages/{id}
POST /v1/sms/messages/{id}/cancel
POST /v1/sms/batches
GET /v1/sms/batches/{id}
GET /v1/sms/batches/{id}/messages
POST /v1/sms/batches/{id}/cancel
GET /v1/sms/conversations
GET /v1/sms/conversations/{id}
GET /v1/sms/conversations/{id}/messages
POST /v1/sms/conversations/{id}/messages
PATCH /v1/sms/conversations/{id}
POST /v1/sms/conversations/{id}/read
POST /v1/sms/conversations/{id}/notes
GET /v1/sms/conversations/{id}/notes
DELETE /v1/sms/conversations/{id}
GET /v1/sms/consents
POST /v1/sms/consents
POST /v1/sms/consents/import
POST /v1/sms/consents/{id}/revoke
GET /v1/sms/suppressions
GET /v1/sms/settings
PATCH /v1/sms/settings
GET /v1/sms/stream
"""


async def later(ask: Ask) -> web.StreamResponse:
    """Known, and not here yet."""
    where = f"{ask.request.method} {ask.request.path}"
    return error_reply(501, "NOT_IMPLEMENTED", f"{where} is not implemented yet")


def routes() -> list[Route]:
    """One row an endpoint, behind a key as the real ones will be."""
    rows = []
    for line in (_PATHS + _SMS).splitlines():
        if line:
            method, path = line.split()
            rows.append(Route(method, path, later))
    return rows
