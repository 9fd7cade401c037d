"""Who pays for a bucket's requests. Here nobody is charged; what the setting refuses is refused (shared/requester_pays.py)."""

from typing import Any

from shared.context import Context
from shared.documents import MAX_BYTES
from shared.meta import configurations
from shared.registry import s3
from shared.requester_pays import KIND


@s3("PutBucketRequestPayment", allow="s3:PutBucketRequestPayment", document_bytes=MAX_BYTES)
def put_bucket_request_payment(ctx: Context) -> None:
    """Say who pays. With Requester, other accounts must say that they know (x-amz-request-payer), and nobody comes unsigned.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html
    """
    configurations.put(ctx.bucket, KIND, {"Payer": ctx.params["RequestPaymentConfiguration"]["Payer"]})


@s3("GetBucketRequestPayment", allow="s3:GetBucketRequestPayment")
def get_bucket_request_payment(ctx: Context) -> dict[str, Any]:
    """Return who pays: the bucket's owner unless something else was said.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketRequestPayment.html
    """
    return configurations.find(ctx.bucket.id, KIND) or {"Payer": "BucketOwner"}
