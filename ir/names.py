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


def one_line(text: str) -> str:
    """For messages, tables and reports: what is not printable is escaped.

    A name with a line break could pass for a line of its own, one with a terminal's orders could color or hide text,
    and one with marks of direction turn it round.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int = 1000) -> str:
    """The middle of lines that are longer is left out: what is quoted in a message may be a whole file."""
    keep = (most - 5) // 2
    return "\n".join(line if len(line) <= most else f"{line[:keep]} ... {line[-keep:]}" for line in text.split("\n"))


def identifier(name: str) -> str:
    """Letters, digits and underscores only, not starting with a digit: for C and for SSA name hints."""
    cleaned = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_")
    return f"v{cleaned}" if cleaned[:1].isdigit() else cleaned


def ssa_hint(name: str) -> str | None:
    """The name of an SSA value; None when nothing of it is left. xDSL drops one `_7` whenever it sets a name and adds
    one to tell values apart, so a name that ended in them would not come back from its text."""
    text = identifier(name)
    stem = text.rstrip("_0123456789")
    return stem + text[len(stem) :].partition("_")[0] or None
