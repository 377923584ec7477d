"""Released SDKs, unmodified, against a running Millrace: the table of docs/sdks.md."""

from __future__ import annotations

from concurrent.futures import Future, wait
from datetime import UTC, datetime

import pytest

from models.invariants import check_invariants
from tasks.aggregate import aggregate_dirty
from tests.conformance.cells import Bench, Outcome, wait_until_stored
from tests.conformance.scenarios import BEHAVIOURS, Behaviour
from tests.conformance.sdks import SDKS, Sdk
from tests.conformance.table import is_same, write_cell

CELLS = [
    pytest.param(sdk, behaviour, id=f"{sdk.slug}-{behaviour.name}")
    for sdk in SDKS
    for behaviour in BEHAVIOURS
    if behaviour.name not in sdk.lacks
]


@pytest.mark.parametrize(("sdk", "behaviour"), CELLS)
def test_every_event_of_an_sdk_arrives_exactly_once(
    sdk: Sdk,
    behaviour: Behaviour,
    outcome: Outcome,
    documented: dict[tuple[str, str], str],
    request: pytest.FixtureRequest,
) -> None:
    assert not outcome.problems, "\n".join(outcome.problems[:10])
    if not request.config.getoption("--write", default=False):
        # ./millrace test --conformance --write brings the page up to date.
        assert is_same(documented.get((sdk.label, behaviour.title)), write_cell(outcome))


def test_the_invariants_hold_after_all_of_it(
    bench: Bench, cells: dict[tuple[Sdk, Behaviour], Future[Outcome]]
) -> None:
    wait(cells.values())
    wait_until_stored(bench.client)

    aggregate_dirty(bench.engine, zone="UTC", now=datetime.now(UTC))

    found = check_invariants(bench.engine, bench.client, zone="UTC")
    assert [invariant for invariant in found if not invariant.ok] == []
