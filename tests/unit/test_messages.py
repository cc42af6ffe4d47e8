"""Messages are JSON, the same on both sides, and nothing is taken that is not known."""

import dataclasses
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from farm.domain.options import JobOptions
from farm.messages import (
    TASKS,
    Artefact,
    Completed,
    Failed,
    GivenBack,
    Goodbye,
    Hello,
    Message,
    Order,
    Outcome,
    Progress,
    Refused,
    Started,
    load_outcome,
    stop_key,
)

TEXT = st.text(max_size=20)
WHOLE = st.integers(0, 2**53)
ARTEFACTS = st.builds(Artefact, key=TEXT, size=WHOLE, sha256=TEXT, frames=WHOLE)
KINDS = (Hello, Goodbye, Started, Progress, Completed, Failed, GivenBack, Refused)
OUTCOMES = st.one_of(
    st.builds(Hello, worker=TEXT, incarnation=TEXT, host=TEXT, device=TEXT, pid=WHOLE),
    st.builds(Goodbye, worker=TEXT, incarnation=TEXT),
    st.builds(Started, token=TEXT, worker=TEXT),
    st.builds(Progress, token=TEXT, worker=TEXT, frames=WHOLE),
    st.builds(
        Completed, token=TEXT, worker=TEXT, artefact=ARTEFACTS, reused=st.booleans(),
        spent=st.dictionaries(TEXT, st.floats(0, 1e9), max_size=3), notes=st.lists(TEXT, max_size=3).map(tuple),
    ),
    st.builds(
        Failed, token=TEXT, worker=TEXT, cause=st.sampled_from(["task", "infrastructure"]), reason=TEXT,
        permanent=st.booleans(),
    ),
    st.builds(GivenBack, token=TEXT, worker=TEXT, reason=TEXT),
    st.builds(Refused, queue=TEXT, reason=TEXT, token=TEXT, count=WHOLE),
)  # fmt: skip
ORDERS = st.builds(
    Order, job=TEXT, stage=st.sampled_from(TASKS), chunk=st.integers(0, 99), chunks=st.integers(1, 100), attempt=WHOLE,
    token=TEXT, fingerprint=TEXT, plan=TEXT, source=TEXT, inputs=st.lists(ARTEFACTS, max_size=3).map(tuple),
    options=st.just(dataclasses.asdict(JobOptions())), container=TEXT,
)  # fmt: skip


def over_the_wire(message: Message) -> Any:
    return json.loads(json.dumps(message.model_dump(mode="json")))


STARTED = {"kind": "started", "token": "t", "worker": "w"}


@given(OUTCOMES)
def test_an_outcome_arrives_as_it_was_sent(outcome: Message) -> None:
    assert load_outcome(over_the_wire(outcome)) == outcome


@given(ORDERS)
def test_an_order_arrives_as_it_was_sent(order: Order) -> None:
    assert Order.model_validate(over_the_wire(order)) == order


def test_every_kind_of_outcome_is_tried_here() -> None:
    assert set(get_args(get_args(Outcome)[0])) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_alone_decides_what_an_outcome_is(kind: type[Message]) -> None:
    name = kind.model_fields["kind"].default
    with pytest.raises(ValidationError) as caught:
        load_outcome({"kind": name})
    assert {error["loc"][0] for error in caught.value.errors()} == {name}


@pytest.mark.parametrize("kind", [*KINDS, Artefact, Order])
def test_unknown_fields_are_refused(kind: type[Message]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"unknown": 1})
    assert ("unknown",) in [error["loc"] for error in caught.value.errors() if error["type"] == "extra_forbidden"]


@pytest.mark.parametrize(
    "body",
    [
        None, 7, "started", [], {}, [STARTED], {"kind": "nonsense"}, {**STARTED, "kind": None}, {**STARTED, "more": 1},
        {**STARTED, "token": None}, {**STARTED, "kind": "progress", "frames": "many"},
        {**STARTED, "kind": "failed", "reason": "r", "cause": "the weather"},
        {**STARTED, "kind": "completed", "artefact": {"key": "a", "size": 1, "sha256": "0", "frames": 1, "more": 1}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_outcome_is_refused(body: object) -> None:
    with pytest.raises(ValidationError):
        load_outcome(body)


def test_messages_do_not_change() -> None:
    message = Started(token="t", worker="w")
    with pytest.raises(ValidationError):
        message.token = "other"  # type: ignore[misc]  # that is the point


def test_an_order_of_an_unknown_stage_is_refused() -> None:
    good = {
        "job": "j", "stage": "detect", "chunk": 0, "chunks": 1, "attempt": 1, "token": "t", "fingerprint": "f",
        "plan": "p", "source": "s", "model_sha256": "1", "options": {},
    }  # fmt: skip
    Order.model_validate(good)
    with pytest.raises(ValidationError):
        Order.model_validate({**good, "stage": "link"})


@given(ORDERS)
def test_people_count_chunks_from_one(order: Order) -> None:
    assert order.readable() == {
        "job": order.job, "stage": order.stage, "chunk": f"{order.chunk + 1}/{order.chunks}"
    }  # fmt: skip


def test_a_stop_key_names_the_attempt_and_the_worker() -> None:
    keys = {stop_key(token, worker) for token in ("a", "b") for worker in ("w0", "w1")}
    assert len(keys) == 4
    assert all(key.startswith("blurfarm:stop:") for key in keys)
