"""Writes the text seeds of the corpus from schemas/vectors: `python3 fuzz/seeds.py`.

Those of binary formats come from tests, which also compare all that is kept: `WFLDB_SEEDS=write cargo test -p wfldb-engine
-p wfldb-security seeds`.
"""

import base64
import json
import pathlib

HERE = pathlib.Path(__file__).parent
VECTORS = HERE.parent / "schemas" / "vectors"


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())["vectors"]


def keep(target, name, seed):
    if isinstance(seed, str):
        seed = seed.encode()
    name = "".join(c if c.isalnum() else "-" for c in name)
    path = HERE / "corpus" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seed)


def part(token, index):
    text = token.split(".")[index]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def lines(request):
    head = f"{request['method']} {request['target']}\n"
    return head + "".join(f"{name}: {value}\n" for name, value in request["headers"])


def packets():
    for vector in vectors("packets"):
        token = vector["token"]
        if "code" in vector or len(token) > 6000:
            continue
        keep("packet", vector["name"], token)
        claims = []
        while token:
            read = part(token, 1)
            token = json.loads(read).get("prf", "")
            claims.append(read.replace(token, "@") if token else read)
        keep("packet", vector["name"] + " claims", "\n".join(reversed(claims)))


def requests():
    kept = 0
    for vector in vectors("requests"):
        if len(lines(vector)) < 4000 and ("code" not in vector or kept < 12):
            kept += 1
            keep("request", vector["name"], lines(vector))
        if "code" not in vector:
            keep("route", vector["name"], f"{vector['method']} {vector['target']}")
    for vector in vectors("sessions"):
        if "method" in vector and "headers" in vector:
            keep("request", "session " + vector["name"], lines(vector))
        if "client_key" in vector:
            keep("session_exchange", "asked " + vector["name"], json.dumps({"key": vector["client_key"]}))
        if vector["kind"] == "exchange" and "signature" in vector:
            offer = {to: vector[of] for to, of in OFFER.items()}
            keep("session_exchange", "offer " + vector["name"], json.dumps(offer))


OFFER = {"session": "session", "key": "server_key", "expires": "expires", "node": "node", "signature": "signature"}
ETAG = "92494b" + "0" * 58
ULID = "01JGFJJZ00AAAAAAAAAAAAAAAA"
UPLOAD = "00112233445566778899aabbccddeeff"
TIME = "2026-01-02T03:04:05.006Z"
ROUTES = f"""GET /v1
PUT /v1/photos
DELETE /v1/photos?force=true
PUT /v1/photos/k?link=a.b.c&part=1
PUT /v1/photos?link=a.b.c
GET /v1/photos/a%20b/c
GET /v1/photos//
DELETE /v1/photos/a?version={ULID}
GET /v1/photos/a?cursor=x&limit=10&versions=true
GET /v1/photos/a?at=2026-01-02T03%3A04%3A05.006Z
POST /v1/photos/a?undelete=true
POST /v1/photos/a?copy=%2Fdocs%2Fb&copy_version={ULID}
POST /v1/photos/a?multipart=start&part_bytes=5242880
PUT /v1/photos/a?multipart={UPLOAD}&part=1
GET /v1/photos/scan?after=b&cursor=x&delimiter=%2F&limit=1&prefix=a&reverse=true&tag=k%3Dv
POST /v1/photos/batch
GET /v1/_stats
POST /v1/_dryrun
POST /v1/_session"""
BUCKET = {
    "kind": "objects", "versions": {"keep": 3, "days": 30}, "quota_bytes": 1000000, "quota_objects": 10,
    "object_bytes_max": 100, "mirror": False, "audit_reads": False, "require_signature": True,
}
TX_ID = "00112233445566778899aabbccddeeff"
TX = {
    "begin": {"do": "begin", "idle_ms": 1000, "ops": [{"op": "get", "bucket": "aaa", "key": "k"}]},
    "run": {"do": "run", "tx": TX_ID, "ops": [
        {"op": "scan", "bucket": "aaa", "prefix": "a/", "after": "a/b", "before": "a/x", "limit": 7},
        {"op": "put", "bucket": "aaa", "key": "k", "body": "text", "content_type": "text/plain", "tags": {"a": "b"}},
        {"op": "put", "bucket": "bbb", "key": "k", "body": {"a": [1]}, "if_none_match": "*"},
        {"op": "delete", "bucket": "aaa", "key": "k", "if_match": "*"},
        {"op": "lock", "bucket": "aaa", "key": "k", "mode": "exclusive", "wait_ms": 0},
    ]},
    "savepoint": {"do": "savepoint", "tx": TX_ID, "name": "a"},
    "rollback": {"do": "rollback", "tx": TX_ID, "to": "a"},
    "commit": {"do": "commit", "tx": TX_ID},
}
BATCH = {"ops": [
    {"op": "put", "key": "a", "body": "text", "content_type": "text/plain", "tags": {"colour": "red"}, "if_none_match": "*"},
    {"op": "put", "key": "b", "body_base64": "AAEC"},
    {"op": "delete", "key": "c", "if_version": ULID},
    {"op": "check", "key": "d", "if_match": ETAG},
]}
ITEM = {"key": "a b/cat.jpg", "version": ULID, "etag": ETAG, "size": 11, "content_type": "image/jpeg", "modified": TIME, "tags": {"k": "v"}}
USAGE = {"objects": 1, "versions": 2, "bytes": 3, "stored_bytes": 4}
PARTS = [{"part": 1, "etag": ETAG, "size": 8388608}]
NEED = {"op": "put", "bucket": "photos", "key": "a b", "allowed": False, "refused_by": 1,
        "links": [{"grant": 2, "undecided": ["rate"]}, {"objection": "p"}]}
ANSWERS = {
    "listing": {"items": [ITEM], "prefixes": ["dogs/"], "cursor": "x"},
    "bucket": {"name": "photos", "created": TIME, **BUCKET, "usage": USAGE},
    "buckets": {"buckets": [{"name": "photos", "created": TIME, "kind": "objects"}]},
    "problem": {"type": "urn:wfldb:problem:NoSuchKey", "title": "t", "status": 404, "code": "NoSuchKey", "detail": "d",
                "request_id": "0", "hint": "ClockSkew", "entry": 1},
    "results": {"seq": 17, "results": [{"key": "a", "version": ULID, "etag": ETAG}, {"key": "d"}]},
    "dry run": {"allowed": False, "needs": [NEED]},
    "parts": {"part_bytes": 8388608, "expires": TIME, "parts": PARTS},
    "started": {"upload": UPLOAD},
}
HEADS = {
    "get": "GET /v1/a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\n",
    "length": "PUT /v1/a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "both": "PUT /v1/a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "fragment": "GET /v1/a#b HTTP/1.1\r\nhost: x\r\n\r\n",
    "bare": "\r\n\r\nGET / HTTP/1.1\nhost:x\n\n",
    "preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
READING = {
    "first": "bytes=0-0", "open": "bytes=2-", "last": "bytes=-3", "etag": f'"{ETAG}"', "star": "*\n\n\n",
    "dates": f'\n"{ETAG}"\nSun, 06 Nov 1994 08:49:37 GMT\nSunday, 06-Nov-94 08:49:37 GMT',
    "asctime": "Sun Nov  6 08:49:37 1994", "accept": "text/html, application/*;q=0.1, */*;q=0",
}
GRANT = '{"b":"photos","p":"a/","ops":["get","put"],"max_bytes":5,"rate":2,"quota_bytes":9,"create_only":true,' \
        '"cidr":["10.0.0.0/8","::1/128"],"content_type":["image/png"]}'
KEY = "wsk1tvq3dhpp7vngbouejl2jf3bmyrcetrljpmzgsglqhowaghfop5qjcgq"
HEADERS = "content-type: image/jpeg\ncache-control: no-store\nexpires: 0\nx-wfldb-meta-camera: box\n" \
          "x-wfldb-tags: a=b&kind=cat\nx-wfldb-ttl: 60"


INDEXES = {
    "one": {"index": {"fields": ["a"]}},
    "two fields": {"index": {"fields": ["a.b", "c"]}, "name": "by_two", "unique": True},
    "hash": {"index": {"fields": ["name"]}, "type": "hash"},
    "partial": {"index": {"fields": ["mail"], "partial_filter_selector": {"kind": "user", "age": {"$gte": 18}}}, "sparse": True},
}


def written_here():
    for route in ROUTES.split("\n"):
        keep("route", route[:60], route)
    keep("bucket_config", "all", json.dumps(BUCKET))
    keep("bucket_config", "empty", "{}")
    keep("batch_json", "all", json.dumps(BATCH))
    for name, definition in INDEXES.items():
        keep("index_definition", name, json.dumps(definition))
    for name, request in TX.items():
        keep("tx_json", name, json.dumps(request))
    keep("part_list", "two", json.dumps([{"part": n, "etag": ETAG} for n in (1, 2)]))
    for name, answer in ANSWERS.items():
        keep("answers", name, json.dumps(answer))
    for name, head in HEADS.items():
        keep("http1_head", name, b"\x06" + head.encode())
    for name, value in READING.items():
        keep("reading", name, (1000).to_bytes(8) + value.encode())
    keep("grant", "limits and all", GRANT + '\n{"b":"*","p":"","ops":["get","list","put"]}')
    keep("grant", "words", "b=photos,p=a/,ops=get+list,cidr=127.0.0.0/8\n" + GRANT)
    keep("profile", "plain", json.dumps({"url": "https://[::1]:7070", "realm": "local", "packet": "a.b.c", "key": KEY}))
    keep("profile", "url", "https://example.test")
    broken = {"url": "https://v[::0]:7070", "realm": "local", "packet": "a.b.c", "key": KEY}
    keep("profile", "bracket in host", json.dumps(broken))
    keep("object_headers", "all", HEADERS)
    for name, text in {"escaped": "docs/\na%FFb/c", "directory": "\na/b/", "reserved": "\n%73can", "dots": "p/\n../x"}.items():
        keep("tree_name", name, text)
    question = {"method": "PUT", "target": "/v1/photos/a%20b", "object": {"bytes": 11, "content_type": "image/png"}, "peer": "10.0.0.1"}
    document = {"_id": "a", "at": "2026-01-02T05:04:05.006+02:00", "n": [1, 2.5, {"x": "\u00e9\\"}]}
    keep("lazy_fields", "time", "at\n" + json.dumps(document))
    keep("lazy_fields", "place", "n.2.x\n" + json.dumps(document))
    group = {"by": [{"field": "at", "bucket": "1h"}], "fields": {"n": {"count": True}, "p": {"percentiles": {"field": "n.1", "at": [50]}}}}
    stages = [{"match": {"_id": {"$gte": "a"}}}, {"group": group}, {"sort": [{"n": "desc"}]}, {"limit": 1}]
    keep("pipeline", "time", json.dumps({"pipeline": stages}) + "\n" + json.dumps(document))
    wanted = {"$and": [{"n": {"$elemMatch": {"$gte": 1}}}, {"$or": [{"_id": {"$beginsWith": "a"}}, {"at": {"$regex": "^2026"}}]}]}
    questions = {
        "array": {"selector": wanted, "fields": ["_id", "n.2"], "sort": [{"at": "desc"}, "_id"], "limit": 5, "count": True},
        "range": {"selector": {"at": {"$gt": "2025", "$lte": "2027"}, "n": {"$all": [1], "$size": 3}}, "sort": ["at"], "skip": 1},
        "negated": {"selector": {"$nor": [{"at": {"$in": ["b", None]}}, {"n": {"$type": "number"}}], "$not": {"x": {"$exists": True}}}},
        "text": {"selector": {"at": {"$text": {"query": "a b", "operator": "and"}}, "_id": {"$lt": "b"}}, "bookmark": "x"},
    }
    for name, body in questions.items():
        index = {"index": {"fields": [{"at": "desc"}, "n"], "partial_filter_selector": {"n": {"$exists": True}}}}
        keep("find", name, "\n".join(map(json.dumps, [body, index, document, {"_id": "b", "at": None, "n": 7}])))
    keep("search", "request", '{"query":"a:fox +den -hound","operator":"and","limit":5,"skip":1,"highlight":true,"documents":true}')
    keep("search", "words", '"red fox" +b.c:(den OR ho*) AND NOT hound~2 fox^2.5 wi-fi \\-x')
    keep("dry_run", "put", json.dumps(question))
    copy = {"method": "POST", "target": "/v1/photos/a?copy=%2Fdocs%2Fb"}
    keep("dry_run", "copy", json.dumps(copy))
    frame = lambda kind, payload: len(payload).to_bytes(3) + bytes([kind, 0, 0, 0, 0, 1]) + payload
    keep("http2_frames", "some", b"\x03" + frame(4, b"") + frame(6, bytes(8)) + frame(0, b"data") + frame(8, bytes(4)))
    keep("http2_frames", "flood", b"\xff" + frame(4, b"") * 1001)


def names():
    for file in ("names", "ids", "times", "content"):
        for vector in vectors(file):
            text = vector.get("text")
            if text and "code" not in vector and len(text) < 200:
                keep("names", f"{file} {vector.get('kind', '')} {text[:40]}", text)


def audit_log():
    """From the worked vector of docs/PROTOCOL.md."""
    document = (HERE.parent / "docs" / "PROTOCOL.md").read_text()
    worked = document[document.index("An audit log of the same store") :]
    key = worked.split("verifier key `")[1].split("`")[0]
    erased = worked.split("Leaf 0 is `")[1].split("`")[0]
    entry, note = [text.split("\n```")[0] for text in worked.split("```\n")[1:4:2]]
    entry = entry.strip("\n")
    keep("audit", "key", "k" + key)
    keep("audit", "entry", "e" + entry)
    keep("audit", "erased entry", "e" + erased)
    keep("audit", "checkpoint", "n" + note + "\n")
    bundle = b"".join(len(text).to_bytes(2) + text.encode() for text in (erased, entry))
    keep("audit", "bundle", b"b\x01" + bundle)
    keep("audit", "tile", b"t\x01" + bytes(range(64)))
    proof = f"c2sp.org/tlog-proof@v1\nindex 1\n{base64.b64encode(bytes(32)).decode()}\n\n{note}\n"
    keep("audit", "proof", "l" + proof)
    for path in ("checkpoint", "tile/0/000", "tile/1/x001/234.p/17", "tile/entries/x067/x891/012.p/255"):
        keep("audit", "path " + path, "p" + path)
    url = lambda value: base64.urlsafe_b64encode(value).decode().rstrip("=")
    signed = {"packet": "a.b.c", "canonical": url(b"WFLDB-ED25519-1\n"), "signature": "A" * 86}
    content = {"etag": "0" * 64, "len": 11, "version": "01JGFJJZ00AAAAAAAAAAAAAAAA"}
    receipt = {"leaf": 1, "entry": url(entry.encode()), "salt": url(bytes(32)), "bucket": "01" * 16, "key": "a b/cat.jpg",
               "content": content, "evidence": signed, "proof": proof}
    keep("audit", "receipt", "r" + json.dumps(receipt, separators=(",", ":")))


def links():
    claims = {"iss": "wc125njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkencm4a", "aud": "wfldb:test-cluster", "iat": 1767323045,
              "exp": 1767323645, "jti": "AAECAwQFBgcICQoLDA0ODw", "m": "GET", "b": "photos", "k": "a b/cat.jpg", "uses": 3, "prf": "a.b.c"}
    keep("url_link", "get", json.dumps(claims, separators=(",", ":")))
    below = {name: value for name, value in claims.items() if name not in ("k", "uses")} | {"p": "a/"}
    keep("url_link", "prefix", json.dumps(below, separators=(",", ":")))
    put = claims | {"m": "PUT", "max_bytes": 1000}
    keep("url_link", "put", json.dumps(put, separators=(",", ":")))


if __name__ == "__main__":
    packets()
    requests()
    names()
    written_here()
    audit_log()
    links()
