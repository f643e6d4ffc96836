from neocog.data import checks
from neocog.report.phrases.sentences import told


def test_recorded_sentences_are_told_in_chinese():
    assert told("6 images in other colour modes (P), read as RGB", "zh").startswith("6 张图像")
    assert told("what nobody foresaw", "zh") == "what nobody foresaw"
    assert told("1 empty folder", "en") == "1 empty folder"


def test_what_the_doctor_says_can_be_said_in_chinese():
    sentences = [message for _, message in checks.UNUSED_FILES.values()]
    sentences += [message for *_, message in checks._DUPLICATES]
    for sentence in sentences:
        for count in (1, 1234):
            text = checks.with_count(count, sentence)
            assert "{" not in text and "(s)" not in text
            assert told(text, "zh") != text


def test_the_notes_of_an_evaluation_and_a_split_are_told_in_chinese():
    for sentence in (
        "1 image is too few for a reliable estimate",
        "12 images are too few for a reliable estimate",
        "1 of these 12 images was trained on: the accuracy is too high",
        "1,000 of these 1,200 images were trained on: the accuracy is too high",
        "1 image left out: no ink was found there",
        "3 images in shades of grey: the one channel is repeated as red, green and blue",
        "1 image set apart as test, 2 of the rest as validation; by content, the same for every "
        "seed",
        "1,000 images set apart as test, 500 of the rest as validation; stratified, seed 0",
        "the official 10,000 test images, 5,000 of the rest as validation; stratified, the same "
        "for every seed",
    ):
        assert told(sentence, "zh") != sentence
