"""What can be known of products before their archives are fetched: how long these are, and what the scenes look like.

`door` asks one question politely; `lengths` and `pictures` know what to ask.
"""

from __future__ import annotations

from collgs_async.glance.door import Door
from collgs_async.glance.lengths import Lengths
from collgs_async.glance.pictures import SUFFIXES, Picture, Pictures

__all__ = ["SUFFIXES", "Door", "Lengths", "Picture", "Pictures"]
