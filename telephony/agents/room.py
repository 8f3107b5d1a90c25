"""A LiveKit room as the conversation's stage: what is said goes out, what is heard comes in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import numpy as np
from livekit import rtc

from telephony.agents import hearing, packets
from telephony.agents.conversation import MAX_EVENTS, Conversation
from telephony.agents.events import Event, Gone, Greet, Heard, KeyPressed, SpeechBegan
from telephony.agents.hearing import Endpointer, Mark, Patience, Recogniser
from telephony.agents.voice import RATE

log = logging.getLogger("telephony.agents")

FRAME = RATE // 50
QUEUE_MS = 120
"""What is sent ahead of its time: enough to bridge a busy loop, little to drop when hushed."""
HEARD_FRAMES = 100
"""Ceiling of frames that wait to be listened to; by default the SDK's queue has none."""
STATE = "lk.agent.state"
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class RoomStage:
    """Publishes the agent's voice, listens to the one it talks with, passes packets on.

    ``identity``: whom to listen to; empty: everybody who is no agent. While somebody else who is
    no agent publishes sound, the agent is muted (contract section 4.6). Made before the room is
    joined, so that nothing that happens in it is missed.
    """

    def __init__(
        self, room: rtc.Room, identity: str, recogniser: Recogniser, patience: Patience
    ) -> None:
        self._room = room
        self._identity = identity
        self._recogniser = recogniser
        self._patience = patience
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=QUEUE_MS)
        self._generation = 0
        """Counts the hushes: what plays is of one generation."""
        self._dropped = 0
        """Samples that the last hush threw away."""
        self._conversation: Conversation | None = None
        self._early: list[Event] = []
        self._closed = False
        self._ears: dict[str, asyncio.Task[None]] = {}
        self._mutes: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._publication: rtc.LocalTrackPublication | None = None
        room.on("track_subscribed", self._on_track)
        room.on("track_unsubscribed", self._on_track_gone)
        room.on("track_muted", lambda who, _: self._weigh(who))
        room.on("track_unmuted", lambda who, _: self._weigh(who))
        room.on("participant_disconnected", self._on_left)
        room.on("data_received", self._on_data)
        room.on("sip_dtmf_received", self._on_key)
        room.on("disconnected", self._on_end)
        room.register_text_stream_handler(packets.CHAT_TOPIC, self._on_chat)

    # What the conversation asks for.

    async def play(self, sound: bytes) -> float:
        samples = np.frombuffer(sound, "<i2")
        if not samples.size:
            return 1.0
        generation, fed = self._generation, 0
        while fed < samples.size and generation == self._generation:
            frame = samples[fed : fed + FRAME]
            whole = np.zeros(FRAME, np.int16)
            whole[: frame.size] = frame
            fed += frame.size
            await self._source.capture_frame(rtc.AudioFrame(whole.tobytes(), RATE, 1, FRAME))
        while generation == self._generation and self._source.queued_duration > 0:
            # In steps: the SDK's own wait cannot be ended by a hush.
            await asyncio.sleep(min(0.02, self._source.queued_duration))
        if generation == self._generation:
            return 1.0
        heard = (fed - self._dropped) / samples.size
        return min(max(heard, 0.0), 0.999)

    def hush(self) -> None:
        self._generation += 1
        self._dropped = round(self._source.queued_duration * RATE)
        self._source.clear_queue()

    async def send(self, packet: bytes) -> None:
        try:
            await self._room.local_participant.publish_data(packet, reliable=True)
        except Exception as error:
            log.warning("room.packet_lost: %s", error)

    def show(self, state: str) -> None:
        self._spawn(self._set_state(state))

    def expect(self, phrases: list[str]) -> None:
        self._spawn(asyncio.to_thread(self._recogniser.expect, phrases))

    # What the worker asks for.

    async def open(self) -> None:
        """Publish the agent's track."""
        track = rtc.LocalAudioTrack.create_audio_track("agent", self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._publication = await self._room.local_participant.publish_track(track, options)

    def follow(self, conversation: Conversation) -> None:
        """Tell ``conversation`` what happens in the room, from what happened so far on."""
        self._conversation = conversation
        early, self._early = self._early, []
        for event in early:
            conversation.put(event)

    async def await_listener(self, timeout: float, grace: float) -> None:
        """Until somebody hears the agent's track, at most ``timeout`` seconds; then greet.

        ``grace``: seconds more for what a browser says of itself right after it joined.
        """
        assert self._publication is not None
        try:
            async with asyncio.timeout(timeout):
                await self._publication.wait_for_subscription()
        except TimeoutError:
            log.warning("room.nobody_listens after_s=%.0f", timeout)
        await asyncio.sleep(grace)
        self._put(Greet())

    async def close(self) -> None:
        """Stop listening; the room is left by whoever joined it."""
        self._conversation, self._closed = None, True
        tasks = [*self._ears.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._source.aclose()

    # What happens in the room.

    def _put(self, event: Event) -> None:
        if self._conversation is not None:
            self._conversation.put(event)
        elif len(self._early) < MAX_EVENTS and not self._closed:
            self._early.append(event)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("room.task_failed: %r", task.exception())

    async def _set_state(self, state: str) -> None:
        await self._room.local_participant.set_attributes({STATE: state})

    def _is_other(self, participant: rtc.RemoteParticipant) -> bool:
        return bool(self._identity) and participant.identity != self._identity

    def _is_service(self, sender: rtc.RemoteParticipant | None) -> bool:
        # Whoever is in the room may speak to the agent; to silence it is the service's: by the
        # server, or as the caller whom it bridges.
        return sender is None or (
            sender.identity == self._identity and sender.identity.startswith("phone-")
        )

    def _on_track(
        self,
        track: rtc.Track,
        publication: rtc.TrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if track.kind != rtc.TrackKind.KIND_AUDIO or participant.kind == AGENT:
            return
        if self._is_other(participant):
            self._weigh(participant)
            return
        old = self._ears.pop(participant.identity, None)
        if old is not None:
            old.cancel()
        ear = asyncio.get_running_loop().create_task(self._listen(track), name="agent-ear")
        ear.add_done_callback(self._done)
        self._ears[participant.identity] = ear

    def _on_track_gone(
        self, track: rtc.Track, publication: rtc.TrackPublication, who: rtc.RemoteParticipant
    ) -> None:
        if self._is_other(who):
            self._weigh(who)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if self._is_other(participant):
            self._weigh(participant, gone=True)
        ear = self._ears.pop(participant.identity, None)
        if ear is not None:
            ear.cancel()

    def _weigh(self, participant: rtc.Participant, gone: bool = False) -> None:
        """Whether somebody else speaks for the agent now."""
        if not isinstance(participant, rtc.RemoteParticipant) or participant.kind == AGENT:
            return
        if not self._is_other(participant):
            return
        speaks = not gone and any(
            p.kind == rtc.TrackKind.KIND_AUDIO and p.subscribed and not p.muted
            for p in participant.track_publications.values()
        )
        self._mute(participant.identity, speaks)

    def _mute(self, why: str, on: bool) -> None:
        """Muted as long as there is any reason."""
        before = bool(self._mutes)
        (self._mutes.add if on else self._mutes.discard)(why)
        if bool(self._mutes) != before:
            self._put(packets.Mute(bool(self._mutes)))

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if packet.participant is not None and packet.participant.kind == AGENT:
            return
        told = packets.parse(bytes(packet.data))
        if told is None:
            return
        if not isinstance(told, packets.Mute):
            self._put(told)
        elif packet.topic == packets.CONTROL_TOPIC and self._is_service(packet.participant):
            self._mute("the service", told.muted)

    def _on_end(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._put(Gone(rtc.DisconnectReason.Name(reason)))

    def _on_key(self, pressed: rtc.SipDTMF) -> None:
        self._put(KeyPressed(pressed.digit))

    def _on_chat(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._spawn(self._read_chat(reader))

    async def _read_chat(self, reader: rtc.TextStreamReader) -> None:
        text = ""
        async with asyncio.timeout(10.0):
            async for part in reader:
                text += part
                if len(text) > packets.MAX_TEXT:
                    break
        text = text.strip()[: packets.MAX_TEXT]
        if text:
            self._put(packets.UserMessage(text))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream.from_track(
            track=track,
            sample_rate=hearing.RATE,
            num_channels=1,
            frame_size_ms=20,
            capacity=HEARD_FRAMES,
        )
        ear = Endpointer(self._patience)
        understanding: asyncio.Future[str] | None = None
        paused_at = 0.0
        loop = asyncio.get_running_loop()
        try:
            async for event in stream:
                frame = np.frombuffer(event.frame.data, np.int16)
                match ear.feed(frame):
                    case Mark.BEGAN:
                        self._put(SpeechBegan())
                    case Mark.PAUSED:
                        # Ahead of the end: what was understood is there when the end is sure.
                        paused_at = loop.time()
                        understanding = asyncio.ensure_future(self._understand(ear))
                    case Mark.RESUMED:
                        understanding = None
                    case Mark.ENDED:
                        pending = understanding or asyncio.ensure_future(self._understand(ear))
                        seconds = ear.utterance.size / hearing.RATE
                        ended = (paused_at or loop.time()) - self._patience.pause_ms / 1000
                        self._spawn(self._tell(pending, ended, seconds))
                        understanding, paused_at = None, 0.0
        finally:
            await stream.aclose()

    async def _understand(self, ear: Endpointer) -> str:
        try:
            return await asyncio.to_thread(self._recogniser.understand, ear.utterance)
        except Exception:
            # A fault of the recogniser is words that were not understood, not a deaf agent.
            log.exception("agent.recogniser_failed")
            return ""

    async def _tell(self, pending: asyncio.Future[str], ended: float, seconds: float) -> None:
        self._put(Heard(await pending, ended, seconds))
