"""The backends on one model: python benchmarks/backends.py MODEL [--plain MODEL]

Artifacts run alternately in one process, on one thread, in CPU time; every ratio is one over another's in the same
round, and the table has the median of the rounds with the quartiles. Their outputs have to agree first. `tvm relax` is
the same model with TVM's own operators alone, not tuned; --plain: another model, such as its float32 form, built in the
same way.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

import tercet
from tercet.runtime.check.samples import random_samples
from tercet.runtime.check.timing import cpu_name, interleave, pinned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--plain", type=Path, metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    builds: dict[str, tuple[Path, str, list[str]]] = {"c": (options.model, "c", []), "tvm": (options.model, "tvm", [])}
    builds["tvm relax"] = (options.model, "tvm", ["relax"])
    if options.plain is not None:
        builds[f"tvm relax, {options.plain.name}"] = (options.plain, "tvm", ["relax"])
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack, pinned(1):
        models = {}
        for i, (name, (model, backend, engines)) in enumerate(builds.items()):
            path = Path(folder) / f"{i}.tercet"
            tercet.compile(model, path, backend=backend, engines=engines)
            models[name] = stack.enter_context(tercet.load(path))
        first = models["c"]
        samples = random_samples(first.inputs, batched=first.manifest.batched, count=1)
        inputs = samples.inputs_of(0, first.manifest.batched)
        want = first.run(inputs)
        for name in ("tvm", "tvm relax"):
            for output, array in models[name].run(inputs).items():
                np.testing.assert_allclose(array, want[output], rtol=1e-5, atol=1e-5 * np.abs(want[output]).max())
        seconds = interleave([lambda model=model: model.run(inputs) for model in models.values()], options.rounds)
    print(f"{options.model.name} on {cpu_name()}, one thread, {options.rounds} rounds")
    for name, times in zip(models, seconds, strict=True):
        ratios = np.array(times) / np.array(seconds[0])
        low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        print(f"{name:<30} {median:8.2f} times c (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
