"""Compile the bundled ternary network, check it, run it and time it (`make demo`).

usage: demo.py [OUTPUT FOLDER]      default: build/demo
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

import tercet
from tercet.runtime.report.bench_html import bench_html

HERE = Path(__file__).resolve().parent
MODEL, TESTS = HERE / "digits_ternary.onnx", HERE / "digits_test.npz"
SHADES = " .:-=+*#%@"


def headline(number: int, text: str) -> None:
    print(f"\n[{number}/4] {text}", flush=True)


def draw(image: np.ndarray) -> str:
    """An image [8, 8] of pixels 0..16 as text, two characters a pixel."""
    return "\n".join("    " + "".join(2 * SHADES[min(int(pixel * 10 / 17), 9)] for pixel in row) for row in image)


def short(path: Path) -> str:
    """The path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1] / "build" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    artifact, report = folder / "digits_ternary.tercet", folder / "bench.html"
    tests = np.load(TESTS)
    images, labels = tests["image"], tests["label"]

    headline(1, f"compile {MODEL.name}, {MODEL.stat().st_size} bytes of ONNX")
    start = time.perf_counter()
    made = tercet.compile(MODEL, artifact)
    print(f"    {len(made.layers)} steps for {made.target} in {time.perf_counter() - start:.1f} s: {short(artifact)}")

    headline(2, f"verify on the {len(images)} test images")
    found = tercet.verify(artifact, MODEL, inputs=TESTS)
    for check in (check for check in found.checks if check.subject == "artifact"):
        print(f"    {'ok' if check.ok else 'FAILED':<6}  {check.against}: {check.difference.text}")

    headline(3, "run")
    with tercet.load(artifact) as model:
        scores = model.run(images)["logits"]
    right = int((scores.argmax(axis=1) == labels).sum())
    print(f"    {right} of {len(images)} test images right: {100 * right / len(images):.2f} %. One of them:\n")
    print(draw(images[0, 0]))
    print(f"\n    this is a {scores[0].argmax()} (label {labels[0]})")

    headline(4, "bench, alternating with onnxruntime, one thread")
    times = tercet.bench(artifact, source=MODEL, per_layer=True)
    for peer in times.peers:
        print(
            f"    {peer.ratio.median:.2f}x the speed of {peer.name} (median of {len(peer.seconds)} rounds; quartiles ",
            end="",
        )
        print(f"{peer.ratio.lower:.2f} to {peer.ratio.upper:.2f}); {peer.agreement}")
    print(f"    {1e6 * times.time.median:.0f} us an image on this machine ({times.cpu})")
    report.write_text(bench_html(times), encoding="utf-8")

    command = "tercet" if shutil.which("tercet") else short(Path(sys.executable).with_name("tercet"))
    print(f"\nReport: {short(report)}")
    print("Next:")
    print(f"    {command} inspect {short(artifact)}")
    print(f"    {command} inspect {short(artifact)} --diff thresholds")
    print(f"    {command} compile YOUR_MODEL.onnx -o YOUR_MODEL.tercet")
    print(f"    {command} verify YOUR_MODEL.tercet --against YOUR_MODEL.onnx")
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
