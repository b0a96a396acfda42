"""Bytes to clean text, whatever the charset is said to be."""

import binascii
import codecs
import re

import charset_normalizer

SAMPLE = 20_000
_ALIASES = {
    # As browsers do (WHATWG Encoding): the superset that senders mean when they name the older, smaller set.
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "ks_c_5601-1987": "cp949",
    "x-sjis": "cp932",
    "iso-8859-8-i": "iso8859-8",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
}
# Python's own codecs that are no charset: they interpret escapes, or take quadratic time.
_REFUSED = {
    "idna",
    "punycode",
    "unicode-escape",
    "raw-unicode-escape",
    "undefined",
    "unicode_escape",
    "raw_unicode_escape",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = {"cp1252", "cp1254", "iso8859-15"}
# Controls except tab and newline; bidi overrides and isolates; zero-width characters that are not joiners;
# soft hyphen;
# tag characters and supplementary variation selectors, which carry invisible ASCII to a model; lone
# surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


# Private-use characters with which the HTML renderer tells the splitter what it knows; nobody else may say so.
MARKS = ("\ue001", "\ue002", "\ue003", "\ue004")
_NO_MARKS = str.maketrans("", "", "".join(MARKS))


def clean(text: str) -> str:
    """Without characters that are not seen but are read, and with newline as the only line ending."""
    return visible(text).translate(_NO_MARKS)


def visible(text: str) -> str:
    """As `clean`, for text that carries our own marks."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    text = text.replace("\u2028", "\n").replace("\u2029", "\n").replace("\x0c", "\n")
    return _INVISIBLE.sub("", text)


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


def decode(data: bytes, declared: str) -> tuple[str, str]:
    """The text and, when the declared charset had to be overruled, a sentence about it."""
    wanted = canonical(declared)
    read_as = _choose(data, wanted)
    text = data.decode(read_as, "replace")
    if read_as == wanted or (read_as == "utf-8" and not declared and data.isascii()):
        return text, ""
    if wanted.startswith(("utf-8", "utf-16", "utf-32")) and read_as[:5] == wanted[:5]:
        return text, ""
    said = f"declared charset {one_line(declared)[:40]}" if declared else "no charset declared"
    return text, f"{said}, read as {_readable(read_as)}"


def canonical(declared: str) -> str:
    """Python's name for a declared charset, "" when there is none or it is unknown."""
    name = declared.strip().strip("\"'").lower()
    if not re.fullmatch(r"[a-z0-9_.:+-]{1,40}", name) or name in _REFUSED:
        return ""
    if name in _ALIASES:
        return _ALIASES[name]
    try:
        found = codecs.lookup(name).name
        b"".decode(found)
    except (LookupError, ValueError):
        return ""
    return "" if found in _REFUSED else _ALIASES.get(found, found)


def _choose(data: bytes, wanted: str) -> str:
    for bom, name in _BOMS:
        if data.startswith(bom):
            return name
    if data.isascii() and b"\x1b$" in data and _reads(data, "iso2022_jp_ext"):
        return wanted if wanted.startswith("iso2022") else "iso2022_jp_ext"
    if wanted.startswith(("utf-16", "utf-32", "utf-7")):
        return wanted if _plausible_utf(data, wanted) else _guess(data, "")
    if _has_wide_characters(data):
        return _guess(data, "")
    if wanted in _WESTERN and not data.isascii() and _reads(data, "utf-8"):
        return "utf-8"  # text that is not UTF-8 by intent is not valid UTF-8 by chance
    if wanted and _reads(data, wanted):
        return wanted
    return _guess(data, wanted)


def _has_wide_characters(data: bytes) -> bool:
    return len(data) >= 4 and data.count(b"\0") > len(data) // 5


def _plausible_utf(data: bytes, wanted: str) -> bool:
    if not _reads(data, wanted):
        return False
    return wanted == "utf-7" or b"\0" in data or not _reads(data, "utf-8")


def _guess(data: bytes, wanted: str) -> str:
    if _has_wide_characters(data):
        return "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    if _reads(data, "utf-8"):
        return "utf-8"
    sample = data[:SAMPLE]
    high, runs = len(re.findall(rb"[\x80-\xff]", sample)), len(re.findall(rb"[\x80-\xff]{2}", sample))
    if runs * 4 < high:  # accents, one by one between plain letters: another alphabet has whole words of them
        return "cp1252"
    best = charset_normalizer.from_bytes(sample).best()
    return canonical(best.encoding) or "cp1252" if best else wanted or "cp1252"


def _reads(data: bytes, name: str) -> bool:
    try:
        data.decode(name)
    except (UnicodeError, LookupError):
        return False
    return True


def _readable(name: str) -> str:
    return re.sub(r"^cp125", "windows-125", name).replace("_", "-")


def lenient_base64(data: bytes) -> tuple[bytes, bool]:
    """What the alphabet's characters say, and whether it was whole."""
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", data.replace(b"-", b"+").replace(b"_", b"/"))
    noise = len(data) - len(kept) - sum(data.count(byte) for byte in (b"=", b"\r", b"\n", b" ", b"\t"))
    if len(kept) % 4 == 1:
        kept, noise = kept[:-1], noise + 1
    whole = noise == 0 and (len(kept) + data.count(b"=")) % 4 == 0
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4)), whole
