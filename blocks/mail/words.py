"""What mail programs and people write around a letter, by language. To support one more, add its words here.

Pieces of regular expressions, matched without regard to case; mail-parser-reply's own words come on top.
"""

LABELS = {
    "from": "from|von|de|van|da|od|fra|från|lähettäjä|от|від|发件人|寄件者|差出人|보낸 ?사람"
    "|gönderen|kimden|feladó|από",
    "sent": "sent|date|gesendet|datum|envoyé|enviado(?: el| em)?|fecha|data|inviato|verzonden"
    "|sendt|dato|skickat|odesláno|wysłano|lähetetty|дата|отправлено|发送时间|日期|日時"
    "|送信日時|보낸 ?날짜|날짜|tarih|dátum|elküldve|received",
    "to": "to|an|à|a|para|aan|til|till|komu|do|vastaanottaja|кому|收件人|宛先|받는 ?사람|kime|alıcı|címzett",
    "subject": "subject|betreff|objet|asunto|assunto|oggetto|onderwerp|emne|ämne|předmět|temat|aihe"
    "|тема|主题|主旨|件名|제목|konu|tárgy|θέμα",
    "cc": "cc|kopie|kopi|kopia|copie à|dw|копия|抄送|참조|reply-to|importance|organization",
}

ORIGINAL = (
    "original message|original appointment|ursprüngliche nachricht|originalnachricht|message d'origine"
    "|message original|mensaje original|mensagem original|messaggio originale|oorspronkelijk bericht"
    "|originalmeddelande|ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding"
    "|původní zpráva|oryginalna wiadomość|wiadomość oryginalna|alkuperäinen viesti|исходное сообщение"
    "|原始邮件|邮件原件|元のメッセージ|원본 메시지"
)

FORWARDED = (
    "forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado"
    "|mensagem encaminhada|messaggio inoltrato|doorgestuurd bericht|vidarebefordrat meddelande"
    "|videresendt .{0,12}|přeposlaná zpráva|przekazana wiadomość|пересылаемое сообщение|转发的邮件"
    "|転送メッセージ|전달된 메일"
)
FORWARD_OPENINGS = (
    "begin forwarded message|anfang der weitergeleiteten nachricht|début du message (?:transféré"
    "|réexpédié)|inizio messaggio inoltrato|inicio del mensaje reenviado|begin doorgestuurd bericht"
)
FORWARD_PREFIXES = "fwd?|wg|tr|rv|enc|i|vb|doorst|pd|转发|転送"
REPLY_PREFIXES = "re|aw|antw|sv|vs|odp|rép|res|回复|答复|返信"

WROTE_OPENINGS = "on|am|le|el|il|op|den|em|dne|dnia"
WROTE = (
    "wrote|writes|schrieb|écrit|escribió|ha scritto|schreef|skrev|escreveu"
    "|napsal|napisał|пишет|написал|kirjoitti|写道|님이"
)

CLOSINGS = (
    "thanks|many thanks|with (?:many )?thanks(?: and best wishes)?|thank you(?: very much"
    "| so much)?(?: in advance)?|thanks (?:again|in advance)|cheers|regards|best|best wishes"
    "|warm regards|warmly|sincerely|sincerely yours|yours(?: sincerely| faithfully| truly)?|cordially"
    "|respectfully|take care|talk soon|(?:beste|viele|liebe|herzliche"
    "|freundliche) grüße(?: aus \\w{1,30})?|mit (?:freundlichen|besten) grüßen|mfg|lg|vg|danke"
    "|vielen dank|(?:bien )?cordialement|bien à vous|merci(?: d'avance| beaucoup)?|un saludo|gracias"
    "|saludos(?: cordiales)?|atentamente|(?:cordiali|distinti) saluti|un saluto|grazie(?: mille)?"
    "|met vriendelijke groet(?:en)?|groet(?:en|jes)?|mvg|alvast bedankt|atenciosamente|cumprimentos"
    "|obrigad[oa]|abraços|med vänlig hälsning|hälsningar|tack|venlig hilsen|mvh|ystävällisin terveisin"
    "|с уважением|спасибо|敬具|よろしくお願いいたします|此致|谢谢|감사합니다"
)
SENT_FROM = (
    "sent from|sent with|sent via|get outlook for|via mobile|von meinem .{1,20} gesendet|envoyé de mon|отправлено с"
)
DISCLAIMERS = (
    "disclaimer\\b|legal notice|privileged and confidential|confidentiality notice"
    "|avis de confidentialité|(?:this|the information (?:contained )?in this) (?:e-?mail|message"
    "|communication|transmission).{0,200}(?:confidential|privileged|intended (?:only|solely|recipient"
    "|for the))|diese e-?mail.{0,200}vertraulich|ce (?:message|courriel).{0,200}confidentiel"
    "|este (?:correo|mensaje).{0,200}confidencial"
)

AWAY = (
    "automatic reply|auto(?:matic)?[ -]?(?:reply|response)|out of (?:the )?office|away from|on vacation"
    "|automatische antwort|abwesenheit|automatisch antwoord|afwezig|réponse automatique"
    "|absence du bureau|absent|respuesta automática|fuera de la oficina|risposta automatica|fuori sede"
    "|resposta automática|ausência|autosvar|automatiskt svar|frånvaro|automatická odpověď"
    "|automatyczna odpowiedź|автоответ|自动回复|自動返信|자동 회신"
)
BOUNCED = (
    "undeliver|delivery|returned mail|failure notice|mail delivery|unzustellbar|non remis|no entregado|message delayed"
)
