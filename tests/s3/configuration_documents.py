"""Every configuration document of a bucket: one that is accepted, and those that AWS refuses, with its code."""

from __future__ import annotations

from typing import NamedTuple

MIB = 1 << 20
XSI = "http://www.w3.org/2001/XMLSchema-instance"
ROLE = "arn:aws:iam::123456789012:role/r"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:q"


class Kind(NamedTuple):
    """One sub-resource. Documents are what is inside the root; {bucket}, {other} and {owner} are filled in."""

    root: str
    good: str
    bad: dict[str, tuple[str, str]]     # name → (document, code)
    query: str = ""                     # besides the sub-resource
    most: int = MIB                     # bytes that are too many
    broken: str = "MalformedXML"        # code for what does not fit the schema
    empty: str = "MissingRequestBodyError"


def again(text: str, times: int = 2) -> str:
    return text * times


def cors(methods: str = "GET", origin: str = "https://a", more: str = "") -> str:
    return f"<CORSRule><AllowedOrigin>{origin}</AllowedOrigin><AllowedMethod>{methods}</AllowedMethod>{more}</CORSRule>"


def logged(bucket: str = "{other}", more: str = "") -> str:
    return f"<LoggingEnabled><TargetBucket>{bucket}</TargetBucket><TargetPrefix>p</TargetPrefix>{more}</LoggingEnabled>"


def event(name: str = "s3:ObjectCreated:*", more: str = "<Id>one</Id>", arn: str = QUEUE) -> str:
    return f"<QueueConfiguration>{more}<Queue>{arn}</Queue><Event>{name}</Event></QueueConfiguration>"


def key_filter(*rules: tuple[str, str]) -> str:
    inside = "".join(f"<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>" for name, value in rules)
    return f"<Filter><S3Key>{inside}</S3Key></Filter>"


def copying(name: str = "one", priority: str = "<Priority>1</Priority>", status: str = "Enabled", to: str = "arn:aws:s3:::{other}",
            chosen: str = "<Filter/>") -> str:
    return (f"<Rule><ID>{name}</ID>{priority}<Status>{status}</Status>{chosen}<DeleteMarkerReplication><Status>Disabled</Status>"
            f"</DeleteMarkerReplication><Destination><Bucket>{to}</Bucket></Destination></Rule>")


def report(name: str = "one", bucket: str = "arn:aws:s3:::{other}", form: str = "CSV", how_often: str = "Daily", more: str = "") -> str:
    return (f"<Id>{name}</Id><IsEnabled>true</IsEnabled><IncludedObjectVersions>All</IncludedObjectVersions>"
            f"<Schedule><Frequency>{how_often}</Frequency></Schedule>{more}"
            f"<Destination><S3BucketDestination><Bucket>{bucket}</Bucket><Format>{form}</Format></S3BucketDestination></Destination>")


def analysis(name: str = "one", chosen: str = "", bucket: str = "arn:aws:s3:::{other}") -> str:
    return (f"<Id>{name}</Id>{chosen}<StorageClassAnalysis><DataExport><OutputSchemaVersion>V_1</OutputSchemaVersion><Destination>"
            f"<S3BucketDestination><Format>CSV</Format><Bucket>{bucket}</Bucket></S3BucketDestination></Destination></DataExport>"
            "</StorageClassAnalysis>")


def tier(days: int, name: str = "ARCHIVE_ACCESS") -> str:
    return f"<Tiering><Days>{days}</Days><AccessTier>{name}</AccessTier></Tiering>"


def aged(action: str = "<Expiration><Days>9</Days></Expiration>", scope: str = "<Filter><Prefix>p</Prefix></Filter>", name: str = "one",
         status: str = "Enabled") -> str:
    return f"<Rule><ID>{name}</ID><Status>{status}</Status>{scope}{action}</Rule>"


def expires(inside: str) -> str:
    return aged(f"<Expiration>{inside}</Expiration>")


def encrypted(method: str, more: str = "") -> str:
    return (f"<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{method}</SSEAlgorithm>{more}"
            "</ApplyServerSideEncryptionByDefault></Rule>")


def held(inside: str) -> str:
    return f"<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>{inside}</DefaultRetention></Rule>"


def grant(permission: str = "READ", who: str = "<ID>{owner}</ID>", kind: str = "CanonicalUser") -> str:
    return (f'<Owner><ID>{{owner}}</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="{XSI}" xsi:type="{kind}">{who}</Grantee>'
            f"<Permission>{permission}</Permission></Grant></AccessControlList>")


WRITERS = "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>"
TAG = "<Tag><Key>k</Key><Value>v</Value></Tag>"
INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
MOVED = "<RedirectAllRequestsTo><HostName>h.test</HostName></RedirectAllRequestsTo>"
MOVE_KEYS = "<ReplaceKeyPrefixWith>a</ReplaceKeyPrefixWith><ReplaceKeyWith>b</ReplaceKeyWith>"
ONE_AND = "<Filter><And><Prefix>a</Prefix></And></Filter>"
TWO_FILTERS = "<Filter><Prefix>a</Prefix>" + TAG + "</Filter>"
TAG_TWICE = "<Filter><And>" + TAG + TAG + "</And></Filter>"
LONG = "<Filter><Prefix>" + "p" * 1025 + "</Prefix></Filter>"
GLACIER = "<StorageClass>GLACIER</StorageClass>"

KINDS = {
    "cors": Kind("CORSConfiguration", cors(), {
        "no rule": ("", "MalformedXML"), "no method": ("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", "MalformedXML"),
        "a rule with nothing": ("<CORSRule/>", "MalformedXML"), "an unknown method": (cors("PATCH"), "InvalidRequest"),
        "a method in lower case": (cors("get"), "InvalidRequest"), "two asterisks": (cors(origin="*.a.*"), "InvalidRequest"),
        "ids twice": (again(cors(more="<ID>a</ID>")), "InvalidRequest"),
        "an age in words": (cors(more="<MaxAgeSeconds>long</MaxAgeSeconds>"), "MalformedXML"),
        "two ages": (cors(more=again("<MaxAgeSeconds>1</MaxAgeSeconds>")), "MalformedXML"),
        "every header exposed": (cors(more="<ExposeHeader>*</ExposeHeader>"), "InvalidRequest"),
        "a hundred and one rules": (again(cors(), 101), "InvalidRequest"),
    }),
    "requestPayment": Kind("RequestPaymentConfiguration", "<Payer>Requester</Payer>", {
        "nobody": ("", "MalformedXML"), "somebody else": ("<Payer>Me</Payer>", "MalformedXML"),
        "both": ("<Payer>Requester</Payer><Payer>BucketOwner</Payer>", "MalformedXML"),
    }),
    "accelerate": Kind("AccelerateConfiguration", "<Status>Enabled</Status>", {
        "no status": ("", "MalformedXML"), "an odd one": ("<Status>Disabled</Status>", "MalformedXML"),
        "both": ("<Status>Enabled</Status><Status>Suspended</Status>", "MalformedXML"),
    }),
    "logging": Kind("BucketLoggingStatus", logged(), {
        "no prefix": ("<LoggingEnabled><TargetBucket>{other}</TargetBucket></LoggingEnabled>", "MalformedXML"),
        "no bucket": ("<LoggingEnabled><TargetPrefix/></LoggingEnabled>", "MalformedXML"),
        "a missing bucket": (logged("no-such-bucket"), "InvalidTargetBucketForLogging"),
        "twice": (again(logged()), "MalformedXML"),
        "two formats": (logged(more="<TargetObjectKeyFormat><SimplePrefix/><PartitionedPrefix/></TargetObjectKeyFormat>"), "MalformedXML"),
        "an odd permission": (logged(more="<TargetGrants><Grant><Permission>ALL</Permission></Grant></TargetGrants>"), "MalformedXML"),
    }),
    "notification": Kind("NotificationConfiguration", event(), {
        "no event": (f"<QueueConfiguration><Queue>{QUEUE}</Queue></QueueConfiguration>", "MalformedXML"),
        "an unknown event": (event("s3:Nothing"), "InvalidArgument"), "no ARN": (event(arn="q"), "InvalidArgument"),
        "ids twice": (event("s3:ObjectCreated:Put") + event("s3:ObjectCreated:Post"), "InvalidArgument"),
        "overlap": (event(more="") + event("s3:ObjectCreated:Put", more=""), "InvalidArgument"),
        "a filter of the middle": (event(more=key_filter(("middle", "a"))), "InvalidArgument"),
        "two prefixes": (event(more=key_filter(("prefix", "a"), ("prefix", "b"))), "InvalidArgument"),
    }),
    "replication": Kind("ReplicationConfiguration", f"<Role>{ROLE}</Role>" + copying(), {
        "no role": (copying(), "MalformedXML"), "no rule": (f"<Role>{ROLE}</Role>", "MalformedXML"),
        "ids twice": (f"<Role>{ROLE}</Role>" + copying() + copying(priority="<Priority>2</Priority>"), "InvalidRequest"),
        "priorities twice": (f"<Role>{ROLE}</Role>" + copying() + copying("two"), "InvalidRequest"),
        "no priority": (f"<Role>{ROLE}</Role>" + copying(priority=""), "InvalidRequest"),
        "a priority in words": (f"<Role>{ROLE}</Role>" + copying(priority="<Priority>high</Priority>"), "MalformedXML"),
        "an odd status": (f"<Role>{ROLE}</Role>" + copying(status="On"), "MalformedXML"),
        "to itself": (f"<Role>{ROLE}</Role>" + copying(to="arn:aws:s3:::{bucket}"), "InvalidRequest"),
        "to no ARN": (f"<Role>{ROLE}</Role>" + copying(to="{other}"), "InvalidArgument"),
        "to a missing bucket": (f"<Role>{ROLE}</Role>" + copying(to="arn:aws:s3:::no-such-bucket"), "InvalidRequest"),
        "two filters": (f"<Role>{ROLE}</Role>" + copying(chosen=TWO_FILTERS), "MalformedXML"),
        "tags twice": (f"<Role>{ROLE}</Role>" + copying(chosen=TAG_TWICE), "InvalidRequest"),
        "an overlong prefix": (f"<Role>{ROLE}</Role>" + copying(chosen=LONG), "InvalidRequest"),
    }, most=2 * MIB),
    "inventory": Kind("InventoryConfiguration", report(), {
        "another id": (report("two"), "IdMismatch"), "no ARN": (report(bucket="{other}"), "InvalidS3DestinationBucket"),
        "an odd format": (report(form="XLS"), "MalformedXML"), "an odd rhythm": (report(how_often="Hourly"), "MalformedXML"),
        "ids twice": ("<Id>one</Id>" + report(), "MalformedXML"),
        "an odd field": (report(more="<OptionalFields><Field>Colour</Field></OptionalFields>"), "MalformedXML"),
        "no destination": (report().partition("<Destination>")[0], "MalformedXML"),
    }, "&id=one"),
    "analytics": Kind("AnalyticsConfiguration", analysis(), {
        "another id": (analysis("two"), "MalformedXML"), "no ARN": (analysis(bucket="{other}"), "InvalidArgument"),
        "an empty filter": (analysis(chosen="<Filter/>"), "MalformedXML"), "two filters": (analysis(chosen=TWO_FILTERS), "MalformedXML"),
        "one in and": (analysis(chosen=ONE_AND), "MalformedXML"), "tags twice": (analysis(chosen=TAG_TWICE), "InvalidRequest"),
        "no analysis": ("<Id>one</Id>", "MalformedXML"),
    }, "&id=one"),
    "metrics": Kind("MetricsConfiguration", "<Id>one</Id><Filter><Prefix>p</Prefix></Filter>", {
        "no id": ("<Filter><Prefix>p</Prefix></Filter>", "MalformedXML"), "another id": ("<Id>two</Id>", "MalformedXML"),
        "an empty filter": ("<Id>one</Id><Filter/>", "MalformedXML"), "two filters": ("<Id>one</Id>" + TWO_FILTERS, "MalformedXML"),
        "tags twice": ("<Id>one</Id>" + TAG_TWICE, "InvalidRequest"),
    }, "&id=one"),
    "intelligent-tiering": Kind("IntelligentTieringConfiguration", "<Id>one</Id><Status>Enabled</Status>" + tier(90), {
        "another id": ("<Id>two</Id><Status>Enabled</Status>" + tier(90), "MalformedXML"),
        "no tier": ("<Id>one</Id><Status>Enabled</Status>", "MalformedXML"),
        "an odd status": ("<Id>one</Id><Status>On</Status>" + tier(90), "MalformedXML"),
        "too early": ("<Id>one</Id><Status>Enabled</Status>" + tier(89), "InvalidArgument"),
        "too late": ("<Id>one</Id><Status>Enabled</Status>" + tier(731), "InvalidArgument"),
        "a tier twice": ("<Id>one</Id><Status>Enabled</Status>" + tier(90) + tier(100), "MalformedXML"),
        "backwards": ("<Id>one</Id><Status>Enabled</Status>" + tier(200) + tier(190, "DEEP_ARCHIVE_ACCESS"), "InvalidArgument"),
    }, "&id=one"),
    "lifecycle": Kind("LifecycleConfiguration", aged(), {
        "no rule": ("", "MalformedXML"), "no action": (aged(""), "InvalidRequest"), "no scope": (aged(scope=""), "MalformedXML"),
        "two scopes": (aged(scope="<Prefix>a</Prefix><Filter/>"), "MalformedXML"), "an odd status": (aged(status="On"), "MalformedXML"),
        "ids twice": (again(aged()), "InvalidArgument"), "an overlong id": (aged(name="a" * 256), "InvalidArgument"),
        "an overlong prefix": (aged(scope=LONG), "InvalidRequest"), "the same without a filter": (aged(scope=LONG[8:-9]), "InvalidRequest"),
        "tags twice": (aged(scope=TAG_TWICE), "InvalidRequest"), "no days": (expires("<Days>0</Days>"), "InvalidArgument"),
        "days before": (expires("<Days>-1</Days>"), "InvalidArgument"), "days in words": (expires("<Days>two</Days>"), "MalformedXML"),
        "more days than there are": (expires("<Days>2147483648</Days>"), "MalformedXML"),
        "days and date": (expires("<Days>1</Days><Date>2030-01-01T00:00:00Z</Date>"), "MalformedXML"),
        "days and marker": (expires("<Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>"), "MalformedXML"),
        "a bad date": (expires("<Date>2030-02-30T00:00:00Z</Date>"), "MalformedXML"),
        "a date in words": (expires("<Date>tomorrow</Date>"), "MalformedXML"),
        "a date at noon": (expires("<Date>2030-01-01T12:00:00Z</Date>"), "InvalidArgument"),
        "midnight elsewhere": (expires("<Date>2030-01-01T00:00:00+02:00</Date>"), "InvalidArgument"),
        "gone before it moves": (aged(f"<Transition><Days>9</Days>{GLACIER}</Transition><Expiration><Days>9</Days></Expiration>"),
                                 "InvalidArgument"),
        "days here, date there": (aged(f"<Transition><Days>1</Days>{GLACIER}</Transition><Expiration><Date>2030-01-01T00:00:00Z</Date>"
                                       "</Expiration>"), "InvalidRequest"),
        "too early for its class": (aged("<Transition><Days>29</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"),
                                    "InvalidArgument"),
        "an odd class": (aged("<Transition><Days>30</Days><StorageClass>FLOPPY</StorageClass></Transition>"), "MalformedXML"),
        "a class twice": (aged(f"<Transition><Days>1</Days>{GLACIER}</Transition><Transition><Days>2</Days>{GLACIER}</Transition>"),
                          "InvalidRequest"),
        "uploads by tag": (aged("<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
                                "</AbortIncompleteMultipartUpload>", f"<Filter>{TAG}</Filter>"), "InvalidRequest"),
        "sizes that exclude each other": (aged(scope="<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan><ObjectSizeLessThan>9"
                                               "</ObjectSizeLessThan></And></Filter>"), "InvalidRequest"),
        "a thousand and one rules": ("".join(aged(name=str(number)) for number in range(1001)), "MalformedXML"),
    }, most=2 * MIB, empty="MalformedXML"),
    "website": Kind("WebsiteConfiguration", INDEX, {
        "nothing": ("", "InvalidArgument"), "no suffix": ("<IndexDocument/>", "MalformedXML"),
        "a folder": ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", "InvalidArgument"),
        "pages and a redirect": (INDEX + MOVED, "InvalidArgument"),
        "no host": ("<RedirectAllRequestsTo/>", "MalformedXML"), "rules, but none": (INDEX + "<RoutingRules/>", "MalformedXML"),
        "an error without a page": (INDEX + "<ErrorDocument/>", "MalformedXML"),
        "an odd protocol": (MOVED.replace("<HostName>", "<Protocol>ftp</Protocol><HostName>"), "InvalidRequest"),
        "two ways": (INDEX + f"<RoutingRules><RoutingRule><Redirect>{MOVE_KEYS}</Redirect></RoutingRule></RoutingRules>", "InvalidRequest"),
        "an empty condition": (INDEX + "<RoutingRules><RoutingRule><Condition/><Redirect><HostName>h</HostName></Redirect></RoutingRule>"
                               "</RoutingRules>", "InvalidRequest"),
    }),
    "encryption": Kind("ServerSideEncryptionConfiguration", encrypted("AES256"), {
        "no rule": ("", "MalformedXML"), "two rules": (again(encrypted("AES256")), "MalformedXML"),
        "an odd method": (encrypted("ROT13"), "MalformedXML"), "no method": ("<Rule/>", "MalformedXML"),
        "a key for none": (encrypted("AES256", "<KMSMasterKeyID>k</KMSMasterKeyID>"), "InvalidArgument"),
    }),
    "object-lock": Kind("ObjectLockConfiguration", held("<Mode>GOVERNANCE</Mode><Days>1</Days>"), {
        "nothing": ("", "MalformedXML"), "off": ("<ObjectLockEnabled>Disabled</ObjectLockEnabled>", "MalformedXML"),
        "days and years": (held("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML"),
        "no period": (held("<Mode>GOVERNANCE</Mode>"), "MalformedXML"),
        "an odd mode": (held("<Mode>HOPE</Mode><Days>1</Days>"), "MalformedXML"),
        "no days": (held("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidRetentionPeriod"),
        "too long": (held("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidRetentionPeriod"),
    }, empty="MalformedXML"),
    "versioning": Kind("VersioningConfiguration", "<Status>Enabled</Status>", {
        "an odd status": ("<Status>Disabled</Status>", "MalformedXML"), "no status": ("", "IllegalVersioningConfigurationException"),
        "both": ("<Status>Enabled</Status><Status>Suspended</Status>", "MalformedXML"),
        "off under object lock": ("<Status>Suspended</Status>", "InvalidBucketState"),
    }),
    "tagging": Kind("Tagging", f"<TagSet>{TAG}</TagSet>", {
        "no set": ("", "MalformedXML"), "keys twice": (f"<TagSet>{again(TAG)}</TagSet>", "InvalidTag"),
        "no value": ("<TagSet><Tag><Key>k</Key></Tag></TagSet>", "MalformedXML"),
        "a key of AWS": (f"<TagSet>{TAG.replace('>k<', '>aws:k<')}</TagSet>", "InvalidTag"),
        "an overlong key": (f"<TagSet>{TAG.replace('>k<', '>' + 'k' * 129 + '<')}</TagSet>", "InvalidTag"),
        "fifty-one": ("<TagSet>" + "".join(TAG.replace(">k<", f">{number}<") for number in range(51)) + "</TagSet>", "BadRequest"),
    }),
    "publicAccessBlock": Kind("PublicAccessBlockConfiguration", "<BlockPublicPolicy>true</BlockPublicPolicy>", {
        "neither true nor false": ("<BlockPublicAcls>maybe</BlockPublicAcls>", "MalformedXML"),
        "both": ("<BlockPublicAcls>true</BlockPublicAcls><BlockPublicAcls>false</BlockPublicAcls>", "MalformedXML"),
    }),
    "ownershipControls": Kind("OwnershipControls", WRITERS, {
        "no rule": ("", "MalformedXML"), "two rules": (again(WRITERS), "MalformedXML"),
        "an odd owner": ("<Rule><ObjectOwnership>Mine</ObjectOwnership></Rule>", "MalformedXML"),
    }),
    "acl": Kind("AccessControlPolicy", grant(), {
        "no owner": (grant().partition("</Owner>")[2], "MalformedACLError"), "an odd permission": (grant("ALL"), "MalformedACLError"),
        "no list": ("<Owner><ID>{owner}</ID></Owner>", "MalformedACLError"),
        "an unknown person": (grant(who="<ID>abc</ID>"), "InvalidArgument"),
        "an unknown group": (grant(who="<URI>http://acs.amazonaws.com/groups/none</URI>", kind="Group"), "InvalidArgument"),
        "an odd kind": (grant(kind="Robot"), "MalformedACLError"),
    }, broken="MalformedACLError", empty="MissingSecurityHeader"),
}
