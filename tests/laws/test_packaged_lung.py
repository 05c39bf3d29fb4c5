"""The whole path on real patients that a test dependency packages: lifelines' lung table, 19 sites."""

from __future__ import annotations

from pathlib import Path

import pytest
from lifelines.datasets import load_lung

from fedvalue.simulation import PooledTable, run
from fedvalue.study.file import parse

pytestmark = [
    pytest.mark.usefixtures("load_once"),
    pytest.mark.filterwarnings("ignore:UnsafeExactSum adds no noise"),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lung") / "lung.csv"
    load_lung().to_csv(path, index=False)
    return path


def pooled(table: Path, repository: Path) -> PooledTable:
    mapping = repository / "tests" / "data" / "mappings" / "lung_lifelines.toml"
    return PooledTable(table, mapping, site_column="inst")


def study(repository: Path) -> str:
    return (repository / "tests" / "real" / "studies" / "lung.toml").read_text(encoding="utf-8")


def test_without_noise_the_federated_answers_are_the_pooled_ones(
    table: Path, repository: Path, tmp_path: Path
) -> None:
    read = parse(study(repository).encode(), where="lung")
    result = run(read, pooled(table, repository), out=tmp_path / "out", unsafe_no_noise=True)
    found = result.evidence.conclusions[0]
    assert len(result.federation.homes) == 19
    medians = {n: found.stratum(n).estimates["median"].value for n in ("all", "sex=male", "sex=female")}
    assert medians == {"all": 310.0, "sex=male": 270.0, "sex=female": 426.0}
    assert found.stratum("all").estimates["survival at day 365"].value == pytest.approx(0.409242, abs=5e-7)


def test_with_noise_at_epsilon_8_the_released_curve_is_near_the_pooled_one(
    table: Path, repository: Path, tmp_path: Path
) -> None:
    text = study(repository).replace("epsilon = 1.0", "epsilon = 8.0")
    text = text.replace('until = "1030 days"', 'until = "24 months"').replace(
        'grid = "1 day"', 'grid = "1 month"'
    )
    result = run(parse(text.encode(), where="lung"), pooled(table, repository), out=tmp_path / "out")
    estimate = result.evidence.conclusions[0].stratum("all").estimates["survival at day 365"]
    # four standard errors of the privacy noise (once in 16,000 runs), and .03 for half a month of the grid
    assert abs(estimate.value - 0.409242) < 4 * estimate.privacy_variance**0.5 + 0.03
