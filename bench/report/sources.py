"""Publications and code that a line on sources names, as links and as BibTeX.

Methods, backbones and data sets state their sources as text: "Cao, Ji, CVPR 2020,
arXiv:1906.11415; code owner/name at 3687f3a". A BibTeX entry has only the fields that are stated.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from bench.plugins.registry import all_methods

NAME = r"[A-ZÀ-Ž][\w’'-]+"
ARXIV = r"arXiv:(?P<arxiv>\d{4}\.\d{4,5})"
PUBLISHED = re.compile(
    rf"(?P<authors>(?:{NAME}(?:, | et al\., ))+)(?P<venue>[A-Z][A-Za-z]+) (?P<year>(?:19|20)\d\d)"
    rf"(?: \([^)]*\))?(?:, {ARXIV})?"
)
"""Authors, venue and year, as methods and backbones state them."""
TITLED = re.compile(
    rf"(?P<authors>{NAME}(?:, {NAME})*(?: et al)?)\. (?P<title>[^.]+)\. (?P<venue>[A-Z][A-Za-z]+)"
    r" (?P<year>(?:19|20)\d\d)\."
)
"""The same with a title, as in the last lines of a method's docstring."""
QUOTED = re.compile(
    rf"(?P<authors>{NAME}(?:,\s{NAME})*\sand\s{NAME}),\s\"(?P<title>[^\"]+)\",\s"
    r"(?P<venue>[A-Z][^\"]*?),?\s(?P<year>(?:19|20)\d\d)\."
)
"""The same with a quoted title, as in data sets."""
CODE = (
    r"(?<![\w./-])(?P<code>[A-Za-z0-9][\w-]*/[A-Za-z0-9][\w.-]*\w)(?!\w*/)"
    r"(?: at (?P<commit>[0-9a-f]{7,40})\b)?"
)
JOURNAL = re.compile(r"IJCV|Transactions|Journal")
LINKED = re.compile(rf"{ARXIV}|{CODE}")


@dataclass(frozen=True)
class Publication:
    """A publication; fields that are not stated are empty."""

    authors: tuple[str, ...] = ()
    """Family names; the last is "others" where not all are named."""
    title: str = ""
    venue: str = ""
    year: str = ""
    arxiv: str = ""

    @property
    def same(self) -> tuple[str, str, str]:
        """What every mention of a publication states: first author, venue and year."""
        return (self.authors[:1] or ("",))[0], self.venue, self.year

    @property
    def key(self) -> str:
        """Key of the BibTeX entry."""
        name = f"{(self.authors or ('',))[0]}{self.year}".lower()
        return ":".join(filter(None, (re.sub(r"[^a-z0-9]", "", name), self.arxiv)))


def publications(*texts: str) -> list[Publication]:
    """Find the publications that texts name, each once with everything stated of it.

    >>> [one] = publications("Cao, Ji, CVPR 2020, arXiv:1906.11415; owner/name at 3687f3a")
    >>> one.authors, one.venue, one.year, one.arxiv
    (('Cao', 'Ji'), 'CVPR', '2020', '1906.11415')
    """
    flat = [" ".join(text.split()) for text in texts]
    stated = [_read(match) for text in texts for match in PUBLISHED.finditer(text)]
    quoted = [_read(match) for text in flat for match in QUOTED.finditer(text)]
    titled = [_read(match) for text in flat for match in TITLED.finditer(text)]
    known = merged([*stated, *quoted])
    for one in titled:
        places = [index for index, other in enumerate(known) if other.same == one.same]
        if len(places) == 1:
            known[places[0]] = _joined(known[places[0]], one)
    return known


def merged(stated: Iterable[Publication]) -> list[Publication]:
    """Merge mentions of the same publication."""
    known: list[Publication] = []
    for one in stated:
        for index, other in enumerate(known):
            same_number = one.arxiv == other.arxiv or not (one.arxiv and other.arxiv)
            if one.same == other.same and same_number:  # else two publications of one year
                known[index] = _joined(other, one)
                break
        else:
            known.append(one)
    return known


def _read(match: re.Match[str]) -> Publication:
    stated = {field: text or "" for field, text in match.groupdict().items()}
    names = re.sub(r" et al\b\.?", ", others", stated.pop("authors"))
    authors = [name for name in re.split(r",\s*(?:and\s)?|\sand\s", names) if name.strip()]
    return Publication(tuple(authors), **stated)


def _joined(one: Publication, other: Publication) -> Publication:
    longer = max(one.authors, other.authors, key=lambda names: ("others" not in names, len(names)))
    return replace(
        one, authors=longer, title=one.title or other.title, arxiv=one.arxiv or other.arxiv
    )


def bibtex(one: Publication) -> str:
    """Return the BibTeX entry of a publication."""
    in_journal = bool(JOURNAL.search(one.venue))
    fields = {
        "author": " and ".join(one.authors),
        "title": one.title,
        "journal" if in_journal else "booktitle": one.venue,
        "year": one.year,
        "eprint": one.arxiv,
        "archiveprefix": "arXiv" if one.arxiv else "",
        "url": f"https://arxiv.org/abs/{one.arxiv}" if one.arxiv else "",
    }
    return bibtex_entry("article" if in_journal else "inproceedings", one.key, fields)


def bibtex_entry(kind: str, key: str, fields: dict[str, str]) -> str:
    """Return a BibTeX entry without empty fields; titles keep their capitals."""
    if title := fields.get("title"):
        fields = fields | {"title": f"{{{title}}}"}
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def linked(text: str) -> Markup:
    """Return text as HTML in which arXiv numbers and GitHub repositories are links.

    >>> linked("arXiv:1906.11415; code owner/name at 3687f3a, models/a.py")
    Markup('<a href="https://arxiv.org/abs/1906.11415">arXiv:1906.11415</a>; code \
<a href="https://github.com/owner/name/tree/3687f3a">owner/name at 3687f3a</a>, models/a.py')
    """
    parts: list[Markup] = []
    place = 0
    for match in LINKED.finditer(text):
        if address := _address(match):
            link = Markup('<a href="{}">{}</a>').format(address, match[0])
            parts += [escape(text[place : match.start()]), link]
            place = match.end()
    return Markup("").join([*parts, escape(text[place:])])


def links(text: str) -> list[str]:
    """Return the distinct addresses that a text names."""
    return list(dict.fromkeys(filter(None, map(_address, LINKED.finditer(text)))))


def _address(match: re.Match[str]) -> str:
    if match["arxiv"]:
        return f"https://arxiv.org/abs/{match['arxiv']}"
    if match["code"].endswith(".py"):
        return ""
    tree = f"/tree/{match['commit']}" if match["commit"] else ""
    return f"https://github.com/{match['code']}{tree}"


@dataclass(frozen=True)
class Cited:
    """Something that runs use, and its publications."""

    name: str
    """Such as "method otam"."""
    publications: Sequence[Publication]
    entries: Sequence[str] = ()
    """BibTeX entries of what is not a publication."""
    source: str = ""
    """The source that is stated, in words."""


def of_method(name: str, source: str) -> Cited:
    """Return a method's publications, as its run states them with the titles in its file."""
    known = all_methods().get(name)
    file = sys.modules[known.cls.__module__].__doc__ if known else None
    return Cited(f"method {name}", publications(source, file or ""), source=source)


def bibliography(cited: Sequence[Cited]) -> str:
    """Return BibTeX: comments that say which entries belong to what, then every entry once."""
    known = merged(publication for one in cited for publication in one.publications)
    lines = []
    for one in cited:
        # Another of those that are cited may state the same publication more fully.
        keys = [
            other.key
            for other in known
            if any(
                other.same == stated.same and stated.arxiv in ("", other.arxiv)
                for stated in one.publications
            )
        ]
        keys += [entry.partition("{")[2].partition(",")[0] for entry in one.entries]
        stated = " ".join(one.source.split()) or "this project, or nothing is stated"
        lines.append(f"% {one.name}: {', '.join(keys) or stated}")
    entries = [bibtex(one) for one in known] + [entry for one in cited for entry in one.entries]
    return "\n".join([*lines, "", "\n\n".join(entries), ""])
