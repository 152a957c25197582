"""Elements of HTML and SVG. Whatever is not markup already is text, and escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

_EMPTY = frozenset({"meta", "img", "br", "input", "source", "line", "rect", "circle", "path", "polyline", "polygon"})
"""Elements without an end."""


class Markup(str):
    """Text that is markup: it was made by `element`, or written by us."""

    __slots__ = ()


def element(tag: str, /, *children: Markup | str | Iterable[Markup | str], **attributes: object) -> Markup:
    """An element with its children and attributes.

    **Arguments**

    - `attributes`: None and False leave one out; True stands for one without a value. `class_` is `class`, and other
      underscores are hyphens.

    >>> str(element("a", "1 < 2", href='x"y', class_="big"))
    '<a href="x&quot;y" class="big">1 &lt; 2</a>'
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        written.append(f" {attribute}" if value is True else f' {attribute}="{html.escape(str(value))}"')
    opening = f"<{tag}{''.join(written)}"
    if tag in _EMPTY and not children:
        return Markup(f"{opening}/>")
    return Markup(f"{opening}>{join(*children)}</{tag}>")


def join(*children: Markup | str | Iterable[Markup | str]) -> Markup:
    """Children one after the other."""
    written = []
    for child in children:
        if isinstance(child, Markup):
            written.append(str(child))
        elif isinstance(child, str):
            written.append(html.escape(child))
        else:
            written.append(str(join(*child)))
    return Markup("".join(written))
