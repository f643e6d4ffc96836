"""Images a second and cold start of the inference engines, as ratios to PyTorch.

    python benchmarks/inference.py > benchmarks/results/inference.md
    python benchmarks/inference.py --quick              one repeat, a third of a second each
    python benchmarks/inference.py --only resnet18      one network

Each engine gets the same uint8 images and the same network with random weights, and computes logits
with its normalisation. `torch` is the network as it is built, on contiguous `(N, C, H, W)`;
`channels_last` is the same with weights and images in that memory format. Every measurement is a
process of its own that first runs each batch until it is warm; the engines take turns, and a ratio
is the median over the repeats of an engine's images a second over those of `torch` in the same
repeat, with the lowest and the highest.

A cold start is a whole process, `neocog predict` of one image file, by the clock and in CPU time,
which another program on the machine lengthens less. `onnx` and `openvino` read a `model.onnx`, and
`torch` a `model.safetensors`.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data.preprocess import Preprocessing

ENGINES = ("torch", "channels_last", "onnx", "openvino", "openvino bfloat16")
BATCHES = {"lenet5": (1, 1024), "efficientnet-lite0": (1, 32), "resnet18": (1, 32)}
DIGITS = Preprocessing((28, 28), 1, "digit", (0.5,), (0.5,))
PHOTOS = Preprocessing((224, 224), 3, "crop", (0.5,) * 3, (0.5,) * 3, resize=256)
MODEL, EXPORTED = "model.safetensors", "model.onnx"

Run = Callable[[NDArray[np.uint8]], object]


def prepare(name: str, folder: Path) -> None:
    """Write a network with random weights as both files."""
    import torch

    from neocog import models
    from neocog.classifier import Classifier, load
    from neocog.model_card import Architecture

    torch.manual_seed(0)
    rule = DIGITS if name == "lenet5" else PHOTOS
    architecture = Architecture(name, 10, rule.channels, rule.image_size)
    classes = tuple("0123456789")
    network = models.build(**vars(architecture)).eval()
    Classifier.of_network(network, architecture, rule, classes).save(folder / MODEL)
    (folder / EXPORTED).write_bytes(load(folder / MODEL, engine="onnx").engine.content)


def runner(engine: str, folder: Path, batch: int) -> Run:
    """What computes the logits of a batch with an engine."""
    if engine in ("torch", "channels_last"):
        return torch_runner(folder, channels_last=engine == "channels_last")
    from neocog.engines.onnx_runtime import OnnxEngine

    onnx = OnnxEngine.read(folder / EXPORTED)
    facts = replace(onnx.facts, batch_size=batch)
    if engine == "onnx":
        onnx.facts = facts
        return onnx.logits
    from neocog.engines.openvino import OpenVinoEngine

    wanted = "bfloat16" if engine.endswith("bfloat16") else "float32"
    network = OpenVinoEngine(onnx.content, facts, wanted == "bfloat16")
    if network.precision != wanted:
        raise SystemExit(f"This processor has no {wanted}.")
    return network.logits


def torch_runner(folder: Path, channels_last: bool) -> Run:
    import torch

    from neocog.classifier import load

    layout = torch.channels_last if channels_last else torch.contiguous_format
    module = load(folder / MODEL, engine="torch", device="cpu").inference.eval()
    module.network.to(memory_format=layout)

    def run(images: NDArray[np.uint8]) -> object:
        with torch.inference_mode():
            inputs = module.normalize(torch.from_numpy(images)).contiguous(memory_format=layout)
            return module.network(inputs).numpy()

    return run


def images_a_second(run: Run, images: NDArray[np.uint8], seconds: float) -> float:
    """How many images a second go through, after half as much time to get warm."""
    for duration in (seconds / 2, seconds):
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < duration or not count:
            run(images)
            count += len(images)
        rate = count / (time.perf_counter() - begin)
    return rate


def measure(name: str, engine: str, folder: Path, seconds: float) -> dict[str, float]:
    """Images a second by batch size, in this process."""
    rule = DIGITS if name == "lenet5" else PHOTOS
    rng, rates = np.random.default_rng(0), {}
    for batch in BATCHES[name]:
        images = rng.integers(0, 256, (batch, *rule.image_size, rule.channels), dtype=np.uint8)
        rates[str(batch)] = images_a_second(runner(engine, folder, batch), images, seconds)
    return rates


def in_a_process(name: str, engine: str, folder: Path, seconds: float) -> dict[str, float]:
    """`measure` in a process of its own; empty where the engine cannot run here."""
    command = [sys.executable, __file__, "--measure", engine, "--only", name]
    command += ["--folder", str(folder), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        say(f"{name}, {engine}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
        return {}
    rates: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return rates


def examples(folder: Path) -> dict[str, tuple[str, Path]]:
    """Image files for the cold start, each with the network that reads it."""
    from importlib import resources

    from PIL import Image

    from neocog import data

    digit = Image.fromarray(data.load("mnist5k").test.images[0, :, :, 0])
    photo = Image.new("L", (640, 480), 235)
    ink = digit.resize((336, 336), Image.Resampling.BICUBIC)
    photo.paste(40, (150, 70), ink)
    digit.save(folder / "digit.png")
    photo.save(folder / "digit.jpg")
    scene: Path = resources.files("sklearn.datasets") / "images" / "china.jpg"
    return {
        "a digit, 28 x 28": ("lenet5", folder / "digit.png"),
        "a photo of a digit, 640 x 480": ("lenet5", folder / "digit.jpg"),
        "a photo, 640 x 427": ("efficientnet-lite0", scene),
    }


def cold_start(folder: Path, image: Path, engine: str) -> tuple[float, float]:
    """Seconds by the clock, and of CPU time, of `neocog predict` of one image."""
    model = folder / (MODEL if engine == "torch" else EXPORTED)
    command = [sys.executable, "-m", "neocog", "predict", str(model), str(image)]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "--engine", engine], capture_output=True, check=True)
    clock, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def speed_table(names: list[str], place: Path, repeats: int, seconds: float) -> None:
    """Print images a second and ratios of all engines, network by network."""
    print("| network, batch | engine | images a second | ratio to torch |")
    print("|---|---|---|---|")
    for name in names:
        found: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
        for repeat in range(repeats):
            for engine in ENGINES:
                say(f"{name}, {engine}, repeat {repeat + 1} of {repeats}")
                found[engine].append(in_a_process(name, engine, place / name, seconds))
        for batch in map(str, BATCHES[name]):
            for engine in ENGINES:
                if not all(found[engine]):
                    continue
                pairs = zip(found[engine], found["torch"], strict=True)
                ratios = sorted(mine[batch] / base[batch] for mine, base in pairs)
                rate = statistics.median(rates[batch] for rates in found[engine])
                text = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                print(f"| {name}, {batch} | {engine} | {rate:,.0f} | {text} |", flush=True)


def cold_table(names: list[str], place: Path, repeats: int) -> None:
    """Print the cold starts: the median, and the shortest, which other programs disturb least."""
    engines = ("torch", "onnx", "openvino")
    print("\n| cold start | engine | seconds | shortest | CPU seconds | ratio to torch |")
    print("|---|---|---|---|---|---|")
    for image, (name, path) in examples(place).items():
        if name not in names:
            continue
        found: dict[str, list[tuple[float, float]]] = {engine: [] for engine in engines}
        for repeat in range(repeats + 1):  # the first one fills the disk cache
            for engine in engines:
                took = cold_start(place / name, path, engine)
                found[engine] += [took] if repeat else []
        for engine in engines:
            clock, cpu = zip(*found[engine], strict=True)
            ratio = statistics.median(
                base / mine
                for (mine, _), (base, _) in zip(found[engine], found["torch"], strict=True)
            )
            print(
                f"| {image} | {engine} | {statistics.median(clock):.2f} | {min(clock):.2f} | "
                f"{statistics.median(cpu):.2f} | {ratio:.1f} |",
                flush=True,
            )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a measurement")
    parser.add_argument("--only", choices=BATCHES, help="one network")
    parser.add_argument("--measure", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        found = measure(options.only, options.measure, options.folder, options.seconds)
        print(json.dumps(found))
        return
    repeats, seconds = (1, 0.3) if options.quick else (options.repeats, options.seconds)
    names = [options.only] if options.only else list(BATCHES)
    packages = ("torch", "onnxruntime", "openvino", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(
        f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}, ", end=""
    )
    print(f"{versions}. Median of {repeats}, lowest and highest in brackets.\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["NEOCOG_CACHE"] = str(place / "cache")
        for name in names:
            (place / name).mkdir()
            prepare(name, place / name)
        speed_table(names, place, repeats, seconds)
        cold_table(names, place, repeats)


if __name__ == "__main__":
    main()
