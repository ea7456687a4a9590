"""Verifies the DKIM signatures of a letter with dkimpy: verify_dkim.py RECORDS LETTER.

RECORDS holds JSON lines with "name", "type" and "value", as `posthaste dns records --json` prints
them. Prints one line for each signature, exits with 1 unless every one holds.
"""

import json
import sys

import dkim

records = {}
for line in open(sys.argv[1], encoding="utf-8"):
    record = json.loads(line)
    if record["type"] == "TXT":
        records[record["name"].rstrip(".")] = record["value"].encode()


def answer(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return records.get(name.rstrip("."))


letter = open(sys.argv[2], "rb").read()
checker = dkim.DKIM(letter)
count = sum(1 for name, _ in checker.headers if name.lower() == b"dkim-signature")
good = 0
for index in range(count):
    try:
        holds = dkim.DKIM(letter).verify(idx=index, dnsfunc=answer)
    except dkim.DKIMException as error:
        print(index, "error", error)
        continue
    good += holds
    print(index, "good" if holds else "bad")
print(count, "signatures")
sys.exit(0 if good == count and count > 0 else 1)
