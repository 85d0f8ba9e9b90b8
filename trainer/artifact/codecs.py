"""Compressors (zlib, zstd, brotli, lzma); decompression is bounded in memory."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable

import brotli
import zstandard

# What a damaged stream makes each library raise.
LIBRARY_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, brotli.error)

BROTLI_STEP_BYTES = 1 << 20

# No compressor: for data that none of them makes smaller.
RAW = "none"


class CodecError(ValueError):
    """Compressed bytes are damaged, or hold less or more than was declared."""


def compress(codec: str, data: bytes) -> bytes:
    """`data` by the codec at its smallest setting, the same for the same library versions. Empty data stays empty."""
    return _BY_NAME[codec][0](data) if data else b""


def decompress(codec: str, data: bytes, raw_bytes: int) -> bytes:
    """Inverse of `compress`, for data known to hold `raw_bytes`.

    Raises:
        CodecError: if `data` is damaged, holds less or more than `raw_bytes`, or goes on behind its end.
    """
    assert raw_bytes >= 0
    try:
        # Some libraries treat an empty frame apart and then ignore the bytes after it.
        raw, finished = _BY_NAME[codec][1](data, raw_bytes) if raw_bytes else (b"", not data)
    except LIBRARY_ERRORS as error:
        raise CodecError(f"{codec} data is damaged: {str(error) or 'no reason given'}") from error
    if len(raw) != raw_bytes or not finished:
        raise CodecError(f"{codec} data must hold exactly {raw_bytes} bytes and end there, but it does not")
    return raw


def huffman_bytes(data: bytes) -> int:
    """Bytes of `data` by Huffman coding alone: its entropy, at a hundredth of a codec's time."""
    return len(_deflate_by(zlib.Z_HUFFMAN_ONLY, data))


def _deflate(data: bytes) -> bytes:
    """Raw deflate by the best strategy: noise-like codes do better without matches, zeros and text with them."""
    strategies = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY)
    return min((_deflate_by(strategy, data) for strategy in strategies), key=len)


def _deflate_by(strategy: int, data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return compressor.compress(data) + compressor.flush()


def _inflate(data: bytes, raw_bytes: int) -> tuple[bytes, bool]:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    raw = decompressor.decompress(data, raw_bytes + 1)
    return raw, decompressor.eof and not decompressor.unused_data


def _zstd(data: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        22, source_size=len(data), enable_ldm=True, write_content_size=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def _unzstd(data: bytes, raw_bytes: int) -> tuple[bytes, bool]:
    # The library allocates what the frame declares, so the declaration is compared before it is believed.
    if zstandard.get_frame_parameters(data).content_size != raw_bytes:
        return b"", False
    raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=raw_bytes, allow_extra_data=False)
    return raw, True


def _brotli(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=11, lgwin=24))


def _unbrotli(data: bytes, raw_bytes: int) -> tuple[bytes, bool]:
    decompressor, parts, total = brotli.Decompressor(), [], 0
    rest = data
    while not decompressor.is_finished() and total <= raw_bytes:
        part = decompressor.process(rest, output_buffer_limit=min(BROTLI_STEP_BYTES, raw_bytes + 1 - total))
        if not part and not rest and not decompressor.is_finished():
            break
        parts.append(part)
        total += len(part)
        rest = b""
    return b"".join(parts), decompressor.is_finished()


def _lzma_filters(raw_bytes: int) -> list[dict[str, int]]:
    """LZMA2 without a container: both sides know the length, so the dictionary's size needs no header.

    Literal and position contexts are off: the bytes are noise around zero, for which contexts only dilute the counts.
    """
    dictionary_bytes = min(max(4096, 1 << (raw_bytes - 1).bit_length()), 1 << 26)
    preset = 9 | lzma.PRESET_EXTREME
    return [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary_bytes, "lc": 0, "lp": 0, "pb": 0}]


def _lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=_lzma_filters(len(data)))


def _unlzma(data: bytes, raw_bytes: int) -> tuple[bytes, bool]:
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_lzma_filters(raw_bytes))
    raw = decompressor.decompress(data, max_length=raw_bytes + 1)
    return raw, decompressor.eof and not decompressor.unused_data


Compress = Callable[[bytes], bytes]
Decompress = Callable[[bytes, int], tuple[bytes, bool]]  # (data, raw bytes) -> at most one byte more, whether it ended

CODECS: dict[str, tuple[Compress, Decompress]] = {
    "zlib": (_deflate, _inflate),
    "zstd": (_zstd, _unzstd),
    "brotli": (_brotli, _unbrotli),
    "lzma": (_lzma, _unlzma),
}
_BY_NAME = {**CODECS, RAW: (bytes, lambda data, raw_bytes: (data, True))}
