"""The parts of the build that a table cannot say: the repository root itself is the package `tercet`."""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOMS = ("ir", "frontend", "passes", "backends", "runtime", "driver", "cli", "integrations")
OUTSIDE = ("tests*", "benchmarks*", "build*", "examples*", "docs*")  # in the repository, never in a wheel
DATA = [f"**/*.{end}" for end in ("h", "c", "S", "cmake.in", "pc.in", "toml")]  # *.tmpl.c is a *.c


class BuildWithoutTools(build_py):
    """The root holds files that are no part of the package."""

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if module[1] not in ("setup", "conftest")]


setup(
    package_dir={"tercet": "."},
    packages=["tercet", *("tercet." + name for name in find_packages(exclude=OUTSIDE))],
    # room by room: the same patterns on the root would sweep in tests, .venv and build
    package_data={"tercet": ["py.typed"]} | {f"tercet.{room}": DATA for room in ROOMS},
    cmdclass={"build_py": BuildWithoutTools},
)
