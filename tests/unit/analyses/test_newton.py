"""What a search says at its end, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fedvalue.analyses import newton
from fedvalue.analyses.newton import Search, Told


def test_profiled_information_is_taken_for_half_its_noise_less_than_it_looks() -> None:
    # 50 - 20 x 20 / 100 = 46; a packed number has the noise 2, half of it is 1; the privacy covariance, which
    # goes with the inverse twice, grows by (46 / 45)^2
    curvature, zero = np.array([[100.0, 20.0], [20.0, 50.0]]), np.zeros(2)
    told = Told(zero, 9.0, curvature, 4.0)
    search = Search(zero, (zero,), (told,), curvature, 4.0, curvature)
    fit = newton.finish(search, exact=False, kept_from=2, nuisance=1)
    assert fit.information == pytest.approx(np.array([[45.0]]))
    inverse = np.linalg.inv(curvature)[1]
    assert fit.privacy == pytest.approx(np.array([[9 * inverse @ inverse * (46 / 45) ** 2]]))
    assert newton.finish(search, exact=True, kept_from=2, nuisance=1).information == pytest.approx(46.0)
