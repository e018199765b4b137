"""`lmmc check` for machines: both documents say what the text says."""

import io
import json

import pytest

from lmmdsl.cli.main import run


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.lmm"
    path.write_text("block A(width {\n}\n", encoding="utf-8")
    return str(path)


def test_json_lists_the_diagnostics(broken, capsys):
    code = run(["check", "--format", "json", broken])
    report = json.loads(capsys.readouterr().out)

    assert (code, report["errors"], report["specs"]) == (1, 1, [broken])
    assert [item["code"] for item in report["diagnostics"]] == ["E0101"]


def test_sarif_lists_the_diagnostics(broken, capsys):
    code = run(["check", "--format", "sarif", broken])
    (log,) = json.loads(capsys.readouterr().out)["runs"]

    assert code == 1
    assert [result["ruleId"] for result in log["results"]] == ["E0101"]
    assert log["tool"]["driver"]["rules"][log["results"][0]["ruleIndex"]]["id"] == "E0101"


def test_standard_input_that_is_no_text_is_reported(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))

    assert run(["check", "-"]) == 1
    assert "error[E0902]: `<stdin>` is not UTF-8 text" in capsys.readouterr().err


def test_bug_exits_with_3_and_asks_for_a_report(broken, capsys, monkeypatch):
    def fail(*_, **__):
        raise KeyError("oops")

    monkeypatch.setattr("lmmdsl.cli.check.render", fail)

    assert run(["check", broken]) == 3
    assert "error[E0001]: bug in lmmc, in test_check.py" in capsys.readouterr().err


def test_bug_shows_where_only_on_demand(broken, capsys, monkeypatch):
    def fail(*_, **__):
        raise KeyError("oops")

    monkeypatch.setattr("lmmdsl.cli.check.render", fail)
    monkeypatch.setenv("LMMC_DEBUG", "1")
    run(["check", broken])

    assert "Traceback" in capsys.readouterr().err


def test_interrupt_exits_with_130(broken, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lmmdsl.cli.check.render", interrupt)

    assert run(["check", broken]) == 130
