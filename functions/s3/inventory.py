"""Inventories of a bucket: lists of its objects that are to be written regularly."""

from typing import Any

from shared import configuration_sets
from shared.bucket_errors import IdMismatch, InvalidS3DestinationBucket
from shared.context import Context
from shared.documents import ONE_OF_MANY_BYTES
from shared.errors import InvalidArgument
from shared.protocol.replication import require_bucket_arn
from shared.protocol.xml_shapes import malformed
from shared.registry import s3

KIND = "inventory"


@s3("PutBucketInventoryConfiguration", allow="s3:PutInventoryConfiguration", document_bytes=ONE_OF_MANY_BYTES)
def put_bucket_inventory_configuration(ctx: Context) -> None:
    """Write or replace an inventory.

    Raises MalformedXML, InvalidArgument, IdMismatch, InvalidS3DestinationBucket, TooManyConfigurations.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketInventoryConfiguration.html
    """
    document = ctx.params["InventoryConfiguration"]
    _check(document, ctx.params["Id"])
    configuration_sets.put(ctx, KIND, document)


def _check(document: dict[str, Any], name: str) -> None:
    destination = document["Destination"]["S3BucketDestination"]
    if len(destination.get("Encryption", {"one": None})) != 1:
        raise malformed("choose one of SSE-S3, SSE-KMS")
    fields = document.get("OptionalFields", ())
    if len(set(fields)) < len(fields):
        raise malformed("a Field appears twice")
    if document["Id"] != name:
        raise IdMismatch
    try:
        require_bucket_arn(destination["Bucket"])
    except InvalidArgument:
        raise InvalidS3DestinationBucket from None


@s3("GetBucketInventoryConfiguration", allow="s3:GetInventoryConfiguration")
def get_bucket_inventory_configuration(ctx: Context) -> dict[str, Any]:
    """Return one inventory. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketInventoryConfiguration.html
    """
    return {"InventoryConfiguration": configuration_sets.get(ctx, KIND)}


@s3("ListBucketInventoryConfigurations", allow="s3:GetInventoryConfiguration")
def list_bucket_inventory_configurations(ctx: Context) -> dict[str, Any]:
    """Return a page of them in order of id. Raises InvalidArgument.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBucketInventoryConfigurations.html
    """
    return configuration_sets.page(ctx, KIND, "InventoryConfigurationList")


@s3("DeleteBucketInventoryConfiguration", allow="s3:PutInventoryConfiguration")
def delete_bucket_inventory_configuration(ctx: Context) -> None:
    """Remove one inventory. Raises NoSuchConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketInventoryConfiguration.html
    """
    configuration_sets.delete(ctx, KIND)
