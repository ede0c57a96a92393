"""The order of a source is a permutation, costs no memory, and changes with every part of its key."""

from hypothesis import given
from hypothesis import strategies as st

from spanmix.data.order import Permutation


@given(st.integers(0, 2**40), st.integers(0, 2**64 - 1), st.integers(0, 50), st.integers(1, 400))
def test_every_document_is_visited_once(seed, source_key, epoch, num_documents):
    order = Permutation(seed, source_key, epoch, num_documents)
    assert sorted(order[place] for place in range(num_documents)) == list(range(num_documents))


def test_a_billion_documents_cost_no_memory():
    order = Permutation(1, 2, 3, 10**9)
    visited = [order[place] for place in range(0, 10**9, 10**6)]
    assert len(set(visited)) == 1000
    assert all(0 <= document < 10**9 for document in visited)
    # A uniform order puts about a tenth of any places into each tenth of the documents.
    tenths = [sum(document // 10**8 == tenth for document in visited) for tenth in range(10)]
    assert min(tenths) > 60 and max(tenths) < 140


def test_orders_differ_by_seed_source_and_epoch():
    orders = {
        tuple(Permutation(*key, 50)[place] for place in range(50))
        for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    }
    assert len(orders) == 4
