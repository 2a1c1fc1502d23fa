"""Texts to labels with the features that have paid: a pipeline made in one call."""

import numpy as np
from sklearn.pipeline import FeatureUnion, Pipeline

from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.linear import XRLinearClassifier
from sklearn_xmr.utils._typing import Estimator

# What stands beside the words, how much it weighs, and from how many texts on; the
# threshold at which the model is as large as that of words alone. Chosen on held-out
# training rows of three sets: benchmarks/RESULTS.md, "From texts".
BESIDE = {
    "short": ({"pairs": {"ngram_range": (2, 2)}}, 0.4, 10, 0.17),
    "long": (
        {
            "beginnings5": {"token_pattern": r"(?u)\b\w{5}"},
            "beginnings8": {"token_pattern": r"(?u)\b\w{8}"},
        },
        0.7,
        5,
        0.12,
    ),
}


def make_text_classifier(
    texts: str = "short",
    classifier: Estimator = None,
    *,
    min_df: float = 2,
    beside_min_df: float | None = None,
) -> Pipeline:
    """Make a pipeline that ranks labels by words and further features beside them.

    What stands beside the words weighs less, so that it helps where words alone do not
    decide and never takes their place:

    - pairs of words, for short texts such as titles and queries: a "white house" is
      neither any house nor anything white;
    - beginnings of words, five and eight characters, for long texts such as abstracts,
      above all in languages that inflect and compound words: "Bibliotheken" and
      "Bibliothekswesen" begin alike.

    Parameters
    ----------
    texts : {"short", "long"}, default="short"
        What the texts are like: "short" adds pairs of words, "long" beginnings.
    classifier : estimator, default=None
        What ranks the features. None means an :class:`XRLinearClassifier` whose
        ``weight_threshold`` makes the model about as large as that of words alone
        with the default threshold.
    min_df : int or float, default=2
        Words of fewer texts are left out, as in scikit-learn's vectorizers.
    beside_min_df : int or float, default=None
        The same for what stands beside them; None means 10 for pairs, which are many,
        and 5 for beginnings.

    Returns
    -------
    Pipeline
        Unfitted, with the steps "features" (a FeatureUnion) and "classifier".

    Raises
    ------
    ValueError
        If ``texts`` is neither.

    See Also
    --------
    LabelNamesClassifier : Put it around the pipeline for names in and names out.
    topk_predictor : From one text to its labels, also through this pipeline.

    Notes
    -----
    The user guide has what it brings on three sets, and at which price.

    Examples
    --------
    >>> from sklearn_xmr import make_text_classifier, predict_topk
    >>> texts = ["the white house", "a white horse", "the horse house", "a house"]
    >>> Y = [[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]]
    >>> model = make_text_classifier(min_df=1, beside_min_df=1)
    >>> model = model.set_params(classifier__random_state=0).fit(texts, Y)
    >>> labels, scores = predict_topk(model, ["the white house"], k=1)
    >>> int(labels[0, 0])
    0
    """
    if texts not in BESIDE:
        raise ValueError(f"texts must be one of {sorted(BESIDE)}, got {texts!r}")
    beside, weight, default_min_df, threshold = BESIDE[texts]
    if classifier is None:
        classifier = XRLinearClassifier(weight_threshold=threshold)
    if beside_min_df is None:
        beside_min_df = default_min_df
    features = FeatureUnion(
        [
            ("words", _tfidf(min_df)),
            *((name, _tfidf(beside_min_df, **how)) for name, how in beside.items()),
        ],
        transformer_weights=dict.fromkeys(beside, weight),
    )
    return Pipeline([("features", features), ("classifier", classifier)])


def _tfidf(min_df, **how):
    return TfidfVectorizer(min_df=min_df, sublinear_tf=True, dtype=np.float32, **how)
