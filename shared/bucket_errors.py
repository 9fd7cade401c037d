"""Errors about buckets and their configurations, as S3 names them."""

from __future__ import annotations

from shared.errors import S3Error


class BucketAlreadyExists(S3Error):
    status = 409
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again."
    )


class BucketAlreadyOwnedByYou(S3Error):
    status, message = 409, "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(S3Error):
    status, message = 409, "The bucket you tried to delete is not empty"


class IllegalLocationConstraintException(S3Error):
    status = 400
    message = "The specified location constraint is incompatible for the region specific endpoint this request was sent to."


class IllegalVersioningConfigurationException(S3Error):
    status, message = 400, "The versioning configuration specified in the request is invalid."


class InvalidBucketAclWithObjectOwnership(S3Error):
    status, message = 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"


class InvalidBucketAclWithBlockPublicAccessError(S3Error):
    status, message = 400, "Bucket cannot have public ACLs set with BlockPublicAccess enabled"


class IdMismatch(S3Error):
    status, message = 400, "Document ID does not match the specified configuration ID."


class InvalidBucketState(S3Error):
    status, message = 409, "The request is not valid with the current state of the bucket."


class InvalidS3DestinationBucket(S3Error):
    status, message = 400, "Invalid bucket ARN."


class InvalidTargetBucketForLogging(S3Error):
    status, message = 400, "The target bucket for logging does not exist"


class NoSuchBucket(S3Error):
    status, message = 404, "The specified bucket does not exist"


class NoSuchBucketPolicy(S3Error):
    status, message = 404, "The bucket policy does not exist"


class NoSuchCORSConfiguration(S3Error):
    status, message = 404, "The CORS configuration does not exist"


class NoSuchConfiguration(S3Error):
    status, message = 404, "The specified configuration does not exist."


class NoSuchLifecycleConfiguration(S3Error):
    status, message = 404, "The lifecycle configuration does not exist"


class NoSuchPublicAccessBlockConfiguration(S3Error):
    status, message = 404, "The public access block configuration was not found"


class NoSuchTagSet(S3Error):
    status, message = 404, "The TagSet does not exist"


class NoSuchWebsiteConfiguration(S3Error):
    status, message = 404, "The specified bucket does not have a website configuration"


class InvalidRetentionPeriod(S3Error):
    status, message = 400, "Default retention period must be a positive integer value."


class ObjectLockConfigurationNotFoundError(S3Error):
    status, message = 404, "Object Lock configuration does not exist for this bucket"


class OwnershipControlsNotFoundError(S3Error):
    status, message = 404, "The bucket ownership controls were not found"


class ReplicationConfigurationNotFoundError(S3Error):
    status, message = 404, "The replication configuration was not found"


class ServerSideEncryptionConfigurationNotFoundError(S3Error):
    status, message = 404, "The server side encryption configuration was not found"


class TooManyConfigurations(S3Error):
    status = 400
    message = "You are attempting to create a new configuration but have already reached the 1,000-configuration limit."


class TooManyBuckets(S3Error):
    status, message = 400, "You have attempted to create more buckets than allowed"
