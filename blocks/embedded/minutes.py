"""What was decided and taken on in a meeting, by the wording of its numbered lines. Nothing is written, only quoted.

A false action is worse than a missing one: what could be one and is not plain (a question that nobody answers, a wish,
a condition, somebody speaking for another) goes to a person, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from blocks import due
from blocks.embedded.language import STOP_WORDS
from blocks.transcripts.model import Line, lines_of

SENTENCE = re.compile(r"(?<=[.!?…])\s+")
MOST_SENTENCE = 400
MOST = 40
"""Items of each kind that are given."""
MOST_VAGUE = 3
"""Telling words of a vague promise that nobody has to look at."""
PRONOUNS = """
ll ve re let so it this that them there here now then just well um uh yeah okay do did does him her you me us one too
also something anything bit some out up again going will shall gonna
"""
FUNCTION_WORDS = frozenset().union(*STOP_WORDS.values()) | frozenset(PRONOUNS.split())
SHORT = 8
"""Words of `I'll take that`, which does not say what."""
ANSWERS = 3
"""Lines after a question in which its answer is looked for."""

VERBS = (
    r"send|write|draft|prepare|check|call|ring|book|set\s+up|schedule|ask|update|fix|share|look\s+(?:into|at|after|up)|follow\s+up|finish|review"
    r"|test|create|add|order|talk\s+to|speak\s+(?:to|with)|get\s+back|email|e-mail|mail|forward|put\s+(?:together|in|up|it|that"
    r"|this|them|the)|organi[sz]e|circulate|find\s+out|contact|deliver|upload|document|raise|invite|arrange|confirm|chase|take\s+"
    r"(?:care|that|this|it|over)|collect|compile|investigate|research|provide|submit|present|publish|post|print|sign|pay|file"
    r"|change|move|rewrite|revise|correct|translate|build|make\s+sure|make\s+(?:a|an|the)|work\s+on|sort|handle|pick\s+up|bring"
    r"|get|do\s+(?:that|this|it|the)|let\s+\w+(?:\s+\w+)?\s+know|report|run|measure|compare|ship|deploy|roll\s+out|migrate|turn"
    r"|remove|delete|replace|renew|cancel|close|open|reply|respond|answer|hand|drop|pull|push|record|register|reserve|clean"
    r"|extend|negotiate|quote|hire|announce|remind|tell|tag|merge|plan|count|scan|pack|fetch|visit|propose|estimate|list|map|track|verify|approve|offer|start|stop"
)
ADVERBS = (
    r"(?:(?:also|then|just|definitely|quickly|probably|certainly|personally|now|already|try\s+to|go\s+and)\s+){0,2}"
)
SELF = re.compile(
    rf"\b(?:I['’]?ll|I\s+will|I\s+shall|I['’]?m\s+going\s+to|I\s+am\s+going\s+to|let\s+me)\s+{ADVERBS}"
    rf"(?:{VERBS}|take)\b|\bI\s+can\s+take\s+(?:the|those|these|over)\b",
    re.IGNORECASE,
)
WEAK = re.compile(
    r"\b(?:start|list|make|open|get|take|show|look\s+(?:at|up)|finish|put|do|add|tell|bring|move|hand|pick\s+up|turn|run"
    r"|read|note|count|plan|let|stop|work\s+on|record|register|present|pull|push|drop|close|answer|ask|change|sort|clean|compare|map"
    r"|check|propose|offer|announce|remind|report)\b[^,;]{0,20}$",
    re.IGNORECASE,
)
"""At the end of a promise: what is as often done in the meeting itself, so that only a time makes it plain."""
LATER = re.compile(
    r"\b(?:after\s+(?:the|this|our|that)?\s*(?:meeting|call|session|lunch|weekend|holidays?)|afterwards|later"
    r"|next\s+(?:time|meeting)|once\s+\w+|as\s+soon\s+as|for\s+(?:the\s+)?next\s+\w+|by\s+then|in\s+time"
    r"|nachher|später|danach|nach\s+de[mr]\s+\w+|sobald)\b",
    re.IGNORECASE,
)
CUT_OFF = re.compile(r"(?:\b(?:the|a|an|my|your|of|to|with|and|or|uh|um|der|die|das|den|und)|[,–-])$", re.IGNORECASE)
TAKES = re.compile(
    r"\bI['’]?(?:ll|\s+will|\s+can)\s+(?:take|own|handle|do)\s+(?:that|this|it|care)\b|\bleave\s+(?:that|it)\s+(?:with|to)\s+me\b"
    r"|\bI['’]?m\s+on\s+it\b|\b(?:that['’]?s|that\s+is)\s+on\s+me\b|\b(?:das\s+)?(?:übernehme|erledige|mache?)\s+ich\b"
    r"|\bich\s+(?:übernehme|erledige)\s+das\b",
    re.IGNORECASE,
)
ASKED = re.compile(
    rf"\b(?:can|could|would|will)\s+(?:you|one\s+of\s+you|somebody|someone|anybody|anyone)\s+(?:please\s+|maybe\s+|also\s+|then\s+){{0,2}}(?:{VERBS})\b|\bplease\s+(?:{VERBS})\b"
    rf"|\bwould\s+you\s+mind\s+\w+ing\b",
    re.IGNORECASE,
)
OTHERS = re.compile(
    rf"\b(?P<who>[^\W\d_][\w'’-]+)(?:\s+[A-Z]\w+)?\s+(?:will|is\s+going\s+to|to|should|wird|soll)\s+{ADVERBS}(?:{VERBS}|\w+en)\b"
)
WISHES = re.compile(
    rf"\b(?:we|somebody|someone)\s+(?:should|need\s+to|have\s+to|must|ought\s+to|could)\s+{ADVERBS}(?:{VERBS})\b"
    rf"|\b(?:needs?\s+to\s+be|has\s+to\s+be|must\s+be)\s+\w+ed\b|\bwir\s+(?:sollten|müssen|müssten)\b|\b(?:man|jemand)\s+"
    r"(?:sollte|müsste|muss)\b",
    re.IGNORECASE,
)
NAMED = re.compile(
    r"^(?:action(?:\s+item)?s?|ap|to[ -]?do|task|aufgabe|todo)\s*(?:\d+\s*)?[:\-–]\s*(?P<what>.+)$", re.IGNORECASE
)
NAMED_OWNER = re.compile(
    r"^(?P<who>[^\W\d_][\w'’-]+(?:\s+[A-Z][\w'’-]+)?)\s*(?::|,|\s[-–]\s|\s+(?:to|will|soll|wird|macht|schickt|prüft|klärt))\s+\S"
)
DECIDED = re.compile(
    r"\b(?:we(?:['’]ve|\s+have)?\s+(?:all\s+)?(?:now\s+)?(?:decided|agreed)(?:\s+(?:that|to|on|not)\b|\s*:)|(?:so\s+)?it['’]?s\s+(?:decided|"
    r"agreed|settled)\b|(?:we['’]?ll|let['’]?s|we\s+will)\s+go\s+(?:with|ahead\s+with|for)\b|the\s+decision\s+is\b"
    r"|that['’]?s\s+(?:decided|agreed|settled)\b|(?:wir\s+haben|haben\s+wir)\s+(?:\w+\s+){0,8}?(?:beschlossen|entschieden|vereinbart)\b"
    r"|(?:damit\s+ist\s+(?:das\s+)?|das\s+ist\s+(?:damit\s+|also\s+)?)(?:beschlossen|entschieden)\b|wir\s+einigen\s+uns\s+auf\b"
    r"|wir\s+(?:nehmen|machen\s+es)\s+(?:also|dann|jetzt)\b|(?:also\s+)?abgemacht\s*:|dann\s+(?:nehmen|bleiben)\s+wir\b)",
    re.IGNORECASE,
)
DECISION = re.compile(
    r"^(?:decisions?|decided|agreed|beschluss|entscheidung|beschlossen)\s*(?:\d+\s*)?[:\-–]\s*\S", re.IGNORECASE
)

GERMAN_SELF = re.compile(
    r"\bich\s+(?:kümmere?\s+mich|übernehme|kläre|schicke?|sende|prüfe|rufe|schreibe?|erstelle|bereite|organisiere|frage|buche"
    r"|bestelle|liefere|stelle|leite|aktualisiere|besorge|melde|lege|reiche|bringe|teste|korrigiere|verschicke|trage|richte|mache"
    r"\s+(?:das|den|die|es)|schaue?\s+(?:mir|nach)|hole|plane|dokumentiere|überarbeite|ergänze|gebe|sage|spreche|rede|telefoniere"
    r"|lasse|vereinbare|bezahle|unterschreibe|kündige|nehme\s+(?:das|mir))\b"
    r"|\bich\s+werde\b(?!\s+(?:sehen|nicht|schon|mal\s+sehen|alt|krank|da\s+sein)).{0,120}\w+en\b",
    re.IGNORECASE,
)
GERMAN_DO = re.compile(
    r"\b(?:kümmere|übernehme|kläre|schicke?|sende|prüfe|rufe|schreibe?|erstelle|bereite|organisiere|frage|buche|bestelle|liefere"
    r"|stelle|leite|aktualisiere|besorge|melde|lege|reiche|bringe|teste|korrigiere|verschicke|trage|richte|mache|hole|plane"
    r"|überarbeite|ergänze|gebe|spreche|vereinbare)\s+ich\b",
    re.IGNORECASE,
)
GERMAN_MEANT = re.compile(
    r"\b(?:dann|noch|gleich|dir|euch|ihnen|ihm|ihr|mich\s+(?:darum|drum|um)|übernehme|kläre|werde|heute|morgen|mal)\b",
    re.IGNORECASE,
)
"""German says `ich schicke` of habits, too: one of these words, or a date, makes it something to be done."""
GERMAN_ASKED = re.compile(
    r"\b(?:kannst|könntest|würdest|magst)\s+du\b.{0,200}\w+en\b|\b(?:können|könnten|würden)\s+sie\b.{0,200}\w+en\b",
    re.IGNORECASE,
)

FINE = re.compile(r"\b(?:no\s+problem|kein\s+problem|not\s+a\s+problem|why\s+not|warum\s+nicht)\b", re.IGNORECASE)
"""A yes in which a no stands."""
YES = re.compile(
    r"^(?:(?:um|uh|ähm|äh|oh|right|well|also|ja,?\s+klar)[,.]?\s+)?(?:yes|yeah|yep|sure|ok|okay|of\s+course|certainly|absolutely|will\s+do"
    r"|no\s+problem|happy\s+to|gladly|consider\s+it\s+done|on\s+it|done|i\s+will|i['’]?ll\s+do|i\s+can\s+do|ja|klar|gerne?|okay|mache\s+ich"
    r"|mach\s+ich|wird\s+gemacht|natürlich|selbstverständlich|kein\s+problem|übernehme\s+ich|erledige\s+ich|right|that['’]?s\s+right|genau|passt|stimmt|einverstanden|fine|agreed|good|great|gut|perfect)\b",
    re.IGNORECASE,
)
NO = re.compile(
    r"\b(?:no|not|nope|can['’]?t|cannot|won['’]?t|don['’]?t|unfortunately|sorry|but|maybe|perhaps|depends|if|nein|nicht|leider|aber"
    r"|vielleicht|falls|wenn|kein)\b",
    re.IGNORECASE,
)
DOUBTFUL = re.compile(
    r"\b(?:if|unless|maybe|perhaps|might|(?-i:may)|could|would|should\s+we|whether|in\s+case|depending|hopefully|provisionally|tentatively|for\s+now|vorläufig|erst\s?mal|wish|imagine|suppose"
    r"|hypothetically|falls|wenn|sofern|vielleicht|eventuell|könnte|würde|womöglich|hätte|mal\s+sehen|try\s+to|probably|ob)\b",
    re.IGNORECASE,
)
DENIED = re.compile(
    r"\b(?:not|n['’]t|never|no\s+longer|nobody|nicht|nie|kein\w*|niemand|undecided|instead\s+of)\b|n['’]t\b",
    re.IGNORECASE,
)
REPORTED = re.compile(
    r"\b(?:said|says|told|asked|thought|used\s+to|last\s+(?:year|month|week|time)|yesterday|always|usually|every\s+(?:day|week|month|"
    r"monday|time)|sagte|gesagt|gestern|letzte[nrs]?|immer|jede[nrs]?|meistens|already\s+(?:sent|did|done)|the\s+customer\s+wants)\b",
    re.IGNORECASE,
)
EARLIER = re.compile(r"\bwe\s+(?:all\s+)?(?:decided|agreed)\b", re.IGNORECASE)
GO_WITH = re.compile(r"\bgo\s+(?:with|ahead\s+with|for)\b|\bnehmen\b|\bbleiben\b", re.IGNORECASE)
CONFIRMED = re.compile(
    r"\b(?:it|that)['’]?s\s+(?:decided|agreed|settled)\b|^(?:das\s+ist\s+)?(?:beschlossen|abgemacht)\b", re.IGNORECASE
)
"""Says that something was decided, and not what."""
TAKEN_BACK = re.compile(
    r"^(?:but\s+)?(?:wait\b|hold\s+on\b|no[,.]|actually\b)|\b(?:then\s+not|scrap\s+that|never\s?mind|on\s+second\s+thought|strike\s+that"
    r"|i\s+can['’]?t\s+after\s+all|doch\s+nicht|lieber\s+nicht|dann\s+(?:eben\s+)?nicht)\b",
    re.IGNORECASE,
)
DO_THAT = re.compile(r"\b(?:do|handle|take|own)\s+(?:that|this|it|so)\b", re.IGNORECASE)
IF = re.compile(r"\b(?:if|unless|in\s+case|falls|wenn)\b", re.IGNORECASE)
HEAR_ME = re.compile(r"\b(?:hear|see)\s+(?:me|my|that|this|it)\b", re.IGNORECASE)
WANTED = re.compile(
    r"\b(?:somebody|someone|anybody|anyone|jemand)\b|\b(?:who|wer)\b.*\?|\b(?:has|have|needs?)\s+to\b|\b(?:one\s+of\s+you)\b",
    re.IGNORECASE,
)
DEADLINE = re.compile(r"(?:by|until|till|before|no\s+later|latest|bis|vor|spätestens)\b", re.IGNORECASE)
WHEN = re.compile(r"\b(?:by\s+when|when|until\s+when|how\s+soon|bis\s+wann|wann)\b.*\?|^by\b.*\?$", re.IGNORECASE)
TO_THE_MACHINE = re.compile(
    r"\b(?:ignore|disregard|forget|ignoriere?|vergiss)\s+(?:\w+\s+){0,3}(?:instructions?|rules?|prompts?|anweisungen|regeln)"
    r"|\b(?:ai|a\.i\.|ki)[\s-]*(?:assistant|notetaker|note[\s-]taker|model|system|assistent)|\b(?:system|assistant|developer)\s*(?:prompt|"
    r"message|override|note)|\b(?:dear|hey|attention|note\s+to(?:\s+the)?|an\s+den|an\s+die|lieber?)\s+(?:assistant|assistent|"
    r"ai|ki|bot|model|notetaker|note[\s-]taker|summari[sz]er|signoff)\b|\bwhoever\s+(?:writes|summari[sz]es)\b.{0,60}\b(?:must|should)\b"
    r"|<\s*/?\s*(?:transcript|system|instructions?|earlier)\b|\byou\s+are\s+(?:now\s+)?(?:an?\s+)?(?:ai|assistant|language\s+model)\b",
    re.IGNORECASE,
)
SAYS_NOTHING = re.compile(
    r"\b(?:be\s+honest|see\s+you|tell\s+you\s+(?:what|that|something)|let\s+you\s+(?:go|finish)|get\s+(?:to\s+that|there|started)|start\s+(?:with|by|off)"
    r"|(?:just\s+)?share\s+(?:my|the|your)\s+screen|bring\s+(?:up|that\s+up)|open\s+(?:the|my|this)\s+(?:slide|screen|deck|door|window)|say\s+that|move\s+on|turn\s+(?:on|off|it\s+on)"
    r"|run\s+through|get\s+(?:a\s+)?(?:coffee|tea|water)|answer\s+that|ask\s+(?:you\s+)?(?:a|one|this)\s+(?:quick\s+)?question|present\s+(?:now|this|the|my)"
    r"|stop\s+(?:there|here|sharing)|go\s+over|add\s+(?:that|to\s+that|one\s+thing)|put\s+it\s+(?:this|that|differently)|read\s+(?:it|that)\s+out|hand\s+over"
    r"|list\s+(?:them|the)|check\s+(?:if\s+)?(?:you\s+can\s+hear|my\s+mic)|pick\s+up\s+on|push\s+back|drop\s+off|make\s+(?:a|one)\s+(?:quick\s+)?(?:point|comment|remark))\b",
    re.IGNORECASE,
)
"""What sounds like a promise and is only talk in the meeting itself."""


@dataclass
class Minutes:
    """What was found, each as the answer holds it."""

    decisions: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)
    unsure: list[dict[str, Any]] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """The answer's first field."""
        return "actions" if self.actions else "decisions" if self.decisions else "neither"

    @property
    def summary(self) -> str:
        """What was done, and not a summary: that takes a model that can write."""
        counts = [
            f"{len(found)} {name}{'s' if len(found) != 1 else ''}"
            for found, name in ((self.decisions, "decision"), (self.actions, "action item"))
        ]
        rest = f"; {len(self.unsure)} more to be looked at" if self.unsure else ""
        return f"Found by their wording: {', '.join(counts)}{rest}. Not summarised: the built-in model cannot write."


def minutes(text: str) -> Minutes:
    """What the numbered lines of a transcript say in so many words.

    Args:
        text: a line for each thing that was said, as the prompt shows them.
    """
    rows = list(lines_of(text))
    names = list(dict.fromkeys(row.speaker for row in rows if row.speaker))
    found = Minutes()
    answers: set[int] = set()
    for at, row in enumerate(rows):
        if TO_THE_MACHINE.search(row.text):
            continue
        for sentence in _sentences(row.text):
            _decide(found, rows, at, sentence)
            if row.number not in answers:  # a yes, which is part of what it answers
                answers |= _take_on(found, rows, at, sentence, names)
    plain = {line for item in (*found.actions, *found.decisions) for line in (item["line"], *item.get("also", ()))}
    found.unsure = [doubt for doubt in found.unsure if doubt["line"] not in plain]
    for kind in (found.decisions, found.actions, found.unsure):
        del kind[MOST:]
    return found


def _sentences(text: str) -> Iterator[str]:
    for sentence in SENTENCE.split(text):
        if any(char.isalpha() for char in sentence):
            yield sentence.strip()[:MOST_SENTENCE]


def _decide(found: Minutes, rows: Sequence[Line], at: int, sentence: str) -> None:
    row = rows[at]
    if DECISION.match(sentence):
        text = re.sub(r"^[^:\-–]{1,20}[:\-–]\s*", "", sentence)
        found.decisions.append({"text": text, "line": row.number})
        return
    cue = DECIDED.search(sentence)
    if cue is None:
        return
    before = sentence[: cue.end()].removesuffix(" not")  # `we decided not to` decides something
    if sentence.endswith("?") or DENIED.search(before) or DOUBTFUL.search(before) or REPORTED.search(sentence):
        return
    if CONFIRMED.search(sentence) and len(sentence.split()) < 7:
        last = found.decisions[-1] if found.decisions else None
        if last and row.number - last["line"] <= ANSWERS:
            last["also"] = (
                [*last.get("also", []), row.number][:8] if row.number != last["line"] else last.get("also", [])
            )
        else:
            found.unsure.append(_doubt(row, sentence, "something was decided, and these words do not say what"))
    elif not _telling(sentence[cue.end() :]) and not re.match(r"(?i)(?:dann|also|gut|so)\b", sentence):
        return  # `the two buttons that we agreed on`
    elif DOUBTFUL.search(sentence):
        found.unsure.append(_doubt(row, sentence, "it may be a decision, and has a condition"))
    elif EARLIER.search(cue[0]) and len(sentence[: cue.start()].split()) > 3:
        found.unsure.append(_doubt(row, sentence, "it may have been decided earlier"))
    elif GO_WITH.search(cue[0]) and not any(
        _is_yes(later) for later in rows[at + 1 : at + 3] if later.speaker != row.speaker
    ):
        found.unsure.append(_doubt(row, sentence, "it is proposed, and no plain yes follows"))
    elif any(TAKEN_BACK.search(later.text) for later in rows[at + 1 : at + 3]):
        found.unsure.append(_doubt(row, sentence, "it may have been taken back right after"))
    else:
        found.decisions.append({"text": sentence, "line": row.number})


def _take_on(found: Minutes, rows: Sequence[Line], at: int, sentence: str, names: Sequence[str]) -> set[int]:
    """Enter what a sentence takes on or asks for; returns the lines that are only its answer."""
    row = rows[at]
    if named := NAMED.match(sentence):
        _named(found, row, named["what"], names)
    elif ASKED.search(sentence) or GERMAN_ASKED.search(sentence):
        return _asked(found, rows, at, sentence, names)
    elif TAKES.search(sentence) and len(sentence.split()) <= SHORT and not sentence.endswith("?"):
        _taken(found, rows, at, sentence)
    elif _promises(sentence):
        _promised(found, rows, at, sentence)
    elif (other := OTHERS.search(sentence)) and (who := one_of(other["who"], names)) and who != row.speaker:
        if not REPORTED.search(sentence) and not sentence.endswith("?") and not DENIED.search(sentence):
            return _for_another(found, rows, at, sentence, who)
    elif (
        WISHES.search(sentence)
        and not REPORTED.search(sentence)
        and not sentence.endswith("?")
        and due.words_in(sentence)
    ):
        found.unsure.append(_doubt(row, sentence, "it is to be done by then, and nobody has taken it on"))
    return set()


def _promises(sentence: str) -> bool:
    if SAYS_NOTHING.search(sentence) or sentence.endswith("?"):
        return False
    if SELF.search(sentence):
        return True
    german = GERMAN_SELF.search(sentence) or GERMAN_DO.search(sentence)
    return bool(german and (GERMAN_MEANT.search(sentence) or due.words_in(sentence)))


def _promised(found: Minutes, rows: Sequence[Line], at: int, sentence: str) -> None:
    row = rows[at]
    if REPORTED.search(sentence) or DENIED.search(sentence):
        return
    if not is_somebody(row.speaker):
        found.unsure.append(_doubt(row, sentence, "the transcript does not say who speaks"))
    elif DOUBTFUL.search(sentence):
        found.unsure.append(_doubt(row, sentence, "it has a condition, or is not sure"))
    elif _is_vague(sentence):
        if len(_telling(sentence)) > MOST_VAGUE:
            found.unsure.append(_doubt(row, sentence, "it can be about the meeting itself"))
    elif any(TAKEN_BACK.search(later.text) and later.speaker == row.speaker for later in rows[at + 1 : at + 3]):
        found.unsure.append(_doubt(row, sentence, "it may have been taken back right after"))
    else:
        found.actions.append(_action(row, sentence, row.speaker) | _day_asked(rows, at, sentence))


def _is_vague(sentence: str) -> bool:
    """Whether a promise names nothing, or can be kept at once: `I'll do it`, `I'll start with the map`."""
    promise = SELF.search(sentence)
    if promise is None or due.words_in(sentence) or LATER.search(sentence):
        return False
    return bool(WEAK.search(promise[0]) or CUT_OFF.search(sentence) or not _telling(sentence[promise.end() :]))


def _names_it(sentence: str) -> bool:
    """Whether a promise says by itself what is to be done: `I'll call the mill`, not `I'll do that`."""
    promise = SELF.search(sentence)
    return bool(promise and not DO_THAT.search(sentence) and _telling(sentence[promise.end() :]))


def _telling(text: str) -> list[str]:
    return [word for word in re.findall(r"[^\W\d_]{2,}", text.casefold()) if word not in FUNCTION_WORDS]


def _day_asked(rows: Sequence[Line], at: int, sentence: str) -> dict[str, Any]:
    """`By when?` `By Friday.` in the next two lines, where the sentence itself has no day."""
    if due.words_in(sentence) or len(rows) <= at + 2:
        return {}
    question, answer = rows[at + 1], rows[at + 2]
    when = due.words_in(answer.text) or due.words_in(question.text)
    if not (WHEN.search(question.text) and when and answer.speaker == rows[at].speaker) or DENIED.search(answer.text):
        return {}
    return {"due": when[0], "also": [question.number, answer.number]}


def _taken(found: Minutes, rows: Sequence[Line], at: int, sentence: str) -> None:
    """`Leave that to me`: what it is stands in what somebody else has said just before."""
    row = rows[at]
    before = rows[at - 1] if at else None
    if (
        REPORTED.search(sentence)
        or DENIED.search(sentence)
        or DOUBTFUL.search(sentence)
        or not is_somebody(row.speaker)
    ):
        return
    if before and before.speaker != row.speaker and (WANTED.search(before.text) or WISHES.search(before.text)):
        wanted = [one for one in _sentences(before.text) if WANTED.search(one) or WISHES.search(one)][-1]
        if not TO_THE_MACHINE.search(before.text):
            later = _day_asked(rows, at, f"{wanted} {sentence}")
            day = _by_when(wanted, sentence) or later.get("due", "")
            item = {**_action(before, wanted, row.speaker), "due": day}
            found.actions.append({**item, "also": [row.number, *later.get("also", [])]})
            return
    found.unsure.append(_doubt(row, sentence, "it was taken on, and these words do not say what"))


def _for_another(found: Minutes, rows: Sequence[Line], at: int, sentence: str, who: str) -> set[int]:
    """`Tom will send it`: his, if he says yes to it."""
    answer = next((later for later in rows[at + 1 : at + 1 + ANSWERS] if later.speaker == who), None)
    if answer and not DOUBTFUL.search(sentence) and _is_yes(answer):
        found.actions.append({**_action(rows[at], sentence, who), "also": [answer.number]})
        return {answer.number}
    found.unsure.append(_doubt(rows[at], sentence, f"somebody else says that {who} will"))
    return set()


def _is_yes(answer: Line) -> bool:
    said = next(_sentences(answer.text), "")
    rest = FINE.sub(" ", answer.text)
    return bool(
        (YES.search(said) or TAKES.search(said) or CONFIRMED.search(said))
        and not NO.search(rest)
        and not DOUBTFUL.search(rest)
    )


def _named(found: Minutes, row: Line, what: str, names: Sequence[str]) -> None:
    """`Action item: Tom to send the offer by Friday.`"""
    who = NAMED_OWNER.match(what)
    owner = one_of(who["who"], names) if who else ""
    if not owner and re.match(r"(?i)(?:I['’]?ll|I\s+will|ich)\b", what) and is_somebody(row.speaker):
        owner = row.speaker
    if owner:
        found.actions.append(_action(row, what, owner))
    elif who and who["who"][0].isupper():
        found.unsure.append(_doubt(row, what, f"{who['who']} has not spoken in the meeting"))
    else:
        found.unsure.append(_doubt(row, what, "nobody is named who does it"))


def _asked(found: Minutes, rows: Sequence[Line], at: int, sentence: str, names: Sequence[str]) -> set[int]:
    """A request counts when the one who is asked says yes; then it is theirs."""
    row = rows[at]
    if REPORTED.search(sentence) or SAYS_NOTHING.search(sentence) or HEAR_ME.search(sentence) or IF.search(sentence):
        return set()
    words = re.findall(r"[A-ZÄÖÜ][\w'’-]+", sentence)
    named = {who for word in words if (who := one_of(word, names)) and who != row.speaker}
    asked = named.pop() if len(named) == 1 else ""
    for answer in rows[at + 1 : at + 1 + ANSWERS]:
        if answer.speaker == row.speaker or not is_somebody(answer.speaker) or (asked and answer.speaker != asked):
            continue
        if _is_yes(answer):
            day = _by_when(sentence, answer.text)
            own = next((one for one in _sentences(answer.text) if _names_it(one)), "")
            # Said in their own words, it is their line that says what is to be done.
            item = _action(answer, own, answer.speaker) if own else _action(row, sentence, answer.speaker)
            found.actions.append(item | {"due": day, "also": [row.number if own else answer.number]})
            return {answer.number}
        if _promises(next(_sentences(answer.text), "")):  # says itself what it will do, in its own words
            return set()
        break
    found.unsure.append(_doubt(row, sentence, f"{asked or 'somebody'} was asked, and no plain yes follows"))
    return set()


def _action(row: Line, sentence: str, owner: str) -> dict[str, Any]:
    return {"text": sentence, "owner": owner, "due": _by_when(sentence), "line": row.number}


def _by_when(*texts: str) -> str:
    """The words of the first text with a day that say by when; nothing where two stand, and neither is a deadline."""
    for text in texts:
        when = due.words_in(text)
        deadlines = [words for words in when if DEADLINE.match(words)]
        if len(when) == 1 or len(deadlines) == 1:
            return (deadlines or when)[0][:80]
        if when:
            return ""
    return ""


def _doubt(row: Line, sentence: str, why: str) -> dict[str, Any]:
    return {"text": sentence, "line": row.number, "why": why}


def is_somebody(speaker: str) -> bool:
    """Whether a speaker has a name: `Speaker 2` and `Unknown` have none."""
    return bool(speaker) and not re.match(
        r"(?i)(?:unknown|unidentified|speaker|sprecher(?:in)?|participant|guest|caller)\b", speaker
    )


def one_of(name: str, names: Sequence[str]) -> str:
    """The one of the names that is meant by this one, or by this first name; empty when none or several can be."""
    name = name.strip().casefold()
    whole = [each for each in names if each.casefold() == name]
    if whole:
        return whole[0]
    first = [each for each in names if name in each.casefold().split() and is_somebody(each)]
    return first[0] if len(first) == 1 else ""
