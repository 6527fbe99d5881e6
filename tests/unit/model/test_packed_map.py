"""A packed map is a dict, whatever its keys and values hold."""

from hypothesis import given
from hypothesis import strategies as st

from broker.model.packed_map import PackedMap

# Few keys, made of few bytes, and values made of them: what is searched for also lies across entries and in values.
KEYS = st.text("ab", min_size=3, max_size=3).map(str.encode)
VALUES = st.text("ab", max_size=9).map(str.encode)
CHANGES = st.lists(st.tuples(KEYS | st.binary(min_size=3, max_size=3), VALUES | st.none()), max_size=120)


@given(CHANGES)
def test_it_holds_what_a_dict_holds(changes) -> None:
    packed, plain = PackedMap(3), dict[bytes, bytes]()
    for key, value in changes:
        if value is None:
            packed.discard(key)
            plain.pop(key, None)
        else:
            packed[key] = plain[key] = value
        assert packed.get(key) == plain.get(key)
        assert (key in packed) is (key in plain)
    assert dict(packed.items()) == plain
    assert sorted(packed) == sorted(plain)
    assert len(packed) == len(plain)
    asked = {key for key, _ in changes} | {b"aab", b"bba"}
    assert packed.among(asked) == asked & plain.keys()
    packed.clear()
    assert (len(packed), list(packed), packed.among(asked)) == (0, [], set())


def test_keys_of_another_length_are_not_in_it() -> None:
    packed = PackedMap(3)
    packed[b"abc"] = b"abcd"
    assert packed.among({b"ab", b"abcd", b"", b"abc"}) == {b"abc"}
    assert packed.get(b"ab") is packed.get(b"abcd") is None


def test_thousands_are_found_again() -> None:
    packed = PackedMap(4)
    for number in range(5000):
        packed[number.to_bytes(4, "big")] = b"%d" % number
    assert all(packed.get(number.to_bytes(4, "big")) == b"%d" % number for number in range(5000))
    assert len(packed) == 5000
