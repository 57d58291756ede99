"""The method: right before fast, exclusive turns, ratios of rounds."""

import os
import time

import pytest

from numfuse._bench import cases, child, contestant
from numfuse._bench.contest import Crew, Method, compete, crew
from numfuse._bench.process import ChildError, ChildRefusalError


def test_wrong_engine_is_not_timed(contest):
    record = contest("exact", "wrong")
    exact, wrong = record.showings["exact"], record.showings["wrong"]
    assert len(exact.seconds) == 3
    assert exact.error < 1e-6
    assert exact.problem is None
    assert wrong.seconds == []
    assert wrong.wrong
    assert wrong.problem.startswith("wrong answer: error")


def test_one_nan_is_a_wrong_answer(contest):
    showing = contest("nan").showings["nan"]
    assert showing.wrong
    assert showing.seconds == []
    assert showing.error is None


def test_engine_that_dies_leaves_the_others_their_rounds(contest):
    record = contest("dying", "exact")
    assert record.showings["dying"].seconds == []
    assert "code 3: out of luck" in record.showings["dying"].problem
    assert len(record.showings["exact"].seconds) == 3


def test_refusal_says_why_and_is_no_wrong_answer(contest):
    showing = contest("refusing").showings["refusing"]
    assert showing.problem == "it is Sunday"
    assert not showing.wrong


def test_ratio_tells_how_many_times_as_long_the_other_takes(contest):
    record = contest("quick", "slow", rounds=5)
    ratio = record.ratio("quick", "slow")
    assert 1.5 < ratio.median < 4.5
    assert ratio.low <= ratio.median <= ratio.high
    assert record.ratio("slow", "quick").median < 1


def test_children_are_gone_when_the_crew_is(contestant):
    with crew(1) as children:
        running = children.child(contestant("exact"))
        assert running.ask("hello") == {"versions": {"exact": "1"}, "rested": True}
    assert not running.alive


def test_dead_child_is_replaced(contestant):
    with crew(1) as children:
        first = children.child(contestant("exact"))
        first._process.kill()
        first._process.wait()
        with pytest.raises(ChildError, match="ended with code"):
            first.ask("hello")
        assert children.child(contestant("exact")).ask("hello")["versions"] == {"exact": "1"}


def test_refusal_and_failure_are_told_apart(contestant, tmp_path):
    with crew(1) as children:
        refusing = children.child(contestant("refusing"))
        with pytest.raises(ChildRefusalError, match="Sunday"):
            refusing.ask("prepare", case="layer_norm-1824x384", folder=str(tmp_path))
        with pytest.raises(ChildError, match=r"StopIteration"):
            refusing.ask("prepare", case="unheard of", folder=str(tmp_path))
        assert refusing.alive


def test_children_use_the_threads_they_are_told(contestant):
    with crew(3) as children:
        running = children.child(contestant("exact"))
        assert running.alive
        environment = f"/proc/{running._process.pid}/environ"
        if not os.path.exists(environment):
            pytest.skip("this system does not show a process's environment")
        running.ask("hello")
        with open(environment) as file:
            variables = file.read().split("\0")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMFUSE_NUM_THREADS"):
        assert f"{name}=3" in variables


def test_measure_counts_only_the_calls():
    took = contestant.measure(lambda: time.sleep(0.005), 0.05)
    assert 0.005 <= took < 0.02


def test_short_calls_are_timed_many_at_once():
    calls = []
    contestant.measure(lambda: calls.append(None), 0.02)
    assert len(calls) > 1000


def test_long_call_is_not_warmed_up():
    calls = []
    contestant.measure(lambda: calls.append(time.sleep(0.02)), 0.01, warm_up=False)
    assert len(calls) == 1


def test_process_that_works_is_not_at_rest(monkeypatch):
    # A clock that shows one full second of work for every look at it.
    clock = iter(range(10**6))
    monkeypatch.setattr(child.time, "process_time", lambda: float(next(clock)))
    monkeypatch.setattr(child, "REST_LIMIT", 0.1)
    assert not child.rest()


def test_idle_process_is_at_rest():
    assert child.rest()


def test_inputs_are_the_same_at_every_call():
    case = cases.named("attention-2x8x1024x64-causal-every-option")
    first, second = case.inputs(), case.inputs()
    assert first.keys() == {"query", "key", "value", *case.arrays}
    for name, array in first.items():
        assert (array == second[name]).all()


def test_first_call_is_that_of_a_new_process(contestant, monkeypatch):
    class Cold(type(cases.named("layer_norm-1824x384"))):
        first_call = True

    case = Cold(**vars(cases.named("layer_norm-1824x384")))
    asked = []
    child_of = Crew.child

    def watched(self, one):
        child = child_of(self, one)
        if one.name == "exact":
            asked.append(child)
        return child

    monkeypatch.setattr(Crew, "child", watched)
    with crew(1) as children:
        record = compete(case, [contestant("exact")], children, Method(3, 0.03, 1))
    assert len(record.showings["exact"].seconds) == 3
    # One that answered, and one for each round.
    assert len({id(child) for child in asked}) == 4
