"""Object stores without the package that speaks with them; tests/interop has them before real servers."""

from __future__ import annotations

import sys

import pytest

from collgs_async.errors import ConfigError
from collgs_async.models.store_url import StoreUrl
from collgs_async.storage.object_store import ObjectStore


async def test_what_to_install_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(ConfigError) as caught:
        async with ObjectStore(StoreUrl.parse("s3://bucket/prefix")):
            pass

    assert (
        "s3://bucket/prefix: object stores need the package obstore; install it with: pip install 'collgs-async[store]'"
        == str(caught.value)
    )
