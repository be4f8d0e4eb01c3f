"""The kernel dialect `kn`: which engine computes what, in which layout, and where it lies in memory."""

from xdsl.ir import Dialect

from . import kernel, layout

KN = Dialect("kn", kernel.OPS, [*layout.LAYOUTS, layout.MapType])
