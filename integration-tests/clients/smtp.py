"""smtplib against Posthaste: submission by both ports, 8-bit, international, refusals."""

import os
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP

HOST, DOMAIN, PASSWORD = (os.environ[name] for name in ("HOST", "DOMAIN", "PASSWORD"))
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
context = ssl.create_default_context(cafile=os.environ["ROOTS"])


def letter(subject):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = ALICE, BOB, subject
    message.set_content("Schöne Grüße.\n" * 3)
    message.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream",
                           filename="bytes.bin")
    return message


with smtplib.SMTP(HOST, int(os.environ["SUBMISSION"]), "client.test", timeout=20) as smtp:
    smtp.starttls(context=context)
    smtp.login(ALICE, PASSWORD)
    assert smtp.send_message(letter("starttls")) == {}
    # One recipient of two is unknown: smtplib reports it and sends to the other.
    refused = smtp.sendmail(ALICE, [BOB, f"nobody@{DOMAIN}"], letter("half").as_bytes(policy=SMTP))
    assert list(refused) == [f"nobody@{DOMAIN}"], refused
    assert refused[f"nobody@{DOMAIN}"][0] == 550, refused
    assert smtp.noop()[0] == 250 and smtp.rset()[0] == 250

with smtplib.SMTP_SSL(HOST, int(os.environ["SUBMISSIONS"]), "client.test", context=context,
                      timeout=20) as smtp:
    smtp.login(ALICE, PASSWORD)
    assert smtp.has_extn("8bitmime") and smtp.has_extn("smtputf8") and smtp.has_extn("size")
    text = f"From: {ALICE}\r\nTo: {BOB}\r\nSubject: grüße\r\n\r\nüber\r\n".encode()
    assert smtp.sendmail(ALICE, BOB, text, ["SMTPUTF8", "BODY=8BITMIME"]) == {}

with smtplib.SMTP(HOST, int(os.environ["SMTP"]), "client.test", timeout=20) as smtp:
    smtp.starttls(context=context)
    assert smtp.sendmail("friend@elsewhere.test", BOB, b"Subject: x\r\n\r\nhello\r\n") == {}
    code, text = smtp.docmd("AUTH", "PLAIN")
    assert code in (502, 503, 530), (code, text)
