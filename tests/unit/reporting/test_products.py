"""The list of products: what a list can do, and what other programs read of it."""

from __future__ import annotations

import copy
import pickle
import sys
from importlib.util import find_spec

import pytest
import shapely.geometry

from collgs_async import Product, Products

SQUARE = {"type": "Polygon", "coordinates": [[[5, 49], [6, 49], [6, 50], [5, 50], [5, 49]]]}
AREA = {"type": "Point", "coordinates": [6, 49.5]}


def some(count: int) -> Products:
    return Products([Product(f"P{number}", None, footprint=SQUARE) for number in range(count)], area=AREA)


def test_a_slice_is_a_list_of_products_with_the_same_area() -> None:
    products = some(5)

    for part in (products[1:3], products[::-2], products[:], products.copy(), copy.copy(products)):
        assert isinstance(part, Products)
        assert AREA == part.area
    assert ["P1", "P2"] == [product.identifier for product in products[1:3]]
    assert Product("P4", None, footprint=SQUARE) == products[-1]
    assert products == pickle.loads(pickle.dumps(products))
    assert AREA == pickle.loads(pickle.dumps(products)).area


def test_products_are_members_of_sets_by_all_that_they_are() -> None:
    assert 3 == len({*some(3), *some(3)})
    assert 2 == len({Product("A", None), Product("A", "https://h/a")})


def test_a_product_and_a_list_of_them_are_shown_in_few_words() -> None:
    assert "Product('P0')" == repr(some(1)[0])
    assert "Products([])" == repr(some(0))
    assert "Products([Product('P0'), Product('P1')])" == repr(some(2))
    assert repr(some(2770)).endswith("Product('P4'), … 2,765 more])")
    assert "Product('\\x1b[31m')" == repr(Product("\x1b[31m", None))


def test_shapely_takes_a_product_for_its_footprint() -> None:
    assert shapely.geometry.shape(some(1)[0]).equals(shapely.box(5, 49, 6, 50))


@pytest.mark.skipif(find_spec("geopandas") is not None, reason="geopandas is installed")
def test_without_geopandas_the_message_says_what_to_install() -> None:
    with pytest.raises(
        ImportError, match=r"^a GeoDataFrame needs the package geopandas: python -m pip install geopandas"
    ):
        some(1).to_geodataframe()


def test_a_missing_part_of_geopandas_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geopandas", None)

    with pytest.raises(ImportError, match=r"^a GeoDataFrame needs the package geopandas"):
        some(1).to_geodataframe()
