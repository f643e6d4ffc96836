"""`neocog models` and `neocog recipes`, as a user types them."""

import json


def test_recipes_and_models_are_listed(neocog):
    assert "threenet" in neocog("recipes")[1]
    names = {r["name"] for r in json.loads(neocog("recipes", "--json")[1])["recipes"]}
    assert {"quickstart", "mnist", "threenet", "lenet", "lenet5", "convnet"} <= names
    assert json.loads(neocog("recipes", "lenet5", "--json")[1])["epochs"] == 50
    rows = json.loads(neocog("models", "--json")[1])["models"]
    assert {"name": "lenet5", "parameters": 61706}.items() <= next(
        row for row in rows if row["name"] == "lenet5"
    ).items()
    assert "lenet5" in neocog("models")[1]


def test_models_lists_and_shows_the_layers_of_one(neocog):
    code, out, _ = neocog("models", "--json")
    assert code == 0
    rows = json.loads(out)["models"]
    assert {"name", "year", "paper", "input", "parameters", "flops"} <= set(rows[0])
    code, out, _ = neocog("models", "lenet5-1998", "--json")
    found = json.loads(out)
    counts = [layer["parameters"] for layer in found["layers"] if layer["parameters"]]
    assert (found["parameters"], counts) == (60_000, [156, 12, 1516, 32, 48120, 10164])
    assert {"name", "kind", "output", "parameters", "flops", "receptive_field"} <= set(
        found["layers"][0]
    )
    _, out, _ = neocog("models", "lenet5")
    assert "61,706 parameters, 833K FLOPs" in out
    assert "3,692,640 parameters if fully connected" in out
