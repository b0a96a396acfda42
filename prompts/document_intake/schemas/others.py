"""What papers call themselves of which no row is made, in lower case: their titles beat a word in running text.

A kind that takes one of these titles for its own has it: it is then no other paper's.
"""

OTHER_TITLES = tuple(
    title.strip()
    for title in """
reminder, payment reminder, friendly reminder, invoice reminder, overdue notice, overdue reminder, final notice,
final demand, demand for payment, past due notice, dunning letter, statement, statement of account, account statement,
customer statement, supplier statement, bank statement, monthly statement, aged balance, remittance advice, remittance,
payment advice, pro forma, pro forma invoice, pro-forma, pro-forma invoice, proforma, proforma invoice, quote,
quotation, price quotation, estimate, cost estimate, commercial offer, proposal, tender, price list, purchase order,
sales order, order acknowledgement, order acknowledgment, order confirmation, confirmation of order, order summary,
booking confirmation, booking request, reservation, delivery note, delivery receipt, delivery docket, packing slip,
packing list, despatch note, dispatch note, goods received note, goods receipt, waybill, bill of lading, bill of
materials, consignment note, return form, returns form, returns note, return label, timesheet, time sheet, work report,
service report, payslip, pay slip, payroll, expense report, expense claim, curriculum vitae, cv, résumé, newsletter,
bulletin, minutes, minutes of meeting, agenda, invitation, meeting invitation, certificate, certificate of insurance,
insurance certificate, insurance policy, policy schedule, renewal invitation, renewal notice, renewal offer, notice of
termination, termination notice, termination letter, notice of cancellation, memo, annual report, brochure, flyer,
leaflet, catalogue, catalog, press release, user guide, data sheet, datasheet, application form, registration form,
questionnaire, survey, power of attorney, letter of intent, tax return, tax assessment, customs declaration, warranty
card, job application, direct debit mandate, boarding pass, itinerary, gift voucher, complaint, price change,
price increase, invoice query, contract review, invoice list,
mahnung, zahlungserinnerung, zahlungsaufforderung, letzte mahnung, kontoauszug, kontoübersicht, saldenbestätigung,
rechnungsabschluss, proformarechnung, proforma-rechnung, pro-forma-rechnung, angebot, kostenvoranschlag,
kostenschätzung, offerte, bestellung, auftrag, auftragsbestätigung, bestellbestätigung, buchungsbestätigung,
lieferschein, packzettel, packliste, frachtbrief, versandanzeige, retourenschein, rücksendeschein, retoure,
arbeitsnachweis, stundenzettel, stundennachweis, tätigkeitsnachweis, lohnabrechnung, gehaltsabrechnung,
entgeltabrechnung, verdienstabrechnung, reisekostenabrechnung, lebenslauf, bewerbung, protokoll, einladung,
tagesordnung, bescheinigung, zertifikat, versicherungsschein, kündigung, kündigungsbestätigung, rundschreiben,
pressemitteilung, preisliste, katalog, prospekt, formular, antrag, vollmacht, zahlungsavis, avis, steuerbescheid,
bescheid, lastschriftmandat, gutschein, preisanpassung, preiserhöhung, reklamation,
relance, rappel, rappel de paiement, lettre de relance, mise en demeure, relevé de compte, relevé bancaire, relevé,
avis de paiement, avis de virement, facture pro forma, facture proforma, devis, offre de prix, estimation, bon de
commande, confirmation de commande, accusé de réception, bon de livraison, bordereau de livraison, bulletin de paie,
fiche de paie, feuille de temps, procès-verbal, compte rendu, ordre du jour, convocation, attestation, certificat,
police d'assurance, résiliation, lettre de résiliation, communiqué de presse, formulaire, procuration, bon de retour,
lettre de voiture, mandat de prélèvement, lettre d'information,
recordatorio, recordatorio de pago, aviso de pago, requerimiento de pago, extracto de cuenta, extracto bancario, estado
de cuenta, factura proforma, factura pro forma, prefactura, presupuesto, oferta, cotización, pedido, orden de compra,
hoja de pedido, confirmación de pedido, albarán, albarán de entrega, nota de entrega, nómina, hoja de horas,
currículum, acta, orden del día, invitación, certificado, póliza, catálogo, lista de precios, formulario, solicitud,
rescisión, boletín,
herinnering, betalingsherinnering, aanmaning, rekeningoverzicht, rekeningafschrift, betaalspecificatie,
proformafactuur, pro forma factuur, proforma factuur, prijsopgave, bestelling, inkooporder, bestelbon,
orderbevestiging, opdrachtbevestiging, leveringsbon, leverbon, pakbon, afleverbon, vrachtbrief, retourformulier,
urenstaat, loonstrook, salarisspecificatie, notulen, uitnodiging, certificaat, verklaring, opzegging, nieuwsbrief,
prijslijst, catalogus, formulier, machtiging,
sollecito, sollecito di pagamento, promemoria, estratto conto, avviso di pagamento, fattura proforma, fattura pro
forma, preventivo, offerta, ordine, ordine di acquisto, ordine d'acquisto, conferma d'ordine, conferma ordine, bolla di
consegna, documento di trasporto, ddt, busta paga, cedolino, foglio ore, verbale, ordine del giorno, invito,
certificato, polizza, disdetta, listino prezzi, catalogo, modulo, procura, circolare
""".replace("\n", " ").split(",")
)
"""In English, German, French, Spanish, Dutch and Italian."""
