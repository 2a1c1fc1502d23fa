"""Links from an estimator's diagram in a notebook to its documentation page."""

import os
import sys


class DocLinkMixin:
    """The "?" of an estimator's HTML representation links to its page.

    The documentation has no public address yet: it is built from the repository. The
    environment variable ``SKLEARN_XMR_DOC_URL`` holds its address, for example
    ``file:///home/me/doc/_build/html``. Without it there is no link.
    """

    _doc_link_module = "sklearn_xmr"

    @property
    def _doc_link_template(self):
        return os.environ.get("SKLEARN_XMR_DOC_URL", "")

    def _get_doc_link(self):
        """Address of the class's page (str), empty if not known."""
        home, name = self._doc_link_template.rstrip("/"), type(self).__name__
        package, part, *_ = [*type(self).__module__.split("."), ""]
        if not home or package != self._doc_link_module:
            return ""
        is_flat = name in sys.modules[package].__all__
        path = f"{package}.{name}" if is_flat else f"{package}.{part}.{name}"
        return f"{home}/generated/{path}.html"
