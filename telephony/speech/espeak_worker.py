"""The process that speaks: espeak-ng by ctypes, requests on stdin, sound on stdout.

espeak-ng keeps its state in globals, is not thread-safe and is under the GPL: so it lives here,
one process apart, and ends with it. Started as ``python -m telephony.speech.espeak_worker``.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from typing import Any, BinaryIO

import numpy as np

from telephony.audio import level, pcm
from telephony.audio.resample import resample
from telephony.speech import frames

RATE = 8000
MAX_SECONDS = 300
"""Where synthesis is cut off: ten times what a caller listens to."""
LEAD_MS = 20
"""Silence kept before the first word; espeak gives up to 100 ms."""
PAUSE_MS = 500
"""Silence kept after the last word: two prompts in a row are two sentences, not one."""
PEAK = 29_000
"""Ceiling of the loudest sample: normalising must not clip."""
DEFAULT_VOICE = "en-us"
VOICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_-]{0,39}")

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE_PARAMETER = 1

_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_char)),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


class Espeak:
    """The library, initialised once."""

    def __init__(self) -> None:
        # Imported here because it is an extra: its absence is a reply, not a traceback.
        import espeakng_loader

        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._lib.espeak_ListVoices.argtypes = [ctypes.c_void_p]
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        data = espeakng_loader.get_data_path().encode()
        self._rate = self._lib.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
        if self._rate <= 0:
            raise OSError("espeak_Initialize failed")
        self.version = self._lib.espeak_Info(None).decode()
        self._chunks: list[bytes] = []
        self._room = 0
        self._callback = _CALLBACK(self._take)
        self._lib.espeak_SetSynthCallback(self._callback)

    def voices(self) -> list[dict[str, str]]:
        """Name and first language of every voice."""
        listed = self._lib.espeak_ListVoices(None)
        found: list[dict[str, str]] = []
        index = 0
        while listed[index]:
            voice = listed[index].contents
            # languages: a priority octet, then the name up to a NUL.
            language = ctypes.string_at(ctypes.addressof(voice.languages.contents) + 1)
            found.append({"name": (voice.name or b"").decode(), "language": language.decode()})
            index += 1
        return found

    def speak(self, text: str, voice: str, language: str, words: int) -> tuple[bytes, str]:
        """(int16 PCM at 8 kHz, the voice that was used)."""
        used = self._choose(voice, language)
        self._lib.espeak_SetParameter(_RATE_PARAMETER, words, 0)
        self._chunks, self._room = [], MAX_SECONDS * self._rate
        octets = text.replace("\0", " ").encode("utf-8", "replace")
        status = self._lib.espeak_Synth(octets, len(octets) + 1, 0, 1, 0, _UTF8, None, None)
        if status != 0:
            raise OSError(f"espeak_Synth failed with {status}")
        sound = np.frombuffer(b"".join(self._chunks), np.int16)
        return pcm.to_bytes(_finish(resample(sound, self._rate, RATE))), used

    def _choose(self, voice: str, language: str) -> str:
        tongue = language.replace("_", "-").lower()
        # espeak's plain "en" is British; every other part of telephony means American by it.
        if tongue == "en":
            tongue = DEFAULT_VOICE
        for name in (voice, tongue, tongue.partition("-")[0], DEFAULT_VOICE):
            if VOICE_NAME.fullmatch(name) and self._lib.espeak_SetVoiceByName(name.encode()) == 0:
                return name
        raise OSError("espeak-ng has no voice at all")

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, count * 2))
            self._room -= count
        return 1 if self._room < 0 else 0


def _finish(sound: pcm.Samples) -> pcm.Samples:
    """Trimmed at both ends, at the level of speech, without clicks, with a pause behind it."""
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 100)
    if loud.size == 0:
        return sound
    sound = sound[max(0, int(loud[0]) - LEAD_MS * RATE // 1000) : int(loud[-1]) + 1]
    wanted = level.SPEECH_DBM0 - level.active_dbm0(sound, RATE)
    headroom = 20 * np.log10(PEAK / max(int(level.peak(sound)), 1))
    spoken = pcm.fade(pcm.gain(sound, min(wanted, headroom)), 40, 40)
    return np.concatenate([spoken, pcm.silence(PAUSE_MS, RATE)])


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until the pipe closes. Nothing a request holds ends the process."""
    try:
        engine = Espeak()
    except Exception as error:
        _send(replies, {"ready": False, "error": f"{type(error).__name__}: {error}"})
        return
    _send(replies, {"ready": True, "version": engine.version})
    while prefix := requests.read(frames.PREFIX.size):
        if len(prefix) < frames.PREFIX.size:
            return
        whole, head = frames.sizes(prefix)
        header, _ = frames.unpack(requests.read(whole), head)
        _send(replies, *_answer(engine, header))


def _answer(engine: Espeak, header: frames.Header) -> tuple[frames.Header, bytes]:
    number = header.get("id")
    try:
        if header.get("do") == "voices":
            return {"id": number, "voices": engine.voices()}, b""
        sound, used = engine.speak(
            str(header["text"]),
            str(header.get("voice", "")),
            str(header.get("language", "")),
            int(header.get("words", 165)),
        )
    except Exception as error:
        return {"id": number, "error": f"{type(error).__name__}: {error}"}, b""
    return {"id": number, "voice": used}, sound


def _send(replies: BinaryIO, header: frames.Header, body: bytes = b"") -> None:
    replies.write(frames.pack(header, body))
    replies.flush()


def main() -> None:
    """Keep stdout for frames: whatever a library prints goes to stderr instead.

    Ctrl-C and a service manager's SIGTERM reach the whole group, and the calls that drain still
    have things to say: this process ends with its pipe, not with a signal.
    """
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    private = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(private, "wb") as replies:
        serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
