"""The first bytes tell whether this is what was asked for; noise is not mistaken for a message."""

from __future__ import annotations

import random

import pytest

from eolake.ingest.faults import Kind
from eolake.ingest.transfer import sniff


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"<!DOCTYPE html><html><body>Sign in with your password", Kind.AUTH),
        (b"\xef\xbb\xbf \r\n<html><head><title>Log in</title>", Kind.AUTH),
        (b"<html>The Sentinels Scientific Data Hub will be back soon!</html>", Kind.TRANSIENT),
        (b'{"trace-id":"05","code":"DAT-ZIP-100","message":"Max session number exceeded"}', Kind.RATE),
        (b'{"detail": "no"}', Kind.TRANSIENT),
        (b"<?xml version='1.0'?><error><message>Maximum number of 2 concurrent flows achieved</message></error>", Kind.RATE),
        (b"<error><message>User 'x' offline products retrieval quota exceeded (20 fetches max)</message></error>", Kind.QUOTA),
    ],
)
@pytest.mark.parametrize("name", ["S2A.zip", "data.bin", "B04.jp2"])
def test_t07_messages_are_told_from_files(head: bytes, kind: Kind, name: str) -> None:
    found = sniff.fault(head, name, "application/octet-stream")
    assert found is not None
    assert found[0] is kind


@pytest.mark.parametrize("first", [b"{", b"<", b"[{", b"<e", b"<?"])
def test_noise_that_begins_like_a_message_is_none(first: bytes) -> None:
    """One file in 256 begins with a brace."""
    for seed in range(200):
        assert sniff.fault(first + random.Random(seed).randbytes(600), "data.bin", None) is None


def test_a_file_of_text_may_begin_like_a_message() -> None:
    assert sniff.fault(b'{"type": "FeatureCollection"', "footprints.geojson", None) is None
    assert sniff.fault(b"<?xml version='1.0'?><gml>", "manifest.safe", None) is None
