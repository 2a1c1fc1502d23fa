"""Compile the Cython extensions; everything else is declared in pyproject.toml.

``XMR_DEBUG=1`` switches bounds checks on, ``XMR_SANITIZE=address`` gcc's sanitizers
(remove ``build/`` first: a changed directive rebuilds nothing by itself).
"""

import os
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

DEBUG = bool(os.environ.get("XMR_DEBUG"))
SANITIZE = os.environ.get("XMR_SANITIZE")
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "freethreading_compatible": True,
}
OPENMP_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() == 0; }"
# -fno-math-errno lets sqrt be one instruction. gcc's unroll-and-jam turns the
# central `out[:] += a * W[idx, :]` loop into scalar code, four times slower.
WANTED_FLAGS = ("-fno-math-errno", "-fno-loop-unroll-and-jam", "-Wno-psabi")
N_JOBS = os.cpu_count() or 1


class BuildExt(build_ext):
    """Build with the flags and the OpenMP that this compiler accepts."""

    def finalize_options(self):
        super().finalize_options()
        # setup.cfg's [build_ext] parallel is ignored by editable installs.
        self.parallel = self.parallel or N_JOBS

    def accepts(self, flags, code="int main(void) { return 0; }"):
        """Whether a program compiles and links with these flags."""
        with tempfile.TemporaryDirectory() as tmp:
            source = Path(tmp, "probe.c")
            source.write_text(code)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=tmp, extra_postargs=flags
                )
                self.compiler.link_executable(
                    objects, "probe", output_dir=tmp, extra_postargs=flags
                )
            except (CompileError, LinkError):
                return False
        return True

    def build_extensions(self):
        openmp = ["-fopenmp"] if self.accepts(["-fopenmp"], OPENMP_PROBE) else []
        flags = [flag for flag in WANTED_FLAGS if self.accepts(["-Werror", flag])]
        stops = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
        both = [*openmp, *stops] if SANITIZE else openmp
        level = "-O1" if SANITIZE else "-O3"  # sanitized at -O3 takes eight minutes
        # -g0: a pyenv Python adds -g, five times the size.
        symbols = "-g" if DEBUG or SANITIZE else "-g0"
        for ext in self.extensions:
            ext.extra_compile_args = [level, symbols, *flags, *both]
            ext.extra_link_args = both
        super().build_extensions()


def extensions():
    """One extension for each .pyx, rebuilt when any header changes."""
    headers = [str(header) for header in Path("sklearn_xmr").rglob("_*.h")]
    return [
        Extension(".".join(path.with_suffix("").parts), [str(path)], depends=headers)
        for path in sorted(Path("sklearn_xmr").rglob("*.pyx"))
    ]


setup(
    ext_modules=cythonize(
        extensions(),
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
        nthreads=N_JOBS,
    ),
    cmdclass={"build_ext": BuildExt},
)
