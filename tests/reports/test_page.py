"""The page that compares runs: whole, safe, readable, and the same numbers everywhere."""

import csv
import html.parser
import json
import re

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from PIL import Image
from written_runs import write_run

import steepest
from steepest.cli.main import main
from steepest.core.errors import InputError
from steepest.reports.picture import COLOURS
from steepest.reports.tables import COLUMNS, cell_text

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>&\"'$x_1$|`*"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two methods on two environments; an unfinished run, a failed one, a recording, and names that mean harm."""
    root = tmp_path_factory.mktemp("page")
    runs = root / "study" / "runs"
    generator = np.random.default_rng(0)
    for env, low, high in (("CartPole-v1", 50, 500), ("Acrobot-v1", -500, -80)):
        for algorithm in ("ppo", "a2c"):
            scores = dict(enumerate(generator.uniform(low, high, 5).round(2)))
            write_run(runs / f"{algorithm}-{env}", scores, env=env, algorithm=algorithm)
    write_run(runs / f"half {EVIL.replace('/', '∕')}", {7: 99.0}, until=0.6)
    write_run(runs / "own-kwargs", {0: 1.0}, env_kwargs={EVIL: EVIL})
    (root / "study" / "study.toml").write_text("")
    (root / "study" / "failures").mkdir()
    (root / "study" / "failures" / "lost.json").write_text(json.dumps({"run": "lost", "message": EVIL, "time": 0}))
    Image.new("RGB", (60, 40), "teal").save(runs / "ppo-CartPole-v1" / "play.gif")
    (runs / "a2c-CartPole-v1" / "play.mp4").write_bytes(b"\0" * 4_000_000)
    numbers = steepest.compare(root / "study", out=root / "report")
    return root / "report", numbers


class Reader(html.parser.HTMLParser):
    """What is in a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.cell, self.open = [], [], None, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append((dict(attributes).get("id"), []))
        elif tag == "tr":
            self.tables[-1][1].append([])
        elif tag in ("td", "th"):
            self.cell = []

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][1][-1].append("".join(self.cell))
            self.cell = None


@pytest.fixture(scope="module")
def reader(report):
    return Reader((report[0] / "index.html").read_text())


def test_the_page_needs_nothing_but_itself(reader):
    for tag, attributes in reader.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert re.match(r"(#|data:|\./|$)", attributes.get(name) or ""), (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base")
    assert sum(tag == "script" for tag, _ in reader.tags) == 1
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]


def test_every_id_is_there_once_and_everything_that_points_at_one_finds_it(reader):
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in reader.tags:
        for each in (attributes.get("aria-labelledby") or "").split():
            assert each in ids
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_pictures_and_recordings_are_described_in_words(reader):
    described = [each for tag, each in reader.tags if tag == "svg" and each.get("role") == "img"]
    assert len(described) >= 10
    assert all(each.get("aria-labelledby") for each in described)
    hidden = [each for tag, each in reader.tags if tag == "svg" and each.get("role") != "img"]
    assert all(each.get("aria-hidden") == "true" for each in hidden)
    images = [each for tag, each in reader.tags if tag in ("img", "video")]
    assert len(images) == 1  # the gif; the film of 4 MB is linked to
    assert all(each.get("alt") or each.get("aria-label") for each in images)
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert any(each.endswith("a2c-CartPole-v1/play.mp4") for each in links)


def test_the_table_of_every_seed_is_data_csv(report, reader):
    out, numbers = report
    (rows,) = [rows for name, rows in reader.tables if name == "every-seed"]
    with (out / "data.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == list(COLUMNS)
    assert rows[0] == list(COLUMNS.values())
    assert len(rows) - 1 == len(written) == len(numbers["seeds"]) == 22
    for shown, row, seed in zip(rows[1:], written, numbers["seeds"], strict=True):
        assert row == {name: "" if seed[name] is None else str(seed[name]) for name in COLUMNS}
        assert shown == [
            cell_text("" if seed[name] is None and not shown[index] else seed[name])
            for index, name in enumerate(COLUMNS)
        ]


def test_names_of_users_stay_names(report):
    out, _ = report
    text = (out / "index.html").read_text()
    assert "&lt;/script&gt;&lt;script&gt;alert" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "<img" not in (out / "table.md").read_text()
    latex = "\n".join(line for line in (out / "table.tex").read_text().splitlines() if not line.startswith("%"))
    assert r"\$x\_1\$" in latex
    assert not re.search(r"(?<!\\)[#_]", latex)


def test_pictures_say_themselves_that_five_seeds_are_few(report, tmp_path):
    svgs = re.findall(r"<svg viewBox=\"0 0 (?:360|760).*?</svg>", (report[0] / "index.html").read_text(), re.DOTALL)
    assert len(svgs) >= 10
    assert all("seeds or fewer" in each or "one seed each" in each for each in svgs)
    write_run(tmp_path / "many", dict.fromkeys(range(8), 3.0) | {0: 1.0})
    steepest.compare(tmp_path, out=tmp_path / "out")
    text = (tmp_path / "out" / "index.html").read_text()
    assert "seeds or fewer" not in text
    assert "8 seeds" in text


def test_there_is_a_png_of_each_picture_and_it_shows_something(report, reader):
    out, _ = report
    names = {
        each["id"].removeprefix("picture-") for tag, each in reader.tags if each.get("id", "").startswith("picture-")
    }
    assert {path.stem for path in out.glob("*.png")} == names
    assert {"learning-cartpole-v1", "final-acrobot-v1", "aggregate-iqm", "aggregate-optimality-gap"} <= names
    for path in out.glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 200
            colours = {colour[:3] for _, colour in image.convert("RGB").getcolors(1 << 24)}
        assert len(colours) > 20
        assert {tuple(bytes.fromhex(each[1:])) for each in COLOURS} & colours, path.name


def test_a_report_replaces_an_earlier_one_and_nothing_else(report, tmp_path):
    run = write_run(tmp_path / "a", {0: 1.0, 1: 2.0})
    out = tmp_path / "out"
    for _ in range(2):
        steepest.compare(run, out=out)
    with pytest.raises(InputError, match="not empty, and not an earlier report"):
        steepest.compare(run, out=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file of that name exists"):
        steepest.compare(run, out=tmp_path / "file")


def test_the_command_prints_tables_or_one_object(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a", {0: 1.0, 1: 2.0})
    assert main(["compare", "a", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(json.dumps(steepest.compare("a")))
    assert err == ""
    assert not (tmp_path / "report").exists()
    assert main(["compare", "a"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "report/index.html"
    assert "ppo reaches an interquartile mean return of 1.5" in err
    assert main(["compare", "a", "--quiet", "--out", "other"]) == 0
    assert capsys.readouterr() == ("other/index.html\n", "")


CONTRAST = """(() => {
  const light = (c) => { c = c / 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const of = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return .2126 * light(r) + .7152 * light(g) + .0722 * light(b); };
  const paper = of(getComputedStyle(document.body).backgroundColor);
  const contrast = (a) => (Math.max(a, paper) + .05) / (Math.min(a, paper) + .05);
  const names = [...document.querySelectorAll("svg .name")].map((each) => contrast(of(getComputedStyle(each).fill)));
  return {ink: contrast(of(getComputedStyle(document.body).color)), names: Math.min(...names), paper};
})()"""
OVERFLOWING = """(() => {
  const shown = [...document.querySelectorAll("figure svg")].filter((each) => each.getBoundingClientRect().width);
  const bad = [];
  for (const svg of shown) {
    const box = svg.getBoundingClientRect();
    if (box.width < 250 || box.height < 80) bad.push(["small", svg.id, box.width, box.height]);
    for (const text of svg.querySelectorAll("text")) {
      const at = text.getBoundingClientRect();
      if (at.left < box.left - 1 || at.right > box.right + 3 || at.bottom > box.bottom + 1)
        bad.push([text.textContent, at.left - box.left, at.right - box.right]);
      if (at.width && parseFloat(getComputedStyle(text).fontSize) * box.width / svg.viewBox.baseVal.width < 9.5)
        bad.push(["tiny", text.textContent]);
    }
  }
  const page = document.documentElement;
  return {bad, pictures: shown.length, wider: page.scrollWidth - page.clientWidth};
})()"""
SORTED = """(() => {
  const table = document.querySelector("#every-seed");
  const column = [...table.tHead.rows[0].cells].findIndex((each) => each.textContent === NAME);
  const press = () => { table.tHead.rows[0].cells[column].querySelector("button").click();
    return [table.tHead.rows[0].cells[column].getAttribute("aria-sort"),
            [...table.tBodies[0].rows].map((row) => row.cells[column].dataset.value)]; };
  return [press(), press()];
})()"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine; the other tests look at the text")
def test_the_page_in_a_browser(report, tmp_path):
    """On a phone and a desk, light and dark: no error, no network, pictures whole, tables sorted by a click."""
    out, numbers = report
    browser = Browser(tmp_path)
    try:
        papers = []
        for width, dark in ((390, False), (390, True), (1280, True), (1280, False)):
            browser.show(out / "index.html", width=width, dark=dark)
            found = browser.ask(OVERFLOWING)
            assert found["wider"] <= 0
            assert found["bad"] == []
            assert found["pictures"] >= 10
            contrast = browser.ask(CONTRAST)
            assert contrast["ink"] > 7
            assert contrast["names"] > 4.5
            papers.append(contrast["paper"])
        assert papers[0] == papers[3] > 0.9
        assert papers[1] == papers[2] < 0.05
        assert browser.ask("document.querySelector('#summary').textContent").startswith("On ")

        known = sorted(each["return"] for each in numbers["seeds"])
        (up, ascending), (down, descending) = browser.ask(SORTED.replace("NAME", '"return"'))
        assert (up, down) == ("ascending", "descending")
        assert list(map(float, ascending)) == known
        assert list(map(float, descending)) == known[::-1]
        (_, names), _ = browser.ask(SORTED.replace("NAME", '"environment"'))
        assert names == sorted(names, key=str.lower)

        place = "document.querySelector('#picture-learning-cartpole-v1 svg').getBoundingClientRect()"
        browser.ask("document.querySelector('#picture-learning-cartpole-v1').scrollIntoView({behavior: 'instant'})")
        middle = browser.ask(f"(() => {{ const b = {place}; return [b.x + b.width / 2, b.y + b.height / 2]; }})()")
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=middle[0], y=middle[1])
        tip = browser.ask("document.querySelector('#tip').hidden ? '' : document.querySelector('#tip').textContent")
        assert re.match(r"[\d,]+ steps\na2c: .*\nppo: ", tip)
        assert browser.complaints() == []
    finally:
        browser.close()
