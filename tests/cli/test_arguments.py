"""What the option parser needs spelled out."""

from neocog.cli.arguments import spell_out


def test_set_takes_all_that_follow_and_csv_a_file_only_by_its_name():
    spelled = spell_out(["train", "--set", "a=1", "b=2", "--epochs", "3", "x=y"])
    assert spelled == ["train", "--set", "a=1", "--set", "b=2", "--epochs", "3", "x=y"]
    assert spell_out(["predict", "--csv", "a.png"]) == ["predict", "--csv", "-", "a.png"]
    assert spell_out(["predict", "--csv", "a.csv"]) == ["predict", "--csv", "a.csv"]
    assert spell_out(["predict", "--csv"]) == ["predict", "--csv", "-"]
    assert spell_out(["predict", "--csv", "-"]) == ["predict", "--csv", "-"]
    joined = spell_out(["train", "--set=a=1", "b=2"])
    assert joined == ["train", "--set=a=1", "--set", "b=2"]
