import torch

from neocog.data import loader


def test_order_is_a_permutation_that_depends_on_seed_and_epoch():
    first = loader.order(1000, seed=1, epoch=2)
    assert sorted(first.tolist()) == list(range(1000))
    assert torch.equal(first, loader.order(1000, seed=1, epoch=2))
    assert not torch.equal(first, loader.order(1000, seed=1, epoch=3))
    assert not torch.equal(first, loader.order(1000, seed=2, epoch=2))


def test_the_global_generator_is_not_used():
    before = torch.get_rng_state()
    loader.order(100, seed=0, epoch=0)
    assert torch.equal(before, torch.get_rng_state())


def test_keys_that_could_collide_do_not():
    keys = [(a, b, c) for a in range(5) for b in range(5) for c in range(3)]
    assert len({loader.seeded(*key).initial_seed() for key in keys}) == len(keys)


def test_batches_contain_every_image_once_with_its_label():
    images = torch.arange(103, dtype=torch.uint8).view(-1, 1, 1, 1)
    labels = torch.arange(103)
    order = loader.order(103, 0, 0)
    got = list(loader.batches(images, labels, order, loader.batch_bounds(103, 10)))
    assert [len(batch) for _, batch, _ in got] == [10] * 10 + [3]
    assert torch.equal(torch.cat([b.flatten() for _, b, _ in got]).long(), order)
    assert torch.equal(torch.cat([y for _, _, y in got]), order)


def test_batches_can_begin_in_the_middle():
    images, labels = torch.zeros(50, 1, 1, 1, dtype=torch.uint8), torch.arange(50)
    order = loader.order(50, 0, 0)
    whole = [y for _, _, y in loader.batches(images, labels, order, loader.batch_bounds(50, 8))]
    rest = list(loader.batches(images, labels, order, loader.batch_bounds(50, 8), first=4))
    assert [n for n, _, _ in rest] == [4, 5, 6]
    assert all(torch.equal(a, b) for a, (_, _, b) in zip(whole[4:], rest, strict=True))


def test_a_single_last_image_joins_the_batch_before():
    assert loader.batch_bounds(21, 10) == [(0, 10), (10, 21)]
    assert loader.batch_bounds(20, 10) == [(0, 10), (10, 20)]
    assert loader.batch_bounds(3, 10) == [(0, 3)]
    assert loader.batch_bounds(1, 10) == [(0, 1)]
    assert loader.batch_bounds(3, 1) == [(0, 1), (1, 2), (2, 3)]
