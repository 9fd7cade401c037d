// What a program written with the AWS SDK for JavaScript does: node sdk.mjs SCENARIO < settings.json
// settings: url, region, access_key, secret_key, bucket (to be made), path_style, host (every name below it is 127.0.0.1).
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";

import * as S3 from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { createPresignedPost } from "@aws-sdk/s3-presigned-post";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const MIB = 1 << 20;
const KEYS = ["plain", "a b+c/ü%20~'()*!", "x?y#z&a=b"];
const settings = JSON.parse(await text(process.stdin));
const Bucket = settings.bucket;

// What a wildcard record in the DNS does.
const lookup = (name, options, done) => {
  assert(name === settings.host || name.endsWith(`.${settings.host}`), `asked for ${name}`);
  return options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
};
const httpAgent = new Agent({ lookup, keepAlive: true });
const sent = []; // the requests, as they left

const s3 = new S3.S3Client({
  endpoint: settings.url,
  region: settings.region,
  credentials: { accessKeyId: settings.access_key, secretAccessKey: settings.secret_key },
  forcePathStyle: settings.path_style,
  maxAttempts: 1,
  requestHandler: { httpAgent },
});
s3.middlewareStack.add(
  (next) => async (step) => {
    sent.push(step.request);
    return next(step);
  },
  { step: "finalizeRequest", priority: "low" },
);

const ask = (name, input) => s3.send(new S3[`${name}Command`]({ Bucket, ...input }));
const bytesOf = async (Key, more) => Buffer.from(await (await ask("GetObject", { Key, ...more })).Body.transformToByteArray());
const refused = (name, status, promise) =>
  assert.rejects(promise, (error) => error.name === name && error.$metadata.httpStatusCode === status);

// A request without the SDK, as a browser would send it.
function send(url, { method, headers, body }) {
  return new Promise((done, failed) => {
    const asked = request(url, { method, headers, agent: httpAgent }, async (reply) => {
      done({ status: reply.statusCode, headers: reply.headers, body: await text(reply) });
    });
    asked.on("error", failed);
    asked.end(body);
  });
}

async function sendForm({ url, fields }, file, more = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...fields, ...more })) form.append(name, value);
  form.append("file", new Blob([file]), "file ü.txt");
  const encoded = new Request("http://form", { method: "POST", body: form });
  const body = Buffer.from(await encoded.arrayBuffer());
  const headers = { "content-type": encoded.headers.get("content-type"), "content-length": body.length };
  return send(url, { method: "POST", headers, body });
}

const scenarios = {
  async objects() {
    for (const Key of KEYS) {
      await ask("PutObject", { Key, Body: Key, Metadata: { case: "of js" }, Tagging: "a=b%20c" });
      assert.equal((await bytesOf(Key)).toString(), Key);
    }
    const first = await ask("HeadObject", { Key: KEYS[0], ChecksumMode: "ENABLED" });
    assert.deepEqual([first.ContentLength, first.Metadata, first.ChecksumType], [5, { case: "of js" }, "FULL_OBJECT"]);
    assert.match(first.ChecksumCRC32, /^[\w+/]{6}==$/);
    const source = `${Bucket}/${encodeURIComponent(KEYS[1])}`;
    await ask("CopyObject", { Key: "copy", CopySource: source });
    assert.equal((await bytesOf("copy", { Range: "bytes=2-4" })).toString(), KEYS[1].slice(2, 5));
    const listed = [];
    for await (const page of S3.paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket })) {
      listed.push(...page.Contents.map((one) => one.Key));
    }
    assert.deepEqual(listed.sort(), [...KEYS, "copy"].sort());
    await refused("NoSuchKey", 404, ask("GetObject", { Key: "nothing" }));
    await refused("NotFound", 404, ask("HeadObject", { Key: "nothing" }));
    await refused("BucketNotEmpty", 409, ask("DeleteBucket", {}));
    const gone = await ask("DeleteObjects", { Delete: { Objects: listed.map((Key) => ({ Key })) } });
    assert.equal(gone.Deleted.length, 4);
    await ask("DeleteBucket", {});
    await S3.waitUntilBucketNotExists({ client: s3, minDelay: 1, maxWaitTime: 5 }, { Bucket });
  },

  async conditions() {
    const { ETag } = await ask("PutObject", { Key: "k", Body: "first", IfNoneMatch: "*" });
    await refused("PreconditionFailed", 412, ask("PutObject", { Key: "k", Body: "second", IfNoneMatch: "*" }));
    await assert.rejects(ask("GetObject", { Key: "k", IfNoneMatch: ETag }), (error) => error.$metadata.httpStatusCode === 304);
    await ask("PutObject", { Key: "k", Body: "third", IfMatch: ETag });
    await refused("PreconditionFailed", 412, ask("PutObject", { Key: "k", Body: "fourth", IfMatch: ETag }));
    assert.equal((await bytesOf("k")).toString(), "third");
  },

  // A stream can't be read twice, so its checksum comes after its bytes.
  async trailers() {
    const body = randomBytes(3 * MIB + 7);
    const halves = () => Readable.from([body.subarray(0, MIB), body.subarray(MIB)]);
    for (const algorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
      const put = await ask("PutObject", { Key: algorithm, Body: halves(), ContentLength: body.length, ChecksumAlgorithm: algorithm });
      const { headers } = sent.at(-1);
      assert.equal(headers["x-amz-trailer"], `x-amz-checksum-${algorithm.toLowerCase()}`);
      assert.deepEqual([headers["content-encoding"], headers["x-amz-decoded-content-length"]], ["aws-chunked", String(body.length)]);
      const found = await ask("GetObject", { Key: algorithm, ChecksumMode: "ENABLED" }); // the SDK compares it while reading
      assert.equal(found[`Checksum${algorithm}`], put[`Checksum${algorithm}`]);
      assert.equal(found.ContentEncoding, undefined);
      assert(body.equals(Buffer.from(await found.Body.transformToByteArray())));
    }
    await ask("PutObject", { Key: "zipped", Body: halves(), ContentLength: body.length, ContentEncoding: "gzip" });
    assert.equal((await ask("HeadObject", { Key: "zipped" })).ContentEncoding, "gzip");
    await refused("BadDigest", 400, ask("PutObject", { Key: "wrong", Body: "x", ChecksumCRC32: "AAAAAA==" }));
    await refused("NotFound", 404, ask("HeadObject", { Key: "wrong" }));
  },

  async parts() {
    const body = randomBytes(13 * MIB);
    const chunks = [0, 4, 9].map((at, number, all) => body.subarray(at * MIB, (all[number + 1] ?? 13) * MIB));
    const params = { Bucket, Key: "parts", Body: Readable.from(chunks), ChecksumAlgorithm: "CRC32C" };
    const upload = new Upload({ client: s3, params });
    assert.match((await upload.done()).ETag, /-3"$/);
    assert(body.equals(await bytesOf("parts")));
    const attributes = await ask("GetObjectAttributes", { Key: "parts", ObjectAttributes: ["ObjectParts", "Checksum"] });
    assert.deepEqual(attributes.ObjectParts.Parts.map((part) => part.Size), [5 * MIB, 5 * MIB, 3 * MIB]);
    assert.equal(attributes.Checksum.ChecksumType, "COMPOSITE");
    assert(body.subarray(10 * MIB).equals(await bytesOf("parts", { PartNumber: 3 })));
  },

  async presigned() {
    for (const Key of KEYS) {
      const put = await getSignedUrl(s3, new S3.PutObjectCommand({ Bucket, Key, ContentType: "text/x-test" }), { expiresIn: 60 });
      const body = Buffer.from(`by ${Key}`);
      const headers = { "content-type": "text/x-test", "content-length": body.length };
      assert.match(put, /x-amz-checksum-crc32=AAAAAA/); // of no bytes: nobody had the body yet
      const made = await send(put, { method: "PUT", headers, body });
      assert.equal(made.status, 200, made.body);
      const get = await getSignedUrl(s3, new S3.GetObjectCommand({ Bucket, Key, ResponseCacheControl: "no-cache" }));
      const found = await send(get, { method: "GET" });
      assert.deepEqual([found.status, found.body], [200, `by ${Key}`]);
      assert.deepEqual([found.headers["content-type"], found.headers["cache-control"]], ["text/x-test", "no-cache"]);
      assert.equal((await send(get, { method: "DELETE" })).status, 403);
    }
  },

  async forms() {
    const Conditions = [["content-length-range", 1, 1000], ["starts-with", "$Content-Type", "text/"]];
    const tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    const Fields = { success_action_status: "201", "x-amz-meta-case": "form", tagging };
    const post = await createPresignedPost(s3, { Bucket, Key: "up/${filename}", Conditions, Fields, Expires: 60 });
    const made = await sendForm(post, "posted", { "Content-Type": "text/x-test" });
    assert.equal(made.status, 201, made.body);
    assert.match(made.body, /<Key>up\/file ü.txt<\/Key>/);
    assert.equal(decodeURIComponent(new URL(made.headers.location).pathname.replaceAll("+", " ")).endsWith("up/file ü.txt"), true);
    const found = await ask("GetObject", { Key: "up/file ü.txt" });
    assert.deepEqual([found.ContentType, found.Metadata, found.TagCount], ["text/x-test", { case: "form" }, 1]);
    assert.equal(await found.Body.transformToString(), "posted");
    const refusals = [
      [400, "EntityTooLarge", "x".repeat(1001), {}],
      [400, "EntityTooSmall", "", {}],
      [403, "AccessDenied", "x", { "Content-Type": "image/png" }],
      [403, "AccessDenied", "x", { "x-amz-meta-case": "another" }],
      [403, "AccessDenied", "x", { acl: "public-read" }],
      [403, "SignatureDoesNotMatch", "x", { "X-Amz-Signature": "0".repeat(64) }],
    ];
    for (const [status, code, body, more] of refusals) {
      const told = await sendForm(post, body, { "Content-Type": "text/x-test", ...more });
      assert.deepEqual([told.status, /<Code>(\w+)</.exec(told.body)?.[1]], [status, code]);
    }
    assert.equal((await ask("ListObjectsV2", {})).KeyCount, 1);
  },

  async protections() {
    const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }];
    await ask("PutBucketEncryption", { ServerSideEncryptionConfiguration: { Rules } });
    await ask("PutBucketVersioning", { VersioningConfiguration: { Status: "Enabled" } });
    const Rule = { DefaultRetention: { Mode: "GOVERNANCE", Days: 1 } };
    await ask("PutObjectLockConfiguration", { ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule } });
    const Body = Readable.from([Buffer.from("kept")]); // its checksum, which a lock asks for, is a trailer
    const { VersionId, ServerSideEncryption } = await ask("PutObject", { Key: "k", Body, ContentLength: 4 });
    assert.equal(ServerSideEncryption, "AES256");
    const { Retention } = await ask("GetObjectRetention", { Key: "k", VersionId });
    assert.equal(Retention.Mode, "GOVERNANCE");
    assert(Math.abs(Retention.RetainUntilDate - Date.now() - 86_400_000) < 120_000);
    await refused("AccessDenied", 403, ask("DeleteObject", { Key: "k", VersionId }));
    await ask("DeleteObject", { Key: "k", VersionId, BypassGovernanceRetention: true });
    const customer = { SSECustomerAlgorithm: "AES256", SSECustomerKey: randomBytes(32) };
    await ask("PutObject", { Key: "c", Body: "sealed", ...customer });
    assert.equal((await bytesOf("c", customer)).toString(), "sealed");
    await refused("InvalidRequest", 400, ask("GetObject", { Key: "c" }));
  },
};

await ask("CreateBucket", {});
await scenarios[process.argv[2]]();
const { hostname } = new URL(settings.url);
const host = settings.path_style ? hostname : `${Bucket}.${hostname}`;
assert.deepEqual([...new Set(sent.map((one) => one.hostname))], [host]);
console.log("passed");
