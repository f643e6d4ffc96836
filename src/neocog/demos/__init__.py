"""Demos: one concept each, on small numbers or on a trained network; numbers, pages, images."""
