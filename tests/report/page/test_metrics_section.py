from dataclasses import replace

from neocog.evaluation.evaluate import evaluate
from neocog.records import Rejection
from neocog.rendering.i18n import translator
from neocog.report.page.metrics_section import calibration, share
from neocog.report.phrases.report import REPORT


def test_what_refusing_would_give_is_said_without_odd_zeros(digits_run):
    judged = evaluate(digits_run.path, device="cpu")
    t = translator(REPORT, "en")
    rows = [(1.0, None), (0.0, 0.3), (0.0002, 0.4), (0.25, 0.9)]
    reasons = ["no_threshold", None, None, None]
    rejection = [
        Rejection(0.01, rejected, threshold=threshold, reason=why, needed=100)
        for (rejected, threshold), why in zip(rows, reasons, strict=True)
    ]
    rejection.append(replace(rejection[0], reason="too_few_images"))
    found = replace(judged, result=replace(judged.result, rejection=tuple(rejection)))
    told = calibration(found, t).rejections
    assert told[:2] == [t("no_rejection", error="1%"), t("rejects_none", error="1%")]
    assert "Rejecting the < 0.1%" in told[2]
    assert "Rejecting the 25.0%" in told[3]
    assert told[4].startswith("Too few images") and "at least 100 predictions" in told[4]


def test_a_share_below_all_is_never_printed_as_all():
    assert share(0.99996, 30_000) == "> 99.99%"
    assert share(1.0, 30_000) == "100.00%"


def test_counts_have_their_nouns_in_the_number_that_they_are():
    t = translator(REPORT, "en")
    assert t("errors", count="1") == "1 mistake"
    assert t("errors", count="1,002") == "1,002 mistakes"
    assert translator(REPORT, "zh")("errors", count="1") == "错 1 张"


def test_a_share_has_the_digits_that_its_images_give_it():
    assert share(0.98765, 153) == "98.8%"
    assert share(0.98765, 1000) == "98.8%"
    assert share(0.98765, 10_000) == "98.77%"
