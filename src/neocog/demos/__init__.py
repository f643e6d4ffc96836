"""Demos: one idea each, on small numbers or on a trained network; numbers, pages, images, text."""
