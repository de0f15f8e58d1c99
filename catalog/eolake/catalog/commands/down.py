"""`eolake down`"""

from __future__ import annotations

import click

from eolake.catalog.invocation import Invocation, pass_invocation
from eolake.catalog.local.stack import Stack


@click.command()
@pass_invocation
def down(call: Invocation) -> None:
    """Stop what `eolake up` started.

    Workers give back what they hold; nothing is lost.
    """
    stopped = Stack(call.settings(), call.config_file()).down()
    call.emit({"stopped": stopped}, f"Stopped: {', '.join(stopped)}." if stopped else "Nothing ran.")
