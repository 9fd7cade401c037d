"""Intelligent tiering configurations of a bucket: kept and shown."""

from typing import Any

from shared import configuration_sets
from shared.context import Context
from shared.documents import ONE_OF_MANY_BYTES
from shared.errors import InvalidArgument
from shared.protocol.filters import check_filter
from shared.protocol.xml_shapes import malformed
from shared.registry import s3

KIND = "intelligent_tiering"
LEAST_DAYS = {"ARCHIVE_ACCESS": 90, "DEEP_ARCHIVE_ACCESS": 180}     # without access before an object goes there
MOST_DAYS = 730


@s3("PutBucketIntelligentTieringConfiguration", allow="s3:PutIntelligentTieringConfiguration", document_bytes=ONE_OF_MANY_BYTES)
def put_bucket_intelligent_tiering_configuration(ctx: Context) -> None:
    """Write or replace a tiering configuration.

    Raises MalformedXML, InvalidArgument, InvalidRequest, TooManyConfigurations.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketIntelligentTieringConfiguration.html
    """
    document = ctx.params["IntelligentTieringConfiguration"]
    _check(document)
    configuration_sets.put(ctx, KIND, document)


def _check(document: dict[str, Any]) -> None:
    if "Filter" in document:
        check_filter(document["Filter"], one_only=True)
    days = {one["AccessTier"]: one["Days"] for one in document["Tierings"]}
    if not days or len(days) < len(document["Tierings"]):
        raise malformed("every AccessTier once")
    for tier, age in days.items():
        if not LEAST_DAYS[tier] <= age <= MOST_DAYS:
            raise InvalidArgument(f"Days for {tier} must be between {LEAST_DAYS[tier]} and {MOST_DAYS}", ArgumentName="Days")
    if len(days) == len(LEAST_DAYS) and days["DEEP_ARCHIVE_ACCESS"] <= days["ARCHIVE_ACCESS"]:
        raise InvalidArgument("Days for DEEP_ARCHIVE_ACCESS must be more than for ARCHIVE_ACCESS", ArgumentName="Days")


@s3("GetBucketIntelligentTieringConfiguration", allow="s3:GetIntelligentTieringConfiguration")
def get_bucket_intelligent_tiering_configuration(ctx: Context) -> dict[str, Any]:
    """Return one tiering configuration. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketIntelligentTieringConfiguration.html
    """
    return {"IntelligentTieringConfiguration": configuration_sets.get(ctx, KIND)}


@s3("ListBucketIntelligentTieringConfigurations", allow="s3:GetIntelligentTieringConfiguration")
def list_bucket_intelligent_tiering_configurations(ctx: Context) -> dict[str, Any]:
    """Return a page of them in order of id. Raises InvalidArgument.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBucketIntelligentTieringConfigurations.html
    """
    return configuration_sets.page(ctx, KIND, "IntelligentTieringConfigurationList")


@s3("DeleteBucketIntelligentTieringConfiguration", allow="s3:PutIntelligentTieringConfiguration")
def delete_bucket_intelligent_tiering_configuration(ctx: Context) -> None:
    """Remove one tiering configuration. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketIntelligentTieringConfiguration.html
    """
    configuration_sets.delete(ctx, KIND)
