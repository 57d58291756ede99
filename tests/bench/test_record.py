"""Records: what follows from rounds, and files that are whole or not there."""

import json

import numpy as np
import pytest

from bench.records import a_case, a_record
from numfuse._bench.record import Record, Showing, Spread


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_spread_is_median_and_quartiles(count):
    values = np.random.default_rng(count).random(count)
    assert Spread.of(values) == pytest.approx(np.quantile(values, [0.5, 0.25, 0.75]))


def test_ratio_is_the_median_of_ratios_not_the_ratio_of_medians():
    ratio = a_case().ratio("numfuse", "torch")
    assert ratio.median == pytest.approx(2.0)
    assert (ratio.low, ratio.high) == pytest.approx((1.75, 3.0))


def test_share_takes_the_yardstick_of_the_same_round():
    # 60, 30 and 60 GFLOP/s beside 100, 50 and 200.
    assert a_case().share("numfuse").median == pytest.approx(0.6)


def test_who_did_not_take_part_has_no_figures():
    case = a_case()
    assert case.seconds("openvino") is None
    assert case.ratio("numfuse", "openvino") is None
    assert case.ratio("numfuse", "nobody") is None
    assert a_case(yardstick=None, yardstick_rates=[]).share("numfuse") is None
    assert a_case(work=None).share("numfuse") is None


def test_written_record_is_read_back(tmp_path):
    record = a_record(a_case())
    path = tmp_path / "bench.json"
    record.write(path)
    assert Record.read(path) == record
    assert [child.name for child in tmp_path.iterdir()] == ["bench.json"]


def test_record_is_strict_json(tmp_path):
    a_record(a_case(showings={"numfuse": Showing(wrong=True)})).write(tmp_path / "bench.json")

    def refuse(constant):
        raise AssertionError(constant)

    json.loads((tmp_path / "bench.json").read_text(), parse_constant=refuse)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 0}', '{"format": 1, "odd": 2}'])
def test_another_file_is_refused_by_name(tmp_path, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bench\.json is not a record.*choose another --output"):
        Record.read(path)


def test_conditions_differ_with_threads_and_versions():
    assert a_record().conditions() == a_record(date="2027").conditions()
    assert a_record().conditions() != a_record(threads=1).conditions()
    assert a_record().conditions() != a_record(versions={"numfuse": "0.2.0"}).conditions()


def test_tables_hold_those_who_took_part():
    shown = a_case().showings
    few = a_case(name="few", showings={"numfuse": shown["numfuse"], "torch": shown["torch"]})
    other = a_case(name="other", showings={"numfuse": shown["numfuse"], "numba": Showing()})
    titles = {"numfuse": "numfuse", "torch": "PyTorch", "openvino": "OpenVINO", "numba": "numba"}
    tables = a_record(a_case(), other, few, contestants=titles).tables()
    assert [[case.name for case in table.cases] for table in tables] == [
        ["some-case", "few"],
        ["other"],
    ]
    assert [list(table.contestants) for table in tables] == [
        ["numfuse", "torch", "openvino"],
        ["numfuse", "numba"],
    ]
    assert a_record().tables() == []
