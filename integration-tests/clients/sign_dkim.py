#!/usr/bin/python3
"""Signs letters with Debian's dkimpy, with fresh keys of both kinds.

sign_dkim.py DOMAIN: prints one JSON object: the records of the keys, and letters whose bodies end
in the ways that programs get wrong, in every pair of canonical forms.
"""
import base64
import json
import subprocess
import sys

import dkim
import nacl.encoding
import nacl.signing

domain = sys.argv[1].encode()
rsa = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
public = subprocess.run(
    ["openssl", "rsa", "-pubout", "-outform", "DER"], input=rsa, capture_output=True, check=True
).stdout
ed25519 = nacl.signing.SigningKey.generate()
seed = ed25519.encode(encoder=nacl.encoding.Base64Encoder)
own = ed25519.verify_key.encode(encoder=nacl.encoding.Base64Encoder).decode()
records = {
    f"rsa._domainkey.{domain.decode()}": "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode(),
    f"ed._domainkey.{domain.decode()}": "v=DKIM1; k=ed25519; p=" + own,
}
bodies = [
    b"hello\r\n",
    b"hello\r\n   \r\n\t\r\n",
    b"hello  world \r\n\r\n\r\n",
    b"hello\r\n \r\n \t \r\nagain\r\n\r\n \r\n",
    b"",
    b"\r\n \r\n",
]
letters = []
for body in bodies:
    for header_form in (b"simple", b"relaxed"):
        for body_form in (b"simple", b"relaxed"):
            letter = (
                b"From: Bob <bob@" + domain + b">\r\nTo: alice@example.test\r\n"
                b"Subject: folded,\r\n\tand  spaced \r\nMIME-Version: 1.0\r\n\r\n" + body
            )
            for selector, key, algorithm in (
                (b"rsa", rsa, b"rsa-sha256"),
                (b"ed", seed, b"ed25519-sha256"),
            ):
                field = dkim.sign(
                    letter,
                    selector,
                    domain,
                    key,
                    canonicalize=(header_form, body_form),
                    signature_algorithm=algorithm,
                    include_headers=[b"from", b"to", b"subject"],
                )
                letter = field + letter
            letters.append(base64.b64encode(letter).decode())
print(json.dumps({"records": records, "letters": letters}))
