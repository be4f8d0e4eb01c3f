"""The values of options, from their texts. Raise ArgumentTypeError with what is expected."""

from __future__ import annotations

import argparse


def path(text: str) -> str:
    """Of something to write; an empty one, as from a shell's unset variable, would mean the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got ''")
    return text


def name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a name, got ''")
    return text


def tracker(text: str) -> str:
    """What it means is the backend's business; but an empty one must not mean that there is none."""
    if not text:
        raise argparse.ArgumentTypeError("expected KEY@HOST:PORT, got ''")
    return text


def peers(text: str) -> list[str]:
    """Names between commas, each once; `none` is none of them."""
    names = list(dict.fromkeys(word.strip() for word in text.split(",")))
    if names == ["none"]:
        return []
    if "" in names or "none" in names:
        raise argparse.ArgumentTypeError(f"expected names between commas, or none, got '{text}'")
    return names


def count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got '{text}'")
    return int(text)


def _number(text: str, below: float, want: str) -> float:
    """A number from 0 on."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < below:
        raise argparse.ArgumentTypeError(f"expected {want}, got '{text}'")
    return value


def tolerance(text: str) -> float:
    return _number(text, 1, "a number from 0 to 1")


def share(text: str) -> float:
    want = "a share such as 2% or 0.02"
    if text.endswith("%"):
        return _number(text[:-1], 100.0000001, want) / 100
    return _number(text, 1.0000001, want)


def seconds(text: str) -> float:
    return _number(text, 1e9, "seconds, 0 or more")


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """NAME=1,3,224,224 or 1,3,224,224 as (name or "", sizes); `?` as -1."""
    name, _, sizes = text.rpartition("=")
    words = [word.strip() for word in sizes.split(",")]
    if not all(word in ("?", "-1") or (word.isascii() and word.isdigit() and int(word) > 0) for word in words):
        raise argparse.ArgumentTypeError(f"expected NAME=1,3,224,224 (`?` for a size that stays open), got '{text}'")
    return name, tuple(-1 if word == "?" else int(word) for word in words)
