"""`eolake init`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from eolake.catalog.errors import ConfigError
from eolake.catalog.invocation import Invocation, pass_invocation

TEMPLATE = """\
# A lake of eolake. Unknown sections and keys are errors; every value shown behind a # is the default.
# Order of precedence: this file < environment (EOLAKE_LAKE__STORE=… overrides [lake] store) < options of the command.
# No passwords here: they come from the environment (PGPASSWORD, AWS_*), from ~/.netrc or from AWS Secrets Manager.

[lake]
name = {name}
# store = "file:lake/objects"    # where the objects are: file:PATH (relative to this file) or s3://bucket/prefix

# [store]                        # only for s3://, beyond the usual AWS_* variables
# endpoint = "https://…"         # of a server that is not Amazon's
# region = "ap-southeast-2"
# path_style = false             # true for most servers that are not Amazon's
# profile = "…"                  # of ~/.aws/config

# [database]                     # a PostgreSQL of your own (PostGIS installed); without it `eolake up` runs a private one
# host = "…"
# port = 5432
# name = "eolake"
# user = "eolake"

# [providers.cdse]               # over the preset of that name; `preset = "cdse"` takes one under a name of your own
# credentials = ["netrc:dataspace.copernicus.eu"]    # netrc:HOST, env:PREFIX (PREFIX_USERNAME, PREFIX_PASSWORD), aws-sm:NAME
# connections = 4                # of each credential
# budget = "12TB"                # of each credential in 30 days

# [feeds.fires]                  # what `eolake daily` brings in; `eolake search … --feed NAME` prints one
# provider = "cdse"
# collection = "s2_l2a"
# bbox = [149.0, -37.0, 151.0, -35.0]    # or area = "FILE" (GeoJSON); or tiles = ["55HFA", …]
# lookback = "5d"                # how far back the first pass looks
# cloud_cover = 60               # percent at most
# clip = true                    # keep only what lies in bbox or area; or "FILE" (GeoJSON)
# grid = "EPSG:3577@300"         # of swaths, instead of the collection's; resampling = "bilinear"

# [push]                         # notifications instead of waiting for the next pass; `eolake push create PROVIDER`
# url = "https://…"              # where the provider reaches `eolake serve`
# credential = "env:EOLAKE_PUSH" # EOLAKE_PUSH_USERNAME and EOLAKE_PUSH_PASSWORD of that endpoint
# queues = []                    # providers whose pull queues `eolake daily` reads
"""

IGNORED = "/lake/\n"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), metavar="[DIR]")
@click.option("--name", help="Name of the lake.  [default: the folder's]")
@pass_invocation
def init(call: Invocation, folder: Path, name: str | None) -> None:
    """Write eolake.toml and the folders of a new lake.

    DIR is made when it does not exist; without it, the working folder becomes the lake.
    """
    root = folder.resolve()
    config = root / "eolake.toml"
    if config.exists():
        raise ConfigError(f"{config} exists already; `eolake up` starts that lake")
    (root / "lake" / "objects").mkdir(parents=True, exist_ok=True)
    config.write_text(TEMPLATE.format(name=json.dumps(name or root.name or "lake")), "utf-8")
    _ignore(root / ".gitignore")
    go = "" if root == Path.cwd() else f"cd {folder} && "
    call.emit({"root": str(root), "config": str(config)}, f"A new lake in {root}.\nNext: {go}eolake up")


def _ignore(path: Path) -> None:
    """Keep the data out of a Git repository that the lake's folder may be; what stands there already stays."""
    text = path.read_text("utf-8") if path.is_file() else ""
    if IGNORED.strip() not in text.split():
        path.write_text(text + ("\n" if text and not text.endswith("\n") else "") + IGNORED, "utf-8")
