"""One leg in one LiveKit room, in the process that has the SDK: who is there, and the sound.

It knows nothing of calls. What it sees it tells as facts, words and plain values, so that it may
live in another process than the call (``Fact``); what it hears and says are frames of 20 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from livekit import rtc

from telephony.audio.mix import Samples
from telephony.rooms.feed import Feed
from telephony.rooms.figures import Figures
from telephony.rooms.lookout import Lookout, Tracks
from telephony.rooms.outbox import Outbox
from telephony.rooms.sdk import Ear, Mouth, Sdk
from telephony.rooms.staying import Tell
from telephony.rooms.voices import Voice, Voices
from telephony.rooms.watch import Watch

log = structlog.get_logger("telephony.rooms")

SETTLE = 0.3
"""Seconds between the word that somebody subscribed and the first sample: his side of it."""
CONNECT_SECONDS = 8.0
KINDS = {
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD: "browser",
    rtc.ParticipantKind.PARTICIPANT_KIND_AGENT: "agent",
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP: "sip",
}
"""Others, those that record or feed rooms, are nobody's company."""
REASONS = {
    rtc.DisconnectReason.CLIENT_INITIATED: "left",
    rtc.DisconnectReason.DUPLICATE_IDENTITY: "duplicate",
    rtc.DisconnectReason.PARTICIPANT_REMOVED: "deleted",
    rtc.DisconnectReason.ROOM_DELETED: "deleted",
    rtc.DisconnectReason.ROOM_CLOSED: "deleted",
}
"""Why we are out; anything else is ``lost``, and may heal."""


class Presence:
    """Enters once; ``over`` is told exactly once, unless we left."""

    def __init__(
        self,
        sdk: Sdk,
        rate: int,
        feed: Feed,
        now: Callable[[], float],
        tell: Tell,
        *,
        alone: bool = False,
    ) -> None:
        """``feed``: what was said before, which outlives this entry. ``now``: monotonic seconds, in
        any thread (a loop's own time is not). ``alone``: whoever subscribes is spoken to."""
        self.feed = feed
        self.voices = Voices(rate // 50)
        self._sdk = sdk
        self._rate = rate
        self._now = now
        self._tell = tell
        self._alone = alone
        self._loop = asyncio.get_running_loop()
        self._room = rtc.Room(loop=self._loop)
        self._mouth: Mouth | None = None
        self._ears: dict[str, Ear] = {}
        self._tracks: Tracks = {}
        self._lookout = Lookout(self.voices, Watch(self._died, self._cut_off), self._now)
        self._company: dict[str, str] = {}
        self._speaking: set[str] = set()
        """Tracks of browsers: while there is one, agents are not heard."""
        self._told_heard: set[str] = set()
        self._failed = 0
        self._muted = False
        self._subscribed = False
        self._away_since: float | None = None
        self._outbox = Outbox(self._room, self._spawn)
        self._inside = False
        self._over = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: asyncio.TimerHandle | None = None

    # -- orders ---------------------------------------------------------------------------------

    def enter(self, url: str, token: str) -> None:
        """Connect and publish; facts follow."""
        self._listen()
        self._spawn(self._enter(url, token))

    def send(self, data: bytes, topic: str = "") -> None:
        """A reliable packet to everybody, kept until we are in."""
        if not self._over:
            self._outbox.data(data, topic)

    def send_digits(self, digits: str) -> None:
        """Keys, for others to see."""
        if not self._over:
            self._outbox.digits(digits)

    def mute(self, on: bool) -> None:
        """Whether agents are kept from being heard, whoever else speaks."""
        self._muted = on
        self._weigh()

    def leave(self) -> None:
        """Out, at once; nothing is told any more. Idempotent."""
        if not self._over:
            self._over = True
            self._end()

    # -- the tick -------------------------------------------------------------------------------

    def say(self) -> Samples | None:
        """What the room says in this tick."""
        frame = self.voices.take()
        if frame is not None and len(self._told_heard) < len(self._ears):
            for _, voice in self.voices.items():
                if voice.loud and voice.identity not in self._told_heard:
                    self._told_heard.add(voice.identity)
                    self._tell("heard", voice.identity)
        return frame

    def hear(self, frame: Samples, now: float) -> None:
        """20 ms of the caller."""
        self.feed.push(frame)
        mouth = self._mouth
        # What is on its way in two parts may change places in there.
        if mouth is not None and not mouth.busy(now) and (due := self.feed.due(now)):
            mouth.speak(due, now)

    # -- the watch ------------------------------------------------------------------------------

    def look(self) -> None:
        """Every ``LOOK_SECONDS``: whether those who are silent are there, and whether we are."""
        if self._inside and not self._over:
            ours = None if self._mouth is None else self._mouth.track
            if (question := self._lookout.look(self._tracks, ours)) is not None:
                self._spawn(question)

    def _died(self, key: str) -> None:
        voice = self.voices.get(key)
        if voice is not None and not self._over:
            self._tell("dead", voice.identity)

    def _cut_off(self, cut: bool) -> None:
        # The SDK finds it out later, or never where it was short.
        if cut:
            self._reconnecting()
        else:
            self._reconnected()

    def figures(self) -> Figures:
        """Of this entry."""
        dropped, late = self.voices.counted()
        failed = self._failed + (self._mouth.failed if self._mouth is not None else 0)
        return Figures(
            heard_failed=failed, said_dropped=dropped, said_late=late, depth=self.voices.depth
        )

    # -- inside ---------------------------------------------------------------------------------

    async def _enter(self, url: str, token: str) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                options = rtc.RoomOptions(auto_subscribe=True, dynacast=False)
                await self._room.connect(url, token, options)
                if self._over:
                    self._end()
                    return
                self._mouth = mouth = self._sdk.mouth(self._rate)
                await self._room.local_participant.publish_track(
                    mouth.track,
                    rtc.TrackPublishOptions(
                        source=rtc.TrackSource.SOURCE_MICROPHONE,
                        # Packets that carry each other's copies help on a bad network and cost a
                        # fifth of the CPU; the server is a neighbour. Silence need not be sent.
                        red=False,
                        dtx=True,
                    ),
                )
        except TimeoutError:
            self._finish("lost")
            return
        except Exception as error:
            # The SDK says in words what happened: a token that is not taken is not asked again.
            words = str(error)
            log.warning("rooms.not_entered", error=words[:200])
            refused = any(word in words.lower() for word in ("401", "403", "unauthorized", "token"))
            self._finish("refused" if refused else "lost")
            return
        if self._over:
            self._end()
            return
        self._inside = True
        self._sdk.entered(self._room)
        self._tell("in")
        self._roll()
        self._outbox.open()

    def _listen(self) -> None:
        room = self._room
        room.on("participant_connected", self._came)
        room.on("participant_disconnected", self._went)
        room.on("track_subscribed", self._track)
        room.on("track_unsubscribed", self._no_track)
        room.on("local_track_subscribed", self._heard_by)
        room.on("sip_dtmf_received", self._digit)
        room.on("reconnecting", self._reconnecting)
        room.on("reconnected", self._reconnected)
        room.on("disconnected", self._disconnected)

    def _roll(self) -> None:
        """Everybody who is there, told again: who came before is missed where he is not."""
        self._company.clear()
        for participant in list(self._room.remote_participants.values()):
            self._came(participant)

    def _came(self, participant: rtc.RemoteParticipant) -> None:
        kind = KINDS.get(participant.kind)
        if kind is None or participant.identity in self._company:
            return
        self._company[participant.identity] = kind
        self._tell("came", participant.identity, kind)
        if kind == "agent":
            self._consider()

    def _went(self, participant: rtc.RemoteParticipant) -> None:
        kind = self._company.pop(participant.identity, None)
        if kind is None:
            return
        self._told_heard.discard(participant.identity)
        why = participant.disconnect_reason
        reason = "lost" if why is None else REASONS.get(why, "lost")
        self._tell("went", participant.identity, kind, "removed" if reason == "deleted" else reason)
        self._consider()

    def _track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        kind = KINDS.get(participant.kind)
        if track.kind != rtc.TrackKind.KIND_AUDIO or kind is None or self._over:
            return
        self._came(participant)
        voice = Voice(participant.identity, kind == "agent", self._now)
        self._no_track(track, publication, participant)
        self._tracks[publication.sid] = (track, publication)
        self._ears[publication.sid] = self._sdk.ear(track, self._rate, voice.put)
        self.voices.add(publication.sid, voice)
        if kind == "browser":
            self._speaking.add(publication.sid)
            self._weigh()

    def _no_track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        ear = self._ears.pop(publication.sid, None)
        if ear is not None:
            ear.close()
        self._tracks.pop(publication.sid, None)
        self._lookout.forget(publication.sid)
        self.voices.remove(publication.sid)
        self._speaking.discard(publication.sid)
        self._weigh()

    def _heard_by(self, track: rtc.LocalTrack) -> None:
        self._subscribed = True
        self._consider()

    def _consider(self) -> None:
        """Whether what the caller says goes out: somebody subscribed, and an agent is there."""
        there = self._subscribed and (self._alone or "agent" in self._company.values())
        there = there and self._away_since is None
        if not there:
            if self._opening is not None:
                self._opening.cancel()
                self._opening = None
            self.feed.close()
        elif self._opening is None:
            self._opening = self._loop.call_later(SETTLE, self.feed.open)

    def _weigh(self) -> None:
        heard = not self._muted and not self._speaking
        if heard != self.voices.agents_heard:
            self.voices.agents_heard = heard
            self._tell("agents", heard)

    def _digit(self, press: rtc.SipDTMF) -> None:
        self._tell("digit", press.digit)

    def _reconnecting(self) -> None:
        if self._away_since is None and not self._over:
            self._away_since = self._now()
            self._consider()
            self._tell("away")

    def _reconnected(self) -> None:
        since, self._away_since = self._away_since, None
        if since is None or self._over:
            return
        # What lies in queues is of before; what the caller said meanwhile was kept.
        if self._mouth is not None:
            self._mouth.clear()
        self.voices.clear()
        self._tell("back", self._now() - since)
        self._roll()
        self._consider()

    def _disconnected(self, reason: Any = None) -> None:
        self._finish(REASONS.get(reason, "lost"))

    def _finish(self, reason: str) -> None:
        if self._over:
            return
        self._over = True
        self._end()
        self._tell("over", reason)

    def _end(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        self.feed.close()
        for ear in self._ears.values():
            ear.close()
        self._ears.clear()
        self._tracks.clear()
        self._sdk.left(self._room)
        mouth, self._mouth = self._mouth, None
        if mouth is not None:
            self._failed += mouth.failed
        self._outbox.close()
        self._spawn(self._close(mouth))

    async def _close(self, mouth: Mouth | None) -> None:
        try:
            await self._room.disconnect()
        except Exception as error:
            log.warning("rooms.not_left", error=str(error)[:200])
        if mouth is not None:
            mouth.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
