"""The door's connections to PostgreSQL: asynchronous, one a purpose, reopened when lost."""

import asyncio

import psycopg

from core import lines

STATEMENT_SECONDS = 5

# The database refuses a row, or cannot be asked at all.
ROW_ERRORS = (psycopg.DataError, psycopg.IntegrityError)
UNREACHABLE = (psycopg.Error, OSError, TimeoutError)


class Line:
    """One connection to PostgreSQL for this event loop: opened when first used, and again after it was lost."""

    def __init__(self):
        self._lock = asyncio.Lock()
        self._connection = None

    async def fetch(self, query, params=None):
        """Run one statement in a transaction of its own and return its rows. Raises as `do` does."""

        async def work(connection):
            cursor = await connection.execute(query, params)
            return await cursor.fetchall() if cursor.description else []

        return await self.do(work)

    async def do(self, work):
        """Await `work(connection)`, one at a time, and return what it returns.

        Work on a line that turns out to be dead is done once more, so it must bear being done twice. Raises
        psycopg.Error, OSError or TimeoutError.
        """
        async with self._lock:
            running = asyncio.ensure_future(self._attempt(work))
            try:
                await asyncio.wait({running}, timeout=STATEMENT_SECONDS)
                if running.done():
                    return running.result()
                raise TimeoutError(f"PostgreSQL did not answer within {STATEMENT_SECONDS} s.")
            finally:
                if not running.done():
                    # A server that hangs may never end the statement, nor answer a request to cancel it: leave both.
                    running.cancel()
                    self._connection = None

    async def close(self):
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _attempt(self, work):
        connection = self._connection
        if connection is not None and not connection.closed:
            try:
                return await work(connection)
            except ROW_ERRORS:
                raise
            except psycopg.Error:
                if self._connection is not connection:
                    raise  # the line was closed meanwhile, and nobody would close another
                if not connection.closed:
                    await self.close()  # perhaps a primary that became read-only: meet the new one next time
                    raise
        self._connection = await self._connect()
        return await work(self._connection)

    async def _connect(self):
        # Django's cursor and type adapters are synchronous and not needed here.
        params = lines.parameters(
            "watchbill door",
            without=(*lines.NOT_PSYCOPGS, "context"),
            connect_timeout=3,
            tcp_user_timeout=STATEMENT_SECONDS * 1000,
        )
        return await psycopg.AsyncConnection.connect(**params, autocommit=True)
