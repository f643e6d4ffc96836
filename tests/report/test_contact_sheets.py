import numpy as np
from PIL import Image

from neocog.examine import inspect_dataset
from neocog.report import contact_sheets

from ..data.test_custom import save


def test_a_sheet_a_class_with_red_frames_around_what_is_left_out(tmp_path):
    for n in range(24):
        save(tmp_path / "photos" / ("cat" if n % 2 else "a:dog") / f"{n}.png", n)
    save(tmp_path / "photos" / "cat" / "0 too.png", 0)  # a dog called a cat
    found = inspect_dataset(str(tmp_path / "photos"))
    files = contact_sheets.draw(found, tmp_path / "sheets")
    assert [file.name for file in files] == ["a_dog.png", "cat.png"]
    reds = [
        (np.asarray(Image.open(file)) == (0xB3, 0x26, 0x1E)).all(2).sum() > 500 for file in files
    ]
    assert reds == [True, True]
    with Image.open(files[1]) as sheet:
        assert sheet.size == (10 * 100 + 4, 30 + 2 * 114 + 4)


def test_any_class_name_fits_the_heading(tmp_path):
    for n, name in enumerate(("line\nbreak", "long " * 40, "猫" * 60)):
        save(tmp_path / "photos" / name / "1.png", n)
    files = contact_sheets.draw(inspect_dataset(str(tmp_path / "photos")), tmp_path / "sheets")
    assert len(files) == 3
    for file in files:
        heading = np.asarray(Image.open(file).convert("L"))[:30]
        assert (heading[:, :300] < 128).any()  # letters
        assert (heading[:, -4:] == 255).all()  # none runs out of the sheet
