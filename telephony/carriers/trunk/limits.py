"""What strangers may do to us before they are met with silence.

Only refused and unauthenticated strangers are counted; whoever asks here has left out trunks,
phones and, on a loopback bind, this machine. Tables have ceilings and forget the oldest, so that a
flood of made-up addresses costs a fixed amount of memory and nothing else. Pure: ``now`` is
monotonic seconds.
"""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

MAX_SOURCES = 8192
"""Addresses watched at once: some 3 MB when full."""

# Tools that sweep the address space. What they learn from any answer, even 403, is that
# something lives here.
SCANNERS = re.compile(
    rb"^(?:user-agent|server)[ \t]*:[^\r\n]*"
    rb"(?:friendly-scanner|sipvicious|sipcli|vaxsipuseragent|pplsip|sundayddr|sip-?scan|iwar"
    rb"|sipptk|siparmyknife|smap)",
    re.IGNORECASE | re.MULTILINE,
)


def is_scanner(message: bytes) -> bool:
    """Whether a whole request names a scanner as its sender."""
    return SCANNERS.search(message) is not None


def is_scanner_name(user_agent: str) -> bool:
    """As ``is_scanner``, for a User-Agent header that is parsed already."""
    return is_scanner(b"User-Agent: " + user_agent.encode("utf-8", "surrogateescape"))


@lru_cache(4096)
def source_key(host: str) -> str:
    """What a source is counted by: an IPv4 address, or the /64 of an IPv6 one.

    Whoever has one IPv6 address has the other 2^64 of its link as well.
    """
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
    return str(ip)


@dataclass(frozen=True, slots=True)
class LimitConfig:
    """requests in seconds, then silence for ban_seconds; wrong passwords likewise."""

    requests: int = 16
    seconds: float = 2.0
    ban_seconds: float = 300.0
    guesses: int = 5
    guess_seconds: float = 60.0
    log_seconds: float = 60.0
    max_sources: int = MAX_SOURCES


class Verdict(Enum):
    """What to do with a request."""

    PASS = "pass"
    BAN = "ban"
    """The one that went too far: from now on silence."""
    BANNED = "banned"


@dataclass(slots=True)
class _Seen:
    requests: deque[float]
    guesses: deque[float]
    banned_until: float = 0.0
    logged_at: float = field(default=float("-inf"))
    unlogged: int = 0


class SourceLimits:
    """Requests and wrong passwords by source address."""

    def __init__(self, config: LimitConfig | None = None) -> None:
        self._config = config or LimitConfig()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def banned(self, host: str, now: float) -> bool:
        """Whether this address is met with silence."""
        seen = self._seen.get(source_key(host))
        return seen is not None and now < seen.banned_until

    def request(self, host: str, now: float) -> Verdict:
        """Count one request."""
        seen = self._touch(host)
        if now < seen.banned_until:
            return Verdict.BANNED
        if not _over(seen.requests, now, self._config.seconds):
            return Verdict.PASS
        self._ban(seen, now)
        return Verdict.BAN

    def wrong_password(self, host: str, now: float) -> Verdict:
        """Count one wrong password. The address is banned, never the user: he may log in."""
        seen = self._touch(host)
        if now < seen.banned_until:
            return Verdict.BANNED
        if not _over(seen.guesses, now, self._config.guess_seconds):
            return Verdict.PASS
        self._ban(seen, now)
        return Verdict.BAN

    def forgive(self, host: str) -> None:
        """The address has proved a password: what was counted is forgotten."""
        self._seen.pop(source_key(host), None)

    def due_log(self, host: str, now: float) -> int | None:
        """How many messages were dropped since the last log line, or None while it is not due."""
        seen = self._touch(host)
        seen.unlogged += 1
        if now - seen.logged_at < self._config.log_seconds:
            return None
        count, seen.unlogged, seen.logged_at = seen.unlogged, 0, now
        return count

    def _ban(self, seen: _Seen, now: float) -> None:
        seen.banned_until = now + self._config.ban_seconds
        seen.requests.clear()
        seen.guesses.clear()

    def _touch(self, host: str) -> _Seen:
        key = source_key(host)
        seen = self._seen.get(key)
        if seen is None:
            while len(self._seen) >= self._config.max_sources:
                self._seen.popitem(last=False)
            seen = _Seen(
                deque(maxlen=self._config.requests), deque(maxlen=self._config.guesses - 1)
            )
            self._seen[key] = seen
        else:
            self._seen.move_to_end(key)
        return seen


def _over(times: deque[float], now: float, seconds: float) -> bool:
    """Note one more; whether the window was full already."""
    full = len(times) == times.maxlen and now - times[0] < seconds
    times.append(now)
    return full
