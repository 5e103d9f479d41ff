"""One line a step, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from sampler_lab.labkit.console import Console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_one_line_a_step():
    log = io.StringIO()
    with Console(log).step("Python packages") as step:
        for number in range(1000):
            step.update(f"{number} found")
        step.result = "installed"
    assert log.getvalue() == "• Python packages … installed\n"


def test_a_terminal_sees_the_step_before_its_end():
    terminal = Terminal()
    with Console(terminal).step("Python packages") as step:
        assert terminal.getvalue().endswith("• Python packages …")
        step.result = "installed"
    assert terminal.getvalue().endswith("\r\x1b[K• Python packages … installed\n")
    assert terminal.getvalue().count("\n") == 1


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_step_that_fails_says_so_and_lets_the_error_through(stream):
    said = stream()
    step = Console(said).step("Python packages")
    with pytest.raises(KeyError), step:
        {}["nothing"]
    assert said.getvalue().endswith("• Python packages … not finished\n")


def test_a_console_without_the_letters_goes_on():
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding="ascii"))
    console.line("• \u2016A(x) \u2212 y\u2016²")
    assert raw.getvalue() == b"? ?A(x) ? y??\n"
