"""Reads a page strictly: tags that close, pictures that can be described, nothing from outside."""

import base64
from html.parser import HTMLParser

EMPTY = {"meta", "img", "source"}
FROM_OUTSIDE = {"src", "href", "srcset", "data", "action", "poster", "background"}


class Page(HTMLParser):
    """Tags, texts and pictures of a page; a tag that does not close is an AssertionError."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.links = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert len(found) == len(attributes), f"an attribute is given twice in {tag}"
        self.tags.append((tag, found))
        self.links += [value for name, value in found.items() if name in FROM_OUTSIDE]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def pictures(self):
        """Every embedded picture, decoded."""
        start = "data:image/png;base64,"
        return [
            base64.b64decode(link.removeprefix(start), validate=True)
            for link in self.links
            if link.startswith(start)
        ]
