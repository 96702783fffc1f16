"""The network between members, and between them and clients, cut at will: what a member advertises are relays in front of its ports."""

import asyncio
import re
import threading

SENDER = re.compile(rb"^x-server-from: *([0-9a-f]+)\r?$", re.IGNORECASE | re.MULTILINE)
PIECE = 1 << 16


class Network:
    """Relays of all members of a cluster, on a thread of their own. Members are known by name, and by id once they are told."""

    def __init__(self, tls=None):
        #: A harness.pki.ClusterTLS, where members speak it.
        self.tls = tls
        self._loop = asyncio.new_event_loop()
        self._changed = None
        #: Directions (from, to) in which nothing gets through; what was sent arrives when they heal, as TCP does.
        self._silent = set()
        #: Pairs between which connections are closed and refused.
        self._closed = set()
        self._names = {}
        self._targets = {}
        self._servers = []
        self._connections = set()
        self._tasks = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    # MARK: from tests

    def relay(self, member, port=None):
        """Puts a relay in front of a member's peer port, or of another of its ports; returns the port to advertise."""
        self._targets[member.name] = member

        async def listen():
            self._changed = self._changed or asyncio.Condition()
            accepting = self.tls and self.tls.accepting
            server = await asyncio.start_server(
                lambda *ends: self._accepted(member.name, port, *ends), "127.0.0.1", 0, ssl=accepting
            )
            self._servers.append(server)
            return server.sockets[0].getsockname()[1]

        return self._do(listen())

    def learn(self, ids):
        """Which id every member has, {id: name}: messages between members carry the sender's."""
        self._names |= {b"%x" % id: name for id, name in ids.items()}

    def cut_off(self, member):
        """No other member, and no client that comes by way of a relay, hears of this one or is heard."""
        others = [name for name in self._targets if name != member.name]
        self.silence(*((member.name, other) for other in others), *((other, member.name) for other in others))

    def silence(self, *directions):
        """Nothing gets through any more in these directions, each (from, to)."""
        self._do(self._set(silent=self._silent | set(directions)))

    def close(self, *pairs):
        """Connections between these pairs end, and new ones end as soon as the sender is known."""
        self._do(self._set(closed=self._closed | {frozenset(pair) for pair in pairs}))

    def heal(self):
        self._do(self._set(set(), set()))

    def stop(self):
        async def end():
            for server in self._servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # What was closed is told so in the loop's next round.
            await asyncio.sleep(0.01)

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # MARK: on the loop

    async def _set(self, silent=None, closed=None):
        if silent is not None:
            self._silent = silent
        if closed is not None:
            self._closed = closed
        for connection in list(self._connections):
            connection.end_if_closed()
        async with self._changed:
            self._changed.notify_all()

    async def _accepted(self, target, port, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await _Connection(self, target, port).carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


class _Connection:
    """One TCP connection to a member. Whose it is, its first request tells; one from nobody passes unless its target hears nobody."""

    def __init__(self, network, target, port):
        self._network = network
        self._target = target
        #: None where it is the peer port, which may change until the member is started.
        self._port = port
        #: The sender's id as its first request gives it.
        self._sender = None
        self._head = b""
        self._writers = []

    async def carry(self, reader, writer):
        port = self._port or self._network._targets[self._target].peer_port
        connecting = self._network.tls and self._network.tls.connecting
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port, ssl=connecting)
        self._writers = [writer, upstream_writer]
        self._network._connections.add(self)
        try:
            await asyncio.gather(self._pump(reader, upstream_writer, True), self._pump(upstream_reader, writer, False))
        finally:
            self._network._connections.discard(self)
            upstream_writer.close()

    async def _pump(self, reader, writer, is_request):
        while piece := await reader.read(PIECE):
            if is_request and self._sender is None:
                self._identify(piece)
            self.end_if_closed()
            if self._is_silent(is_request):
                async with self._network._changed:
                    await self._network._changed.wait_for(lambda: not self._is_silent(is_request))
            writer.write(piece)
            await writer.drain()
        # TLS has no half-closed connections.
        writer.write_eof() if writer.can_write_eof() else writer.close()

    def _identify(self, piece):
        self._head = (self._head + piece)[-4096:]
        if named := SENDER.search(self._head):
            self._sender = named.group(1).lower().lstrip(b"0")

    @property
    def _source(self):
        """Its name. Connections are there before the tests know any ids."""
        return self._network._names.get(self._sender)

    def _is_silent(self, is_request):
        directions = self._network._silent
        source = self._source
        if source is None:
            return sum(to == self._target for _, to in directions) >= len(self._network._targets) - 1 > 0
        return ((source, self._target) if is_request else (self._target, source)) in directions

    def end_if_closed(self):
        if self._source and frozenset((self._source, self._target)) in self._network._closed:
            for writer in self._writers:
                writer.transport.abort()
