"""Projects of Annif with the backend of examples/annif, on a few of Tate's artworks."""

import importlib.util
import os
import sys

import pytest
from annif_files import EXAMPLE, write_corpus, write_projects


@pytest.fixture(scope="session")
def nltk_data(tmp_path_factory):
    """A folder with the sentence tokenizer that Annif's analyzers ask NLTK for.

    Annif would download NLTK's. This one has learnt no abbreviations, which only
    matters where a sentence ends.
    """
    import nltk.data
    from nltk.tokenize.punkt import PunktParameters, save_punkt_params

    folder = tmp_path_factory.mktemp("nltk")
    english = folder / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True)
    save_punkt_params(PunktParameters(), dir=str(english))
    nltk.data.path.insert(0, str(folder))
    yield folder
    nltk.data.path.remove(str(folder))


@pytest.fixture(scope="session")
def module(nltk_data):
    """The example, imported; it registers the backend."""
    spec = importlib.util.spec_from_file_location("annif_xmr", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["annif_xmr"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tate(tmp_path_factory):
    """The folder of vocabulary and corpus, the texts, and the names of subjects."""
    return write_corpus(tmp_path_factory.mktemp("tate"))


@pytest.fixture
def make_project(module, tate, tmp_path):
    """A function from settings to a project with its vocabulary."""
    from annif.registry import AnnifRegistry
    from annif.vocab import VocabFileCSV

    def make(**settings):
        path = write_projects(tmp_path, **settings)
        registry = AnnifRegistry(str(path), str(tmp_path / "data"), False)
        project = registry.get_project("tate-xmr")
        project.vocab.load_vocabulary(VocabFileCSV(str(tate.folder / "tate.csv")))
        return project

    return make


@pytest.fixture
def corpus(tate):
    """A function from a part's name, and a project, to Annif's corpus of it."""
    from annif.corpus import DocumentFileTSV

    def read(part, project):
        return DocumentFileTSV(str(tate.folder / f"{part}.tsv"), project.subjects)

    return read


@pytest.fixture(scope="session")
def environment(nltk_data):
    """A function from a folder to the variables of a command of Annif in it."""

    def of(folder):
        return {
            **os.environ,
            "ANNIF_PROJECTS": str(folder / "projects.cfg"),
            "ANNIF_DATADIR": str(folder / "data"),
            "ANNIF_CONFIG": "annif.default_config.Config",
            "NLTK_DATA": str(nltk_data),
        }

    return of
