"""Dispatch by handle: frames straight to and from the SDK's library, past its Python.

The SDK gives every event of every stream and room to every listener of the process, so its cost
grows with the square of the rooms. Here each goes to whom it belongs, by its handle, in the thread
in which it comes; captured frames are not waited for, and one buffer is used again and again.

There is no public means for it. This is the only file that does so; ``unfit`` says where the SDK
is not as it was when this was tested, and then ``sdk_stock`` does the same for fewer rooms.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from livekit import rtc

from telephony.audio.mix import Samples
from telephony.rooms.sdk_stock import CAPACITY, FRAME_MS, Put, source

KNOWN = ((1, 1, 21), (1, 3, 0))
"""Versions from, and up to which excluded, this was tested with."""
SLOTS = 16
"""Buffers of a mouth in turn: the SDK may read one a little after it was handed over."""
MOST = 16
"""Frames handed over at once."""
BEGUN = 0.01
"""Seconds after which the SDK has begun with frames that were handed over."""
OURS = 1 << 62
"""From here on ids of captures are ours."""


def unfit() -> str:
    """Why the SDK is not what the direct path expects, or nothing."""
    try:
        version = tuple(int(part) for part in rtc.__version__.split(".")[:3])
        if not KNOWN[0] <= version < KNOWN[1]:
            return "not a version that this was tested with"
        from livekit.rtc._ffi_client import FfiClient
        from livekit.rtc._proto import ffi_pb2

        client = FfiClient.instance
        queue = client.queue
        if not callable(queue.put) or not hasattr(queue, "_subscribers"):
            return "its queue is another one"
        for name in ("livekit_ffi_request", "livekit_ffi_drop_handle"):
            if not hasattr(client._ffi_lib, name):
                return f"it has no {name}"
        _holding(client._ffi_lib)
        order = ffi_pb2.FfiRequest()
        order.capture_audio_frame.request_async_id = OURS
        order.capture_audio_frame.buffer.data_ptr = 1
        order.new_audio_stream.frame_size_ms = FRAME_MS
        event = ffi_pb2.FfiEvent()
        _ = event.audio_stream_event.frame_received.frame.info.samples_per_channel
        _ = event.audio_stream_event.stream_handle, event.room_event.room_handle
    except (AttributeError, ImportError, ValueError, TypeError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


class Post:
    """Takes the place of the SDK's own delivery, once a process."""

    def __init__(self) -> None:
        from livekit.rtc._ffi_client import FfiClient
        from livekit.rtc._proto import audio_frame_pb2, ffi_pb2

        self.proto: Any = ffi_pb2
        self.native_stream = audio_frame_pb2.AudioStreamType.AUDIO_STREAM_NATIVE
        self.client: Any = FfiClient.instance
        self._lib: Any = self.client._ffi_lib
        self.held: Any = _holding(self._lib)
        queue: Any = self.client.queue
        self._stock = queue.put
        # Another of us in this process (tests) stands behind us, and gets what is not ours.
        queue.put = self._put
        self._guard = threading.Lock()
        self._ears: dict[int, Callable[[Any], None]] = {}
        self._mouths: dict[int, Callable[[str], None]] = {}
        self._rooms: dict[int, Any] = {}
        self._opening = 0
        self._early: list[Any] = []
        self._last = OURS + (id(self) & 0xFFFFF) * (1 << 32)

    def name(self) -> int:
        """An id for a capture."""
        with self._guard:
            self._last += 1
            return self._last

    def open_ear(self, order: Any, put: Callable[[Any], None]) -> int:
        """Send the order for a stream; its frames go to ``put``, the first one as well."""
        with self._guard:
            self._opening += 1
        handle = 0
        try:
            handle = int(self.client.request(order).new_audio_stream.stream.handle.id)
        finally:
            with self._guard:
                self._opening -= 1
                if handle:
                    self._ears[handle] = put
                early, self._early = self._early, []
        for event in early:
            self._put(event)
        return handle

    def close_ear(self, handle: int) -> None:
        self._ears.pop(handle, None)
        # It may wait for a thread that has a frame for us, and so for the lock.
        self._lib.livekit_ffi_drop_handle(handle)

    def expect(self, source: int, done: Callable[[str], None]) -> None:
        """Captures with this id are told of there."""
        self._mouths[source] = done

    def forget(self, source: int) -> None:
        self._mouths.pop(source, None)

    def drop(self, handle: int) -> None:
        """Give a buffer or an answer back to the SDK."""
        self.held.livekit_ffi_drop_handle(handle)

    def entered(self, room: Any) -> None:
        queue, handle = getattr(room, "_ffi_queue", None), getattr(room, "_ffi_handle", None)
        if queue is not None and handle is not None:
            self._rooms[int(handle.handle)] = (queue, room._loop)

    def left(self, room: Any) -> None:
        handle = getattr(room, "_ffi_handle", None)
        if handle is not None:
            self._rooms.pop(int(handle.handle), None)

    def _put(self, event: Any) -> None:
        """In a thread of the SDK. Nothing may be raised into it."""
        kind = event.WhichOneof("message")
        if kind == "audio_stream_event":
            told = event.audio_stream_event
            put = self._ears.get(told.stream_handle)
            if put is not None:
                if told.HasField("frame_received"):
                    put(told.frame_received.frame)
                return
            if self._opening:
                with self._guard:
                    if self._opening:
                        self._early.append(event)
                        return
        elif kind == "capture_audio_frame":
            done = self._mouths.get(event.capture_audio_frame.async_id)
            if done is not None:
                done(event.capture_audio_frame.error)
                return
        elif kind == "room_event":
            known = self._rooms.get(event.room_event.room_handle)
            if known is not None:
                queue, loop = known
                try:
                    loop.call_soon_threadsafe(queue.put_nowait, event)
                except RuntimeError:
                    # The loop is closed: the process is on its way out.
                    return
                return
        self._stock(event)


def _holding(lib: Any) -> Any:
    """The same library, called without letting go of the interpreter's lock.

    A request that hands a frame over, and a handle that is given back, take microseconds; to let
    the lock go for them means to queue for it behind every thread of the SDK that has a frame.
    """
    held = ctypes.PyDLL(lib._name, handle=lib._handle)
    for name in ("livekit_ffi_request", "livekit_ffi_drop_handle"):
        mine, stock = getattr(held, name), getattr(lib, name)
        mine.argtypes, mine.restype = stock.argtypes, stock.restype
    return held


class DirectMouth:
    """Hands frames over by their address; nobody waits for the answer."""

    def __init__(self, post: Post, rate: int) -> None:
        self._source = source(rate)
        self.track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self.failed = 0
        self._post = post
        self._frame = rate * FRAME_MS // 1000
        self._slots = np.zeros((SLOTS, MOST * self._frame), np.int16)
        self._slot = 0
        self._id = post.name()
        self._waiting = 0
        self._at = 0.0
        order = post.proto.FfiRequest()
        capture = order.capture_audio_frame
        capture.source_handle = self._source._ffi_handle.handle
        capture.request_async_id = self._id
        capture.buffer.num_channels = 1
        capture.buffer.sample_rate = rate
        self._order = order
        # One order a slot and length, written once: 50 a second are not built anew.
        self._orders: dict[tuple[int, int], tuple[Any, int]] = {}
        self._answer = ctypes.POINTER(ctypes.c_ubyte)()
        self._size = ctypes.c_size_t()
        post.expect(self._id, self._done)
        self._open = True

    def busy(self, now: float) -> bool:
        # After that it has begun, whatever keeps the answer.
        return self._waiting > 0 and now - self._at < BEGUN

    def speak(self, frames: list[Samples], now: float) -> None:
        if not self._open or not frames:
            return
        slot, self._slot = self._slot, (self._slot + 1) % SLOTS
        count = min(len(frames), MOST)
        at = 0
        for frame in frames[:count]:
            self._slots[slot, at : at + self._frame] = frame
            at += self._frame
        data, size = self._order_for(slot, at)
        self._waiting += 1
        self._at = now
        handle = self._post.held.livekit_ffi_request(
            data, size, ctypes.byref(self._answer), ctypes.byref(self._size)
        )
        self._post.drop(handle)

    def clear(self) -> None:
        self._source.clear_queue()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._post.forget(self._id)
            self._source._ffi_handle.dispose()

    def _order_for(self, slot: int, samples: int) -> tuple[Any, int]:
        known = self._orders.get((slot, samples))
        if known is None:
            capture = self._order.capture_audio_frame
            capture.buffer.data_ptr = self._slots[slot].ctypes.data
            capture.buffer.samples_per_channel = samples
            data = self._order.SerializeToString()
            held = ctypes.create_string_buffer(data, len(data))
            known = ctypes.cast(held, ctypes.POINTER(ctypes.c_ubyte)), len(data)
            # The cast keeps what it points to.
            self._orders[slot, samples] = known
        return known

    def _done(self, error: str) -> None:
        self._waiting = max(0, self._waiting - 1)
        if error:
            self.failed += 1


class DirectEar:
    """Copies each frame where it comes and gives the buffer back at once."""

    def __init__(self, post: Post, track: rtc.Track, rate: int, put: Put) -> None:
        self._post = post
        self._put = put
        order = post.proto.FfiRequest()
        stream = order.new_audio_stream
        stream.track_handle = track._ffi_handle.handle
        stream.sample_rate = rate
        stream.num_channels = 1
        stream.frame_size_ms = FRAME_MS
        stream.queue_size_frames = CAPACITY
        stream.type = post.native_stream
        self._handle: int | None = post.open_ear(order, self._take)

    def _take(self, owned: Any) -> None:
        info = owned.info
        data = ctypes.string_at(info.data_ptr, 2 * info.num_channels * info.samples_per_channel)
        self._post.drop(owned.handle.id)
        self._put(np.frombuffer(data, np.int16))

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._post.close_ear(handle)
