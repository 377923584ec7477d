from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.artefact import describe, pack, unpack
from ml.layout import SCHEMA, ArtefactError, decode_ids, encode_ids

MANIFEST = {"format_version": 1}


def make_arrays():
    id_bytes, offsets = encode_ids(["a", "β", "鞄"])
    index = np.array([[1, 2], [0, -1], [-1, -1]], np.int32)
    return {
        "product_id_bytes": id_bytes,
        "product_id_offsets": offsets,
        "popularity": np.array([3, 2, 1], np.float32),
        "behaviour_index": index,
        "behaviour_score": np.ones((3, 2), np.float32),
        "behaviour_people": np.full((3, 2), 4, np.int32),
        "content_index": index[:, :1].copy(),
        "content_score": np.ones((3, 1), np.float32),
        "content_shares_words": np.ones((3, 1), np.bool_),
        "attributes": np.full((3, 15), -1, np.int32),
    }


def npy(array, *, allow_pickle=False):
    body = io.BytesIO()
    np.lib.format.write_array(body, array, allow_pickle=allow_pickle)
    return body.getvalue()


def craft(*extra, compression=zipfile.ZIP_DEFLATED, **members):
    """Zip the good arrays with some replaced by other bytes, and more added."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, array in make_arrays().items():
            body = members.get(name, npy(array))
            if body is not None:
                archive.writestr(f"{name}.npy", body)
        for name, body in extra:
            archive.writestr(name, body)
    return out.getvalue()


def refuse(data, match, **options):
    with pytest.raises(ArtefactError, match=match):
        unpack(data, describe(data, MANIFEST), **options)


def test_what_is_packed_comes_out_again():
    data = pack(make_arrays(), MANIFEST)

    arrays = unpack(data, describe(data, MANIFEST))

    assert set(arrays) == set(SCHEMA)
    for name, array in make_arrays().items():
        assert (arrays[name] == array).all()
        assert arrays[name].dtype == array.dtype
    assert decode_ids(arrays["product_id_bytes"], arrays["product_id_offsets"]) == ["a", "β", "鞄"]


def test_equal_arrays_give_equal_bytes_that_numpy_can_read():
    data = pack(make_arrays(), MANIFEST)

    assert data == pack(make_arrays(), MANIFEST)
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        assert loaded["popularity"].tolist() == [3, 2, 1]


@given(ids=st.lists(st.text(st.characters(codec="utf-8")), unique=True))
def test_ids_survive_encoding(ids):
    assert decode_ids(*encode_ids(ids)) == ids


def test_other_bytes_than_those_of_the_manifest_are_refused():
    data = pack(make_arrays(), MANIFEST)

    with pytest.raises(ArtefactError, match="sha256"):
        unpack(data[:-1], describe(data, MANIFEST))
    with pytest.raises(ArtefactError, match="sha256"):
        unpack(data, MANIFEST)


def test_another_format_version_is_refused():
    data = pack(make_arrays(), MANIFEST)

    with pytest.raises(ArtefactError, match="format_version must be 1, got 2"):
        unpack(data, describe(data, {"format_version": 2}))


@settings(max_examples=60)
@given(data=st.data())
def test_bytes_cut_or_changed_anywhere_are_refused_or_harmless(data):
    good = bytearray(pack(make_arrays(), MANIFEST))
    place = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        bad = bytes(good[:place])
    else:
        good[place] ^= data.draw(st.integers(1, 255))
        bad = bytes(good)

    try:
        arrays = unpack(bad, describe(bad, MANIFEST))
    except ArtefactError:
        return
    for name, array in make_arrays().items():
        assert (arrays[name] == array).all()


def test_a_bomb_is_refused_before_it_is_unpacked():
    bomb = craft(popularity=npy(np.zeros(50_000_000, np.float32)))

    assert len(bomb) < 1_000_000
    refuse(bomb, "the limit is 1000000", max_size_bytes=1_000_000)


def test_a_header_that_promises_more_than_there_is_is_refused():
    good = npy(np.zeros(3, np.float32))

    refuse(craft(popularity=good.replace(b"(3,), }        ", b"(300000000,), }")), "not what it")


def test_a_directory_that_promises_more_than_there_is_is_refused():
    data = craft(popularity=npy(np.zeros(4, np.float32))[:-4])
    entry = data.index(b"popularity.npy", data.index(b"PK\x01\x02")) - 46
    size = int.from_bytes(data[entry + 24 : entry + 28], "little") + 4

    data = data[: entry + 24] + size.to_bytes(4, "little") + data[entry + 28 :]

    refuse(data, "cut short|not a readable")


def test_objects_are_refused():
    objects = npy(np.array([{}, 1, 2], object), allow_pickle=True)

    refuse(craft(popularity=objects), "unknown header")


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"popularity": None}, "unknown or missing"),
        ({"popularity": b""}, "version 1.0"),
        ({"popularity": b"\x93NUMPY\x01\x00\x10\x00" + b"__import__('os')"}, "unknown header"),
        ({"popularity": npy(np.zeros(3))}, "must be of type <f4, got <f8"),
        ({"popularity": npy(np.zeros(4, np.float32))}, "3 products|4 products|other arrays"),
        ({"popularity": npy(np.zeros((3, 1), np.float32))}, "1 dimensions, got 2"),
        ({"popularity": npy(np.array([1, np.nan, 1], np.float32))}, "not finite"),
        ({"behaviour_index": npy(np.full((3, 2), 3, np.int32))}, "within -1 and 2"),
        ({"content_index": npy(np.full((3, 1), -2, np.int32))}, "within -1 and 2"),
        ({"behaviour_people": npy(np.full((3, 2), -1, np.int32))}, "within 0"),
        ({"attributes": npy(np.zeros((3, 14), np.int32))}, "14 columns"),
        ({"product_id_offsets": npy(np.array([0, 9, 3, 6]))}, "offsets do not fit"),
        ({"product_id_offsets": npy(np.array([0, 6]))}, "3 products with 2 id offsets"),
        ({"product_id_offsets": npy(np.array([0, 2, 3, 6]))}, "not UTF-8"),
        ({"product_id_bytes": npy(np.frombuffer(b"aaaaaa", np.uint8)),
          "product_id_offsets": npy(np.array([0, 2, 4, 6]))}, "twice"),
        ({"behaviour_score": npy(np.asfortranarray(np.ones((3, 2), np.float32)))}, "header"),
    ],
)  # fmt: skip
def test_crafted_arrays_are_refused(members, match):
    refuse(craft(**members), match)


def test_strange_members_are_refused():
    refuse(craft(("../../etc/passwd", b"x")), "unknown or missing")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = craft(("popularity.npy", npy(np.zeros(3, np.float32))))
    refuse(twice, "twice")
    refuse(craft(compression=zipfile.ZIP_LZMA), "unknown way")
    refuse(b"", "not a readable")
    refuse(b"PK\x05\x06" + bytes(18), "unknown or missing")


def test_wrong_arrays_are_not_even_packed():
    with pytest.raises(ArtefactError, match="missing"):
        pack({}, MANIFEST)
    with pytest.raises(ArtefactError, match="format_version must be 1, got None"):
        pack(make_arrays(), {})
    with pytest.raises(ArtefactError, match="must be of type <f4, got <f8"):
        pack(make_arrays() | {"popularity": np.zeros(3)}, MANIFEST)
