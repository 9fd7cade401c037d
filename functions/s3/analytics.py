"""Storage class analyses of a bucket: kept and shown."""

from typing import Any

from shared import configuration_sets
from shared.context import Context
from shared.documents import ONE_OF_MANY_BYTES
from shared.protocol.filters import check_filter
from shared.protocol.replication import require_bucket_arn
from shared.protocol.xml_shapes import malformed
from shared.registry import s3

KIND = "analytics"


@s3("PutBucketAnalyticsConfiguration", allow="s3:PutAnalyticsConfiguration", document_bytes=ONE_OF_MANY_BYTES)
def put_bucket_analytics_configuration(ctx: Context) -> None:
    """Write or replace an analysis.

    Raises MalformedXML, InvalidArgument, InvalidRequest, TooManyConfigurations.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAnalyticsConfiguration.html
    """
    document = ctx.params["AnalyticsConfiguration"]
    _check(document)
    configuration_sets.put(ctx, KIND, document)


def _check(document: dict[str, Any]) -> None:
    if "Filter" in document:
        if not document["Filter"]:
            raise malformed("an empty Filter")
        check_filter(document["Filter"], one_only=True)
    if "DataExport" in document["StorageClassAnalysis"]:
        require_bucket_arn(document["StorageClassAnalysis"]["DataExport"]["Destination"]["S3BucketDestination"]["Bucket"])


@s3("GetBucketAnalyticsConfiguration", allow="s3:GetAnalyticsConfiguration")
def get_bucket_analytics_configuration(ctx: Context) -> dict[str, Any]:
    """Return one analysis. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAnalyticsConfiguration.html
    """
    return {"AnalyticsConfiguration": configuration_sets.get(ctx, KIND)}


@s3("ListBucketAnalyticsConfigurations", allow="s3:GetAnalyticsConfiguration")
def list_bucket_analytics_configurations(ctx: Context) -> dict[str, Any]:
    """Return a page of them in order of id. Raises InvalidArgument.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBucketAnalyticsConfigurations.html
    """
    return configuration_sets.page(ctx, KIND, "AnalyticsConfigurationList")


@s3("DeleteBucketAnalyticsConfiguration", allow="s3:PutAnalyticsConfiguration")
def delete_bucket_analytics_configuration(ctx: Context) -> None:
    """Remove one analysis. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketAnalyticsConfiguration.html
    """
    configuration_sets.delete(ctx, KIND)
