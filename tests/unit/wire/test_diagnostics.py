"""Diagnostics for machines: JSON and SARIF."""

import json

import pytest

from lmmdsl.diag.codes.names import UnknownMember
from lmmdsl.diag.codes.project import FileMissing
from lmmdsl.diag.registry import registry
from lmmdsl.diag.sink import Sink
from lmmdsl.wire.diagnostics import Report
from lmmdsl.wire.sarif import sarif
from tests.unit.diag.sources import LIBRARY, SPEC, at


@pytest.fixture
def found():
    sink = Sink(lambda file: file is LIBRARY)
    sink.add(FileMissing(path="gone.lmm"))
    sink.add(UnknownMember(at=at(SPEC, "widht"), owner="llm", name="widht", candidates=("width",)))
    with sink.tracing(at(SPEC, "proj"), "while instantiating `proj` here"):
        sink.add(UnknownMember(at=at(LIBRARY, "linear"), owner="a", name="b"))
    return sink.diagnostics


def test_json_has_version_counts_and_places(found):
    report = json.loads(Report.of(("specs/demo.lmm",), found).text())
    assert (report["version"], report["errors"], report["warnings"]) == (1, 3, 0)
    assert report["specs"] == ["specs/demo.lmm"]
    assert report["diagnostics"][0]["location"] is None
    location = report["diagnostics"][2]["location"]
    assert location["file"] == "specs/demo.lmm"
    assert location["start"]["line"] == 4
    assert location["end"]["column"] - location["start"]["column"] == len("widht")


def test_json_fix_can_be_applied(found):
    fix = json.loads(Report.of((), found).text())["diagnostics"][2]["fixes"][0]
    edit = fix["edits"][0]
    start, end = (edit["location"][side]["offset"] for side in ("start", "end"))
    text = SPEC.text[:start] + edit["text"] + SPEC.text[end:]
    assert "out = llm.width)" in text
    assert fix["applicability"] == "likely"


def test_json_round_trips(found):
    report = Report.of((), found)
    assert Report.model_validate_json(report.text()) == report


def test_sarif_lists_every_rule_and_points_at_it(found):
    run = sarif(found)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(registry())
    assert run["columnKind"] == "unicodeCodePoints"
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])


def test_sarif_lifted_mistake_relates_to_the_library_line(found):
    result = sarif(found)["runs"][0]["results"][1]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "specs/demo.lmm"
    related = [r["physicalLocation"]["artifactLocation"]["uri"] for r in result["relatedLocations"]]
    assert related == ["std/lib.lmm"]
