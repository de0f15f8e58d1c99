"""Where PostgreSQL's programs are, and as whom they run."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eolake.catalog.errors import ConfigError

OLDEST = 15
"""The oldest PostgreSQL that the tests run on."""

_FOLDERS = (
    ("/usr/lib/postgresql", "*/bin"),  # Debian, Ubuntu
    ("/usr", "pgsql-*/bin"),  # packages of postgresql.org for Red Hat
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """One installation of PostgreSQL."""

    bindir: Path
    major: int

    def program(self, name: str) -> str:
        """Full path of initdb, pg_ctl or postgres."""
        return str(self.bindir / name)

    def has_postgis(self) -> bool | None:
        """Whether PostGIS is installed for this PostgreSQL; None when its extension folder is not where packagers put it."""
        prefix = self.bindir.parent
        shares = [prefix / "share", prefix / "share/postgresql", prefix / f"share/postgresql@{self.major}"]
        debian = Path(f"/usr/share/postgresql/{self.major}")
        folders = [share / "extension" for share in (debian, *shares) if (share / "extension").is_dir()]
        return any((folder / "postgis.control").is_file() for folder in folders) if folders else None


def installations() -> list[Programs]:
    """Every PostgreSQL server on this machine: those with PostGIS first, then the newest."""
    found = {p.bindir: p for p in map(_programs, _bindirs()) if p is not None and p.major >= OLDEST}
    return sorted(found.values(), key=lambda p: (p.has_postgis() is not False, p.major), reverse=True)


def find_programs(major: int | None = None) -> Programs:
    """The PostgreSQL to run, of that major version when one is given; ConfigError when there is none."""
    for programs in installations():
        if major is None or programs.major == major:
            return programs
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST} or newer"
    raise ConfigError(f"{wanted} is not installed; on Debian or Ubuntu: apt-get install postgresql postgresql-{major or 'NN'}-postgis-3")


def find_bindir(major: int | None = None) -> Path:
    """The folder of initdb, pg_ctl and postgres."""
    return find_programs(major).bindir


def server_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when we are root, which it refuses; None when we are an ordinary user: then it runs as us."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise ConfigError("PostgreSQL does not run as root, and there is no user 'postgres': adduser --system --group postgres") from None


def _bindirs() -> Iterator[Path]:
    for folder, pattern in _FOLDERS:
        yield from Path(folder).glob(pattern)
    if config := shutil.which("pg_config"):
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(answer.stdout.strip())
    if ctl := shutil.which("pg_ctl"):
        yield Path(ctl).resolve().parent


def _programs(bindir: Path) -> Programs | None:
    if not all((bindir / name).is_file() for name in ("initdb", "pg_ctl", "postgres")):
        return None
    named = re.search(r"(?:postgresql[/@]|pgsql-)(\d+)/bin$", str(bindir))
    if named is None:
        answer = subprocess.run([bindir / "postgres", "--version"], capture_output=True, text=True, check=False)
        named = re.search(r"\) (\d+)", answer.stdout)
    return Programs(bindir=bindir, major=int(named[1])) if named else None
