from hypothesis import given, settings
from hypothesis import strategies as st

from neocog.data.duplicates import components

LINKS = st.lists(st.lists(st.integers(0, 30) | st.just(10**9), min_size=1, max_size=4), max_size=30)


def merged(links):
    """The same by definition: links that share a member are one set, until none share any."""
    sets = []
    for link in (set(link) for link in links if len(link) > 1):
        touching = [one for one in sets if one & link]
        sets = [one for one in sets if not one & link] + [link.union(*touching)]
    return sorted(sorted(one) for one in sets)


@settings(deadline=None)  # the first call imports SciPy
@given(LINKS)
def test_components_are_the_links_that_share_members(links):
    assert components(links) == merged(links)
    assert components(iter(links)) == merged(links)
