"""Check that links inside the built site lead to a page and to an anchor on it.

python doc/check_links.py doc/_build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Collect links and anchors."""
        attributes = dict(attrs)
        if "id" in attributes:
            self.anchors.add(attributes["id"])
        if tag == "a" and "name" in attributes:
            self.anchors.add(attributes["name"])
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.append(attributes[name])


def broken_links(root):
    """Yield (page, link) for all broken links inside the site."""
    pages = {path: Page(path) for path in sorted(root.rglob("*.html"))}
    for path, page in pages.items():
        if path.name in ("genindex.html", "search.html") or "_static" in path.parts:
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link in ("#", ""):
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
                if not target.exists():
                    yield path, link
                    continue
            anchor = unquote(parts.fragment)
            if anchor and target in pages and anchor not in pages[target].anchors:
                yield path, link


def main():
    """Print broken links; exit with 1 if there are any."""
    root = Path(sys.argv[1]).resolve()
    broken = list(broken_links(root))
    for path, link in broken:
        print(f"{path.relative_to(root)}: {link}")
    if broken or not (root / "index.html").exists():
        sys.exit(1)


if __name__ == "__main__":
    main()
