"""The same letters in Posthaste and in Dovecot, the same commands, the answers compared.

Differences are put into classes by `explain`; docs/interop.md says of each class who is right and
why. A difference of no class, or a class that no longer occurs, fails the test.
"""

import glob
import os
import re
import socket
import sys

sys.setrecursionlimit(10_000)


class Session:
    """Just enough IMAP to send a command and to get every octet of the answer."""

    def __init__(self, host, port, user, password):
        self.arguments = (host, port, user, password)
        self.socket = socket.create_connection((host, port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.count = 0
        self.run(f'LOGIN "{user}" "{password}"'.encode())

    def run(self, command):
        """The untagged responses, whole, and the tagged one."""
        self.count += 1
        tag = f"t{self.count}".encode()
        self.socket.sendall(tag + b" " + command + b"\r\n")
        answers = []
        while True:
            response = self.response()
            if response.startswith(tag + b" "):
                return answers, response[len(tag) + 1:]
            answers.append(response)

    def response(self):
        whole = b""
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError(whole)
            whole += line
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if not literal:
                return whole[:-2]
            whole += self.file.read(int(literal[1]))

    def append(self, mailbox, letter, flags=b""):
        command = b"APPEND %s %s\"01-Feb-2020 10:11:12 +0000\" {%d+}\r\n" % (
            mailbox, flags + b" " if flags else b"", len(letter))
        return self.run(command + letter)[1]


def parse(data):
    """An answer as nested lists of octets; NIL is None."""
    stack, at = [[]], 0
    while at < len(data):
        byte = data[at:at + 1]
        if byte == b"(":
            stack.append([])
            at += 1
        elif byte == b")":
            done = stack.pop()
            stack[-1].append(done)
            at += 1
        elif byte == b" ":
            at += 1
        elif byte == b'"':
            text, at = b"", at + 1
            while data[at:at + 1] != b'"':
                at += data[at:at + 1] == b"\\"
                text += data[at:at + 1]
                at += 1
            stack[-1].append(text)
            at += 1
        elif literal := re.match(rb"~?\{(\d+)\}\r\n", data[at:]):
            at += literal.end()
            stack[-1].append(data[at:at + int(literal[1])])
            at += int(literal[1])
        else:
            # An atom; brackets of BODY[...] hold spaces and parentheses.
            word = re.match(rb"[^ ()\"\[]*(?:\[[^\]]*\][^ ()]*)?", data[at:])[0] or data[at:at + 1]
            stack[-1].append(None if word.upper() == b"NIL" else word)
            at += len(word)
    return stack[0]


def folded(value):
    """Types, encodings and names of parameters have no case."""
    if isinstance(value, list):
        return [folded(one) for one in value]
    return value.lower() if isinstance(value, bytes) else value


def fetched(session, number, item):
    """The value of one item, and how the command ended."""
    try:
        answers, end = session.run(b"FETCH %d (%s)" % (number, item))
    except EOFError:
        # Dovecot hangs up where a part cannot be decoded.
        session.__init__(*session.arguments)
        session.run(b"SELECT INBOX")
        return ("disconnected",)
    for answer in answers:
        if answer.startswith(b"* %d FETCH " % number):
            data = parse(answer[len(b"* %d FETCH " % number):])[0]
            value = data[1] if len(data) > 1 else None
            return folded(value) if item in (b"BODY", b"BODYSTRUCTURE") else value
    return ("none", end.split(b" ")[0])


# Letters -------------------------------------------------------------------------------------

def crlf(octets):
    return re.sub(rb"\r?\n", b"\r\n", octets)


def own_letters():
    """What Python's collection does not have."""
    yield "plain", b"From: a@x.test\r\nSubject: plain\r\n\r\nBody.\r\n"
    yield "no-body", b"From: a@x.test\r\nSubject: no body\r\n\r\n"
    yield "no-blank-line", b"From: a@x.test\r\nSubject: no blank line\r\n"
    yield "no-newline", b"Subject: x\r\n\r\nlast line without an end"
    yield "no-header", b"\r\nonly a body\r\n"
    yield "not-a-header", b"this is not a header\r\nSubject: x\r\n\r\nbody\r\n"
    yield "8bit", b"Subject: caf\xe9 \xff\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9\xff\r\n"
    yield "utf8", "Subject: Grüße\r\nFrom: \"Jörg\" <j@x.test>\r\n\r\nö\r\n".encode()
    yield "addresses", (b"From: \"Quoted \\\"Q\\\" Name\" <a@x.test>, b@x.test (Comment), Group: c@x.test, "
                        b"d@x.test;, <@r.test:e@x.test>, broken@, @broken, lonely\r\n"
                        b"To: undisclosed-recipients:;\r\nCc: \r\nBcc: a@b (c (d) e)\r\n"
                        b"Sender: \r\nReply-To: =?utf-8?q?J=C3=B6?= <x@y.test>\r\n\r\nx\r\n")
    yield "twice", b"Subject: one\r\nSubject: two\r\nFrom: a@x\r\nFrom: b@x\r\nTo: c@x\r\nTo: d@x\r\n\r\nx\r\n"
    yield "folded", b"Subject: a\r\n b\r\n\tc\r\nTo: a@x.test,\r\n  b@x.test\r\n\r\nx\r\n"
    yield "nested", (b"Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n"
                     b"Subject: inner\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
                     b"Subject: deepest\r\n\r\ntext\r\n--b--\r\n")
    yield "digest", (b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: 1\r\n\r\nx\r\n"
                     b"--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--\r\n")
    yield "no-end", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo"
    yield "no-parts", b"Content-Type: multipart/mixed; boundary=b\r\n\r\nnothing\r\n"
    yield "no-boundary", b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\none\r\n--b--\r\n"
    yield "same-boundary", (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b--\r\n")
    yield "prefix", (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                     b"Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n--b--\r\n")
    yield "in-mid-line", (b"Content-Type: multipart/mixed; boundary=BND\r\n\r\n--BND\r\n\r\n"
                          b"text --BND text\r\n --BND\r\n--BND \t\r\n\r\ntwo\r\n--BND-- \r\nepilogue\r\n")
    yield "parameters", (b"Content-Type: TEXT/X-Odd; Charset=\"utf-8\"; name*0*=utf-8''a%20; name*1=b; "
                         b"empty=\"\"; x=y z; broken\r\nContent-Disposition: attachment; filename=\"a\\\"b\"; "
                         b"size=5\r\nContent-ID: <id@x>\r\nContent-Description: d e\r\nContent-MD5: q\r\n"
                         b"Content-Language: en, de\r\nContent-Location: http://x/\r\n\r\nx\r\n")
    yield "broken-type", b"Content-Type: nonsense\r\n\r\nx\r\n"
    yield "empty-type", b"Content-Type: \r\nContent-Transfer-Encoding: \r\nContent-Disposition: \r\n\r\nx\r\n"
    yield "comment-type", b"Content-Type: text/(c)plain (x); charset=(y)us-ascii\r\n\r\nx\r\n"
    yield "base64", (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: BASE64\r\n"
                     b"Content-Type: image/png\r\n\r\niVBORw0K\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n"
                     b"\r\na=3Db=\r\nc\r\n--b--\r\n")
    yield "long-lines", b"Subject: " + b"x" * 5000 + b"\r\n\r\n" + b"y" * 5000 + b"\r\n"
    yield "references", (b"Message-ID: <1@x>\r\nReferences: <0@x>\r\n <2@x>\r\nIn-Reply-To: <0@x>\r\n"
                         b"Date: Sat, 01 Feb 2020 10:11:12 +0100 (CET)\r\nSubject: Re: [l] x\r\n\r\nx\r\n")


def letters():
    yield from own_letters()
    try:
        import test.test_email as collection
    except ImportError:
        return
    folder = os.path.join(os.path.dirname(collection.__file__), "data")
    for path in sorted(glob.glob(os.path.join(folder, "msg_*.txt"))):
        with open(path, "rb") as file:
            yield os.path.basename(path), crlf(file.read())


ITEMS = [b"RFC822.SIZE", b"INTERNALDATE", b"FLAGS", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE",
         b"BODY.PEEK[]", b"BODY.PEEK[HEADER]", b"BODY.PEEK[TEXT]", b"BODY.PEEK[1]",
         b"BODY.PEEK[1.MIME]", b"BODY.PEEK[2]", b"BODY.PEEK[2.MIME]", b"BODY.PEEK[1.1]",
         b"BODY.PEEK[1.HEADER]", b"BODY.PEEK[2.HEADER]", b"BODY.PEEK[1.TEXT]", b"BODY.PEEK[1.2]",
         b"BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]", b"BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]",
         b"BODY.PEEK[]<3.10>", b"BODY.PEEK[TEXT]<1000000.5>", b"RFC822.HEADER",
         b"BINARY.PEEK[1]", b"BINARY.SIZE[1]", b"BODY.PEEK[99]"]

SEARCHES = [b"ALL", b"SUBJECT x", b"FROM x.test", b"TO b@x.test", b"TEXT body", b"BODY text",
            b"HEADER Subject \"\"", b"HEADER X-None \"\"", b"LARGER 5000", b"SMALLER 60",
            b"SENTON 1-Feb-2020", b"BEFORE 2-Feb-2020", b"ON 1-Feb-2020", b"SEEN", b"UNSEEN 1:3",
            b"OR SUBJECT x TEXT y", b"NOT TEXT x", b"1:5,9", b"CHARSET UTF-8 SUBJECT caf",
            b"KEYWORD none", b"UID 1:3", b"CC x", b"BCC a@b"]

OTHERS = [b"NOOP", b"CHECK", b"SEARCH RETURN (MIN MAX COUNT ALL) ALL", b"UID SEARCH RETURN () 2:4",
          b"SORT (SUBJECT) UTF-8 ALL", b"SORT (FROM DATE) UTF-8 ALL", b"SORT (REVERSE SIZE) UTF-8 ALL",
          b"THREAD REFERENCES UTF-8 ALL", b"THREAD ORDEREDSUBJECT UTF-8 ALL",
          b"FETCH 1:3 FAST", b"FETCH * UID", b"UID FETCH 1 FLAGS", b"UID FETCH 9999 FLAGS",
          b"FETCH 9999 FLAGS", b"STORE 1 +FLAGS (\\Seen Own)", b"STORE 1 -FLAGS.SILENT (Own)",
          b"STORE 9999 +FLAGS (\\Seen)", b"FETCH 1 BODY[99]", b"FETCH 0 FLAGS", b"FETCH 1 NONSENSE",
          b"SELECT NoSuch", b"SELECT INBOX", b"COPY 1 NoSuch", b"CREATE Sub", b"CREATE Sub",
          b"COPY 1:2 Sub", b"STATUS Sub (MESSAGES UNSEEN SIZE)", b"DELETE Sub", b"DELETE Sub",
          b"DELETE INBOX", b"CREATE INBOX", b"RENAME NoSuch Other", b"LIST \"\" \"\"",
          b"LIST \"\" INBOX", b"EXPUNGE", b"CLOSE"]


def shape(answers, end):
    """What of an answer should be alike: without texts, times and numbers that differ by right."""
    kept = []
    for answer in answers:
        answer = re.sub(rb"^\* (OK|NO|BAD) \[(\S+?)[ \]].*", rb"* \1 [\2]", answer, flags=re.S)
        answer = re.sub(rb"^\* (OK|NO|BAD) [^\[].*", rb"* \1", answer, flags=re.S)
        answer = re.sub(rb'"t\d+"', b'"tag"', answer)
        kept.append(answer)
    word = end.split(b" ")[0]
    code = re.match(rb"\w+ \[([A-Z-]+)", end)
    return kept, word, code[1] if code else None


# Comparison ----------------------------------------------------------------------------------

def explain(name, item, ours, theirs):
    """The class of a difference; None: nobody has thought of it."""
    for kind, fits in CLASSES:
        if fits(name, item, ours, theirs):
            return kind
    return None


def flat(value):
    if isinstance(value, list):
        return [word for one in value for word in flat(one)]
    return [value]


NO_PARTS = {"no-parts", "no-boundary", "msg_17.txt", "msg_25.txt", "msg_31.txt", "msg_41.txt",
            "msg_42.txt"}


def is_part(item):
    return item.startswith((b"BODY.PEEK[1", b"BODY.PEEK[2", b"BINARY"))


def without_missing(value):
    if isinstance(value, list):
        return [without_missing(one) for one in value]
    return b"" if value in (b"MISSING_DOMAIN", b"MISSING_MAILBOX") else value


def without_codes(answer):
    kept, word, _ = answer
    return sorted(line for line in kept if b"[" not in line and not line.startswith(b"* FLAGS")), word


# Each is a heading of docs/interop.md.
CLASSES = [
    ("one-digit-day", lambda name, item, ours, theirs:
        item in (b"INTERNALDATE", b"FETCH 1:3 FAST")
        and repr(ours).replace("\" 1-", "\"01-").replace("b' 1-", "b'01-") == repr(theirs)),
    ("absent-part", lambda name, item, ours, theirs:
        ours is None and (theirs == b"" or b"[1.1]" in item) or item == b"FETCH 1 BODY[99]"),
    ("multipart-without-parts", lambda name, item, ours, theirs:
        name in NO_PARTS and (item in (b"BODY", b"BODYSTRUCTURE") or is_part(item))),
    ("encoded-boundary", lambda name, item, ours, theirs: name == "msg_33.txt"),
    ("header-without-blank-line", lambda name, item, ours, theirs:
        (b"HEADER.FIELDS" in item and theirs == ours + b"\r\n")
        or (item.endswith(b"MIME]") and ours == theirs + b"\r\n")),
    ("lines-that-are-no-fields", lambda name, item, ours, theirs:
        b"HEADER.FIELDS.NOT" in item and (theirs.endswith(ours) or theirs.startswith(ours))),
    ("missing-address", lambda name, item, ours, theirs:
        item == b"ENVELOPE" and ours == without_missing(theirs)
        or item == b"SORT (FROM DATE) UTF-8 ALL"),
    ("repeated-field", lambda name, item, ours, theirs: name == "twice" and item == b"ENVELOPE"),
    ("folded-tab", lambda name, item, ours, theirs:
        item == b"ENVELOPE" and ours[1].replace(b"\t", b" ") == theirs[1]),
    ("unreadable-content-type", lambda name, item, ours, theirs:
        name in ("broken-type", "empty-type", "msg_14.txt") and item in (b"BODY", b"BODYSTRUCTURE")),
    ("parameters", lambda name, item, ours, theirs:
        name in ("parameters", "msg_29.txt") and item in (b"BODY", b"BODYSTRUCTURE")),
    ("empty-encoding", lambda name, item, ours, theirs:
        name == "empty-type" and item.startswith(b"BINARY")),
    ("binary-of-multipart", lambda name, item, ours, theirs:
        item.startswith(b"BINARY") and name in ("same-boundary", "prefix", "msg_15.txt",
                                                "msg_38.txt", "msg_39.txt")),
    ("line-end-of-delimiter", lambda name, item, ours, theirs:
        item == b"BODY.PEEK[1]" and theirs == ours + b"\r\n"),
    ("searched-text", lambda name, item, ours, theirs:
        item in (b"SEARCH TEXT body", b"SEARCH BODY text", b"SEARCH NOT TEXT x")),
    ("keywords-by-search", lambda name, item, ours, theirs:
        item == b"SEARCH KEYWORD none" and ours[0] == theirs[0][:1]),
    ("order-of-results", lambda name, item, ours, theirs:
        b"RETURN" in item and sorted(ours[0][0].split()) == sorted(theirs[0][0].split())),
    ("codes", lambda name, item, ours, theirs:
        name == "command" and without_codes(ours) == without_codes(theirs)),
]


def main():
    ours = Session(os.environ["HOST"], int(os.environ["IMAP"]), os.environ["ALICE"],
                   os.environ["PASSWORD"])
    theirs = Session(os.environ["DOVECOT"], int(os.environ["DOVECOT_IMAP"]), os.environ["ALICE"],
                     os.environ["PASSWORD"])
    names = []
    for name, letter in letters():
        for session in (ours, theirs):
            end = session.append(b"INBOX", letter)
            assert end.startswith(b"OK"), (name, end)
        names.append(name)
    for session in (ours, theirs):
        # Twice, so that nothing is recent: one of them hangs up now and then, and forgets.
        session.run(b"SELECT INBOX")
        session.run(b"SELECT INBOX")
    compared, classes, unknown = 0, {}, []

    def compare(name, item, one, other):
        nonlocal compared
        compared += 1
        if one == other:
            return
        kind = explain(name, item, one, other)
        if kind is None:
            unknown.append((name, item, one, other))
        else:
            classes.setdefault(kind, []).append((name, item))

    for number, name in enumerate(names, 1):
        for item in ITEMS:
            compare(name, item, fetched(ours, number, item), fetched(theirs, number, item))
    for search in SEARCHES:
        command = b"SEARCH " + search
        compare("search", command, shape(*ours.run(command)), shape(*theirs.run(command)))
    for command in OTHERS:
        compare("command", command, shape(*ours.run(command)), shape(*theirs.run(command)))
    for kind, found in sorted(classes.items()):
        print(f"{len(found):5} {kind}: {found[0][0]} {found[0][1].decode()}")
    for name, item, one, other in unknown:
        print(f"UNEXPLAINED {name} {item.decode()}\n    ours   {str(one)[:600]}\n"
              f"    theirs {str(other)[:600]}")
    print(f"{len(names)} letters, {compared} answers compared, {len(unknown)} unexplained")
    idle = [kind for kind, _ in CLASSES if kind not in classes]
    if idle:
        print("classes that no longer occur:", ", ".join(idle))
    sys.exit(1 if unknown else 0)


main()
