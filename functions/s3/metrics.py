"""Request metrics configurations of a bucket: kept and shown."""

from typing import Any

from shared import configuration_sets
from shared.context import Context
from shared.documents import ONE_OF_MANY_BYTES
from shared.protocol.filters import check_filter
from shared.protocol.xml_shapes import malformed
from shared.registry import s3

KIND = "metrics"


@s3("PutBucketMetricsConfiguration", allow="s3:PutMetricsConfiguration", document_bytes=ONE_OF_MANY_BYTES)
def put_bucket_metrics_configuration(ctx: Context) -> None:
    """Write or replace a metrics configuration.

    Raises MalformedXML, InvalidArgument, InvalidRequest, TooManyConfigurations.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketMetricsConfiguration.html
    """
    document = ctx.params["MetricsConfiguration"]
    _check(document)
    configuration_sets.put(ctx, KIND, document)


def _check(document: dict[str, Any]) -> None:
    if "Filter" in document:
        if not document["Filter"]:
            raise malformed("an empty Filter")
        check_filter(document["Filter"], one_only=True)


@s3("GetBucketMetricsConfiguration", allow="s3:GetMetricsConfiguration")
def get_bucket_metrics_configuration(ctx: Context) -> dict[str, Any]:
    """Return one metrics configuration. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketMetricsConfiguration.html
    """
    return {"MetricsConfiguration": configuration_sets.get(ctx, KIND)}


@s3("ListBucketMetricsConfigurations", allow="s3:GetMetricsConfiguration")
def list_bucket_metrics_configurations(ctx: Context) -> dict[str, Any]:
    """Return a page of them in order of id. Raises InvalidArgument.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBucketMetricsConfigurations.html
    """
    return configuration_sets.page(ctx, KIND, "MetricsConfigurationList")


@s3("DeleteBucketMetricsConfiguration", allow="s3:PutMetricsConfiguration")
def delete_bucket_metrics_configuration(ctx: Context) -> None:
    """Remove one metrics configuration. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketMetricsConfiguration.html
    """
    configuration_sets.delete(ctx, KIND)
