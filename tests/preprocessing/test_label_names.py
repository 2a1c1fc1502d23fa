"""Label names to indicators and back."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MultiLabelBinarizer

from sklearn_xmr import LabelNamesClassifier, XRLinearClassifier
from sklearn_xmr.preprocessing import LabelNameBinarizer

NAMES = st.lists(st.lists(st.text(max_size=3), max_size=5), min_size=1, max_size=12)


@given(NAMES)
@settings(max_examples=200, deadline=None)
def test_equal_to_scikit_learn(y):
    if not any(y):
        with pytest.raises(ValueError, match="nothing to learn"):
            LabelNameBinarizer().fit(y)
        return
    binarizer, theirs = LabelNameBinarizer(), MultiLabelBinarizer(sparse_output=True)
    Y, expected = binarizer.fit_transform(y), theirs.fit_transform(y)
    assert (Y != expected).nnz == 0 and Y.has_canonical_format
    assert Y.dtype == expected.dtype == np.int64
    np.testing.assert_array_equal(binarizer.classes_, theirs.classes_)
    back = binarizer.inverse_transform(Y)
    assert [set(names) for names in back] == [set(names) for names in y]
    assert (binarizer.transform(back) != Y).nnz == 0


def test_order_of_given_names_and_unknown_ones():
    binarizer = LabelNameBinarizer(["sea", "air"]).fit([])
    assert binarizer.transform([["air"], ("sea", "air"), set()]).toarray().tolist() == [
        [0, 1],
        [1, 1],
        [0, 0],
    ]
    with pytest.raises(ValueError, match="'fire' in row 1, which has no column"):
        binarizer.transform([["sea"], ["fire"]])
    with pytest.raises(ValueError, match="'fire' in row 0"):
        binarizer.fit_transform([["fire"]])
    passing = clone(binarizer).set_params(handle_unknown="ignore").fit([])
    assert passing.transform([["fire", "sea"]]).toarray().tolist() == [[1, 0]]


def test_rare_names_are_left_out():
    y = [["sea", "ship"], ["sea"], ["sea", "ship", "sea"]]
    binarizer = LabelNameBinarizer(min_count=2)
    assert binarizer.fit_transform([*y, ["gull"]]).shape == (4, 2)
    assert binarizer.classes_.tolist() == ["sea", "ship"]
    with pytest.raises(ValueError, match="'gull'"):
        binarizer.transform([["gull"]])


def test_names_of_rankings():
    binarizer = LabelNameBinarizer().fit([["a", "b", "c"]])
    assert binarizer.names_of([[2, 0, -1], [-1, -1, -1]]) == [["c", "a"], []]
    with pytest.raises(ValueError, match="must lie in -1 to 2, found 0 to 3"):
        binarizer.names_of([[0, 3]])
    with pytest.raises(ValueError, match="2-D array of label numbers"):
        binarizer.names_of([0.5])


def test_pairs_as_names():
    y = [[("a", 1)], [("b", 2), ("a", 1)]]
    binarizer = LabelNameBinarizer().fit(y)
    assert binarizer.classes_.tolist() == [("a", 1), ("b", 2)]
    assert binarizer.inverse_transform(binarizer.transform(y))[0] == [("a", 1)]


def test_mixed_names_and_pairs():
    y = [[1, "one"], [("a", 2)], ["one"]]
    binarizer = LabelNameBinarizer().fit(y)
    assert binarizer.inverse_transform(binarizer.transform(y))[1] == [("a", 2)]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ("sea", TypeError, "a sequence of collections"),
        (3, TypeError, "a sequence of collections"),
        (["sea;ship"], TypeError, "say what separates them"),
        ([["sea"], 7], TypeError, "row 1 is 7"),
    ],
)
def test_bad_input(y, error, message):
    with pytest.raises(error, match=message):
        LabelNameBinarizer().fit(y)


def test_names_are_taken_by_position():
    pandas = pytest.importorskip("pandas")
    names = pandas.Series(["sea", "air"], index=[7, 0])
    binarizer = LabelNameBinarizer(names).fit([])
    assert binarizer.classes_.tolist() == ["sea", "air"]
    assert binarizer.transform([["air"]]).toarray().tolist() == [[0, 1]]


def test_one_state_at_a_time():
    binarizer = LabelNameBinarizer()
    for use in (binarizer.transform, binarizer.inverse_transform, binarizer.names_of):
        with pytest.raises(NotFittedError):
            use([[0]])
    binarizer.fit([["sea", "air"]])
    before = dict(vars(binarizer))
    with pytest.raises(TypeError, match="say what separates them"):
        binarizer.fit([["fire"], "ice"])
    assert vars(binarizer) == before
    binarizer.set_params(handle_unknown="ignore")
    assert binarizer.transform(y=[["fire", "sea"]]).nnz == 1
    binarizer.set_params(handle_unknown="pass")
    with pytest.raises(ValueError, match="The 'handle_unknown' parameter"):
        binarizer.transform([["sea"]])


def test_bad_vocabulary_and_indicator():
    with pytest.raises(ValueError, match="classes must hold at least one name"):
        LabelNameBinarizer([]).fit([["a"]])
    with pytest.raises(ValueError, match="different names, but has 'sea' twice"):
        LabelNameBinarizer(["sea", "sea"]).fit([])
    with pytest.raises(ValueError, match="Y must have 2 columns"):
        LabelNameBinarizer().fit([["a", "b"]]).inverse_transform([[1, 0, 1]])


def test_names_are_added_behind_the_others():
    binarizer = LabelNameBinarizer(classes=["ship", "sea"]).fit([])
    assert binarizer.extend(["air", "man"]) is binarizer
    assert binarizer.classes_.tolist() == ["ship", "sea", "air", "man"]
    assert binarizer.transform([["man", "ship"]]).toarray().tolist() == [[1, 0, 0, 1]]
    before = dict(vars(binarizer))
    for names, error, message in [
        (["new", "sea"], ValueError, "names must be new, but 'sea' has column 1"),
        (["new", "new"], ValueError, "different names, but has 'new' twice"),
        ([], ValueError, "at least one name"),
        ("fire", TypeError, "must be a sequence of names, got 'fire'"),
    ]:
        with pytest.raises(error, match=message):
            binarizer.extend(names)
        assert vars(binarizer) == before
    with pytest.raises(NotFittedError):
        LabelNameBinarizer().extend(["sea"])


def test_names_of_takes_what_predict_topk_returns():
    binarizer = LabelNameBinarizer().fit([["sea", "air"]])
    topk = np.array([[1, 0], [0, -1]]), np.array([[0.9, 0.5], [0.4, 0.0]])
    assert binarizer.names_of(topk) == binarizer.names_of(topk[0])
    assert binarizer.names_of([[1, 0], [0, -1]]) == [["sea", "air"], ["air"]]
    assert binarizer.names_of(([1, 0], [0, -1])) == [["sea", "air"], ["air"]]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_names_in_other_libraries(library):
    library = pytest.importorskip(library)
    make = library.Series if hasattr(library, "Series") else library.array
    y = make([["sea", "ship"], ["air"], []])
    binarizer, usual = LabelNameBinarizer(), LabelNameBinarizer()
    Y = usual.fit_transform([["sea", "ship"], ["air"], []])
    np.testing.assert_array_equal(binarizer.fit_transform(y).toarray(), Y.toarray())
    assert binarizer.transform([["sea"]]).toarray().tolist() == [[0, 1, 0]]
    assert all(type(name) is str for name in binarizer.classes_)
    given = LabelNameBinarizer(classes=make(["ship", "sea", "air"])).fit(y)
    assert given.classes_.tolist() == ["ship", "sea", "air"]


def test_binarizers_saved_under_the_old_name_of_a_parameter():
    state = LabelNameBinarizer(["sea"]).fit([]).__getstate__()
    state["names"] = state.pop("classes")
    binarizer = LabelNameBinarizer.__new__(LabelNameBinarizer)
    binarizer.__setstate__(state)
    assert binarizer.get_params()["classes"] == ["sea"] and "names" not in vars(
        binarizer
    )


def test_a_separator_that_splits_nothing_is_told():
    y = ["sea, ship", "sea, air", "air, ship", "fire"]
    message = "separator=';' splits 0 of the 4 rows with labels in y, but 3 contain ','"
    with pytest.warns(UserWarning, match=message):
        LabelNameBinarizer(separator=";").fit(y)
    with pytest.warns(UserWarning, match=message):
        LabelNamesClassifier(XRLinearClassifier(), separator=";").fit(np.eye(4), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LabelNameBinarizer(separator=",").fit(y)
        LabelNameBinarizer(separator=";").fit(["sea", "ship", "air, fire"])
