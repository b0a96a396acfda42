"""Bills, receipts and contracts as their layout text, with what stands on them. All are made up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """A paper, and what it says."""

    about: str
    kind: str
    text: str
    says: dict[str, str]
    """By field; with a `?` in front where it is right to be unsure of it."""
    recognised: bool = True


PAPERS = [
    Written(
        "labels before their values, and look-alikes",
        "invoice",
        """
Harbour Print Ltd
14 Quay Street, Bristol BS1 4QA
VAT No: GB980780684

INVOICE

Invoice number: HP-2026-0117
Invoice date: 3 March 2026
Due date: 2 April 2026
Order number: PO-99812
Order date: 12 February 2026
Customer number: 40551

Bill to: Northwind Traders Ltd
         9 Market Square, Leeds

Description              Quantity   Unit price     Amount
Flyers A5                    2000         0.05     100.00
Posters A1                     20         6.00     120.00

                                    Subtotal       220.00
                                    VAT 20%         44.00
                                    Total due   GBP 264.00
""",
        {
            "number": "HP-2026-0117",
            "date": "2026-03-03",
            "due_date": "2026-04-02",
            "seller": "Harbour Print Ltd",
            "seller_vat_id": "GB980780684",
            "buyer": "Northwind Traders Ltd",
            "currency": "GBP",
            "net": "220.00",
            "tax": "44.00",
            "total": "264.00",
        },
    ),
    Written(
        "labels far left of their values",
        "invoice",
        """
Brightwell Consulting, Inc.                      INVOICE
200 Pine Street
Portland, OR 97204

Invoice #                      20611
Date                           04/15/2026
Due on                         05/15/2026
P.O. Number                    7781-A
Account No                     5520

BILL TO                        SHIP TO
Acme Rockets LLC               Acme Warehouse
1 Desert Road                  2 Dock Road

Item                 Hours      Rate        Amount
Workshop             8.00     150.00      1,200.00
Travel               1.00     310.25        310.25

Subtotal                                  1,510.25
Sales Tax (0%)                                0.00
Shipping                                      0.00
Balance Due                              $1,510.25
All amounts in US dollars.
""",
        {
            "number": "20611",
            "date": "2026-04-15",
            "due_date": "2026-05-15",
            "seller": "Brightwell Consulting, Inc.",
            "buyer": "Acme Rockets LLC",
            "currency": "USD",
            "net": "1510.25",
            "tax": "0.00",
            "total": "1510.25",
        },
    ),
    Written(
        "labels above their values",
        "invoice",
        """
Musterbau GmbH · Ringstraße 4 · 80331 München

Nordlicht Handels AG
Hafenweg 2
20457 Hamburg

Rechnung

Rechnungsnr.      Rechnungsdatum     Kundennr.     Lieferdatum
RE-10442          17.03.2026         D-7781        10.03.2026

Pos   Bezeichnung           Menge    Einzelpreis    Gesamtpreis
1     Fenster montieren     4        250,00         1.000,00
2     Silikon               10       12,50          125,00

                            Zwischensumme           1.125,00 €
                            zzgl. 19 % MwSt.          213,75 €
                            Gesamtbetrag            1.338,75 €

Zahlbar bis 31.03.2026 auf das Konto DE75 5121 0800 1245 1261 99
USt-IdNr.: DE136695976   Steuernummer: 143/555/12345
""",
        {
            "number": "RE-10442",
            "date": "2026-03-17",
            "due_date": "2026-03-31",
            "seller": "?Musterbau GmbH",
            "seller_vat_id": "DE136695976",
            "iban": "DE75512108001245126199",
            "currency": "EUR",
            "net": "1125.00",
            "tax": "213.75",
            "total": "1338.75",
        },
    ),
    Written(
        "German, a delivery note and a period",
        "invoice",
        """
                                             Blumen Lange e.K.
                                             Gartenweg 7
                                             01067 Dresden
Herrn Max Beispiel
Am Ring 3
01069 Dresden
                                             Datum: 05.01.2026
                                             Lieferschein: 88123 vom 02.01.2026
                                             Ihre Bestellnummer: B-4410

Rechnung Nr. 2026-015

Leistungszeitraum: 01.12.2025 - 31.12.2025

Netto          84,03 EUR
MwSt. 19 %     15,97 EUR
Brutto        100,00 EUR
""",
        {
            "number": "2026-015",
            "date": "2026-01-05",
            "currency": "EUR",
            "net": "84.03",
            "tax": "15.97",
            "total": "100.00",
            "seller": "?Blumen Lange e.K.",
        },
    ),
    Written(
        "French, an order date",
        "invoice",
        """
SARL Boulangerie Petit
12 rue des Lilas, 75011 Paris
N° TVA intracommunautaire : FR60421938861
SIRET 421 938 861 00013

FACTURE N° F2026-0088

Date de facture : 12/02/2026          Date de commande : 03/02/2026
Date d'échéance : 14/03/2026          N° client : C-2210

Désignation                 Qté     P.U. HT     Montant HT
Pain complet                 30        2,50          75,00
Croissants                   40        1,10          44,00

                                   Total HT         119,00 €
                                   TVA 5,5 %          6,55 €
                                   Total TTC        125,55 €
                                   Net à payer      125,55 €
""",
        {
            "number": "F2026-0088",
            "date": "2026-02-12",
            "due_date": "2026-03-14",
            "seller": "SARL Boulangerie Petit",
            "seller_vat_id": "FR60421938861",
            "currency": "EUR",
            "net": "119.00",
            "tax": "6.55",
            "total": "125.55",
        },
    ),
    Written(
        "Spanish, dates in words",
        "invoice",
        """
Talleres Ibáñez, S.L.
Calle Mayor 5, 28013 Madrid
NIF: ESB58378431

FACTURA
Número de factura: 2026/A/31            Fecha de emisión: 9 de marzo de 2026
Número de pedido: 7719                  Vencimiento: 8 de abril de 2026

Cliente: Construcciones Vega, S.A.

Concepto              Cantidad      Precio        Importe
Reparación            3             120,00        360,00
Pintura               1             1.040,50      1.040,50

Base imponible        1.400,50 €
IVA 21 %                294,11 €
Total factura         1.694,61 €
""",
        {
            "number": "2026/A/31",
            "date": "2026-03-09",
            "due_date": "2026-04-08",
            "seller": "Talleres Ibáñez, S.L.",
            "seller_vat_id": "ESB58378431",
            "buyer": "Construcciones Vega, S.A.",
            "currency": "EUR",
            "net": "1400.50",
            "tax": "294.11",
            "total": "1694.61",
        },
    ),
    Written(
        "Italian, the date beside the number",
        "invoice",
        """
Officine Rossi S.r.l.
Via Roma 1, 20121 Milano
Partita IVA IT12345670017

Fattura n. 45/2026 del 14/01/2026
Scadenza: 13/02/2026
Spett.le Bianchi S.p.A.

Descrizione           Quantità     Prezzo      Importo
Manutenzione          2            300,00      600,00

Imponibile                         600,00
IVA 22%                            132,00
Totale fattura            EUR      732,00
""",
        {
            "number": "45/2026",
            "date": "2026-01-14",
            "due_date": "2026-02-13",
            "seller": "Officine Rossi S.r.l.",
            "seller_vat_id": "IT12345670017",
            "currency": "EUR",
            "net": "600.00",
            "tax": "132.00",
            "total": "732.00",
        },
    ),
    Written(
        "Dutch",
        "invoice",
        """
Fietsen De Vries B.V.
Kade 10, 1012 AB Amsterdam
BTW-nummer: NL004495445B01

FACTUUR

Factuurnummer:  F-26-0033
Factuurdatum:   21-01-2026
Vervaldatum:    20-02-2026
Klant:          Jansen Logistiek B.V.

Omschrijving          Aantal     Prijs       Bedrag
Bakfiets              1          1.650,00    1.650,00

Totaal excl. btw      € 1.650,00
BTW 21%               €   346,50
Te betalen            € 1.996,50
""",
        {
            "number": "F-26-0033",
            "date": "2026-01-21",
            "due_date": "2026-02-20",
            "seller": "Fietsen De Vries B.V.",
            "seller_vat_id": "NL004495445B01",
            "buyer": "Jansen Logistiek B.V.",
            "currency": "EUR",
            "net": "1650.00",
            "tax": "346.50",
            "total": "1996.50",
        },
    ),
    Written(
        "a table over two pages",
        "invoice",
        """
Cobalt Hosting GmbH                                     Rechnung
Cobaltallee 1, 10115 Berlin

Rechnungsnummer: 77120        Datum: 28.02.2026

Beschreibung             Menge     Einzelpreis     Betrag
Server S                 1         49,00           49,00
Server M                 1         99,00           99,00

Zwischensumme                                     148,00

--- page 2 ---

Rechnungsnummer: 77120        Seite 2

Beschreibung             Menge     Einzelpreis     Betrag
Server L                 1         199,00          199,00

Summe netto                                       347,00 EUR
USt 19%                                            65,93 EUR
Rechnungsbetrag                                   412,93 EUR
""",
        {
            "number": "77120",
            "date": "2026-02-28",
            "seller": "?Cobalt Hosting GmbH",
            "currency": "EUR",
            "net": "347.00",
            "tax": "65.93",
            "total": "412.93",
        },
    ),
    Written(
        "a total with its tax in it",
        "invoice",
        """
Kitchen World Limited
Invoice No. KW7781
Invoice Date 02/05/2026
Delivery Note No. DN-5512

Item              Qty    Price     Total
Pan               1      48.00     48.00
Knife             2      36.00     72.00

Total (including VAT)       £120.00
VAT included at 20%         £20.00
""",
        {
            "number": "KW7781",
            "date": "?2026-05-02",
            "seller": "?Kitchen World Limited",
            "currency": "GBP",
            "tax": "20.00",
            "total": "120.00",
        },
    ),
    Written(
        "no paper at all",
        "invoice",
        """
Hello,

thanks for your help with the garden last week. I will call on Tuesday.
My number is 555-1234, and the key is at 12 Green Lane.
""",
        {},
        recognised=False,
    ),
    Written(
        "no number but others",
        "invoice",
        """
Meadow Farm Ltd
INVOICE
Customer number: 5512
Order number: 8813
Date: 5 May 2026
Delivery date: 4 May 2026
Total: £45.00
""",
        {"date": "2026-05-05", "seller": "?Meadow Farm Ltd", "currency": "GBP", "total": "45.00"},
    ),
    Written(
        "no date but others",
        "invoice",
        """
Meadow Farm Ltd
INVOICE
Invoice no: 5512
Order date: 5 May 2026
Delivery date: 4 May 2026
Total: £45.00
""",
        {"number": "5512", "seller": "?Meadow Farm Ltd", "currency": "GBP", "total": "45.00"},
    ),
    Written(
        "a wrong sum",
        "invoice",
        """
Lime Ltd
Invoice number: 12
Invoice date: 2026-02-03
Net amount: EUR 100.00
VAT: EUR 20.00
Total: EUR 130.00
""",
        {
            "number": "12",
            "date": "2026-02-03",
            "seller": "?Lime Ltd",
            "currency": "EUR",
            "net": "?100.00",
            "tax": "?20.00",
            "total": "?130.00",
        },
    ),
    Written(
        "a credit note",
        "invoice",
        """
Lime Ltd
CREDIT NOTE
Credit note number: CN-9
Date: 2026-02-03
Original invoice: 4471
Total: EUR -130.00
""",
        {"number": "CN-9", "date": "2026-02-03", "seller": "?Lime Ltd", "currency": "EUR", "total": "-130.00"},
    ),
    Written(
        "a previous balance",
        "invoice",
        """
City Power plc
Statement and invoice

Account number 88120033
Bill date 1 June 2026
Bill number 5500912
Previous balance £80.00
Payments received -£80.00
Charges this period £100.00
VAT at 5% £5.00
Total charges £105.00
Amount due £105.00
Please pay by 15 June 2026
""",
        {
            "number": "5500912",
            "date": "2026-06-01",
            "due_date": "2026-06-15",
            "seller": "?City Power plc",
            "currency": "GBP",
            "tax": "5.00",
            "total": "105.00",
        },
    ),
    Written(
        "two rates of tax",
        "invoice",
        """
Markt & Mehr KG
Rechnung Nr.: 5541
Rechnungsdatum: 02.02.2026

Netto 7 %         50,00 EUR
MwSt. 7 %          3,50 EUR
Netto 19 %       100,00 EUR
MwSt. 19 %        19,00 EUR
Summe netto      150,00 EUR
MwSt. gesamt      22,50 EUR
Gesamtbetrag     172,50 EUR
""",
        {
            "number": "5541",
            "date": "2026-02-02",
            "seller": "?Markt & Mehr KG",
            "currency": "EUR",
            "net": "150.00",
            "tax": "22.50",
            "total": "172.50",
        },
    ),
    Written(
        "a till, tax in its subtotal",
        "receipt",
        """
        CORNER CAFE
      5 Station Road
      VAT No GB980780684

  Receipt: 004412
  Date: 14/05/2026 09:31

  Flat white           3.20
  Croissant            2.80

  Subtotal             6.00
  VAT                  1.00
  TOTAL               £6.00
  Cash tendered       10.00
  Change               4.00
""",
        {
            "number": "004412",
            "date": "2026-05-14",
            "seller": "CORNER CAFE",
            "seller_vat_id": "GB980780684",
            "currency": "GBP",
            "total": "?6.00",
        },
    ),
    Written(
        "a German till",
        "receipt",
        """
     REWE Markt GmbH
     Hauptstr. 1
     50667 Köln

 Brot                 2,49 B
 Milch                1,19 B
 --------------------------
 SUMME        EUR     3,68
 Gegeben EUR          5,00
 Rückgeld EUR         1,32

 Datum: 03.04.2026   Uhrzeit: 17:12
 Bon-Nr.: 4471       Kasse: 3
""",
        {"number": "4471", "date": "2026-04-03", "seller": "?REWE Markt GmbH", "currency": "EUR", "total": "3.68"},
    ),
    Written(
        "a French till",
        "receipt",
        """
Librairie Fontaine SARL
Ticket n° 8812
Date : 07/03/2026
Livre             18,00
Carte              2,50
Total TTC         20,50 €
Mode de paiement : Carte bancaire
""",
        {
            "number": "8812",
            "date": "2026-03-07",
            "seller": "?Librairie Fontaine SARL",
            "currency": "EUR",
            "total": "20.50",
            "paid_by": "Carte bancaire",
        },
    ),
    Written(
        "a taxi",
        "receipt",
        """
TAXI RECEIPT
Yellow Cab Company
Date: 2026-07-08
Trip no. 5512
Fare $18.50
Tip $3.00
Total $21.50
Paid by: Visa
""",
        {"date": "2026-07-08", "seller": "?Yellow Cab Company", "total": "21.50", "paid_by": "Visa"},
    ),
    Written(
        "English prose",
        "contract",
        """
                        SERVICE AGREEMENT

This Service Agreement (the "Agreement") is made between Dockwell Limited, a
company registered in England, of 1 Quay Street, Bristol (the "Supplier") and
Northwind GmbH, of Hafenweg 2, 20457 Hamburg (the "Customer").

1. Term. This Agreement commences on 1 April 2026 and continues for an initial
term of twenty-four (24) months. It then renews automatically for successive periods of
twelve (12) months unless ended.

2. Notice. Either party may end it by giving the other at least ninety (90)
days' prior written notice.

3. Fees. The annual fee is EUR 48,000.00, payable within thirty (30) days of the
date of each invoice.

4. This Agreement is governed by the laws of England and Wales.

Signed on 15 March 2026
""",
        {
            "first_party": "Dockwell Limited",
            "second_party": "Northwind GmbH",
            "start": "2026-04-01",
            "term": "24 months",
            "renewal": "12 months",
            "notice": "90 days",
            "fee": "48000.00",
            "currency": "EUR",
            "payment_days": "30 days",
            "governing_law": "England and Wales",
            "signed": "2026-03-15",
        },
    ),
    Written(
        "German prose",
        "contract",
        """
Dienstleistungsvertrag

zwischen der Putzteufel GmbH, Bergstraße 3, 70173 Stuttgart
- nachfolgend "Auftragnehmer" genannt -
und der Nordlicht Handels AG, Hafenweg 2, 20457 Hamburg
- nachfolgend "Auftraggeber" genannt -

§ 1 Laufzeit
Vertragsbeginn ist der 01.05.2026. Die Mindestlaufzeit beträgt 12 Monate. Der Vertrag
verlängert sich um jeweils sechs Monate, wenn er nicht mit einer Frist von drei Monaten
zum Ende der Laufzeit gekündigt wird.

§ 2 Vergütung
Die monatliche Gebühr beträgt 1.250,00 EUR zzgl. MwSt., zahlbar innerhalb von 14 Tagen.

§ 3 Es gilt das Recht der Bundesrepublik Deutschland.
""",
        {
            "first_party": "Putzteufel GmbH",
            "second_party": "Nordlicht Handels AG",
            "start": "2026-05-01",
            "term": "12 months",
            "renewal": "6 months",
            "notice": "3 months",
            "fee": "1250.00",
            "currency": "EUR",
            "payment_days": "14 days",
            "governing_law": "Bundesrepublik Deutschland",
        },
    ),
    Written(
        "French prose",
        "contract",
        """
CONTRAT DE PRESTATION DE SERVICES

Entre Atelier Bleu SARL, 3 rue du Port, Nantes (le « Prestataire »)
et Vega SAS, 8 avenue Foch, Lyon (le « Client »)

Article 1 - Durée. Le contrat prend effet le 1er juin 2026. Durée initiale : 12 mois.
Article 2 - Résiliation avec un préavis de trois mois.
Article 3 - Prix : 900,00 € par mois, paiement à 30 jours.
""",
        {
            "start": "2026-06-01",
            "term": "12 months",
            "notice": "3 months",
            "fee": "900.00",
            "currency": "EUR",
            "payment_days": "30 days",
            "first_party": "Atelier Bleu SARL",
            "second_party": "Vega SAS",
        },
    ),
    Written(
        "a list of terms",
        "contract",
        """
LEASE

Landlord:          Hill Estates Ltd
Tenant:            Tom Baker
Commencement date: 1 January 2026
End date:          31 December 2026
Term:              12 months
Notice period:     2 months
""",
        {
            "first_party": "Hill Estates Ltd",
            "second_party": "Tom Baker",
            "start": "2026-01-01",
            "end": "2026-12-31",
            "term": "12 months",
            "notice": "2 months",
        },
    ),
    Written(
        "labels without values",
        "invoice",
        """
Oak Ltd
INVOICE
Invoice number:
Invoice date:     3 May 2026
Due date:
PO number:        8812
Total:            £45.00
""",
        {"date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP", "total": "45.00"},
    ),
    Written(
        "a due date left blank above dates",
        "invoice",
        """
Oak Ltd
INVOICE 77
Invoice date:     3 May 2026
Due date:

Date          Description     Amount
1 May 2026    Work            45.00

Total         £45.00
""",
        {"number": "77", "date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP", "total": "45.00"},
    ),
    Written(
        "a discount",
        "invoice",
        """
Oak Ltd
Invoice 2026-0012
Date: 3 May 2026
Payment terms: 30 days net from invoice date
Please quote invoice number 2026-0012 with all payments.
Sub total    100.00
Discount     -10.00
VAT           18.00
Total        108.00 GBP
""",
        {
            "number": "2026-0012",
            "date": "2026-05-03",
            "seller": "?Oak Ltd",
            "currency": "GBP",
            "tax": "18.00",
            "total": "108.00",
        },
    ),
    Written(
        "totals of pages",
        "invoice",
        """
Oak Ltd
Invoice no. 991     Date 3 May 2026

Description      Qty    Amount
Bolts             10     10.00
Total page 1             10.00

--- page 2 ---

Carried forward          10.00
Description      Qty    Amount
Nuts              20     30.00
Total page 2             40.00

Grand total      EUR     40.00
""",
        {"number": "991", "date": "2026-05-03", "seller": "?Oak Ltd", "currency": "EUR", "total": "40.00"},
    ),
    Written(
        "a quotation",
        "invoice",
        """
Oak Ltd
QUOTATION
Quote number: Q-17
Date: 3 May 2026
Total: £500.00
""",
        {"date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP", "total": "500.00"},
        recognised=False,
    ),
    Written(
        "columns of labels",
        "invoice",
        """
Oak Ltd

INVOICE NO       ORDER NO        DATE            DUE DATE
8801             7702            03/05/2026      02/06/2026

CUSTOMER NO      DELIVERY NOTE   TERMS
5503             DN-4404         30 days

TOTAL DUE
£1,234.50
""",
        {"number": "8801", "due_date": "?2026-06-02", "seller": "?Oak Ltd", "currency": "GBP", "total": "1234.50"},
    ),
    Written(
        "a column left blank",
        "invoice",
        """
Oak Ltd
Order no     Invoice no     Customer no
             8801           5503
Invoice date
3 May 2026
Total  £5.00
""",
        {"number": "8801", "date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP", "total": "5.00"},
    ),
    Written(
        "a number left blank beside an order",
        "invoice",
        """
Oak Ltd
Invoice no     Order no
               7702
Invoice date: 3 May 2026
Total  £5.00
""",
        {"date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP", "total": "5.00"},
    ),
    Written(
        "the receiver on top",
        "invoice",
        """
Northwind GmbH
Hafenweg 2
20457 Hamburg

Rechnung 4471
Datum: 03.04.2026
Betrag: 500,00 EUR

Max Muster Webdesign, Am Ring 3, 80331 München, IBAN DE75 5121 0800 1245 1261 99
""",
        {"number": "4471", "date": "2026-04-03", "currency": "EUR", "iban": "DE75512108001245126199"},
    ),
    Written(
        "prose, hardly a label",
        "invoice",
        """
Petra Klein
Übersetzungen

Sehr geehrte Damen und Herren,

für die Übersetzung Ihres Katalogs vom 3. Januar 2026 berechne ich Ihnen wie vereinbart 450,00 EUR
zuzüglich 19 % Umsatzsteuer in Höhe von 85,50 EUR, insgesamt also 535,50 EUR. Bitte überweisen
Sie den Betrag bis zum 28.02.2026.

Rechnungsnummer: K-2026-3            Rechnungsdatum: 10.02.2026
""",
        {"number": "K-2026-3", "date": "2026-02-10", "currency": "EUR", "tax": "85.50"},
        recognised=False,
    ),
    Written(
        "two accounts",
        "invoice",
        """
Oak GmbH
Rechnung Nr. 5
Datum 03.04.2026
Gesamtbetrag 10,00 EUR
Sparkasse: DE75 5121 0800 1245 1261 99
Volksbank: DE30 5075 0094 0000 0485 67
""",
        {"number": "5", "date": "2026-04-03", "seller": "?Oak GmbH", "currency": "EUR", "total": "10.00"},
    ),
    Written(
        "two VAT numbers",
        "invoice",
        """
Oak GmbH                     Rechnung Nr. 5
Kunde: Northwind B.V.        Datum 03.04.2026
USt-IdNr. des Kunden: NL004495445B01
Unsere USt-IdNr.: DE136695976
Gesamtbetrag 10,00 EUR
""",
        {
            "number": "5",
            "date": "2026-04-03",
            "seller": "Oak GmbH",
            "buyer": "Northwind B.V.",
            "currency": "EUR",
            "total": "10.00",
            "seller_vat_id": "DE136695976",
        },
    ),
    Written(
        "American",
        "invoice",
        """
Blue Bird Supply Co.
INVOICE
Invoice # 100-2291
Invoice Date: 01/02/2026
Ship Date: 12/28/2025
Terms: Net 30
Total Due: $1,234
USD
""",
        {
            "number": "100-2291",
            "date": "2026-01-02",
            "seller": "?Blue Bird Supply Co.",
            "currency": "USD",
            "total": "1234",
        },
    ),
    Written(
        "Indian",
        "invoice",
        """
Tax Invoice
Sharma Textiles Pvt. Ltd.
Invoice Number: ST/26-27/001     Invoice Date: 15-04-2026
GSTIN: 29AAACS1234A1Z5           PAN: AAACS1234A
Taxable value       1,00,000.00
CGST 9%                9,000.00
SGST 9%                9,000.00
Grand Total      ₹  1,18,000.00
""",
        {
            "number": "ST/26-27/001",
            "date": "2026-04-15",
            "seller": "?Sharma Textiles Pvt. Ltd.",
            "currency": "INR",
            "tax": "18000.00",
            "total": "118000.00",
        },
    ),
    Written(
        "Swiss",
        "invoice",
        """
Alpenbau AG
CHE-116.281.710 MWST
Rechnung: 2026.117
Datum: 4. April 2026
Zahlbar bis: 4. Mai 2026
Total CHF            1'234.50
""",
        {
            "number": "2026.117",
            "date": "2026-04-04",
            "due_date": "2026-05-04",
            "seller": "Alpenbau AG",
            "seller_vat_id": "CHE116281710",
            "currency": "CHF",
            "total": "1234.50",
        },
    ),
    Written(
        "a date without a label",
        "invoice",
        """
Cabinet Moreau SAS
Paris, le 3 avril 2026
Facture numéro 118
Commande n° 5512 du 12 mars 2026
Total HT       1 000,00 €
TVA 20 %         200,00 €
Total TTC      1 200,00 €
À régler avant le 3 mai 2026
""",
        {
            "date": "2026-04-03",
            "due_date": "2026-05-03",
            "number": "118",
            "seller": "?Cabinet Moreau SAS",
            "currency": "EUR",
            "net": "1000.00",
            "tax": "200.00",
            "total": "1200.00",
        },
    ),
    Written(
        "paid already",
        "invoice",
        """
Oak Ltd
Invoice no 5
Invoice date 3 May 2026
Total           £100.00
Amount paid     £100.00
Balance due       £0.00
""",
        {"number": "5", "date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP"},
    ),
    Written(
        "totals of other things",
        "invoice",
        """
Oak Ltd
Invoice no 5
Invoice date 3 May 2026
Total items        12
Total quantity     40
Total weight       12.50 kg
Total              £100.00
""",
        {"number": "5", "date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP", "total": "100.00"},
    ),
    Written(
        "a total of hours",
        "invoice",
        """
Oak Ltd
Invoice no 5
Invoice date 3 May 2026
Description    Hours   Amount
Work            7.50   750.00
Total           7.50   750.00 GBP
""",
        {"number": "5", "date": "2026-05-03", "seller": "?Oak Ltd", "currency": "GBP", "total": "750.00"},
    ),
    Written(
        "two currencies",
        "invoice",
        """
Oak Ltd
Invoice no 5
Invoice date 3 May 2026
Total           USD 100.00
Equals          EUR 92.00
""",
        {"number": "5", "date": "2026-05-03", "seller": "?Oak Ltd", "total": "100.00"},
    ),
    Written(
        "invoice to, total, period",
        "invoice",
        """
Oak Ltd
Invoice to: Elm Ltd
Invoice address: 5 Low Road
Invoice total: £55.00
Invoice period: 1 April 2026 - 30 April 2026
Invoice ref: OAK/55
Tax point: 2 May 2026
""",
        {"number": "OAK/55", "seller": "Oak Ltd", "buyer": "Elm Ltd", "currency": "GBP", "total": "55.00"},
    ),
    Written(
        "Portuguese",
        "invoice",
        """
Oficina Lda
Fatura n.º FT 2026/15
Data: 3 de maio de 2026
Total: 123,00 €
""",
        {"date": "2026-05-03", "seller": "?Oficina Lda", "currency": "EUR", "total": "123.00"},
    ),
    Written(
        "a Spanish till",
        "receipt",
        """
Panadería Sol S.L.
NIF ESB58378431
Ticket: 00451
Fecha: 12/03/2026 10:22
Pan           1,20
Leche         1,10
TOTAL         2,30 €
Efectivo      5,00
Cambio        2,70
""",
        {
            "number": "00451",
            "date": "2026-03-12",
            "seller": "Panadería Sol S.L.",
            "seller_vat_id": "ESB58378431",
            "currency": "EUR",
            "total": "2.30",
        },
    ),
    Written(
        "a Dutch till",
        "receipt",
        """
Bakker Bart B.V.
KASSABON
Datum 03-04-2026  Tijd 10:11
Brood       2,95
Totaal      2,95 EUR
Betaalwijze: PIN
""",
        {"date": "2026-04-03", "seller": "?Bakker Bart B.V.", "currency": "EUR", "total": "2.95", "paid_by": "PIN"},
    ),
    Written(
        "a card",
        "receipt",
        """
RECEIPT
Store: Green Grocer Ltd
Date 2026-01-04
Total USD 12.00
Card number ************1234
Auth code 551234
Transaction 99120
""",
        {"date": "2026-01-04", "seller": "Green Grocer Ltd", "currency": "USD", "total": "12.00", "number": "99120"},
    ),
    Written(
        "Italian prose",
        "contract",
        """
CONTRATTO DI SERVIZI
tra Rossi S.r.l., Via Roma 1, Milano (il "Fornitore")
e Bianchi S.p.A., Corso Como 2, Milano (il "Cliente")
Il presente contratto ha durata di 12 mesi. Il recesso richiede un preavviso di 3 mesi.
""",
        {
            "first_party": "Rossi S.r.l.",
            "second_party": "Bianchi S.p.A.",
            "term": "12 months",
            "notice": "3 months",
        },
    ),
    Written(
        "numbered parties",
        "contract",
        """
NON-DISCLOSURE AGREEMENT

This Agreement is dated 5 January 2026 and is made between
(1) Elm Ltd (the "Discloser"); and
(2) Oak Ltd (the "Recipient").

It expires on 5 January 2029. Confidential matters remain so for five (5) years.
Invoices, if any, are paid within sixty days.
Governing law: Scotland
""",
        {
            "first_party": "Elm Ltd",
            "second_party": "Oak Ltd",
            "end": "2029-01-05",
            "governing_law": "Scotland",
            "payment_days": "60 days",
        },
    ),
    Written(
        "a notice that is elsewhere",
        "contract",
        """
MIETVERTRAG
Vermieter: Haus & Grund KG
Mieter: Eva Sommer
Vertragsbeginn: 01.02.2026
Kaution: 2.400,00 EUR
Miete: 800,00 EUR
Kündigungsfrist: siehe § 5
""",
        {
            "first_party": "Haus & Grund KG",
            "second_party": "Eva Sommer",
            "start": "2026-02-01",
            "fee": "800.00",
            "currency": "EUR",
        },
    ),
    Written(
        "two notices",
        "contract",
        """
AGREEMENT between Elm Ltd (the "Supplier") and Oak Ltd (the "Customer").
Effective date: 1 March 2026
If a breach is not cured within ten days after written notice, the other may terminate.
Either party may terminate for convenience upon 60 days' written notice.
""",
        {"first_party": "Elm Ltd", "second_party": "Oak Ltd", "start": "2026-03-01"},
    ),
]
