"""The commands of the ground floor, one module each, and the table of all commands that `eolake --help` prints.

The table repeats the first line of each command's help, so that the list costs no import; a test keeps both equal.
"""

from __future__ import annotations

from collections.abc import Mapping

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Local stack": {
        "init": "Write eolake.toml and the folders of a new lake.",
        "up": "Start what the lake needs on this machine: PostgreSQL, the HTTP app, workers.",
        "down": "Stop what `eolake up` started.",
        "doctor": "Check every prerequisite and say how to mend what is missing.",
        "serve": "Run the HTTP app alone.",
        "env": "Print `export` lines for datacube, psql, GDAL and other tools.",
    },
    "Bring in": {
        "search": "Look what a provider has; nothing is ordered.",
        "ingest": "Take products on disk, or of a provider, into the lake.",
        "daily": "Bring in what is new of all feeds: the one line for cron.",
        "work": "Work on the queue until stopped, or once.",
        "retry": "Queue quarantined products again.",
        "push": "Manage subscriptions, so that providers tell of new products.",
        "hyp3-copy": "Copy files of finished HyP3 jobs into an archive that lacks them.",
        "simulate": "Products and providers that need no account and no network.",
    },
    "Use": {
        "status": "Show what runs, what waits, what is fetched and what is in the lake.",
        "collections": "List, show and synchronise declared collections.",
        "analyse": "Derive a collection from the cube.",
    },
    "Care": {
        "check": "Compare the store, the catalog and the cube.",
        "relocate": "Repair the addresses of objects after the lake moved.",
        "rebuild": "Make catalog and cube again from the store alone.",
    },
}
"""Section → command → first line of its help."""

ALIASES: Mapping[str, str] = {"analyze": "analyse"}
