"""The fixed words of a status page in its language, and dates and figures as people there write them. Pure."""

import datetime as dt
import functools
import math

from core.zones import zone_of
from statuspages import states

# Between a figure and its unit, so that a line never breaks there.
HARD_SPACE = "\u00a0"

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
}
DATES = {
    "en": "{day} {month} {year}",
    "de": "{day}. {month} {year}",
    "fr": "{day} {month} {year}",
    "es": "{day} de {month} de {year}",
    "it": "{day} {month} {year}",
}
MONTH_TITLES = {"es": "{month} de {year}"}
FIRSTS = {"fr": "1er", "it": "1º"}
COMMAS = {"de", "fr", "es", "it"}
TIGHT_PERCENT = {"en", "it"}

# {name: (en, de, fr, es, it)}; a pair is one and many, with the number in {n}.
LANGUAGES = ("en", "de", "fr", "es", "it")
_TABLE = {
    # states of a component
    states.OPERATIONAL: ("Operational", "In Betrieb", "Opérationnel", "Operativo", "Operativo"),
    states.MAINTENANCE: ("Under maintenance", "In Wartung", "En maintenance", "En mantenimiento", "In manutenzione"),
    states.DEGRADED: (
        "Degraded performance",
        "Eingeschränkte Leistung",
        "Performances dégradées",
        "Rendimiento degradado",
        "Prestazioni ridotte",
    ),
    states.PARTIAL: ("Partial outage", "Teilausfall", "Panne partielle", "Interrupción parcial", "Guasto parziale"),
    states.MAJOR: ("Major outage", "Ausfall", "Panne majeure", "Interrupción grave", "Guasto grave"),
    # the page as a whole, by the worst of its components
    "all_operational": (
        "All systems operational",
        "Alle Systeme in Betrieb",
        "Tous les systèmes sont opérationnels",
        "Todos los sistemas operativos",
        "Tutti i sistemi sono operativi",
    ),
    "all_under_maintenance": (
        "Maintenance in progress",
        "Wartung läuft",
        "Maintenance en cours",
        "Mantenimiento en curso",
        "Manutenzione in corso",
    ),
    "all_degraded_performance": (
        "Some systems are slower than usual",
        "Einige Systeme sind eingeschränkt",
        "Certains systèmes sont dégradés",
        "Algunos sistemas están degradados",
        "Alcuni sistemi sono rallentati",
    ),
    "all_partial_outage": (
        "Some systems have an outage",
        "Einige Systeme sind gestört",
        "Certains systèmes sont en panne",
        "Algunos sistemas tienen una interrupción",
        "Alcuni sistemi hanno un guasto",
    ),
    "all_major_outage": (
        "Major outage",
        "Schwerer Ausfall",
        "Panne majeure",
        "Interrupción grave",
        "Guasto grave",
    ),
    # stages of a post
    "investigating": ("Investigating", "Wird untersucht", "En cours d’analyse", "En investigación", "In analisi"),
    "identified": (
        "Identified",
        "Ursache gefunden",
        "Cause identifiée",
        "Causa identificada",
        "Causa individuata",
    ),
    "monitoring": ("Monitoring", "Wird beobachtet", "Sous surveillance", "En observación", "In osservazione"),
    "resolved": ("Resolved", "Behoben", "Résolu", "Resuelto", "Risolto"),
    "scheduled": ("Scheduled", "Geplant", "Planifiée", "Programado", "Programmata"),
    "in_progress": ("In progress", "Läuft", "En cours", "En curso", "In corso"),
    "verifying": ("Verifying", "Wird geprüft", "En vérification", "En verificación", "In verifica"),
    "completed": ("Completed", "Abgeschlossen", "Terminée", "Completado", "Completata"),
    # impacts; that of none is not said
    "minor": ("Minor impact", "Geringe Auswirkung", "Impact mineur", "Impacto leve", "Impatto lieve"),
    "major": ("Major impact", "Große Auswirkung", "Impact majeur", "Impacto grave", "Impatto grave"),
    "critical": (
        "Critical impact",
        "Kritische Auswirkung",
        "Impact critique",
        "Impacto crítico",
        "Impatto critico",
    ),
    # headings and links
    "status": ("Status", "Status", "État", "Estado", "Stato"),
    "skip": ("Skip to content", "Zum Inhalt", "Aller au contenu", "Ir al contenido", "Vai al contenuto"),
    "navigation": ("Page", "Seite", "Page", "Página", "Pagina"),
    "now": ("Current status", "Aktueller Stand", "État actuel", "Estado actual", "Stato attuale"),
    "history": ("History", "Verlauf", "Historique", "Historial", "Cronologia"),
    "subscribe": ("Subscribe", "Abonnieren", "S’abonner", "Suscribirse", "Iscriviti"),
    "help": ("Get help", "Hilfe", "Aide", "Ayuda", "Assistenza"),
    "feeds": ("Feeds", "Feeds", "Flux", "Canales", "Feed"),
    "open": (
        "Open incidents",
        "Aktuelle Störungen",
        "Incidents en cours",
        "Incidencias abiertas",
        "Problemi in corso",
    ),
    "going_on": (
        "Maintenance in progress",
        "Laufende Wartung",
        "Maintenance en cours",
        "Mantenimiento en curso",
        "Manutenzione in corso",
    ),
    "planned": (
        "Planned maintenance",
        "Geplante Wartung",
        "Maintenance planifiée",
        "Mantenimiento programado",
        "Manutenzione programmata",
    ),
    "components": ("Systems", "Systeme", "Systèmes", "Sistemas", "Sistemi"),
    "others": ("Other systems", "Weitere Systeme", "Autres systèmes", "Otros sistemas", "Altri sistemi"),
    "past": ("What happened", "Was war", "Événements passés", "Lo que pasó", "Cosa è successo"),
    "whole_history": (
        "The last 90 days",
        "Die letzten 90 Tage",
        "Les 90 derniers jours",
        "Los últimos 90 días",
        "Gli ultimi 90 giorni",
    ),
    "nothing_past": (
        "Nothing in the last 90 days.",
        "Nichts in den letzten 90 Tagen.",
        "Rien durant les 90 derniers jours.",
        "Nada en los últimos 90 días.",
        "Nulla negli ultimi 90 giorni.",
    ),
    "no_components": (
        "No systems are listed here yet.",
        "Hier sind noch keine Systeme aufgeführt.",
        "Aucun système n’est encore indiqué ici.",
        "Aquí aún no figura ningún sistema.",
        "Qui non è ancora elencato alcun sistema.",
    ),
    "affected": ("Affected", "Betroffen", "Systèmes touchés", "Afectado", "Sistemi interessati"),
    "updates": ("Updates", "Meldungen", "Mises à jour", "Novedades", "Aggiornamenti"),
    "edited": ("edited {at}", "bearbeitet {at}", "modifié {at}", "editado {at}", "modificato {at}"),
    "began": ("Began", "Beginn", "Début", "Inicio", "Inizio"),
    "ended": ("Ended", "Ende", "Fin", "Fin", "Fine"),
    "planned_end": ("Planned end", "Geplantes Ende", "Fin prévue", "Fin previsto", "Fine prevista"),
    "since": ("since {at}", "seit {at}", "depuis {at}", "desde {at}", "da {at}"),
    "zone": (
        "All times: {zone}",
        "Alle Zeiten: {zone}",
        "Toutes les heures : {zone}",
        "Todas las horas: {zone}",
        "Tutti gli orari: {zone}",
    ),
    "changed": (
        "Last change: {at}",
        "Letzte Änderung: {at}",
        "Dernière modification : {at}",
        "Último cambio: {at}",
        "Ultima modifica: {at}",
    ),
    # the uptime of a component
    "uptime": (
        "{percent} uptime",
        "{percent} verfügbar",
        "{percent} de disponibilité",
        "{percent} de disponibilidad",
        "{percent} di disponibilità",
    ),
    "no_data": ("No data", "Keine Daten", "Aucune donnée", "Sin datos", "Nessun dato"),
    "days_ago": (
        ("{n} day ago", "{n} days ago"),
        ("vor {n} Tag", "vor {n} Tagen"),
        ("il y a {n} jour", "il y a {n} jours"),
        ("hace {n} día", "hace {n} días"),
        ("{n} giorno fa", "{n} giorni fa"),
    ),
    "today": ("Today", "Heute", "Aujourd’hui", "Hoy", "Oggi"),
    "last_days": (
        ("the last day", "the last {n} days"),
        ("letzter Tag", "letzte {n} Tage"),
        ("le dernier jour", "les {n} derniers jours"),
        ("el último día", "los últimos {n} días"),
        ("l’ultimo giorno", "gli ultimi {n} giorni"),
    ),
    "bad_days": (
        ("{n} day with trouble", "{n} days with trouble"),
        ("{n} Tag mit Störung", "{n} Tage mit Störungen"),
        ("{n} jour avec incident", "{n} jours avec incident"),
        ("{n} día con incidencias", "{n} días con incidencias"),
        ("{n} giorno con problemi", "{n} giorni con problemi"),
    ),
    "no_bad_days": (
        "No trouble",
        "Keine Störungen",
        "Aucun incident",
        "Sin incidencias",
        "Nessun problema",
    ),
    "hours": ("h", "Std.", "h", "h", "h"),
    "minutes": ("min", "Min.", "min", "min", "min"),
    # subscribing: the pages
    "subscribe_to": (
        "Subscribe to {name}",
        "{name} abonnieren",
        "S’abonner à {name}",
        "Suscribirse a {name}",
        "Iscriversi a {name}",
    ),
    "subscribe_lead": (
        "You are told when something is posted here. You confirm it first, and can end it at any time.",
        "Sie hören, wenn hier etwas gemeldet wird. Sie bestätigen es zuerst und können es jederzeit beenden.",
        "Vous êtes prévenu de ce qui est publié ici. Vous confirmez d’abord, et pouvez arrêter à tout moment.",
        "Recibirá lo que se publique aquí. Primero lo confirma, y puede terminarlo cuando quiera.",
        "Riceverà ciò che viene pubblicato qui. Prima lo conferma, e può terminare quando vuole.",
    ),
    "by_channel": ("How", "Wie", "Comment", "Cómo", "Come"),
    "by_email": ("By email", "Per E-Mail", "Par e-mail", "Por correo electrónico", "Per e-mail"),
    "by_webhook": ("By webhook", "Per Webhook", "Par webhook", "Por webhook", "Tramite webhook"),
    "by_slack_webhook": ("In Slack", "In Slack", "Dans Slack", "En Slack", "In Slack"),
    "address": ("Address", "Adresse", "Adresse", "Dirección", "Indirizzo"),
    "address_help": (
        "Your email address, the web address that takes the webhook, or that of an incoming webhook of Slack.",
        "Ihre E-Mail-Adresse, die Webadresse des Webhooks oder die eines eingehenden Webhooks von Slack.",
        "Votre adresse e-mail, l’adresse web du webhook, ou celle d’un webhook entrant de Slack.",
        "Su correo electrónico, la dirección web del webhook o la de un webhook entrante de Slack.",
        "Il suo indirizzo e-mail, l’indirizzo web del webhook, o quello di un webhook in entrata di Slack.",
    ),
    "email_help": (
        "Your email address.",
        "Ihre E-Mail-Adresse.",
        "Votre adresse e-mail.",
        "Su correo electrónico.",
        "Il suo indirizzo e-mail.",
    ),
    "about_what": ("About what", "Wovon", "À quel sujet", "Sobre qué", "Su che cosa"),
    "everything": (
        "Everything on this page",
        "Alles auf dieser Seite",
        "Tout sur cette page",
        "Todo lo de esta página",
        "Tutto su questa pagina",
    ),
    "only_these": (
        "Only these systems:",
        "Nur diese Systeme:",
        "Ces systèmes seulement :",
        "Solo estos sistemas:",
        "Solo questi sistemi:",
    ),
    "asked": (
        "Look for our message",
        "Schauen Sie nach unserer Nachricht",
        "Regardez notre message",
        "Busque nuestro mensaje",
        "Cerchi il nostro messaggio",
    ),
    "asked_text": (
        (
            "If this address can be told, a message is on its way to it. Open the link in it to confirm; it works "
            "for 7 days. Nothing there after a few minutes? Look among the unwanted mail."
        ),
        (
            "Wenn diese Adresse benachrichtigt werden kann, ist eine Nachricht dorthin unterwegs. Öffnen Sie den "
            "Link darin, um zu bestätigen; er gilt 7 Tage. Nach einigen Minuten nichts da? Schauen Sie im "
            "Spam-Ordner nach."
        ),
        (
            "Si cette adresse peut être prévenue, un message est en route. Ouvrez le lien qu’il contient pour "
            "confirmer ; il est valable 7 jours. Rien après quelques minutes ? Regardez dans les indésirables."
        ),
        (
            "Si se puede avisar a esta dirección, hay un mensaje en camino. Abra el enlace que contiene para "
            "confirmar; vale 7 días. ¿No llega nada en unos minutos? Mire en el correo no deseado."
        ),
        (
            "Se questo indirizzo può essere avvisato, un messaggio è in arrivo. Apra il link che contiene per "
            "confermare; vale 7 giorni. Niente dopo qualche minuto? Guardi nella posta indesiderata."
        ),
    ),
    "confirm_title": (
        "Confirm your subscription",
        "Abonnement bestätigen",
        "Confirmez votre abonnement",
        "Confirme su suscripción",
        "Confermi l’iscrizione",
    ),
    "confirm_text": (
        "{address} is then told what is posted on {name}.",
        "{address} erhält dann, was auf {name} gemeldet wird.",
        "{address} recevra alors ce qui est publié sur {name}.",
        "{address} recibirá lo que se publique en {name}.",
        "{address} riceverà ciò che viene pubblicato su {name}.",
    ),
    "confirm": ("Confirm", "Bestätigen", "Confirmer", "Confirmar", "Conferma"),
    "confirmed": ("You are subscribed", "Sie sind angemeldet", "Vous êtes abonné", "Está suscrito", "È iscritto"),
    "your_subscription": (
        "Your subscription",
        "Ihr Abonnement",
        "Votre abonnement",
        "Su suscripción",
        "La sua iscrizione",
    ),
    "save": ("Save", "Speichern", "Enregistrer", "Guardar", "Salva"),
    "saved": ("Saved.", "Gespeichert.", "Enregistré.", "Guardado.", "Salvato."),
    "signing_secret": (
        "Signing secret (Standard Webhooks)",
        "Signaturschlüssel (Standard Webhooks)",
        "Secret de signature (Standard Webhooks)",
        "Secreto de firma (Standard Webhooks)",
        "Segreto di firma (Standard Webhooks)",
    ),
    "unsubscribe": ("Unsubscribe", "Abmelden", "Se désabonner", "Cancelar la suscripción", "Annulla l’iscrizione"),
    "unsubscribe_title": (
        "End this subscription?",
        "Dieses Abonnement beenden?",
        "Mettre fin à cet abonnement ?",
        "¿Terminar esta suscripción?",
        "Terminare questa iscrizione?",
    ),
    "unsubscribe_text": (
        "{address} is then not told of {name} any more.",
        "{address} hört dann nichts mehr von {name}.",
        "{address} ne sera plus prévenu par {name}.",
        "{address} ya no recibirá nada de {name}.",
        "{address} non riceverà più nulla da {name}.",
    ),
    "unsubscribed": (
        "You are unsubscribed",
        "Sie sind abgemeldet",
        "Vous êtes désabonné",
        "Suscripción terminada",
        "Iscrizione terminata",
    ),
    "refused": ("That did not work", "Das ging nicht", "Cela n’a pas marché", "No ha funcionado", "Non ha funzionato"),
    "choose_systems": (
        "Choose at least one system, or everything.",
        "Wählen Sie mindestens ein System oder alles.",
        "Choisissez au moins un système, ou tout.",
        "Elija al menos un sistema, o todo.",
        "Scelga almeno un sistema, o tutto.",
    ),
    "not_email": (
        "“{address}” is not an email address. Write one like alice@example.com.",
        "„{address}“ ist keine E-Mail-Adresse. Schreiben Sie eine wie alice@example.com.",
        "« {address} » n’est pas une adresse e-mail. Écrivez-en une comme alice@example.com.",
        "«{address}» no es un correo electrónico. Escriba uno como alice@example.com.",
        "«{address}» non è un indirizzo e-mail. Ne scriva uno come alice@example.com.",
    ),
    "not_web": (
        "This is not a web address that can be called from here. Use a public one that starts with https://.",
        "Das ist keine Webadresse, die von hier aus aufgerufen werden kann. Nehmen Sie eine öffentliche mit https://.",
        "Ce n’est pas une adresse web que nous pouvons appeler. Utilisez une adresse publique en https://.",
        "No es una dirección web a la que podamos llamar. Use una pública que empiece por https://.",
        "Non è un indirizzo web che possiamo chiamare. Ne usi uno pubblico che inizi con https://.",
    ),
    "no_subscribers": (
        "This page takes no subscribers.",
        "Diese Seite nimmt keine Abonnements an.",
        "Cette page n’accepte pas d’abonnements.",
        "Esta página no acepta suscripciones.",
        "Questa pagina non accetta iscrizioni.",
    ),
    "too_many": (
        "Too many were asked for from here. Wait {n} seconds, then try again.",
        "Von hier kamen zu viele Anfragen. Warten Sie {n} Sekunden und versuchen Sie es noch einmal.",
        "Trop de demandes sont venues d’ici. Attendez {n} secondes, puis réessayez.",
        "Demasiadas peticiones desde aquí. Espere {n} segundos e inténtelo de nuevo.",
        "Troppe richieste da qui. Aspetti {n} secondi e riprovi.",
    ),
    "bad_link": (
        "This link is not one of ours, or it was cut off. Copy the whole link.",
        "Dieser Link ist keiner von uns oder unvollständig. Kopieren Sie den ganzen Link.",
        "Ce lien n’est pas de nous, ou il est incomplet. Copiez le lien entier.",
        "Este enlace no es nuestro o está cortado. Copie el enlace entero.",
        "Questo link non è nostro o è incompleto. Copi il link intero.",
    ),
    "old_link": (
        "This link is not valid any more. Subscribe once more to get a new one.",
        "Dieser Link gilt nicht mehr. Melden Sie sich noch einmal an, um einen neuen zu erhalten.",
        "Ce lien n’est plus valable. Abonnez-vous encore une fois pour en recevoir un autre.",
        "Este enlace ya no vale. Suscríbase otra vez para recibir uno nuevo.",
        "Questo link non vale più. Si iscriva di nuovo per riceverne un altro.",
    ),
    # subscribing: the messages
    "question_body": (
        (
            "Somebody, probably you, wants {address} to be told what is posted on {name}. Confirm it within 7 days; "
            "without that nothing more comes."
        ),
        (
            "Jemand, wahrscheinlich Sie, möchte, dass {address} erhält, was auf {name} gemeldet wird. Bestätigen Sie "
            "es innerhalb von 7 Tagen; sonst kommt nichts weiter."
        ),
        (
            "Quelqu’un, sans doute vous, veut que {address} reçoive ce qui est publié sur {name}. Confirmez dans les "
            "7 jours ; sinon plus rien ne viendra."
        ),
        (
            "Alguien, seguramente usted, quiere que {address} reciba lo que se publique en {name}. Confírmelo en 7 "
            "días; si no, no llegará nada más."
        ),
        (
            "Qualcuno, probabilmente lei, vuole che {address} riceva ciò che viene pubblicato su {name}. Lo confermi "
            "entro 7 giorni; altrimenti non arriverà altro."
        ),
    ),
    "already_body": (
        (
            "Somebody, probably you, asked to subscribe {address} to {name}. It is subscribed already, so nothing "
            "was changed."
        ),
        (
            "Jemand, wahrscheinlich Sie, wollte {address} bei {name} anmelden. Die Adresse ist schon angemeldet; es "
            "wurde nichts geändert."
        ),
        (
            "Quelqu’un, sans doute vous, a demandé d’abonner {address} à {name}. L’adresse est déjà abonnée ; rien "
            "n’a changé."
        ),
        "Alguien, seguramente usted, pidió suscribir {address} a {name}. Ya está suscrita; no se ha cambiado nada.",
        (
            "Qualcuno, probabilmente lei, ha chiesto di iscrivere {address} a {name}. È già iscritto; non è cambiato "
            "nulla."
        ),
    ),
    "manage": (
        "Change what you are told",
        "Abonnement ändern",
        "Modifier l’abonnement",
        "Cambiar la suscripción",
        "Modifica l’iscrizione",
    ),
    "open_page": (
        "Open the status page",
        "Statusseite öffnen",
        "Ouvrir la page d’état",
        "Abrir la página de estado",
        "Apri la pagina di stato",
    ),
    "maintenance_time": ("When", "Wann", "Quand", "Cuándo", "Quando"),
    "why_told": (
        "You get this because this address is subscribed to {name}.",
        "Sie erhalten dies, weil diese Adresse bei {name} angemeldet ist.",
        "Vous recevez ceci parce que cette adresse est abonnée à {name}.",
        "Recibe esto porque esta dirección está suscrita a {name}.",
        "Riceve questo messaggio perché questo indirizzo è iscritto a {name}.",
    ),
    # who reads it
    "for_partners": (
        "This page is for partners only.",
        "Diese Seite ist nur für Partner.",
        "Cette page est réservée aux partenaires.",
        "Esta página es solo para socios.",
        "Questa pagina è riservata ai partner.",
    ),
    "for_people": (
        "This page is for people with an account only.",
        "Diese Seite ist nur für Personen mit Konto.",
        "Cette page est réservée aux personnes qui ont un compte.",
        "Esta página es solo para personas con cuenta.",
        "Questa pagina è riservata a chi ha un account.",
    ),
    "no_such_post": (
        "There is no such entry.",
        "Diesen Eintrag gibt es nicht.",
        "Cette entrée n’existe pas.",
        "Esa entrada no existe.",
        "Questa voce non esiste.",
    ),
}


class Words:
    """The words of one language: `words["history"]`, and times of one zone: `words.moment(at)`."""

    def __init__(self, language, zone):
        self.language = language if language in LANGUAGES else "en"
        self._place = LANGUAGES.index(self.language)
        self._months = MONTHS[self.language].split()
        self.zone = zone
        self._zone = zone_of(zone)

    def __getitem__(self, name):
        return _TABLE[name][self._place]

    def count(self, name, n):
        """The form for one or for many, with the number in it."""
        one, many = self[name]
        return (one if n == 1 else many).format(n=n)

    def local(self, at):
        """A time as it is in the zone of the page."""
        return at.astimezone(self._zone)

    def date(self, day):
        """“1 September 2026”, in the order of the language."""
        number = FIRSTS.get(self.language, "1") if day.day == 1 else day.day
        return DATES[self.language].format(day=number, month=self._months[day.month - 1], year=day.year)

    def month(self, day):
        """“September 2026”, as a heading."""
        text = MONTH_TITLES.get(self.language, "{month} {year}")
        text = text.format(month=self._months[day.month - 1], year=day.year)
        return text[0].upper() + text[1:]

    def clock(self, at):
        """“14:05 CEST”."""
        local = self.local(at)
        return f"{local:%H:%M}{HARD_SPACE}{_zone_name(local)}"

    def moment(self, at):
        """Date and time of day, with the name of the zone's time."""
        return f"{self.date(self.local(at))}, {self.clock(at)}"

    def span(self, start, end):
        """From when to when; the day is said once if it is the same."""
        same = self.local(start).date() == self.local(end).date()
        first = f"{self.date(self.local(start))}, {self.local(start):%H:%M}"
        return f"{first} – {self.clock(end) if same else self.moment(end)}"

    def percent(self, value):
        """99.98 with the sign of the language. Cut, not rounded: what was away for a moment is not 100."""
        text = "100" if value >= 100 else f"{math.floor(value * 100 + 1e-9) / 100:.2f}"
        text = text.replace(".", ",") if self.language in COMMAS else text
        return f"{text}%" if self.language in TIGHT_PERCENT else f"{text}{HARD_SPACE}%"

    def duration(self, seconds):
        """“2 h 5 min”; less than a minute counts as one."""
        minutes = max(1, round(seconds / 60))
        parts = []
        if hours := minutes // 60:
            parts.append(f"{hours}{HARD_SPACE}{self['hours']}")
        if minutes % 60:
            parts.append(f"{minutes % 60}{HARD_SPACE}{self['minutes']}")
        return " ".join(parts)


@functools.lru_cache(maxsize=256)
def of(language, zone="UTC"):
    """The words of a language, with the times of a zone. An unknown language is English."""
    return Words(language, zone)


def read(text):
    """A time of a page's content as a datetime."""
    return dt.datetime.fromisoformat(text)


def _zone_name(local):
    """CEST, or UTC-3 where the zone has no letters."""
    name = local.tzname()
    if name[0] not in "+-":
        return name
    seconds = int(local.utcoffset().total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"UTC{'-' if seconds < 0 else '+'}{hours}" + (f":{minutes:02}" if minutes else "")
