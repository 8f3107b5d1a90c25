"""Who says what when a call is answered: the words, voices and pauses of the greetings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """``parts``: texts and, between them, pauses in seconds.

    ``lead``: seconds before the first word, None for any up to 1.2. ``before``: what sounds before
    the first word: ``sit``, ``music`` or ``ring``. ``beep``: its kind, "" for none, ``beep_after``
    seconds behind the last word. ``hiss``: a recording's own noise. ``words`` a minute.
    """

    name: str
    human: bool
    voice: str
    parts: tuple[str | float, ...]
    words: int = 170
    lead: float | None = None
    before: str = ""
    beep: str = ""
    beep_after: float = 0.6
    hiss: bool = False


def _person(name: str, voice: str, *parts: str | float, **more: Any) -> Script:
    return Script(name=name, human=True, voice=voice, parts=parts, **more)


def _machine(name: str, voice: str, *parts: str | float, **more: Any) -> Script:
    return Script(name=name, human=False, voice=voice, parts=parts, **more)


TUNING = (
    _person("hello", "en-us", "Hello?"),
    _person("hello slow", "en-us+f2", "Hello?", words=120),
    _person("hello twice", "en-us+m3", "Hello?", 1.5, "Hello?"),
    _person("hello thrice", "en-us+f4", "Hello?", 1.1, "Hello?", 1.6, "Who is this?"),
    _person("yes", "en-029", "Yes?"),
    _person("yeah hello", "en-us+m7", "Yeah, hello?"),
    _person("hi mary", "en-us+f3", "Hi, this is Mary."),
    _person("miller speaking", "en-gb-scotland", "Miller speaking."),
    _person("good morning miller", "en-us+m1", "Good morning, Miller."),
    _person("who is this", "en-us+m5", "Hello, who is this?"),
    _person("late hello", "en-us+f1", "Hello?", lead=2.4),
    _person("very late hello", "en-us+m2", "Hello? Anybody there?", lead=4.0),
    _person("hallo german", "de", "Hallo?"),
    _person("german name", "de+f2", "Schneider, guten Tag."),
    _person("german who", "de+m3", "Ja bitte?"),
    _person("allo french", "fr", "Allô?"),
    _person("french oui", "fr+f2", "Oui, bonjour?"),
    _person("spanish", "es", "¿Diga?"),
    _person("spanish long", "es+f3", "Hola, buenos días, ¿quién es?"),
    _person("italian", "it", "Pronto?"),
    _person("office", "en-us+f2", "Harbor Dental, this is Jane."),
    _person("office long", "en-us+Annie", "Good afternoon, Harbor Dental, how can I help you?"),
    _person("shop", "en-us+linda", "Flowers and more, good morning."),
    _person("busy man", "en-us+max", "Yeah?", words=210),
    _person("quick", "en-us+travis", "Hey, what's up?", words=200),
    _person("sleepy", "en-us+grandpa", "Hello? ... Yes?", words=120),
    _person("grandmother", "en-us+grandma", "Hello, who is calling please?", words=140),
    _person("wait then hello", "en-us+steph", "Um.", 0.5, "Hello?"),
    _person("hold on", "en-us+ed", "One second.", 0.9, "OK. Hello?"),
    _person("speakerphone", "en-us+paul", "Hello, this is Paul.", words=150),
    _person("polish", "pl", "Halo, słucham?"),
    _person("dutch", "nl", "Met Jansen."),
    _person("reception", "en-us+belinda", "Front desk, Belinda speaking, good evening."),
    _person("child", "en-us+f5", "Hi grandma!", words=190),
    _person("hello there", "en-us+rob", "Hello there."),
    _person("talking to others", "en-us+m8", "No, leave it.", 0.4, "Hello?"),
    _person("portuguese", "pt-br", "Alô? Quem fala?"),
    _person("sales floor", "en-us+shelby", "Sales, Shelby here, hi."),
    _person("deep", "en-us+boris", "Yes, speaking."),
    _person("questioning", "en-us+aunty", "Hello? Is that you, Tom?"),
    _machine(
        "home", "en-us", "Hi, you've reached the Millers. We can't come to the phone right now.",
        0.3, "Please leave a message after the tone.", beep="plain", hiss=True,
    ),
    _machine(
        "personal short", "en-us+m3", "Hi, this is Tom. Leave a message.",
        beep="plain", beep_after=0.5,
    ),
    _machine("personal shortest", "en-us+f2", "It's Jane, leave one.", beep="high", beep_after=0.4),
    _machine(
        "mobile network", "en-us+f3",
        "Your call has been forwarded to an automated voice message system.", 0.35,
        "The person you are trying to reach is not available.", 0.3,
        "At the tone, please record your message.", beep="us", lead=0.2,
    ),
    _machine(
        "two voices", "en-us+linda", "The Google subscriber you have called is not available.",
        0.5, "Please leave a message after the tone.", beep="low", words=160,
    ),
    _machine(
        "office closed", "en-029", "Thank you for calling Harbor Dental.", 0.45,
        "Our office is closed. Our hours are Monday to Friday, nine to five.", 0.4,
        "Please leave your name and number.", beep="long", beep_after=1.0,
    ),
    _machine(
        "not in service", "en-us+f1", "We're sorry.", 0.3,
        "The number you have dialed has been disconnected or is no longer in service.",
        before="sit", lead=0.2,
    ),
    _machine(
        "no such number", "en-us+m1", "Your call can not be completed as dialed.", 0.4,
        "Please check the number and dial again.", before="sit", lead=0.4,
    ),
    _machine(
        "music first", "en-us+f4", "Welcome to Northern Travel. Your call is important to us.", 0.3,
        "Please hold the line.", before="music", lead=0.3,
    ),
    _machine(
        "menu", "en-us+f2", "Thank you for calling City Bank.", 0.5,
        "For balances, press one.", 0.5, "For cards, press two.", 0.5,
        "To hear this again, press nine.",
        hiss=True,
    ),
    _machine(
        "slow elderly", "en-us+grandma", "Hello.", 0.35, "This is Edna.", 0.4,
        "I am not at home just now, so please leave me a message.", words=130, beep="double",
        hiss=True,
    ),
    _machine(
        "hello trick", "en-us+m7", "Hello?", 0.45, "Ha, I'm not really here. You know what to do.",
        beep="plain", beep_after=0.8, hiss=True,
    ),
    _machine(
        "german box", "de", "Dies ist der Anschluss von Familie Schneider.", 0.4,
        "Bitte sprechen Sie nach dem Signalton.", beep="plain",
    ),
    _machine(
        "german network", "de+f2", "Der gewünschte Gesprächspartner ist zurzeit nicht erreichbar.",
        0.5, "Bitte versuchen Sie es später noch einmal.",
    ),
    _machine(
        "french box", "fr", "Bonjour, vous êtes bien chez Martin.", 0.4,
        "Laissez un message après le bip.", beep="high",
    ),
    _machine(
        "french network", "fr+f2",
        "Le correspondant que vous demandez n'est pas joignable pour le moment.", beep="long",
        beep_after=1.2,
    ),
    _machine(
        "spanish box", "es", "Ha llamado a la familia García. Ahora no podemos atenderle.", 0.3,
        "Deje su mensaje después de la señal.", beep="us", hiss=True,
    ),
    _machine(
        "italian box", "it", "Risponde la segreteria telefonica di Marco Rossi.", 0.4,
        "Lasciate un messaggio dopo il segnale.", beep="low",
    ),
    _machine(
        "fast", "en-us+max", "Hey this is Max I can't take your call right now so leave your name "
        "and number and I'll call you back.", words=220, beep="plain", hiss=True,
    ),
    _machine(
        "slow start", "en-us+m5", "You have reached the voice mail box of five five five, zero one "
        "two three.", 0.3, "Please leave a message.", lead=2.0, beep="double",
    ),
    _machine("number only", "en-us+f5", "Five. Five. Five. Zero. One. Two. Three.", 0.4,
             "is not available.", beep="us", words=150),
    _machine("beep only", "en-us+f5", beep="plain", lead=1.5),
    _machine("fax-like wait then beep", "en-us", "Message box.", beep="long", beep_after=0.35),
    _machine(
        "screening", "en-us+m8", "Hi. If you record your name and reason for calling, I'll see if "
        "this person is available.", words=180,
    ),
    _machine(
        "ring then box", "en-us+steph", "You've reached Steph. I'm away from my desk or on "
        "the other line.", 0.3, "Leave a message and I'll get back to you.", before="ring",
        beep="plain",
    ),
    _machine(
        "joke", "en-us+ed", "We're either out or screening calls.", 0.5, "If you leave a message "
        "and we don't call back, you'll know which.", hiss=True, beep="square",
    ),
    _machine(
        "whispering", "en-us+m2", "Hi, it's Paul, I'm in a meeting, leave me a message or send me "
        "a text, thanks, bye.", beep="plain", words=190,
    ),
    _machine(
        "business", "en-us+Annie", "Hello, you have reached Ann Baker at Baker and Sons.", 0.5,
        "I am either on the phone or away from my desk.", beep="high", beep_after=0.9,
    ),
    _machine(
        "long pause in it", "en-us+rob", "You've reached Rob.", 0.75, "I can't take your call.",
        0.6, "Please leave a message.", beep="plain", hiss=True,
    ),
    _machine(
        "conference", "en-us+belinda", "Welcome to the conference center.", 0.4,
        "Please enter your pass code, followed by the pound sign.",
    ),
    _machine("mailbox full", "en-us+f3", "The mail box you are calling is full and can not accept "
             "any messages at this time.", 0.4, "Goodbye."),
    _machine("dutch box", "nl", "Dit is het antwoordapparaat van Jan de Vries.", 0.4,
             "Spreek een bericht in na de toon.", beep="plain"),
    _machine("polish network", "pl", "Abonent czasowo niedostępny. Prosimy zadzwonić później."),
    _machine("portuguese box", "pt-br", "Você ligou para a caixa postal. Deixe sua mensagem após o "
             "sinal.", beep="us"),
    _machine("kids", "en-us+f5", "Hi! We are not home!", 0.5, "Leave a message after the beep!",
             beep="square", words=180, hiss=True),
    _machine("grand", "en-us+grandpa", "This is the residence of Colonel Ward.", 0.5,
             "State your business at the tone.", beep="low", words=140, hiss=True),
    _machine("carrier vm", "en-gb-scotland", "Welcome to voice mail. The person you called can not "
             "take your call.", 0.35, "Please speak after the tone.", beep="plain", beep_after=1.5),
    _machine("queue", "en-us+shelby", "All of our agents are busy. You are number four in the "
             "queue. Please hold.", 0.6, "Thank you for your patience.", before="music"),
    _machine("reminder line", "en-us+boris", "You have called a number that does not accept calls "
             "from this network.", before="sit", lead=0.6),
    _machine("very short box", "en-us+paul", "Paul here, after the tone.", beep="double",
             beep_after=0.45, hiss=True),
)  # fmt: skip

FINAL = (
    _person("f hello", "en-us+m4", "Hello?"),
    _person("f hello twice", "en-gb-x-rp", "Hello?", 1.3, "Hello?"),
    _person("f hello late", "en-us+Andy", "Hello?", lead=1.8),
    _person("f hi", "en-us+caleb", "Hi."),
    _person("f yes who", "en-us+victor", "Yes, who's speaking?"),
    _person("f smith", "en-us+john", "Smith residence."),
    _person("f good evening", "en-gb-x-gbclan", "Good evening?"),
    _person("f swedish", "sv", "Hallå, det är Anna."),
    _person("f danish", "da", "Ja, det er Peter."),
    _person("f hungarian", "hu", "Halló, tessék?"),
    _person("f russian", "ru", "Алло, слушаю вас."),
    _person("f turkish", "tr", "Alo, buyurun?"),
    _person("f workshop", "en-us+quincy", "Quincy's garage, hello?", words=190),
    _person("f clinic", "en-us+anika", "Lakeside Clinic, Anika speaking, how may I help?"),
    _person("f interrupted", "en-us+robert", "Hello, ah.", 0.6, "Yes, hello?"),
    _person("f hurry", "en-us+zac", "Yep, Zac here.", words=210),
    _person("f surprised", "en-us+sandro", "Oh, hello!"),
    _person("f quiet", "en-us+gustave", "Good day. Who is there?", words=130),
    _person("f finnish", "fi", "Haloo, Virtanen."),
    _person("f hello maria", "en-us+pablo", "Hello? Maria?", 1.4, "Are you there?"),
    _machine("f home", "en-gb-x-rp", "This is Oxford four one two. We are out for the moment.", 0.4,
             "Kindly leave word after the signal.", beep="plain", hiss=True),
    _machine("f personal", "en-us+m4", "Hey, Chris here, sorry I missed you, leave a message.",
             beep="us", beep_after=0.5),
    _machine("f short", "en-us+caleb", "Caleb's phone. You know the drill.", beep="high",
             beep_after=0.5, hiss=True),
    _machine("f network", "en-us+anika", "The wireless customer you are calling is not available.",
             0.4, "Please try your call again later."),
    _machine("f office", "en-us+victor", "You've reached Carter Insurance.", 0.5,
             "Nobody is available to take your call.", 0.4, "Please leave a message.", beep="long"),
    _machine("f sit", "en-us+Andy", "The number you dialed is not in service.", before="sit"),
    _machine("f music", "en-us+john", "Thanks for calling the box office.", 0.4,
             "All lines are busy.", before="music"),
    _machine("f menu", "en-gb-x-gbclan", "Welcome to the town council.", 0.6,
             "If you know the extension, dial it now.", 0.5, "Otherwise, please hold."),
    _machine("f swedish box", "sv", "Hej, du har kommit till familjen Berg. Vi kan inte svara just "
             "nu.", 0.4, "Lämna ett meddelande efter tonen.", beep="plain"),
    _machine("f danish box", "da", "Du har ringet til telefonsvareren hos Jens Hansen.", 0.4,
             "Læg en besked efter tonen.", beep="low"),
    _machine("f hungarian network", "hu", "A hívott szám jelenleg nem elérhető. Kérjük, hívja "
             "később."),
    _machine("f russian box", "ru", "Вы позвонили в автоответчик. Оставьте сообщение после "
             "сигнала.", beep="us"),
    _machine("f turkish network", "tr", "Aradığınız kişiye şu anda ulaşılamıyor, lütfen daha sonra "
             "tekrar deneyiniz."),
    _machine("f slow", "en-us+gustave", "Good day.", 0.5, "You have reached the study of Professor "
             "Lund.", 0.5, "Speak after the tone.", words=130, beep="double"),
    _machine("f trick", "en-us+zac", "Hello?", 0.5, "Hello?", 0.4, "Just kidding, leave a message!",
             beep="square", words=190, hiss=True),
    _machine("f cheerful", "en-us+sandro", "Hi there!", 0.4, "You've got Sandy's voice mail.", 0.3,
             "Leave your number and I'll ring you back.", beep="plain"),
    _machine("f long lead", "en-us+quincy", "You have reached Quincy's garage. We are closed.",
             lead=2.6, beep="high"),
    _machine("f beep only", "en-us", beep="long", lead=2.0),
    _machine("f finnish box", "fi", "Olette soittaneet Virtaselle, jättäkää viesti "
             "äänimerkin jälkeen.", beep="plain"),
    _machine("f screening", "en-us+robert", "Hello, the person you are calling is using a "
             "screening service.", 0.4, "Go ahead and say your name."),
)  # fmt: skip
"""Other words and other voices than above."""
