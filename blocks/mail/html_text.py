"""HTML mail to the text a person would see, with the history in it marked.

Text that is not shown is dropped, because it is where instructions to a model are hidden. Quotes become
lines with "> ", so that one splitter serves HTML and plain text; what only HTML knows is marked by the
characters below.
"""

import re

from inscriptis import Inscriptis  # type: ignore[import-untyped]
from inscriptis.css_profiles import CSS_PROFILES  # type: ignore[import-untyped]
from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]
from lxml import etree, html  # type: ignore[import-untyped]

from blocks.mail.charset import MARKS, clean, visible
from blocks.mail.visibility import hidden_by_sheet, is_hidden

CUT, SIGNED, _HOLD, _END = MARKS  # everything below is history; this line is signature; a held text's number
MAX_HTML = 2_000_000
MAX_ELEMENTS = 150_000
MAX_DEPTH = 400  # the renderer calls itself for each level, and is slow on thousands of nested quotes
_DROPPED = {
    "script",
    "style",
    "head",
    "title",
    "meta",
    "link",
    "template",
    "noscript",
    "object",
    "svg",
    "math",
    "select",
    "textarea",
    "input",
}
_CUT_IDS = {"divrplyfwdmsg", "zwchr", "stopspelling", "appendonsend", "ms-outlook-mobile-reference-message"}
_QUOTE_IDS = {"olk_src_body_section", "mail-editor-reference-message-container"}
_QUOTE_CLASSES = {
    "yahoo_quoted",
    "protonmail_quote",
    "tutanota_quote",
    "zmail_extra",
    "moz-forward-container",
}
_SIGNATURES = {
    "gmail_signature",
    "moz-signature",
    "applemailsignature",
    "signature",
    "ms-outlook-mobile-signature",
    "protonmail_signature_block",
}
_CONFIG = ParserConfig(css=CSS_PROFILES["strict"])


def html_to_text(source: str) -> tuple[str, list[str]]:
    defects = ["HTML is too large: its end was not read"] if len(source) > MAX_HTML else []
    tree = _tree(source[:MAX_HTML])
    if tree is None:
        return "", defects
    if _drop_hidden(tree):
        defects.append("HTML contains hidden text, which was removed")
    if _too_complex(tree):
        return _bare_text(tree), [
            *defects,
            "HTML is too large or too deeply nested: its layout was not read, its end may be lost",
        ]
    return _marked_text(tree), defects


def _tree(source: str) -> etree._Element | None:
    source = clean(source)
    source = re.sub(r"^\s*<\?xml[^>]{0,200}>", "", source)
    if not source.strip():
        return None
    # Without huge_tree everything below the 256th level of nesting is lost; with it the limit is 2,048.
    parser = html.HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True, no_network=True, recover=True)
    try:
        return html.document_fromstring(source, parser=parser)
    except (
        etree.ParserError,
        etree.XMLSyntaxError,
        ValueError,
    ):  # nothing but comments, or no element at all
        return None


def _too_complex(tree: etree._Element) -> bool:
    elements = depth = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        elements += event == "start"
        depth += 1 if event == "start" else -1
        if elements > MAX_ELEMENTS or depth > MAX_DEPTH:
            return True
    return False


def _drop_hidden(tree: etree._Element) -> bool:
    """True when words were removed; a hidden preview line or pixel is too common to speak of when it has
    none.
    """
    sheet = hidden_by_sheet("\n".join(style.text or "" for style in tree.iter("style")))
    doomed = [el for el in tree.iter(etree.Element) if el.tag in _DROPPED or is_hidden(el, sheet)]
    words = False
    for element in doomed:
        if element.tag not in _DROPPED and not words:
            words = bool("".join(element.itertext()).strip())
        _remove(element)
    return words


def _remove(element: etree._Element) -> None:
    if element.getparent() is not None:
        element.drop_tree()


def _marked_text(tree: etree._Element) -> str:
    _remove_foreign_marks(tree)
    held: list[str] = []
    for rule in list(tree.iter("hr")):
        rule.addprevious(_paragraph(" "))  # the renderer would join the lines above and below it
    for element in [el for el in tree.iter(etree.Element) if _is_quote(el)]:
        _hold(element, "> ", held, tree)
    for element in [el for el in tree.iter(etree.Element) if _is_signature(el)]:
        _hold(element, SIGNED, held, tree)
    for element in [el for el in tree.iter(etree.Element) if _starts_history(el)]:
        element.addprevious(_paragraph(CUT))
    return re.sub(f"{_HOLD}(\\d+){_END}", lambda match: held[int(match[1])], _render(tree))


def _remove_foreign_marks(tree: etree._Element) -> None:
    """The source has none left, but a character reference such as &#xE001; is one."""
    for element in tree.iter(etree.Element):
        element.text = clean(element.text) if element.text else element.text
        element.tail = clean(element.tail) if element.tail else element.tail


def _hold(element: etree._Element, prefix: str, held: list[str], tree: etree._Element) -> None:
    """Puts a number in the element's place and keeps its text, each line with the prefix."""
    if element.getparent() is None or element.getroottree().getroot() is not tree:
        return  # inside one that is held already
    text = _render(element).strip("\n")
    stand_in = _paragraph(f"{_HOLD}{len(held)}{_END}")
    stand_in.tail, element.tail = element.tail, None
    element.getparent().replace(element, stand_in)
    held.append("\n".join(prefix + line for line in text.split("\n")) if text.strip() else "")


def _paragraph(text: str) -> etree._Element:
    paragraph = etree.Element("p")
    paragraph.text = text
    return paragraph


def _render(element: etree._Element) -> str:
    tail, element.tail = element.tail, None
    try:
        text = str(Inscriptis(element, _CONFIG).get_text())
    except RecursionError:
        text = _bare_text(element)
    element.tail = tail
    return visible(text)


def _bare_text(element: etree._Element) -> str:
    return clean("\n".join(piece.strip() for piece in element.itertext() if piece.strip()))


def _is_quote(element: etree._Element) -> bool:
    names = _classes(element)
    if element.tag == "blockquote":
        return "gmail_quote" in names or element.get("type", "").lower() == "cite" or _after_attribution(element)
    if "gmail_quote" in names:  # people answer inside it, between its blockquotes: only without any it is all history
        return element.find(".//blockquote") is None and not _says_forwarded(element)
    return bool(names & _QUOTE_CLASSES) or _id(element) in _QUOTE_IDS


def _after_attribution(blockquote: etree._Element) -> bool:
    """A bare blockquote is an indent, unless the line above ends as "... wrote:" does."""
    before = blockquote.getprevious()
    parent = blockquote.getparent()
    if before is None:
        text = (parent.text or "") if parent is not None else ""
    else:
        text = before.tail if (before.tail or "").strip() else "".join(before.itertext())[-400:]
        while before is not None and before.tag == "br" and not (text or "").strip():
            before = before.getprevious()
            text = (before.tail or "".join(before.itertext())[-400:]) if before is not None else parent.text
    return (bool(re.search(r"[:：]\s*\Z", text or "")) and bool(re.search(r"\d|@|>", text or ""))) or (
        (text or "").strip() in {">:", ">, wrote:"}
    )


def _says_forwarded(element: etree._Element) -> bool:
    start = "".join(piece for piece, _ in zip(element.itertext(), range(10), strict=False))[:200]
    return start.lstrip().startswith("-----")


def _is_signature(element: etree._Element) -> bool:
    return bool(_classes(element) & _SIGNATURES) or _id(element) in _SIGNATURES


def _starts_history(element: etree._Element) -> bool:
    """Outlook marks where the history starts and not what it is: an id, or the line it draws above (2007
    and later).
    """
    if element.getparent() is None:
        return False
    if _id(element) in _CUT_IDS:
        return True
    style = re.sub(r"\s", "", element.get("style", "").lower())[:500]
    return element.tag == "div" and bool(
        re.search(r"border:none;border-top:solid#(?:b5c4df|e1e1e1)1\.0pt|border-top-color:rgb\(229,229,229\)", style)
    )


def _classes(element: etree._Element) -> set[str]:
    return {name.lower() for name in element.get("class", "")[:500].split()}


def _id(element: etree._Element) -> str:
    # Outlook on the web and forwarding programs put "x_" before every name, once for each time it was quoted.
    return re.sub(r"^(?:x_)+", "", element.get("id", "")[:100].lower())
