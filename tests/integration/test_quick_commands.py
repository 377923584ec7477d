"""Commands on kept connections: tried again when the server has closed one, never mixed up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import redis

import inbox
from quick_commands import QuickCommands
from settings import Settings


@pytest.fixture
def client(settings: Settings, redis_client: redis.Redis) -> redis.Redis:
    """Give a client whose connections are its own."""
    return inbox.connect(settings.redis_url, timeout_s=0.2)


def test_commands_that_follow_each_other_share_a_connection(client: redis.Redis) -> None:
    commands = QuickCommands(client)

    ids = {commands.execute_command("CLIENT", "ID") for _ in range(3)}

    assert len(ids) == 1
    client.close()


def test_a_command_is_tried_again_when_the_server_has_closed_the_connection(
    client: redis.Redis, redis_client: redis.Redis
) -> None:
    commands = QuickCommands(client)
    first = commands.execute_command("CLIENT", "ID")
    redis_client.client_kill_filter(_id=str(first))

    assert commands.execute_command("INCR", "counter") == 1
    assert commands.execute_command("CLIENT", "ID") != first
    client.close()


def test_a_connection_whose_server_moves_is_made_anew_once(client: redis.Redis) -> None:
    commands = QuickCommands(client)
    first = commands.execute_command("CLIENT", "ID")
    commands._kept[0].mark_for_reconnect()
    ids = [commands.execute_command("CLIENT", "ID") for _ in range(3)]

    assert ids[0] == first
    assert ids[1] == ids[2] != first
    client.close()


def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_command(
    client: redis.Redis,
) -> None:
    commands = QuickCommands(client)
    with pytest.raises(redis.TimeoutError):
        commands.execute_command("BLPOP", "nothing", "0.4")

    assert commands.execute_command("ECHO", "mine") == b"mine"
    client.close()


def test_a_refusal_of_the_server_is_an_error_and_hurts_no_later_command(
    client: redis.Redis,
) -> None:
    commands = QuickCommands(client)
    commands.execute_command("SET", "text", "a")
    with pytest.raises(redis.ResponseError):
        commands.execute_command("INCR", "text")

    assert commands.execute_command("GET", "text") == b"a"
    client.close()


_FORKING = """
import os, sys
from inbox import connect
from quick_commands import QuickCommands
commands = QuickCommands(connect(sys.argv[1]))
parents = commands.execute_command("CLIENT", "ID")
child = os.fork()
ours = commands.execute_command("CLIENT", "ID")
if child:
    os.waitpid(child, 0)
    assert ours == parents
else:
    assert ours != parents
    print("the child has its own", flush=True)
    os._exit(0)
"""


def test_a_child_process_opens_connections_of_its_own(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FORKING, settings.redis_url],
        check=True,
        capture_output=True,
        cwd=Path(inbox.__file__).parent,
        text=True,
    )

    assert done.stdout == "the child has its own\n"
