"""The embedded catalogue: a server on the loopback interface that behaves like CollGS, and fails on request."""

from collgs_async.demo.archives import write_archive
from collgs_async.demo.constellation import FIJI, LUXEMBOURG, make_constellation
from collgs_async.demo.dialects import Dialect
from collgs_async.demo.faults import FAULTS, QUICKLOOK_FAULTS, Fault
from collgs_async.demo.history import Change, Event, History, Rates, Rollback
from collgs_async.demo.http import RequestRecord
from collgs_async.demo.login import SignIn
from collgs_async.demo.scenes import COLLECTIONS, SMALLEST_ARCHIVE, Collection, Scene, make_scenes
from collgs_async.demo.server import DemoServer

__all__ = [
    "COLLECTIONS",
    "FAULTS",
    "FIJI",
    "LUXEMBOURG",
    "QUICKLOOK_FAULTS",
    "SMALLEST_ARCHIVE",
    "Change",
    "Collection",
    "DemoServer",
    "Dialect",
    "Event",
    "Fault",
    "History",
    "Rates",
    "RequestRecord",
    "Rollback",
    "Scene",
    "SignIn",
    "make_constellation",
    "make_scenes",
    "write_archive",
]
