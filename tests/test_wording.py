import pytest

from neocog.wording import counted, percent


def test_a_count_has_its_noun():
    assert counted(1, "image") == "1 image"
    assert counted(0, "image") == "0 images"
    assert counted(2000, "test class") == "2,000 test classes"
    assert counted(2, "near copy") == "2 near copies"


@pytest.mark.parametrize(
    ("fraction", "decimals", "text"),
    [
        (1.0, 1, "100.0%"), (0.9999999, 1, "> 99.9%"), (0.9996, 1, "> 99.9%"), (0.999, 1, "99.9%"),
        (0.99996, 2, "> 99.99%"), (1.0, 2, "100.00%"), (0.999999, 0, "> 99%"), (0.0, 1, "0.0%"),
        (0.00001, 1, "< 0.1%"), (0.004, 0, "< 1%"), (0.5, 0, "50%"), (1 - 1e-16, 2, "100.00%"),
    ],
)  # fmt: skip
def test_only_exact_fractions_are_printed_as_0_or_100_percent(fraction, decimals, text):
    assert percent(fraction, decimals) == text
