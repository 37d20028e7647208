"""A submission server for tests, on a port of its own, with faults on request.

It prints its port, then reads its standard input: a line `fault STEP ACTION` is what the following connections meet, `fault`
alone is none; each is answered by a line. At the end of its input it ends. What it takes is kept under --store: N.eml as it
came, and N.json, the envelope.
"""

import argparse
import asyncio
import base64
import json
import logging
import os
import pathlib
import smtplib
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("--store", type=pathlib.Path, required=True)
parser.add_argument("--tls", choices=["starttls", "tls", "none"], default="starttls")
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--user")
parser.add_argument("--password")
parser.add_argument("--without", action="append", default=[], help="a way to log in that is not offered")
parser.add_argument("--lmtp", type=int, help="deliver to this port")
options = parser.parse_args()

# Faults are the point, and not worth a line each.
logging.disable()

context = None
if options.cert:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.cert, options.key)

fault = None
taken = 0
grey = set()


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == options.user.encode() and data.password == options.password.encode()
    return AuthResult(success=good, handled=False)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("never"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "450 4.2.1 the mailbox is busy"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        global taken
        server.step = "dot"
        taken += 1
        facts = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "login": session.authenticated}
        (options.store / f"{taken}.json").write_text(json.dumps(facts))
        (options.store / f"{taken}.eml").write_bytes(envelope.original_content)
        if options.lmtp:
            await asyncio.get_running_loop().run_in_executor(None, self.deliver, envelope)
        return f"250 2.0.0 taken as {taken}"

    def deliver(self, envelope):
        with smtplib.LMTP("127.0.0.1", options.lmtp) as lmtp:
            refused = lmtp.sendmail(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)
            assert not refused, refused


class Server(SMTP):
    step = "greeting"

    async def push(self, status):
        text = status.encode() if isinstance(status, str) else status
        if fault and fault[0] == self.step:
            self.step = None
            text = await self.act(fault[1], text)
        await super().push(text)

    async def act(self, action, text):
        if action.isdigit():
            return f"{action} said on request".encode()
        if action == "grey":
            # What it has not seen before it does not take yet.
            what = (self.envelope.mail_from, tuple(self.envelope.rcpt_tos), self.envelope.original_content)
            if what not in grey:
                grey.add(what)
                return b"451 4.7.1 greylisted, try again later"
            return text
        if action == "close":
            self._writer.close()
            raise asyncio.CancelledError
        if action == "slow":
            await asyncio.sleep(3600)
        if action == "garbage":
            return b"hello there"
        if action == "binary":
            return b"250 \xff\xfe"
        if action == "long":
            return text[:3] + b" " + b"x" * 10_000
        if action == "wordy":
            return (b"554-" + b"x" * 900 + b"\r\n") * 10 + b"554 at last"
        if action == "endless":
            for _ in range(10_000):
                if self._writer.is_closing():
                    raise asyncio.CancelledError
                self._writer.write(b"x" * 1_000)
                await self._writer.drain()
            return b""
        if action == "many-lines":
            return text[:3] + b"-one\r\n" + text[:3] + b"-two\r\n" + text[:3] + b" three"
        if action == "disagreeing-lines":
            return b"250-one\r\n550 two"
        if action == "ahead":
            return text + b"\r\n250 ahead of its question"
        if action == "echo":
            password = options.password
            encoded = [base64.b64encode(t.encode()).decode() for t in (password, f"\0{options.user}\0{password}")]
            return f"550 you are {password}, {encoded[0]}, {encoded[1]}".encode()
        raise ValueError(action)


def at(step, verb):
    original = getattr(SMTP, "smtp_" + verb)

    async def method(self, arg):
        self.step = step
        await original(self, arg)

    setattr(Server, "smtp_" + verb, method)


for verb in ["EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]:
    at(verb.lower(), verb)


def serve():
    return Server(
        Handler(),
        hostname="mail.test",
        tls_context=context if options.tls == "starttls" else None,
        require_starttls=options.tls == "starttls" and context is not None,
        authenticator=authenticate if options.user else None,
        auth_required=options.user is not None,
        auth_require_tls=options.tls == "starttls",
        auth_exclude_mechanism=options.without,
    )


def obey():
    global fault
    for line in sys.stdin:
        words = line.split()
        fault = words[1:] or None
        print("ok", flush=True)
    os._exit(0)


async def main():
    outer = context if options.tls == "tls" else None
    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0, ssl=outer)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=obey, daemon=True).start()
    await server.serve_forever()


asyncio.run(main())
