"""Names for results: equal inputs give equal names, so a finished chunk is found again whoever made it."""

import hashlib
import json

#: Raised whenever a change of the code changes what a stage writes for the same inputs.
FORMAT_VERSION = 3


def fingerprint(*parts: object) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the parts' canonical JSON and the format version."""
    text = json.dumps([FORMAT_VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
