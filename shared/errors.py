"""S3 errors: the class name is the code, status and wording stand beside it."""

from __future__ import annotations


class S3Error(Exception):
    """An error the client is told about.

    ``message`` replaces the class's wording. ``fields`` become elements of the error document between Message and Resource, in
    the order given; a field that is None is left out. ``headers`` are added to the reply. Nothing in it may tell of the inside.
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """

    status: int = 500
    message: str = "We encountered an internal error. Please try again."
    code_name: str | None = None  # when the code cannot be the name of a Python class of ours

    def __init__(self, message: str | None = None, /, **fields: object) -> None:
        super().__init__(message or self.message)
        self.message = message or self.message
        self.fields: dict[str, str] = {name: str(value) for name, value in fields.items() if value is not None}
        self.headers: dict[str, str] = {}

    @property
    def code(self) -> str:
        """The S3 error code, as in the Code element."""
        return self.code_name or type(self).__name__


# ---- who is asking -----------------------------------------------------------------------------------------------------------


class AccessDenied(S3Error):
    status, message = 403, "Access Denied"


class AccessForbidden(S3Error):
    status, message = 403, "CORSResponse: This CORS request is not allowed."


class AuthorizationHeaderMalformed(S3Error):
    status, message = 400, "The authorization header that you provided is not valid."


class AuthorizationQueryParametersError(S3Error):
    status, message = 400, "The authorization query parameters that you provided are not valid."


class ExpiredToken(S3Error):
    status, message = 400, "The provided token has expired."


class InvalidAccessKeyId(S3Error):
    status, message = 403, "The AWS Access Key Id you provided does not exist in our records."


class InvalidToken(S3Error):
    status, message = 400, "The provided token is malformed or otherwise invalid."


class MissingSecurityHeader(S3Error):
    status, message = 400, "Your request was missing a required header"


class RequestTimeTooSkewed(S3Error):
    status, message = 403, "The difference between the request time and the current time is too large."


class SignatureDoesNotMatch(S3Error):
    status = 403
    message = "The request signature we calculated does not match the signature you provided. Check your key and signing method."


# ---- the request line, headers and parameters --------------------------------------------------------------------------------


class BadRequest(S3Error):
    status, message = 400, "An error occurred when parsing the HTTP request."


class InvalidArgument(S3Error):
    status, message = 400, "Invalid Argument"


class InvalidBucketName(S3Error):
    status, message = 400, "The specified bucket is not valid."


class InvalidEncryptionAlgorithmError(S3Error):
    status, message = 400, "The encryption request you specified is not valid. The valid value is AES256."


class InvalidAction(S3Error):
    status, message = 400, "The action or operation requested is invalid."


class IdempotencyParameterMismatch(S3Error):
    status, message = 400, "The client token was used before, for another request."


class InvalidRequest(S3Error):
    status, message = 400, "Invalid Request"


class InvalidRedirectLocation(S3Error):
    status, message = 400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."


class InvalidStorageClass(S3Error):
    status, message = 400, "The storage class you specified is not valid"


class InvalidURI(S3Error):
    status, message = 400, "Couldn't parse the specified URI."


class KMSDisabledException(S3Error):
    status, message = 400, "The key is disabled."
    code_name = "KMS.DisabledException"


class KMSNotFoundException(S3Error):
    status, message = 400, "The key does not exist."
    code_name = "KMS.NotFoundException"


class KeyTooLongError(S3Error):
    status, message = 400, "Your key is too long"


class MetadataTooLarge(S3Error):
    status, message = 400, "Your metadata headers exceed the maximum allowed metadata size"


class MethodNotAllowed(S3Error):
    status, message = 405, "The specified method is not allowed against this resource."


class NotImplementedS3(S3Error):
    status, message = 501, "A header you provided implies functionality that is not implemented"
    code_name = "NotImplemented"


class RequestHeaderSectionTooLarge(S3Error):
    status, message = 400, "Your request header section exceeds the maximum allowed size."


class UserKeyMustBeSpecified(S3Error):
    status = 400
    message = "The bucket POST must contain the specified field name. If it is specified, check the order of the fields."


# ---- the body ----------------------------------------------------------------------------------------------------------------


class BadDigest(S3Error):
    status, message = 400, "The Content-MD5 you specified did not match what we received."


class EntityTooLarge(S3Error):
    status, message = 400, "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(S3Error):
    status, message = 400, "Your proposed upload is smaller than the minimum allowed size"


class IncompleteBody(S3Error):
    status, message = 400, "You did not provide the number of bytes specified by the Content-Length HTTP header"


class InvalidChunkSizeError(S3Error):
    status, message = 403, "Only the last chunk is allowed to have a size less than 8192 bytes"


class InvalidDigest(S3Error):
    status, message = 400, "The Content-MD5 you specified was invalid."


class MalformedACLError(S3Error):
    status, message = 400, "The XML you provided was not well-formed or did not validate against our published schema"


class MalformedPOSTRequest(S3Error):
    status, message = 400, "The body of your POST request is not well-formed multipart/form-data."


class MaxPostPreDataLengthExceeded(S3Error):
    status, message = 400, "Your POST request fields preceding the upload file were too large."


class InvalidPolicyDocument(S3Error):
    status, message = 400, "The content of the form does not meet the conditions specified in the policy document."


class MalformedPolicy(S3Error):
    status, message = 400, "Policies must be valid JSON and the first byte must be '{'"


class MalformedTrailerError(S3Error):
    status = 400
    message = "The request contained trailing data that was not well-formed or did not conform to our published schema."


class MalformedXML(S3Error):
    status, message = 400, "The XML you provided was not well-formed or did not validate against our published schema"


class MaxMessageLengthExceeded(S3Error):
    status, message = 400, "Your request was too big."


class MissingContentLength(S3Error):
    status, message = 411, "You must provide the Content-Length HTTP header."


class MissingRequestBodyError(S3Error):
    status, message = 400, "Request Body is empty"


class RequestTimeout(S3Error):
    status = 400
    message = "Your socket connection to the server was not read from or written to within the timeout period."


class UnresolvableGrantByEmailAddress(S3Error):
    status, message = 400, "The e-mail address you provided does not match any account on record."


class UnexpectedContent(S3Error):
    status, message = 400, "This request does not support content."


class XAmzContentSHA256Mismatch(S3Error):
    status, message = 400, "The provided 'x-amz-content-sha256' header does not match what was computed."


# ---- conditions and ranges ---------------------------------------------------------------------------------------------------


class InvalidRange(S3Error):
    status, message = 416, "The requested range is not satisfiable"


class NotModified(S3Error):
    status, message = 304, "Not Modified"


class PreconditionFailed(S3Error):
    status, message = 412, "At least one of the pre-conditions you specified did not hold"


# ---- objects and uploads -----------------------------------------------------------------------------------------------------


class AccessControlListNotSupported(S3Error):
    status, message = 400, "The bucket does not allow ACLs"


class InvalidObjectState(S3Error):
    status, message = 403, "The operation is not valid for the object's storage class"


class InvalidPart(S3Error):
    status = 400
    message = (
        "One or more of the specified parts could not be found.  The part may not have been uploaded, "
        "or the specified entity tag may not match the part's entity tag."
    )


class InvalidPartNumber(S3Error):
    status, message = 416, "The requested partnumber is not satisfiable"


class InvalidPartOrder(S3Error):
    status, message = 400, "The list of parts was not in ascending order. Parts must be ordered by part number."


class InvalidTag(S3Error):
    status, message = 400, "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation."


class NoSuchKey(S3Error):
    status, message = 404, "The specified key does not exist."


class NoSuchObjectLockConfiguration(S3Error):
    status, message = 404, "The specified object does not have a ObjectLock configuration"


class NoSuchUpload(S3Error):
    status = 404
    message = (
        "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )


class NoSuchVersion(S3Error):
    status, message = 404, "The specified version does not exist."


class OperationAborted(S3Error):
    status = 409
    message = "A conflicting conditional operation is currently in progress against this resource. Please try again."


class QuotaExceeded(S3Error):
    status, message = 403, "The quota of this bucket or account is used up."


# ---- the server's own state --------------------------------------------------------------------------------------------------


class InternalError(S3Error):
    status, message = 500, "We encountered an internal error. Please try again."


class ServiceUnavailable(S3Error):
    status, message = 503, "The service is temporarily unable to handle the request. Please try again."


class SlowDown(S3Error):
    status, message = 503, "Please reduce your request rate."


class StorageFull(S3Error):
    status, message = 507, "There is not enough free space to store this. Deleting is still possible."
    code_name = "InsufficientStorage"


# ---- tenants, people and policies: the admin API's own ----------------------------------------------------------------------------


class NotFound(S3Error):
    status, message = 404, "There is no such thing, or you may not know of it."


class AlreadyExists(S3Error):
    status, message = 409, "There is one of that name already."


class Conflict(S3Error):
    status, message = 409, "The request does not fit the state of what it names."
