from neocog.data import doctor
from neocog.report.words.sentences import told


def test_recorded_sentences_are_told_in_chinese():
    assert told("6 picture(s) in other colour modes (P), read as RGB", "zh").startswith("6 张图片")
    assert told("what nobody foresaw", "zh") == "what nobody foresaw"
    assert told("1 empty folder(s)", "en") == "1 empty folder(s)"


def test_what_the_doctor_says_can_be_said_in_chinese():
    sentences = [message for _, message in doctor.LEFT_OUT.values()]
    sentences += [message for *_, message in doctor._DUPLICATES]
    for sentence in sentences:
        assert told(f"1,234 {sentence}", "zh") != f"1,234 {sentence}"
