"""The README's table is what the script makes of the newest record."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records import a_case, a_record

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benches" / "write_table.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("write_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_holds_the_newest_record():
    checked = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_table_states_conditions_and_figures(script):
    table = script.markdown(a_record(a_case()))
    assert "2026-01-02, a CPU, 2 threads, level avx2; python 3.11, numfuse 0.1.0." in table
    row = "| some case | 100 ms | 60.0 GFLOP/s, 60% of sgemm | 300 ms, **2.00×** (1.75–3.00) | – |"
    assert row in table
    assert script.markdown(a_record(a_case(), a_case())).endswith(
        "- PyTorch over numfuse, attention float32: 2.00× (geometric mean of 2 cases; "
        "least 2.00×, some case)"
    )


def test_disturbed_record_says_so(script):
    record = a_record(a_case(), disturbance="Other programs use 60%")
    assert "numfuse 0.1.0. Other programs use 60%." in script.markdown(record)


def test_newest_is_by_the_date_inside(script, tmp_path):
    a_record(a_case(), date="2026-02-02T00:00:00+00:00").write(tmp_path / "a.json")
    a_record(a_case(), date="2026-03-03T00:00:00+00:00").write(tmp_path / "b.json")
    a_record(a_case(), date="2026-01-01T00:00:00+00:00").write(tmp_path / "c.json")
    assert script.newest(tmp_path).date.startswith("2026-03-03")


def test_without_records_the_table_says_so(script, tmp_path):
    assert script.newest(tmp_path) is None
    assert script.markdown(None) == "No record yet: run `numfuse bench`."


def test_only_the_part_between_the_markers_changes(script):
    readme = f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n"
    assert script.put(readme, "new") == f"before\n{script.BEGIN}\nnew\n{script.END}\nafter\n"


def test_readme_without_markers_is_an_error(script):
    with pytest.raises(SystemExit, match="needs one line"):
        script.put("no markers", "new")
