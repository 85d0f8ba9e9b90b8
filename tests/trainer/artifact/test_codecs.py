from __future__ import annotations

import lzma
import subprocess
import sys
import zlib
from contextlib import suppress

import brotli
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from trainer.artifact.codecs import CODECS, CodecError, _lzma_filters, compress, decompress

NOISE = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
CODES = np.random.default_rng(0).normal(scale=30, size=20_000).astype(np.int8).tobytes()
SAMPLES = {"empty": b"", "one": b"x", "noise": NOISE, "codes": CODES, "zeros": bytes(100_000), "text": b"a word, " * 99}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_round_trip(codec: str, sample: str) -> None:
    """Each codec gives back what it got, twice the same bytes, and never adds more than a little."""
    data = SAMPLES[sample]
    compressed = compress(codec, data)
    assert decompress(codec, compressed, len(data)) == data
    assert compressed == compress(codec, data)
    assert len(compressed) <= len(data) + len(data) // 1000 + 32


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=300))
def test_round_trip_of_anything(codec: str, data: bytes) -> None:
    """Each codec gives back any bytes."""
    assert decompress(codec, compress(codec, data), len(data)) == data


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("sample", SAMPLES)
def test_wrong_length_and_trailing_data(codec: str, sample: str) -> None:
    """Less than declared, more than declared, a second stream or a byte behind the end are errors."""
    data = SAMPLES[sample]
    good = compress(codec, data)
    cases = [(good, len(data) + 1), (good + b"\0", len(data)), (good + compress(codec, b"more"), len(data))]
    if data:
        cases += [(good, len(data) - 1), (good, 0), (b"", len(data))]
    for bad, raw_bytes in cases:
        with pytest.raises(CodecError, match=codec):
            decompress(codec, bad, raw_bytes)


@pytest.mark.parametrize("codec", CODECS)
def test_truncation(codec: str) -> None:
    """A stream cut at any length is an error."""
    good = compress(codec, CODES[:600])
    for length in range(len(good)):
        with pytest.raises(CodecError, match=codec):
            decompress(codec, good[:length], 600)


@pytest.mark.parametrize("codec", CODECS)
@given(data=st.binary(max_size=200), raw_bytes=st.integers(0, 10_000))
def test_garbage(codec: str, data: bytes, raw_bytes: int) -> None:
    """Random bytes either are a stream of the declared length or raise a CodecError, nothing else."""
    with suppress(CodecError):
        assert len(decompress(codec, data, raw_bytes)) == raw_bytes


@pytest.mark.parametrize("codec", CODECS)
@given(where=st.integers(0, 400), what=st.integers(1, 255))
def test_flipped_byte(codec: str, where: int, what: int) -> None:
    """A changed byte gives other data of the declared length or a CodecError, never another exception."""
    bad = bytearray(compress(codec, CODES[:600]))
    bad[where % len(bad)] ^= what
    with suppress(CodecError):
        assert len(decompress(codec, bytes(bad), 600)) == 600


QUICK_LZMA = {"mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "depth": 1}
BOMB = """
import resource, sys
from trainer.artifact.codecs import CodecError, decompress
bomb = sys.stdin.buffer.read()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
try:
    decompress(sys.argv[1], bomb, 1000)
except CodecError:
    print(peak() - before)
"""


@pytest.mark.parametrize("codec", CODECS)
def test_bomb(codec: str) -> None:
    """A stream of 64 MiB of zeros that is declared as 1000 bytes is refused without the memory to hold it."""
    zeros = bytes(1 << 26)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = {  # at the quickest settings, which decompress alike
        "zlib": lambda: deflate.compress(zeros) + deflate.flush(),
        "zstd": lambda: zstandard.compress(zeros, 1),
        "brotli": lambda: brotli.compress(zeros, quality=1),
        "lzma": lambda: lzma.compress(zeros, lzma.FORMAT_RAW, filters=[{**_lzma_filters(1000)[0], **QUICK_LZMA}]),
    }[codec]()
    shown = subprocess.run([sys.executable, "-c", BOMB, codec], input=bomb, capture_output=True, check=True)
    assert int(shown.stdout) < 1 << 25
