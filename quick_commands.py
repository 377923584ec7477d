"""Run single commands of Redis without what redis-py does around each of them.

Its pool and its metrics take longer than a command itself, and the door runs one for each request.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from hiredis import pack_command


class QuickCommands:
    """Run commands on connections of a client's pool, which are kept while they work.

    A kept connection is not looked at before it is used: one that the server has closed meanwhile
    fails, and the command is tried again as the client was told.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._kept: list[Any] = []

    def execute_command(self, *words: Any) -> Any:
        """Run a command as the client does; the answer is as Redis gave it. Raises RedisError."""
        packed = [pack_command(words)]
        connection = self._take()

        def run() -> Any:
            connection.send_packed_command(packed, check_health=False)
            return connection.read_response()

        try:
            answer = connection.retry.call_with_retry(run, lambda _: connection.disconnect())
        except BaseException:
            # The answer may still come, and would be read as that of the next command.
            connection.disconnect()
            self._client.connection_pool.release(connection)
            raise
        if connection.should_reconnect():
            # The server is about to move: the next command finds where to.
            connection.disconnect()
        self._kept.append(connection)
        return answer

    def _take(self) -> Any:
        try:
            connection = self._kept.pop()
        except IndexError:
            return self._client.connection_pool.get_connection()
        # After a fork a connection is still the parent's.
        return connection if connection.pid == os.getpid() else self._take()
