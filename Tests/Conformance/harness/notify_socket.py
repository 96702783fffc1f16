"""systemd's side of sd_notify: a datagram socket that keeps what a service says."""

import contextlib
import socket
import threading
import time


class NotifySocket:
    def __init__(self, path, watchdog_seconds=None):
        self.environment = {"NOTIFY_SOCKET": str(path)}
        if watchdog_seconds is not None:
            self.environment["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1_000_000))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._changed = threading.Condition()
        self._messages = []
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        with contextlib.suppress(OSError):
            while True:
                text = self._socket.recv(65536).decode()
                message = dict(line.split("=", 1) for line in text.split("\n"))
                with self._changed:
                    self._messages.append((time.monotonic(), message))
                    self._changed.notify_all()

    @property
    def messages(self):
        with self._changed:
            return [message for _, message in self._messages]

    def times(self, key):
        with self._changed:
            return [at for at, message in self._messages if key in message]

    def wait(self, condition, seconds=20):
        """The first message that fulfils the condition, and all before it."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for index, (_, message) in enumerate(self._messages):
                    if condition(message):
                        return message, [earlier for _, earlier in self._messages[:index]]
                assert self._changed.wait(deadline - time.monotonic()), f"not said within {seconds} s; said: {self._messages}"

    def kinds(self):
        """The order of messages, without what depends on time: plain status lines and the watchdog's."""
        names = []
        for message in self.messages:
            keys = [key for key in message if key != "STATUS"]
            if keys and keys != ["WATCHDOG"]:
                names.append("+".join(keys))
        return names

    def close(self):
        self._socket.close()
