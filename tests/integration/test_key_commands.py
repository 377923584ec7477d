"""`./millrace keys`: what the endpoints do, by hand, and without a token that could be lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select

from cli import main
from cli.servers.environment import environment_of
from models.api_keys import ApiKey
from models.database import transaction
from settings import Settings
from tests.integration.test_door import URL, VIEW
from tests.integration.test_keys import KEYS, bearer

Run = Callable[..., Any]


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Give a function that runs `keys` with arguments; gives its JSON, or its words."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert main.main(["keys", *arguments]) == code
        said = capsys.readouterr()
        if "--json" in arguments and code == 0:
            return json.loads(said.out)
        return said.out + said.err

    return call


def make_admin(run: Run, name: str = "ops", *scopes: str) -> dict[str, Any]:
    chosen = [part for scope in scopes or ("admin",) for part in ("--scope", scope)]
    made: dict[str, Any] = run("create", "--kind", "admin", "--name", name, *chosen, "--json")
    return made


def count_keys(engine: Engine) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).select_from(ApiKey)) or 0


def test_a_key_made_by_hand_opens_the_door(run: Run, client: FlaskClient) -> None:
    made = run(
        *("create", "--kind", "write", "--name", "shop", "--source", "web"),
        *("--origin", "https://shop.example", "--rate-limit", "600", "--json"),
    )

    assert (made["source"], made["allowed_origins"]) == ("web", ["https://shop.example"])
    assert client.post(URL, json=VIEW, headers={"X-Write-Key": made["key"]}).status_code == 201


def test_a_key_that_sdks_ship_with_is_registered_and_called_public(
    run: Run, client: FlaskClient
) -> None:
    given = ("create", "--kind", "write", "--name", "shop", "--key", "phc_0123456789", "--test")

    said = run(*given)
    again = run(*given, code=1)

    assert "phc_0123456789   as public as it was" in said
    assert "registered already" in again
    (listed,) = run("list", "--json")
    assert (listed["name"], listed["test"]) == ("shop", True)
    assert "test" in run("list")
    with_key = {"X-Write-Key": "phc_0123456789"}
    assert client.post(URL, json=VIEW, headers=with_key).status_code == 201


def test_a_token_made_by_hand_is_shown_once(run: Run, client: FlaskClient) -> None:
    said = run("create", "--kind", "admin", "--name", "ops", "--scope", "admin")

    token = said.split("\n")[1].split()[0]
    assert client.get(KEYS, headers=bearer(token)).status_code == 200
    assert token not in run("list", "--json")


def test_rotation_and_revocation_by_hand(run: Run) -> None:
    old = make_admin(run)

    new = run("rotate", old["key_id"], "--grace", "0.5", "--json")
    third = run("rotate", new["key_id"], code=1)
    run("revoke", old["key_id"])

    assert (new["name"], new["scopes"]) == ("ops", ["admin"])
    assert "two tokens called 'ops' are valid already" in third
    status = {key["key_id"]: key["status"] for key in run("list", "--all", "--json")}
    assert status == {old["key_id"]: "revoked", new["key_id"]: "valid"}
    assert [key["key_id"] for key in run("list", "--json")] == [new["key_id"]]


def test_the_list_for_people_names_keys_and_rights(run: Run) -> None:
    made = make_admin(run, "ops", "read", "admin")

    shown = run("list")

    assert made["key_id"] in shown
    assert "1 of 1 key" in shown


@pytest.mark.parametrize("verb", ["create", "rotate", "revoke"])
def test_a_dry_run_changes_nothing(run: Run, engine: Engine, verb: str) -> None:
    make_admin(run, "other")
    made = make_admin(run)
    arguments = {
        "create": ("--kind", "write", "--name", "a"),
        "rotate": (made["key_id"],),
        "revoke": (made["key_id"],),
    }

    said = run(verb, *arguments[verb], "--dry-run")

    assert "would" in said
    assert "at_" not in said
    assert count_keys(engine) == 2
    assert {key["status"] for key in run("list", "--all", "--json")} == {"valid"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "--kind", "admin", "--name", "a"), "at least one scope"),
        (("create", "--kind", "write", "--name", "a", "--scope", "read"), "has no scopes"),
        (("create", "--kind", "write", "--name", "a", "--origin", "x"), "https://shop.example"),
        (("create", "--kind", "write", "--name", "a", "--rate-limit", "0"), "rate_limit"),
        (("create", "--kind", "write", "--name", "a", "--key", "short"), "8 to 200"),
        (
            ("create", "--kind", "admin", "--name", "a", "--scope", "read", "--test"),
            "Is for write keys only",
        ),
        (("create", "--kind", "write", "--name", "a", "--expires", "2001-01-01"), "lie ahead"),
        (("revoke", "nobody"), "there is no key 'nobody'"),
        (("rotate", "nobody"), "there is no key 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    run: Run, engine: Engine, arguments: tuple[str, ...], words: str
) -> None:
    said = run(*arguments, code=2 if "2001-01-01" in arguments else 1)

    assert words in said
    assert count_keys(engine) == 0


def test_the_last_token_that_can_make_tokens_stays(run: Run) -> None:
    made = make_admin(run)

    assert "make one first" in run("revoke", made["key_id"], code=1)
