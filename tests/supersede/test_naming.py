"""Names: the same scene key from every processing, from discovery and from conversion."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
import shapely
from support.landsat_products import product

from eolake.catalog.errors import BadProduct
from eolake.ingest.naming import bare, compose, families, scene_of
from eolake.ingest.providers.folder import look
from eolake.ingest.sensors import find_sensor

KEYS = {
    "S2A_MSIL1C_20171207T002051_N0206_R116_T55JEJ_20171207T032513.SAFE": "sentinel-2a/L1C/55JEJ/20171207T002051@footprint",
    "S2A_OPER_PRD_MSIL1C_PDMC_20160604T174652_R051_V20160603T105542_20160603T105542.SAFE": "sentinel-2a/L1C/R051/20160603@footprint",
    "S2A_OPER_MSI_L1C_TL_SGS__20171207T032513_A012840_T55JEJ_N02.06": "sentinel-2a/L1C/55JEJ/A012840@footprint",
    "S3A_SL_1_RBT____20240202T194952_20240202T195252_20240204T052728_0179_108_299_1080_PS1_O_NT_004.SEN3": (
        "sentinel-3a/SL_1_RBT___/108/299/1080"
    ),
    "S3A_SR_2_LAN____20210611T011438_20210611T012436_20210611T024819_0598_072_373______LN3_O_NR_004.SEN3": (
        "sentinel-3a/SR_2_LAN___/072/373@time"
    ),
    "S3B_OL_1_ERR____20210831T200148_20210831T204600_20210902T011514_2652_056_242______LN1_O_NT_002": (
        "sentinel-3b/OL_1_ERR___/056/242@time"
    ),
    "S3A_SY_2_VG1____20190101T000000_20190101T235959_20190103T120000_AUSTRALASIA_______LN2_O_NT_002.SEN3": (
        "sentinel-3a/SY_2_VG1___/AUSTRALASIA______/20190101"
    ),
    "LC08_L2SP_008059_20191201_20200825_02_T1.tar": "landsat-8/c2/l2/008059/2019-12-01",
    "LC08_L2SP_008059_20191201_02_T1": "landsat-8/c2/l2/008059/2019-12-01",
    "lc08_l1tp_008059_20191201_20191202_01_rt": "landsat-8/c1/l1/008059/2019-12-01",
    "LC80900842013106LGN01": "landsat-8/c0/l1/090084/2013-04-16",
    "LC08_CU_026004_20200427_20210502_02_SR.tar": "landsat-8/ard-CU/026004/2020-04-27",
    "ga_ls8c_ard_3-2-1_090084_2020-01-16_final": "landsat-ard-au/ls8c/090084/2020-01-16",
    "S1B_IW_SLC__1SDV_20191221T141902_20191221T141929_019464_024C4D_BDFC.SAFE": "sentinel-1b/IW_SLC__1SDV/019464/024C4D@time",
    "S5P_OFFL_L2__NO2____20190101T003115_20190101T021245_06313_01_010202_20190107T022030.nc": "sentinel-5p/L2__NO2___/06313@time",
    "S1A_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A.zip": "hyp3/S1A_IW_20180128T161201_DVP_RTC30_G_gpuned",
    "S1AA_20150504T120217_20150621T120220_VVP048_INT80_G_ueF_5CED": "hyp3/S1AA_20150504T120217_20150621T120220_VVP048_INT80_G_ueF",
}


@pytest.mark.parametrize("name", KEYS)
def test_scene_keys(name: str) -> None:
    found = scene_of(name)
    assert found is not None
    assert found.scene_key == KEYS[name]


@pytest.mark.parametrize(
    "name", ["", "report.pdf", "S2A_MSIL1C_2017", "LC08_L2SP_008059_20191301_20200825_02_T1", "S3A_OL_1_CLUTAX_20160425T103700_x", "../S2A"]
)
def test_other_names_are_of_no_scene(name: str) -> None:
    assert scene_of(name) is None


WORST_TO_BEST = {
    "sentinel-2: somebody's own, then by baseline, then by time": [
        "S2B_MSIL2A_20190508T104029_N9999_R008_T31UFS_20220923T141250",
        "S2B_MSIL2A_20190508T104029_N0212_R008_T31UFS_20190508T135155",
        "S2B_MSIL2A_20190508T104029_N0212_R008_T31UFS_20190529T175832",
        "S2B_MSIL2A_20190508T104029_N0500_R008_T31UFS_20221222T205025",
        "S2B_MSIL2A_20190508T104029_N0510_R008_T31UFS_20221221T205025",
    ],
    "sentinel-3: NR, ST, NT, then by baseline, then by time": [
        "S3A_OL_1_EFR____20160509T103944_20160509T104244_20160509T124907_0179_004_051_1979_SVL_O_NR_003",
        "S3A_OL_1_EFR____20160509T103945_20160509T104245_20160509T134907_0179_004_051_1980_SVL_O_ST_001",
        "S3A_OL_1_EFR____20160509T103945_20160509T104245_20160510T124907_0179_004_051_1980_LN1_O_NT_001",
        "S3A_OL_1_EFR____20160509T103946_20160509T104246_20160511T124907_0180_004_051_1981_LN1_O_NT_001",
        "S3A_OL_1_EFR____20160509T103945_20160509T104245_20160510T124907_0179_004_051_1980_MR1_R_NT_002",
    ],
    "landsat: real time, then by date, then by tier": [
        "LC08_L1TP_090084_20200101_20200120_02_RT",
        "LC08_L1TP_090084_20200101_02_T1",
        "LC08_L1GT_090084_20200101_20200113_02_T2",
        "LC08_L1TP_090084_20200101_20200113_02_T1",
        "LC08_L1GT_090084_20200101_20200820_02_T2",
    ],
    "landsat before the collections: by version": ["LC80900842013106LGN00", "LC80900842013106LGN01", "LC80900842013106LGN02"],
    "landsat ard of australia: nrt, interim, final, then by version": [
        "ga_ls8c_ard_3-2-1_090084_2020-01-16_nrt",
        "ga_ls8c_ard_3-2-1_090084_2020-01-16_interim",
        "ga_ls8c_ard_3-2-1_090084_2020-01-16_final",
        "ga_ls8c_ard_3-10-0_090084_2020-01-16_final",
    ],
    "sentinel-5p: NRTI, OFFL, RPRO, then by version": [
        "S5P_NRTI_L2__NO2____20190101T003115_20190101T003615_06313_01_010202_20190101T022030",
        "S5P_OFFL_L2__NO2____20190101T003115_20190101T021245_06313_01_010202_20190107T022030",
        "S5P_OFFL_L2__NO2____20190101T003115_20190101T021245_06313_01_010300_20190107T022030",
        "S5P_RPRO_L2__NO2____20190101T003115_20190101T021245_06313_03_020400_20221107T022030",
    ],
}


@pytest.mark.parametrize("names", WORST_TO_BEST.values(), ids=list(WORST_TO_BEST))
def test_d09_ranks(names: list[str]) -> None:
    found = [scene for scene in map(scene_of, names) if scene is not None]
    assert len(found) == len(names)
    assert len({scene.scene_key for scene in found}) == 1
    ranks = [scene.rank for scene in found]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


def test_what_only_the_provider_tells_orders_sentinel_1() -> None:
    name = "S1B_IW_SLC__1SDV_20191221T141902_20191221T141929_019464_024C4D_"
    untold, early, late = (
        scene_of(name + unique, attributes=told)
        for unique, told in (("FFFF", {}), ("BDFC", {"processingDate": "2019-12-21T16:00:00Z"}), ("0000", {"processingDate": "2023-01-01"}))
    )
    assert untold is not None
    assert early is not None
    assert late is not None
    assert untold.rank < early.rank < late.rank


def test_tile_timeliness_and_start() -> None:
    found = scene_of("S3A_SL_1_RBT____20240202T194952_20240202T195252_20240204T052728_0179_108_299_1080_PS1_O_NT_004")
    assert found is not None
    assert (found.timeliness, found.start) == ("NT", datetime(2024, 2, 2, 19, 49, 52, tzinfo=UTC))
    landsat = scene_of("LC08_L1TP_090084_20200101_20200101_02_RT")
    assert landsat is not None
    assert (landsat.tile, landsat.timeliness, landsat.start) == ("090084", "RT", datetime(2020, 1, 1, tzinfo=UTC))


def test_every_family_is_tested() -> None:
    tried = {family for name in KEYS for family, made in families().items() if any(p.fullmatch(bare(name)) for p in made.patterns)}
    assert tried == set(families())


def test_no_name_is_of_two_families() -> None:
    for name in KEYS:
        assert sum(any(p.fullmatch(bare(name)) for p in made.patterns) for made in families().values()) == 1, name


def test_a_date_that_is_none_makes_no_scene() -> None:
    fields = {"satellite": "8", "collection": "2", "level": "L1", "tile": "090084", "acquired": "20200230", "processed": "", "tier": "T1"}
    assert compose("landsat", fields) is None


@pytest.mark.parametrize("collection", ["ls8_c2_l1", "ls8_c2_l2", "ls8_c2_l2sr", "ls5_c2_l2"])
def test_discovery_and_conversion_agree_about_generated_products(tmp_path: Path, collection: str) -> None:
    path = product(collection).write(tmp_path)
    assert _agree(path, tmp_path) == 1


@pytest.mark.parametrize("folder", ["pixels/landsat/au_eodatasets", "pixels/sentinel2/au_l1c_eodatasets"])
def test_discovery_and_conversion_agree_about_real_products(samples: Path, tmp_path: Path, folder: str) -> None:
    agreed = 0
    for offer in look([samples / folder]).offers:
        (tmp_path / str(agreed)).mkdir(exist_ok=True)
        agreed += _agree(Path(offer.source), tmp_path / str(agreed))
    assert agreed


def _agree(path: Path, workspace: Path) -> int:
    """How many drafts of a product have the key and the rank that its name has."""
    (offer,) = look([path]).offers
    sensor = find_sensor(offer.name)
    assert sensor is not None
    agreed = 0
    try:
        for draft in sensor.open(path, workspace):
            found = scene_of(draft.item.id)
            assert found is not None
            if "/A0" not in str(draft.scene_key):  # a tile without its product: nothing tells the datatake
                assert (found.scene_key, found.rank) == (draft.scene_key, draft.rank)
                agreed += 1
    except BadProduct:
        pass  # some real ones are broken, which other tests are about
    return agreed


def test_footprints_tell_datastrips_from_processings(samples: Path) -> None:
    """Of 829 pairs of one sensing: strips share at most 60 % of the smaller one, processings of one strip more than 99 %."""
    lines = gzip.decompress((samples / "payloads/cdse_resto/features_sensed_before_2020.ndjson.gz").read_bytes()).splitlines()
    scenes = defaultdict(list)
    for record in map(json.loads, lines):
        found = scene_of(record["properties"]["title"])
        assert found is not None
        scenes[found.scene_key].append(shapely.make_valid(shapely.geometry.shape(record["geometry"])))
    assert len(scenes) == 927
    assert sum(2 <= len(shapes) <= 4 for shapes in scenes.values()) == 688
    shares = [
        one.intersection(other).area / min(one.area, other.area)
        for shapes in scenes.values()
        for at, one in enumerate(shapes)
        for other in shapes[:at]
    ]
    assert len(shares) == 829
    assert max(share for share in shares if share < 0.99) < 0.6
    assert sum(share < 0.6 for share in shares) == 8
