"""The command that repeats the table of recommenders, on data of one's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bench.recommend import ask
from bench.tasks import build_task
from cli.bench_recommend import recommend
from datasets.interest import read_shop

METRICS = {
    "ndcg@10", "recall@10", "hit_rate@10", "hit_rate@20", "mrr", "mrr@20", "coverage@10",
    "novelty@10", "gini@10", "popularity_share@10",
}  # fmt: skip
MAPPING = """
name = "habits"
[events]
files = ["log.csv"]
[events.columns]
user_id = "Käufer"
product_id = "Artikel"
session_id = "Besuch"
[events.type]
constant = "purchase"
[events.time]
kind = "iso"
column = "Tag"
format = "%d.%m.%Y %H:%M"
"""
TASKS = {
    "chosen": "",
    "window": 'protocol = "window"\ncut = 2024-02-01\nvalidation = "2024-01-20"',
    "repeats": 'protocol = "window"\ndays = 10\nrepeats = true\ngoal = "bought"',
    "last out": 'protocol = "last_out"',
    "random": 'protocol = "random"',
    "visits": 'protocol = "visits"\ncut = 2024-02-01\nquestions = 20',
    "similar": 'protocol = "similar"\ncut = 2024-02-01',
    "cold": 'protocol = "cold"\ncut = 2024-02-01',
    "given": 'protocol = "given"\nfiles = ["test.csv"]\nprefix = "p"\ntarget = "t"',
}


@pytest.fixture
def shop(tmp_path):
    """Forty people, each with a taste for ten of thirty products, in visits of two."""
    random = np.random.default_rng(5)
    lines = ["Käufer,Artikel,Besuch,Tag"]
    for person in range(40):
        for visit in range(12):
            day = f"{1 + visit * 5 % 28:02d}.{1 + visit * 5 // 28:02d}.2024"
            for step in range(2):
                product = 10 * (person % 3) + int(random.integers(10))
                lines.append(f"k{person},ä{product},{person}-{visit},{day} 09:0{step}")
    (tmp_path / "log.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "test.csv").write_text("p,t\nä1 ä2,ä3\nä11,ä12\nä3,never\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def bench(shop):
    def run(*arguments, tasks=()):
        tables = [f'[[recommend]]\ntask = "{name}"\n{TASKS[name]}\n' for name in tasks]
        mapping = shop / "some.toml"
        mapping.write_text(MAPPING + "".join(tables), encoding="utf-8")
        return CliRunner().invoke(
            recommend, ["--data", str(shop), "--mapping", str(mapping), *arguments]
        )

    return run


def test_every_figure_of_every_model_is_told(bench):
    result = bench("--json", tasks=["window", "given"])

    answer = json.loads(result.stdout)
    assert answer["data"] == "habits"
    for task in answer["tasks"]:
        assert task["served"] in task["models"]
        assert set(task["difference"]) == set(task["models"]) - {task["served"]}
        assert all(set(figures) == METRICS for figures in task["models"].values())
        assert all(0 <= figures["ndcg@10"] <= 1 for figures in task["models"].values())
        assert all(low <= mean <= high for mean, low, high in task["difference"].values())
        (limit,) = task["limits"]
        assert limit["ok"] == (limit["value"] >= limit["at_least"])
    window, given = answer["tasks"]
    assert (window["task"], given["task"]) == ("window", "given")
    assert window["test_from"] == "2024-02-01T00:00:00Z"
    assert window["tuned_from"] == "2024-01-20T00:00:00Z"
    assert (window["people"], window["products"]) == (40, 30)
    assert (given["people"], given["test_from"]) == (2, None)
    assert given["unknown_share"] == pytest.approx(1 / 3, abs=1e-6)


def test_one_task_is_one_object(bench):
    answer = json.loads(bench("--json", "--task", "last out", tasks=TASKS).stdout)

    assert answer["task"] == "last out"
    assert answer["interactions"] > 900


def test_people_read_a_table(bench):
    result = bench(tasks=["last out"])

    assert result.exit_code == 0
    assert "last out: everything is learned from but the last product" in result.stdout
    assert "popularity" in result.stdout


@pytest.mark.parametrize("budget", ["nan", "inf", "0.5", "soon"])
def test_a_budget_that_is_no_time_is_refused(bench, budget):
    result = bench("--budget", budget, tasks=["last out"])

    assert result.exit_code == 2
    assert "Invalid value for '--budget'" in result.output


def test_every_kind_of_task_finds_its_questions(bench, shop):
    bench("--task", "none", tasks=TASKS)
    files = read_shop(shop, shop / "some.toml")

    asked = {rule.task: ask(*build_task(files, rule), rule, seed=0) for rule in files.tasks}

    assert list(asked) == list(TASKS)
    assert all(len(split.people) > 0 for split in asked.values())
    assert len(asked["visits"].people) == 20
    assert asked["chosen"].protocol.startswith("later products of people known before")


@pytest.mark.parametrize("cut", ["cut = 2024-01-10", "days = 40", "cut = 2024-01-25"])
def test_an_early_cut_leaves_something_to_fit_what_is_tuned(bench, shop, monkeypatch, cut):
    monkeypatch.setitem(TASKS, "early", f'protocol = "window"\nrepeats = true\n{cut}')
    bench("--task", "none", tasks=["early"])
    files = read_shop(shop, shop / "some.toml")
    known, protocol = build_task(files, files.tasks[0])

    tuning = protocol.validation().split(protocol.split(known).train)

    assert len(tuning.train) > 0
    assert bench(tasks=["early"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "table", "message"),
    [
        (["--task", "other"], "", "--task 'other' is none of: a"),
        ([], 'protocol = "window"\ncut = 2030-01-01', "task 'a': cut 2030-01-01T00:00:00Z lies"),
        (
            [],
            'protocol = "window"\ncut = 2024-02-01\nvalidation = 2023-12-01',
            "task 'a': validation 2023-12-01T00:00:00Z lies",
        ),
        (
            [],
            'protocol = "window"\ncut = 2024-01-02\nend = 2024-01-03',
            "task 'a': there is nobody to ask",
        ),
        ([], 'protocol = "given"\nfiles = ["no.csv"]\nprefix = "p"\ntarget = "t"', "no.csv"),
        ([], 'protocol = "given"\nfiles = ["log.csv"]\nprefix = "p"\ntarget = "t"', "column 'p'"),
        ([], "weights = { purchase = 0 }", "no interaction is left"),
        ([], 'drop = [{ column = "Preis", below = 1 }]', "log.csv has no column 'Preis'"),
    ],
)
def test_what_cannot_be_run_is_said(bench, monkeypatch, arguments, table, message):
    monkeypatch.setitem(TASKS, "a", table)

    result = bench("--json", *arguments, tasks=["a"])

    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output
