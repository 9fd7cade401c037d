"""What the service model does not say about S3 on the wire: one table, each entry with its reason.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from __future__ import annotations

from typing import Any, Final

VERSIONS: Final = {"s3": "2006-03-01"}  # service → version of its model; other services have longer request lines
XMLNS: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

# ---- which operation a request is -------------------------------------------------------------------------------------------

# The first five share a request line with their successor; the others belong to other products.
SKIPPED: Final = {
    "GetBucketLifecycle",
    "GetBucketNotification",
    "ListDirectoryBuckets",
    "PutBucketLifecycle",
    "PutBucketNotification",
    "CreateSession",
    "WriteGetObjectResponse",
}

# Query names that ask for something of their own, beside the valueless ones of the model. Any other unknown name is ignored
# (x-id, X-Amz-*, cache busters).
SUBRESOURCES: Final = {
    "append",
    "events",
    "lambdaArn",
    "replication-metrics",
    "replication-reset",
    "session",
    "torrent",
    "uploadId",
}

# Operations that the model lacks. "like": whose parameters they take; without it they have a bucket and nothing else.
ADDED: Final[dict[str, dict[str, str]]] = {
    "PostObject": {"method": "POST", "uri": "/{Bucket}", "like": "PutObject"},      # a browser's form with a file in it
    "GetWebsitePage": {"method": "GET", "uri": "/", "level": "website"},
    "HeadWebsitePage": {"method": "HEAD", "uri": "/", "level": "website"},
    "ListTagsForResource": {"method": "GET", "uri": "/v20180820/tags/", "level": "control"},
    "TagResource": {"method": "POST", "uri": "/v20180820/tags/", "level": "control"},
    "UntagResource": {"method": "DELETE", "uri": "/v20180820/tags/", "level": "control"},
    "GetCallerIdentity": {"method": "POST", "uri": "/?Action=GetCallerIdentity", "level": "query"},     # of STS; the form is its query
    "HeadService": {"method": "HEAD", "uri": "/"},                                  # backup tools ask whether there is an S3 at all
}

# A required header that does not tell operations apart: its absence is InvalidArgument, not another operation.
NOT_ROUTED: Final = {"GetObjectAttributes": "x-amz-object-attributes"}

# One of the two names an upload's part; one without the other must never become a plain PutObject.
PART_PARAMETERS: Final = ("uploadId", "partNumber")

# ---- requests ---------------------------------------------------------------------------------------------------------------

INT_MAX: Final = 2**31 - 1

# Name in the query, or of a header → (least, most, what AWS calls it in the message, is an empty value the same as none?)
INTEGERS: Final = {
    "max-keys": (0, INT_MAX, "maxKeys", True),
    "max-parts": (0, INT_MAX, "max-parts", True),
    "max-uploads": (0, INT_MAX, "max-uploads", True),
    "part-number-marker": (0, INT_MAX, "partNumberMarker", True),
    "max-buckets": (1, 10_000, "max-buckets", True),
    "x-amz-max-parts": (0, INT_MAX, "x-amz-max-parts", True),
    "x-amz-part-number-marker": (0, INT_MAX, "x-amz-part-number-marker", True),
    "partNumber": (1, 10_000, "partNumber", False),
}
PART_NUMBER_RULE: Final = "Part number must be an integer between 1 and 10000, inclusive"

# Query values the model leaves open, the service does not.
QUERY_VALUES: Final = {"encoding-type": (frozenset({"", "url"}), "Invalid Encoding Method specified in Request")}
QUERY_NOT_EMPTY: Final = {"versionId": "Version id cannot be the empty string"}

# response-content-type and its family come back as headers, byte for byte, so they must not carry line ends. The model calls
# response-expires a timestamp; AWS echoes whatever was sent, and so do we.
ECHOED_PREFIX: Final = "response-"

# Conditions whose date cannot be read are ignored (RFC 9110, section 13.1.3), so they must not fail the request.
LENIENT_DATES: Final = {
    "if-modified-since",
    "if-unmodified-since",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since",
}

# Enumerations are enforced in bodies only, never in headers or the query: there the operation decides. These stay open in bodies
# too: own regions, other servers' events and storage classes; of filter rules S3 takes Prefix and prefix alike; a website's protocol has
# an error of its own.
OPEN_ENUMS: Final = {"BucketLocationConstraint", "Event", "FilterRuleName", "Protocol", "StorageClass", "TransitionStorageClass"}

# An access control list has an error of its own.
ACL_BODIES: Final = {"PutBucketAcl", "PutObjectAcl"}

# Who is granted, when xsi:type is missing (some clients): told by the member that is there.
GRANTEE_TYPES: Final = {"ID": "CanonicalUser", "EmailAddress": "AmazonCustomerByEmail", "URI": "Group"}

# The model demands a checksum of 27 bodies; old clients send none. It is verified wherever it is present and demanded here only.
CHECKSUM_REQUIRED: Final = {"DeleteObjects", "PutObjectLegalHold", "PutObjectLockConfiguration", "PutObjectRetention"}

# What other servers' clients send and AWS does not know. Shape → member → (shape, definition of that shape when it is new).
EXTENSIONS: Final[dict[str, dict[str, tuple[str, dict[str, Any] | None]]]] = {
    "LifecycleRule": {
        "DelMarkerExpiration": ("DelMarkerExpiration", {"type": "structure", "members": {"Days": {"shape": "Days"}}}),
    },
    "LifecycleExpiration": {"ExpiredObjectAllVersions": ("ExpiredObjectDeleteMarker", None)},
    "ReplicationRule": {
        "DeleteReplication": (
            "DeleteReplication",
            {"type": "structure", "members": {"Status": {"shape": "DeleteMarkerReplicationStatus"}}},
        ),
    },
}

# ---- replies ----------------------------------------------------------------------------------------------------------------

STATUS: Final = {"PutBucketPolicy": 204, "PutBucketTagging": 204}  # the model says 200; 202, 206 and 304 are the function's

# A bare text root instead of a structure.
TEXT_ROOTS: Final = {"GetBucketLocation": "LocationConstraint"}

# Roots of replies without a payload member: botocore never looks at them, other SDKs do. Not listed: the name + "Result".
ROOTS: Final = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketIntelligentTieringConfigurations": "ListBucketIntelligentTieringConfigurationsOutput",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}

# encoding-type=url: what is percent-encoded. A pair is a list and the member of its items.
URL_ENCODED: Final[dict[str, tuple[str | tuple[str, str], ...]]] = {
    "ListMultipartUploads": (
        "Delimiter",
        "KeyMarker",
        "NextKeyMarker",
        "Prefix",
        ("Uploads", "Key"),
        ("CommonPrefixes", "Prefix"),
    ),
    "ListObjectVersions": (
        "Delimiter",
        "KeyMarker",
        "NextKeyMarker",
        "Prefix",
        ("Versions", "Key"),
        ("DeleteMarkers", "Key"),
        ("CommonPrefixes", "Prefix"),
    ),
    # Without Prefix: botocore decodes the other fields of this listing, but not that one.
    "ListObjects": ("Delimiter", "Marker", "NextMarker", ("Contents", "Key"), ("CommonPrefixes", "Prefix")),
    "ListObjectsV2": ("Delimiter", "Prefix", "StartAfter", ("Contents", "Key"), ("CommonPrefixes", "Prefix")),
}
