"""D3: choose what has the highest expected net benefit, and count what it costs to change and to change back.

Inference is irrelevant to adoption and decisive for research (Claxton): what is expected to be better is
adopted, and whether to learn more is a question of its own. With M the mean of INB after more data
(normal around m, SD s_pre, see `information.evsi`), patients N now, while data are collected, and N' later,
S the one-off cost of switching, R that of reversing and D that of the data, in money,

    keep              0
    adopt             m (N + N') - S
    provisional       m N - S + E max(N' M, -R) - D           only where reversing is possible
    only in research  E max(N' M - S, 0) - D

so adopting stays provisional exactly where EVSI after reversal cost exceeds the cost of data. A path must
be better than keeping, not equal to it: the current standard stands where nothing is gained.

D3 promises no error rate. At the point of indifference it changes half of the time, which is what no
difference means; its promise is that no other rule has a higher mean net benefit.

Claxton, K. The irrelevance of inference. J. Health Economics 18 (1999) 341-364; Eckermann, Willan. The
option value of delay in health technology assessment. Medical Decision Making 28 (2008) 300-305.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fedvalue.errors import PaymentError
from fedvalue.payment.decision import Outcome
from fedvalue.payment.economics.information import expected_above
from fedvalue.payment.economics.net_benefit import NetBenefit
from fedvalue.payment.rules import Reading, rounded

Path = Literal["keep", "adopt", "provisional", "only_in_research"]

OUTCOMES: dict[Path, Outcome] = {
    "keep": "not_met",
    "adopt": "met",
    "provisional": "insufficient_evidence",
    "only_in_research": "insufficient_evidence",
}
"""What a path means to a standard."""


@dataclass(frozen=True, slots=True)
class NetBenefitReading:
    """What D3 reads. Patients are discounted and money is over all patients unless said otherwise.

    Attributes:
      benefit: INB per patient as it is known today, with both variances.
      sampling_left: V_s of INB per patient that the planned data would leave, at most today's.
      privacy_left: V_dp that they would leave.
      patients_now: Eligible patients until the data are in, at least 0.
      patients_later: Eligible patients after that, to the end of the horizon, at least 0.
      switching_cost: S, at least 0.
      reversal_cost: R, at least 0.
      data_cost: D, at least 0.
      reversible: Whether adopting can be undone at all (law, contract, patients under way).
    """

    benefit: NetBenefit
    sampling_left: float
    privacy_left: float
    patients_now: float
    patients_later: float
    switching_cost: float
    reversal_cost: float
    data_cost: float
    reversible: bool

    def __post_init__(self) -> None:
        amounts = (
            self.patients_now, self.patients_later, self.switching_cost, self.reversal_cost, self.data_cost,
            self.sampling_left, self.privacy_left,
        )  # fmt: skip
        if not all(math.isfinite(x) and x >= 0 for x in amounts):
            raise PaymentError("patients, costs and variances of a net-benefit decision are at or above 0")
        if self.sampling_left + self.privacy_left > self.benefit.sd**2 * (1 + 1e-12):
            raise PaymentError("the planned data would leave more variance than there is today")

    @property
    def preposterior_sd(self) -> float:
        """SD of the mean of INB that the data would move it by, in money per patient."""
        return math.sqrt(max(self.benefit.sd**2 - self.sampling_left - self.privacy_left, 0.0))


@dataclass(frozen=True, slots=True)
class NetBenefitAnswer:
    """The path chosen and what each was worth.

    Attributes:
      path: What to do.
      outcome: The same in the words of a standard.
      worth: Expected net benefit of every open path against keeping, in money.
      value_of_data: EVSI less the cost of data on the better of adopting and keeping, in money.
    """

    path: Path
    outcome: Outcome
    worth: dict[Path, float]
    value_of_data: float


@dataclass(frozen=True, slots=True)
class NetBenefitRule:
    """D3 over its four paths."""

    name: Literal["D3"] = "D3"

    def answer(self, reading: NetBenefitReading) -> NetBenefitAnswer:
        """Return the path with the highest expected net benefit; keeping where none is better."""
        worth = paths(reading)
        path: Path = "keep"
        for other in ("adopt", "provisional", "only_in_research"):
            if other in worth and worth[other] > worth[path]:
                path = other
        with_data = [worth[x] for x in ("provisional", "only_in_research") if x in worth]
        without = max(worth["keep"], worth["adopt"])
        return NetBenefitAnswer(path, OUTCOMES[path], worth, max(with_data) - without)


def read_net_benefit(benefit: NetBenefit) -> Reading:
    """Return what D1 and D2 read of a net benefit: P(INB > 0), and INB against a threshold of 0 in money."""
    return Reading(
        probability=rounded(benefit.probability),
        estimate=benefit.mean,
        sampling_variance=benefit.sampling_variance,
        privacy_variance=benefit.privacy_variance,
        threshold=0.0,
        direction="at_least",
    )


def paths(reading: NetBenefitReading) -> dict[Path, float]:
    """Return the expected net benefit of every open path against keeping, in money."""
    mean, now, later = reading.benefit.mean, reading.patients_now, reading.patients_later
    spread = later * reading.preposterior_sd
    found: dict[Path, float] = {
        "keep": 0.0,
        "adopt": mean * (now + later) - reading.switching_cost,
        "only_in_research": expected_above(later * mean - reading.switching_cost, spread) - reading.data_cost,
    }
    if reading.reversible:
        found["provisional"] = (
            mean * now
            - reading.switching_cost
            + expected_above(later * mean, spread, -reading.reversal_cost)
            - reading.data_cost
        )
    return found
