"""Which metadata goes with a video and which stays behind."""

import time

import pytest

from farm.media.composing.trim import Chapter, ffmetadata
from farm.media.reading.metadata import has_coordinates, is_private, kept, names

PHONE = {
    "major_brand": "qt  ", "minor_version": "0", "compatible_brands": "qt  ",
    "creation_time": "2024-01-24T14:50:14.000000Z", "date": "2012-05-09T14:46:38-0400", "encoder": "Lavf60",
    "make": "Apple", "model": "iPhone 4S", "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.creationdate": "2012-05-09T14:46:38-0400", "com.android.version": "13",
    "title": "Our summer", "language": "eng", "handler_name": "Core Media Video", "vendor_id": "[0][0][0][0]",
    "comment": "F/2.8, SS 200, ISO 100, EV 0",
}  # fmt: skip
PLACES = {
    "location": "+40.7388-074.0002+035.880/", "location-eng": "+40.7388-074.0002+035.880/",
    "com.apple.quicktime.location.ISO6709": "+40.7388-074.0002+035.880/", "GPSLatitude": "48", "©xyz": "a",
    "com.apple.quicktime.location.accuracy.horizontal": "4.7", "CITY": "Vienna", "recording_location": "at home",
}  # fmt: skip
PEOPLE = {
    "artist": "Joe", "album_artist": "Joe", "ARTIST": "Joe", "author-eng": "Joe", "com.apple.quicktime.author": "Joe",
    "composer": "Joe", "performer": "Joe", "director": "Joe", "Owner": "Joe", "copyright": "(c) Joe",
    "com.apple.quicktime.camera.owner": "Joe", "serial_number": "42", "cameraSerialNumber": "42", "encoded_by": "Joe",
    "com.apple.quicktime.content.identifier": "A-B-C", "purl": "https://example.org/@joe", "device_owner": "Joe",
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [*PLACES.items(), *PEOPLE.items()])
def test_what_places_or_names_people_is_private(key: str, value: str) -> None:
    assert is_private(key, value)


@pytest.mark.parametrize(("key", "value"), PHONE.items())
def test_what_a_device_is_and_when_it_recorded_is_not(key: str, value: str) -> None:
    assert not is_private(key, value)


@pytest.mark.parametrize(
    "text",
    [
        "+48.2082+016.3738/", "at +48.2082+016.3738+180.5/ today", "+4812-01622/", "48.208176, 16.373819",
        "-33.8568;151.2153", "48.2082° N, 16.3738° E", "48°12'30.5\"N 16°22'25\"E", "N 48.2082 E 16.3738",
        "N 48° 12.492 E 016° 22.428", "48\u00b012\u203230\u2033N 16\u00b022\u203225\u2033E", "latitude: 48.2",
        "lat=48.2082 lon=16.3738", "[latitude: 48.2] [longtitude : 16.3]", "GPS(16.3738,48.2082,19)", "geo:48.2,16.3",
        "F/2.8, SS 206.43, ISO 110, EV 0, GPS (16.3738, 48.2082, 19), D 20.97m", "HOME(116.1,23.2)",
        "https://maps.example/@48.2082,16.3738,15z", "Long: -16.37",
        "$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W",
    ],
)  # fmt: skip
def test_coordinates_are_found(text: str) -> None:
    assert has_coordinates(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "2012-05-09T14:46:38-0400", "F/2.8, 1.3333, 5", "a flat 3 too long 5", "17.8.2023, 12:30", "1+1=2", "5-3",
        "GPS was off", "take me home 3 times", "Lavf60.16.100", "2024-01-24T14:50:14.000000Z", "H.264 / 4.0, 30.00 fps",
        "+43 1 234 567", "00:00:02.023000000", "1920x1080, 29.97", "[0][0][0][0]", "N64 vs E3", "long 5",
    ],
)  # fmt: skip
def test_other_numbers_are_not_coordinates(text: str) -> None:
    assert not has_coordinates(text)


def test_the_default_leaves_out_places_and_people_and_says_which() -> None:
    remains, removed = kept({**PHONE, **PLACES, **PEOPLE}, "strip-private")
    described = {k: v for k, v in PHONE.items() if k not in ("major_brand", "minor_version", "compatible_brands")}
    assert remains == described
    assert set(removed) == {*PLACES, *PEOPLE}
    assert names(("location-eng", "location", "ARTIST", "artist")) == "location, artist"


def test_keep_keeps_all_but_what_is_of_the_file() -> None:
    remains, removed = kept({**PLACES, "DURATION": "00:00:01", "BPS-eng": "5", "duration_ms": "1"}, "keep")
    assert remains == {**PLACES, "duration_ms": "1"}
    assert removed == ()


def test_strip_leaves_languages_and_what_an_attachment_needs() -> None:
    remains, removed = kept({"language": "fra", "LANGUAGE": "fra", "filename": "a.ttf", "title": "x"}, "strip")
    assert remains == {"language": "fra", "LANGUAGE": "fra", "filename": "a.ttf"}
    assert removed == ("title",)


def test_chapters_are_written_so_that_ffmpeg_reads_them() -> None:
    text = ffmetadata([Chapter(0, 1, (("title", "a=b;c#d\\e\nf"),))])  # type: ignore[arg-type]  # whole seconds
    assert text.splitlines()[:4] == [";FFMETADATA1", "[CHAPTER]", "TIMEBASE=1/1000000000", "START=0"]
    assert "title=a\\=b\\;c\\#d\\\\e\\\nf\n" in text


@pytest.mark.parametrize("text", ["1" + " " * 200_000, "1." + "1" * 200_000, "N 1" * 70_000, "+1.1" * 50_000])
def test_a_long_text_takes_no_longer_for_being_strange(text: str) -> None:
    begun = time.process_time()
    has_coordinates(text)
    assert time.process_time() - begun < 2
