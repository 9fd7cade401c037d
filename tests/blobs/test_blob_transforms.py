"""Encrypted and compressed blobs: ranges are cheap, and a changed byte is never served."""

import os
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.blobs.engine import BlobCorrupt, new_blob_id
from shared.blobs.files import BytesFile
from shared.blobs.memory import MemoryEngine
from shared.blobs.transforms import CHUNK_BYTES, Recipe, TransformedFile, TransformWriter

RECIPES = [("zstd", None), (None, "aes-256-gcm"), ("zstd", "aes-256-gcm")]
CHUNK = 128
recipes = pytest.mark.parametrize(("codec", "algorithm"), RECIPES)


def sealed(data: bytes, codec: str | None, algorithm: str | None, chunk: int = CHUNK, writes: int | None = None):
    """The stored bytes, the blob's id, its recipe."""
    engine = MemoryEngine()
    staged = engine.stage()
    writer = TransformWriter(staged, codec=codec, algorithm=algorithm, chunk=chunk)
    for at in range(0, len(data), writes or len(data) or 1):
        writer.write(data[at : at + (writes or len(data))])
    writer.finish()
    assert writer.size == len(data)
    blob = staged.commit()
    return engine.open(blob).read(), blob, writer.recipe


def opened(stored: bytes, blob: bytes, recipe: Recipe) -> bytes:
    return TransformedFile(BytesFile(stored), blob, recipe).read()


def mixed(size: int) -> bytes:
    """Chunks that compress and chunks that do not."""
    noise = random.Random(size).randbytes(size)
    return b"".join(noise[at : at + CHUNK] if at // CHUNK % 2 else b"a" * min(CHUNK, size - at) for at in range(0, size, CHUNK))


@recipes
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 5 * CHUNK + 7, 1000 * CHUNK])
def test_round_trip(codec, algorithm, size):
    data = mixed(size)
    for writes in (None, 1000, 77):
        assert opened(*sealed(data, codec, algorithm, writes=writes)) == data


@recipes
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_range_equals_the_slice(codec, algorithm, data):
    content = mixed(data.draw(st.integers(0, 1500)))
    stored, blob, recipe = sealed(content, codec, algorithm, data.draw(st.sampled_from([1, 7, 128, 4096])))
    first = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, len(content) - first))
    file = TransformedFile(BytesFile(stored), blob, recipe, first, length)
    assert file.length == length and file.read() == content[first : first + length]


@recipes
def test_default_chunks(codec, algorithm):
    content = os.urandom(CHUNK_BYTES) + b"text " * 100_000
    assert opened(*sealed(content, codec, algorithm, CHUNK_BYTES)) == content


def test_compression_pays_and_noise_is_kept_as_it_is():
    stored, *_ = sealed(b"a" * 1_000_000, "zstd", "aes-256-gcm", CHUNK_BYTES)
    assert len(stored) < 2_000
    stored, *_ = sealed(os.urandom(1_000_000), "zstd", None, CHUNK_BYTES)
    assert len(stored) < 1_000_500


def test_a_range_reads_its_chunks_and_the_end_of_the_blob_only():
    stored, blob, recipe = sealed(mixed(10_000 * CHUNK), "zstd", "aes-256-gcm")
    reads = []

    class Watched(BytesFile):
        def pread(self, at: int, size: int) -> bytes:
            reads.append(size)
            return super().pread(at, size)

    file = TransformedFile(Watched(stored), blob, recipe, 5_000 * CHUNK + 5, CHUNK)
    assert file.read() == mixed(10_000 * CHUNK)[5_000 * CHUNK + 5 :][:CHUNK]
    assert len(reads) == 4 and sum(reads) < 48 + 4096 + 2 * (CHUNK + 17)


@recipes
def test_every_flipped_byte_is_refused(codec, algorithm):
    data = mixed(7 * CHUNK + 30)
    stored, blob, recipe = sealed(data, codec, algorithm)
    for at in range(len(stored)):
        for flip in (0x01, 0x80, 0xFF):
            altered = bytearray(stored)
            altered[at] ^= flip
            with pytest.raises(BlobCorrupt):
                opened(bytes(altered), blob, recipe)


@recipes
def test_every_truncation_and_every_addition_is_refused(codec, algorithm):
    stored, blob, recipe = sealed(mixed(4 * CHUNK + 3), codec, algorithm)
    for size in range(len(stored)):
        with pytest.raises(BlobCorrupt):
            opened(stored[:size], blob, recipe)
        with pytest.raises(BlobCorrupt):
            opened(stored[size:] if size else stored + b"\x00", blob, recipe)
    with pytest.raises(BlobCorrupt):
        opened(b"\x00" + stored, blob, recipe)


def test_chunks_that_changed_places_are_refused():
    data = os.urandom(6 * CHUNK)
    step = CHUNK + 16
    stored, blob, recipe = sealed(data, None, "aes-256-gcm")
    parts = [stored[at : at + step] for at in range(0, 6 * step, step)]
    footer = stored[6 * step :]
    for order in ([1, 0, 2, 3, 4, 5], [0, 1, 2, 3, 5, 4], [0, 0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4]):
        with pytest.raises(BlobCorrupt):
            opened(b"".join(parts[n] for n in order) + footer, blob, recipe)


@pytest.mark.parametrize("algorithm", [None, "aes-256-gcm"])
def test_compressed_chunks_that_changed_places_are_refused_with_a_table_that_fits(algorithm):
    """Noise of equal size: the table stays true, only the chunk number gives it away."""
    stored, blob, recipe = sealed(os.urandom(4 * CHUNK), "zstd", algorithm)
    step = CHUNK + 1 + (16 if algorithm else 4)
    swapped = stored[step : 2 * step] + stored[:step] + stored[2 * step :]
    assert opened(stored, blob, recipe)
    with pytest.raises(BlobCorrupt):
        opened(swapped, blob, recipe)


@recipes
def test_dropping_the_last_chunk_with_a_footer_made_to_fit_is_refused(codec, algorithm):
    """Even one who can make a valid footer can't make an inner chunk the last: two blobs with one key, cut together."""
    engine = MemoryEngine()
    whole, short = engine.stage(), engine.stage()
    short.id = whole.id
    writers = [TransformWriter(staged, codec=codec, algorithm=algorithm, chunk=CHUNK) for staged in (whole, short)]
    writers[1]._seal, writers[1].recipe = writers[0]._seal, writers[0].recipe
    data = random.Random(1).randbytes(3 * CHUNK)
    for writer, size in zip(writers, (3 * CHUNK, 2 * CHUNK), strict=True):
        writer.write(data[:size])
        writer.finish()
    stored_whole, stored_short = (b"".join(bytes(block) for block in staged.blocks()) for staged in (whole, short))
    step = CHUNK + (1 if codec else 0) + (16 if algorithm else 4)
    assert opened(stored_short, whole.id, writers[0].recipe) == data[: 2 * CHUNK]
    with pytest.raises(BlobCorrupt):
        opened(stored_whole[: 2 * step] + stored_short[2 * step :], whole.id, writers[0].recipe)


@recipes
def test_wrong_blob_wrong_key_wrong_recipe(codec, algorithm):
    stored, blob, recipe = sealed(mixed(1000), codec, algorithm)
    assert opened(stored, blob, recipe) == mixed(1000)
    wrong = [recipe._replace(chunk=64), recipe._replace(codec=None if codec else "zstd"), recipe._replace(chunk=0)]
    wrong += [recipe._replace(algorithm=None if algorithm else "aes-256-gcm", key=os.urandom(32))]
    if algorithm:
        wrong += [recipe._replace(key=os.urandom(32)), recipe._replace(key=None), recipe._replace(key=b"")]
    for other in wrong:
        with pytest.raises(BlobCorrupt):
            opened(stored, blob, other)
    with pytest.raises(BlobCorrupt):
        opened(stored, new_blob_id(), recipe)


def test_a_footer_that_claims_no_encryption_is_refused():
    """Who can write to the disk, and knows the format, can't make the server take unsealed bytes."""
    stored, blob, recipe = sealed(b"forged", "zstd", None)
    with pytest.raises(BlobCorrupt):
        opened(stored, blob, recipe._replace(algorithm="aes-256-gcm", key=os.urandom(32)))


def test_a_chunk_never_inflates_beyond_its_size():
    """A frame of 100 MB under a valid checksum costs one chunk of memory, then an error."""
    import tracemalloc

    from shared.blobs import transforms

    blob = new_blob_id()
    seal = transforms._Seal(blob, None, None)
    chunk = seal.close(1, 0, transforms._PLACE.pack(0, True), b"\x01" + transforms.zstd.compress(bytes(100_000_000)))
    fields = transforms._FIELDS.pack(CHUNK_BYTES, len(chunk), CHUNK_BYTES, 1, 0, 0)
    stored = chunk + len(chunk).to_bytes(8, "big") + fields + seal.close(2, 0, fields, b"").ljust(16, b"\x00") + b"MaxBlob1"
    assert len(chunk) < CHUNK_BYTES  # small enough to pass for a chunk
    tracemalloc.start()
    with pytest.raises(BlobCorrupt):
        opened(stored, blob, Recipe("zstd", None, CHUNK_BYTES))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_two_blobs_never_share_a_key_and_equal_chunks_never_look_equal():
    data = b"a" * (4 * CHUNK)
    one, two = sealed(data, None, "aes-256-gcm"), sealed(data, None, "aes-256-gcm")
    assert one[2].key != two[2].key
    step = CHUNK + 16
    chunks = {stored[at : at + CHUNK] for stored, *_ in (one, two) for at in range(0, 4 * step, step)}
    assert len(chunks) == 8


def test_the_format_on_disk_does_not_drift():
    """Blobs written by an old version must stay readable: a fixed blob, sealed by hand from the module's description."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    blob, key = bytes(range(16)), bytes(range(32))
    cipher = AESGCM(key)
    number = lambda kind, n: kind.to_bytes(4, "big") + n.to_bytes(8, "big")  # noqa: E731
    chunks = cipher.encrypt(number(1, 0), b"abcd", blob + (0).to_bytes(8, "big") + b"\x00")
    chunks += cipher.encrypt(number(1, 1), b"ef", blob + (1).to_bytes(8, "big") + b"\x01")
    fields = (6).to_bytes(8, "big") + len(chunks).to_bytes(8, "big") + (4).to_bytes(4, "big") + b"\x00\x01\x00\x00"
    stored = chunks + fields + cipher.encrypt(number(2, 0), b"", blob + fields) + b"MaxBlob1"
    assert opened(stored, blob, Recipe(None, "aes-256-gcm", 4, key)) == b"abcdef"

    body = b"\x00xyz"
    covered = blob + (0).to_bytes(8, "big") + b"\x01"
    chunk = body + zlib.crc32(covered + body).to_bytes(4, "big")
    fields = (3).to_bytes(8, "big") + (8).to_bytes(8, "big") + (4).to_bytes(4, "big") + b"\x01\x00\x00\x00"
    tag = zlib.crc32(blob + fields).to_bytes(4, "big") + bytes(12)
    assert opened(chunk + (8).to_bytes(8, "big") + fields + tag + b"MaxBlob1", blob, Recipe("zstd", None, 4)) == b"xyz"


def test_keys_stay_out_of_logs():
    assert "KKK" not in repr(Recipe(None, "aes-256-gcm", 64, b"K" * 32))
