import io
import itertools
import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from neocog.demos import convolution as parts
from neocog.demos import convolution_frames, convolution_page
from neocog.demos.convolution import Dimensions
from neocog.demos.phrases import CONVOLUTION
from neocog.errors import NeocogError, UsageError


@pytest.fixture
def shown(tmp_path, open_page):
    """A function that writes a demo's page and opens it."""

    def opened(demo, **options):
        (path,) = convolution_page.write(demo, html=tmp_path / f"{demo.lang}.html")
        return open_page(path, **options)

    return opened


@pytest.fixture(scope="session")
def seven(tmp_path_factory, mnist5k):
    """An image of a 7."""
    test = mnist5k.test
    path = tmp_path_factory.mktemp("images") / "seven.png"
    Image.fromarray(test.images[np.nonzero(test.labels == 7)[0][3], :, :, 0]).save(path)
    return path


def numbers(page, name):
    """A grid of the page as its texts say."""
    texts = page.locator(f'[data-plane="{name}"] .cell text').all_text_contents()
    side = round(len(texts) ** 0.5)
    values = [float(text.replace("−", "-")) for text in texts]
    return torch.tensor(values, dtype=torch.float64).view(side, side)


def values(page, name):
    """A grid of the page as its cells say, shaded ones, too."""
    found = page.locator(f'[data-plane="{name}"] .cell').evaluate_all(
        "cells => cells.map(cell => Number(cell.dataset.value))"
    )
    return torch.tensor(found, dtype=torch.float64)


def assert_shows(page, dimensions, seed=0):
    """The page's inputs, filters and output are the example's, and the output is torch's."""
    c = parts.example(dimensions, seed)
    expected = F.conv2d(
        c.inputs[None], c.weights, c.bias, dimensions.stride, dimensions.padding,
        dimensions.dilation,
    )[0]  # fmt: skip
    for channel, plane in enumerate(c.padded):
        assert torch.equal(values(page, f"input-{channel}"), plane.flatten())
    for f, plane in enumerate(expected):
        assert torch.equal(values(page, f"output-{f}"), plane.flatten())
    return expected


def fill(page, **wanted):
    for name, value in wanted.items():
        page.fill(f"[name={name}]", str(value))


def test_the_page_steps_through_every_number_and_its_sum(shown):
    page = shown(convolution_page.from_dimensions(Dimensions()))
    expected = assert_shows(page, Dimensions())
    for f in (0, 1):
        assert torch.equal(numbers(page, f"output-{f}"), expected[f])
    c = parts.example(Dimensions())
    for step, place in enumerate(np.ndindex(2, 3, 3)):
        assert (
            page.locator("#place")
            .text_content()
            .startswith(f"Step {step + 1} of 18: filter {place[0]}")
        )
        found = parts.one_sum(c, *place)
        total = page.locator("#total b").text_content().replace("−", "-")
        assert float(total) == found.total == expected[place]
        for part in found.parts:
            for kind in ("window", "weights", "products"):
                on_page = numbers(page, f"{kind}-{part.channel}")
                assert on_page.tolist() == getattr(part, kind)
            text = page.locator(f'[data-part="{part.channel}"]').text_content()
            assert float(text.replace("−", "-")) == part.sum
        page.keyboard.press("ArrowRight")
    assert page.locator("#next").is_disabled()
    assert page.locator("#outputs .later").count() == 0


def test_the_window_is_marked_where_the_output_comes_from(shown):
    page = shown(convolution_page.from_dimensions(Dimensions()))
    page.locator('[data-plane="output-1"] .cell').nth(5).click()  # row 1, column 2
    assert "filter 1, row 1, column 2" in page.locator("#place").text_content()
    window = page.locator('[data-plane="input-0"] .mark rect')
    assert [window.get_attribute(k) for k in ("x", "y", "width")] == ["112", "56", "84"]
    mark = page.locator('[data-plane="output-1"] .mark rect')
    assert [mark.get_attribute(k) for k in ("x", "y", "width")] == ["56", "28", "28"]
    assert page.locator('[data-plane="output-0"] .mark rect').count() == 0
    assert page.locator(".filter.current").get_attribute("data-filter") == "1"


def test_buttons_and_keys_lead_everywhere(shown):
    page = shown(convolution_page.from_dimensions(Dimensions()))

    def step():
        return int(re.search(r"\d+", page.locator("#place").text_content()).group())

    assert page.locator("#back").is_disabled()
    page.click("#last")
    assert step() == 18
    page.click("#back")
    assert step() == 17
    page.click("#first")
    assert step() == 1
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert step() == 17
    page.locator("#scrub").fill("4")
    assert step() == 5


def test_it_plays_at_the_chosen_speed_until_paused_or_at_its_end(shown):
    page = shown(convolution_page.from_dimensions(Dimensions()))
    page.clock.install(time=0)  # time passes as told below, on a busy machine as on an idle one
    page.clock.pause_at(1000)

    def place():
        return page.locator("#place").text_content()

    page.select_option("#speed", "250")
    page.click("#play")
    assert page.locator("#play").text_content() == "Pause"
    page.clock.run_for(740)
    assert "Step 3 of" in place()
    page.clock.run_for(20)
    assert "Step 4 of" in place()
    page.locator("body").press("Space")
    assert page.locator("#play").text_content() == "Play"
    page.clock.run_for(10_000)
    assert "Step 4 of" in place()
    page.locator("body").press("Space")
    page.clock.run_for(60_000)
    assert "Step 18 of" in place()
    assert page.locator("#play").text_content() == "Play"


@pytest.mark.parametrize(
    "edit",
    [
        {"size": 7}, {"size": 9, "stride": 1, "dilation": 2}, {"channels": 1, "filters": 5},
        {"size": 32, "kernel": 5, "stride": 3}, {"padding": 3, "kernel": 4}, {"stride": 3},
        {"channels": 8, "filters": 8, "padding": 0},
    ],
    ids=str,
)  # fmt: skip
def test_edited_dimensions_give_torchs_numbers(shown, edit):
    page = shown(convolution_page.from_dimensions(Dimensions()))
    fill(page, **edit)
    dimensions = Dimensions(**edit)
    expected = assert_shows(page, dimensions)
    assert f"= {dimensions.output}" in re.sub(
        r"= [\d.]+, rounded down to", "=", page.locator("#formula").text_content()
    )
    page.click("#last")
    assert float(page.locator("#total b").get_attribute("data-total")) == expected[-1, -1, -1]
    left = parts.unseen(
        dimensions.size, dimensions.kernel, dimensions.stride, dimensions.padding,
        dimensions.dilation,
    )  # fmt: skip
    assert (f"last {left} row" in page.locator("#notes").text_content()) == bool(left)


def test_an_impossible_combination_says_why_and_keeps_the_last_image(shown):
    page = shown(convolution_page.from_dimensions(Dimensions()))
    fill(page, kernel=8)
    trouble = page.locator("#trouble")
    assert "spans 8 cells" in trouble.text_content()
    assert "(W − F + 2P)/S + 1 = (5 − 8 + 2·1)/2 + 1 = 0.50" in trouble.text_content()
    assert "a kernel of at most 7" in trouble.text_content()
    assert_shows(page, Dimensions())
    fill(page, padding=2)  # one of the three ways that it names
    assert trouble.text_content() == ""
    assert_shows(page, Dimensions(kernel=8, padding=2))
    for wrong in ("", "0", "2.5", "99"):
        fill(page, stride=wrong)
        assert "Stride S must be an integer from 1 to 16" in trouble.text_content()
    page.click("#restore")
    assert trouble.text_content() == ""
    assert_shows(page, Dimensions())


def test_new_numbers_are_the_next_seeds(shown):
    page = shown(convolution_page.from_dimensions(Dimensions(), seed=4))
    assert_shows(page, Dimensions(), seed=4)
    page.click("#renew")
    assert_shows(page, Dimensions(), seed=5)


@pytest.mark.parametrize("layer", ["c1", "c3"])
def test_a_trained_layer_is_shown_as_it_answers(shown, quick_run, seven, layer):
    demo = convolution_page.from_run(str(quick_run.path), seven, layer)
    page = shown(demo)
    expected = parts.output(demo.convolution)
    for f, plane in enumerate(expected):
        torch.testing.assert_close(
            values(page, f"output-{f}"), plane.flatten(), rtol=1e-4, atol=1e-4
        )
    total = float(page.locator("#total b").get_attribute("data-total"))
    assert total == pytest.approx(float(expected.max()), rel=1e-4)
    assert "seven.png" in page.locator("#lead").text_content()
    assert page.locator("#dimensions").count() == 0
    best = expected[demo.start]
    assert best == expected.max()


def test_a_depthwise_layer_has_its_own_shapes_and_notes(shown):
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(12, 12, 3, padding=1, groups=12)
    c = parts.of_layer(layer, torch.randn(1, 12, 40, 40))
    demo = convolution_page.Demo(c, run="r", image="i.png")
    notes = " ".join(demo.notes)
    assert "6 of its 12 input channels are shown: the ones that these filters use" in notes
    assert "as one number" not in notes
    assert "uneven" not in notes
    assert convolution_page.image(demo)[:4] == b"\x89PNG"
    headings = shown(demo).locator("#stage h2").all_text_contents()
    assert headings[0].startswith("Input 40 × 40 × 12shown: ")
    assert headings[1] == "Filters 12 × (3 × 3 × 1)shown: 6"
    assert headings[2].startswith("Output 40 × 40 × 12shown: ")


class OneSided(torch.nn.Conv2d):
    def forward(self, x):
        return super().forward(F.pad(x, (0, 1, 0, 1)))


def test_what_is_left_out_of_a_sum_is_said_and_so_is_an_uneven_border():
    torch.manual_seed(0)
    for groups, said in (
        (1, "the sum over the others is"),
        (2, "the sum over the others of a filter's group is"),
    ):
        layer = OneSided(24, 4, 3, stride=2, groups=groups)
        demo = convolution_page.Demo(parts.of_layer(layer, torch.randn(1, 24, 8, 8)), lang="en")
        notes = " ".join(demo.notes)
        assert said in notes
        assert "uneven, 0 before and 1 after" in notes


def test_a_run_is_shown_what_its_network_gets(quick_run, seven):
    from neocog import classifier

    demo = convolution_page.from_run(str(quick_run.path), seven, filters=(2, 4))
    model = classifier.load(quick_run.path, device="cpu")
    with Image.open(seven) as image:
        pixels = torch.from_numpy(np.asarray(image)[None, :, :, None].copy())
    given = model.preprocessing.normalize(pixels)
    assert torch.equal(demo.convolution.inputs, given[0].double())
    with torch.no_grad():
        expected = model.model.c1(given)[0, [2, 4]].double()
    torch.testing.assert_close(parts.output(demo.convolution), expected, rtol=1e-5, atol=1e-5)


def test_a_image_that_cannot_be_read_is_named(quick_run, tmp_path):
    with pytest.raises(NeocogError, match=r"gone\.png: there is no such file"):
        convolution_page.from_run(str(quick_run.path), tmp_path / "gone.png")
    with pytest.raises(UsageError, match="seed"):
        convolution_page.from_dimensions(Dimensions(), -1)


@pytest.mark.parametrize("width", [390, 1000])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_no_wider_than_the_screen(shown, quick_run, seven, dark, width):
    for demo in (
        convolution_page.from_dimensions(Dimensions(), lang="zh"),
        convolution_page.from_run(str(quick_run.path), seven, "c3"),
    ):
        page = shown(demo, dark=dark, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.evaluate(
            "Math.min(...[...document.querySelectorAll('main *')].filter(e => e.innerText && "
            "!e.children.length).map(e => parseFloat(getComputedStyle(e).fontSize)))"
        )
        assert small >= 11.5


def test_chinese_is_spoken_whole_and_has_glyphs(shown):
    page = shown(convolution_page.from_dimensions(Dimensions(), lang="zh"))
    assert page.evaluate("document.fonts.check('16px \"Neocog Han\"', '卷积')")
    assert page.evaluate("document.fonts.size") == 1
    text = page.locator("main").inner_text()
    for word in ("逐个数字看卷积", "输入大小 W", "步幅 S", "播放", "求和", "偏置", "第 1 步"):
        assert word in text
    assert not re.search(r"[a-z]{4,}", text)
    fill(page, kernel=9)
    assert "放不下：卷积核的跨度为 9" in page.locator("#trouble").text_content()


def test_every_phrase_is_in_both_languages_with_the_same_blanks():
    for key, (english, chinese) in CONVOLUTION.items():
        blanks = [set(re.findall(r"\{(\w+)[}:]", text)) for text in (english, chinese)]
        assert blanks[0] == blanks[1], key
        assert re.search(r"[\u4e00-\u9fff]", chinese), key


def test_no_text_of_a_file_becomes_markup(quick_run, seven, tmp_path, shown):
    odd = tmp_path / "<b>&</script>.png".replace("/", "")
    odd.write_bytes(seven.read_bytes())
    page = shown(convolution_page.from_run(str(quick_run.path), odd))
    assert odd.name in page.locator("#lead").text_content()


def test_the_gif_steps_through_the_classic_example():
    made = convolution_page.animation(convolution_page.from_dimensions(Dimensions()))
    assert len(made) < 1_500_000
    with Image.open(io.BytesIO(made)) as image:
        assert image.n_frames == 36
        assert image.size[0] > 900
        assert 700 <= image.info["duration"] <= 1200
        assert image.info["loop"] == 0
        seen = []
        for k in range(image.n_frames):
            image.seek(k)
            frame = np.asarray(image.convert("RGB"))
            assert frame[2, 2].tolist() == [255, 255, 255]
            seen.append(frame)
    assert all((a != b).any() for a, b in itertools.pairwise(seen))


def test_the_images_of_a_trained_layer_are_small_and_whole(quick_run, seven):
    demo = convolution_page.from_run(str(quick_run.path), seven, lang="zh")
    made = convolution_page.animation(demo)
    assert len(made) < 1_500_000
    with Image.open(io.BytesIO(made)) as image:
        assert 30 <= image.n_frames <= convolution_frames.MAX_FRAMES
    with Image.open(io.BytesIO(convolution_page.image(demo))) as image:
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 1200
    edge = 20
    for border in (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:]):
        assert (border == 255).all()  # nothing is cut off


def test_numbers_are_shown_as_people_read_them():
    given = (0.0, -3.0, 12.0, 0.5, -0.004, 99.996, 1234.5)
    assert [convolution_frames.shown(x) for x in given] == [
        "0", "−3", "12", "0.50", "0.00", "100.0", "1234",
    ]  # fmt: skip
    assert convolution_frames.bracketed(-2.0) == "(−2)"


def test_json_has_every_number():
    demo = convolution_page.from_dimensions(Dimensions())
    found = json.loads(json.dumps(demo.to_json()))
    inputs, weights, bias = (torch.tensor(found[k]) for k in ("input", "weights", "bias"))
    expected = F.conv2d(inputs[None].double(), weights.double(), bias.double(), 2, 1)[0]
    assert found["output"] == expected.tolist()
    assert found["sum"]["total"] == expected[0, 0, 0]
    assert found["output_shape"] == [2, 3, 3]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(NeocogError, match="cannot be written"):
        convolution_page.write(
            convolution_page.from_dimensions(Dimensions()), png=tmp_path / "no" / "x.png"
        )
