"""`losses.json`: what lossy passes did to the network of an artifact."""

from __future__ import annotations

from dataclasses import asdict

from ...ir.losses import LayerLoss, Losses
from . import schema
from .manifest import MOST_JSON_BYTES
from .schema import array, integer, number, optional, record, text

LOSSES = "losses.json"


def losses_to_json(losses: Losses) -> bytes:
    return schema.dump_json(asdict(losses))


def losses_from_json(data: bytes, where: str = LOSSES) -> Losses:
    """Reads and checks losses.json. Raises ArtifactError naming the field."""
    return _LOSSES(schema.parse_json(data, where, MOST_JSON_BYTES), where)


_LAYER = record(
    LayerLoss,
    layer=text(),
    kept=text(),
    weights=integer(0),
    zeros=number,
    scales=array(number, 2),
    threshold=number,
    regions=text(100),
    weight_snr=optional(number),
    output_snr=optional(number),
)
_LOSSES = record(
    Losses,
    method=text(100),
    per=text(100),
    activations=text(100),
    samples=integer(0),
    layers=array(_LAYER, 1_000_000),
    output_snr=optional(number),
    agreement=optional(number),
)
