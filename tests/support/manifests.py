"""Manifests of generated products, written again after the product was changed: their digests match whatever the content is."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

STREAM = re.compile(
    r'(?P<head><byteStream [^>]*size=")\d+(?P<middle>">\s*<fileLocation [^>]*href="(?:\./)?(?P<name>[^"]+)"[^>]*/>\s*'
    r'<checksum checksumName=")'
    r'(?P<method>[^"]+)">[0-9a-f]+'
)


def reseal(product: Path, manifest: str = "manifest.safe") -> None:
    """Sizes and digests of the files as they are now, by another writer and another reader than ours."""
    path = product / manifest

    def renewed(found: re.Match[str]) -> str:
        content = (product / found["name"]).read_bytes()
        digest = hashlib.new(found["method"].lower().replace("-", "_"), content).hexdigest()
        return f'{found["head"]}{len(content)}{found["middle"]}{found["method"]}">{digest}'

    text, count = STREAM.subn(renewed, path.read_text("utf-8"))
    assert count, f"{path} has no byteStream"
    path.write_text(text, "utf-8")


def zipped(product: Path, target: Path) -> Path:
    """The folder as providers pack it: with itself on top."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(product.rglob("*")):
            if file.is_file():
                archive.write(file, f"{product.name}/{file.relative_to(product)}")
    return target
