"""One broken line of a CSV file costs that line and no other."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.imports.reading.lines import QUOTED_LINES_MAX, Dialect, split_block

AB = Dialect(",", ("a", "b"), ("a", "b"))


def _rows(text: str | bytes) -> tuple[list[tuple[int, str | None, str | None]], list[tuple[int, str]]]:
    data = text.encode() if isinstance(text, str) else text
    split = split_block(data, AB, first_line=1, last=True)
    rows = [(int(line), *row) for line, row in zip(split.lines, split.frame.rows(), strict=True)]
    return rows, [(reject.line, reject.raw) for reject in split.broken]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("x", "1 columns where the header has 2"),
        ("x,y,z", "3 columns where the header has 2"),
        ('"x,y', "a quote is not closed"),
        ('x,"y', "a quote is not closed"),
        ('"x"y,z', "a quote inside a value"),
        ('x, "y"', "a quote inside a value"),
        (b"x,\xff", "not UTF-8"),
        (b"\xe4,y", "not UTF-8"),
    ],
)
def test_a_broken_line_is_named_and_its_neighbours_are_kept(broken: str | bytes, reason: str) -> None:
    raw = broken.encode() if isinstance(broken, str) else broken
    split = split_block(b"1,2\n" + raw + b"\n3,4\n", AB, first_line=2, last=True)
    assert split.frame.rows() == [("1", "2"), ("3", "4")]
    assert list(split.lines) == [2, 4]
    assert [(reject.line, reject.raw) for reject in split.broken] == [(3, raw.decode(errors="replace"))]
    assert reason in split.broken[0].reason


def test_quotes_hide_separators_quotes_and_line_breaks() -> None:
    rows, broken = _rows('"a,b","say ""x"""\r\n"two\nlines",2\n3,""\n')
    assert rows == [(1, "a,b", 'say "x"'), (2, "two\nlines", "2"), (4, "3", "")]
    assert broken == []


def test_blank_lines_are_no_rows_but_count_as_lines() -> None:
    rows, broken = _rows("\n1,2\r\n\r\n\n3,4\n")
    assert rows == [(2, "1", "2"), (5, "3", "4")]
    assert broken == []


def test_two_open_quotes_apart_do_not_swallow_what_is_between() -> None:
    rows, broken = _rows('"1,2\n3,4\n5,6\n"7,8\n')
    assert rows == [(2, "3", "4"), (3, "5", "6")]
    assert broken == [(1, '"1,2'), (4, '"7,8')]


def test_a_quoted_value_goes_on_in_the_next_block() -> None:
    head = split_block(b'1,2\n3,"four\n', AB, first_line=1, last=False)
    assert head.frame.rows() == [("1", "2")]
    assert head.rest == b'3,"four\n'
    tail = split_block(head.rest + b'and more"\n', AB, first_line=1 + head.line_count, last=True)
    assert tail.frame.rows() == [("3", "four\nand more")]
    assert list(tail.lines) == [2]


def test_a_quote_open_for_too_long_is_broken_at_once() -> None:
    data = b'"1,2\n' + b"3,4\n" * QUOTED_LINES_MAX
    split = split_block(data, AB, first_line=1, last=False)
    assert split.rest == b""
    assert [reject.line for reject in split.broken] == [1]
    assert split.frame.height == QUOTED_LINES_MAX


VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters='",;'), max_size=6)


@given(rows=st.lists(st.tuples(VALUES.filter(bool), VALUES), max_size=20))
def test_what_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    read, broken = _rows(text.getvalue())
    assert broken == []
    assert [(a, b or "") for _, a, b in read] == rows


@given(data=st.lists(st.sampled_from([b'"', b",", b"\n", b"\r\n", b"a", b"\xff", b"1,2\n"]), max_size=40))
def test_every_line_of_any_rubbish_is_a_row_or_blank_or_listed(data: list[bytes]) -> None:
    text = b"".join(data) + b"\n"
    split = split_block(text, AB, first_line=0, last=True)
    spans = [text[start:end].count(b"\n") for start, end in zip(split.starts, split.ends, strict=True)]
    rows = [(int(line), span) for line, span in zip(split.lines, spans, strict=True)]
    listed = [(reject.line, reject.raw.count("\n")) for reject in split.broken]
    covered = [line for first, span in rows + listed for line in range(first, first + span + 1)]
    assert len(set(covered)) == len(covered)
    others = [line for number, line in enumerate(text.split(b"\n")[:-1]) if number not in set(covered)]
    assert all(line in (b"", b"\r") for line in others)
    assert split.frame.height == len(rows)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('p1,19" RACK,1', ("p1", '19" RACK', "1")),
        ('p1,RACK 7" wide,1', ("p1", 'RACK 7" wide', "1")),
        (r'p1,"FRAME 7\" SIZE",1', ("p1", 'FRAME 7" SIZE', "1")),
        ("p1,RACK,1,", ("p1", "RACK", "1")),
    ],
)
def test_a_line_written_another_way_is_read_where_no_value_is_in_doubt(line: str, row: tuple[str, ...]) -> None:
    every = Dialect(",", ("a", "b", "c"), ("a", "b", "c"))
    split = split_block(f"p0,x,0\n{line}\np2,y,2\n".encode(), every, first_line=2, last=True)
    assert split.frame.rows() == [("p0", "x", "0"), row, ("p2", "y", "2")]
    assert split.lines.tolist() == [2, 3, 4]
    assert not split.broken


@pytest.mark.parametrize("line", [b'p1,"RACK,1', b'p1,"x"y,1', b"p1,CAF\xc9,1", b"p1,RACK,1,,"])
def test_what_is_broken_in_a_column_nobody_needs_costs_nothing(line: bytes) -> None:
    needed = Dialect(",", ("a", "b", "c"), ("a",))
    split = split_block(b"p0,x,0\n" + line + b"\np2,y,2\n", needed, first_line=2, last=True)
    assert split.frame["a"].to_list() == ["p0", "p1", "p2"]


def test_missing_values_at_the_end_are_missed_only_where_they_are_needed() -> None:
    for wanted, count in ((("a",), 3), (("a", "c"), 2)):
        split = split_block(b"p0,x,0\np1\np2,y,2\n", Dialect(",", ("a", "b", "c"), wanted), first_line=2, last=True)
        assert split.frame.height == count
        assert len(split.broken) == 3 - count
