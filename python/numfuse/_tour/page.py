"""Writes chapters as one HTML page that stands alone: pictures inside, no script, no links out."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from .chapter import Chapter, Gallery, Picture, Table

# On a phone a row becomes a small block: the first column is its heading, later ones are remarks.
COLUMN_STYLES = ("first", "plain", "remark", "remark", "remark")
STYLE = """
:root { --ink: #1f2933; --soft: #52606d; --line: #e1e5ea; --accent: #7b2d8b; color-scheme: light; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #f5f6f8; color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main, footer { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; }
h1 { margin: 0; font-size: clamp(2rem, 6vw, 3rem); line-height: 1.1; letter-spacing: -0.02em; }
header p { max-width: 44rem; margin: 0.75rem 0 0; color: var(--soft); }
nav { margin-top: 1.25rem; }
nav ol { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0; padding: 0; list-style: none; }
nav a { display: block; padding: 0.4rem 0.9rem; border: 1px solid var(--line); border-radius: 2rem;
  background: white; color: var(--accent); font-size: 0.95rem; text-decoration: none; }
nav a:hover, nav a:focus-visible { border-color: var(--accent); }
section { margin: 2rem 0; padding: clamp(1.1rem, 3vw, 2.25rem); background: white;
  border: 1px solid var(--line); border-radius: 0.9rem; }
h2 { margin: 0 0 0.75rem; font-size: clamp(1.4rem, 4vw, 1.8rem); line-height: 1.2; }
h3 { margin: 0 0 0.4rem; font-size: 1.1rem; }
p { margin: 0 0 1rem; }
section > p, figcaption, .caption { max-width: 44rem; }
figure, .table, .gallery { margin: 2rem 0; }
figcaption, .caption { margin: 0 0 0.75rem; color: var(--soft); font-size: 0.95rem; }
figcaption h3 { color: var(--ink); font-size: 1.1rem; }
img { display: block; max-width: 100%; height: auto; }
figure.wide img { width: 100%; max-width: 56rem; }
figure.wide img[src^="data:image/gif"] { max-width: 36rem; }
.heads { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1rem 0.75rem;
  margin: 0.75rem 0 0; padding: 0; list-style: none; }
.heads span { display: block; text-align: center; font-size: 0.85rem; font-weight: 600; }
.heads img { width: 100%; }
.bar { width: 21rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.95rem; line-height: 1.4; }
th, td { padding: 0.45rem 0.75rem 0.45rem 0; text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); }
tr.new td { border-top: 1px solid var(--line); }
.number { padding-right: 0; text-align: right; font-variant-numeric: tabular-nums; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: 0.9rem; }
@media (max-width: 56rem) { .heads { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 38rem) {
  header, main, footer { padding-left: 0.75rem; padding-right: 0.75rem; }
  .heads { grid-template-columns: repeat(2, 1fr); gap: 0.75rem 0.25rem; }
  table, tbody, tr, td { display: block; }
  thead { position: absolute; clip-path: inset(50%); }
  tr { position: relative; padding: 0.25rem 3.5rem 0.25rem 0; }
  tr.new { border-top: 1px solid var(--line); padding-top: 0.6rem; }
  tr.new td { border-top: 0; }
  td.first { font-weight: 600; }
  td { padding: 0.05rem 0; }
  td:empty { display: none; }
  td.number { position: absolute; right: 0; bottom: 0.3rem; }
  .several td.number { position: static; }
  .several td.number::before { content: attr(data-column) ": "; color: var(--soft); float: left; }
  .several tr { padding-right: 0; }
  td.remark { color: var(--soft); font-size: 0.85rem; }
}
"""


def page(title: str, introduction: str, chapters: Sequence[Chapter], colophon: str) -> str:
    """Lay out chapters as one HTML document."""
    links = "".join(
        f'<li><a href="#chapter-{number}">{escape(chapter.title)}</a></li>'
        for number, chapter in enumerate(chapters, start=1)
    )
    sections = "".join(
        f'<section id="chapter-{number}"><h2>{escape(chapter.title)}</h2>'
        f"{''.join(map(_part, chapter.parts))}</section>\n"
        for number, chapter in enumerate(chapters, start=1)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1><p>{escape(introduction)}</p>"
        f'<nav aria-label="Chapters"><ol>{links}</ol></nav></header>\n'
        f"<main>\n{sections}</main>\n<footer><p>{escape(colophon)}</p></footer>\n</body>\n</html>\n"
    )


def _part(part: str | Table | Picture | Gallery) -> str:
    match part:
        case Table():
            return _table(part)
        case Picture():
            return (
                f'<figure class="wide"><figcaption><h3>{escape(part.title)}</h3>'
                f"{escape(part.caption)}</figcaption>{_image(part)}</figure>\n"
            )
        case Gallery():
            heads = "".join(
                f"<li><span>{escape(picture.title)}</span>{_image(picture)}</li>"
                for picture in part.pictures
            )
            return (
                f'<div class="gallery"><h3>{escape(part.title)}</h3>'
                f'<p class="caption">{escape(part.caption)}</p>'
                f'<div class="bar">{_image(part.bar)}</div><ul class="heads">{heads}</ul></div>\n'
            )
        case _:
            return f"<p>{escape(part)}</p>\n"


def _image(picture: Picture) -> str:
    image = f'<img src="{_data(picture.png)}" alt="{escape(picture.alt)}">'
    if picture.narrow_png is None:
        return image
    narrow = f'<source media="(max-width: 38rem)" srcset="{_data(picture.narrow_png)}">'
    return f"<picture>{narrow}{image}</picture>"


def _data(picture: bytes) -> str:
    kind = "gif" if picture.startswith(b"GIF8") else "png"
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"


def _table(table: Table) -> str:
    numbers = [isinstance(cell, float) for cell in table.rows[0]]
    head = "".join(
        f"<th{' class=number' if number else ''}>{escape(column)}</th>"
        for column, number in zip(table.columns, numbers, strict=True)
    )
    rows = "".join(
        f"<tr{' class=new' if row[0] else ''}>"
        f"{''.join(map(_cell, row, table.columns, COLUMN_STYLES))}</tr>"
        for row in table.rows
    )
    several = " class=several" if sum(numbers) > 1 else ""
    return (
        f'<div class="table"><h3>{escape(table.title)}</h3>'
        f"<table{several}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )


def _cell(cell: str | float, column: str, style: str) -> str:
    if isinstance(cell, float):
        return f'<td class=number data-column="{escape(column)}">{cell:.2f}</td>'
    return f"<td class={style}>{escape(cell)}</td>"
