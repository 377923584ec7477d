"""Run the checks and print what they found."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import click
from rich.console import Console
from rich.markup import escape

from cli.doctor import machine, services, spool
from cli.doctor.finding import ERROR, OK, WARNING, Finding, Patient
from cli.servers import ServerError, connect
from cli.servers.directory import holder
from cli.stack import ROOT
from settings import Settings, read_settings, resolve_data_dir

COLOURS = {OK: "green", WARNING: "yellow", ERROR: "red"}

Check = Callable[[Patient], Finding | Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    machine.check_python,
    machine.check_packages,
    machine.check_account,
    machine.check_data_dir,
    machine.check_disk,
    machine.check_ports,
    machine.check_clock,
    services.check_database,
    services.check_broker,
    spool.check_spool,
    services.check_workers,
)


def examine(settings: Settings) -> list[Finding]:
    """Run all checks. Servers that hold data are started for it; none is made."""
    data_dir = resolve_data_dir(settings, root=ROOT).resolve()
    patient = Patient(settings, data_dir, running=holder(data_dir), reachable=False)
    given = settings.database_url and settings.redis_url
    if not (given or patient.running or os.path.exists(data_dir / "postgres" / "PG_VERSION")):
        return _run_checks(patient)
    try:
        with connect(settings) as filled:
            return _run_checks(replace(patient, settings=filled, reachable=True))
    except ServerError as error:
        return [*_run_checks(patient), Finding("servers", ERROR, str(error))]


def _run_checks(patient: Patient) -> list[Finding]:
    findings = []
    for check in CHECKS:
        result = check(patient)
        findings += [result] if isinstance(result, Finding) else list(result)
    return findings


@click.command(epilog="Example: ./millrace doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Look for what is wrong and say what to do. Exit code 1 if something must be done."""
    findings = examine(read_settings())
    ok = all(finding.status != ERROR for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}))
        return 0 if ok else 1
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        mark = f"[{COLOURS[finding.status]}]{finding.status:<8}[/]"
        console.print(f"{mark} {finding.id:<12} {escape(finding.found)}")
        if finding.remedy:
            console.print(f"{'':<22}[bold]{escape(finding.remedy)}[/]")
    return 0 if ok else 1
