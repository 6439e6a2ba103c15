import html
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.distributions import Normal

from vael import domains, report
from vael.data import Kind, Source, Splits
from vael.evaluation.divergence_parts import DecomposedDivergence
from vael.evaluation.likelihood import Judged
from vael.evaluation.record import Evaluation, _warnings
from vael.models import BernoulliHead, Head
from vael.recipes import dense
from vael.report import page as report_page
from vael.report.page import Page, PageTable, Section, key_numbers
from vael.training import Row

FINGERPRINT = "0123456789abcdef" * 4


class UnitGaussian(Head):
    def forward(self, raw):
        return Normal(raw, torch.ones_like(raw), validate_args=False)

    def check(self, source):
        pass


PARTS = DecomposedDivergence(2.5, 0.4, 0.2, 0.1, 0.1, 0.1, 30, 30)


EVALUATION = Evaluation(
    data="bits",
    split="test",
    examples=30,
    elbo=-43.0,
    distortion=40.0,
    divergence=3.0,
    log_likelihood=-42.0,
    standard_error=0.4,
    importance_samples=500,
    bits_per_dim=None,
    effective_sample_size=None,
    worst_effective_sample_size=None,
    k_hat=None,
    k_hat_above_limit=None,
    active_units=2,
    latent_features=2,
    divergence_per_latent=None,
    elbo_per_example=torch.zeros(30),
    log_likelihood_per_example=None,
    k_hat_per_example=None,
    seed=0,
    seconds=0.0,
    estimator="",
)

NUMBERS = replace(
    EVALUATION,
    elbo=-43.21,
    log_likelihood=-41.98,
    standard_error=0.37,
    importance_samples=500,
    bits_per_dim=0.946,
    effective_sample_size=77.7,
    k_hat=0.41,
    k_hat_above_limit=0.02,
    distortion=40.11,
    divergence=3.1,
    parts=PARTS,
    warnings=("the error bar of one number is wide",),
    notes=("1,000 test images",),
)


EMPTY = Page(
    "A title",
    "A lead.",
    None,
    (),
    (),
    (),
    (Section("Nothing"), Section("Numbers", table=PageTable(("climbed", "bound"), (("β = 1", "−3"),)))),
)


def model(event, head, latent):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dense(event, head, latent=latent, hidden=(8,))


def history():
    steps = range(10, 70, 10)
    return tuple(
        Row(step, 1, split, -50 + step / 9, 45.0, 5.0, 1e3, 1.0, 0, 1e-3)
        for step in steps
        for split in ("train", "validation")
    )


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """2-D latents, grey binary images, labels, a test split with a note, an evaluation, history."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (30, 1, 6, 5), generator=generator, dtype=torch.uint8)
    source = Source(
        "bits",
        x,
        Kind.BINARY,
        FINGERPRINT,
        label=torch.arange(30) % 3 - 1,
        label_names=("a", "b<"),
        notes=("1,000 test images", "left out: b (text)"),
    )
    facts = (("model", "dense & small"), ("parameters", "many"))
    given = report.ReportInput(
        model((1, 6, 5), BernoulliHead(), 2),
        Splits(source, source, source),
        history(),
        NUMBERS,
        facts,
        title="A <title>",
        view=domains.of(source),
    )
    folder = tmp_path_factory.mktemp("grey")
    return report.write(folder, given).read_text()


@pytest.fixture(scope="module")
def colour(tmp_path_factory, figures_whole):
    """10-D latents, RGB integers, no labels, no test split, no evaluation, no history."""
    x = torch.randint(0, 256, (20, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    source = Source("tiles", x, Kind.INTEGER, FINGERPRINT, levels=256)
    folder = tmp_path_factory.mktemp("colour")
    splits = Splits(source, source, None)
    with figures_whole():
        report.write(folder, report.ReportInput(model((3, 8, 8), UnitGaussian(), 10), splits, view=domains.of(source)))
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of numbers."""
    source = Source("wines", torch.randn(50, 5, generator=torch.Generator().manual_seed(0)), Kind.REAL, FINGERPRINT)
    folder = tmp_path_factory.mktemp("table")
    report.write(
        folder,
        report.ReportInput(model((5,), UnitGaussian(), 3), Splits(source, source, source), view=domains.of(source)),
    )
    return folder


def headings(page):
    return [html.unescape(one) for one in re.findall(r"<h2>(.*?)</h2>", page)]


def text(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def test_grey_page_has_every_section(grey):
    assert headings(grey) == [
        "How good is it, and what to try next",
        "Facts",
        "Training",
        "Originals and reconstructions",
        "Samples from the prior",
        "Latent map",
        "Manifold",
        "Traversals",
        "Divergence of each latent",
    ]


def test_pages_load_nothing_and_run_nothing(grey, colour, table):
    for page in (grey, (colour / "report.html").read_text(), (table / "report.html").read_text()):
        loaded = re.findall(r'(?:src|href|srcset|data|action)\s*=\s*"([^"]*)"|url\(([^)]*)\)|@import\s+(\S+)', page)
        addresses = [one for found in loaded for one in found if one]
        assert addresses
        assert all(one.startswith(("#", "data:image/")) for one in addresses)
        assert "<script" not in page
        assert "default-src 'none'" in page


def test_ids_are_unique_and_every_reference_is_answered(grey):
    ids = re.findall(r'\bid="([^"]*)"', grey)
    references = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', grey)
    assert {one for pair in references for one in pair if one} <= set(ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "number", ["−41.98 ± 0.37", "−43.21", "0.946", "40.11", "3.10", "2 of 2", "77.7", "0.41", "K = 500", "30 examples"]
)
def test_numbers_printed_are_those_given(grey, number):
    assert number in text(grey)


def test_notes_stand_once_as_sentences_above_everything_and_captions_name_the_split(grey):
    """A note belongs to every figure and number of the page: it stands once, before all of them."""
    assert text(grey).count("1,000 test images") == 1
    assert "Left out: b (text)." in re.search(r"<header>(.*?)</header>", grey)[1]
    assert "the test split of 30 examples" in grey[: grey.index("<section")]
    for name in ("reconstructions", "divergence_per_latent"):
        caption = re.search(rf'<figure id="{name}".*?<figcaption>(.*?)</figcaption>', grey, re.DOTALL)[1]
        assert "the test split of 30 examples" in caption


def sections(page):
    return {
        html.unescape(one[1]): one
        for one in re.findall(r'<section id="([^"]*)"><h2>(.*?)</h2>(.*?)</section>', page, re.DOTALL)
    }


def test_every_section_has_something_in_it_and_stands_in_the_contents(grey, colour, table):
    for page in (
        grey,
        (colour / "report.html").read_text(),
        (table / "report.html").read_text(),
        report_page.html(EMPTY),
    ):
        found = sections(page)
        assert list(found) == headings(page)
        assert all(text(content).strip() for _, _, content in found.values())
        contents = re.findall(r'<li><a href="#([^"]*)">(.*?)</a></li>', re.search(r"<nav.*?</nav>", page)[0])
        assert contents == [(place, name) for place, name, _ in found.values()]


def test_parts_that_are_empty_have_no_heading():
    assert headings(report_page.html(EMPTY)) == ["Numbers"]
    assert re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", report_page.html(EMPTY)) == [
        "climbed",
        "bound",
        "β = 1",
        "−3",
    ]


@pytest.mark.parametrize("cards", range(1, 12))
def test_no_card_is_left_alone_in_a_row(cards):
    """The first card takes two places; the last row has two cards at least, or there is one row."""
    places = cards + 1
    last = (places - 1) % report_page.across(places) + 1
    assert last >= 2
    assert places <= report_page.across(places) or last > 1


def test_figures_with_words_keep_a_width_at_which_they_can_be_read(grey):
    """Letters of a figure are 7 points at least (1 inch is 72), and a rem is 16 pixels."""
    for width, least in re.findall(r'<figure id="[^"]*" style="width: ([\d.]+)rem; --least: ([\d.]+)(?:rem)?"', grey):
        inches = float(width) / report_page.REM_PER_INCH
        assert float(least) == 0 or 16 * float(least) / inches * 7 / 72 >= 9.9
    assert 'id="reconstructions" style' in grey
    assert "overflow-x: auto" in grey


def test_the_evaluation_s_own_warning_is_on_the_page(grey):
    assert "The error bar of one number is wide." in grey


def test_what_people_gave_is_escaped_and_their_facts_come_first(grey):
    assert "<title>A &lt;title&gt;</title>" in grey
    assert "<dd>dense &amp; small</dd>" in grey
    assert "<dd>many</dd>" in grey
    assert grey.count("<dt>parameters</dt>") == 1
    assert f"<dd>{FINGERPRINT[:12]}</dd>" in grey


def test_pictures_of_the_page_follow_its_colours(grey):
    assert "fill: var(--ink)" in grey
    assert "prefers-color-scheme: dark" in grey
    assert "@media print" in grey


def test_without_test_split_labels_evaluation_and_history(colour):
    page = (colour / "report.html").read_text()
    assert "Training" not in headings(page)
    assert "Manifold" not in headings(page)
    assert "validation split of 20" in page
    assert "test split" not in page
    assert "No labels are known" in page
    assert "vael evaluate" in page
    assert "of the variance in 10 latents" in page


def test_figures_are_whole_png_files_and_nothing_is_left_over(colour):
    names = {one.name for one in (colour / "figures").iterdir()}
    assert {"reconstructions.png", "sample_means.png", "sample_draws.png", "latent_map.png", "traversals.png"} <= names
    assert {one.stem for one in (colour / "figures").iterdir()} == set(
        re.findall(r'<figure id="([^"]*)"', (colour / "report.html").read_text())
    )
    for stem in {one.rsplit(".", 1)[0] for one in names}:
        assert {f"{stem}.png", f"{stem}.svg", f"{stem}.pdf"} <= names
    assert not [one for one in names if one.startswith(".") or one.endswith(".tmp")]
    for path in (colour / "figures").glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 150
    with Image.open(colour / "figures" / "sample_means.png") as picture:
        assert picture.size == (700, 700)


def test_a_table_gets_columns_instead_of_images(table):
    names = {one.stem for one in (table / "figures").iterdir()}
    assert names == {"reconstructions", "histograms", "correlations", "latent_map", "divergence_per_latent"}
    page = (table / "report.html").read_text()
    assert "Pearson" in page or "Correlation of each pair" in page
    assert "Traversals" not in headings(page)


def test_the_same_run_gives_the_same_page(table, tmp_path):
    source = Source("wines", torch.randn(50, 5, generator=torch.Generator().manual_seed(0)), Kind.REAL, FINGERPRINT)
    report.write(
        tmp_path,
        report.ReportInput(model((5,), UnitGaussian(), 3), Splits(source, source, source), view=domains.of(source)),
    )
    assert (tmp_path / "report.html").read_bytes() == (table / "report.html").read_bytes()


@pytest.mark.parametrize(
    ("share", "effective", "median"), [(0.37, 40.0, 0.5), (0.0, 1.1, 0.2), (0.02, 77.0, 0.41), (0.1, 10.0, 0.69)]
)
def test_the_card_trusts_an_error_bar_where_the_evaluation_does_not_warn_of_it(share, effective, median):
    """One rule for both: a median of 0.5 beside 37 % of the examples above 0.7 is no reason to trust."""
    numbers = replace(NUMBERS, k_hat=median, k_hat_above_limit=share, effective_sample_size=effective)
    found = replace(EVALUATION, k_hat=median, k_hat_above_limit=share, effective_sample_size=effective)
    each = torch.zeros(found.examples, dtype=torch.float64)
    judged = Judged(each, each, each, each + effective, each + median, each[:, None], None, each)
    warned = list(_warnings(found, judged, can_fit=True))
    card = key_numbers(numbers, ())
    assert ("can be trusted" in card) == (not warned)
    assert f"{share:.0%}" in card
