"""Images: base64, three formats, how many and how large."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from neuronetz_twisted.dialects.images import (
    MAX_IMAGES,
    MAX_PIXELS,
    check_images,
    images,
    of_data_url,
    pixels_of,
)
from neuronetz_twisted.errors import InvalidRequest
from tests.unit.dialects.pictures import (
    extended_webp,
    in_base64,
    jpeg,
    lossless_webp,
    png,
    webp,
)

PNG = in_base64(png())


class PixelsTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        """The size is read from the head of each format, in all its forms."""
        for name, image, pixels in (
            ("png", png(7, 5), 35),
            ("large png", png(30_000, 20_000), 600_000_000),
            ("jpeg", jpeg(640, 480), 307_200),
            ("progressive jpeg", jpeg(3, 2, frame=0xC2), 6),
            ("lossless jpeg", jpeg(3, 2, frame=0xCF), 6),
            ("jpeg with fill bytes", jpeg(3, 2, fill=b"\xff\xff"), 6),
            ("webp", webp(16_383, 2), 32_766),
            ("lossless webp", lossless_webp(16_384, 3), 49_152),
            ("extended webp", extended_webp((9, 9), (4, 4)), 81),
            ("webp whose picture is larger than its canvas", extended_webp((1, 1), (9, 9)), 81),
        ):
            with self.subTest(name):
                self.assertEqual(pixels_of(image), pixels)

    def test_no_image(self) -> None:
        """Whatever else it is, also the beginning of an image, is refused."""
        for name, data in (
            ("nothing", b""),
            ("text", b"hello"),
            ("gif", b"GIF89a\1\0\1\0\x80\0\0"),
            ("bmp", b"BM" + bytes(60)),
            ("wav", b"RIFF\x24\0\0\0WAVEfmt "),
            ("mp3", b"ID3\4\0\0"),
            ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            ("png without a head", b"\x89PNG\r\n\x1a\n"),
            ("png that begins with another chunk", png().replace(b"IHDR", b"CgBI")),
            ("png without width", png(0, 5)),
            ("cut jpeg", jpeg()[:30]),
            ("jpeg without a frame", b"\xff\xd8\xff\xe0\0\2\xff\xd9\0\0"),
            ("jpeg that goes to its data at once", b"\xff\xd8\xff\xda\0\2" + bytes(20)),
            ("jpeg with a table in the place of its frame", jpeg(frame=0xC4)),
            ("jpeg without height", jpeg(5, 0)),
            ("jpeg with a segment of no length", b"\xff\xd8\xff\xe0\0\0" + bytes(20)),
            ("jpeg with bytes between segments", b"\xff\xd8\xff\xe0\0\3ab" + jpeg()[2:]),
            ("jpeg of segments only", b"\xff\xd8" + b"\xff\xe0\0\2" * 300),
            ("jpeg of fill bytes only", b"\xff\xd8" + b"\xff" * 1000),
            ("webp without chunks", webp()[:12]),
            ("webp of other chunks only", webp()[:12] + b"XMP \0\0\0\0" * 300),
            ("cut webp", webp()[:22]),
            ("webp without width", webp(0, 5)),
        ):
            with self.subTest(name):
                with self.assertRaises(InvalidRequest) as caught:
                    pixels_of(data)
                self.assertEqual(caught.exception.param, "images")

    @settings(deadline=None)
    @given(st.sampled_from([png(9, 9), jpeg(9, 9), extended_webp((9, 9), (9, 9))]), st.data())
    def test_damaged(self, image: bytes, data: st.DataObject) -> None:
        """A damaged image has a size or is none; nothing else happens."""
        at = data.draw(st.integers(0, len(image)))
        try:
            pixels = pixels_of(image[:at] + data.draw(st.binary(max_size=8)) + image[at + 4 :])
        except InvalidRequest:
            return
        self.assertGreater(pixels, 0)


class CheckImagesTests(SynchronousTestCase):
    def test_counted(self) -> None:
        """All are looked at, and counted; line feeds between are nothing."""
        self.assertEqual(check_images([]), 0)
        wrapped = f"{PNG[:20]}\r\n{PNG[20:]}\n"
        self.assertEqual(check_images([PNG, in_base64(jpeg()), wrapped]), 3)
        self.assertEqual(check_images([PNG] * MAX_IMAGES), MAX_IMAGES)

    def test_refused(self) -> None:
        """Too many, too large together, or in no base64 that Go would read."""
        half = in_base64(png(MAX_PIXELS // 2, 1))
        self.assertEqual(check_images([half, half]), 2)
        for name, encoded in (
            ("too many", [PNG] * (MAX_IMAGES + 1)),
            ("too large", [in_base64(png(MAX_PIXELS, 2))]),
            ("too large together", [half, half, PNG]),
            ("no image", ["aGVsbG8="]),
            ("empty", [""]),
            ("one of them no image", [PNG, "aGVsbG8="]),
            ("without padding", [PNG.rstrip("=")]),
            ("something behind", [PNG + "AAAA"]),
            ("with a space", [PNG[:8] + " " + PNG[8:]]),
            ("letters of the URL alphabet", [PNG.replace("/", "_").replace("+", "-") + "-_=="]),
            ("not ASCII", ["é" + PNG]),
            ("a data URL", ["data:image/png;base64," + PNG]),
            ("an address", ["https://example.com/a.png"]),
        ):
            with self.subTest(name):
                with self.assertRaises(InvalidRequest) as caught:
                    check_images(encoded, "image_url")
                self.assertEqual(caught.exception.param, "image_url")

    def test_field(self) -> None:
        """A message's `images` is a list of strings."""
        self.assertEqual(images([], "images"), [])
        self.assertEqual(images([PNG], "images"), [PNG])
        values: tuple[Any, ...] = (PNG, [1], [[PNG]], [None], {}, 0)
        for value in values:
            with self.subTest(value=value), self.assertRaises(InvalidRequest):
                images(value, "images")


class DataUrlTests(SynchronousTestCase):
    def test_read(self) -> None:
        """The base64 behind the comma, whatever type it says: the data themselves tell."""
        for head in (
            "data:image/png;base64",
            "data:image/jpeg;base64",
            "DATA:image/PNG;BASE64",
            "data:;base64",
            "data:image/webp;charset=utf-8;base64",
        ):
            with self.subTest(head=head):
                self.assertEqual(of_data_url(f"{head},{PNG}", "image_url"), PNG)

    def test_refused(self) -> None:
        """Nothing is fetched, and only base64 is read."""
        for url, word in (
            ("https://example.com/a.png", "not fetched"),
            ("HTTP://169.254.169.254/latest;base64,aGk=", "not fetched"),
            ("file:///etc/passwd", "data:"),
            ("data:image/png,abc", "base64"),
            ("data:image/png;base64", "base64"),
            (PNG, "data:"),
            ("", "data:"),
        ):
            with self.subTest(url=url):
                with self.assertRaises(InvalidRequest) as caught:
                    of_data_url(url, "image_url")
                self.assertIn(word, caught.exception.message)
                self.assertEqual(caught.exception.param, "image_url")
