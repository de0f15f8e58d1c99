"""What can go wrong with a credential, told apart: no secret, one that lies open, a store that does not answer, a service that says no.

All are faults of the credential, never of a granule. One with `retry_after` mends itself when somebody acts: it is looked at again then.
"""

from __future__ import annotations

from eolake.ingest.faults import Kind, ProviderFault

LOOK_AGAIN = 300.0
"""Seconds until a secret that is not there is looked for again."""


class SecretFault(ProviderFault):
    """A secret can't be had; the message says where it is looked for."""

    exit_code = 3

    def __init__(self, message: str, *, code: str, retry_after: float | None = LOOK_AGAIN) -> None:
        super().__init__(message, Kind.AUTH, code=code, retry_after=retry_after)


class MissingSecret(SecretFault):
    """There is no secret under this reference; write it where the message says."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="secret-missing")


class ExposedSecret(SecretFault):
    """The file of the secret can be read by others; `chmod 600` it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="secret-exposed")


class SecretStoreFault(SecretFault):
    """The store of secrets does not answer, or does not let us read or decrypt."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="secret-store")


class LoginRefused(ProviderFault):
    """The service does not accept the credential; try it by hand on its web page."""

    def __init__(self, message: str, *, host: str | None = None, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, Kind.AUTH, host=host, status=status, code="login-refused", retry_after=retry_after)
