"""Every error of eolake has one base; the docstring of a class is its default message and says what to do.

EolakeError                 exit 1
├── UsageError              exit 2   the command was called wrongly
├── ConfigError             exit 3   eolake.toml, environment or credentials
├── Unreachable             exit 4   database, store or provider does not answer
├── Busy                    exit 75  another run holds the lock
├── Transient                        try again later; the only retried error
├── Fenced                           somebody else owns the work now
├── BadProduct                       quarantine: the content is broken
│   └── UnsafeProduct                quarantine: the content attacks or exceeds a limit
└── Rejected                         not wanted: duplicate, filtered
"""

from __future__ import annotations


class EolakeError(Exception):
    """Something went wrong in eolake; run the command again with -v to see where."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class UsageError(EolakeError):
    """The command was called wrongly; see `eolake COMMAND --help`."""

    exit_code = 2


class ConfigError(EolakeError):
    """The configuration is not usable; `eolake doctor` names what to mend."""

    exit_code = 3


class Unreachable(EolakeError):
    """A service does not answer; `eolake status` shows which, `eolake up` starts the local ones."""

    exit_code = 4


class Busy(EolakeError):
    """Another run holds the lock; wait for it to end."""

    exit_code = 75


class Transient(EolakeError):
    """A passing fault; the work is tried again by itself."""


class Fenced(EolakeError):
    """The lease on this work ran out and somebody else owns it; nothing was published."""


class BadProduct(EolakeError):
    """The content of the product is broken; get it again from its provider, then `eolake retry`."""


class UnsafeProduct(BadProduct):
    """The product breaks a safety limit and was not opened; look at it by hand before you trust it."""


class Rejected(EolakeError):
    """The product is not wanted: it is a duplicate or filtered out."""
