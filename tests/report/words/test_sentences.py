from neocog.data import doctor
from neocog.report.words.sentences import told


def test_recorded_sentences_are_told_in_chinese():
    assert told("6 images in other colour modes (P), read as RGB", "zh").startswith("6 张图片")
    assert told("what nobody foresaw", "zh") == "what nobody foresaw"
    assert told("1 empty folder", "en") == "1 empty folder"


def test_what_the_doctor_says_can_be_said_in_chinese():
    sentences = [message for _, message in doctor.LEFT_OUT.values()]
    sentences += [message for *_, message in doctor._DUPLICATES]
    for sentence in sentences:
        for count in (1, 1234):
            text = doctor.counted(count, sentence)
            assert "{" not in text and "(s)" not in text
            assert told(text, "zh") != text
