"""Exit codes and errors of the command line, in one process: arguments in, text and code out."""

import errno
import json
import sys

import pytest

from neocog import cli


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "--recipe", "quikstart"], 2, "Did you mean 'quickstart'"),
        (["train", "--set", "learnig_rate=1"], 2, "Did you mean 'learning_rate'"),
        (["train", "--set", "epochs"], 2, "--set expects FIELD=VALUE"),
        (["train", "--epochs", "x"], 2, "neocog train --help"),
        (["train", "minst"], 2, "Did you mean 'mnist'"),
        (["train", "--model", "lenet6"], 2, "Did you mean"),
        (["train", "--resume", "none", "--epochs", "3"], 2, "no other option can change it"),
        (["train", "--resume", "none"], 2, "There is no run 'none'"),
        (["predict", "latest"], 2, "No image is given"),
        (["predict", "a.png"], 2, "There is no run in"),
        (["evaluate"], 2, "There is no run in"),
        (["evaluate", "x.safetensors"], 1, "no model file"),
        (["nonsense"], 2, "No such command"),
        (["train", "--nonsense"], 2, "No such option"),
        (["train", "--device", "gpu"], 2, "no device 'gpu'"),
    ],
)
def test_a_wrong_call_is_answered_in_two_lines_and_with_the_right_code(
    neocog, arguments, code, message
):
    found, out, err = neocog(*arguments)
    assert found == code
    assert message in err
    assert out == ""
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 2
    found, out, err = neocog(*arguments, "--json")
    assert found == code
    error = json.loads(out)["error"]
    assert message in f"{error['message']} {error['hint']}"


def test_alone_it_shows_the_help(neocog):
    code, out, err = neocog()
    assert (code, err) == (0, "")
    assert "Commands" in out


def test_debug_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["neocog", "evaluate", "x.safetensors", "--debug"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert "Traceback" in capsys.readouterr().err


class OutOfMemoryError(RuntimeError):  # as torch calls its own
    pass


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (MemoryError(), "There is not enough memory."),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "There is not enough memory."),
        (MemoryError("Unable to allocate 9.31 GiB for an array with shape (9,)"), "9.31 GiB more"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 34359738368 bytes. Error code 12"
            ),
            "34.4 GB more were needed",
        ),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
            "0.0 MB more",
        ),
        (
            OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"),
            "2.00 GiB more",
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "not enough memory."),
    ],
)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_full_memory_is_said_in_one_line(neocog, monkeypatch, error, needed, more):
    def full(_name):
        raise error

    monkeypatch.setattr("neocog.recipes.get", full)
    code, out, err = neocog("recipes", "lenet5", *more)
    assert code == 1
    message = json.loads(out)["error"]["message"] if more else err.splitlines()[0]
    assert needed in message
    assert "Error" not in message.removeprefix("Error: ")
    assert more or len(err.splitlines()) == 2


def test_another_runtime_error_is_no_lack_of_memory(neocog, monkeypatch):
    def fail(_name):
        raise RuntimeError("shapes do not fit\nError: fake")

    monkeypatch.setattr("neocog.recipes.get", fail)
    _, _, err = neocog("recipes", "lenet5")
    assert err.startswith("Error: RuntimeError: shapes do not fit\n  Error: fake\n")


@pytest.mark.parametrize(
    "arguments",
    [("predict", "latest", "x.png", "--top", 30_000_000), ("reproduce", "--seeds", 10**9)],
)
def test_a_number_beyond_all_measure_is_refused(neocog, arguments):
    code, _, err = neocog(*arguments)
    assert code == 2
    assert arguments[-2] in err
    assert len(err.splitlines()) == 2
