"""The command `hyp3-copy`: what finished HyP3 jobs of a project have, and its archive lacks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eolake.catalog.invocation import Invocation, pass_invocation

if TYPE_CHECKING:  # boto3 and urllib3: not for `eolake --help`
    from eolake.catalog.settings import Settings
    from eolake.ingest.logins.base import Login
    from eolake.ingest.providers.base import ProviderConfig
    from eolake.ingest.providers.hyp3_archive import Project, Report

PRESET = "hyp3"


@click.command("hyp3-copy")
@click.argument(
    "projects", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="PROJECT.json..."
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Copy into FOLDER/<prefix>, not into the project's bucket."
)
@click.option("--provider", default=PRESET, show_default=True, metavar="NAME", help="Whose account and S3 settings are used.")
@click.option("--dry-run", is_flag=True, help="Only say what would be copied.")
@pass_invocation
def hyp3_copy(call: Invocation, projects: tuple[Path, ...], *, folder: Path | None, provider: str, dry_run: bool) -> int:
    """Copy files of finished HyP3 jobs into an archive that lacks them.

    A project names its jobs, bucket, prefix and extensions. Nothing but the archive is looked at: a run may be stopped and repeated
    at will, copies what is missing, truncated or other, and one file or project that fails stops no other. Exit code 1 when one did."""
    from eolake.catalog.errors import EolakeError

    done: dict[str, Any] = {}
    failed = False
    for path in projects:
        try:
            report = _Run(call=call, provider=provider, folder=folder, dry_run=dry_run).project(path)
        except EolakeError as error:
            call.note(f"{path}: {error}")
            done[str(path)], failed = {"error": str(error)}, True
            continue
        for outcome in report.outcomes:
            if outcome.verdict in {"failed", "collision", "missing"} or (outcome.reason and call.verbose):
                call.note(f"{outcome.verdict}: {outcome.name}: {outcome.reason}")
        done[str(path)] = {"counts": dict(report.counts), "files": [asdict(one) for one in report.outcomes if one.verdict != "present"]}
        failed = failed or report.failed
    call.emit(done, "\n".join(f"{path}: {_told(entry)}" for path, entry in done.items()))
    return int(failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    call: Invocation
    provider: str
    folder: Path | None
    dry_run: bool

    def project(self, path: Path) -> Report:
        """Raises EolakeError."""
        from eolake.ingest.providers.api import Api
        from eolake.ingest.providers.hyp3 import s3_client
        from eolake.ingest.providers.hyp3_archive import mirror, read_project
        from eolake.ingest.providers.hyp3_jobs import list_jobs
        from eolake.ingest.providers.hyp3_targets import FolderTarget, S3Source, S3Target

        project = read_project(path)
        settings = self._settings()
        config = self._config(settings, project)
        login = self._login(settings, config)
        api = Api(config, login)
        options = config.options.get("s3", {})
        client = s3_client(options if self.folder is not None else {**options, "anonymous": False})
        try:
            jobs = list(list_jobs(api, project.host, project=project.name, since=project.start))
            target = S3Target(client, project.bucket, project.prefix)
            place = target if self.folder is None else FolderTarget(self.folder / project.prefix, client)
            now = datetime.now(UTC)
            return mirror(jobs, S3Source(client), place, extensions=project.extensions, now=now, start=project.start, dry_run=self.dry_run)
        finally:
            api.close()
            client.close()
            if login is not None:
                login.close()

    def _settings(self) -> Settings:
        """Those of the lake; an archive needs none. Raises ConfigError for one that is broken."""
        from eolake.catalog.errors import ConfigError
        from eolake.catalog.settings import Settings

        try:
            self.call.config_file()
        except ConfigError:
            if self.call.config is not None:
                raise
            return Settings(root=Path.home() / ".cache" / "eolake")
        return self.call.settings()

    def _config(self, settings: Settings, project: Project) -> ProviderConfig:
        from eolake.ingest.providers.api import host_of
        from eolake.ingest.providers.registry import provider_config

        config = provider_config(settings, self.provider)
        hosts = (*config.auth_hosts, host_of(project.host)) if project.host.startswith("https://") else config.auth_hosts
        return replace(config, urls={**config.urls, "api": project.host}, auth_hosts=hosts)

    def _login(self, settings: Settings, config: ProviderConfig) -> Login | None:
        """The first account of the provider whose secret is there; some deployments list their jobs to anybody."""
        from eolake.ingest.logins import MissingSecret, open_login

        for reference in config.credentials:
            with suppress(MissingSecret):
                return open_login(config, reference, state=settings.state)
        return None


def _told(entry: dict[str, Any]) -> str:
    if "error" in entry:
        return str(entry["error"])
    return ", ".join(f"{count} {verdict}" for verdict, count in sorted(entry["counts"].items())) or "no jobs with files"
