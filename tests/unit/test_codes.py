"""Code sets and comorbidities, checked by hand against their published definitions."""

from __future__ import annotations

import time
from collections.abc import Callable

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.codes import (
    DIAGNOSIS_SYSTEMS,
    PROCEDURE_SYSTEMS,
    acute_diagnoses,
    categorise,
    ccs_prefixes,
    complication_categories,
    index_exclusions,
    longest_prefixes,
    planned_rules,
    procedure_ccs_prefixes,
    single_planned_procedures,
)
from features.codes.comorbidity import (
    CHARLSON,
    CHARLSON_HIERARCHY,
    ELIXHAUSER,
    ELIXHAUSER_HIERARCHY,
    LACE_CONDITIONS,
    LACE_HIERARCHY,
    SEVERE_RENAL_PREFIXES,
    comorbidity_flags,
    score_sql,
)

WHO_SYSTEMS = ("icd10", "icd10gb", "icd10cn_insurance")
SHORT_TEXT = st.text(alphabet="AB1", min_size=1, max_size=5)


def diagnosis_ccs(code: str, system: str) -> int | None:
    return categorise([code], ccs_prefixes(system))[code]


def complication(code: str, system: str) -> str | None:
    table = complication_categories(system).set_index("prefix")
    prefix = longest_prefixes([code], table.index)[code]
    return None if prefix is None else str(table.loc[prefix, "category"])


def patient_mask(codes: list[str], system: str, kind: str) -> int:
    """One patient's flags: the bitwise OR over the patient's codes."""
    mask = 0
    for value in comorbidity_flags(codes, system)[kind]:
        mask |= int(value)
    return mask


def scored(mask: int, points, hierarchy) -> int:
    return int(duckdb.execute(f"SELECT {score_sql(str(mask), points, hierarchy)}").fetchall()[0][0])


def charlson(codes: list[str], weight: str, system: str = "icd10cm") -> int:
    points = {condition: getattr(condition, weight) for condition in CHARLSON}
    return scored(patient_mask(codes, system, "charlson"), points, CHARLSON_HIERARCHY)


def elixhauser(codes: list[str], system: str = "icd10cm") -> int:
    points = {condition: condition.weight_van_walraven for condition in ELIXHAUSER}
    return scored(patient_mask(codes, system, "elixhauser"), points, ELIXHAUSER_HIERARCHY)


def lace_points(codes: list[str], system: str = "icd10cm") -> int:
    points = {condition: condition.points for condition in LACE_CONDITIONS}
    return scored(patient_mask(codes, system, "lace"), points, LACE_HIERARCHY)


@pytest.mark.parametrize("system", [*WHO_SYSTEMS, "icd10cm"])
@pytest.mark.parametrize(
    ("code", "ccs"),
    [
        ("I500", 108),  # congestive heart failure
        ("C349", 19),  # cancer of bronchus and lung
        ("Z511", 45),  # maintenance chemotherapy
        ("I489", 106),  # dysrhythmia: ICD-10-CM has only I48.91 and I48.92 below it
        ("I48", 106),
        ("N183", 158),  # chronic kidney disease
        ("E119", 49),  # diabetes without complication
        ("E112", 50),  # diabetes with complications
        ("I214", 100),  # acute myocardial infarction
        ("S720", 226),  # fracture of neck of femur
        ("F203", 659),  # schizophrenia
        ("J189", 122),  # pneumonia
    ],
)
def test_a_diagnosis_has_its_published_ccs_category_in_every_icd10_edition(system, code, ccs):
    assert diagnosis_ccs(code, system) == ccs


@pytest.mark.parametrize(
    ("code", "ccs"),
    [
        ("I64", 109),  # stroke, not specified: WHO only
        ("F009", 653),  # dementia in Alzheimer disease
        ("E149", 49),
        ("E142", 50),
        ("B24", 5),
        ("O814", 194),  # vacuum extraction
        ("O840", 196),  # multiple delivery
        ("Z501", 254),  # rehabilitation
        ("Z512", 45),  # other chemotherapy
        ("Z513", 257),  # blood transfusion: not maintenance chemotherapy, although most of Z51 is
    ],
)
def test_who_categories_without_an_american_counterpart_have_a_category_too(code, ccs):
    assert diagnosis_ccs(code, "icd10gb") == ccs


def test_digits_that_a_national_edition_appends_are_not_read_as_american_ones():
    # I50.0, I48 and J96.0 with digits of the Chinese editions: four characters decide.
    codes = ["I50000X001", "I48X00", "J9600"]
    assert categorise(codes, ccs_prefixes("icd10gb")) == {"I50000X001": 108, "I48X00": 106, "J9600": 131}
    assert ccs_prefixes("icd10gb")["prefix"].str.len().max() == 4


@pytest.mark.parametrize(
    ("code", "ccs"),
    [("4280", 108), ("1629", 19), ("V5811", 45), ("25000", 49), ("41071", 100), ("V5789", 254), ("650", 196)],
)
def test_an_icd9_diagnosis_has_its_published_ccs_category(code, ccs):
    assert diagnosis_ccs(code, "icd9cm") == ccs


@pytest.mark.parametrize(
    ("code", "ccs"),
    [
        ("3521", 43),  # heart valve, tissue graft
        ("9925", 224),  # cancer chemotherapy
        ("0066", 45),  # PTCA
        ("3610", 44),  # coronary bypass
        ("4105", 64),  # allogeneic stem cells
        ("5569", 105),  # kidney transplant
        ("8154", 152),  # total knee replacement
        ("5123", 84),  # laparoscopic cholecystectomy
        ("9224", 211),  # photon teletherapy
        ("3995", 58),  # haemodialysis
        ("740", 134),  # classical caesarean section
        ("352100", 43),  # the Chinese edition appends two digits
    ],
)
def test_an_icd9_procedure_has_its_published_ccs_category(code, ccs):
    assert categorise([code], procedure_ccs_prefixes("icd9cm3"))[code] == ccs


@pytest.mark.parametrize(
    ("code", "ccs"),
    [
        ("02RF08Z", 43),  # replacement of aortic valve
        ("0SRD0JZ", 152),  # replacement of left knee joint
        ("0TY00Z0", 105),  # transplantation of right kidney
        ("00800ZZ", 1),  # division of brain
    ],
)
def test_an_icd10_procedure_has_its_published_ccs_category(code, ccs):
    assert categorise([code], procedure_ccs_prefixes("icd10pcs"))[code] == ccs


def test_a_code_outside_the_classification_has_no_category():
    codes = ["?", "", "I5", "ZZZ9"]
    assert categorise(codes, ccs_prefixes("icd10cm")) == dict.fromkeys(codes)


@given(codes=st.lists(SHORT_TEXT, max_size=20), prefixes=st.sets(SHORT_TEXT, max_size=10))
def test_the_longest_prefix_wins(codes, prefixes):
    expected = {
        code: max((prefix for prefix in prefixes if code.startswith(prefix)), key=len, default=None)
        for code in codes
    }
    assert longest_prefixes(codes, prefixes) == expected


def test_a_hundred_thousand_distinct_codes_take_less_than_a_second():
    codes = [f"{letter}{number:04d}" for letter in "ABCDEFGHIJ" for number in range(10_000)]
    prefixes = ccs_prefixes("icd10cm")
    started = time.perf_counter()
    categories = categorise(codes, prefixes)
    assert time.perf_counter() - started < 1
    assert len(categories) == 100_000


@pytest.mark.parametrize(
    ("load", "system"),
    [(ccs_prefixes, system) for system in DIAGNOSIS_SYSTEMS]
    + [(procedure_ccs_prefixes, system) for system in PROCEDURE_SYSTEMS],
)
def test_every_ccs_file_is_a_clean_and_minimal_set_of_prefixes(
    load: Callable[[str], pd.DataFrame], system: str
):
    table = load(system)
    assert table.columns.tolist() == ["prefix", "ccs"]
    assert table["prefix"].is_unique
    assert table["prefix"].str.fullmatch("[A-Z0-9]{3,7}").all()
    assert table["ccs"].gt(0).all()
    if system in WHO_SYSTEMS:  # two files overlap by design
        return
    shorter = categorise((prefix[:-1] for prefix in table["prefix"]), table)
    redundant = [p for p, ccs in zip(table["prefix"], table["ccs"], strict=True) if shorter[p[:-1]] == ccs]
    assert redundant == []


def test_the_files_name_every_category_of_the_published_classifications():
    # CCS procedures: 231 categories, numbered without a gap.
    assert set(procedure_ccs_prefixes("icd9cm3")["ccs"]) == set(range(1, 232))
    # ICD-9 diagnoses: 1-259 without the psychiatric ones that became 650-670, and the E codes 2601-2621.
    assert len(set(ccs_prefixes("icd9cm")["ccs"])) == 283


def test_changing_a_returned_table_does_not_change_the_next_one():
    table = ccs_prefixes("icd10cm")
    table["ccs"] = 0
    assert diagnosis_ccs("I500", "icd10cm") == 108


@pytest.mark.parametrize(
    ("load", "system"),
    [
        (ccs_prefixes, "icd11"),
        (procedure_ccs_prefixes, "cpt"),
        (complication_categories, "icd9cm3"),
        (lambda system: comorbidity_flags(["I50"], system), "icd10gm"),
    ],
)
def test_an_unknown_code_system_is_named_with_those_that_exist(load, system):
    with pytest.raises(ValueError, match=rf"'{system}'.*Use one of: icd"):
        load(system)


def test_the_planned_rules_are_those_of_the_measure():
    rules = planned_rules()
    assert rules.always_planned_procedures == {64, 105, 176}  # the three transplant categories
    assert rules.always_planned_diagnoses == {45, 254}
    assert {43, 44, 45, 84, 152, 153, 211, 224} <= rules.potentially_planned_procedures
    assert {2, 100, 109, 122, 131, 159} <= rules.acute_diagnoses
    # Heart failure (108) and dysrhythmia (106) are acute only in part: see `acute_diagnoses`.
    assert not {45, 106, 108, 158} & rules.acute_diagnoses
    assert (len(rules.potentially_planned_procedures), len(rules.acute_diagnoses)) == (65, 80)


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        # A category that is acute as a whole in every edition: pneumonia.
        ("icd10gb", "J189", True),
        ("icd10cm", "J189", True),
        ("icd9cm", "486", True),
        # Heart failure (CCS 108): decompensated or not specified is acute, chronic is not.
        ("icd10cm", "I5023", True),
        ("icd10cm", "I5022", False),
        ("icd9cm", "42823", True),
        ("icd9cm", "42822", False),
        ("icd10", "I500", True),
        # Dysrhythmia (106): ventricular tachycardia is acute, atrial fibrillation is not.
        ("icd10cm", "I472", True),
        ("icd10cm", "I4891", False),
        ("icd10gb", "I48", False),
        ("icd9cm", "42731", False),
        # Infarction (100): a subsequent episode of care by ICD-9-CM is not acute.
        ("icd9cm", "41011", True),
        ("icd9cm", "41012", False),
        # Pancreas (152) and bile ducts (149).
        ("icd10", "K859", True),
        ("icd10", "K861", False),
        ("icd9cm", "5770", True),
        ("icd9cm", "5771", False),
        ("icd10cm", "K8010", False),
        ("icd10cm", "K8012", True),
        ("icd10cm", "K8301", False),
        ("icd10cm", "K8309", True),
        # Hip fracture (226): acute at its first treatment, not at a later one; WHO's code says neither.
        ("icd10cm", "S72001A", True),
        ("icd10cm", "S72001C", True),
        ("icd10cm", "S72001D", False),
        ("icd10cm", "S72001S", False),
        ("icd10gb", "S72000", True),
        ("icd9cm", "82021", True),
        # Open wounds of limbs (236) and other fractures (231) are not in the measure's list.
        ("icd9cm", "8910", False),
        # Chronic coronary disease (101) with unstable angina is acute by ICD-10-CM alone.
        ("icd10cm", "I25110", True),
        ("icd10cm", "I2510", False),
        ("icd9cm", "41401", False),
        # Not a code at all.
        ("icd10", "U99", False),
    ],
)
def test_categories_that_are_acute_in_part_are_told_apart_by_the_code(system, code, expected):
    assert acute_diagnoses([code], system) == {code: expected}


def test_procedures_that_the_measure_names_singly_are_potentially_planned():
    single = single_planned_procedures("icd9cm3")
    # Laryngectomy and endarterectomy of a limb are operations, electroshock is none.
    assert (single["304"], single["3818"], single["9427"]) == (True, True, False)
    assert len(single) == 11
    assert single_planned_procedures("icd10pcs") == {}


def test_index_exclusions_give_their_reason():
    reasons = index_exclusions()
    assert {reasons[ccs] for ccs in range(11, 46)} == {"cancer_treatment"}
    assert {reasons[ccs] for ccs in range(181, 197)} == {"delivery"}
    assert reasons[254] == "rehabilitation"
    assert reasons[657] == "psychiatric"
    assert 108 not in reasons
    assert 660 not in reasons  # alcohol-related disorders are index admissions


@pytest.mark.parametrize("system", [*WHO_SYSTEMS, "icd10cm"])
@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("I214", "cardiac"),
        ("T810", "procedural"),
        ("T814", "healthcare_associated_infection"),
        ("T886", "adverse_drug_event"),
        ("I269", "venous_thromboembolism"),
        ("L891", "pressure_injury"),
        ("N179", "acute_kidney_injury"),
        ("J960", "respiratory"),
        ("S720", "fall_trauma"),
        ("I639", "other"),
        ("J961", None),  # chronic respiratory failure
        ("I10", None),
        ("I251", None),
        ("E890", None),  # hypothyroidism after surgery is a lasting state
        ("W06", None),  # external causes carry no flag
    ],
)
def test_a_diagnosis_falls_into_its_complication_category(system, code, category):
    assert complication(code, system) == category


def test_a_drug_reaction_is_told_from_a_poisoning_in_icd10cm_only():
    assert complication("T383X5A", "icd10cm") == "adverse_drug_event"  # insulin, adverse effect
    assert complication("T45515A", "icd10cm") == "adverse_drug_event"  # anticoagulant, adverse effect
    assert complication("T383X1A", "icd10cm") is None  # accidental poisoning
    assert complication("T383", "icd10") is None


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("41071", "cardiac"),
        ("9982", "procedural"),
        ("99859", "healthcare_associated_infection"),
        ("99662", "healthcare_associated_infection"),
        ("5121", "respiratory"),
        ("45341", "venous_thromboembolism"),
        ("5849", "acute_kidney_injury"),
        ("82021", "fall_trauma"),
        ("4019", None),
    ],
)
def test_an_icd9_diagnosis_falls_into_its_complication_category(code, category):
    assert complication(code, "icd9cm") == category


@pytest.mark.parametrize("system", DIAGNOSIS_SYSTEMS)
def test_the_complication_set_has_the_ten_categories(system):
    table = complication_categories(system)
    assert table["prefix"].is_unique
    assert set(table["category"]) == {
        "procedural",
        "healthcare_associated_infection",
        "venous_thromboembolism",
        "pressure_injury",
        "acute_kidney_injury",
        "cardiac",
        "respiratory",
        "adverse_drug_event",
        "fall_trauma",
        "other",
    }


def test_only_complications_of_care_cannot_be_present_on_admission():
    icd10 = complication_categories("icd10").set_index("prefix")["present_on_admission_impossible"]
    care = icd10.index.str.match("T8[0-8]")
    assert icd10.dtype == bool
    assert icd10[care].all()
    assert {f"T8{digit}" for digit in range(9)} <= set(icd10.index[care])
    assert not icd10[["I21", "N17", "L89", "I26", "S72", "A41"]].any()
    icd9 = complication_categories("icd9cm").set_index("prefix")["present_on_admission_impossible"]
    assert icd9[["996", "997", "998", "999", "5121"]].all()
    assert not icd9[["410", "584", "7070"]].any()


def test_charlson_counts_the_severe_form_once():
    # E11.9 diabetes, E11.2 diabetes with complications: only the latter. 1987: 2; 2011: 1.
    assert charlson(["E119", "E112"], "weight_1987") == 2
    assert charlson(["E119", "E112"], "weight_quan2011") == 1
    # I21.4 MI 1, I50.0 CHF 1, C34.9 cancer 2 superseded by C78.0 metastasis 6, K70.3 mild liver 1: 9.
    # 2011: MI 0, CHF 2, metastasis 6, mild liver 2: 10.
    codes = ["I214", "I500", "C349", "C780", "K703", "I10"]
    assert charlson(codes, "weight_1987") == 9
    assert charlson(codes, "weight_quan2011") == 10
    # ICD-9: 585.9 renal 2, 571.2 mild liver superseded by 572.2 severe liver 3, 042 AIDS 6: 11.
    assert charlson(["5859", "5712", "5722", "042"], "weight_1987", "icd9cm") == 11
    assert charlson(["I10"], "weight_1987") == 0


def test_a_mild_form_keeps_its_bit_until_the_codes_are_added_up():
    bits = {condition.name: condition.bit for condition in CHARLSON}
    flags = comorbidity_flags(["C349", "C780"], "icd10").set_index("code")["charlson"]
    assert flags.to_dict() == {"C349": bits["cancer"], "C780": bits["metastatic_solid_tumour"]}
    mask = patient_mask(["C349", "C780"], "icd10", "charlson")
    # Each condition scores its own bit: what is left is the metastasis alone.
    assert scored(mask, {c: c.bit for c in CHARLSON}, CHARLSON_HIERARCHY) == bits["metastatic_solid_tumour"]


def test_elixhauser_by_van_walraven():
    # I50.9 heart failure 7, I48.0 arrhythmia 5, E66.9 obesity -4, I10 hypertension 0: 8.
    assert elixhauser(["I509", "I480", "E669", "I10"]) == 8
    # C18.9 solid tumour 4 superseded by C78.7 metastasis 12, E87.6 electrolytes 5, D50.0 blood loss -2: 15.
    assert elixhauser(["C189", "C787", "E876", "D500"]) == 15
    # ICD-9: 428.0 heart failure 7, 585.9 renal failure 5, 296.20 depression -3: 9.
    assert elixhauser(["4280", "5859", "29620"], "icd9cm") == 9


def test_complicated_hypertension_supersedes_uncomplicated():
    mask = patient_mask(["I10", "I119"], "icd10", "elixhauser")
    bits = {condition.name: condition.bit for condition in ELIXHAUSER}
    left = scored(mask, {c: c.bit for c in ELIXHAUSER}, ELIXHAUSER_HIERARCHY)
    assert left == bits["hypertension_complicated"]


@pytest.mark.parametrize(
    ("codes", "system", "points"),
    [
        (["I252", "I639"], "icd10cm", 2),  # previous MI 1 + cerebrovascular 1
        (["E119", "E112"], "icd10cm", 2),  # end-organ damage 2 supersedes diabetes 1
        (["I500", "J449"], "icd10cm", 4),  # heart failure 2 + chronic pulmonary 2
        (["F03", "M069"], "icd10", 6),  # dementia 3 + connective tissue 3
        (["N183"], "icd10cm", 2),  # CKD stage 3 is mild renal disease
        (["N185"], "icd10gb", 4),  # CKD stage 5 is severe
        (["N189", "Z992"], "icd10", 4),  # dialysis supersedes unspecified CKD
        (["N183", "K703"], "icd10cm", 2),  # mild liver *or* renal counts once
        (["K703", "K766"], "icd10cm", 4),  # portal hypertension 4 supersedes cirrhosis 2
        (["C349"], "icd10", 2),
        (["C349", "C780"], "icd10", 6),  # metastatic 6 supersedes any tumour 2
        (["K259", "G819"], "icd10", 0),  # peptic ulcer and hemiplegia are not in LACE
        (["B24"], "icd10", 4),
        (["5856"], "icd9cm", 4),
        (["5853", "25000"], "icd9cm", 3),  # mild renal 2 + diabetes 1
    ],
)
def test_lace_has_its_own_comorbidity_points(codes, system, points):
    assert lace_points(codes, system) == points


@pytest.mark.parametrize(("version", "system"), [("icd10", "icd10cm"), ("icd9", "icd9cm")])
def test_severe_renal_disease_is_part_of_the_renal_disease_of_charlson(version, system):
    renal = next(condition.bit for condition in CHARLSON if condition.name == "renal_disease")
    # Z49 is a heading: Quan lists its subcategories, of which Z49.0 is one.
    codes = [{"Z49": "Z490"}.get(prefix, prefix) for prefix in SEVERE_RENAL_PREFIXES[version]]
    assert (comorbidity_flags(codes, system)["charlson"] & renal).ne(0).all()


def test_flags_have_one_row_per_distinct_code_in_order():
    flags = comorbidity_flags(["I509", "I10", "I509"], "icd10cm")
    assert flags["code"].tolist() == ["I509", "I10"]
    assert flags.columns.tolist() == ["code", "charlson", "elixhauser", "lace"]
    assert comorbidity_flags([], "icd10").empty


COMORBID_CODES = (
    *("I214", "I500", "I702", "I639", "F03", "J449", "M069", "K259", "K703", "K766", "E119", "E112"),
    *("G819", "N183", "Z992", "C349", "C780", "B24", "I10", "I119", "I480", "I340", "I260", "E039"),
    *("D500", "D509", "D65", "E669", "E43", "E876", "F102", "F112", "F200", "F329", "C819", "Z000"),
)


@settings(max_examples=25, deadline=None)
@given(codes=st.lists(st.sampled_from(COMORBID_CODES), min_size=1, max_size=8))
def test_a_patient_scores_what_pycomorb_gives_all_the_codes_together(codes):
    import polars as pl
    import pycomorb

    patient = pl.DataFrame({"id": ["p"] * len(codes), "code": codes, "age": [0] * len(codes)})
    for weights, own in (("charlson", "weight_1987"), ("quan", "weight_quan2011")):
        score = pycomorb.CharlsonComorbidityIndex(patient, weights=weights)["Charlson Comorbidity Index"][0]
        assert charlson(codes, own) == score
    score = pycomorb.ElixhauserComorbidityIndex(patient)["Elixhauser Comorbidity Index"][0]
    assert elixhauser(codes) == score
