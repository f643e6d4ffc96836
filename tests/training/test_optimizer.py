import pytest
import torch

from neocog import models, recipes
from neocog.training.optimizer import learning_rate, make_optimizer


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing():
    recipe = recipes.get("quickstart", {"learning_rate": 0.2, "warmup_fraction": 0.25})
    rates = [learning_rate(recipe, step, 400) for step in range(400)]
    assert max(rates) == pytest.approx(0.2)
    assert rates.index(max(rates)) == 99
    assert rates[49] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert rates[:100] == sorted(rates[:100])
    assert rates[99:] == sorted(rates[99:], reverse=True)


def test_constant_is_constant():
    recipe = recipes.get("lenet")
    assert {learning_rate(recipe, step, 10) for step in range(10)} == {0.001}


@pytest.mark.parametrize("name", ["lenet5", "convnet", "threenet"])
def test_the_published_optimisers_step_as_torchs_own_do(name):
    """The recipe's optimiser against the call that the tutorial makes."""
    recipe = recipes.get(name)
    calls = {
        "lenet5": lambda p: torch.optim.SGD(p, lr=0.001, momentum=0.9),
        "threenet": lambda p: torch.optim.SGD(p, lr=0.01),
        "convnet": lambda p: torch.optim.Adam(p, lr=0.001),
    }
    finals = []
    for make in (lambda m: make_optimizer(m, recipe), lambda m: calls[name](m.parameters())):
        torch.manual_seed(0)
        model = models.build("threenet", 10, 1, (28, 28))
        optimizer = make(model)
        for _ in range(5):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(
                model(torch.randn(16, 1, 28, 28)), torch.arange(16) % 10
            ).backward()
            optimizer.step()
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*finals, atol=1e-6)


def test_weight_decay_spares_biases_and_norms():
    model = models.build("convnet", 10, 1, (28, 28))
    optimizer = make_optimizer(model, recipes.get("mnist"))
    decayed, spared = optimizer.param_groups
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in spared["params"]} == {1}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (5e-4, 0)


def test_the_rate_falls_by_its_factor_where_it_is_told():
    recipe = recipes.get("resnet-cifar")
    rates = [learning_rate(recipe, step, 8000) for step in range(8000)]
    assert [rates[k] for k in (0, 1999, 2000, 4000, 6000, 7999)] == pytest.approx(
        [1e-3, 1e-3, 1e-3 / 3, 1e-3 / 9, 1e-3 / 27, 1e-3 / 27]
    )


def test_biases_of_batch_norms_learn_by_their_own_rate():
    model = models.build("cifarnet", 10, 3, (32, 32))
    groups = make_optimizer(model, recipes.get("cifar10")).param_groups
    fast = [group for group in groups if group["rate_factor"] != 1]
    assert len(fast) == 1 and fast[0]["rate_factor"] == 64
    assert {p.shape for p in fast[0]["params"]} == {(64,), (128,)} and len(fast[0]["params"]) == 6
    trained = sum(p.requires_grad for p in model.parameters())
    assert sum(len(group["params"]) for group in groups) == trained
