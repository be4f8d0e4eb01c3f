"""The C interface of a compiled model: its public header, the header for tools, and the glue to the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...ir.names import encode_name, identifier
from .manifest import PortInfo, prefix_of

if TYPE_CHECKING:
    from ...ir.program import Port

DEFINITION = "tercet_model_definition"
STATUSES = (
    ("OK", "TERCET_OK", "fine"),
    ("BAD_ARGUMENT", "TERCET_BAD_ARGUMENT", "a null pointer, a batch the model does not take, threads not in 1..1024"),
    ("NO_MEMORY", "TERCET_NO_MEMORY", "out of memory"),
    ("NO_THREAD", "TERCET_NO_THREAD", "no worker threads: the system gives none, or this is a fork of the creator"),
    ("WRONG_CPU", "TERCET_WRONG_CPU", "the CPU or the system lacks a feature of the target; see manifest.json"),
)  # fmt: skip

PUBLIC = """\
/* {title}: a model compiled by tercet.
 *
 *     struct {p}_model *model;
 *     int status = {p}_create(&model, 1);
 *     if (status == {P}_OK) {{
 *         const void *inputs[{P}_INPUTS] = {{...}};
 *         void *outputs[{P}_OUTPUTS] = {{...}};
 *         status = {p}_run(model, 1, inputs, outputs);
 *         {p}_destroy(model);
 *     }}
 *
 * Tensors are dense and row-major, at any address; input values must lie in the ranges below. {batch}
 * A model keeps its whole state in its `struct {p}_model`: any number of models may run at the same time, but each in
 * only one run at a time. Nothing is allocated during a run.
 */
#ifndef TERCET_MODEL_{P}_H
#define TERCET_MODEL_{P}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

struct {p}_model;

enum {p}_status {{
{statuses}
}};

#define {P}_INPUTS {inputs}
#define {P}_OUTPUTS {outputs}

{ports}

/* Makes a model that computes on `threads` threads (1..1024), including the calling one, or on fewer where the caller
 * may use fewer processors. Allocates all memory it needs. On failure *model is NULL and nothing stays allocated.
 * The CPU is checked first: one that cannot run the model gets {P}_WRONG_CPU before any instruction that it lacks.
 * Returns an enum {p}_status, like {p}_run. */
int {p}_create(struct {p}_model **model, int threads);

/* Computes {P}_OUTPUTS outputs from {P}_INPUTS inputs, in the order of the numbers above, for `batch` samples that
 * lie one after the other. {run_batch} Results do not depend on batch and threads. */
int {p}_run(struct {p}_model *model, int64_t batch, const void *const *inputs, void *const *outputs);

/* Frees a model. NULL is allowed. */
void {p}_destroy(struct {p}_model *model);

/* A status in words; never NULL. */
const char *{p}_status_text(int status);

/* The name of the target whose code the model runs: the best of those it was compiled for that this CPU can run. */
const char *{p}_target(const struct {p}_model *model);

/* Bytes of one sample of an input or output by its number; -1 for other numbers. */
int64_t {p}_input_bytes(int index);
int64_t {p}_output_bytes(int index);

#ifdef __cplusplus
}}
#endif

#endif
"""

TOOLS = """\
/* Functions of {title} for tools (profiles, per-layer checks). They may change with every version of tercet. */
#ifndef TERCET_MODEL_{P}_TOOLS_H
#define TERCET_MODEL_{P}_TOOLS_H

#include "{p}.h"

#ifdef __cplusplus
extern "C" {{
#endif

/* Like {p}_run for the first `steps` steps only (all when negative). Adds the seconds of every step that was run to
 * seconds[step], when that is not NULL. An output is defined once the step that writes it has run. */
int {p}_run_steps(struct {p}_model *model, int64_t batch, const void *const *inputs, void *const *outputs, int steps,
    double *seconds);

int {p}_step_count(const struct {p}_model *model);

/* The threads that runs actually use: no more than the processors the caller could use when it made the model. */
int {p}_threads(const struct {p}_model *model);

/* Where intermediate results are after a run, and the bytes there; see layers.json. */
const unsigned char *{p}_arena(const struct {p}_model *model);
int64_t {p}_arena_bytes(const struct {p}_model *model);

#ifdef __cplusplus
}}
#endif

#endif
"""

GLUE = """\
/* The functions of {p}.h and {p}_tools.h, on top of the runtime. These alone are visible outside the library. */
#include "tercet_runtime.h"

#pragma GCC visibility push(default)
#include "{p}_tools.h"
#pragma GCC visibility pop

{definitions}

{asserts}

/* A struct {p}_model is a struct tercet_model under its public name. */
static struct tercet_model *inner(struct {p}_model *model) {{ return (struct tercet_model *)model; }}
static const struct tercet_model *seen(const struct {p}_model *model) {{ return (const struct tercet_model *)model; }}

int {p}_create(struct {p}_model **model, int threads) {{
    struct tercet_model *created = NULL;
    int status = model ? tercet_create(tercet_choose(definitions), threads, &created) : TERCET_BAD_ARGUMENT;
    if (model) {{
        *model = (struct {p}_model *)created;
    }}
    return status;
}}

int {p}_run(struct {p}_model *model, int64_t batch, const void *const *inputs, void *const *outputs) {{
    return tercet_run(inner(model), batch, inputs, outputs, -1, NULL);
}}

void {p}_destroy(struct {p}_model *model) {{ tercet_destroy(inner(model)); }}

const char *{p}_status_text(int status) {{ return tercet_status_text(status); }}

const char *{p}_target(const struct {p}_model *model) {{ return tercet_definition_of(seen(model))->target; }}

int64_t {p}_input_bytes(int index) {{
    return index >= 0 && index < definitions[0]->input_count ? definitions[0]->input_bytes[index] : -1;
}}

int64_t {p}_output_bytes(int index) {{
    return index >= 0 && index < definitions[0]->output_count ? definitions[0]->output_bytes[index] : -1;
}}

int {p}_run_steps(struct {p}_model *model, int64_t batch, const void *const *inputs, void *const *outputs, int steps,
    double *seconds) {{
    return tercet_run(inner(model), batch, inputs, outputs, steps, seconds);
}}

int {p}_step_count(const struct {p}_model *model) {{ return tercet_definition_of(seen(model))->step_count; }}

int {p}_threads(const struct {p}_model *model) {{ return tercet_threads(seen(model)); }}

const unsigned char *{p}_arena(const struct {p}_model *model) {{ return tercet_arena(seen(model)); }}

int64_t {p}_arena_bytes(const struct {p}_model *model) {{ return tercet_definition_of(seen(model))->arena_bytes; }}
"""


DEFINITIONS = """\
#pragma GCC visibility push(hidden)
{declared}
#pragma GCC visibility pop

/* The model as it is for each target, the best one first. Inputs and outputs are the same for all. */
static const struct tercet_definition *const definitions[] = {{{listed}, NULL}};"""


def public_header(name: str, inputs: Sequence[Port], outputs: Sequence[Port], *, batched: bool) -> str:
    """The text of `include/PREFIX.h`, for C and C++, of a model of this name and with these ports."""
    p = prefix_of(name)
    described = {"INPUT": [PortInfo.of(port) for port in inputs], "OUTPUT": [PortInfo.of(port) for port in outputs]}
    one = "The batch must be 1."
    return PUBLIC.format(
        p=p,
        P=p.upper(),
        title=comment_text(name),
        batch="N is the batch." if batched else one,
        run_batch="A batch of 0 is fine." if batched else one,
        statuses="\n".join(f"    {p.upper()}_{s} = {i}, /* {text} */" for i, (s, _, text) in enumerate(STATUSES)),
        inputs=len(inputs),
        outputs=len(outputs),
        ports="".join(_port_macros(p.upper(), side, ports, batched) for side, ports in described.items()).rstrip("\n"),
    )


def tools_header(name: str) -> str:
    """The text of `PREFIX_tools.h`: functions for the loader and other tools, not part of the public interface."""
    return TOOLS.format(p=prefix_of(name), P=prefix_of(name).upper(), title=comment_text(name))


def glue(name: str, definitions: Sequence[str] = (DEFINITION,)) -> str:
    """The text of the C file that defines the functions of both headers.

    It includes tercet_runtime.h and PREFIX_tools.h, and refers to hidden definitions of the model, one for each target,
    the best one first.
    """
    p = prefix_of(name)
    asserts = "\n".join(
        f'_Static_assert((int){p.upper()}_{s} == (int){t}, "as in the runtime");' for s, t, _ in STATUSES
    )
    return GLUE.format(p=p, definitions=listed_definitions(definitions), asserts=asserts)


def listed_definitions(definitions: Sequence[str]) -> str:
    """C that declares the hidden definitions of a model and lists them as `definitions`."""
    declared = "\n".join(f"extern const struct tercet_definition {one};" for one in definitions)
    return DEFINITIONS.format(declared=declared, listed=", ".join(f"&{one}" for one in definitions))


def comment_text(name: str) -> str:
    """A source name that cannot end the comment it stands in."""
    return encode_name(name).replace("*", "%2A").replace("//", "/%2F")


def c_type(stored: str) -> str:
    return "float" if stored == "float32" else f"{stored}_t"


def _port_macros(prefix: str, side: str, ports: Sequence[PortInfo], batched: bool) -> str:
    taken: set[str] = set()
    return "".join(_one_port(f"{prefix}_{side}_", i, port, batched, taken) + "\n" for i, port in enumerate(ports))


def _one_port(stem: str, index: int, port: PortInfo, batched: bool, taken: set[str]) -> str:
    shape = [str(d) for d in port.shape]
    shown = ", ".join(["N", *shape[1:]] if batched else shape)
    values = "" if port.range is None else f", values {port.range[0]}..{port.range[1]}"
    name = f"{stem}{identifier(port.name).upper() or index}"
    macros = {
        "": str(index),
        "_TYPE": c_type(port.stored),
        "_BYTES": f"{port.bytes} /* of one sample */",
        "_RANK": str(len(shape)),
        "_SHAPE": f"{{{', '.join(shape) or '1'}}}",
    }
    if any(name + suffix in taken for suffix in macros):
        name += f"_{index}"
    taken.update(name + suffix for suffix in macros)
    title = (
        f'/* "{comment_text(port.name)}": {c_type(port.stored)} [{shown}]{values}; {port.dtype} in the source model */'
    )
    return "\n".join([title, *(f"#define {name}{suffix} {value}" for suffix, value in macros.items())]) + "\n"
