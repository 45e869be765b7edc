"""What the standard concepts of OMOP mean in the canonical tables. Numbers and names: athena.ohdsi.org."""

from __future__ import annotations

SEX = {
    "8507": "male",
    "8532": "female",
    "8521": "other",
    "8570": "other",  # ambiguous
    "8551": "unknown",
    "0": "unknown",
}

STAY = "stay"
LEFT_OUT = "left out"
PLACES = {
    "9201": STAY,  # inpatient visit
    "262": STAY,  # emergency room and inpatient visit
    "8717": STAY,  # inpatient hospital
    "8920": STAY,  # comprehensive inpatient rehabilitation facility
    "8971": STAY,  # inpatient psychiatric facility
    "32037": STAY,  # intensive care
    "581379": STAY,  # inpatient critical care facility
    "9203": "emergency",  # emergency room visit
    "8870": "emergency",  # emergency room, hospital
    "9202": "outpatient",  # outpatient visit
    "581477": "outpatient",  # office visit
    "8756": "outpatient",  # outpatient hospital
    "5083": "telehealth",
    "581476": "home",  # home visit
    "38004519": "home",  # home health agency
    "42898160": LEFT_OUT,  # non-hospital institution visit, such as long-term care
    "8676": LEFT_OUT,  # nursing facility
    "8863": LEFT_OUT,  # skilled nursing facility
    "581458": LEFT_OUT,  # pharmacy visit
    "32036": LEFT_OUT,  # laboratory visit
    "581478": LEFT_OUT,  # ambulance visit
}
"""Kind of visit → a stay, the kind of a visit, or no event of the canonical tables."""

EMERGENCY_AND_INPATIENT = "262"
EMERGENCY_ROOMS = ("9203", "8870")
STILL_PATIENT = "32220"

ADMITTED_FROM = {
    "8536": "home",
    "581476": "home",
    "9203": "home",  # no place of origin: billing rules record such patients as from home
    "8870": "home",
    "9202": "outpatient",
    "581477": "outpatient",
    "8756": "outpatient",
    "9201": "other_hospital",
    "8717": "other_hospital",
    "8863": "nursing",
    "8676": "nursing",
    "8827": "nursing",  # custodial care facility
    "8615": "nursing",  # assisted living facility
    "42898160": "nursing",
    "8920": "other",
    "8970": "other",  # inpatient long-term care
    "8971": "other",
    "8546": "other",  # hospice
    "8844": "other",  # other place of service
}
DISCHARGED_TO = {
    "8536": "home",
    "581476": "home",
    "38004519": "home",
    "9201": "acute_transfer",
    "8717": "acute_transfer",
    "8863": "nursing",
    "8676": "nursing",
    "8827": "nursing",
    "8615": "nursing",
    "42898160": "nursing",
    "8920": "rehabilitation",
    "8546": "hospice",
    "4021968": "against_advice",  # patient self-discharge against medical advice
    "44814693": "against_advice",  # absent without leave
    "4216643": "died",
    "8970": "other",
    "8971": "other",
    "8844": "other",
    "44814649": "other",
}
NOT_TOLD = ("0", "44814650", "44814653")
"""No matching concept, no information, unknown."""

AT_ADMISSION = ("32890", "32901", "32907", "4203942")
"""Admission diagnosis, primary and secondary; admitting diagnosis of earlier versions."""

NEITHER = ("32892", "32899", "32904", "32905", "4033240")
"""To be diagnosed, preliminary (also of earlier versions), referral: no diagnosis of the stay."""

PRIMARY = ("32901", "32902", "32903")
"""Primary admission diagnosis, primary diagnosis, primary discharge diagnosis."""

DIAGNOSIS_SYSTEMS = {
    "ICD9CM": "icd9cm",
    "ICD10CM": "icd10cm",
    "ICD10": "icd10",
    "ICD10CN": "icd10gb",  # the Chinese national edition, GB/T 14396
}
PROCEDURE_SYSTEMS = {"ICD9Proc": "icd9cm3", "ICD10PCS": "icd10pcs"}
