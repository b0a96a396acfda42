"""Which elements of an HTML mail nobody sees. The simple ways only: a style, a class that hides, white on
white.
"""

import re

from lxml import etree  # type: ignore[import-untyped]

_ZERO = r"0*(?:\.0*)?(?:px|pt|em|rem|%|cm|in)?"
_HIDING = re.compile(
    r"(?:^|;)(?:display:none|visibility:(?:hidden|collapse)|mso-hide:all"
    rf"|font-size:(?:{_ZERO}|[01](?:\.\d+)?px|\.\d+(?:px|em|rem|pt))(?:!|;|$)"
    rf"|font:{_ZERO}[/a-z]|opacity:0*(?:\.0+)?(?:!|;|$)"
    rf"|(?:max-)?(?:height|width):{_ZERO}(?:!\w+)?(?=.{{0,400}}overflow:hidden)"
    rf"|overflow:hidden(?=.{{0,400}}(?:^|;)(?:max-)?(?:height|width):{_ZERO}(?:!|;|$))"
    r"|(?:left|top|right|text-indent|margin-left|margin-top):-\d{3,}|clip:rect\(0|transform:scale\(0\)"
    r"|color:(?:transparent|rgba\([^)]{1,40},0?\.?0+\)))"
)
_COLOR = re.compile(r"(?:^|;)color:([^;!]{1,40})")
_BACKGROUND = re.compile(r"(?:^|;)background(?:-color)?:([^;!]{1,60})")
_NAMED = {"white": "ffffff", "black": "000000"}
_SELECTOR = re.compile(r"[a-z0-9]{0,20}([.#][a-z0-9_-]{1,80})")


def squeezed(style: str) -> str:
    return re.sub(r"/\*.*?\*/|\s", "", style[:4_000].lower())


def is_hidden(element: etree._Element, sheet: set[str]) -> bool:
    if element.get("hidden") is not None or (element.tag == "input" and element.get("type") == "hidden"):
        return True
    style = squeezed(element.get("style", ""))
    return bool(style and _HIDING.search(style)) or _in_sheet(element, sheet) or _same_colour(element, style)


def _in_sheet(element: etree._Element, sheet: set[str]) -> bool:
    if not sheet:
        return False
    names = {f".{name.lower()}" for name in element.get("class", "")[:500].split()}
    return bool(names & sheet) or f"#{element.get('id', '')[:80].lower()}" in sheet


def _same_colour(element: etree._Element, style: str) -> bool:
    """The text colour is set here, and is that of the nearest background: white when there is none."""
    found = _COLOR.search(style)
    colour = _hex(found[1] if found else element.get("color", "") if element.tag == "font" else "")
    if not colour:
        return False
    around, steps = element, 0
    while around is not None and steps < 30:
        background = _BACKGROUND.search(squeezed(around.get("style", "")))
        if background or around.get("bgcolor") or around.get("background"):
            return _hex(background[1] if background else around.get("bgcolor", "")) == colour
        around, steps = around.getparent(), steps + 1
    return colour == "ffffff" and steps < 30


def _hex(colour: str) -> str:
    colour = colour.strip().lower()
    if rgb := re.fullmatch(r"rgba?\((\d{1,3}),(\d{1,3}),(\d{1,3})(?:,1)?\)", colour):
        return "".join(f"{min(int(part), 255):02x}" for part in rgb.groups())
    colour = _NAMED.get(colour, colour).removeprefix("#")
    if re.fullmatch(r"[0-9a-f]{3}", colour):
        return "".join(char * 2 for char in colour)
    return colour if re.fullmatch(r"[0-9a-f]{6}", colour) else ""


def hidden_by_sheet(css: str) -> set[str]:
    """Classes and ids that a style sheet always hides. Rules inside @media depend on the screen and are
    left out.
    """
    css = css[:200_000].lower()
    hidden: set[str] = set()
    depth, start, selector = 0, 0, ""
    for brace in re.finditer(r"[{}]", css):
        if brace[0] == "{":
            depth += 1
            selector = css[start : brace.start()] if depth == 1 else ""
        else:
            if depth == 1 and selector and _HIDING.search(squeezed(css[start : brace.start()])):
                hidden |= _simple_selectors(selector)
            depth = max(depth - 1, 0)
        start = brace.end()
    return hidden


def _simple_selectors(selector: str) -> set[str]:
    names = re.sub(r"<!--|-->", "", selector[-2_000:]).split(",")
    return {match[1] for name in names if (match := _SELECTOR.fullmatch(name.strip()))}
