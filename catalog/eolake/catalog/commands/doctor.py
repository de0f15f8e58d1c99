"""`eolake doctor`"""

from __future__ import annotations

from dataclasses import asdict

import click

from eolake.catalog.errors import ConfigError
from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.catalog.local.doctor import Finding, examine

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@pass_invocation
def doctor(call: Invocation) -> int:
    """Check every prerequisite and say how to mend what is missing.

    One line each: ok, warn or fail, and the fix. Ends with 3 when something fails.
    """
    findings = list(examine(call.settings))
    call.emit([asdict(finding) for finding in findings], "\n".join(map(_line, findings)))
    return ConfigError.exit_code if any(finding.level == "fail" for finding in findings) else 0


def _line(finding: Finding) -> str:
    level = click.style(f"{finding.level:<4}", fg=COLOURS[finding.level])
    fix = f"  → {finding.fix}" if finding.fix else ""
    return f"{level}  {finding.subject:<20} {finding.message}{fix}"
