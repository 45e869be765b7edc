"""Examples of the description: a call at admission, its card, and what became of that."""

from __future__ import annotations

from typing import Any

EXAMPLE_SERVICES: dict[str, Any] = {
    "services": [
        {
            "hook": "encounter-start",
            "title": "Readmission and complications",
            "description": "Predicted risks of the stay that begins, with reasons.",
            "id": "wardcast-encounter-start",
            "prefetch": {
                "patient": "Patient/{{context.patientId}}",
                "encounters": "Encounter?patient={{context.patientId}}",
            },
        }
    ]
}

EXAMPLE_REQUEST: dict[str, Any] = {
    "hook": "encounter-start",
    "hookInstance": "3b2f4b2e-6f0e-4d52-9a57-0f0f6c1d7a11",
    "context": {"userId": "Practitioner/D1", "patientId": "P7", "encounterId": "S9"},
    "prefetch": {
        "patient": {"resourceType": "Patient", "id": "P7", "gender": "female", "birthDate": "1951-03-02"},
        "encounters": {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [
                {
                    "resource": {
                        "resourceType": "Encounter",
                        "id": "S9",
                        "status": "in-progress",
                        "class": {
                            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                            "code": "IMP",
                        },
                        "subject": {"reference": "Patient/P7"},
                        "serviceProvider": {"reference": "Organization/H1"},
                        "period": {"start": "2026-01-07T10:00:00+08:00"},
                    }
                }
            ],
        },
        "conditions": None,
    },
}

EXAMPLE_CARDS: dict[str, Any] = {
    "cards": [
        {
            "uuid": "7d9a9d3e-40d5-4ab7-9f3b-2a8c54f6e0d2",
            "summary": "Unplanned readmission within 30 days of discharge: 23 % (high)",
            "detail": "**Unplanned readmission within 30 days of discharge: 23 %** (high; …)",
            "indicator": "warning",
            "source": {"label": "wardcast"},
            "suggestions": [
                {
                    "label": "Consider: a follow-up visit within 7 days of discharge",
                    "uuid": "f5b27a50-13a5-4a8f-8f3a-0d1c9b3f8a4e",
                    "actions": [
                        {
                            "type": "create",
                            "description": "Propose a follow-up visit within 7 days of discharge",
                            "resource": {
                                "resourceType": "ServiceRequest",
                                "status": "draft",
                                "intent": "proposal",
                                "subject": {"reference": "Patient/P7"},
                            },
                        }
                    ],
                }
            ],
            "selectionBehavior": "any",
            "overrideReasons": [
                {
                    "system": "urn:wardcast:override-reason",
                    "code": "already-planned",
                    "display": "Already planned or done",
                }
            ],
        }
    ]
}

EXAMPLE_FEEDBACK: dict[str, Any] = {
    "feedback": [
        {
            "card": "7d9a9d3e-40d5-4ab7-9f3b-2a8c54f6e0d2",
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": "f5b27a50-13a5-4a8f-8f3a-0d1c9b3f8a4e"}],
            "outcomeTimestamp": "2026-01-07T02:05:31Z",
        }
    ]
}
