"""What can go wrong with a remote provider, in classes that say what to do: the retry taxonomy.

transient   connection, timeout, 5xx, short body: the same again, later
rate        429, "too many sessions": the credential rests and shrinks; the granule is not to blame
auth        401, login page: refresh once, then another credential; the granule is not to blame
offline     ordered, not there yet: wait
quota       a budget of days is used up: wait
gone        404, 410, malformed: ask the catalogue once more, then give up
corrupt     the bytes contradict their digest or structure: from zero, a few times
config      nothing that waiting mends: a wrong address, client or setting
"""

from __future__ import annotations

from enum import StrEnum

from eolake.catalog.errors import EolakeError


class Kind(StrEnum):
    """Classes of faults."""

    TRANSIENT = "transient"
    RATE = "rate"
    AUTH = "auth"
    OFFLINE = "offline"
    QUOTA = "quota"
    GONE = "gone"
    CORRUPT = "corrupt"
    CONFIG = "config"


class ProviderFault(EolakeError):
    """A provider did not give what was asked for; `eolake status` shows its last faults."""

    exit_code = 4

    def __init__(
        self,
        message: str,
        kind: Kind,
        *,
        host: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`code`: the provider's own (DAT-ZIP-100); `retry_after`: seconds, when the provider said so."""
        super().__init__(message)
        self.kind, self.host, self.status, self.code, self.retry_after = kind, host, status, code, retry_after
