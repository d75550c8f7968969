"""A line to the database that a test can cut, hold, or cut between a commit and the word of it."""

import contextlib
import re
import socket
import threading

# CommandComplete of the protocol of PostgreSQL for what the door stores its rows with.
STORED = re.compile(rb"C\x00\x00\x00.COPY \d+\x00", re.DOTALL)


class Wire:
    """Listens on a port of 127.0.0.1 and passes everything on to `connect()`, a new socket to the server."""

    def __init__(self, connect):
        self._connect = connect
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._pairs = []
        self._is_open = True
        self._is_cut = self._loses_the_word = self._then_cut = False
        self.lost = threading.Event()  # the word of a commit
        self._free = threading.Event()
        self._free.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """End all connections and refuse new ones."""
        self._is_cut = True
        for pair in self._pairs:
            _end(pair)
        self._pairs = []

    def mend(self):
        self._is_cut = False

    @contextlib.contextmanager
    def held(self):
        """While inside, connections stay open and nothing passes, as behind a firewall that forgot them."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def lose_the_word(self, *, then_cut=False):
        """Cut the next connection that has stored something, before it hears so; `then_cut` also all that follow."""
        self._loses_the_word, self._then_cut = True, then_cut
        self.lost.clear()

    def close(self):
        self._is_open = False
        self._listening.close()
        self.cut()
        self._free.set()

    def _accept(self):
        while self._is_open:
            # A caller who hung up meanwhile, or a server with its hands full, is no reason to stop listening: whoever
            # comes next would wait for ever.
            with contextlib.suppress(OSError):
                client, _ = self._listening.accept()
                self._begin(client)

    def _begin(self, client):
        if self._is_cut:
            client.close()
            return
        try:
            pair = client, self._connect()
        except OSError:
            client.close()
            raise
        self._pairs.append(pair)
        for source, target in (pair, pair[::-1]):
            threading.Thread(target=self._pass, args=(source, target, pair), daemon=True).start()

    def _pass(self, source, target, pair):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._free.wait()
                if self._loses_the_word and source is pair[1] and STORED.search(data):
                    self._loses_the_word = False
                    if self._then_cut:
                        self.cut()
                    self.lost.set()
                    break
                target.sendall(data)
        _end(pair)


def _end(pair):
    for one in pair:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
