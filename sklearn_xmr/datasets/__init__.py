"""Data: the shipped set, own files, public benchmarks, a generator, large matrices."""

from sklearn_xmr.datasets._csr_folder import CSRWriter, open_csr, write_csr
from sklearn_xmr.datasets._generator import make_xmr_classification
from sklearn_xmr.datasets._labelled_texts import load_labelled_texts
from sklearn_xmr.datasets._tate import load_tate_subjects, load_tate_thesaurus
from sklearn_xmr.datasets._xmc_base import fetch_xmc_base
from sklearn_xmr.datasets._xmc_format import dump_xmc_file, load_xmc_file

__all__ = [
    "CSRWriter",
    "dump_xmc_file",
    "fetch_xmc_base",
    "load_labelled_texts",
    "load_tate_subjects",
    "load_tate_thesaurus",
    "load_xmc_file",
    "make_xmr_classification",
    "open_csr",
    "write_csr",
]
