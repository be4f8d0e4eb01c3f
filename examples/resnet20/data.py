"""CIFAR-10 images from an .npz file of JPEGs: `jpeg` uint8 (all files, one after the other), `offset` int64 [n + 1]
(where each begins), `label` int64 [n]."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pictures(path: str | Path, count: int | None = None, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """RGB uint8 [count, 3, 32, 32] and labels int64 [count]."""
    with np.load(path) as file:
        data, offset, label = file["jpeg"], file["offset"], file["label"]
    stop = len(label) if count is None else min(start + count, len(label))
    decoded = [
        np.asarray(Image.open(io.BytesIO(data[offset[i] : offset[i + 1]].tobytes())).convert("RGB"))
        for i in range(start, stop)
    ]
    return np.stack(decoded).transpose(0, 3, 1, 2), label[start:stop]


def normalise(images: np.ndarray) -> np.ndarray:
    """What both networks were trained on: (x / 255 - mean) / deviation of each colour, float32."""
    mean, deviation = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    return ((images.astype(np.float32) / np.float32(255) - mean) / deviation).astype(np.float32)
