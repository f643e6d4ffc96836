import json
import re
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape

from neocog import recipes
from neocog.data import ImageSet
from neocog.evaluation.evaluate import classification_metrics, evaluate
from neocog.models import build
from neocog.rendering.i18n import LANGUAGES, translator
from neocog.report import page
from neocog.report.page import confusions
from neocog.report.phrases.report import CHANGES, REPORT
from neocog.training import train

from ...data.test_custom import save

MEGA = 1_000_000


@pytest.fixture(scope="module")
def judged(quick_run):
    return evaluate(quick_run.path, device="cpu")


@pytest.fixture(scope="module")
def written(judged):
    return page.write(judged, "en")


def changed(found, test, probabilities):
    """The evaluation of other images and answers, as if they were the run's own."""
    result = replace(found.result, **vars(classification_metrics(test, probabilities)))
    return replace(found, test=test, probabilities=probabilities, result=result)


def answered(count, num_classes, seed=0):
    """Answers that are mostly right, and their labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % num_classes
    shares = random.dirichlet(np.full(num_classes, 0.3), count)
    shares[np.arange(count), labels] += random.random(count)
    return labels.astype(np.int64), (shares / shares.sum(1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("dark", "width"), [(False, 1000), (True, 390)])
def test_the_page_opens_from_disk_and_fits_a_phone(written, open_page, dark, width):
    opened = open_page(written, dark=dark, width=width)
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    images = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert opened.evaluate(images)
    anchors = opened.eval_on_selector_all("nav a", "all => all.map(a => a.getAttribute('href'))")
    assert len(anchors) == len(page.SECTIONS)
    assert all(opened.locator(anchor).count() == 1 for anchor in anchors)
    assert written.stat().st_size < 3 * MEGA


def test_the_verdict_comes_first(judged, written, open_page):
    opened = open_page(written)
    result = judged.result
    assert (
        opened.inner_text("h1")
        == f"{result.accuracy:.1%} of 1,000 test images classified correctly"
    )
    low, high = (f"{v:.1%}" for v in result.interval)
    header = opened.inner_text("header")
    assert f"95% interval {low} to {high}" in header
    sizes = judged.run.read_environment().data.sizes
    assert f"the accuracy on {sizes.validation:,} validation images" in header


def test_every_cell_opens_its_images(judged, written, open_page):
    opened = open_page(written)
    counts = np.array(judged.result.confusion)
    buttons = opened.locator(".matrix button")
    assert buttons.count() == (counts > 0).sum()
    wrong = counts - np.diag(np.diag(counts))
    truth, guess = np.unravel_index(wrong.argmax(), wrong.shape)
    panel = opened.locator(f"#cell-{truth}-{guess}")
    assert not panel.is_visible()
    opened.click(f"[popovertarget='cell-{truth}-{guess}']")
    assert panel.is_visible()
    tiles = panel.locator(".cell-image")
    assert tiles.count() == min(wrong.max(), confusions.MAX_PER_CELL)
    assert tiles.first.bounding_box()["width"] >= 40
    opened.keyboard.press("Escape")
    assert not panel.is_visible()


def test_a_curve_is_read_where_the_pointer_is(judged, written, open_page):
    opened = open_page(written)
    chart = opened.locator("svg[data-read]").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    opened.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] / 2)
    last = judged.run.read_metrics()[-1]
    read = opened.locator("output").first.inner_text()
    assert read.startswith(f"epoch {last.epoch}: train {last.train_loss:.3g}")
    opened.mouse.move(0, 0)
    assert opened.locator("output").first.inner_text() == ""


def test_without_a_script_everything_is_there(written):
    text = re.sub(r"<script>.*?</script>", "", written.read_text("utf-8"), flags=re.DOTALL)
    for phrase in ("confusion", "reliability", "mistakes", "seen", "filters", "maps", "timings"):
        assert REPORT[phrase][0].replace("'", "&#39;") in text
    assert "<title>1: train" in text


def test_chinese_letters_have_glyphs(judged, open_page):
    """Without the page's own font two different letters would be the same box."""
    opened = open_page(page.write(judged, "zh"))
    assert opened.evaluate("document.documentElement.lang") == "zh-CN"
    opened.evaluate("document.fonts.ready")
    for place in ("h1", "nav", "#trained", ".scores th"):
        letters = opened.locator(place).first.inner_text()
        chosen = [c for c in dict.fromkeys(letters) if "\u4e00" <= c <= "\u9fff"][:2]
        assert len(chosen) == 2
        drawn = [drawn_letter(opened, place, letter) for letter in chosen]
        assert drawn[0] != drawn[1]


def drawn_letter(opened, place, letter):
    """The pixels of the first such letter where it stands on the page."""
    box = opened.evaluate(
        """([place, letter]) => {
          const walker = document.createTreeWalker(document.querySelector(place), 4);
          for (let node = walker.nextNode(); node; node = walker.nextNode()) {
            const at = node.data.indexOf(letter);
            if (at < 0) continue;
            const range = document.createRange();
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            const { x, y, width, height } = range.getBoundingClientRect();
            return { x: Math.round(x), y: Math.round(y + scrollY), width: 14, height: 16 };
          }
        }""",
        [place, letter],
    )
    return opened.screenshot(full_page=True, clip=box)


def test_no_english_is_left_in_the_chinese_page(judged):
    text = page.write(judged, "zh").read_text("utf-8")
    body = re.sub(r"<(script|style|pre|svg|code).*?</\1>|<[^>]*>", "|", text, flags=re.DOTALL)
    body = body.replace(escape(judged.run.read_recipe().source), "")  # as it was recorded
    assert re.findall(r"[A-Za-z]+(?: [A-Za-z]+){3,}", body) == []


def test_names_are_only_ever_text(judged, open_page):
    """Class names and paths are their user's; none of them may do anything."""
    names = (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert()>',
        "{{ 7 * 7 }}",
        "''&amp;",
    )
    labels, shares = answered(200, len(names))
    paths = tuple(f"<b>{n}</b>\"'.png" for n in range(200))
    test = ImageSet(judged.test.images[:200], labels, names, paths)
    opened = open_page(page.write(changed(judged, test, shares), "en"))
    heads = opened.eval_on_selector_all(".matrix [scope=row]", "all => all.map(t => t.textContent)")
    assert tuple(heads) == names
    assert opened.locator(".tiles b").count() == 0


def test_no_mistakes_and_nothing_but_mistakes(judged, open_page):
    perfect = np.eye(10, dtype=np.float32)[judged.test.labels]
    opened = open_page(page.write(changed(judged, judged.test, perfect), "en"))
    assert opened.inner_text("h1").startswith("100.0%")
    assert REPORT["no_mistakes"][0] in opened.inner_text("main")
    wrong = np.roll(perfect, 1, axis=1)
    opened = open_page(page.write(changed(judged, judged.test, wrong), "en"))
    assert opened.inner_text("h1").startswith("0.0%")
    assert opened.locator("#maps").count() == 0
    assert opened.locator("nav a[href='#maps']").count() == 0


def test_a_network_that_diverged_has_a_page(judged, open_page):
    nothing = np.full_like(judged.probabilities, np.nan)
    opened = open_page(page.write(changed(judged, judged.test, nothing), "en"))
    assert opened.locator("h1").count() == 1


@pytest.mark.parametrize(("num_classes", "rows"), [(100, 100), (400, 0)])
def test_many_classes(judged, open_page, num_classes, rows):
    """A matrix of a hundred classes; of hundreds, the worst cells only, their images too."""
    labels, shares = answered(4000, num_classes)
    names = tuple(f"class {k}" for k in range(num_classes))
    images = np.resize(judged.test.images, (4000, 28, 28, 1))
    found = changed(judged, ImageSet(images, labels, names), shares)
    facts = replace(judged.classifier.architecture, num_classes=num_classes)
    model = build("lenet5", num_classes, 1, (28, 28)).eval()
    classifier = replace(judged.classifier, read_model=lambda: model, architecture=facts)
    found = replace(found, classifier=classifier)
    file = page.write(found, "en")
    assert file.stat().st_size < 8 * MEGA
    opened = open_page(file, width=390)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.locator(".matrix tbody tr").count() == rows
    number = opened.locator("td.number button").first
    number.click()
    assert opened.locator(f"#{number.get_attribute('popovertarget')} .cell-image").count() > 0
    first = opened.locator(".scores tbody tr").first.inner_text()
    worst = min(found.result.per_class, key=lambda row: row.f1)
    assert f"{worst.f1:.3f}" in first


def test_photos_have_their_penalties_and_their_findings(tmp_path, open_page):
    for n in range(40):
        save(tmp_path / "photos" / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    save(tmp_path / "photos" / "cat" / "copy.png", 1)
    recipe = recipes.get("photos", {"data": str(tmp_path / "photos")})
    run = train(recipe, runs_dir=tmp_path / "runs", device="cpu").run
    found = evaluate(run.path, device="cpu")
    file = page.write(found, "en")
    opened = open_page(file)
    main = opened.inner_text("main")
    assert "1 duplicate image" in main
    assert (
        "too few images for reliable results" in main or "too few for a reliable estimate" in main
    )
    assert REPORT["held_out_loss"][0] in main
    assert REPORT["frozen_note"][0] in main
    assert opened.locator("[title='cat/1.png'], [title$='.png']").count() > 0
    # Names stand where they can be read and copied, not only under the pointer.
    assert opened.locator(".looks .file").first.inner_text().endswith(".png")
    assert opened.locator(".looks .file").count() == opened.locator(".looks .look").count()
    assert file.stat().st_size < 8 * MEGA
    assert "张重复图像" in page.write(found, "zh").read_text("utf-8")


def test_a_network_without_maps_says_so(mnist5k, judged, open_page):
    classifier = replace(
        judged.classifier,
        read_model=build("threenet", 10, 1, (28, 28)).eval,
        architecture=replace(judged.classifier.architecture, name="threenet"),
    )
    opened = open_page(page.write(replace(judged, classifier=classifier), "en"))
    assert REPORT["no_cam"][0] in opened.inner_text("main")
    assert opened.locator(".strip").count() >= 3
    assert opened.locator("img.filters").count() == 1


def test_every_phrase_is_in_both_languages():
    for phrases in (REPORT, CHANGES):
        for key, texts in phrases.items():
            assert len(texts) == len(LANGUAGES)
            blanks = [set(re.findall(r"{(\w+)[}:]", text)) for text in texts]
            assert blanks[0] == blanks[1], key


def test_every_change_that_a_recipe_makes_has_a_word():
    made = {name for name in vars(recipes.get("lenet5")) if name.startswith("augment_")}
    assert made - {"augment_edge"} <= set(CHANGES)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_says_what_it_changes(name):
    recipe = recipes.get(name)
    words = page._changes(recipe, translator(CHANGES, "en"))
    changes = any(
        getattr(recipe, key) not in (0, "none") for key in CHANGES if key.startswith("augment_")
    )
    alone = recipe.feature_views and not recipe.fine_tune
    assert bool(words) == (recipe.feature_views > 1 if alone else changes)


def test_the_command_writes_the_page_and_says_where(neocog_command, quick_run):
    quick_run.report_file.unlink(missing_ok=True)
    code, out, err = neocog_command("report", quick_run.path, "--lang", "zh", "--json")
    assert code == 0
    assert json.loads(out)["report"] == str(quick_run.report_file)
    assert "混淆矩阵" in quick_run.report_file.read_text("utf-8")
    assert "report.html" in err


def test_a_model_file_alone_has_no_report(neocog_command, quick_run, tmp_path):
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(quick_run.model_file.read_bytes())
    code, _, err = neocog_command("report", alone)
    assert code == 2 and "is a model file, and a report needs a run folder" in err
    code, _, err = neocog_command("report", quick_run.path, "--lang", "fr")
    assert code == 2 and "Known: en, zh" in err


def test_a_run_that_says_less_of_its_machine_has_a_page(judged):
    kept = judged.run.read_environment()
    try:
        values = kept.to_json()
        few = {key: values[key] for key in ("data", "device", "started", "read_seconds")}
        judged.run.environment_file.write_text(json.dumps(few))
        assert "cpu" in page.write(judged, "en").read_text("utf-8")
    finally:
        judged.run.write_environment(kept)
