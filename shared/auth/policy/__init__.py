"""Policies: documents in the JSON language of AWS, read once, and asked what they say about one action on one resource.

Pure: no database, no request. The permission engine hands in who asks and a way to look condition keys up.
"""

from shared.auth.policy.bucket import check_resources, is_public
from shared.auth.policy.builtin import BUILTIN
from shared.auth.policy.conditions import RESOURCE_NUMBER
from shared.auth.policy.evaluation import NOTHING, Bundle, evaluate
from shared.auth.policy.model import Asking, Document, PolicyError, Remark, Statement, Verdict, Who
from shared.auth.policy.reading import MAX_BYTES, parse

__all__ = [
    "BUILTIN", "MAX_BYTES", "NOTHING", "RESOURCE_NUMBER", "Asking", "Bundle", "Document", "PolicyError", "Remark", "Statement", "Verdict",
    "Who", "check_resources", "evaluate", "is_public", "parse",
]
