"""The command `eolake`: a click group that imports a command only when it is called.

Commands come through the entry points `eolake.commands` (value `module:click_command`) of any distribution, so this floor
never imports upwards. An EolakeError ends the command with its message and its exit code; `-v` shows where anything came from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, override

import click

from eolake.catalog.commands import ALIASES, SECTIONS
from eolake.catalog.errors import ConfigError, EolakeError
from eolake.catalog.invocation import Invocation, common_options, configure_logging, pass_invocation

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from click.shell_completion import CompletionItem

__all__ = ["Invocation", "main", "pass_invocation", "root"]

ENTRY_POINTS = "eolake.commands"


class LazyGroup(click.Group):
    """Lists commands without importing them; loads the one that is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table; then the plug-ins'."""
        known = [name for section in SECTIONS.values() for name in section]
        installed = _entry_points()
        return [name for name in known if name in installed] + sorted(set(installed) - set(known))

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name or alias; ConfigError when its plug-in does not load."""
        entry = _entry_points().get(ALIASES.get(cmd_name, cmd_name))
        return _load(entry) if entry else None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Sections and short help from the table."""
        installed = _entry_points()
        for title, section in SECTIONS.items():
            if rows := [(name, text) for name, text in section.items() if name in installed]:
                with formatter.section(title):
                    formatter.write_dl(rows)
        known = {name for section in SECTIONS.values() for name in section}
        if rows := [(name, _origin(installed[name])) for name in sorted(set(installed) - known)]:
            with formatter.section("Plug-ins"):
                formatter.write_dl(rows)

    @override
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and help from the table; click itself would load every command."""
        from click.shell_completion import CompletionItem

        texts = {name: text for section in SECTIONS.values() for name, text in section.items()}
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [CompletionItem(name, help=texts.get(name)) for name in names] + click.Command.shell_complete(self, ctx, incomplete)

    @override
    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run, and turn whatever happens into a message and an exit code."""
        call = Invocation()
        try:
            extra |= {"standalone_mode": False, "obj": call}
            status = super().main(args, prog_name or "eolake", **extra)
        except click.exceptions.Exit as end:
            status = end.exit_code
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted.", err=True)
            status = 130
        except EolakeError as error:
            status = _explain(error, str(error), call, error.exit_code)
        except Exception as error:  # noqa: BLE001 -- the last resort: nothing above us could say it better
            status = _explain(error, f"unexpected {type(error).__name__}: {error}", call, 1)
        sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=LazyGroup, params=[*common_options()], context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="eolake")
@click.pass_context
def root(context: click.Context) -> None:
    """A data lake for Earth observation.

    A scene is either completely in the lake or not in it at all.
    """
    configure_logging(context.ensure_object(Invocation).verbose)
    if "NO_COLOR" in os.environ:
        context.color = False


def main() -> NoReturn:
    """The program `eolake`."""
    root.main()


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _origin(entry: EntryPoint) -> str:
    return f"from {entry.dist.name}" if entry.dist else entry.value


def _load(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the command {entry.name!r} ({entry.value}, {_origin(entry)}) does not load: {error}") from error
    if not isinstance(command, click.Command):
        raise ConfigError(f"the command {entry.name!r} ({entry.value}, {_origin(entry)}) is not a click command")
    _add_common(command)
    return command


def _add_common(command: click.Command) -> None:
    """-c, -v and --json after the command's name too, and after those of its sub-commands."""
    taken = {name for parameter in command.params for name in parameter.opts}
    command.params += [option for option in common_options() if not taken & set(option.opts)]
    if isinstance(command, click.Group):
        for nested in command.commands.values():
            _add_common(nested)


def _explain(error: Exception, message: str, call: Invocation, status: int) -> int:
    if call.verbose:
        import traceback

        traceback.print_exception(error)
    hint = "" if call.verbose or isinstance(error, EolakeError) else " (-v shows where)"
    click.echo(f"eolake: {message}{hint}", err=True)
    return status
