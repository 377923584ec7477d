"""The files of the tracker: built of their sources, small, and served as browsers want them."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.browser.packages import CLIENT, ensure_packages

DIST = CLIENT / "dist"
PACKED_LIMIT = 3000
SCRIPTS = ["m.js", "m.mjs", "impressions.mjs", "react.mjs"]


def packed_size(name: str) -> int:
    return len(gzip.compress((DIST / name).read_bytes(), compresslevel=9, mtime=0))


@pytest.mark.parametrize("name", ["m.js", "m.mjs"])
def test_the_core_is_small(name: str) -> None:
    assert packed_size(name) <= PACKED_LIMIT


def test_the_documents_say_the_measured_sizes() -> None:
    for page in (CLIENT / "README.md", CLIENT.parents[1] / "docs" / "tracker.md"):
        rows = re.findall(r"^\| `([\w.]+)` \|.*\| ([\d,]+) \|$", page.read_text(), re.M)
        told = {name: int(size.replace(",", "")) for name, size in rows if name in SCRIPTS}
        # Builds of zlib differ by a few bytes.
        assert told == pytest.approx({name: packed_size(name) for name in SCRIPTS}, abs=20), page


def test_what_is_committed_is_what_the_sources_build_to(tmp_path: Path) -> None:
    ensure_packages()

    subprocess.run(["node", CLIENT / "build.mjs", tmp_path], check=True, capture_output=True)

    built = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_text() for path in DIST.iterdir()}


CONSUMER = """
import { useEffect } from "react";
import { init, type Config, type Timing, type Tracker } from "@millrace/tracker";
import { watchImpressions } from "@millrace/tracker/impressions";
import { useActivityTracker } from "@millrace/tracker/react";

const config: Config = {
  key: "wk_1",
  consent: "pending",
  beforeSend: (event) => (event.event_type === "secret" ? null : { ...event, shop: "x" }),
};
const tracker: Tracker = init(config);
const lines = [{ product_id: 7, quantity: 2, value: 19.9 }] as const;
tracker.purchase(lines, { order_id: "o1", items: lines });
tracker.view("p1", { list_id: "search" });
const film: Timing = tracker.timed("film");
film.complete({ watched: true });
const stop: () => void = watchImpressions(tracker, document.querySelectorAll("li"));
tracker.flush().then(stop);
export const Film = () => {
  const { track } = useActivityTracker();
  useEffect(() => track("seen"), [track]);
};
// @ts-expect-error: a misspelt option is one.
init({ flushAfter: 5 });
// @ts-expect-error: consent is one of three words.
init({ consent: "maybe" });
"""


@pytest.mark.parametrize("resolution", ["nodenext", "bundler"])
def test_the_types_are_right_for_those_who_use_them(tmp_path: Path, resolution: str) -> None:
    packages = ensure_packages()
    for name, place in {
        "@millrace/tracker": CLIENT,
        "react": packages / "react",
        "@types/react": packages / "@types" / "react",
        "csstype": packages / "csstype",
    }.items():
        link = tmp_path / "node_modules" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "shop.ts").write_text(CONSUMER)

    tsc = packages / "typescript" / "bin" / "tsc"
    module = "nodenext" if resolution == "nodenext" else "esnext"
    flags = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2020"]
    flags += ["--module", module, "--moduleResolution", resolution, "--types", "react"]
    done = subprocess.run(
        ["node", tsc, *flags, "shop.ts"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stdout == ""
    assert done.returncode == 0


def test_the_lock_names_no_registry() -> None:
    lock = (CLIENT / "package-lock.json").read_text()

    assert "resolved" not in lock
    assert "://" not in lock


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_served_to_pages_of_any_origin(client: FlaskClient, name: str) -> None:
    plain = client.get(f"/mr/{name}")
    packed = client.get(f"/mr/{name}", headers={"Accept-Encoding": "gzip, br"})
    again = client.get(
        f"/mr/{name}",
        headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]},
    )

    assert plain.data == (DIST / name).read_bytes() == gzip.decompress(packed.data)
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == (
        "gzip",
        "Accept-Encoding",
    )
    assert (again.status_code, again.data) == (304, b"")
    for answer in (plain, packed, again):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["Cache-Control"].startswith("public, max-age=3600")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert plain.content_type == "text/javascript; charset=utf-8"


def test_visitors_behind_one_address_all_get_the_script(
    app_with: Callable[..., FlaskClient],
) -> None:
    client = app_with(rate_limit="1/minute")

    answers = [client.get("/mr/m.js") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "RateLimit-Limit" not in answers[0].headers


def test_the_scripts_lie_below_the_prefix_that_was_set(
    app_with: Callable[..., FlaskClient],
) -> None:
    moved, without = app_with(door_prefix="/stats/x"), app_with(door_prefix="")

    assert moved.get("/stats/x/m.js").status_code == 200
    assert moved.get("/mr/m.js").status_code == 404
    assert without.get("/mr/m.js").status_code == 404
    assert moved.get("/stats/x/../settings.py").status_code == 404
