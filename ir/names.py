"""Source names in IR text. Names come from untrusted models and may hold quotes, control or non-ASCII characters;
the text form carries them percent-encoded, so that it parses back byte for byte."""

from __future__ import annotations

from urllib.parse import quote, unquote

_PLAIN = " /_.-:()[]+,=<>@#~!$&*;|{}"


def encode_name(name: str) -> str:
    """A name in printable ASCII without quotes and backslashes."""
    return quote(name, safe=_PLAIN, errors="surrogatepass")


def decode_name(text: str) -> str:
    return unquote(text, errors="surrogatepass")


def identifier(name: str) -> str:
    """Letters, digits and underscores only, not starting with a digit: for C and for SSA name hints."""
    cleaned = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_")
    return f"v{cleaned}" if cleaned[:1].isdigit() else cleaned
