"""The page: one HTML file with everything inside, readable in light, dark and on paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vael.evaluation.record import K_HAT_LIMIT, untrusted
from vael.report.record import Facts, Numbers
from vael.report.style import INK, QUIET, RULE, Drawing
from vael.report.verdict import Remark, signed

REM_PER_INCH = 7.4  # of a figure on a screen: its letters are then about as large as those of the text
CSS = f"""
:root {{ color-scheme: light dark; --ink: {INK}; --quiet: {QUIET}; --rule: {RULE}; --page: #ffffff; --card: #f5f7f9; }}
:root {{ --good: #1a7f4b; --warning: #b3541e; }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6eaee; --quiet: #a2adb8; --rule: #3a434c; --page: #14181c; --card: #1d2329; --good: #57c48b; --warning: #f0a060; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif; }}
main {{ max-width: 58rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }}
h2 {{ font-size: 1.25rem; margin: 3rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); break-after: avoid; }}
.lead {{ color: var(--quiet); margin: 0 0 1.6rem; }}
.numbers {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }}
.number {{ background: var(--card); border-radius: .6rem; padding: .8rem 1rem; break-inside: avoid; }}
.number b {{ display: block; font-size: 1.45rem; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.number b small {{ font-size: .85rem; font-weight: 400; color: var(--quiet); }}
.number:first-child {{ grid-column: span 2; }}
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
figure svg {{ display: block; width: 100%; height: auto; }}
figure svg.crisp image {{ image-rendering: pixelated; }}
figcaption {{ font-size: .86rem; line-height: 1.5; color: var(--quiet); margin-top: .7rem; max-width: 50rem; }}
footer {{ margin-top: 3rem; font-size: .82rem; color: var(--quiet); }}
@media (max-width: 36rem) {{ .number:first-child {{ grid-column: auto; }} dl {{ grid-template-columns: 1fr; }} dd {{ margin-bottom: .4rem; }} }}
@media print {{ main {{ max-width: none; padding: 0; }} :root {{ font-size: 9.5pt; }} body {{ font-size: 1rem; }} @page {{ margin: 1.8cm; }} }}
"""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True)
class Page:
    """Everything that is on the page, in order."""

    title: str
    lead: str
    numbers: Numbers | None
    notes: tuple[str, ...]
    remarks: tuple[Remark, ...]
    facts: Facts
    sections: tuple[Section, ...]
    cards: str = ""  # key numbers that are not those of an evaluation, as `number` makes them
    footer: str = "Nats are summed over cells and averaged over examples. Figures are also in `figures/`."


def number(name: str, value: str, unit: str, how: str) -> str:
    """One key number with its unit and how it was estimated."""
    figure = f"<b>{escape(value)} <small>{escape(unit)}</small></b>"
    return f'<div class="number"><span class="name">{escape(name)}</span>{figure}<span>{escape(how)}</span></div>'


def key_numbers(found: Numbers, notes: Sequence[str]) -> str:
    """The evaluation as cards, and under them on what it was measured."""
    nats, each = "nats", f"mean over {found.examples:,} examples"
    cards = []
    if found.log_likelihood is not None:
        error = "" if found.standard_error is None else f" ± {found.standard_error:.2f}"
        how = f"importance-weighted, K = {found.importance_samples:,}; ± standard error over examples"
        cards.append(number("log p(x)", signed(found.log_likelihood) + error, nats, how))
    name, what = ("ELBO", "lower bound on log p(x)") if found.is_bound else ("objective", "minus distortion and divergence; no bound on log p(x)")
    cards.append(number(name, signed(found.elbo), nats, f"{what}, {each}"))
    if found.bits_per_dim is not None:
        cards.append(number("bits per dimension", f"{found.bits_per_dim:.3f}", "bits", "from log p(x)"))
    cards.append(
        number(
            "distortion",
            signed(found.distortion),
            nats,
            "−E log p(x | z), z from the posterior" if found.is_bound else "reconstruction loss, no likelihood",
        )
    )
    cards.append(number("divergence", signed(found.divergence), nats, "KL(q(z | x) ‖ p(z))"))
    cards.append(number("active units", f"{found.active_units} of {found.latent_features}", "latents", "variance of the posterior mean above 0.01"))
    if found.k_hat is not None:
        size = "" if found.effective_sample_size is None else f"effective sample size {found.effective_sample_size:,.1f} of K; "
        share = "" if found.k_hat_above_limit is None else f", above {K_HAT_LIMIT:g} for {found.k_hat_above_limit:.0%}"
        trust = "leaves out what log p(x) lacks" if untrusted(found) else "can be trusted"
        cards.append(number("importance weights", f"{found.k_hat:.2f}", "k-hat", f"median over examples{share}; {size}the error bar {trust}"))
    on = f"Measured on {found.data}, {found.split} split, {found.examples:,} examples." + "".join(f" {note.rstrip('.')}." for note in notes)
    return f'<div class="numbers">{"".join(cards)}</div><p class="lead">{escape(on)}</p>'


def _section(section: Section) -> str:
    figures = "".join(
        f'<figure id="{escape(one.name)}" style="width: {REM_PER_INCH * one.width:.1f}rem">{one.markup}'
        f"<figcaption>{escape(one.caption)}</figcaption></figure>"
        for one in section.drawings
    )
    return f'<section><h2>{escape(section.heading)}</h2><div class="figures">{figures}</div></section>'


def _code(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def html(page: Page) -> str:
    """The whole document. It loads nothing, runs nothing, and says so to the browser."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in page.facts)
    said = "".join(f'<li class="{one.tone.value}">{_code(one.text)}</li>' for one in page.remarks)
    numbers = page.cards and f'<div class="numbers">{page.cards}</div>'
    numbers += "" if page.numbers is None else key_numbers(page.numbers, page.notes)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{CSS}</style></head><body><main>"
        f'<header><h1>{escape(page.title)}</h1><p class="lead">{escape(page.lead)}</p>{numbers}</header>'
        f'<section><h2>How good is it, and what to try next</h2><ul class="remarks">{said}</ul></section>'
        f"<section><h2>Facts</h2><dl>{facts}</dl></section>{''.join(_section(one) for one in page.sections)}"
        f"<footer>{_code(page.footer)}</footer></main></body></html>\n"
    )
