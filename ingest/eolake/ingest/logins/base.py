"""The seam between a credential and a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Login(Protocol):
    """One account of one provider; safe for threads, and one token for all processes of a machine."""

    name: str
    """The reference of its secret, fit for logs."""

    def allows(self, url: str) -> bool:
        """Whether the credential may be sent there."""

    def headers(self, url: str) -> Mapping[str, str]:
        """What a request to this URL carries right now; empty where it may not be sent. Logs in when needed. Raises ProviderFault(auth)."""

    def userpwd(self, url: str) -> tuple[str, str] | None:
        """Name and password where the protocol itself asks for them (FTP, Basic); None otherwise."""

    def s3(self) -> Mapping[str, str]:
        """`aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`, `request_payer`, …; empty: anonymous."""

    def refresh(self, stale: Mapping[str, str]) -> None:
        """The headers `stale` were refused: get new ones, once for all who ask. Raises ProviderFault(auth) when there are none."""

    def close(self) -> None:
        """End the sessions that this process opened."""
