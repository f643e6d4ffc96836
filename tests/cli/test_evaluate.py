"""`neocog evaluate`, as a user types it."""

import json


def test_evaluate_prints_json_and_people_read_the_table(neocog, digits_run):
    code, out, err = neocog("evaluate", digits_run.path, "--json")
    assert code == 0
    assert json.loads(out)["n"] == 360
    assert "Accuracy" in err
    code, out, err = neocog("evaluate", digits_run.path)
    assert (code, err) == (0, "")
    assert "Accuracy" in out
