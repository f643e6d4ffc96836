from neocog.rendering import numbers


def test_no_probability_is_rounded_to_certainty():
    values = (1.0, 0.9999, 0.991, 0.0001, 0.0)
    assert [numbers.format_probability(v) for v in values] == [
        "> 99.9%", "> 99.9%", "99.1%", "< 0.1%", "< 0.1%",
    ]  # fmt: skip


def test_counts_have_three_digits_and_a_unit():
    counts = (24, 999, 341_000, 999_950, 1_820_000, 15_470_000_000, 1_300_000_000_000)
    assert [numbers.format_count(n) for n in counts] == [
        "24", "999", "341K", "1M", "1.82M", "15.5G", "1.3T",
    ]  # fmt: skip


def test_durations_are_in_seconds_minutes_or_hours():
    assert [numbers.format_duration(s) for s in (1.25, 841, 8256)] == [
        "1.2 s",
        "14.0 min",
        "2.3 h",
    ]
    assert numbers.format_duration(841, "zh") == "14.0 分钟"


def test_without_decimals_the_largest_unit_is_the_minute():
    durations = [numbers.format_duration(s, decimals=0) for s in (119, 120, 8256)]
    assert durations == ["119 s", "2 min", "138 min"]


def test_percentages_and_numbers_have_the_digits_that_they_need():
    assert [numbers.short_percent(v) for v in (0.05, 0.995, 1.0, 0.99996)] == [
        "5%", "99.5%", "100%", "> 99.99%",
    ]  # fmt: skip
    assert [numbers.plain(v) for v in (0.01234, 999, 8192)] == ["0.0123", "999", "8,192"]
