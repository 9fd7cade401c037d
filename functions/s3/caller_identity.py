"""GetCallerIdentity of STS: who has signed. Terraform learns the number of the account from it."""

from shared.context import Context
from shared.errors import InvalidRequest
from shared.permissions import signed
from shared.protocol import query_api
from shared.registry import s3
from shared.request import Reply


@s3("GetCallerIdentity", allow=signed)
def get_caller_identity(ctx: Context) -> Reply:
    """Say who has signed: the account as 12 digits, canonical id, ARN. Needs no permission.

    Raises InvalidRequest for the account of a tenant whose digits are another one's name.
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    """
    assert ctx.known is not None and ctx.caller is not None
    who = ctx.known.who(ctx.caller)
    if not who.number:
        raise InvalidRequest("The account has no number: another tenant has it as its name.")
    members = {"Arn": who.numbered_arn, "UserId": who.canonical_id, "Account": who.number}
    return Reply(200, [("Content-Type", "text/xml")], query_api.answer("GetCallerIdentity", members, ctx.request.id))
