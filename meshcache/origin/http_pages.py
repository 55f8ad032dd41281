"""The directory pages that web servers write (nginx, Apache, Python's http.server): their links.

There is no standard; what they have in common is an ``<a href>`` for each entry, with a ``/`` at
the end for a directory. All else on a page (the parent, sorting, other sites) is told apart by
leading elsewhere than one level down.
"""

from html.parser import HTMLParser

from yarl import URL


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.hrefs += [value for name, value in attrs if name == "href" and value]


def entries(page: str, url: URL) -> list[URL]:
    """The entries that the directory page at `url` (ending in ``/``) shows, without doubles.

    A directory's URL ends in ``/``. Links with a query, to other places, or more than one level
    down are none.
    """
    parser = _Links()
    parser.feed(page)
    parser.close()
    found: dict[URL, None] = {}
    for href in parser.hrefs:
        try:
            target = url.join(URL(href))
        except ValueError:
            continue
        if _is_entry(target, url):
            found[target.with_fragment(None)] = None
    return list(found)


def _is_entry(target: URL, page: URL) -> bool:
    if target.scheme not in ("http", "https") or target.origin() != page.origin():
        return False
    if target.raw_query_string:
        return False
    if not target.raw_path.startswith(page.raw_path):
        return False
    name = target.raw_path[len(page.raw_path) :].removesuffix("/")
    # An encoded slash would make two levels of one; "%2e%2e" is a parent in disguise.
    return bool(name) and "/" not in name and "%2F" not in name and target.name not in (".", "..")
