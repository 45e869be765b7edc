"""Whatever single change is made to an audit log, it is found."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from serving.access.chain import START, AuditKey, Entry, Head, written
from serving.access.verification import Verification, verify

KEY = AuditKey(bytes(range(32)))
AT = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)

texts = st.text(max_size=20)
entries = st.builds(
    Entry,
    caller=texts,
    action=texts,
    stays=st.lists(texts, max_size=3).map(lambda ids: tuple(KEY.pseudonym(each) for each in ids)),
    models=st.lists(texts, max_size=3).map(tuple),
)
logs = st.lists(entries, min_size=1, max_size=8)


def lines_of(content: list[Entry], key: AuditKey = KEY) -> tuple[list[bytes], Head]:
    lines, head = [], START
    for entry in content:
        line, head = written(entry, head, AT, key)
        lines.append(line)
    return lines, head


def found_in(content: bytes, head: Head) -> Verification:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audit.jsonl"
        file.write_bytes(content)
        return verify(file, KEY, lambda: head)


@settings(deadline=None)
@given(logs)
def test_what_was_written_is_whole_and_reads_as_it_was_meant(content: list[Entry]):
    lines, head = lines_of(content)
    found = found_in(b"".join(lines), head)
    assert (found.findings, found.n_lines, found.n_newer) == ((), len(content), 0)
    records = [json.loads(line) for line in lines]
    assert [Entry(each["caller"], each["action"], tuple(each["stays"]), tuple(each["models"]))
            for each in records] == content  # fmt: skip


@settings(deadline=None)
@given(logs, st.data())
def test_a_changed_byte_is_found(content: list[Entry], data: st.DataObject):
    lines, head = lines_of(content)
    whole = bytearray(b"".join(lines))
    place = data.draw(st.integers(0, len(whole) - 1))
    instead = data.draw(st.integers(0, 255))
    assume(whole[place] != instead)
    whole[place] = instead
    assert not found_in(bytes(whole), head).is_intact


@settings(deadline=None)
@given(logs, st.data())
def test_a_removed_stretch_is_found(content: list[Entry], data: st.DataObject):
    lines, head = lines_of(content)
    whole = b"".join(lines)
    begin = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(begin + 1, len(whole)))
    assert not found_in(whole[:begin] + whole[end:], head).is_intact


@settings(deadline=None)
@given(logs, st.data())
def test_removed_lines_are_found(content: list[Entry], data: st.DataObject):
    lines, head = lines_of(content)
    kept = data.draw(st.lists(st.sampled_from(range(len(lines))), unique=True, max_size=len(lines) - 1))
    assert not found_in(b"".join(lines[place] for place in sorted(kept)), head).is_intact


@settings(deadline=None)
@given(logs, st.data())
def test_lines_in_another_order_are_found(content: list[Entry], data: st.DataObject):
    lines, head = lines_of(content)
    order = data.draw(st.permutations(range(len(lines))))
    assume(order != sorted(order))
    assert not found_in(b"".join(lines[place] for place in order), head).is_intact


@settings(deadline=None)
@given(logs, st.data())
def test_a_line_written_twice_is_found(content: list[Entry], data: st.DataObject):
    lines, head = lines_of(content)
    again = data.draw(st.sampled_from(lines))
    place = data.draw(st.integers(0, len(lines)))
    assert not found_in(b"".join([*lines[:place], again, *lines[place:]]), head).is_intact


@settings(deadline=None)
@given(logs, entries, st.data())
def test_a_line_without_the_key_is_found_wherever_it_stands(
    content: list[Entry], forged: Entry, data: st.DataObject
):
    lines, head = lines_of(content)
    place = data.draw(st.integers(0, len(lines)))
    record = json.loads(lines[place - 1]) if place else None
    before = START if record is None else Head(record["sequence"], record["digest"])
    line, _ = written(forged, before, AT, AuditKey(b"a guess"))
    is_instead = data.draw(st.booleans()) and place < len(lines)
    changed = [*lines[:place], line, *lines[place + is_instead :]]
    assert not found_in(b"".join(changed), head).is_intact


@settings(deadline=None)
@given(logs, logs)
def test_a_log_made_anew_with_the_key_does_not_fit_the_head_that_is_kept(
    content: list[Entry], instead: list[Entry]
):
    assume(len(instead) <= len(content) and instead != content[: len(instead)])
    _, head = lines_of(content)
    assert not found_in(b"".join(lines_of(instead)[0]), head).is_intact


@settings(deadline=None)
@given(logs, st.integers(0, 8))
def test_lines_newer_than_the_head_are_counted_and_are_no_finding(content: list[Entry], n_kept: int):
    lines, _ = lines_of(content)
    _, head = lines_of(content[:n_kept])
    found = found_in(b"".join(lines), head)
    assert (found.is_intact, found.n_newer) == (True, max(0, len(content) - n_kept))


@settings(deadline=None)
@given(logs, st.data())
def test_an_unfinished_end_is_no_finding_if_its_line_was_never_kept(
    content: list[Entry], data: st.DataObject
):
    lines, _ = lines_of(content)
    _, head = lines_of(content[:-1])
    end = data.draw(st.integers(1, len(lines[-1]) - 1))
    found = found_in(b"".join(lines[:-1]) + lines[-1][:end], head)
    assert (found.is_intact, found.n_unfinished) == (True, end)
