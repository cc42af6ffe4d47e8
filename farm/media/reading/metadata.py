"""Decides which metadata an output keeps: what locates or names people is removed unless it is asked for."""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

#: Words of a key whose value says where something was filmed. Some drones write ``longtitude``.
_PLACES = frozenset({
    "location", "locations", "loc", "loci", "gps", "gnss", "xyz", "iso6709", "geo", "geotag", "geolocation",
    "latitude", "longitude", "longtitude", "altitude", "lat", "lon", "lng", "coordinates", "coordinate", "city",
    "town", "country", "state", "province", "region", "county", "address", "street", "zip", "postcode", "venue",
    "place", "sublocation", "gpslatitude", "gpslongitude", "gpsaltitude", "gpscoordinates", "gpsposition",
})  # fmt: skip
#: Words of a key whose value names a person, a person's device, or an address of a person.
_PEOPLE = frozenset({
    "artist", "artists", "albumartist", "author", "authors", "composer", "writer", "lyricist", "arranger",
    "conductor", "performer", "performers", "actor", "actors", "cast", "starring", "director", "producer",
    "publisher", "owner", "ownername", "copyright", "person", "people", "photographer", "videographer", "cameraman",
    "cameraperson", "operator", "creator", "contributor", "contributors", "uploader", "user", "username", "account",
    "email", "mail", "phone", "contact", "originator", "remixer", "hostname", "host", "computer", "serial",
    "serialnumber", "imei", "udid", "uuid", "guid", "identifier", "url", "purl", "www", "encodedby", "remixedby",
    "producedby", "coproducer",
})  # fmt: skip
#: Words that are private only next to each other.
_PAIRS = frozenset({("encoded", "by"), ("edited", "by"), ("produced", "by"), ("written", "by"), ("remixed", "by")})
_ABBREVIATED = {"aut": "author", "art": "artist", "wrt": "writer", "cpy": "copyright", "prf": "performer"}

_LANGUAGE = re.compile(r"-[a-zA-Z]{3}$")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")
# every repetition is bounded: untrusted subtitles and tags are matched against these
_SECONDS = r"(?:\d{1,2}(?:\.\d{1,9})?\s{0,2}[\"\u201d\u2033]\s{0,2})?"
_DEGREES = (
    r"\d{1,3}(?:\.\d{1,15})?\s{0,2}°?\s{0,2}"
    rf"(?:\d{{1,2}}(?:\.\d{{1,9}})?\s{{0,2}}['\u2019\u2032]?\s{{0,2}}{_SECONDS})?"
)
_COORDINATES = re.compile(
    "|".join(
        (
            # ISO 6709, as phones write it: +48.2082+016.3738+180/ or, in degrees and minutes, +4812-01622/
            r"(?<![\w.])[+-]\d{1,6}\.\d{1,15}[+-]\d{1,7}\.\d",
            r"(?<![\w.])[+-]\d{2,6}[+-]\d{3,7}(?:[+-]\d{1,9}(?:\.\d{1,9})?)?(?:CRS\w{1,12})?/",
            rf"\b{_DEGREES}[NS]\b[\s,;/]{{0,8}}{_DEGREES}[EWO]\b",
            rf"\b[NS]\s{{0,2}}{_DEGREES}[\s,;/]{{0,8}}[EWO]\s{{0,2}}\d",
            r"\b\d{4}\.\d{1,9},[NS],\d{5}\.\d{1,9},[EW]\b",  # NMEA 0183, as dashcams write it
            r"\blat(?:itude)?\b\W{0,4}[+-]?\d",
            r"\b(?:(?:lon|lng|longt?itude)\b\W{0,4}|long\s{0,2}[:=]\W{0,3})[+-]?\d",
            r"\b(?:gps|geo|home)\b\s{0,3}[:=(\[]\W{0,3}[NSEW]?\s{0,2}[+-]?\d",
            # two adjacent numbers with a resolution of ten metres
            r"(?<![\w.])[+-]?\d{1,3}\.\d{4,15}\s{0,3}[,;/ ]\s{0,3}[+-]?\d{1,3}\.\d{4}",
        )
    ),
    re.IGNORECASE,
)
_LONGEST_NAME, _MOST_NAMES = 60, 30  # of a key, and of keys, in a note
#: Kept by ``strip``: needed to choose a stream, to show it, and for Matroska to hold an attachment.
_NEEDED = frozenset({"language", "filename", "mimetype", "alpha_mode", "stereo_mode"})
#: Describes the source's file and not the output's, in any container.
_OF_THE_FILE = re.compile(
    r"(?:major_brand|minor_version|compatible_brands|duration|bps|number_of_(?:frames|bytes)|_statistics_\w+)"
    r"(?:-[a-z]{3})?",
    re.IGNORECASE,
)


def kept(metadata: Mapping[str, str], policy: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The metadata of a file, stream or chapter that an output keeps, and the removed keys in order.

    ``policy``: ``keep``, ``strip-private`` or ``strip``. Neither holds what libavformat reports of the file itself
    (:func:`of_the_file`).
    """
    described = {key: value for key, value in metadata.items() if not of_the_file(key)}
    if policy == "keep":
        return described, ()
    if policy == "strip":
        removed = [key for key in described if key.lower() not in _NEEDED]
    else:
        removed = [key for key, value in described.items() if is_private(key, value)]
    return {key: value for key, value in described.items() if key not in removed}, tuple(removed)


def of_the_file(key: str) -> bool:
    """Whether a key describes the file that it is in (its brands, its packets), not its content."""
    return _OF_THE_FILE.fullmatch(key) is not None


def is_private(key: str, value: str) -> bool:
    """Whether metadata locates or names people, by the words of its key or by coordinates in its value."""
    words = [_ABBREVIATED.get(word, word) for word in _words(key)]
    if any(word in _PLACES or word in _PEOPLE for word in words):
        return True
    return any(pair in _PAIRS for pair in pairwise(words)) or has_coordinates(value)


def has_coordinates(text: str) -> bool:
    """Whether a text contains coordinates: ISO 6709, degrees with N/S and E/W, or named latitude and longitude."""
    return _COORDINATES.search(text) is not None


def names(removed: Iterable[str]) -> str:
    """Removed keys as text for the user: each once, in order, without the language that some containers add.

    A long key is shortened, and of many keys only the first ones are named.
    """
    found = list(dict.fromkeys(_LANGUAGE.sub("", key).lower() for key in removed))
    named = [key if len(key) <= _LONGEST_NAME else f"{key[:_LONGEST_NAME]}…" for key in found[:_MOST_NAMES]]
    return ", ".join(named) + (f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else "")


def _words(key: str) -> list[str]:
    """The lower-case words of a key such as ``com.apple.quicktime.location.ISO6709`` or ``GPSLatitude``."""
    return [word.lower() for word in _WORD.findall(_LANGUAGE.sub("", key))]
