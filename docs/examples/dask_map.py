"""A search downloaded by several processes, each with one session and one sign-in for all its products."""

from itertools import chain

from dask.distributed import Client

from collgs_async import Config, Outcome, Products, sync


def fetch(config: Config, products: Products) -> list[Outcome]:
    return list(sync.download(config, products, progress=None).outcomes)


if __name__ == "__main__":
    config = Config.from_file("config.json")
    products = sync.search(config)
    with Client(n_workers=2, threads_per_worker=1) as cluster:
        futures = cluster.map(fetch, [config] * 2, [products[0::2], products[1::2]])
        for outcome in chain(*cluster.gather(futures)):
            print(outcome.status, outcome.path, outcome.bytes)
