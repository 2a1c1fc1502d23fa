"""Answers in their thesaurus: what stands where, in which language, and escaped."""

import json
import re

import numpy as np
import pytest

from sklearn_xmr import (
    LabelNamesClassifier,
    Thesaurus,
    XRHierarchyClassifier,
    XRLinearClassifier,
    XRNeighborsClassifier,
)
from sklearn_xmr.inspection import ThesaurusView, view_in_thesaurus

IDS = ["cat", "oak", "pet", "animal", "plant"]
THESAURUS = Thesaurus(
    IDS,
    # A cat is a pet and an animal; a pet is an animal; an oak is a plant.
    [[0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0] * 5, [0] * 5],
    {"en": IDS, "fi": ["kissa", "", "", "eläin", ""]},
)
X = np.eye(3, 2)
Y = [[1, 0], [0, 1], [0, 0]]


@pytest.fixture(scope="module")
def clf():
    return XRLinearClassifier(random_state=0).fit(X, Y)


def view(model, *args, **options):
    return view_in_thesaurus(model, X[:1], *args, open_browser=False, **options)


def names(terms):
    return {term["name"]: names(term["narrower"]) for term in terms}


def test_the_tree_of_answers(clf):
    found = view(clf, THESAURUS, k=1)
    assert isinstance(found, ThesaurusView) and repr(found) == "ThesaurusView(4 terms)"
    # Under two terms: what is below a term is shown in the first place only.
    assert names(found.to_dict()) == {"animal": {"pet": {"cat": {}}, "cat": {}}}
    _, scores = clf.predict_topk(X[:1], 1)
    (animal,) = found.to_dict()
    assert animal["score"] is None and not animal["true"]
    cats = [animal["narrower"][0], animal["narrower"][1]["narrower"][0]]
    assert all(cat["score"] == scores[0, 0] and cat["id"] == "cat" for cat in cats)
    lines = str(found).splitlines()
    assert [line[8:] for line in lines] == ["animal", "  cat", "  pet", "    cat"]
    assert lines[0][:6].strip() == ""
    assert float(lines[-1][:6]) == pytest.approx(scores[0, 0], abs=1e-4)


def test_best_first_with_true_labels_in_a_language(clf):
    found = view(clf, THESAURUS, k=2, true_labels=[0, "plant"], language="fi")
    assert list(names(found.to_dict())) == ["eläin", "plant"]
    assert "kissa ✓" in str(found) and "plant ✓" in str(found)
    assert "✓" not in str(view(clf, THESAURUS, k=2))
    with pytest.raises(ValueError, match="language"):
        view(clf, THESAURUS, language="de")


def test_of_models_with_names_and_with_a_thesaurus():
    named = LabelNamesClassifier(XRLinearClassifier(random_state=0))
    named.fit(X, [["oak"], ["cat"], ["cat"]])
    assert names(view(named, THESAURUS, k=2).to_dict())["plant"] == {"oak": {}}
    classes = XRLinearClassifier(random_state=0).fit(X, ["plant", "cat", "cat"])
    assert names(view(classes, THESAURUS, k=2).to_dict())["plant"] == {}
    own = XRHierarchyClassifier(XRLinearClassifier(), thesaurus=THESAURUS)
    own.fit(X, THESAURUS.with_ancestors(Y))
    (animal,) = view(own, k=3).to_dict()
    assert animal["score"] >= animal["narrower"][0]["score"] > 0
    outer = LabelNamesClassifier(own, classes=IDS).fit(X, [["cat"], ["oak"], []])
    assert "animal" in names(view(outer, k=3).to_dict())


def test_of_no_answer():
    nearest = XRNeighborsClassifier().fit(X, Y)
    found = view_in_thesaurus(nearest, X[2:], THESAURUS, open_browser=False)
    assert str(found) == "" and found.to_dict() == []


def test_wrong_arguments(clf):
    with pytest.raises(TypeError, match="thesaurus must be a Thesaurus.*NoneType"):
        view(clf)
    with pytest.raises(ValueError, match="X must hold one instance, got 3"):
        view_in_thesaurus(clf, X, THESAURUS)
    with pytest.raises(ValueError, match="k must be an integer"):
        view(clf, THESAURUS, k=0)
    with pytest.raises(ValueError, match="0 to 4, found 7"):
        view(clf, THESAURUS, true_labels=[7])
    with pytest.raises(ValueError, match="'dog'"):
        view(clf, THESAURUS, true_labels=["dog"])
    with pytest.raises(ValueError, match="0 to 0, found 1"):
        view(clf, Thesaurus.from_parents([-1]), k=2)


def test_names_are_data_not_html(clf, tmp_path):
    bad = "</script><script>alert(1)</script><!--"
    thesaurus = Thesaurus.from_parents([-1, -1], names=[bad, "b"])
    path = tmp_path / "page.html"
    found = view(clf, thesaurus, path=path)
    assert "alert(1)</script>" not in found.html and path.read_text("utf-8")
    inside = re.search(r"const data = (.*);\n", found.html)[1]
    data = json.loads(inside)
    assert data["terms"][0]["name"] == bad and data["terms"] == found.to_dict()
    assert "srcdoc" in found._repr_html_()
