"""Recipes for MNIST and similar datasets: the tutorials', the papers' and Neocog's."""

from neocog.recipes.recipe import Recipe

MNIST_MEAN, MNIST_STD = (0.1307,), (0.3081,)
LENET_MEAN, LENET_STD = (0.1 / 1.275,), (1 / 1.275,)  # background -0.1, ink 1.175, as in 1998

# Measured: 98.36% +- 0.11 (n = 5) on 1,000 test images; 44 s of training on one slow virtual core,
# 16 s on two. torch 2.15: neocog reproduce quickstart --seeds 5
QUICKSTART = Recipe(
    name="quickstart",
    source="Neocog: LeNet-5 on digits installed with pip; the default of `neocog train`",
    data="mnist5k",
    model="lenet5",
    epochs=30,
    batch_size=64,
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="one-cycle",
    augment_shift_pixels=1.5,
    augment_rotate_degrees=8,
    augment_scale_fraction=0.08,
    augment_shear_fraction=0.08,
    fit="digit",
    mean=MNIST_MEAN,
    std=MNIST_STD,
)

# Measured: 99.45% +- 0.05 (n = 3); 404 s of training on one thread of two shared cores, 1.5 times
# the CPU time of five epochs without elastic distortion, which gave 99.47% +- 0.04 (n = 3).
# torch 2.15: neocog reproduce mnist --seeds 3; other handwriting: benchmarks/handwriting.py
MNIST = Recipe(
    name="mnist",
    source="Neocog: strided BatchNorm network, one-cycle SGD, digits augmented in many ways",
    printed_test_accuracy=0.995,
    data="mnist",
    model="stridednet",
    epochs=7,
    batch_size=128,
    learning_rate=0.2,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="one-cycle",
    select="validation/loss",  # accuracies on 5,000 images tie, and ties go to the earlier epoch
    augment_shift_pixels=1.2,
    augment_rotate_degrees=8,
    augment_scale_fraction=0.08,
    augment_shear_fraction=0.08,
    augment_elastic_pixels=0.5,
    augment_worn_fraction=0.1,
    augment_hand_fraction=0.25,
    fit="digit",
    mean=MNIST_MEAN,
    std=MNIST_STD,
    channels_last=True,
)

# Measured: 99.05% +- 0.05 (n = 5); 28 s of training on one core of the same machine, 10 s on two.
# torch 2.15: neocog reproduce mnist-fast --seeds 5
MNIST_FAST = Recipe(
    name="mnist-fast",
    source="Neocog: a narrow strided BatchNorm network, one-cycle SGD, two epochs",
    printed_test_accuracy=0.99,
    data="mnist",
    model="stridednet-small",
    epochs=2,
    batch_size=128,
    learning_rate=0.2,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="one-cycle",
    fit="digit",
    mean=MNIST_MEAN,
    std=MNIST_STD,
    channels_last=True,
)

# Printed: 98%. Measured: 98.44% +- 0.17 (n = 5), selected on validation 98.28% (n = 1); 113 s of
# training on one core. torch 2.15: neocog reproduce lenet --seeds 5
LENET = Recipe(
    name="lenet",
    source="Tutorial 000, convolution explained: LeNet with max pooling on MNIST",
    printed_test_accuracy=0.98,
    data="mnist",
    model="lenet",
    epochs=2,
    batch_size=4,
    learning_rate=0.001,
    momentum=0.9,
    fit="digit",
    mean=MNIST_MEAN,
    std=MNIST_STD,
    validation_size=0,
    select="last",
    honest_validation_size=5000,
)

# Measured: 98.21% +- 0.19 (n = 5), selected on validation 98.30% +- 0.13 (n = 5); 29 s of training
# on one core. torch 2.15: neocog reproduce convnet --seeds 5
CONVNET = Recipe(
    name="convnet",
    source="Tutorial 001, CNN theory: a BatchNorm CNN on MNIST; ToTensor only; prints no figure",
    data="mnist",
    model="convnet",
    epochs=1,
    batch_size=100,
    optimizer="adam",
    learning_rate=1e-3,
    fit="digit",
    mean=(0.0,),
    std=(1.0,),
    validation_size=0,
    select="last",
    honest_validation_size=5000,
)

# Printed: 99.997% train, 97.959% test. Measured: 99.998% train, 97.88% +- 0.06 test (n = 3; 95%
# interval 97.75 to 98.02), selected on validation 97.69% (n = 1); 13 minutes on one core.
# torch 2.15: neocog reproduce threenet --seeds 3
THREENET = Recipe(
    name="threenet",
    source="Tutorial 002, a three-layer perceptron; keeps the best epoch by train accuracy",
    printed_test_accuracy=0.97959,
    printed_train_accuracy=0.99997,
    data="mnist",
    model="threenet",
    epochs=500,
    batch_size=256,
    learning_rate=0.01,
    loss="nll",
    fit="digit",
    mean=(0.5,),
    std=(0.5,),
    validation_size=0,
    select="train/accuracy_after",
    look_every_epochs=20,
    honest_validation_size=5000,
)

# Printed: 98.75% test, 98.7 to 98.8% of 1,000 images. Measured: 98.69% +- 0.19 (n = 2), selected on
# validation 98.91% (n = 1); 12 minutes of training on one idle core. torch 2.15: neocog reproduce
# lenet5 --seeds 2
LENET5 = Recipe(
    name="lenet5",
    source="Tutorial 004, LeNet-5 written three ways, on MNIST",
    printed_test_accuracy=0.9875,
    data="mnist",
    model="lenet5",
    epochs=50,
    batch_size=64,
    learning_rate=0.001,
    momentum=0.9,
    fit="digit",
    mean=MNIST_MEAN,
    std=MNIST_STD,
    validation_size=0,
    select="last",
    honest_validation_size=5000,
)

# Printed: 1.7% error. Measured: 98.60% +- 0.18 (n = 5), 1.40% error; 3 minutes of training on one
# core. torch 2.15: neocog reproduce lenet1 --seeds 5
# The paper's criterion, --set loss=squared_error learning_rate=0.005 batch_size=32, is not better:
# after 5 epochs 97.5% of 5,000 validation images, against 97.6% (one run each).
LENET1 = Recipe(
    name="lenet1",
    source="LeCun et al. 1990 and 1998: LeNet-1; 1.7% test error",
    printed_test_accuracy=0.983,
    data="mnist",
    model="lenet1",
    epochs=15,
    batch_size=64,
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    schedule="one-cycle",
    warmup_fraction=0.1,
    fit="digit",
    mean=LENET_MEAN,
    std=LENET_STD,
    validation_size=0,
    select="last",
)

# Printed: 0.95% error. Measured: 99.14% +- 0.07 (n = 5), 0.86% error; 8 minutes of training on one
# core. torch 2.15: neocog reproduce lenet5-1998 --seeds 5. Deviations: docs/papers.md
LENET5_1998 = Recipe(
    name="lenet5-1998",
    source="LeCun et al. 1998: LeNet-5 as published, no distortions; 0.95% test error",
    printed_test_accuracy=0.9905,
    data="mnist",
    model="lenet5-1998",
    epochs=20,
    batch_size=64,
    loss="map",
    map_penalty=1.0,
    learning_rate=0.006,
    momentum=0.9,
    nesterov=True,
    weight_decay=3e-3,
    schedule="one-cycle",
    warmup_fraction=0.1,
    fit="digit",
    image_size_pixels=32,
    mean=LENET_MEAN,
    std=LENET_STD,
    validation_size=0,
    select="last",
)

DIGITS = Recipe(
    name="digits",
    source="Neocog: scikit-learn's 8 x 8 digits, for tests",
    data="digits",
    model="convnet",
    epochs=20,
    batch_size=64,
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="one-cycle",
    mean=(0.3,),
    std=(0.37,),
)

FASHION_MNIST = Recipe(
    name="fashion-mnist",
    source="Neocog: the network of the recipe `mnist` on clothing, shifts only",
    data="fashion-mnist",
    model="stridednet",
    epochs=12,
    batch_size=128,
    learning_rate=0.2,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="one-cycle",
    augment_shift_pixels=1,
    mean=(0.286,),
    std=(0.353,),
    channels_last=True,
)
