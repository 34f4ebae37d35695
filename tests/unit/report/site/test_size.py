"""1,000 runs are less than three megabytes, with their figures."""

import importlib.util
from pathlib import Path

import pytest

from trivet.report.site.findings import findings
from trivet.report.site.held import hold
from trivet.report.site.pages import Pages
from trivet.report.site.site import write

_SCRIPT = Path(__file__).resolve().parents[3] / "speed" / "report.py"
_SPEC = importlib.util.spec_from_file_location("speed_of_report", _SCRIPT)
speed = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(speed)


@pytest.mark.slow
def test_a_report_of_a_thousand_runs_is_less_than_three_megabytes(tmp_path):
    ledger, outputs = speed.synthetic(tmp_path, 1000)
    held = hold(ledger, [outputs])
    write(tmp_path / "site", held, Pages(), findings(held, Pages(), rounds=20))
    assert len(held.runs) == 1000 and len(held.rows) == 3000
    assert len(list((tmp_path / "site").glob("ablation-*.html"))) == 20
    assert speed.size(tmp_path / "site") < 3_000_000
