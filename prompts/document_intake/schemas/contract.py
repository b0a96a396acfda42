"""The terms of a contract: who, from when, how long, and how one gets out of it."""

from datetime import date as Date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from prompts.document_intake.schemas.kinds import Amount, Currency, Day, Law, Party, PastDay, Span
from prompts.document_intake.schemas.paper import Order, Paper


class Contract(Paper):
    """An agreement between two parties, with what a company must not forget about it."""

    name = "contract"
    table = "contracts"
    titles = (
        "master service agreement", "service agreement", "services agreement", "subscription agreement", "agreement",
        "contract", "order form", "non-disclosure agreement", "lease", "dienstleistungsvertrag", "rahmenvertrag",
        "mietvertrag", "vertrag", "vereinbarung", "nachtrag", "contrat", "convention", "avenant", "bail", "contrato",
        "acuerdo", "convenio", "contratto", "accordo", "overeenkomst", "tenancy", "terms of subscription",
        "subscription terms", "terms of service", "statement of work", "engagement letter", "letter of engagement",
        "memorandum of understanding", "amendment", "addendum", "charter party",
    )  # fmt: skip
    signs = (
        "this agreement", "the parties", "either party", "each party", "hereby", "hereinafter", "whereas",
        "notice period", "governing law", "governed by", "initial term", "vertragspartner", "vertragsparteien",
        "nachfolgend", "kündigungsfrist", "mindestlaufzeit", "laufzeit", "auftragnehmer", "auftraggeber",
        "soussignés", "les parties", "préavis", "droit applicable", "reunidos", "cláusulas", "las partes", "preaviso",
        "le parti", "recesso", "decorrenza", "preavviso", "partijen", "opzegtermijn", "opdrachtgever",
        "opdrachtnemer", "effective date", "signed for",
    )  # fmt: skip
    key = ("first_party", "second_party", "start")
    needed = ("first_party", "second_party", "start", "notice")
    rules = (Order("signed", "end"), Order("start", "end"))

    first_party: Annotated[str | None, Party(
        "supplier", "provider", "contractor", "licensor", "lessor", "landlord", "seller", "auftragnehmer", "anbieter",
        "vermieter", "prestataire", "fournisseur", "bailleur", "prestador", "proveedor", "arrendador", "fornitore",
        "vettore", "prestatore", "locatore", "opdrachtnemer", "leverancier", "verhuurder", "verkäufer", "lizenzgeber",
        "party a", "employer", "arbeitgeber", "employeur", "werkgever", "controller", "vendor", "owner",
    )] = Field(default=None, description="Who supplies or is named first.")  # fmt: skip
    second_party: Annotated[str | None, Party(
        "customer", "client", "licensee", "lessee", "tenant", "buyer", "auftraggeber", "kunde", "mieter", "locataire",
        "preneur", "cliente", "arrendatario", "committente", "conduttore", "opdrachtgever", "huurder", "klant",
        "käufer", "lizenznehmer", "party b", "employee", "arbeitnehmer", "salarié", "werknemer", "processor",
        "purchaser", "subscriber", "hirer",
    )] = Field(default=None, description="Who is supplied or is named second.")  # fmt: skip
    signed: Annotated[Date | None, PastDay(
        "date of signature", "signed on", "signature date", "datum der unterschrift", "unterzeichnet am", "signé le",
        "fait le", "fait à", "firmado el", "firmado en", "en prueba de conformidad", "getekend", "ondertekend te",
        "ondertekend",
        "firmato il", "firmato a", "unterzeichnet in", "signed at", "signed",
    )] = Field(default=None, description="The day on which the last party has signed.")  # fmt: skip
    start: Annotated[Date | None, Day(
        "effective date", "commencement date", "start date", "start of term", "commences on", "commencing on",
        "effective as of", "effective from", "with effect from", "starts on", "begins on", "vertragsbeginn", "beginn",
        "laufzeitbeginn", "beginnt am", "ab dem", "date d'effet", "prend effet le", "date de début", "fecha de inicio",
        "entrada en vigor", "decorrenza", "data di inizio", "ingangsdatum", "gaat in op", "has effect from",
        "takes effect on", "mietbeginn",
    )] = Field(default=None, description="The day from which it holds.")  # fmt: skip
    end: Annotated[Date | None, Day(
        "end date", "expiry date", "expiration date", "termination date", "end of term", "expires on", "ends on",
        "vertragsende", "laufzeitende", "endet am", "bis zum", "date de fin", "prend fin le", "fecha de fin",
        "data di fine", "scadenza", "einddatum", "eindigt op", "mietende",
    )] = Field(default=None, description="The day on which it ends, if a day is printed.")  # fmt: skip
    term: Annotated[str | None, Span(
        "initial term", "minimum term", "term of agreement", "contract term", "subscription term", "for a term of",
        "for a period of", "for an initial term of", "term", "mindestlaufzeit", "vertragslaufzeit", "laufzeit",
        "für die dauer von", "auf die dauer von", "fest auf die dauer von", "continues for", "remains in force for",
        "initial term of this agreement is", "term of this agreement is", "pour une durée initiale de",
        "pour une durée de",
        "por un período de", "por un periodo de", "por un plazo de", "duración inicial", "per un periodo di",
        "per la durata di",
        "voor een periode van", "heeft een looptijd van", "durée initiale", "durée", "duración", "durata",
        "voor de duur van", "duur", "looptijd",
    )] = Field(default=None, description="How long it holds at first.")  # fmt: skip
    renewal: Annotated[str | None, Span(
        "renewal term", "renewal period", "successive periods of", "successive terms of", "renews automatically for",
        "renewed for", "renew for", "verlängerung", "verlängert sich um", "verlängert sich jeweils um", "jeweils um",
        "verlängert sich automatisch um", "extended for", "extends for", "further periods of", "further terms of",
        "par périodes de", "par période de", "stilzwijgend verlengd met", "telkens verlengd met", "verlengd met",
        "por períodos de",
        "por periodos de", "se prorrogará por", "si rinnova per", "per periodi di", "per ulteriori",
        "tacite reconduction pour", "reconduction",
        "renouvelé pour", "prórroga", "rinnovo", "verlenging",
    )] = Field(default=None, description="By how long it goes on when nobody ends it.")  # fmt: skip
    notice: Annotated[str | None, Span(
        "notice period", "written notice of", "prior written notice of", "notice of at least", "notice of", "notice",
        "kündigungsfrist", "mit einer frist von", "frist von", "préavis de", "préavis", "preaviso", "preavviso di",
        "preavviso", "opzegtermijn",
    )] = Field(default=None, description="How long before its end notice must be given.")  # fmt: skip
    fee: Annotated[Decimal | None, Amount(
        "annual fee", "monthly fee", "subscription fee", "total fees", "fees", "fee", "annual price", "monthly price",
        "price", "jahresgebühr", "monatliche gebühr", "vergütung", "gebühr", "preis", "redevance", "prix", "precio",
        "monthly rent", "annual rent", "rent", "salary", "miete", "gehalt", "loyer", "renta", "canone", "corrispettivo",
        "huur", "huurprijs", "flat fee of", "subscription fee of", "fee of", "nettokaltmiete", "kaltmiete",
        "forfait mensuel de",
        "forfait de", "vergoeding bedraagt", "vergoeding", "cuota", "honorarios", "compenso", "pauschale",
        "monatspauschale",
    )] = Field(default=None, description="What is paid regularly, or else in all.")  # fmt: skip
    currency: Annotated[str | None, Currency("currency", "währung", "devise", "moneda")] = None
    payment_days: Annotated[str | None, Span(
        "payment terms", "payable within", "due within", "payment within", "paid within", "zahlbar innerhalb von",
        "zahlungsziel", "paiement à", "payable sous", "betaling binnen", "betalingstermijn", "pago a", "pagamento a",
        "invoice is payable within", "invoices are payable within", "invoices within",
        "pays each of contractor's invoices within",
        "payables à", "payées à", "payable à", "rechnungen sind innerhalb von", "zahlbar binnen", "binnen",
        "vindt plaats binnen", "betaald binnen", "se pagarán a", "en un plazo de", "pagate entro", "entro",
    )] = Field(default=None, description="Within how long an invoice must be paid.")  # fmt: skip
    governing_law: Annotated[str | None, Law(
        "governing law", "governed by the laws of", "governed by", "laws of", "anwendbares recht", "es gilt das recht",
        "droit applicable", "régi par le droit", "ley aplicable", "legge applicabile", "toepasselijk recht", "droit",
        "is governed by the law of",
    )] = Field(default=None, description="The country or state whose law holds.")  # fmt: skip
