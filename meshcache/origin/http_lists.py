"""Lists of files on a web server: a text file, a URL or a path on each line."""

from yarl import URL

from meshcache.errors import OriginFailed


def files_of(text: str, url: URL, where: str) -> list[URL]:
    """The files that the list at `url` names, without doubles.

    Raises:
        OriginFailed: a line is no URL, or one of another server, for whose files this origin's
            identity would be wrong. `where` names the list.
    """
    found: dict[URL, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        try:
            target = url.join(URL(name))
            same = target.origin() == url.origin()
        except ValueError:
            raise OriginFailed(f"{where}: line {number} is no URL and no path") from None
        if not same or target.user is not None:
            raise OriginFailed(
                f"{where}: line {number} names another server: give each server a mount"
            )
        found[target.with_fragment(None)] = None
    return list(found)
