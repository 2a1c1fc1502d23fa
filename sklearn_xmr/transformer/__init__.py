"""Stages 2 and 3 on texts: a transformer encoder as matcher, XR-Linear as ranker.

Needs torch and transformers: ``pip install 'sklearn-xmr[transformer]'``. They are
imported when a model is fitted, not with the package.
"""

from sklearn_xmr.transformer._fine_tuning import FineTuning
from sklearn_xmr.transformer._static import StaticEmbedder
from sklearn_xmr.transformer._x_transformer import XTransformerClassifier

__all__ = ["FineTuning", "StaticEmbedder", "XTransformerClassifier"]
