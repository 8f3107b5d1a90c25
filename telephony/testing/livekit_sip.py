"""A stand-in for LiveKit's server and its SIP service, as far as a carrier speaks with them.

It answers the Twirp requests of rooms and SIP on a loopback port. Every request is parsed with
LiveKit's own messages; one with a field that they do not know, or a token that does not allow it,
is refused and noted in ``faults``. What becomes of a call is the test's to say: ``dialling`` is
asked about each ``CreateSIPParticipant``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from livekit.api import AccessToken, TokenVerifier
from livekit.api.access_token import Claims
from livekit.protocol import models, room, sip
from livekit.protocol.webhook import WebhookEvent

KEY = "devkey"
SECRET = "a secret of more than thirty-two characters"


@dataclass
class Refuse(Exception):
    """An answer of Twirp's that is no success."""

    code: str
    status: int = 400
    message: str = ""
    meta: dict[str, str] = field(default_factory=dict)


def sip_refusal(status: int, phrase: str = "", code: str = "failed_precondition") -> Refuse:
    """As LiveKit reports a final response to the INVITE."""
    meta = {"sip_status_code": str(status), "sip_status": phrase}
    return Refuse(code, 412, f"sip status: {status}: {phrase}", meta)


Dialling = Callable[["Caller", sip.CreateSIPParticipantRequest], Awaitable[None]]


async def answer_at_once(caller: Caller, asked: sip.CreateSIPParticipantRequest) -> None:
    """Nobody lets it ring."""
    caller.says("active")


class Caller:
    """A SIP participant in a room of the stand-in."""

    def __init__(self, server: LiveKitStandIn, room_name: str, info: models.ParticipantInfo):
        self.server = server
        self.room = room_name
        self.info = info

    def says(self, status: str) -> None:
        """``sip.callStatus`` is this from now on."""
        self.info.attributes["sip.callStatus"] = status

    def leaves(self, reason: models.DisconnectReason = models.CLIENT_INITIATED) -> WebhookEvent:
        """He is in the room no more; what a webhook says of it."""
        self.server.people.get(self.room, {}).pop(self.info.identity, None)
        gone = models.ParticipantInfo()
        gone.CopyFrom(self.info)
        gone.state = models.ParticipantInfo.DISCONNECTED
        gone.disconnect_reason = reason
        return self.server.event("participant_left", self.room, gone)

    @property
    def present(self) -> bool:
        return self.server.people.get(self.room, {}).get(self.info.identity) is self


class LiveKitStandIn:
    """``async with LiveKitStandIn() as server``: listens on ``url``."""

    def __init__(self, key: str = KEY, secret: str = SECRET) -> None:
        self.key = key
        self.secret = secret
        self.dialling: Dialling = answer_at_once
        self.transferring: Callable[[sip.TransferSIPParticipantRequest], Awaitable[Any]] | None
        self.transferring = None
        self.away = False
        """Everything but dialling fails with 503."""
        self.raw: dict[str, tuple[int, bytes]] = {}
        """Status and body of every answer to a method, whatever was asked."""
        self.requests: list[tuple[str, Any]] = []
        self.faults: list[str] = []
        self.people: dict[str, dict[str, Caller]] = {}
        self.deleted: list[str] = []
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> LiveKitStandIn:
        app = web.Application()
        app.router.add_post("/twirp/livekit.{service}/{method}", self._answer)
        self._more(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _more(self, app: web.Application) -> None:
        """Further routes."""

    # -- what a test does -------------------------------------------------------------------------

    def asked(self, method: str) -> list[Any]:
        """The requests of one method, in order."""
        return [message for name, message in self.requests if name == method]

    def enter(
        self,
        room_name: str,
        identity: str,
        attributes: dict[str, str],
        kind: models.ParticipantInfo.Kind = models.ParticipantInfo.SIP,
    ) -> Caller:
        """Somebody joins: a SIP participant unless ``kind`` says otherwise."""
        number = next(self._numbers)
        info = models.ParticipantInfo(
            sid=f"PA_{number}",
            identity=identity,
            state=models.ParticipantInfo.ACTIVE,
            kind=kind,
            attributes=attributes,
            joined_at=1_700_000_000 + number,
        )
        caller = Caller(self, room_name, info)
        self.people.setdefault(room_name, {})[identity] = caller
        return caller

    def calls_in(
        self, room_name: str, dialled: str, caller: str = "+12025550188", **attributes: str
    ) -> Caller:
        """A dispatch rule puts a caller into a room."""
        given = {
            "sip.callID": f"SCL_{next(self._numbers)}",
            "sip.trunkID": "ST_inbound",
            "sip.trunkPhoneNumber": dialled,
            "sip.phoneNumber": caller,
            "sip.callStatus": "ringing",
        }
        return self.enter(room_name, f"sip_{caller}", {**given, **attributes})

    def event(
        self, kind: str, room_name: str, info: models.ParticipantInfo | None = None
    ) -> WebhookEvent:
        """A webhook, not sent yet. Its room holds what must not be logged."""
        made = WebhookEvent(event=kind, id=f"EV_{next(self._numbers)}", created_at=1_700_000_000)
        made.room.CopyFrom(models.Room(name=room_name, sid="RM_1", turn_password="do not log this"))
        if info is not None:
            made.participant.CopyFrom(info)
        return made

    # -- requests ---------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        shape, handle = self._methods()[method]
        try:
            message = self._parse(shape, await request.read(), method)
            self._allow(request, method, message)
            self.requests.append((method, message))
            if method in self.raw:
                status, body = self.raw[method]
                return web.Response(status=status, body=body, content_type="application/json")
            reply = await handle(message)
        except Refuse as no:
            said = {"code": no.code, "msg": no.message, "meta": no.meta}
            return web.json_response(said, status=no.status)
        return web.Response(body=reply.SerializeToString(), content_type="application/protobuf")

    def _methods(self) -> dict[str, tuple[type[Message], Callable[[Any], Awaitable[Message]]]]:
        return {
            "CreateSIPParticipant": (sip.CreateSIPParticipantRequest, self._create),
            "TransferSIPParticipant": (sip.TransferSIPParticipantRequest, self._transfer),
            "ListParticipants": (room.ListParticipantsRequest, self._list),
            "ListRooms": (room.ListRoomsRequest, self._rooms),
            "RemoveParticipant": (room.RoomParticipantIdentity, self._remove),
            "DeleteRoom": (room.DeleteRoomRequest, self._delete),
            "UpdateParticipant": (room.UpdateParticipantRequest, self._update),
        }

    def _parse(self, shape: type[Message], body: bytes, method: str) -> Any:
        message = shape()
        try:
            message.ParseFromString(body)
        except DecodeError as error:
            self.faults.append(f"{method}: {error}")
            raise Refuse("malformed") from error
        if unknown := _unknown(message):
            self.faults.append(f"{method}: fields that nobody knows: {unknown}")
            raise Refuse("malformed")
        return message

    def _allow(self, request: web.Request, method: str, message: Any) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        claims = TokenVerifier(self.key, self.secret).verify(token)
        if not _allows(claims, method, message):
            self.faults.append(f"{method}: the token does not allow it")
            raise Refuse("permission_denied", 403)

    def _there(self) -> None:
        if self.away:
            raise Refuse("unavailable", 503, "no response from servers")

    async def _create(self, asked: sip.CreateSIPParticipantRequest) -> Message:
        if not asked.sip_trunk_id and not asked.trunk.hostname:
            raise Refuse("invalid_argument", 400, "no trunk")
        caller = self.enter(
            asked.room_name,
            asked.participant_identity,
            {**asked.participant_attributes, "sip.callStatus": "dialing"},
        )
        try:
            await self.dialling(caller, asked)
        except BaseException:
            caller.leaves(models.USER_REJECTED)
            raise
        return sip.SIPParticipantInfo(
            participant_id=caller.info.sid,
            participant_identity=caller.info.identity,
            room_name=asked.room_name,
            sip_call_id="SCL_out",
        )

    async def _transfer(self, asked: sip.TransferSIPParticipantRequest) -> Any:
        assert self.transferring is not None
        return await self.transferring(asked)

    async def _list(self, asked: room.ListParticipantsRequest) -> Message:
        self._there()
        if asked.room not in self.people:
            raise Refuse("not_found", 404, "no room")
        present = self.people[asked.room].values()
        return room.ListParticipantsResponse(participants=[one.info for one in present])

    async def _rooms(self, asked: room.ListRoomsRequest) -> Message:
        self._there()
        return room.ListRoomsResponse(rooms=[models.Room(name=name) for name in self.people])

    async def _remove(self, asked: room.RoomParticipantIdentity) -> Message:
        self._there()
        if self.people.get(asked.room, {}).pop(asked.identity, None) is None:
            raise Refuse("not_found", 404)
        return room.RemoveParticipantResponse()

    async def _delete(self, asked: room.DeleteRoomRequest) -> Message:
        self._there()
        self.deleted.append(asked.room)
        if self.people.pop(asked.room, None) is None:
            raise Refuse("not_found", 404)
        return room.DeleteRoomResponse()

    async def _update(self, asked: room.UpdateParticipantRequest) -> Message:
        self._there()
        caller = self.people.get(asked.room, {}).get(asked.identity)
        if caller is None:
            raise Refuse("not_found", 404)
        caller.info.attributes.update(asked.attributes)
        return caller.info


Ring = Callable[[sip.CreateSIPParticipantRequest], Awaitable[sip.SIPParticipantInfo]]


class SipBesideLiveKit(LiveKitStandIn):
    """The SIP half alone, in front of a real server: all the rest goes on to that, so that ``url``
    is a whole LiveKit with a SIP service.

    ``ring`` is asked about each ``CreateSIPParticipant``: it lets somebody of kind SIP join.
    """

    def __init__(self, url: str, key: str, secret: str, ring: Ring) -> None:
        super().__init__(key, secret)
        self._upstream = url.replace("ws", "http", 1)
        self._ring = ring

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if request.match_info["service"] == "SIP":
            return await super()._answer(request)
        body = await request.read()
        if request.match_info["service"] == "RoomService" and method in self._methods():
            self._allow(request, method, self._parse(self._methods()[method][0], body, method))
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
        async with (
            ClientSession() as session,
            session.post(f"{self._upstream}{request.path}", data=body, headers=headers) as reply,
        ):
            return web.Response(
                body=await reply.read(), status=reply.status, content_type=reply.content_type
            )

    def _more(self, app: web.Application) -> None:
        app.router.add_get("/{path:.*}", self._pass_on)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        """What the SDK asks before it joins, and the signalling of who has."""
        url = f"{self._upstream}{request.rel_url}"
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _OF_THE_CONNECTION
        }
        async with ClientSession() as session:
            if request.headers.get("Upgrade", "").lower() != "websocket":
                async with session.get(url, headers=headers) as reply:
                    return web.Response(body=await reply.read(), status=reply.status)
            async with session.ws_connect(url, headers=headers, max_msg_size=0) as far:
                near = web.WebSocketResponse(max_msg_size=0)
                await near.prepare(request)
                one = asyncio.create_task(_copy(near, far))
                two = asyncio.create_task(_copy(far, near))
                await asyncio.wait({one, two}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.gather(near.close(), far.close())
                await asyncio.gather(one, two)
                return near

    async def _create(self, asked: sip.CreateSIPParticipantRequest) -> Message:
        return await self._ring(asked)


_OF_THE_CONNECTION = frozenset(
    {
        "host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version",
        "sec-websocket-extensions", "sec-websocket-protocol",
    }
)  # fmt: skip

Socket = web.WebSocketResponse | ClientWebSocketResponse


async def _copy(source: Socket, sink: Socket) -> None:
    with contextlib.suppress(ConnectionError):
        async for message in source:
            if message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)


def signed(event: WebhookEvent, *, key: str = KEY, secret: str = SECRET) -> tuple[bytes, str]:
    """A webhook's body and its ``Authorization``."""
    body = MessageToJson(event).encode()
    return body, token_for(body, key=key, secret=secret)


def token_for(
    body: bytes, *, key: str = KEY, secret: str = SECRET, ttl: timedelta = timedelta(minutes=5)
) -> str:
    """What LiveKit puts beside a body."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return AccessToken(key, secret).with_sha256(digest).with_ttl(ttl).to_jwt()


async def never(caller: Caller, asked: sip.CreateSIPParticipantRequest) -> None:
    """Nothing comes back."""
    await asyncio.Event().wait()


def _unknown(message: Message) -> list[int]:
    """Field numbers of a message, and of those in it, that its definition does not have."""
    strange = UnknownFieldSet(message)
    found = [strange[index].field_number for index in range(len(strange))]
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for inner in [value] if isinstance(value, Message) else value:
            found += _unknown(inner)
    return found


def _allows(claims: Claims, method: str, message: Any) -> bool:
    grants, calls = claims.video, claims.sip
    assert grants is not None
    match method:
        case "CreateSIPParticipant":
            return calls is not None and calls.call
        case "TransferSIPParticipant":
            may = calls is not None and calls.call
            return may and bool(grants.room_admin) and grants.room == message.room_name
        case "ListRooms":
            return bool(grants.room_list)
        case "DeleteRoom":
            return bool(grants.room_create)
        case _:
            return bool(grants.room_admin) and grants.room == message.room
