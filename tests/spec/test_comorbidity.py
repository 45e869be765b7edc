"""Charlson and Elixhauser

Conditions by the mapping of Quan et al. (Med Care 2005;43(11):1130-9), ICD-10 and ICD-9-CM; a code means
what it means whatever its position. **Charlson** with the weights of Quan et al. (Am J Epidemiol
2011;173(6):676-82): heart failure 2, dementia 2, chronic pulmonary 1, rheumatic 1, mild liver 2, diabetes
with complications 1, hemiplegia 2, renal 1, cancer 2, moderate or severe liver 4, metastatic 6, AIDS 4;
myocardial infarction, peripheral and cerebrovascular disease, peptic ulcer and diabetes without
complications 0. **Elixhauser** with the weights of van Walraven et al. (Med Care 2009;47(6):626-33). The
severe form of a condition supersedes the mild one.

At admission they are those of the discharge diagnoses of stays of the 365 days before; missing if one of
them is not coded yet (a flag only if no other stay has it). At discharge, those of the episode.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from features.points import Point
from tests.hospital import hospital, rows

STAYS = """
    stay_id | patient_id | admitted_at         | discharged_at
    before  | 7          | 2023-06-01 08:00:00 | 2023-06-05 10:00:00
    now     | 7          | 2024-01-10 08:00:00 | 2024-01-15 10:00:00
    """


@pytest.mark.parametrize(
    ("codes", "charlson", "elixhauser"),
    [
        (["I500", "J449"], 2 + 1, 7 + 3),  # heart failure, chronic pulmonary disease
        (["C780", "C341"], 6, 12),  # metastatic disease supersedes the tumour
        (
            ["K703", "K766"],
            4,
            11,
        ),  # moderate or severe liver disease supersedes mild; one condition of Elixhauser
        (["E112", "E119"], 1, 0),  # diabetes with complications supersedes diabetes
        (["N184", "E660"], 1, 5 - 4),  # renal disease; obesity lowers the Elixhauser score
        (["I219", "Z000"], 0, 0),  # a myocardial infarction has weight 0
        (["J449", "J449"], 1, 3),  # a condition counts once
    ],
)
def test_scores_of_the_episode_and_of_earlier_stays(
    tmp_path: Path, codes: list[str], charlson: int, elixhauser: int
) -> None:
    for stay, point, suffix in (("now", Point.DISCHARGE, ""), ("before", Point.ADMISSION, "_earlier")):
        other = "before" if stay == "now" else "now"
        coded = "\n".join(
            f"{stay} | {place} | {code} | Y" for place, code in enumerate(["Z000", *codes], start=1)
        )
        extract = hospital(
            tmp_path / stay,
            observed_from="2022-01-01",
            stays=STAYS,
            diagnoses=f"stay_id | position | code | present_on_admission\n{other} | 1 | Z000 | Y\n{coded}",
        )
        found = rows(extract, point).loc["now"]
        assert found[f"charlson_score{suffix}"] == charlson
        assert found[f"elixhauser_score{suffix}"] == elixhauser
