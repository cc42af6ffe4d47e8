"""The inputs of an order that reads all chunks: a list in the store, which the order names.

In the order itself they would make a message of several megabytes of 10,000 chunks, which Redis and the outbox hold
more than once ("claim check", Hohpe and Woolf, Enterprise Integration Patterns, 2003).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from farm.domain.artefacts import artefact_folder
from farm.domain.stages import work_named
from farm.messages import Artefact, Order
from farm.storage.base import Storage, opened

_LIST: TypeAdapter[tuple[Artefact, ...]] = TypeAdapter(tuple[Artefact, ...])


def order_inputs(
    store: Storage, stage: str, fingerprint: str, inputs: Sequence[Mapping[str, Any]]
) -> dict[str, object]:
    """The fields of an order that name its inputs, given as the JSON values of artefacts.

    Writes their list to the store where the stage reads all chunks; it is deleted with what the stage wrote. Raises
    StorageError.
    """
    if work_named(stage).per_chunk:
        return {"inputs": inputs}
    with store.put(f"{artefact_folder(stage, fingerprint)}/inputs.json") as draft:
        draft.path.write_text(json.dumps(inputs, separators=(",", ":")))
    return {"listed": draft.key}


def with_inputs(order: Order, store: Storage) -> Order:
    """The order with the inputs that its list names, if it has one. Raises StorageError, DamagedArtefact."""
    if not order.listed:
        return order
    with opened(store, order.listed) as path:
        return order.model_copy(update={"inputs": _LIST.validate_json(path.read_bytes())})
