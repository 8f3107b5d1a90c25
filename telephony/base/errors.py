"""The tree of errors.

TelephonyError
├── BadInput                 what was sent cannot be accepted; names the field, file or header
│   ├── DialplanError        a dialplan file: line and key path
│   └── ConfigError          a setting
├── NotFound                 no such thing, or not of this organization
├── Conflict                 not applicable in the present state
├── Refused                  a rule or ceiling says no
│   └── Busy                 no capacity now; retry_after says when
├── Unavailable              something outside does not answer
│   ├── StoreUnavailable     the database
│   └── SpeechUnavailable    the synthesiser or recogniser
└── MediaFailed              sound could not be played, recorded or negotiated
"""

from __future__ import annotations

from typing import Any


class TelephonyError(Exception):
    """Something went wrong, and this says what in words meant for a person."""

    code = "INTERNAL"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def extra(self) -> dict[str, Any]:
        """Members beside ``error`` and ``code`` in an API reply."""
        return {}


class BadInput(TelephonyError):
    """What was sent cannot be accepted."""

    code = "VALIDATION_ERROR"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field

    def extra(self) -> dict[str, Any]:
        if self.field is None:
            return {}
        return {"issues": [{"path": self.field, "message": self.message}]}


class DialplanError(BadInput):
    """A dialplan cannot be used."""

    code = "DIALPLAN_ERROR"


class ConfigError(BadInput):
    """A setting cannot be used."""

    code = "CONFIG_ERROR"


class NotFound(TelephonyError):
    """No such thing, or not of this organization."""

    code = "NOT_FOUND"


class Conflict(TelephonyError):
    """Not applicable in the present state."""

    code = "CONFLICT"


class Refused(TelephonyError):
    """A rule or ceiling says no."""

    code = "POLICY_REFUSED"


class Busy(Refused):
    """No capacity now."""

    code = "CAPACITY"

    def __init__(self, message: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(TelephonyError):
    """Something outside does not answer."""

    code = "UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """The database does not answer."""

    code = "STORE_UNAVAILABLE"


class SpeechUnavailable(Unavailable):
    """The synthesiser or recogniser is missing or does not answer."""

    code = "SPEECH_UNAVAILABLE"


class MediaFailed(TelephonyError):
    """Sound could not be played, recorded or negotiated."""

    code = "MEDIA_FAILED"
