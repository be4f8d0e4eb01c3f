"""Random DAGs: any rule on any value that it applies to, with joins; outputs of every kind. All follows from a seed."""

from __future__ import annotations

import numpy as np

from . import elementwise, integers, logic, microsoft, movement, quantizers, windows  # noqa: F401  (they fill RULES)
from .builder import BOOL, FLOAT, STYLES, Graph, Stuck, Value
from .network import Network, finish
from .rule import RULES, Rule

OPSETS = (8, 10, 11, 12, 13, 13, 15, 17, 18, 19, 21, 21, 22, 25)
INTEGERS = ("int8", "uint8", "int32", "int64")


def network(seed: int, index: int, *, most: int = 9) -> Network:
    """Network number `index` of a seed; every PAIRS-th of a run has the same pair of neighbouring operators in it."""
    rng = np.random.default_rng([seed, index])
    g = Graph(rng, opset=int(rng.choice(OPSETS)), batched=bool(rng.random() < 0.4), exact=bool(rng.random() < 0.45))
    g.style = g.pick(STYLES)
    for _ in range(g.pick((1, 1, 1, 2, 3))):
        _add_input(g)
    pair = wanted_pair(seed, index)
    steps = g.integer(2, most)
    at = g.integer(0, steps - 1)
    for step in range(steps):
        if step == at:
            _add_pair(g, *pair)
        else:
            _add_any(g)
    return finish(g, f"g{index}", _outputs(g), g.integer(1, 3) if g.batched else 1)


def wanted_pair(seed: int, index: int) -> tuple[Rule, Rule]:
    """The rules that network `index` applies one on the other's result: all pairs come in turn, in the seed's order."""
    names = sorted(RULES)
    order = np.random.default_rng(seed).permutation(len(names) ** 2)
    first, second = divmod(int(order[index % len(order)]), len(names))
    return RULES[names[first]], RULES[names[second]]


def apply(g: Graph, chosen: Rule, x: Value) -> list[Value]:
    """The results of a rule on x. Raises Stuck, with the graph as it was, where it finds no legal form."""
    if not chosen.applies(g, x):
        raise Stuck
    with g.attempt():
        made = chosen.build(g, x)
    results = [made] if isinstance(made, Value) else list(made)
    g.keep(*results)
    return results


def _add_input(g: Graph) -> None:
    kind = g.pick(("map", "map", "map", "map", "row", "any", "any", "integer"))
    batch = 1 if g.batched or g.chance(0.6) else g.integer(1, 3)
    axis = (1, 1, 2, 3, 4, 5, 7, 8, 9)
    if kind in ("map", "integer"):
        size = [g.pick(axis)] if g.chance(0.15) else [g.pick(axis), g.pick(axis)]
        shape = [batch, g.pick((1, 1, 2, 3, 4, 6, 8, 16)), *size]
    elif kind == "row":
        shape = [batch, g.pick((1, 3, 8, 17, 32))]
    else:
        shape = [g.pick((0, 1, 1, 2, 3, 4)) if g.chance(0.3) else g.pick((1, 2, 3, 4)) for _ in range(g.integer(0, 5))]
        if g.batched:
            shape = [1, *shape[1:]] if shape else [1, 2]
    dtype = np.dtype(g.pick(INTEGERS)) if kind == "integer" or g.chance(0.06) else FLOAT
    dtype = BOOL if g.chance(0.02) else dtype
    g.input(shape, dtype, g.pick((1.0, 1.0, 4.0, 100.0)) if dtype == FLOAT else 100.0)


def _add_any(g: Graph) -> None:
    """One rule on one value: of recent ones more often, so that graphs grow deep as well as wide."""
    for _ in range(20):
        recent = g.values[-3:] if g.chance(0.6) else g.values
        x = g.pick(recent)
        rules = [r for r in RULES.values() if r.applies(g, x)]
        weights = np.array([r.weight for r in rules])
        chosen = rules[int(g.rng.choice(len(rules), p=weights / weights.sum()))] if rules else None
        try:
            if chosen is not None:
                apply(g, chosen, x)
                return
        except Stuck:
            continue


def _add_pair(g: Graph, first: Rule, second: Rule) -> None:
    """`first` on a value and `second` on its result, where that can be."""
    for _ in range(30):
        try:
            for y in apply(g, first, g.pick(g.values)):
                for _ in range(4):
                    try:
                        apply(g, second, y)
                        return
                    except Stuck:
                        continue
        except Stuck:
            pass
        _add_any(g)
        if len(g.nodes) > 20:
            return


def _outputs(g: Graph) -> list[Value]:
    """What nothing reads, some of what is read, and now and then an input, a constant or the same value again."""
    read = {name for node in g.nodes for name in node.input}
    made = {name for node in g.nodes for name in node.output}
    last = [v for v in g.values if v.name not in read and v.name in made]
    inner = [v for v in g.values if v.name in read and v.name in made]
    chosen = last[-4:] or inner[-1:]
    chosen += [v for v in inner if g.chance(0.12)][:3]
    if g.chance(0.08):
        chosen.append(g.pick(g.inputs))
    if g.chance(0.08) and not g.batched:
        constants = [v for v in g.info.values() if v.name in g.constants and v.dtype.name in ("float32", "int64")]
        chosen += constants[:1]
    if chosen and g.chance(0.1):
        again = g.pick(chosen)
        chosen.append(g.op("Identity", [again], again.shape))
    if not g.nodes or not any(v.name in made for v in chosen):
        x = g.pick(g.inputs)
        chosen.append(g.op("Identity", [x], x.shape))
    return list({v.name: v for v in chosen}.values())
