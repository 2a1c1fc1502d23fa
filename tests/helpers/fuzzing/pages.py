"""Names and texts with markup: pages and plots show them, and are otherwise the same.

A case is JSON: a list of names, of which the first is also the text.
"""

import json
import re
from functools import cached_property
from html.parser import HTMLParser

from sklearn.pipeline import make_pipeline

from fuzzing.files import Case, FileKind, require
from fuzzing.model_files import TEXTS, Y
from sklearn_xmr import XRLinearClassifier
from sklearn_xmr.feature_extraction.text import TfidfVectorizer
from sklearn_xmr.inspection import (
    LabelTreeDisplay,
    SearchPathDisplay,
    explain,
    search_path,
    view_label_tree,
    view_search_path,
)

try:
    import matplotlib

    matplotlib.use("Agg")
except ImportError:
    matplotlib = None

N = Y.shape[1]
WORDS = (
    *("<b>", "</script>", "<script>alert(1)</script>", "<!--", "-->", "]]>", "&lt;"),
    *("&", '"', "'", "`", "\\", "\\u003c", "${x}", "{{x}}", "/* DATA */null", "%s"),
    *("/* STYLE */", "\n", "\r", "\t", "\0", "\u2028", "\u2029", "\ud800", "\udfff"),
    *("$\\frac$", "$", "$$", "\\alpha", "\u202e", "\ufeff", "\x1b[31m", "javascript:"),
    *("<img src=x onerror=alert(1)>", "</iframe>", "&quot;", "&#34;", "😀", "ß", ""),
    *("</style>", "<svg/onload=1>", "\x85", "\x7f", "a" * 3000, "red", "bird"),
)
SHARE_OF_PLOTS = 0.01  # the run of a plot takes as long as that of a hundred pages


class Elements(HTMLParser):
    """Elements of a page with the names of their attributes, and the scripts."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.attributes = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, sorted(name for name, _ in attrs)))
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        if self.lasttag == "script":
            self.scripts.append(data)

    def handle_comment(self, data):
        self.elements.append("comment")


class Pages(FileKind):
    """Pages of the label tree and of a search path; plots now and then."""

    seeds = [Case("names.json", json.dumps([f"name {n}" for n in range(N)]).encode())]

    @cached_property
    def model(self):
        """A fitted pipeline of texts."""
        words = TfidfVectorizer()
        return make_pipeline(words, XRLinearClassifier(random_state=0)).fit(TEXTS, Y)

    @cached_property
    def expected(self):
        """Elements of the pages of harmless names."""
        pages = self.views(json.loads(self.seeds[0].content))
        return [Elements(view.html).elements for view in pages]

    def mutated(self, case, rng):
        names = json.loads(case.content)
        for _ in range(rng.choice((1, 2, 6))):
            words = [rng.choice(WORDS) for _ in range(rng.choice((1, 2, 4)))]
            names[rng.randrange(N)] = rng.choice(("", " ")).join(words)
        name = "plots.json" if rng.random() < SHARE_OF_PLOTS else "names.json"
        return Case(name, json.dumps(names).encode())

    def name_in_errors(self, case):
        return ""

    def views(self, names):
        return (
            view_label_tree(self.model, label_names=names, open_browser=False),
            view_search_path(
                self.model, [names[0]], label_names=names, open_browser=False
            ),
        )

    def read(self, case):
        names = json.loads(case.content)
        if case.name == "plots.json" and matplotlib:
            self.draw(names)
            return "plots"
        for view, expected in zip(self.views(names), self.expected, strict=True):
            self.check(view, expected, names)
        return "pages"

    def check(self, view, expected, names):
        page = Elements(view.html)
        require(page.elements == expected, "other elements than of harmless names")
        data = re.search(r"^const data = (.*);$", "".join(page.scripts), re.MULTILINE)
        require(data and "<" not in data[1], "markup in a script, or no data")
        shown = set(strings(json.loads(data[1])))
        wanted = set(names) if "root" in json.loads(data[1]) else {names[0]}
        require(wanted <= shown, "a name is not shown as it is")
        frame = Elements(view._repr_html_())
        require(len(frame.elements) == 1, "elements beside the frame")
        same = frame.attributes[0]["srcdoc"] == view.html.replace("\r\n", "\n")
        require(same, "another page in the frame")
        path = view.save(self.folder / "page.html")
        require(path.stat().st_size > 1000, "no page")

    def draw(self, names):
        """Both plots and an explanation, drawn to the end."""
        from matplotlib import pyplot

        tree = LabelTreeDisplay.from_estimator(self.model, label_names=names)
        path = search_path(self.model, [names[0]], label_names=names)
        why = explain(self.model, [names[0]], 0, label_names=names)
        require(path.to_text() and why.to_text(), "no text")
        SearchPathDisplay(path).plot()
        why.plot()
        require(tree.figure_ is not None, "no figure")
        for number in pyplot.get_fignums():
            pyplot.figure(number).canvas.draw()
        pyplot.close("all")


def strings(value):
    """All strings of nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)
