"""The turns of phrase, in English, German, French and Spanish, by which a summary is picked."""

import re

from blocks.embedded.text import any_of

SENTENCE_END = re.compile(
    r"(?<=[.!?…])[\"')\]]*\s+(?=[\"'(¿¡]?[A-ZÀ-Þ0-9])"  # the next word begins like a sentence
    r"|\n\s*\n"
    r"|\n(?=\s*[-*•]\s)"
)
ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nr|Inc|Ltd|e\.g|i\.e|approx|vs|z\.B|bzw|ca|Sra?)\.$")
SIGN_OFF = re.compile(
    r"^[ \t]*(?i:(?:many |kind |best |warm |with )?(?:regards|wishes|thanks|thank you|best|cheers|sincerely)"
    r"(?: in advance| again| so much)?|yours \w+"
    r"|(?:mit )?(?:freundlichen?|viele|beste|liebe) gr(?:ü|ue)(?:ß|ss)en?|vielen dank"
    r"|cordialement|bien à vous|merci|(?:un )?(?:cordial )?saludos?(?: cordiales)?|atentamente|gracias)"
    r"[,.! –-]*(?:[A-Z][\w.'-]*[ .]*){0,3}$",
    re.MULTILINE,
)
GREETING = re.compile(
    r"^\s*(?:"
    r"(?i:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings"
    r"|hallo|guten (?:tag|morgen)|sehr geehrte[rs]?|liebe[rs]?|bonjour|salut|ch(?:er|ère)s?"
    r"|hola|buen[oa]s (?:días|dias|tardes)|estimad[oa]s?)\b"
    r"(?:[ /]+(?:(?i:there|all|both|team|everyone|folks|sir|or|and|madam|you"
    r"|zusammen|und|damen|herren|à tous)\b|[A-ZÀ-Þ](?!')[\w’-]+\.?))*"
    r"|[A-Z][\w'’-]+(?:[ /]+\w+){0,3}(?=,\s*\n)"  # "Priya / anyone,"
    r")\s*[,.!:;–—-]*\s*",
)
PLEASANTRY = any_of(
    r"hope (?:you|this|all)|my name is|thanks?\b.{0,40}$|thank you|nice to meet|i am writing",
    r"good (?:talking|speaking|meeting)|unsubscribe|sent from my|opt out|don't want to hear",
    r"ich hoffe|vielen dank|gracias por|merci (?:pour|de)",
)
REQUEST = any_of(
    r"(?:could|can|would|will|may|might) (?:you|we|i|someone|somebody|anyone)|please|let (?:me|us) know",
    r"(?:we|i)(?:'d| would) (?:like|love|need)|how (?:much|do|can|many|long)",
    r"is (?:it|there)|do(?:es)? (?:you|it)",
    r"(?:we|i)(?:'re| are|'m| am)? (?:\w+ )?(?:need|want|looking|interested|after|hoping|trying|considering)",
    r"(?:send|call|ring) (?:me|us)|invit\w+|propos\w+|partner\w*|offer\w*|demo|quote",
    r"könn(?:en|ten) sie|bitte|wäre|möchten?|suchen|brauchen|interessier\w+",
    r"pourri(?:ez|ons)|souhait\w+|cherch\w+|serait-il",
    r"podr(?:ía|ían|íamos)|quisi(?:era|éramos)|necesit\w+|nos gustaría|cuánto",
)
PROBLEM = any_of(
    r"can(?:'t|not)|won't|doesn't|isn't|aren't|not working|stopped|broken|fail\w*|errors?|down|missing|wrong",
    r"gone|stuck|crash\w*|lost|charged|refund|cancel\w*|none of|nothing",
    r"geht nicht|funktioniert nicht|fehler|ne fonctionne|no funciona",
)
DEADLINE = any_of(
    r"today|tomorrow|tonight|asap|urgent\w*|immediately|by (?:\w+day|end|the|\d)|before|deadline",
    r"(?:mon|tues|wednes|thurs|fri)day|(?:this|next) (?:week|month)",
    r"heute|morgen|dringend|demain|aujourd'hui|mañana|hoy",
)
