"""A record to look at, with round figures."""

from numfuse._bench.record import CaseRecord, Record, Showing


def a_case(**changes):
    settings = {
        "name": "some-case",
        "title": "some case",
        "family": "attention",
        "kind": "attention",
        "dtype": "float32",
        "work": 6e9,
        "unit": "FLOP",
        "yardstick": "sgemm",
        "yardstick_rates": [100e9, 50e9, 200e9],
        "showings": {
            "numfuse": Showing(seconds=[0.1, 0.2, 0.1], error=1e-7),
            "torch": Showing(seconds=[0.2, 0.3, 0.4], error=2e-7),
            "openvino": Showing(problem="no grouped heads"),
        },
    }
    return CaseRecord(**(settings | changes))


def a_record(*case_records, **changes):
    settings = {
        "date": "2026-01-02T03:04:05+00:00",
        "machine": {"cpu": "a CPU", "cpus": "2", "system": "Linux x86_64"},
        "versions": {"python": "3.11", "numfuse": "0.1.0"},
        "level": "avx2",
        "threads": 2,
        "rounds": 3,
        "turn_seconds": 0.3,
        "quick": False,
        "contestants": {"numfuse": "numfuse", "torch": "PyTorch", "openvino": "OpenVINO"},
        "cases": list(case_records),
    }
    return Record(**(settings | changes))
