"""imaplib against Posthaste: folders, APPEND, FETCH, SEARCH, STORE, COPY, MOVE, EXPUNGE, IDLE."""

import imaplib
import os
import ssl
import time

HOST, DOMAIN, PASSWORD = (os.environ[name] for name in ("HOST", "DOMAIN", "PASSWORD"))
ALICE = f"alice@{DOMAIN}"
context = ssl.create_default_context(cafile=os.environ["ROOTS"])


def ok(answer):
    assert answer[0] in ("OK", "BYE"), answer
    return answer[1]


def letter(number):
    return (f"From: a{number}@x.test\r\nTo: {ALICE}\r\nSubject: letter {number}\r\n\r\n"
            f"Body of number {number}.\r\n").encode()


first = imaplib.IMAP4(HOST, int(os.environ["IMAP"]), timeout=20)
ok(first.starttls(context))
ok(first.login(ALICE, PASSWORD))
second = imaplib.IMAP4_SSL(HOST, int(os.environ["IMAPS"]), ssl_context=context, timeout=20)
ok(second.authenticate("PLAIN", lambda _: f"\0{ALICE}\0{PASSWORD}".encode()))

ok(first.create('"Work/Projekte &- M&APw-nchen"'))
names = b" ".join(ok(first.list()))
assert b"M&APw-nchen" in names, names
assert int(ok(first.select("INBOX"))[0]) == 0
for number in range(1, 6):
    ok(first.append("INBOX", "(\\Seen)" if number == 1 else None,
                    imaplib.Time2Internaldate(time.time()), letter(number)))
assert int(ok(first.select("INBOX"))[0]) == 5
assert int(ok(second.select("INBOX"))[0]) == 5

data = ok(first.fetch("2", "(BODY.PEEK[] RFC822.SIZE INTERNALDATE UID ENVELOPE BODYSTRUCTURE)"))
assert data[0][1] == letter(2), data
assert ok(first.search(None, "UNSEEN", "SUBJECT", '"letter 3"')) == [b"3"]
assert ok(first.search(None, "TEXT", '"number 4"')) == [b"4"]
ok(first.store("3", "+FLAGS", "(\\Flagged Later)"))
flags = ok(second.noop()) and ok(second.fetch("3", "(FLAGS)"))
assert b"\\Flagged" in flags[0] and b"Later" in flags[0], flags

ok(first.copy("1:2", "Archive"))
ok(first.uid("MOVE", "1", "Trash"))
assert ok(first.search(None, "ALL"))[0].split() == [b"1", b"2", b"3", b"4"]
ok(second.noop())
assert ok(second.search(None, "ALL"))[0].split() == [b"1", b"2", b"3", b"4"]
ok(first.store("4", "+FLAGS", "(\\Deleted)"))
# imaplib hands out the EXPUNGE of the MOVE here as well: each number once, in order.
assert ok(first.expunge()) == [b"1", b"4"]
status = ok(second.status("Archive", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"))[0]
assert b"MESSAGES 2" in status, status

# Two sessions, one idle: the other's letter is announced. imaplib has no IDLE before Python 3.14.
tag = second._new_tag()
second.send(tag + b" IDLE\r\n")
assert second.readline().startswith(b"+")
ok(first.append("INBOX", None, None, letter(9)))
while not (line := second.readline()).endswith(b"EXISTS\r\n"):
    assert line.startswith(b"* "), line
assert line == b"* 4 EXISTS\r\n", line
second.send(b"DONE\r\n")
while not (line := second.readline()).startswith(tag):
    assert line.startswith(b"* "), line

ok(first.rename('"Work/Projekte &- M&APw-nchen"', "Work/Done"))
ok(first.delete("Work/Done"))
ok(first.close())
ok(first.logout())
ok(second.logout())
