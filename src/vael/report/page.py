"""The page: one HTML file with everything inside, readable in light, dark and on paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vael.counting import counted
from vael.evaluation.record import K_HAT_LIMIT, untrusted
from vael.report.record import Facts, JudgedNumbers, sentence
from vael.report.style import INK, QUIET, RULE, Drawing
from vael.report.verdict import Remark, signed

REM_PER_INCH = 7.4  # of a figure on a screen: its letters are then about as large as those of the text
LEAST_REM_PER_INCH = 6.4  # on a narrow screen, where a figure with words scrolls sideways: 7 points are 10 pixels then
CSS = f"""
:root {{ color-scheme: light dark; --ink: {INK}; --quiet: {QUIET}; --rule: {RULE}; --page: #ffffff; --card: #f5f7f9; }}
:root {{ --good: #1a7f4b; --warning: #b3541e; --link: #1f68b3; }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6eaee; --quiet: #a2adb8; --rule: #3a434c; --page: #14181c; --card: #1d2329; --good: #57c48b; --warning: #f0a060;
    --link: #7db8f0; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif; }}
main {{ max-width: 58rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }}
h2 {{ font-size: 1.25rem; margin: 3rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); break-after: avoid; }}
.lead {{ color: var(--quiet); margin: 0 0 1.6rem; }}
.numbers {{ --gap: .8rem; display: flex; flex-wrap: wrap; gap: var(--gap); margin: 1.4rem 0; }}
.number {{ flex: 1 1 calc((100% + var(--gap)) / var(--across) - var(--gap) - .1rem); min-width: 10.5rem;
  background: var(--card); border-radius: .6rem; padding: .8rem 1rem; break-inside: avoid; }}
.number b {{ display: block; font-size: 1.45rem; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.number b small {{ font-size: .85rem; font-weight: 400; color: var(--quiet); }}
.number.first {{ flex-basis: calc(2 * (100% + var(--gap)) / var(--across) - var(--gap) - .1rem); }}
nav {{ margin: 1.4rem 0 0; font-size: .92rem; }}
nav ol {{ list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 0; padding: 0; }}
a {{ color: var(--link); }} code {{ white-space: nowrap; }}
p.key {{ font-size: .86rem; color: var(--quiet); margin: 0 0 1rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid var(--rule); white-space: nowrap; }}
th {{ font-weight: 600; }} th:first-child, td:first-child {{ text-align: left; }}
.number span {{ display: block; font-size: .8rem; line-height: 1.4; color: var(--quiet); }}
.number .name {{ color: var(--ink); font-size: .9rem; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; margin: 0; font-size: .92rem; }}
dt {{ color: var(--quiet); }} dd {{ margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }}
ul.remarks {{ list-style: none; padding: 0; margin: 0; }}
ul.remarks li {{ padding: .1rem 0 .1rem 1rem; margin: 0 0 .7rem; border-left: 3px solid var(--rule); }}
ul.remarks li.good {{ border-color: var(--good); }} ul.remarks li.warning {{ border-color: var(--warning); }}
ul.remarks li.warning::before {{ content: "To look at: "; font-weight: 650; color: var(--warning); }}
.figures {{ display: flex; flex-wrap: wrap; gap: 1rem 1.6rem; }}
figure {{ margin: 0 0 1.2rem; max-width: 100%; break-inside: avoid; }}
figure svg {{ display: block; width: 100%; min-width: var(--least); height: auto; }}
figure svg.crisp image {{ image-rendering: pixelated; }}
figcaption {{ font-size: .86rem; line-height: 1.5; color: var(--quiet); margin-top: .7rem; max-width: 50rem; }}
footer {{ margin-top: 3rem; font-size: .82rem; color: var(--quiet); }}
@media (max-width: 36rem) {{ main {{ padding: 1.5rem 1rem 3rem; }} .number b {{ white-space: normal; }}
  dl {{ grid-template-columns: 1fr; }} dd {{ margin-bottom: .4rem; }} }}
@media print {{ nav {{ display: none; }} figure svg {{ min-width: 0; }}
  main {{ max-width: none; padding: 0; }} :root {{ font-size: 9.5pt; }} body {{ font-size: 1rem; }} @page {{ margin: 1.8cm; }} }}
"""


NATS = "Nats are summed over the elements of an example and averaged over examples."
KEPT = "Each figure is also in `figures/`, as PNG, SVG and PDF."


@dataclass(frozen=True)
class PageTable:
    """Numbers in rows; the first cell of each says what the row is of."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it: figures, or a table."""

    heading: str
    drawings: tuple[Drawing, ...] = ()
    table: PageTable | None = None


@dataclass(frozen=True)
class Page:
    """Everything that is on the page, in order. A part that is empty is left out, with its heading."""

    title: str
    lead: str
    numbers: JudgedNumbers | None
    notes: tuple[str, ...]
    remarks: tuple[Remark, ...]
    facts: Facts
    sections: tuple[Section, ...]
    cards: tuple[str, ...] = ()  # key numbers that are not those of an evaluation, as `number` makes them
    verdict: str = "How good is it, and what to try next"  # heading of the remarks
    key: str = ""  # what the colours of the remarks mean
    footer: str = f"{NATS} {KEPT}"


def number(name: str, value: str, unit: str, how: str) -> str:
    """One key number with its unit and how it was estimated."""
    figure = f"<b>{escape(value)} <small>{escape(unit)}</small></b>"
    return f'<div class="number"><span class="name">{escape(name)}</span>{figure}<span>{escape(how)}</span></div>'


WAYS = (4, 3, 5)  # cards in a row of a wide screen, the best first


def across(cells: int) -> int:
    """Cards in a row, such that the last row is as full as can be."""
    return cells if cells < WAYS[0] else max(WAYS, key=lambda ways: ((cells - 1) % ways + 1) / ways)


def beside(cards: Sequence[str]) -> str:
    """Key numbers in rows of equal cards, the first of them twice as wide; a last row that is not full is stretched."""
    if not cards:
        return ""
    first, *others = cards
    wide = first.replace('class="number"', 'class="number first"', 1)
    return f'<div class="numbers" style="--across: {across(len(cards) + 1)}">{wide}{"".join(others)}</div>'


def key_numbers(found: JudgedNumbers, notes: Sequence[str]) -> str:
    """The evaluation as cards, and under them on what it was measured."""
    on = f"Measured on the {found.split} split of {counted(found.examples, 'example')}." + "".join(
        f" {sentence(note)}" for note in notes
    )
    cards = [*_density_cards(found), *_divergence_cards(found), *_weights_cards(found)]
    return f'{beside(cards)}<p class="lead">{escape(on)}</p>'


def _density_cards(found: JudgedNumbers) -> list[str]:
    """Log p(x), its bound, bits per dimension and distortion."""
    cards = []
    if found.log_likelihood is not None:
        error = "" if found.standard_error is None else f" ± {found.standard_error:.2f}"
        how = f"importance-weighted, K = {found.importance_samples:,}; ± standard error over examples"
        cards.append(number("log p(x)", signed(found.log_likelihood) + error, "nats", how))
    name, what, lost = (
        ("ELBO", "lower bound on log p(x)", "−E log p(x | z), z from the posterior")
        if found.is_bound
        else (
            "objective",
            "minus distortion and divergence; no bound on log p(x)",
            "reconstruction loss, no likelihood",
        )
    )
    each = f"mean over {counted(found.examples, 'example')}"
    cards.append(number(name, signed(found.elbo), "nats", f"{what}, {each}"))
    if found.bits_per_dim is not None:
        cards.append(number("bits per dimension", f"{found.bits_per_dim:.3f}", "bits", "from log p(x)"))
    return [*cards, number("distortion", signed(found.distortion), "nats", lost)]


def _divergence_cards(found: JudgedNumbers) -> list[str]:
    """The divergence, its parts where they are known, and the latents in use."""
    cards = [number("divergence", signed(found.divergence), "nats", "KL(q(z | x) ‖ p(z))")]
    if found.parts is not None:
        told = (
            f"by {counted(found.parts.taken, 'example')}; beside it total correlation "
            f"{found.parts.total_correlation:.2f}, each latent from the prior {found.parts.dimensions:.2f}"
        )
        cards.append(number("mutual information", f"{found.parts.information:.2f}", "nats of x and z", told))
    active = f"{found.active_units} of {found.latent_features}"
    return [*cards, number("active units", active, "latents", "variance of the posterior mean above 0.01")]


def _weights_cards(found: JudgedNumbers) -> list[str]:
    """How much the importance weights are worth, where there are some."""
    if found.k_hat is None:
        return []
    size = (
        ""
        if found.effective_sample_size is None
        else f"effective sample size {found.effective_sample_size:,.1f} of K; "
    )
    share = "" if found.k_hat_above_limit is None else f", above {K_HAT_LIMIT:g} for {found.k_hat_above_limit:.0%}"
    trust = "leaves out by how much log p(x) is too low" if untrusted(found) else "can be trusted"
    told = f"median over examples{share}; {size}the error bar {trust}"
    return [number("importance weights", f"{found.k_hat:.2f}", "k-hat", told)]


def _figure(one: Drawing) -> str:
    least = f"{LEAST_REM_PER_INCH * one.width:.1f}rem" if one.has_words else "0"
    name = escape(one.name.replace("_", " "))
    return (
        f'<figure id="{escape(one.name)}" style="width: {REM_PER_INCH * one.width:.1f}rem; --least: {least}">'
        '<div class="scroll" tabindex="0" role="group" '
        f'aria-label="{name}">{one.markup}</div><figcaption>{escape(one.caption)}</figcaption></figure>'
    )


def _table(table: PageTable) -> str:
    header = "".join(f'<th scope="col">{escape(one)}</th>' for one in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _parts(page: Page) -> list[tuple[str, str]]:
    """Heading and content of every section that has any."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in page.facts)
    said = "".join(f'<li class="{one.tone.value}">{_code(one.text)}</li>' for one in page.remarks)
    key = f'<p class="key">{escape(page.key)}</p>' if page.key else ""
    parts = [(page.verdict, said and f'{key}<ul class="remarks">{said}</ul>'), ("Facts", facts and f"<dl>{facts}</dl>")]
    for one in page.sections:
        figures = "".join(_figure(drawing) for drawing in one.drawings)
        parts.append(
            (
                one.heading,
                (_table(one.table) if one.table else "") + (figures and f'<div class="figures">{figures}</div>'),
            )
        )
    return [(heading, content) for heading, content in parts if content]


def _place(heading: str) -> str:
    return "section-" + re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _code(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def html(page: Page) -> str:
    """The whole document. It loads nothing, runs nothing, and says so to the browser."""
    parts = _parts(page)
    contents = "".join(f'<li><a href="#{_place(heading)}">{escape(heading)}</a></li>' for heading, _ in parts)
    sections = "".join(
        f'<section id="{_place(heading)}"><h2>{escape(heading)}</h2>{content}</section>' for heading, content in parts
    )
    numbers = beside(page.cards) + ("" if page.numbers is None else key_numbers(page.numbers, page.notes))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{CSS}</style></head><body><main>"
        f'<header><h1>{escape(page.title)}</h1><p class="lead">{escape(page.lead)}</p>{numbers}</header>'
        f'<nav aria-label="Contents"><ol>{contents}</ol></nav>{sections}'
        f"<footer>{_code(page.footer)}</footer></main></body></html>\n"
    )
