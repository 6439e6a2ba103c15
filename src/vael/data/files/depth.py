"""How many bits a channel of an image file has: the decoder cuts more than 8 off in silence where the image is in
colour.
"""

from __future__ import annotations

import re

from PIL import Image

HEAD = 2**16  # bytes of a file in which its depth stands
BITS = 8  # that a channel may have
LARGEST = 2**BITS - 1


def channel_bits(image: Image.Image, head: bytes) -> int:
    """Bits of the deepest channel of an image that is not decoded yet, from its tiles and the first bytes of its
    file.
    """
    found = [BITS]
    for tile in getattr(image, "tile", ()):
        found += [int(bits) for bits in re.findall(r";(\d+)", str(tile[3]))]
        if tile[0].startswith("ppm"):
            found.append(_ppm_largest(tile).bit_length())
    if image.format == "JPEG2000":
        found += _jpeg2000_bits(head)
    if image.format == "AVIF":
        found += _avif_bits(head)
    return max(found)


def rescaled_from(image: Image.Image) -> int | None:
    """The largest value of a PNM file where it is below 255, which the decoder stretches to 255; None where nothing
    is stretched.
    """
    largest = [_ppm_largest(tile) for tile in getattr(image, "tile", ()) if tile[0].startswith("ppm")]
    return largest[0] if largest and 1 < largest[0] < LARGEST else None


def _ppm_largest(tile: tuple) -> int:
    """Of a tile whose arguments are the mode and the largest value."""
    arguments = tile[3]
    return int(arguments[1]) if isinstance(arguments, tuple) and len(arguments) > 1 else LARGEST


def _jpeg2000_bits(head: bytes) -> list[int]:
    """From the marker SIZ: 36 bytes in, the number of components, then of each its depth less 1 and two more bytes
    (ISO/IEC 15444-1).
    """
    start = head.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(head) < start + 42:
        return []
    components = int.from_bytes(head[start + 40 : start + 42], "big")
    return [(depth & 0x7F) + 1 for depth in head[start + 42 : start + 42 + 3 * components : 3]]


def _avif_bits(head: bytes) -> list[int]:
    """From the property `pixi`: version and flags, the number of channels, then the bits of each (ISO/IEC 23008-12)."""
    start = head.find(b"pixi")
    if start < 0:
        return []
    return list(head[start + 9 : start + 9 + head[start + 8]])
