"""Web pages to their main content: without what surrounds it, and without what is not shown.

Text that is not shown is left out, because it is where instructions to a model are hidden; the notes say so. The
address of a link is left out too; only what a person reads is kept.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from lxml import etree, html  # type: ignore[import-untyped]

from blocks.documents.html_walk import walk
from blocks.documents.model import Document, Unreadable
from blocks.documents.text import Outline, one_line
from blocks.mail.charset import decode
from blocks.mail.visibility import hidden_by_sheet, is_hidden

MOST_HTML = 20_000_000
"""Characters, without the pictures that are saved inside the page."""
_DROPPED = frozenset(
    {
        "script",
        "style",
        "template",
        "noscript",
        "svg",
        "math",
        "iframe",
        "object",
        "embed",
        "canvas",
        "video",
        "audio",
        "map",
        "img",
        "picture",
        "input",
        "select",
        "textarea",
        "datalist",
        "progress",
        "meter",
        "dialog",
        "nav",
    }
)
_ROLES = frozenset(
    {
        "navigation",
        "banner",
        "contentinfo",
        "search",
        "dialog",
        "alertdialog",
        "menu",
        "menubar",
        "toolbar",
        "tablist",
        "complementary",
    }
)
_SURROUNDS = ("header", "footer", "aside")
_CONSENT = re.compile(
    r"(?:cookie|consent|gdpr)[-_]?(?:bar|banner|box|notice|popup|modal|dialog|overlay|law|message)|onetrust|cookiebot"
)
_CALLOUT = re.compile(r"note|tip|info|warn|caution|danger|important|callout|admonition|alert|hint")
_MAIN_IDS = ("content", "main-content", "maincontent", "main", "bodyContent", "page-content", "article")
_MAIN_TIERS = (
    "//main",
    "//*[@role='main']",
    "//article",
    "|".join(f"//*[@id='{name}']" for name in _MAIN_IDS),
)
_PERMALINK = re.compile(r"headerlink|permalink|hash-link|anchor-?link|header-anchor|heading-link|direct-link")
_DATA = re.compile(r"""data:[\w/+.;=-]{0,100};base64,[A-Za-z0-9+/=\s%]*""")
_SAVED = re.compile(r"<!-- saved from url=\(\d{1,6}\)(\S{1,2000}) -->|^\s*url: (https?://\S{1,2000})\s*$", re.MULTILINE)


def read(content: bytes) -> Document:
    """Raises Unreadable when it holds no text, or too much."""
    source, _ = decode(content, _declared(content))
    source = _DATA.sub("", source)
    if len(source) > MOST_HTML:
        raise Unreadable(f"it is a web page of more than {MOST_HTML:,} characters")
    tree, notes = _tree(source)
    link = _link(tree, source)
    named, site = _page_title(tree), _property(tree, "og:site_name")
    if _drop_unshown(tree):
        notes.append("text that the page hides was left out")
    main = _main(tree)
    _drop_surroundings(tree, main)
    outline = Outline()
    walk(main, outline)
    heading = next((one_line("".join(h1.itertext())) for h1 in main.iter("h1")), "")
    return outline.document(heading or _without_site(named, site), link=link, notes=tuple(notes))


def read_fragment(source: str, outline: Outline) -> bool:
    """Add a piece of HTML, as it stands within Markdown, to an outline; True when it hides words."""
    tree, _ = _tree(f"<body>{source[:MOST_HTML]}</body>")
    hid = _drop_unshown(tree)
    walk(tree, outline)
    return hid


def hides(tag: str) -> bool:
    """Whether an opening tag, as `<span hidden>`, hides what follows."""
    tree, _ = _tree(f"<body>{tag[:4000]}</body>")
    return any(element.tag in _DROPPED or is_hidden(element, set()) for element in tree.iter(etree.Element))


def _declared(content: bytes) -> str:
    found = re.search(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", content[:8192], re.IGNORECASE)
    found = found or re.search(rb"^\s*<\?xml[^>]{0,100}encoding=[\"']([\w.:-]{1,40})", content[:200])
    return found[1].decode("ascii") if found else ""


def _tree(source: str) -> tuple[etree._Element, list[str]]:
    source = re.sub(r"^\s*<\?xml[^>]{0,200}>", "", re.sub("[\0\ud800-\udfff]", "", source))
    # Without huge_tree everything below the 256th level of nesting is lost; with it the limit is 2,048.
    parser = html.HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True, no_network=True, recover=True)
    try:
        tree = html.document_fromstring(source or " ", parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:  # nothing but comments, or no element at all
        raise Unreadable("it holds no text") from error
    deep = any("depth" in entry.message for entry in parser.error_log)
    if deep and not "".join(tree.itertext()).strip():
        raise Unreadable("it is nested too deeply, in more than 2,000 levels")
    return tree, ["it is nested too deeply: its end was not read"] if deep else []


def _link(tree: etree._Element, source: str) -> str:
    """Where the page says it is: its canonical address, or that from which a browser saved it."""
    canonical = [link.get("href", "") for link in tree.iter("link") if "canonical" in link.get("rel", "").lower()]
    saved = _SAVED.search(source[:4096])
    found = [*canonical, _property(tree, "og:url"), (saved[1] or saved[2]) if saved else ""]
    return next((link for link in map(str.strip, found) if _is_address(link)), "")


def _is_address(link: str) -> bool:
    if not re.fullmatch(r"https?://[!-~]{3,2000}", link):
        return False
    try:
        return bool(urlsplit(link).hostname)
    except ValueError:
        return False


def _property(tree: etree._Element, name: str) -> str:
    return next((str(meta.get("content", "")) for meta in tree.iter("meta") if meta.get("property") == name), "")


def _page_title(tree: etree._Element) -> str:
    return next((one_line("".join(title.itertext())) for title in tree.iter("title")), "")


def _without_site(title: str, site: str) -> str:
    """ "Returns | Help | Northwind" is called "Returns"."""
    site = one_line(site)
    if site and title.endswith(site) and title != site:
        title = title[: -len(site)].rstrip(" -–—|·:•»")
    first = re.split(r"\s+[|·•»—–]\s+", title)[0]
    parts = first.rsplit(" - ", 1)
    return parts[0] if len(parts) > 1 and len(parts[1].split()) <= 4 else first


def _drop_unshown(tree: etree._Element) -> bool:
    """True when words were hidden; that of scripts, menus and forms is not spoken of."""
    sheet = hidden_by_sheet("\n".join(style.text or "" for style in tree.iter("style")))
    hidden = False
    for element in list(tree.iter(etree.Element)):
        if element.tag in ("html", "body"):
            continue
        dropped = element.tag in _DROPPED or _is_furniture(element)
        if dropped or is_hidden(element, sheet):
            hidden = hidden or (not dropped and bool("".join(element.itertext()).strip()))
            _remove(element)
    return hidden


def _is_furniture(element: etree._Element) -> bool:
    """What the page is operated with, or what a program reads aloud in another way."""
    if element.get("role", "") in _ROLES or element.get("aria-hidden") == "true":
        return True
    if element.tag == "button":  # a question that is pressed to see the answer is a heading
        return not any(above.tag in ("h1", "h2", "h3", "h4", "h5", "h6", "dt") for above in _above(element, 3))
    if element.tag == "a" and _PERMALINK.search(element.get("class", "")[:300].lower()):
        return len("".join(element.itertext()).strip()) < 3
    names = f"{element.get('id', '')[:100]} {element.get('class', '')[:300]}".lower()
    return bool(_CONSENT.search(names))


def _above(element: etree._Element, most: int) -> Iterator[etree._Element]:
    for _ in range(most):
        element = element.getparent()
        if element is None:
            return
        yield element


def _main(tree: etree._Element) -> etree._Element:
    """The element that holds what the page is about: the largest of its kind, when it holds a good part of the text."""
    body = tree.find("body")
    body = tree if body is None else body
    everything = _length(body)
    for tier in _MAIN_TIERS:
        sizes = [(_length(element), element) for element in tree.xpath(tier)[:50]]
        if not sizes:
            continue
        size, largest = max(sizes, key=lambda pair: pair[0])
        # Of many articles none is the page's own: they are a list of what else there is.
        if size * 5 >= everything and (len(sizes) == 1 or size * 2 >= sum(size for size, _ in sizes)):
            return largest
    return body


def _length(element: etree._Element) -> int:
    return sum(len(text.strip()) for text in element.itertext())


def _drop_surroundings(tree: etree._Element, main: etree._Element) -> None:
    """The page's header, footer and side columns; those of the content itself hold its title and its notes."""
    whole = main.tag in ("body", "html")
    for element in list(main.iter(*_SURROUNDS)):
        if element is main or element.getroottree().getroot() is not tree:
            continue
        callout = element.tag == "aside" and _CALLOUT.search(element.get("class", "")[:300].lower())
        inside = not whole or any(above.tag in ("article", "main", "section") for above in _above(element, 30))
        if not callout and (element.tag == "aside" or not inside):
            _remove(element)


def _remove(element: etree._Element) -> None:
    if element.getparent() is not None:
        element.drop_tree()
