"""HeadService: whether there is an S3 here. The service model does not have it, but backup tools ask before all else."""

from shared.context import Context
from shared.registry import s3


@s3("HeadService", allow="s3:ListAllMyBuckets")
def head_service(ctx: Context) -> None:
    """Say that the caller may list buckets here; with their region, in which requests have to be signed."""
    ctx.notes.append(("x-amz-bucket-region", ctx.services.settings.region))
