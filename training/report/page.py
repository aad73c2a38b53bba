"""Titles, tables and pictures become one HTML file that needs nothing but itself: the form of every report."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("page.css")

Row = Sequence[str]


def page(title: str, lead: str, sections: Sequence[str]) -> str:
    """The whole document; nothing in it may be fetched, run or sent, which its own policy forbids."""
    body = _with_own_ids("".join(sections))
    headings = re.findall(r'<section id="([^"]*)"><h2>(.*?)</h2>', body)
    links = "".join(f'<li><a href="#{anchor}">{heading}</a></li>' for anchor, heading in headings)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>
{STYLE.read_text()}</style>
</head>
<body>
<header><h1>{escape(title)}</h1>{lead}</header>
<nav aria-label="Contents"><ul>{links}</ul></nav>
<main>
{body}</main>
</body>
</html>
"""


def section(title: str, *parts: str) -> str:
    """One section with its heading, reachable by its name."""
    anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{"".join(parts)}</section>\n'


def paragraph(text: str) -> str:
    """Plain words."""
    return f"<p>{escape(text)}</p>"


def bullets(items: Sequence[str]) -> str:
    """A list of plain words."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def table(title: str, header: Row, rows: Sequence[Row]) -> str:
    """A table whose first column names its rows; it scrolls by itself where it is wider than the page."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(title)}"><table>'
        f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(svg: str, caption: str, behind: str) -> str:
    """A picture with its caption, and the table behind it folded up."""
    drawn = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    table_behind = folded("Figures behind this plot", behind)
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption>{table_behind}</figure>"


def folded(title: str, behind: str) -> str:
    """What only its title shows of until somebody unfolds it."""
    return f"<details><summary>{escape(title)}</summary>{behind}</details>"


def side_by_side(*figures: str) -> str:
    """Pictures in two columns where there is room."""
    return f'<div class="pair">{"".join(figures)}</div>'


def card(name: str, value: str, below: str) -> str:
    """One figure that is to be seen first."""
    return (
        f'<div class="card"><span class="name">{escape(name)}</span><strong>{escape(value)}</strong>'
        f'<span class="below">{escape(below)}</span></div>'
    )


def cards(made: Sequence[str]) -> str:
    """Cards in a row."""
    return f'<div class="cards">{"".join(made)}</div>'


def _with_own_ids(body: str) -> str:
    """The same with each picture's ids marked by its number: pictures are drawn apart and share names."""
    apart = re.split(r"(<svg .*?</svg>)", body, flags=re.DOTALL)
    for position in range(1, len(apart), 2):
        apart[position] = re.sub(r'( id="|url\(#|href="#)', rf"\1g{position // 2}-", apart[position])
    return "".join(apart)


def _cells(row: Row) -> str:
    first, *others = row
    return f'<th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in others)
