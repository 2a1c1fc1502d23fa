"""Compile the Cython extensions; everything else is declared in pyproject.toml.

``XMR_DEBUG=1`` switches bounds checks on, ``XMR_SANITIZE=address`` gcc's sanitizers.
``XMR_OPENMP=0`` builds for one thread, as where the compiler has no OpenMP. On Windows,
and with ``XMR_NO_VECTORS=1``, kernels have no vector extensions and are C++ (_simd.h).
``XMR_JOBS`` is the number of files that are compiled at a time (default: one for each
core that this process may use).

What was compiled is kept in ``build/``, in a folder for each set of flags: another
build with the same flags, such as that of an extra, compiles only what has changed, by
the content: pip builds beside a Cython that is new each time, which then writes all C
files again.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import Cython
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
    # Where there is no global lock, importing leaves it so: .ci/platforms free-threaded
    # runs all tests like that.
    "freethreading_compatible": True,
}
OPENMP = os.environ.get("XMR_OPENMP") != "0"
NO_VECTORS = bool(os.environ.get("XMR_NO_VECTORS")) or os.name == "nt"
OPENMP_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() == 0; }"
# -fno-math-errno lets sqrt be one instruction. gcc's unroll-and-jam turns the
# central `out[:] += a * W[idx, :]` loop into scalar code, four times slower.
WANTED_FLAGS = ("-fno-math-errno", "-fno-loop-unroll-and-jam", "-Wno-psabi")


def n_usable_cores():
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


N_JOBS = int(os.environ.get("XMR_JOBS", n_usable_cores()))


def folder_for(*settings):
    """Name of a folder for what these settings make."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:12]


def content_of(ext):
    """A hash of the source of an extension, of all declarations and all headers.

    Not of the C file: Cython writes parts of some in another order each time.
    """
    shared = sorted(Path("sklearn_xmr").rglob("*.pxd")) + HEADERS
    paths = [Path(*ext.name.split(".")).with_suffix(".pyx"), *shared]
    return folder_for(*(path.read_bytes() for path in paths))


HEADERS = sorted(Path("sklearn_xmr").rglob("_*.h"))

# Cython looks at the times of files only, not at its version and directives.
SETTINGS = folder_for(Cython.__version__, DIRECTIVES, NO_VECTORS)
C_FOLDER = Path("build", "cython", SETTINGS)


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

    def flags(self):
        """What to compile with, and what to compile and link with."""
        if self.compiler.compiler_type == "msvc":
            return ["/O2"], []  # not /openmp: our threads are those of POSIX
        openmp = OPENMP and self.accepts(["-fopenmp"], OPENMP_PROBE)
        both = ["-fopenmp"] if openmp else []
        if SANITIZE:
            both += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
        level = "-O1" if SANITIZE else "-O3"  # sanitized at -O3 takes eight minutes
        # -g0: a pyenv Python adds -g, five times the size.
        symbols = "-g" if DEBUG or SANITIZE else "-g0"
        wanted = [flag for flag in WANTED_FLAGS if self.accepts(["-Werror", flag])]
        if NO_VECTORS:
            wanted.append("-DXMR_NO_VECTORS")
        return [level, symbols, *wanted], both

    def build_extensions(self):
        compiling, both = self.flags()
        for ext in self.extensions:
            ext.extra_compile_args = [*compiling, *both]
            ext.extra_link_args = both
        compiler = getattr(self.compiler, "compiler_so", self.compiler.compiler_type)
        how = folder_for(compiler, compiling, both)
        self.kept = Path("build", "kept", SETTINGS, how)
        super().build_extensions()

    def build_extension(self, ext):
        """Compile, unless a module of the same sources is kept."""
        built = Path(self.get_ext_fullpath(ext.name))
        kept = self.kept / f"{ext.name}-{content_of(ext)}{''.join(built.suffixes)}"
        built.unlink(missing_ok=True)  # it may be of other flags
        if kept.exists():
            built.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(kept, built)
            return
        super().build_extension(ext)
        kept.parent.mkdir(parents=True, exist_ok=True)
        for old in self.kept.glob(f"{ext.name}-*"):
            old.unlink()
        part = kept.with_suffix(".part")
        shutil.copy2(built, part)
        part.replace(kept)  # whole or not at all


def extensions():
    """One extension for each .pyx, rebuilt when any header changes."""
    how = {
        "depends": [str(header) for header in HEADERS],
        "language": "c++" if NO_VECTORS else "c",
    }
    return [
        Extension(".".join(path.with_suffix("").parts), [str(path)], **how)
        for path in sorted(Path("sklearn_xmr").rglob("*.pyx"))
    ]


def compiled_modules():
    """The extensions as C files, the longest first: none is left for the end."""
    modules = cythonize(
        extensions(),
        build_dir=str(C_FOLDER),
        compiler_directives=DIRECTIVES,
        nthreads=N_JOBS,
    )
    return sorted(modules, key=lambda ext: -Path(ext.sources[0]).stat().st_size)


setup(
    ext_modules=compiled_modules(),
    cmdclass={"build_ext": BuildExt},
)
