"""Recipes for a folder of class folders."""

from neocog.recipes.recipe import Recipe

# Learns from nothing, so it wants hundreds of pictures a class.
PHOTOS = Recipe(
    name="photos",
    source="Neocog: a small network from random weights, for a folder of class folders",
    data="FOLDER",
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
    fit="square",
    mean=(0.48, 0.46, 0.41),
    std=(0.27, 0.26, 0.27),
    channels_last=True,
)
