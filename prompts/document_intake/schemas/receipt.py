"""A receipt: what was paid already, where and how."""

from datetime import date as Date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from prompts.document_intake.schemas.kinds import Amount, Code, Currency, Means, Party, PastDay, VatId, Words
from prompts.document_intake.schemas.paper import LineSum, Paper, PaperLine, Sum


class ReceiptLine(PaperLine):
    """One thing that was bought."""

    description: Annotated[str | None, Words("description", "item", "artikel", "bezeichnung", "article")] = None
    amount: Annotated[Decimal | None, Amount("amount", "price", "total", "betrag", "preis", "montant", "prix")] = None


class Receipt(Paper):
    """The proof of a payment that was made: a till's slip, a card's, a taxi's."""

    name = "receipt"
    table = "expense_receipts"  # the ledger has receipts of its own
    titles = (
        "payment receipt", "sales receipt", "receipt", "proof of payment", "payment confirmation", "customer copy",
        "cardholder copy", "merchant copy", "quittung", "kassenbon", "kassenzettel", "kassenbeleg", "beleg",
        "kundenbeleg", "händlerbeleg", "kartenzahlung", "bewirtungsbeleg", "zahlungsbestätigung", "reçu",
        "reçu de paiement", "ticket de caisse", "ticket client", "recibo", "recibo de pago", "justificante de pago",
        "factura simplificada", "ticket de caja", "ticket", "ricevuta", "ricevuta fiscale", "scontrino",
        "scontrino fiscale", "documento commerciale", "kassabon", "kwitantie", "betaalbewijs", "pinbon", "bonnetje",
    )  # fmt: skip
    signs = (
        "cash", "change", "tendered", "paid", "visa", "mastercard", "amex", "maestro", "girocard", "apple pay",
        "google pay", "contactless", "approved", "auth", "tip", "cashier", "till", "terminal", "pump", "table",
        "bezahlt", "gegeben", "rückgeld", "bar", "ec-karte", "kontaktlos", "kasse", "tisch", "payé", "espèces", "cb",
        "carte bancaire", "sans contact", "caisse", "rendu", "efectivo", "tarjeta", "cambio", "pagado", "contante",
        "contanti", "bancomat", "resto", "pagamento", "pin", "pinpas", "contant", "wisselgeld", "betaald",
        "thank you for your visit", "merci de votre visite",
    )  # fmt: skip
    key = ("seller", "date", "total")  # not every till prints a number
    needed = ("date", "seller", "currency", "total")
    rules = (Sum("total", ("net", "tax"), most=Decimal("0.3")), LineSum("amount", ("total", "net")))

    seller: Annotated[str | None, Party(
        "merchant", "store", "sold by", "paid to", "received by", "händler", "geschäft", "commerçant", "comercio",
    )] = Field(default=None, description="Who was paid.")  # fmt: skip
    date: Annotated[Date | None, PastDay(
        "date paid", "payment date", "paid on", "transaction date", "purchase date", "date", "datum", "bezahlt am",
        "payé le", "fecha", "data", "received on", "erhalten am", "reçu le",
    )] = Field(default=None, description="The day of the payment.")  # fmt: skip
    number: Annotated[str | None, Code(
        "receipt number", "receipt no", "receipt #", "receipt", "transaction number", "transaction no",
        "transaction id", "transaction", "trans", "belegnummer", "beleg-nr", "beleg nr", "bon-nr", "bon nr",
        "quittungsnummer", "quittung nr", "ticket n°", "n° de ticket", "numéro de reçu", "bonnr", "bonnummer",
        "documento n°", "documento n", "numero documento", "check #", "check no", "note n°", "quittung", "reçu n°",
        "ticket", "nummer",
    )] = Field(default=None, description="The receipt's own number.")  # fmt: skip
    seller_vat_id: Annotated[str | None, VatId(
        "vat number", "vat no", "vat id", "vat reg", "ust-idnr", "ust-id", "ustid", "n° tva", "partita iva", "nif",
        "btw",
    )] = Field(default=None, description="The seller's VAT number.")  # fmt: skip
    currency: Annotated[str | None, Currency("currency", "währung", "devise")] = None
    net: Annotated[
        Decimal | None,
        Amount(
            "total excl. tax",
            "subtotal",
            "sub total",
            "sub-total",
            "net",
            "netto",
            "zwischensumme",
            "total ht",
            "subtotaal",
            "subtotale",
            "sous-total",
            "base imponible",
            "imponibile",
        ),
    ] = None
    tax: Annotated[Decimal | None, Amount(
        "total tax", "sales tax", "vat", "tax", "gst", "mwst", "mehrwertsteuer", "ust", "tva", "iva", "btw", "hst",
        "qst", "pst", "tps", "tvq", "gst / hst",
    )] = None  # fmt: skip
    total: Annotated[Decimal | None, Amount(
        "grand total", "total paid", "amount paid", "total due", "amount due", "total amount", "gesamtbetrag", "gesamt",
        "zu zahlen", "summe", "bezahlt", "montant payé", "total ttc", "montant", "importe", "totale", "totaal",
        "total", "betrag", "la somme de", "somme de", "the sum of", "totale complessivo", "total incl. tax",
        "total eur", "total to pay", "total charged", "total fare", "eindtotaal", "total a pagar", "importe total",
        "paid", "amount",
    )] = Field(default=None, description="What was paid in all, tax and tip included.")  # fmt: skip
    paid_by: Annotated[str | None, Means(
        "payment method", "paid by", "paid with", "method of payment", "tender", "zahlungsart", "zahlungsform",
        "bezahlt mit", "mode de paiement", "moyen de paiement", "forma de pago", "betaalwijze",
    )] = Field(default=None, description="Cash, or the card without its number.")  # fmt: skip
    lines: tuple[ReceiptLine, ...] = ()
