"""Names of products, and outcomes, for what shows them."""

from __future__ import annotations

from collgs_async.models.product import Outcome, Product, Status

S2 = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
S1 = "S1A_IW_GRDH_1SDV_20210929T053312_20210929T053337_039900_04B8C5_1F2B"
S3 = "S3A_OL_1_EFR____20210924T101200_20210924T101500_20210924T121212_0179_076_279_2160_LN1_O_NR_002"
MB = 10**6


def product(identifier: str) -> Product:
    return Product(identifier, "https://store.example/archive.zip")


def ended(identifier: str, status: Status = Status.DOWNLOADED) -> Outcome:
    return Outcome(product(identifier), status)
