"""Recipes for custom images: a folder, an archive or a table."""

from neocog.recipes.recipe import Recipe

# Computes the backbone's features once, then fits the head in at most a second
# (benchmarks/transfer.py). Ants and bees: 94.8% of 153 test photos, 95% interval 90.0 to 97.3, the
# same for every seed; 97.1% +- 1.1 over 5 folds of the 245 other photos. Confidence on images of
# unknown classes: benchmarks/strangers.py.
PHOTOS = Recipe(
    name="photos",
    source="Neocog: a network pretrained on ImageNet, with a new head for your classes",
    data="PHOTOS",
    model="efficientnet-lite0",
    weights="imagenet",
    feature_views=1,
    fit="crop",
    mean=(),  # mean, std and sizes are those of the weights
    std=(),
    epochs=5,
    batch_size=16,
    learning_rate=0.01,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-4,
    body_rate_factor=0.1,
    schedule="one-cycle",
    augment_flip="random",
    augment_shift_pixels=16,
    augment_edge="reflect",
    precision="fast",
    channels_last=True,
)

# Tutorial 003. Its mean and std of 0.5 differ from those of AlexNet's weights (0.485, 0.456, 0.406
# and 0.229, 0.224, 0.225), so that the frozen features get images of lower contrast than they were
# trained on.
ALEXNET_TRANSFER = Recipe(
    name="alexnet-transfer",
    source="tutorial 003: AlexNet's features frozen, a new classifier; its mean/std of 0.5 are not "
    "the weights' own",
    data="PHOTOS",
    model="alexnet",
    weights="imagenet",
    trained_part="classifier",
    fit="crop",
    image_size_pixels=224,
    resize_pixels=256,
    train_resize_pixels=230,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    epochs=5,
    batch_size=5,
    learning_rate=0.001,
    momentum=0.9,
    augment_flip="random",
    select="validation/accuracy",
)

# Trained from scratch; needs hundreds of images per class.
SCRATCH = Recipe(
    name="scratch",
    source="Neocog: a small network from random weights, for images unlike photos",
    data="PHOTOS",
    model="stridednet",
    epochs=40,
    batch_size=32,
    learning_rate=0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-3,
    schedule="one-cycle",
    augment_shift_pixels=6,
    augment_rotate_degrees=10,
    augment_scale_fraction=0.15,
    augment_shear_fraction=0.05,
    mean=(0.48, 0.46, 0.41),
    std=(0.27, 0.26, 0.27),
    channels_last=True,
)
