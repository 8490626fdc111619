"""One product, from its URL to a verified file.

`judge` decides what an answer is worth from its headers alone; `stream` brings its bytes into the part; `download`
walks one product through tries, verification and publication.
"""

from collgs_async.transfer.download import Action, Downloader, decide

__all__ = ["Action", "Downloader", "decide"]
