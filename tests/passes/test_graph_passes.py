"""Every graph pass keeps the interpreter's result, on random networks; every stage verifies and round-trips."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from random_networks import Network, networks

from tercet.backends.reference.interpreter import run
from tercet.ir.program import Program
from tercet.passes.pipeline import graph_passes


@given(networks())
@settings(max_examples=settings().max_examples // 4)
def test_passes_keep_the_result(network: Network) -> None:
    program = network.program.clone()
    x = network.x[:1]
    want = run(program, {"x": x})["y"]
    text = program.text()
    for step in graph_passes():
        before, changed = text, step.apply(program)
        program.drop_unused_weights()
        program.verify()
        text = program.text()
        assert changed or text == before, step.name
        assert Program.parse(text, program.weights_beside_text()).text() == text, step.name
        np.testing.assert_allclose(
            run(program, {"x": x})["y"], want, rtol=1e-5, atol=1e-5 * np.abs(want).max(), err_msg=step.name
        )


@given(networks())
@settings(deadline=None)
def test_batch_is_samples(network: Network) -> None:
    program = network.program.clone()
    for step in graph_passes():
        step.apply(program)
    assert program.batched
    whole = run(program, {"x": network.x})["y"]
    single = [run(program, {"x": x[None]})["y"] for x in network.x]
    np.testing.assert_array_equal(whole, np.concatenate(single))


def test_passes_have_distinct_documentation() -> None:
    for step in graph_passes():
        assert step.__doc__ and step.name == step.name.lower(), step
        assert not step.lossy
