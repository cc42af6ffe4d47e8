"""The weights that a job needs: fetched, and named by one digest."""

import hashlib
from collections.abc import Callable

from farm.domain.artefacts import fingerprint
from farm.domain.detectors import DetectOptions
from farm.domain.quality import resolved
from farm.domain.recognisers import DEFAULT, PeopleOptions, named_recogniser
from farm.errors import ModelError

#: Sees that the weights of a name are on this machine. Raises ModelError.
Fetch = Callable[[str], object]


def model_digest(detector: DetectOptions, fetch: Fetch, *, testing: bool = False) -> str:
    """The SHA-256 of a detector's weights, which are fetched if necessary; of several, that of their digests in order.

    For a network without weights a digest of its name counts. Raises ModelError, also outside tests for the tests' own
    network.
    """
    digests = []
    for network in (one.network for one in resolved(detector).networks):
        if network.hidden and not testing:
            raise ModelError(f"the {network.name} finds no faces: it is there for tests", hint="leave --detector out")
        if network.weights is None:
            digests.append(fingerprint(network.name))
        else:
            fetch(network.weights.name)
            digests.append(network.weights.sha256)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def fetch_recogniser(options: PeopleOptions, fetch: Fetch) -> None:
    """Fetch the weights of a recogniser, if it has any that the farm knows. Raises ModelError."""
    named = options.named or named_recogniser(DEFAULT)
    if named.recogniser.weights is not None:
        fetch(named.recogniser.weights.name)
