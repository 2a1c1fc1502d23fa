"""Data: the shipped set, the XMC repository's text format, a generator."""

from sklearn_xmr.datasets._generator import make_xmr_classification
from sklearn_xmr.datasets._tate import load_tate_subjects
from sklearn_xmr.datasets._xmc_format import dump_xmc_file, load_xmc_file

__all__ = [
    "dump_xmc_file",
    "load_tate_subjects",
    "load_xmc_file",
    "make_xmr_classification",
]
