"""Settings of the workers, from the environment: `EOLAKE_WORKER_LEASE=30` and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import ByteSize, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from eolake.catalog.safe.process import Bounds

Seconds = Annotated[float, Field(gt=0)]


class WorkerSettings(BaseSettings):
    """How patient a worker is, and what its converters may take; times in seconds."""

    model_config = SettingsConfigDict(env_prefix="EOLAKE_WORKER_", frozen=True)

    lease: Seconds = 120
    """How long a product stays with a worker that says nothing more; extended long before."""
    longest: Seconds = 3600
    """What takes longer hangs: its process is ended."""
    silence: Seconds = 600
    """So does what neither comes to another step nor computes, reads or writes for that long."""
    processor: Seconds = 3600
    """Seconds of processor time that one product may take."""
    memory: Annotated[ByteSize, Field(ge=512 << 20)] = ByteSize(8 << 30)
    """What a converter may take of it, as in `6GiB`."""
    faults: Annotated[int, Field(ge=1)] = 3
    """Unknown errors and crashes of the converter after which a product is kept aside."""
    deaths: Annotated[int, Field(ge=1)] = 5
    """Faults after which it is kept aside when whole workers vanished over it: more, for a machine may be innocent of its end."""
    delay: Seconds = 5
    """Before the second attempt; doubled for each further one."""
    delay_most: Seconds = 1800
    """The longest delay."""
    patience: Seconds = 300
    """How long a worker waits for a database that does not answer."""
    workspace: Path | None = None
    """Where archives are unpacked; default: `lake/tmp` beside eolake.toml."""

    @property
    def bounds(self) -> Bounds:
        """Of a converter."""
        return Bounds(memory=int(self.memory), processor=self.processor)
