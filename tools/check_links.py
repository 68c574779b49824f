"""Check the built documentation: every link and anchor inside it leads somewhere, offline.

Usage: python tools/check_links.py docs/_build/html

What a page needs to be shown (scripts, styles, pictures) has to be in the folder too.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that hold a link, by tag, and whether the page is incomplete without what they name.
LINKS = {
    "a": ("href", False),
    "img": ("src", True),
    "link": ("href", True),
    "script": ("src", True),
}


class Page(HTMLParser):
    """Anchors and links of a page."""

    def __init__(self, file: Path):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool, int]] = []  # address, needed, line
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag defines and what it points to."""
        given = dict(attrs)
        self.anchors.update(filter(None, (given.get("id"), given.get("name"))))
        attribute, needed = LINKS.get(tag, ("", False))
        if (address := given.get(attribute)) is not None:
            self.links.append((address, needed, self.getpos()[0]))


def mistakes(root: Path) -> list[str]:
    """What is wrong in the pages of a folder."""
    files = sorted(file for file in root.rglob("*.html") if "_static" not in file.parts)
    pages = {file.resolve(): Page(file) for file in files}

    def anchors_of(target: Path) -> set[str]:
        return pages[target].anchors if target in pages else Page(target).anchors

    found = []
    for file, page in pages.items():
        for address, needed, line in page.links:
            where = f"{file.relative_to(root.resolve())}:{line}: {address}"
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if needed and parts.scheme != "data":
                    found.append(f"{where} is not in the folder")
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                found.append(f"{where} does not exist")
            elif parts.fragment and unquote(parts.fragment) not in anchors_of(target):
                found.append(f"{where} has no such anchor")
    if not pages:
        found.append(f"{root} holds no pages")
    return found


def main(folder: str) -> None:
    """Print what is wrong, and fail if anything is."""
    root = Path(folder)
    if found := mistakes(root):
        sys.exit("\n".join(found))
    print(f"All links of the pages in {root} lead somewhere.")


if __name__ == "__main__":
    main(*sys.argv[1:])
