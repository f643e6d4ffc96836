import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from neocog.metrics.calibration import reliability
from neocog.rendering import charts
from neocog.rendering.charts import Axis, Series, ticks
from neocog.rendering.numbers import plain, short_percent

EPOCH = Axis("epoch", lambda value: f"{value:.0f}", whole=True)


def parsed(figure):
    return ElementTree.fromstring(str(figure))


def spots(figure):
    return json.loads(parsed(figure).find("svg").get("data-read"))


def test_a_line_goes_through_its_points_and_can_be_read():
    series = [Series("train", "a", [(1, 0.5), (2, 0.25)]), Series("validation", "b", [(2, 1.0)])]
    figure = charts.lines(series, EPOCH, Axis("loss", plain, low=0))
    found = spots(figure)
    assert [spot["text"] for spot in found] == [
        "epoch 1: train 0.5",
        "epoch 2: train 0.25, validation 1",
    ]
    dots = parsed(figure).findall(".//circle")
    assert [dot.find("title").text for dot in dots] == [
        "1: train 0.5",
        "2: train 0.25",
        "2: validation 1",
    ]
    heights = [float(dot.get("cy")) for dot in dots]
    assert heights[2] < heights[0] < heights[1]
    path = parsed(figure).find(".//path[@class='line a']").get("d")
    assert len(re.findall(r"[ML]", path)) == 2


def test_everything_drawn_lies_in_the_image():
    random = np.random.default_rng(0)
    for scale in (1e-6, 1, 1e6):
        points = [(k, scale * v) for k, v in enumerate(random.random(500))]
        figure = charts.lines([Series("", "a", points)], EPOCH, Axis("loss", plain), (499, "kept"))
        numbers = [spot["x"] for spot in spots(figure)]
        numbers += [y for spot in spots(figure) for _, y in spot["dots"]]
        assert min(numbers) >= 0
        assert max(spot["x"] for spot in spots(figure)) <= charts.WIDTH
        assert max(y for spot in spots(figure) for _, y in spot["dots"]) <= charts.HEIGHT
        assert not parsed(figure).findall(".//circle")  # too many for a dot each


@pytest.mark.parametrize("points", [[(1, 0.3)], [(1, 0.0), (2, 0.0)], [(3, 5.0), (4, 5.0)]])
def test_one_point_and_level_lines_are_drawn(points):
    figure = charts.lines([Series("", "a", points)], EPOCH, Axis("rate", plain, low=0))
    assert len(spots(figure)) == len(points)
    assert "nan" not in figure
    assert "inf" not in figure


def test_numbers_that_are_none_are_left_out():
    points = [(1, float("nan")), (2, 1.0), (3, float("inf"))]
    assert len(spots(charts.lines([Series("", "a", points)], EPOCH, Axis("loss", plain)))) == 1
    assert charts.lines([Series("", "a", points[:1])], EPOCH, Axis("loss", plain)) == Markup("")


def test_a_logarithmic_axis_has_its_ticks_at_powers_of_ten():
    x = Axis("penalty", plain, logarithmic=True)
    figure = charts.lines([Series("", "b", [(0.01, 2), (0.1, 1), (1, 3)])], x, Axis("loss", plain))
    found = spots(figure)
    assert found[1]["x"] - found[0]["x"] == pytest.approx(found[2]["x"] - found[1]["x"], abs=0.2)
    words = {text.text for text in parsed(figure).findall(".//text")}
    assert {"0.01", "0.1", "1"} <= words


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.37, 0.99), (1, 50), (2.5e-5, 1e-3), (-3, 3)])
def test_ticks_are_few_and_round(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 7
    assert low - 1e-9 <= found[0] <= found[-1] <= high + 1e-9
    step = found[1] - found[0]
    assert f"{step:.0e}"[0] in "125"
    assert np.diff(found) == pytest.approx(step)


def test_whole_ticks_are_whole():
    assert ticks(1, 3, whole=True) == [1, 2, 3]
    assert ticks(0.5, 1.5, whole=True) == [1]


def test_a_mark_outside_the_lines_is_left_out():
    series = [Series("", "a", [(1, 1.0), (2, 2.0)])]
    assert "kept" in charts.lines(series, EPOCH, Axis("loss", plain), (2, "kept"))
    assert "kept" not in charts.lines(series, EPOCH, Axis("loss", plain), (0, "kept"))


def test_the_reliability_diagram_has_a_point_for_each_bin():
    claimed = np.array([0.55, 0.95, 0.97, 1.0])
    bins = reliability(claimed, np.array([True, True, False, True]))
    figure = charts.reliability(bins, ("claimed", "right"), ["one", "three"])
    assert [spot["text"] for spot in spots(figure)] == ["one", "three"]
    assert len(parsed(figure).findall(".//rect")) == 2
    assert len(parsed(figure).findall(".//circle")) == 2


def test_words_are_escaped():
    series = [Series("<script>", "a", [(1, 1.0), (2, 2.0)]), Series('"', "b", [(1, 1.0)])]
    figure = charts.lines(series, Axis("<b>", plain), Axis("&", plain), (1, "</svg>"))
    assert "<script>" not in figure
    assert parsed(figure) is not None


def test_how_numbers_are_written():
    assert [short_percent(v) for v in (0.05, 0.995, 1.0)] == ["5%", "99.5%", "100%"]
    assert [short_percent(v) for v in (0.0, 0.00001, 0.99999)] == ["0%", "< 0.01%", "> 99.99%"]
    assert [plain(v) for v in (0.0012345, 2.0, 12345)] == ["0.00123", "2", "12,345"]
