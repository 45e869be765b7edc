"""What the texts of MIMIC's admissions mean in the canonical tables, by the UB-04 codes behind them."""

from __future__ import annotations

OBSERVATION = ("AMBULATORY OBSERVATION", "DIRECT OBSERVATION", "EU OBSERVATION", "OBSERVATION ADMIT")
ADMISSION_TYPES = {
    "EW EMER.": "emergency",
    "DIRECT EMER.": "emergency",
    "EMERGENCY": "emergency",
    "EU OBSERVATION": "emergency",  # in the emergency unit
    "URGENT": "urgent",
    "ELECTIVE": "elective",
    "SURGICAL SAME DAY ADMISSION": "elective",
}
SOURCES = {
    "EMERGENCY ROOM": "home",  # no place of origin: billing rules record such patients as from home
    "WALK-IN/SELF REFERRAL": "home",
    "PHYSICIAN REFERRAL": "outpatient",
    "CLINIC REFERRAL": "outpatient",
    "PROCEDURE SITE": "outpatient",
    "PACU": "outpatient",
    "AMBULATORY SURGERY TRANSFER": "outpatient",
    "TRANSFER FROM HOSPITAL": "other_hospital",
    "TRANSFER FROM SKILLED NURSING FACILITY": "nursing",
    "INTERNAL TRANSFER TO OR FROM PSYCH": "other",
}
DISPOSITIONS = {
    "HOME": "home",
    "HOME HEALTH CARE": "home",
    "ASSISTED LIVING": "nursing",
    "SKILLED NURSING FACILITY": "nursing",
    "ACUTE HOSPITAL": "acute_transfer",
    "REHAB": "rehabilitation",
    "HOSPICE": "hospice",
    "AGAINST ADVICE": "against_advice",
    "DIED": "died",
    "CHRONIC/LONG TERM ACUTE CARE": "other",
    "HEALTHCARE FACILITY": "other",
    "PSYCH FACILITY": "other",
    "OTHER FACILITY": "other",
}
