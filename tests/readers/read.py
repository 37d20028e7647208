"""Reads every letter of a folder, `N.eml`, with Python's email library and its default policy.

Writes one line of JSON each: {file, subject, to, cc, kind, body}.
"""

import email
import email.policy
import json
import os
import sys

folder = sys.argv[1]
for file in os.listdir(folder):
    with open(os.path.join(folder, file), "rb") as letter:
        message = email.message_from_binary_file(letter, policy=email.policy.default)
    addresses = {
        name: [one.addr_spec for one in message[name].addresses] if message[name] else [] for name in ("to", "cc")
    }
    print(
        json.dumps(
            {
                "file": file,
                "subject": str(message["subject"]),
                **addresses,
                "kind": {"text/plain": "text", "text/html": "html"}.get(message.get_content_type()),
                "body": message.get_payload(decode=True).decode("utf-8"),
            }
        )
    )
