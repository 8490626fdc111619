"""A search as a GeoDataFrame and as a stream of STAC items, within a square of Luxembourg's own grid."""

from dataclasses import replace

import geopandas
import pystac
import shapely

from collgs_async import Config, SyncClient

square = geopandas.GeoSeries([shapely.box(60_000, 60_000, 100_000, 120_000)], crs="EPSG:2169")
config = replace(Config.from_file("config.json"), selection={"aoi": square})

with SyncClient(config) as client:
    frame = client.search().collect().to_geodataframe()
    frame[frame.cloud_cover < 50].to_file("scenes.gpkg")

    for product in client.search():  # page by page, as they are found
        print(pystac.Item.from_dict(product.to_stac()))
