"""`eolake push`: subscriptions at a provider."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from eolake.catalog.errors import ConfigError, UsageError
from eolake.catalog.invocation import Invocation, pass_invocation

if TYPE_CHECKING:
    from eolake.catalog.settings import Settings
    from eolake.ingest.discovery.feeds import Feed
    from eolake.ingest.push.queues import Drained
    from eolake.ingest.push.subscriptions import Endpoint, Subscription, Subscriptions

EVENTS = ("created", "modified", "deleted")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
MIN_CREDENTIAL = "[push] credential names where name and password of the endpoint are kept, for instance env:EOLAKE_PUSH"


@click.group()
def push() -> None:
    """Manage subscriptions, so that providers tell of new products."""


@push.command()
@click.argument("provider", metavar="PROVIDER")
@click.option("--feed", "names", multiple=True, metavar="NAME", help="Only these feeds.  [default: all of the provider]")
@click.option("--pull", is_flag=True, help="Let notifications wait in a queue instead of sending them here.")
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS), help="What to be told of.  [default: all three]")
@click.option("--paused", is_flag=True, help="Do not start it yet.")
@DRY_RUN
@pass_invocation
def create(
    call: Invocation, provider: str, names: tuple[str, ...], *, pull: bool, events: tuple[str, ...], paused: bool, dry_run: bool
) -> None:
    """Subscribe to what the feeds want.

    The provider allows one running subscription, so one covers all feeds. It sends notifications to URL/push/PROVIDER, with the name and
    password of `[push] credential`; URL is `[push] url`, where the provider reaches `eolake serve`."""
    from eolake.ingest.providers.cdse import ODataProvider
    from eolake.ingest.providers.registry import open_provider, provider_config
    from eolake.ingest.push.subscriptions import terms_of

    settings = call.settings()
    feeds = _feeds(settings, provider, names)
    source = open_provider(provider_config(settings, provider))
    if not isinstance(source, ODataProvider):
        raise ConfigError(f"{provider} is of the kind {source.__class__.__name__}; only odata (CDSE) has subscriptions")
    terms = terms_of(source, feeds)
    endpoint = None if pull else _endpoint(settings, names[0] if len(names) == 1 else provider)
    if dry_run:
        plan = {"filter": terms, "events": list(events or EVENTS), "endpoint": endpoint.url if endpoint else None}
        call.emit({"dry_run": True, **plan}, "\n".join(f"{key}: {value}" for key, value in plan.items()))
        return
    with _subscriptions(settings, provider) as subscriptions:
        made = subscriptions.create(terms, events=events or EVENTS, endpoint=endpoint, paused=paused)
    call.emit(asdict(made), _line(made))
    if pull:
        call.note(f'Put queues = ["{provider}"] into [push]: `eolake daily` reads it then; `eolake push read {provider}` does so now.')


@push.command("list")
@click.argument("provider", metavar="PROVIDER")
@pass_invocation
def list_(call: Invocation, provider: str) -> None:
    """List the subscriptions of the account."""
    with _subscriptions(call.settings(), provider) as subscriptions:
        found = subscriptions.all()
    call.emit([asdict(one) for one in found], "\n".join(map(_line, found)) or "no subscriptions")


@push.command()
@click.argument("provider", metavar="PROVIDER")
@click.argument("id", metavar="ID")
@DRY_RUN
@pass_invocation
def pause(call: Invocation, provider: str, id: str, *, dry_run: bool) -> None:
    """Pause a subscription: what happens meanwhile is only found by polling."""
    _change(call, provider, id, "paused", dry_run=dry_run)


@push.command()
@click.argument("provider", metavar="PROVIDER")
@click.argument("id", metavar="ID")
@DRY_RUN
@pass_invocation
def resume(call: Invocation, provider: str, id: str, *, dry_run: bool) -> None:
    """Let a paused subscription run again."""
    _change(call, provider, id, "running", dry_run=dry_run)


@push.command()
@click.argument("provider", metavar="PROVIDER")
@click.argument("id", metavar="ID")
@DRY_RUN
@pass_invocation
def delete(call: Invocation, provider: str, id: str, *, dry_run: bool) -> None:
    """End a subscription; what waits in its queue is lost."""
    with _subscriptions(call.settings(), provider) as subscriptions:
        if dry_run:
            found = _named(subscriptions, id)
            call.emit({"dry_run": True, **asdict(found)}, f"would be deleted: {_line(found)}")
            return
        subscriptions.delete(id)
    call.emit({"deleted": id}, f"deleted      {id}")


@push.command()
@click.argument("provider", metavar="PROVIDER")
@click.argument("id", required=False, metavar="[ID]")
@pass_invocation
def read(call: Invocation, provider: str, id: str | None) -> None:
    """Read the pull queues of the account, or one of them.

    Notifications are written down first and acknowledged then: whatever is cut off comes again and changes nothing."""
    from eolake.ingest.push.reading import read_queues

    drained = read_queues(call.lake(), provider, id)
    call.emit(asdict(drained), drained_text(drained))


def drained_text(drained: Drained) -> str:
    """One line."""
    counts = {"new": drained.new, "changed": drained.changed, "known": drained.known, "withdrawn": drained.withdrawn}
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing new"
    unwanted = f"; not wanted: {sum(drained.unwanted.values())}" if drained.unwanted else ""
    return f"{drained.read} notifications: {found}{unwanted}{'' if drained.complete else '; stopped'}"


def _change(call: Invocation, provider: str, id: str, status: str, *, dry_run: bool) -> None:
    with _subscriptions(call.settings(), provider) as subscriptions:
        if dry_run:
            found = _named(subscriptions, id)
            call.emit({"dry_run": True, **asdict(found), "status": status}, f"would be {status}: {_line(found)}")
            return
        changed = subscriptions.set_status(id, status)
    call.emit(asdict(changed), _line(changed))


def _named(subscriptions: Subscriptions, id: str) -> Subscription:
    found = next((one for one in subscriptions.all() if one.id == id), None)
    if found is None:
        raise UsageError(f"{subscriptions.name} has no subscription {id}; `eolake push list {subscriptions.name}` shows them")
    return found


@contextmanager
def _subscriptions(settings: Settings, provider: str) -> Iterator[Subscriptions]:
    from eolake.ingest.opening import logged_in
    from eolake.ingest.providers.registry import provider_config
    from eolake.ingest.push.subscriptions import Subscriptions

    config = provider_config(settings, provider)
    with logged_in(settings, config, required=True) as login:
        subscriptions = Subscriptions(config, login)
        try:
            yield subscriptions
        finally:
            subscriptions.close()


def _feeds(settings: Settings, provider: str, names: Sequence[str]) -> list[Feed]:
    from eolake.ingest.discovery.feeds import all_feeds, get_feed

    feeds = [get_feed(settings, name) for name in names] or [feed for feed in all_feeds(settings) if feed.provider == provider]
    if not feeds:
        raise UsageError(f"no feed of {provider} is in eolake.toml; `eolake search {provider} COLLECTION --feed NAME` prints one to paste")
    strange = [feed.name for feed in feeds if feed.provider != provider]
    if strange:
        raise UsageError(f"{', '.join(strange)}: no feed of {provider}")
    return feeds


def _endpoint(settings: Settings, name: str) -> Endpoint:
    from eolake.ingest.logins import read_secret
    from eolake.ingest.push.settings import push_settings
    from eolake.ingest.push.subscriptions import Endpoint

    section = push_settings(settings)
    if section.url is None or section.credential is None:
        raise ConfigError(f"[push] url says where the provider reaches `eolake serve`; {MIN_CREDENTIAL}. Or --pull, which needs neither")
    username, password = read_secret(section.credential).need("username", "password")
    return Endpoint(url=f"{section.url.rstrip('/')}/push/{name}", username=username, password=password)


def _line(found: Subscription) -> str:
    where = f"pushes to {found.endpoint}" if found.endpoint else "waits to be read"
    return f"{found.status:<12} {found.id}  {', '.join(found.events)}; {where}; {found.filter or 'everything'}"
