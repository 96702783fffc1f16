"""A member whose ports speak TLS, and clients for it."""

import contextlib
import http.client
import json
import re
import socket
import ssl
import subprocess

from .daemon import clean_environment, poll
from .pki import openssl


class Member:
    """A daemon whose client port speaks TLS, and etcdctl for it."""

    def __init__(self, daemon, reference, url=None):
        self.daemon = daemon
        self.etcdctl_binary = reference.etcdctl
        self.url = url or f"https://127.0.0.1:{daemon.client_port}"

    def start(self):
        start = len(self.daemon.log_text())
        self.daemon.spawn(self.arguments())
        self.wait_for("ready to serve client requests", start)
        return self

    def arguments(self):
        flags = self.daemon.arguments()
        for name in ("--listen-client-urls", "--advertise-client-urls"):
            flags[flags.index(name) + 1] = self.url
        return flags

    def wait_for(self, text, start=0):
        def said():
            assert self.daemon.process.poll() is None, self.daemon.log_tail()
            return text in self.daemon.log_text(start)

        poll(said, 20, lambda: f"{text!r} in the log:\n{self.daemon.log_tail()}")

    def etcdctl(self, *arguments, ca=None, pair=None, url=None, timeout="2s", text=None):
        """(exit status, standard output, standard error)"""
        flags = ["--endpoints", url or self.url, "--command-timeout", timeout, "--dial-timeout", timeout]
        if ca:
            flags += ["--cacert", str(ca)]
        if pair:
            flags += ["--cert", str(pair.certificate), "--key", str(pair.key)]
        done = subprocess.run(
            [self.etcdctl_binary, *flags, *arguments], input=text, capture_output=True, text=True, timeout=30,
            env=clean_environment() | {"ETCDCTL_API": "3"},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def rejections(self, start=0):
        """The error texts of rejected connections."""
        lines = [json.loads(line) for line in self.daemon.log_text(start).splitlines() if line.startswith("{")]
        return [line for line in lines if line["msg"].startswith("rejected connection on client endpoint")]


def get(url, context=None, path="/health"):
    """Status and body of one HTTPS request."""
    host = re.sub("^https?://", "", url)
    connection = http.client.HTTPSConnection(host, context=context, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def served_certificate(port, pki, pair=None):
    """The name in the certificate that a new connection gets."""
    context = pki.authority.context(pair)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as connection, context.wrap_socket(connection) as wrapped:
        der = wrapped.getpeercert(binary_form=True)
    return openssl("x509", "-noout", "-subject", "-nameopt", "multiline", text=ssl.DER_cert_to_PEM_cert(der))
