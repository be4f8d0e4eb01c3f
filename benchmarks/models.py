"""Interleaved ratios of compiled models against onnxruntime on whole models.

usage: models.py [--threads N] [--batch N] [--rounds N] [--json FILE] [MODEL.onnx ...]

Without models: the demo network and, where TERCET_MODELS (default ../shared/models) is a folder, the shared ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tercet

if TYPE_CHECKING:
    from tercet.runtime.check.bench_report import BenchReport

ROOT = Path(__file__).resolve().parents[1]
SHARED = (
    "cnv_w2a2.onnx",
    "cnv_w1a1.onnx",
    "kws_w3a3.qonnx.onnx",
    "espcn_subpixel/quant_model.onnx",
    "espcn_subpixel/float_model.onnx",
    "alibaba_model_ic.onnx",
    "alibaba_model_kws.onnx",
    "alibaba_model_vww.onnx",
)


def models() -> list[Path]:
    folder = Path(os.environ.get("TERCET_MODELS") or ROOT.parent / "shared" / "models")
    shared = [folder / name for name in SHARED if (folder / name).is_file()]
    return [ROOT / "examples" / "digits" / "digits_ternary.onnx", *shared]


def line(*cells: str) -> str:
    model, time, ratio, quartiles, rounds, form = cells
    return f"{model:<18} {time:>10} {ratio:>7} {quartiles:>14} {rounds:>14}  {form}"


def lines(reports: Sequence[BenchReport]) -> Iterator[str]:
    """One line for each model and peer."""
    for report in reports:
        time = f"{1e6 * report.time.median:.1f} us"
        for peer in report.peers:
            r = peer.ratio
            quartiles, rounds = f"{r.lower:.2f}..{r.upper:.2f}", f"{r.minimum:.2f}..{r.maximum:.2f}"
            form = f"{peer.form}; {peer.agreement}"
            yield line(report.model, time, f"{r.median:.2f}", quartiles, rounds, form)
        if not report.peers:
            yield line(report.model, time, "", "", "", "; ".join(report.notes))


def main() -> int:
    parser = argparse.ArgumentParser(description="Interleaved ratios against onnxruntime; above 1 tercet is faster.")
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "models.json", metavar="FILE")
    options = parser.parse_args()
    reports: list[BenchReport] = []
    failed = 0
    for model in options.models or models():
        print(f"{model.name} ...", file=sys.stderr, flush=True)
        try:
            reports.append(
                tercet.bench(
                    model, threads=options.threads, batch=options.batch, repeats=options.rounds, per_layer=True
                )
            )
        except tercet.TercetError as error:
            failed += 1
            print(f"{model.name}: {error}", file=sys.stderr)
    if reports:
        first = reports[0]
        print(f"target {first.target}, {first.threads} thread(s), batch {first.batch}, {first.cpu}")
        print(line("model", "tercet", "ratio", "quartiles", "all rounds", "onnxruntime runs"))
        print("\n".join(lines(reports)))
        print("ratio: onnxruntime's time over tercet's in the same round; times depend on the machine")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([report.to_json() for report in reports], indent=1) + "\n")
    print(options.json)
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
