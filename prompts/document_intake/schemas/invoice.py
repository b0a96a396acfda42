"""An invoice: who asks whom for how much, and until when."""

from datetime import date as Date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from prompts.document_intake.schemas.kinds import Amount, Code, Count, Currency, Day, Iban, Party, PastDay, VatId, Words
from prompts.document_intake.schemas.paper import LineSum, Order, Paper, PaperLine, Product, Sum


class InvoiceLine(PaperLine):
    """One thing that is charged for."""

    description: Annotated[str | None, Words(
        "description", "item description", "what we did", "work", "item", "product", "service", "title", "details",
        "article",
        "beschreibung", "bezeichnung", "leistung", "artikel", "désignation", "libellé", "descripción", "concepto",
        "descrizione", "omschrijving", "activity", "particulars", "position", "libelle", "prestation", "dienst",
        "artículo", "articolo", "prestazione", "produkt", "leistungsbeschreibung", "leistungen",
        "bezeichnung der leistung",
        "wat", "waar", "détail", "detalle", "dettaglio", "descrizione della prestazione", "services", "text", "task",
    )] = Field(default=None, description="What was sold, without its number and its amounts.")  # fmt: skip
    quantity: Annotated[Decimal | None, Count(
        "quantity", "qty", "units", "hours", "menge", "anzahl", "quantité", "qté", "cantidad", "quantità", "aantal",
        "stück",
        "stunden", "std", "heures", "uds", "unidades", "days", "tage", "jours", "días", "giorni", "dagen", "km",
        "ship", "shipped",
        "no. of units", "horas", "q.tà", "ore", "uren", "stuks", "pcs", "nombre",
    )] = None  # fmt: skip
    unit_price: Annotated[Decimal | None, Amount(
        "unit price", "price per unit", "price", "rate", "einzelpreis", "vk-preis", "stückpreis", "preis",
        "prix unitaire", "p.u. ht", "p.u.", "precio unitario", "precio", "prezzo unitario", "prezzo", "prijs", "each",
        "unit cost", "e-preis", "ep", "stundensatz", "prix", "tarif", "ansatz", "satz",
        "day rate", "daily rate", "hourly rate", "per unit", "tagessatz", "à", "per stuk", "p. unitario", "p.unit.",
        "unit", "tarief", "tarifa", "stukprijs",
    )] = None  # fmt: skip
    amount: Annotated[Decimal | None, Amount(
        "line total", "amount", "net amount", "total", "zeilenbetrag", "gesamtpreis", "gesamt", "betrag",
        "montant ht", "montant", "importe", "importo", "bedrag", "net", "netto", "nettobetrag", "total ht",
        "g-preis", "gp",
        "summe", "totaal", "totale", "line amount", "ext. price", "extended price",
        "ext", "extended", "euros", "euro", "eur", "total price", "line value", "value", "bedrag excl. btw",
        "betrag netto", "cost",
    )] = None  # fmt: skip


class Invoice(Paper):
    """A bill for goods or services, to be paid."""

    name = "invoice"
    table = "invoices"
    titles = (
        "tax invoice", "retail invoice", "invoice", "bill", "credit note", "debit note", "rechnung", "faktura",
        "gutschrift", "honorarnote", "jahresabrechnung", "verbrauchsabrechnung", "facture", "avoir", "note de crédit",
        "note d'honoraires", "factura", "nota de crédito", "fattura", "nota di credito", "parcella", "factuur",
        "creditnota", "fatura",
    )  # fmt: skip
    signs = (
        "iban", "swift", "bic", "due date", "payment due", "please pay", "please remit", "payable", "amount due",
        "total due", "balance due", "to pay", "bill to", "invoice to", "reverse charge", "late payment", "zahlbar",
        "überweisen", "überweisung", "fällig", "skonto", "zu zahlen", "échéance", "à payer", "règlement", "virement",
        "vencimiento", "transferencia", "a pagar", "scadenza", "bonifico", "te betalen", "te voldoen", "overmaken",
        "vervaldatum",
    )  # fmt: skip
    key = ("seller", "number")
    needed = ("number", "date", "seller", "currency", "total")
    steady = (("iban", "seller"),)
    rules = (
        Sum("total", ("net", "tax"), most=Decimal("0.3")),
        LineSum("amount", ("net", "total")),
        Product("amount", ("quantity", "unit_price")),
        Order("date", "due_date"),
    )

    number: Annotated[str | None, Code(
        "invoice number", "invoice no", "invoice nr", "invoice id", "invoice #", "invoice ref", "bill number",
        "bill no", "document number", "rechnungsnummer", "rechnungsnr", "rechnungs-nr", "rechnung nr", "re-nr",
        "belegnummer", "numéro de facture", "n° de facture", "no de facture", "facture n°", "facture no",
        "facture numéro", "número de factura", "factura n°", "factura nº", "factura no", "numero fattura",
        "fattura n", "factuurnummer", "factuurnr", "belegnr", "beleg-nr", "document ref", "document reference",
        "bill ref", "numero documento", "numéro de document", "número de documento", "documentnummer",
        "credit note number", "gutschriftsnummer", "tax invoice", "invoice", "rechnung",
        "facture", "factura", "fattura", "factuur",
        "nummer",
    )] = Field(
        default=None, description="The invoice's own number; never an order's, a customer's or an account's."
    )  # fmt: skip
    date: Annotated[Date | None, PastDay(
        "invoice date", "date of invoice", "date of issue", "issue date", "issued on", "issued", "bill date", "dated",
        "rechnungsdatum", "belegdatum", "ausstellungsdatum", "datum", "date de facture", "date de facturation",
        "date d'émission", "date facture", "fecha de factura", "fecha de emisión", "fecha", "data fattura", "data",
        "factuurdatum", "émise le", "émis le", "emitida el", "emessa il", "ausgestellt am", "uitgereikt op",
        "rechnung vom",
        "date",
    )] = Field(default=None, description="The day on which it was issued.")  # fmt: skip
    due_date: Annotated[Date | None, Day(
        "payment due date", "due date", "payment due", "pay by", "payable by", "due on", "due by",
        "total amount due on", "fälligkeitsdatum", "fällig am", "zahlbar bis", "zahlungsziel", "fälligkeit",
        "date limite de paiement", "date d'échéance", "échéance", "à payer avant le", "fecha de vencimiento",
        "vencimiento", "data scadenza", "scadenza", "vervaldatum", "date due", "payment by", "zahlbar bis zum",
        "überweisung bis zum", "zu zahlen bis", "vervaldag", "uiterste betaaldatum", "settle by", "please pay by",
        "payment is due by", "payment is due on", "to be paid by", "rein netto bis", "netto bis",
        "zahlbar rein netto bis",
        "bis spätestens", "au plus tard le", "avant le", "a más tardar el", "antes del", "pagar antes del", "entro il",
        "uiterlijk op", "uiterlijk", "te betalen voor", "te voldoen voor", "due",
    )] = Field(default=None, description="The last day for paying, if a day is printed.")  # fmt: skip
    seller: Annotated[str | None, Party(
        "sold by", "seller", "supplier", "vendor", "issued by", "from", "service provider", "lieferant", "verkäufer",
        "vendeur", "fournisseur", "émetteur", "proveedor", "vendedor", "fornitore", "leverancier",
    )] = Field(default=None, description="Who sends the invoice and is to be paid.")  # fmt: skip
    seller_vat_id: Annotated[str | None, VatId(
        "vat registration number", "vat reg no", "vat number", "vat no", "vat id", "vat", "ust-idnr", "ust-id-nr",
        "ust-id", "ustid", "umsatzsteuer-id", "n° de tva intracommunautaire", "n° de tva intra communautaire",
        "n° tva", "tva intracommunautaire", "tva", "nif", "cif", "partita iva", "p. iva", "p.iva", "btw-nummer", "btw",
    )] = Field(default=None, description="The seller's VAT number.")  # fmt: skip
    buyer: Annotated[str | None, Party(
        "bill to address", "bill to", "billed to", "invoice to", "billing address", "sold to", "customer", "client",
        "buyer", "attn", "rechnungsempfänger", "rechnung an", "kunde", "facturé à", "adresse de facturation",
        "nom de l'abonné", "facturar a", "cliente", "klant", "customer name", "adressé à", "adressée à", "facture à",
        "destinataire", "locataire", "datos del cliente", "destinatario", "spett.le", "spettabile", "intestata a",
        "vendu à", "à l'attention de", "facturer à", "credit to", "invoiced to", "charged to", "titular",
        "titular del contrato",
        "rechnungsadresse", "rechnungsanschrift", "an die", "an den", "an das", "firma", "factuuradres", "guest",
        "to", "an", "aan",
    )] = Field(default=None, description="Who has to pay it.")  # fmt: skip
    iban: Annotated[str | None, Iban("iban")] = Field(default=None, description="The account to pay to.")
    currency: Annotated[str | None, Currency("currency", "währung", "devise", "moneda", "valuta")] = None
    net: Annotated[Decimal | None, Amount(
        "total excluding tax", "total excl. tax", "total excl. vat", "total before tax", "net total", "total net",
        "net amount", "subtotal", "sub total", "sub-total", "nettobetrag", "summe netto", "netto", "zwischensumme",
        "total hors taxes", "total ht", "montant ht", "base imponible", "imponibile", "totaal excl. btw", "nettosumme",
        "warenwert netto", "goods net", "net goods", "taxable amount", "subtotaal", "subtotale", "suma", "sous-total",
        "total htva", "before vat", "before tax", "excluding vat", "total net", "total net ht", "zwischentotal",
        "base imposable", "base iva", "net total", "abschlag netto", "netto total", "honorar", "nett", "net",
    )] = Field(default=None, description="The amount without tax.")  # fmt: skip
    tax: Annotated[Decimal | None, Amount(
        "total tax", "total vat", "sales tax", "vat amount", "tax amount", "gst", "vat", "tax", "mehrwertsteuer",
        "umsatzsteuer", "mwst", "ust", "montant tva", "total tva", "tva", "iva", "btw", "v.a.t.", "t.v.a.", "moms",
        "hst",
        "qst", "pst", "tvq", "tps", "cgst", "sgst", "igst", "tps / gst", "tvq / qst", "gst / tps", "qst / tvq",
        "recargo de equivalencia", "recargo equivalencia",
    )] = Field(default=None, description="All of the tax.")  # fmt: skip
    total: Annotated[Decimal | None, Amount(
        "grand total", "total amount due", "total due", "amount due", "balance due", "total to pay", "amount payable",
        "total payable", "total for this invoice", "invoice total", "total including tax", "total incl. tax",
        "total incl. vat", "total amount", "gesamtbetrag", "rechnungsbetrag", "endbetrag", "bruttobetrag",
        "zu zahlender betrag", "zu zahlen", "zahlbetrag", "gesamtsumme", "summe brutto", "brutto", "somme à payer",
        "montant à payer", "net à payer", "total à payer", "total ttc", "montant ttc", "total facture",
        "importe total", "total a pagar", "total factura", "totale fattura", "totale", "te betalen", "totaal",
        "gesamt", "summe", "bruttosumme", "gutschriftsbetrag", "totaal te voldoen", "te voldoen", "à payer", "to pay",
        "gross total", "gross", "totale complessivo", "totaal incl. btw", "rechnungstotal", "total payable",
        "total credit", "fattura totale", "totale da pagare", "da pagare", "total a percibir", "líquido a percibir",
        "abschlag brutto", "total à régler", "à régler", "total factuur", "factuurtotaal", "eindtotaal",
        "pay this amount",
        "total", "in total",
    )] = Field(default=None, description="What has to be paid in all, tax included.")  # fmt: skip
    lines: tuple[InvoiceLine, ...] = ()
