"""README.md quotes only what its commands print."""

import re
from pathlib import Path

import pytest

from lagrangenet import Problem
from lagrangenet.cli import main
from lagrangenet.verify.check import Check

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
#: A command in backquotes, then, possibly after more text, the fenced block with its output.
QUOTED = re.compile(r"`lagrangenet ((?:derive|generate)[^`]*)`[^`]*```\w+\n(.*?)\n```", re.DOTALL)


def printed(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("command", "quoted"), QUOTED.findall(README))
def test_quoted_output_is_what_the_command_prints(command, quoted, capsys):
    assert quoted in printed(command.split(), capsys)


def test_there_are_quotations():
    assert len(QUOTED.findall(README)) == 3


def test_the_quoted_certificate_lists_every_check():
    table = README[README.index("digits: 64") : README.index("![Every figure")]
    rows = [line for line in table.splitlines() if line.startswith("│ ✓ │")]
    assert [row.split("│")[2].strip() for row in rows] == [kind.name for kind in Check.registered]


@pytest.mark.parametrize("name", ["verify", "test"])
def test_set_up_commands_are_marked_once(name):
    assert README.count(f"<!-- command: {name} -->") == 1


def test_the_graph_file_is_the_graph_of_the_example():
    text = re.search(r"```toml\n(.*?)\n```", README, re.DOTALL)[1]
    graph = Problem.from_toml(text)
    assert graph.parameters == ("w", "c", "V_x3")
    assert Problem.from_toml(graph.to_toml()) == graph
