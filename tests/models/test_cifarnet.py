import torch

from neocog import models


def test_the_whitened_layer_makes_patches_uncorrelated():
    torch.manual_seed(0)
    model = models.build("cifarnet", 10, 3, (32, 32))
    images = torch.nn.functional.avg_pool2d(torch.randn(300, 3, 34, 34), 3, 1)  # neighbours alike
    model.fit_to(images)
    maps = model.whiten(images)
    assert torch.allclose(maps[:, :12], -maps[:, 12:], atol=1e-5)  # and their negatives
    rows = maps[:, :12].permute(0, 2, 3, 1).reshape(-1, 12)
    moments = rows.T @ rows / len(rows)
    apart = moments - torch.diag(moments.diag())
    assert apart.abs().max() < 0.02
    assert moments.diag().min() > 0.5 and moments.diag().max() < 1.01


def test_the_whitened_layer_is_saved_but_not_trained():
    model = models.build("cifarnet", 10, 3, (32, 32))
    assert "whiten.weight" in model.state_dict()
    assert not any(name.startswith("whiten") for name, _ in model.named_parameters())
