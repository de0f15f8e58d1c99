"""What every command has at hand: which lake is meant, and how to speak.

    @click.command()
    @pass_invocation
    def status(call: Invocation) -> None:
        lake = call.lake()
        call.emit({"granules": {}}, "nothing yet")

Data goes to stdout, everything else to stderr. Options -c, -v and --json work before and after the command's name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eolake.catalog.errors import ConfigError

if TYPE_CHECKING:  # lake.py brings psycopg and pydantic: not for `eolake --help`
    from eolake.catalog.lake import Lake
    from eolake.catalog.settings import Settings


@dataclass(slots=True, kw_only=True)
class Invocation:
    """One call of the command."""

    config: Path | None = None
    """-c; None: EOLAKE_CONFIG, else the nearest eolake.toml above the working folder."""
    verbose: int = 0
    """How many -v."""
    json: bool = False
    """Whether --json was given."""

    def settings(self) -> Settings:
        """Settings of the lake that is meant; ConfigError when there is none."""
        from eolake.catalog.settings import load_settings

        return load_settings(self.config)

    def config_file(self) -> Path:
        """Full path of the eolake.toml that is meant; ConfigError when there is none."""
        from eolake.catalog.settings import which_config

        return which_config(self.config).resolve()

    def lake(self) -> Lake:
        """The lake that is meant; ConfigError when there is none. Its database is asked only when it is used."""
        from eolake.catalog.lake import Lake

        return Lake(settings=self.settings())

    def know_collections(self) -> None:
        """The lake's own collections are declared from now on, when there is a lake; ConfigError when one was named and is not there."""
        try:
            self.config_file()
        except ConfigError:
            return
        self.settings()

    def emit(self, document: Any, text: str) -> None:
        """The result on stdout: `document` with --json, else `text`."""
        click.echo(json.dumps(document, indent=2, default=str) if self.json else text)

    def note(self, message: str) -> None:
        """Progress and hints, on stderr."""
        click.echo(message, err=True)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def common_options() -> list[click.Option]:
    """-c, -v and --json; their callbacks write into the Invocation, so that commands don't have to take them."""
    return [
        click.Option(
            ["-c", "--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            expose_value=False,
            callback=_config,
            help="The lake's eolake.toml.  [default: EOLAKE_CONFIG, else the nearest one upwards]",
        ),
        click.Option(["-v", "--verbose"], count=True, expose_value=False, callback=_verbose, help="Say more; twice: everything."),
        click.Option(["--json", "as_json"], is_flag=True, expose_value=False, callback=_json, help="Print data as JSON."),
    ]


def _config(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(Invocation).config = value


def _verbose(context: click.Context, _: click.Parameter, value: int) -> None:
    if value:
        call = context.ensure_object(Invocation)
        call.verbose += value
        configure_logging(call.verbose)


def _json(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 -- click's signature
    if value:
        context.ensure_object(Invocation).json = True


def configure_logging(verbose: int) -> None:
    """Logs go to stderr: warnings, with -v what is done, with -vv everything (of eolake; others stay at INFO).

    Text on a terminal, one JSON object a line elsewhere; EOLAKE_LOG=text or json says otherwise."""
    import logging

    from eolake.catalog.logs import formatter

    handler = logging.StreamHandler()
    handler.setFormatter(formatter(handler.stream))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("eolake").setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
