"""The spool: what it has taken is there whatever happens, and it never takes the process down."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

import fail_points
from spool import Spool, SpoolDepth, SpoolError, SpoolFullError

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", max_bytes=MIB)


def put(spool: Spool, *bodies: bytes) -> None:
    for body in bodies:
        spool.put(body, events=1, days=[])


def bodies_of(spool: Spool) -> list[bytes]:
    return [batch.body for batch in spool.scan()]


def file_of(spool: Spool) -> Path:
    return spool.folder / "batches.sqlite3"


def test_a_batch_comes_back_as_it_was(spool: Spool) -> None:
    days = (date(2026, 3, 14), date(2026, 3, 15))

    spool.put(b"\0\xff{}", events=7, days=days, counts="native 8 7 invalid=1")

    (batch,) = spool.read(count=10, max_bytes=MIB)
    assert (batch.body, batch.events, batch.days) == (b"\0\xff{}", 7, days)
    assert batch.counts == "native 8 7 invalid=1"


def test_batches_come_back_in_order_and_in_chunks(spool: Spool) -> None:
    put(spool, *(b"%d" % number for number in range(5)))

    first = spool.read(count=2, max_bytes=MIB)
    spool.remove(first)

    assert [batch.body for batch in first] == [b"0", b"1"]
    assert bodies_of(spool) == [b"2", b"3", b"4"]
    assert [batch.body for batch in spool.read(count=10, max_bytes=2)] == [b"2", b"3"]
    assert [batch.body for batch in spool.read(count=10, max_bytes=0)] == [b"2"]


def test_a_spool_that_never_held_anything_makes_no_file(spool: Spool) -> None:
    with spool.taking() as mine:
        assert mine
        assert spool.read(count=1, max_bytes=1) == []

    assert spool.read_depth() == SpoolDepth()
    assert not spool.folder.exists()


def test_another_spool_on_the_same_folder_sees_what_waits(spool: Spool) -> None:
    put(spool, b"x" * 1000, b"y")

    depth = Spool(spool.folder, max_bytes=MIB).read_depth()

    assert depth.batches == 2
    assert depth.size_bytes > 1000
    assert depth.oldest_age_s >= 0.0
    assert spool.folder.stat().st_mode & 0o077 == 0


def test_threads_that_come_together_are_all_written(spool: Spool) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: put(spool, b"%d" % number), range(200)))

    assert sorted(map(int, bodies_of(spool))) == list(range(200))


def test_processes_share_one_spool(spool: Spool) -> None:
    code = (
        "import sys; from pathlib import Path; from spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), max_bytes=1 << 20)\n"
        "for number in range(30): spool.put(sys.argv[2].encode(), events=1, days=[])\n"
    )
    command = [sys.executable, "-c", code, str(spool.folder)]
    started = [subprocess.Popen([*command, name], cwd=ROOT) for name in "abc"]

    assert [process.wait() for process in started] == [0, 0, 0]
    assert sorted(bodies_of(spool)) == [b"a"] * 30 + [b"b"] * 30 + [b"c"] * 30


def test_a_killed_process_leaves_what_it_has_put(spool: Spool, tmp_path: Path) -> None:
    points = tmp_path / "points"
    points.mkdir()
    code = (
        "import sys; from pathlib import Path; import fail_points; from spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), max_bytes=1 << 20)\n"
        "spool.put(b'accepted', events=1, days=[])\n"
        "fail_points.enable(sys.argv[2])\n"
        "spool.put(b'not answered', events=1, days=[])\n"
    )
    fail_points.arm(points, "spool.before_commit", "kill")
    command = [sys.executable, "-c", code, str(spool.folder), str(points)]

    done = subprocess.run(command, cwd=ROOT, check=False)

    assert done.returncode == -signal.SIGKILL
    assert bodies_of(spool) == [b"accepted"]
    put(spool, b"next")
    assert bodies_of(spool) == [b"accepted", b"next"]


def test_every_commit_is_synchronised_with_the_disk(spool: Spool) -> None:
    put(spool, b"first")
    writer = spool._writer._open()

    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_full_spool_refuses_until_it_is_fed(spool: Spool) -> None:
    large = b"x" * (MIB // 2)
    put(spool, large)

    with pytest.raises(SpoolFullError):
        put(spool, large)
    put(spool, b"small")
    spool.remove(spool.read(count=10, max_bytes=MIB))
    put(spool, large)

    assert bodies_of(spool) == [large]


def test_of_threads_that_come_together_only_those_that_fit_are_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=MIB)

    def try_to_put(_: int) -> bool:
        try:
            put(spool, b"x" * 100_000)
        except SpoolFullError:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        taken = sum(threads.map(try_to_put, range(30)))

    assert 8 <= taken <= 10
    assert len(bodies_of(spool)) == taken


def test_an_emptied_spool_gives_its_room_back(spool: Spool) -> None:
    put(spool, *[b"x" * 50_000] * 10)
    spool.remove(spool.read(count=100, max_bytes=MIB))

    spool.shrink()

    sizes = [path.stat().st_size for path in spool.folder.iterdir()]
    assert sum(sizes) < 100_000


def test_one_process_at_a_time_takes_batches_out(spool: Spool) -> None:
    put(spool, b"x")

    with spool.taking() as mine, Spool(spool.folder, max_bytes=MIB).taking() as others:
        assert (mine, others) == (True, False)
    with spool.taking() as mine:
        assert mine


def test_whoever_waits_for_the_right_to_take_gets_it(spool: Spool) -> None:
    put(spool, b"x")
    taken = threading.Event()

    def wait() -> None:
        with spool.taking(wait=True) as mine:
            assert mine
            taken.set()

    waiting = threading.Thread(target=wait)
    with spool.taking():
        waiting.start()
    waiting.join(10.0)

    assert taken.is_set()


def test_what_is_rewritten_stays_in_no_file(spool: Spool) -> None:
    secret = b"somebody-to-be-forgotten " * 500
    put(spool, b"before", secret, b"after")
    batch = list(spool.scan())[1]

    spool.rewrite(batch, None, taken=1)

    assert bodies_of(spool) == [b"before", b'{"events":[]}', b"after"]
    assert [b.events for b in spool.scan()] == [1, 0, 1]
    held = b"".join(path.read_bytes() for path in spool.folder.iterdir())
    assert b"somebody-to-be-forgotten" not in held


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def replace_by_text(path: Path) -> None:
    path.write_text("this is somebody's shopping list\n" * 100)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_another_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE batches (id INTEGER PRIMARY KEY)")
    connection.close()


def make_it_of_another_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    "spoil",
    [
        empty,
        cut,
        garble,
        replace_by_text,
        replace_by_directory,
        replace_by_another_database,
        make_it_of_another_version,
    ],
)
def test_a_file_that_is_no_spool_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    put(Spool(tmp_path, max_bytes=MIB), *[b"x" * 10_000] * 5)
    path = file_of(Spool(tmp_path, max_bytes=MIB))
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    spool = Spool(tmp_path, max_bytes=MIB)

    for use in (lambda: put(spool, b"y"), spool.read_depth, lambda: list(spool.scan())):
        with pytest.raises(SpoolError):
            use()

    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_that_cannot_be_made_is_an_error_of_the_spool(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SpoolError):
        put(Spool(tmp_path / "file" / "spool", max_bytes=MIB), b"x")


def test_a_file_that_was_deleted_is_made_again(spool: Spool) -> None:
    put(spool, b"lost by somebody's hand")
    for path in spool.folder.iterdir():
        path.unlink()

    put(spool, b"kept")

    assert bodies_of(Spool(spool.folder, max_bytes=MIB)) == [b"kept"]


def test_a_disk_that_is_full_refuses_and_takes_again_when_there_is_room(spool: Spool) -> None:
    put(spool, b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with pytest.raises(SpoolError):
            put(spool, b"x" * 500_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)

    put(spool, b"after")

    assert bodies_of(spool) == [b"before", b"after"]
