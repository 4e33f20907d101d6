#!/usr/bin/env python3
"""Writes the vector corpus in this directory: python3 generate.py

This is a second implementation of sections 2 to 5 (sessions too) of docs/PROTOCOL.md, in the standard library only
and written from that text, so that the corpus is not the Rust code's own opinion of itself.
The files are checked in; the tests only read them. Slow curve arithmetic on purpose: it is short.
"""
import base64, hashlib, hmac, json, os

HERE = os.path.dirname(os.path.abspath(__file__))

# --- BLAKE3 (hash and keyed mode), after the reference implementation -------------------------------------
IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERM = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
M32 = 0xFFFFFFFF


def _g(s, a, b, c, d, x, y):
    rot = lambda v, n: ((v >> n) | (v << (32 - n))) & M32
    s[a] = (s[a] + s[b] + x) & M32
    s[d] = rot(s[d] ^ s[a], 16)
    s[c] = (s[c] + s[d]) & M32
    s[b] = rot(s[b] ^ s[c], 12)
    s[a] = (s[a] + s[b] + y) & M32
    s[d] = rot(s[d] ^ s[a], 8)
    s[c] = (s[c] + s[d]) & M32
    s[b] = rot(s[b] ^ s[c], 7)


def _compress(cv, block, counter, length, flags):
    s = cv + IV[:4] + [counter & M32, counter >> 32, length, flags]
    m = list(block)
    for r in range(7):
        for i, (a, b, c, d) in enumerate([(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                                          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]):
            _g(s, a, b, c, d, m[2 * i], m[2 * i + 1])
        m = [m[p] for p in PERM]
    return [s[i] ^ s[i + 8] for i in range(8)]


def _words(b):
    b = b.ljust(64, b"\0")
    return [int.from_bytes(b[i:i + 4], "little") for i in range(0, 64, 4)]


def _chunk(data, counter, root, key, mode):
    cv = key
    blocks = [data[i:i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        flags = (1 if i == 0 else 0) | (2 if last else 0) | (8 if last and root else 0)
        cv = _compress(cv, _words(block), counter, len(block), flags | mode)
    return cv


def _tree(data, counter, root, key, mode):
    if len(data) <= 1024:
        return _chunk(data, counter, root, key, mode)
    left = 1024
    while left * 2 < len(data):
        left *= 2
    block = _tree(data[:left], counter, False, key, mode) + _tree(data[left:], counter + left // 1024, False, key, mode)
    return _compress(key, block, 0, 64, 4 | (8 if root else 0) | mode)


def blake3(data, key=None):
    words = IV if key is None else _words(key)[:8]
    return b"".join(w.to_bytes(4, "little") for w in _tree(data, 0, True, words, 0 if key is None else 16))


# --- Ed25519 (RFC 8032), affine -----------------------------------------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQ = pow(2, (P - 1) // 4, P)


def add(p, q):
    (a, b), (c, d) = p, q
    t = D * a * c * b * d % P
    return (a * d + b * c) * pow(1 + t, -1, P) % P, (b * d + a * c) * pow(1 - t, -1, P) % P


def mul(n, p):
    r = (0, 1)
    while n:
        if n & 1:
            r = add(r, p)
        p = add(p, p)
        n >>= 1
    return r


def x_of(y, sign):
    v = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(v, (P + 3) // 8, P)
    if (x * x - v) % P:
        x = x * SQ % P
    if (x * x - v) % P:
        return None
    return P - x if x & 1 != sign else x


BASE = (x_of(4 * pow(5, -1, P) % P, 0), 4 * pow(5, -1, P) % P)
enc = lambda p: (p[1] | ((p[0] & 1) << 255)).to_bytes(32, "little")
h512 = lambda *parts: int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


class Key:
    def __init__(self, seed):
        self.seed = seed
        h = hashlib.sha512(seed).digest()
        self.a = int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | (1 << 254)
        self.prefix = h[32:]
        self.point = mul(self.a, BASE)
        self.pub = enc(self.point)

    def sign(self, msg, form="good"):
        r = h512(self.prefix, msg) % L
        R = mul(r, BASE)
        if form == "small-order-r":  # R is the identity: valid for a lenient verifier
            r, R = 0, (0, 1)
        if form == "cofactored":  # R has a torsion part: valid only after multiplying by the cofactor
            R = add(R, TORSION)
        s = (r + h512(enc(R), self.pub, msg) % L * self.a) % L
        if form == "malleable":
            s += L
        return enc(R) + s.to_bytes(32, "little")


def torsion():
    y = 3
    while True:
        x = x_of(y, 0)
        if x is not None:
            t = mul(L, (x, y))
            if mul(4, t) != (0, 1):
                return t
        y += 1


TORSION = torsion()

# --- encodings ----------------------------------------------------------------------------------
b64 = lambda b: base64.urlsafe_b64encode(b).rstrip(b"=").decode()
b32 = lambda b: base64.b32encode(b).rstrip(b"=").decode().lower()
checked = lambda prefix, b: prefix + b32(b + blake3(prefix.encode() + b)[:2])
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
pct = lambda s, extra=b"": "".join(chr(c) if c in UNRESERVED + extra else "%%%02X" % c for c in s.encode())

ROOT, CLIENT, OTHER = (Key(bytes([n]) * 32) for n in (1, 2, 3))
ROOT_ID, CLIENT_ID = checked("wr1", ROOT.pub), checked("wc1", CLIENT.pub)
AUD = "wfldb:test-cluster"
IAT = 1767323045  # 2026-01-02T03:04:05Z
NOW = "2026-01-02T03:04:05.006Z"
JTI = "AAECAwQFBgcICQoLDA0ODw"


def write(name, about, vectors):
    with open(os.path.join(HERE, name), "w") as f:
        f.write('{\n"about": %s,\n"vectors": [\n' % json.dumps(about))
        f.write(",\n".join(json.dumps(v, ensure_ascii=True) for v in vectors))
        f.write("\n]\n}\n")


def texts(kind, good=(), bad=(), code=None):
    return [{"kind": kind, "text": t} for t in good] + [{"kind": kind, "text": t, "code": code} for t in bad]


# --- texts --------------------------------------------------------------------------------------
names = texts("bucket", ["abc", "a-b", "0-9", "a" * 63, "photos"],
              ["", "ab", "a" * 64, "Abc", "-ab", "ab-", "a_b", "a.b", "a b", "abc/", "\u00e4bc", "abc\n"], "BadBucketName")
names += texts("key", ["a", "/", "//", "a/", "a//b", "\u00fcber/\U0001f600", " ", "...", "a/.b/..c", "scan", "k" * 1024, "%2F", "+", "\u0080"],
               ["", ".", "..", "a/..", "../a", "a/./b", "a\u0000b", "a\tb", "\u007f", "\u001f", "k" * 1025, "\u00e9" * 513], "BadKey")
names += texts("writable_key", ["_static/x", "scans", "scan/x", "x/_find", "_Find", "batch/", "_history"],
               ["scan", "batch", "_find", "_find/x", "_tx", "_session/a/b", "_explain", "_aggregate", "_search", "_index",
                "_bulk", "_changes", "_schema", "_keys", "_audit", "_backup", "_admin", "_stats/"], "ReservedKey")
names += texts("prefix", ["", "a", "a/", "a/.", "a/..", ".", "..", "k" * 1024],
               ["a/../", "./", "\u0001", "k" * 1025, "k" * 1022 + "/."], "BadPrefix")
names += texts("realm", ["a", "-", "local-abc", "r" * 63], ["", "A", "a_b", "r" * 64, "a:b"], "BadRealm")
names += texts("audience", [AUD], ["wfldb:", "test-cluster", "WFLDB:a", "wfldb:A", "wfldb:a "], "BadAudience")
write("names.json", "Names of section 2. A vector without a code is valid and prints as itself.", names)

RFC = Key(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
GOOD_ID = checked("wc1", RFC.pub)
bad_sum = GOOD_ID[:-2] + ("5" if GOOD_ID[-2] != "5" else "6") + GOOD_ID[-1]
alphabet = "abcdefghijklmnopqrstuvwxyz234567"
trailing = GOOD_ID[:-1] + alphabet[alphabet.index(GOOD_ID[-1]) + 1]
weak = [enc(mul(n, TORSION)) for n in range(8)]
ids = texts("key_id", [checked(p, k.pub) for p in ("wr1", "wi1", "wc1", "wn1") for k in (RFC, ROOT)],
            ["", "wc1", GOOD_ID[:-1], GOOD_ID + "a", GOOD_ID.upper(), "wr1" + GOOD_ID[3:], "wx1" + GOOD_ID[3:], bad_sum, trailing,
             GOOD_ID + "=", " " + GOOD_ID, GOOD_ID.replace("q", "0", 1), checked("wsk1", RFC.seed)], "BadKeyId")
ids += texts("key_id", [], [checked("wc1", w) for w in weak], "BadPublicKey")
# A point whose y is not reduced, the negative zero, and bytes that are no point.
no_point = next(y for y in range(2, 99) if x_of(y, 0) is None)
ids += texts("key_id", [], [checked("wr1", (P + 3).to_bytes(32, "little")), checked("wr1", (1 | 1 << 255).to_bytes(32, "little")),
                            checked("wr1", no_point.to_bytes(32, "little"))], "BadPublicKey")
secret = checked("wsk1", RFC.seed)
ids += texts("secret_key", [secret], ["", "wsk1", secret[:-1], secret.upper(), GOOD_ID, secret[:-1] + "a" if secret[-1] != "a" else secret[:-1] + "i"], "BadSecretKey")
ids += texts("version", ["00000000000000000000000000", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"],
             ["", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01arz3ndektsv4rrffq69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FAI", "01ARZ3NDEKTSV4RRFFQ69G5FAU",
              "01ARZ3NDEKTSV4RRFFQ69G5FAO", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVV", "01ARZ3NDEKTSV4RRFFQ69G5F\u00e9"], "BadVersionId")
ids += texts("nonce", [JTI, "A" * 22, "_" * 21 + "w"], ["", "A" * 21, "A" * 23, "A" * 22 + "==", "A" * 21 + "B", "A" * 21 + "+", "A" * 21 + "/"], "BadNonce")
ids += texts("signature", ["A" * 86], ["A" * 85, "A" * 87, "A" * 85 + "B", "A" * 86 + "=="], "BadSignature")
ids += texts("hash", ["0" * 64, blake3(b"").hex()], ["0" * 63, "0" * 65, "A" + "0" * 63, "g" + "0" * 63], "BadHash")
write("ids.json", "Ids of section 2. A vector without a code is valid and prints as itself.", ids)

times = texts("time", ["1970-01-01T00:00:00.000Z", "2000-02-29T00:00:00.000Z", "2024-02-29T23:59:59.999Z", NOW, "9999-12-31T23:59:59.999Z"],
              ["", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.06Z", "2026-01-02T03:04:05.0060Z", "2026-01-02t03:04:05.006Z",
               "2026-01-02T03:04:05.006z", "2026-01-02 03:04:05.006Z", "2026-01-02T03:04:05,006Z", "2026-02-29T00:00:00.000Z",
               "2100-02-29T00:00:00.000Z", "2026-04-31T00:00:00.000Z", "2026-00-10T00:00:00.000Z", "2026-13-10T00:00:00.000Z",
               "2026-01-00T00:00:00.000Z", "2026-01-02T24:00:00.000Z", "2026-01-02T03:60:00.000Z", "2016-12-31T23:59:60.000Z",
               "1969-12-31T23:59:59.999Z", "+026-01-02T03:04:05.006Z", "2026-01-02T03:04:05.006+", "2026-01-02T03:04:05.00\u0665Z"], "BadTime")
write("times.json", "Times of section 2. A vector without a code is valid and prints as itself.", times)

H = blake3(b"hello wflDB").hex()
S = hashlib.sha256(b"hello wflDB").hexdigest()
content = texts("content", ["none 0 -", "b3 11 " + H, "sha256 11 " + S, "b3 18446744073709551615 " + H],
                ["", "none", "none 0", "none 1 -", "b3 0 " + H, "b3 011 " + H, "b3 +1 " + H, "b3 -1 " + H, "b3 11", "b3 11 " + H.upper(), "b3  11 " + H,
                 "B3 11 " + H, "b3 11 " + H[:-1], "sha1 11 " + H, "b3 18446744073709551616 " + H, "b3 11 " + H + " ", "sha256 0 " + S, "b3 1.0 " + H], "BadContent")
content += texts("tags", ["", "a=b", "a=&b=c", "k%20=v%2F"], ["a", "a=b&", "&a=b", "b=1&a=2", "a=1&a=2", "=v", "a=+", "a=%2f", "a=%61", "a=b=c", "a=/", "a=%00",
                "&".join("t%02d=" % n for n in range(17)), "n" * 129 + "=", "n=" + "v" * 257, "a=%FF"], "BadTags")
content += texts("if_match", ["*", '"%s"' % H], ["", H, 'W/"%s"' % H, '"%s", "%s"' % (H, H), '"%s"' % H.upper(), '""', '"*"'], "BadCondition")
content += texts("bucket_config", ["{}", '{"kind":"documents"}', '{"quota_bytes":1}', '{"versions":{"keep":3}}', '{"versions":{"days":0}}', '{"kind":"objects","object_bytes_max":5,"quota_objects":0,"require_signature":true}', '{"audit_reads":true}'],
                 ["[]", "null", "1", '{"quota":1}', '{"quota_bytes":-1}', '{"quota_bytes":1.5}', '{"quota_bytes":1,"quota_bytes":1}', '{"kind":"Objects"}',
                  '{"mirror":1}', "{", "{} {}", '["objects"]', '{"quota_bytes":"1"}', '{"versions":{"keep":1,"x":2}}', '{"versions":{"keep":0}}'], "BadBucketConfig")
content += texts("bucket_config", [], ['{"mirror":true}'], "NotSupportedYet")
write("content.json", "Header values and bodies of sections 4 and 5. Valid ones print as themselves (bucket_config: only parse).", content)

# --- packets ------------------------------------------------------------------------------------
HEADER = {"alg": "EdDSA", "kid": ROOT_ID, "typ": "wfldb-kp+jwt"}
EVERYTHING = {"b": "*", "p": "", "ops": ["get", "list", "put", "delete", "erase", "query", "watch", "manage", "audit", "admin"]}
CLAIMS = {"iss": ROOT_ID, "sub": CLIENT_ID, "aud": AUD, "iat": IAT, "nbf": IAT, "exp": IAT + 3600, "jti": JTI, "cap": [EVERYTHING], "dlg": 0}
compact = lambda o: json.dumps(o, separators=(",", ":"), ensure_ascii=False)


def token(claims=None, header=None, key=ROOT, form="good", **changed):
    """claims and header may be texts, for JSON that json.dumps would not write."""
    if claims is None:
        claims = {k: v for k, v in {**CLAIMS, **changed}.items() if v is not ...}
    claims = claims if isinstance(claims, str) else compact(claims)
    header = header if isinstance(header, str) else compact(header or HEADER)
    signed = b64(header.encode()) + "." + b64(claims.encode())
    return signed + "." + b64(key.sign(signed.encode(), form))


def text_claims(old, new):
    text = compact(CLAIMS)
    assert old in text, old
    return token(text.replace(old, new, 1))


def grant(**changed):
    g = {k: v for k, v in {"b": "photos", "p": "a/", "ops": ["get"], **changed}.items() if v is not ...}
    return token(cap=[g])


packets = []


def packet(name, tok, reason=None, code="Unauthenticated", now=NOW):
    v = {"name": name, "token": tok, "now": now}
    if reason:
        v |= {"code": code, "reason": reason}
    else:
        v |= {"hash": blake3(tok.encode()).hex()}
    packets.append(v)


GOOD = token()
packet("plain", GOOD)
packet("all limits", grant(max_bytes=0, rate=1, quota_bytes=2**64 - 1, create_only=True, cidr=["10.0.0.0/8", "2001:db8::/32"], content_type=["image/jpeg"]))
packet("empty lists", grant(ops=[], cidr=[], content_type=[]))
packet("empty cap", token(cap=[]))
packet("32 grants", token(cap=[EVERYTHING] * 32))
packet("space and order are free", token(json.dumps(dict(reversed(list(CLAIMS.items()))), indent=1), json.dumps(dict(reversed(list(HEADER.items()))))))
packet("escapes", text_claims('"aud"', '"\\u0061ud"'))
packet("sub is an issuer", token(sub=checked("wi1", CLIENT.pub), dlg=3))
packet("sub is a node", token(sub=checked("wn1", CLIENT.pub)))
packet("last valid second", GOOD, now="2026-01-02T04:05:04.999Z")
packet("first valid second", GOOD, now="2026-01-02T03:03:05.000Z")
packet("expired", GOOD, "PacketExpired", now="2026-01-02T04:05:05.000Z")
packet("not yet valid", token(nbf=IAT + 61, exp=IAT + 99), "PacketNotYetValid")
packet("issued in the future", GOOD, "PacketNotYetValid", now="2026-01-02T03:03:04.999Z")
packet("another audience", token(aud="wfldb:other"), "PacketAudience")
packet("not an audience", token(aud="test-cluster"), "PacketClaim")
packet("audience list", token(aud=[AUD]), "PacketClaim")
packet("kid is not iss", token(header={**HEADER, "kid": checked("wr1", OTHER.pub)}, key=OTHER), "PacketClaim")
packet("signed by an unknown root", token(header={**HEADER, "kid": checked("wr1", OTHER.pub)}, key=OTHER, iss=checked("wr1", OTHER.pub)), "PacketUntrusted")
packet("signed by another key", token(key=OTHER), "PacketSignature")
packet("alg none", token(header={**HEADER, "alg": "none"}), "PacketHeader")
packet("alg none without a signature", b64(compact({**HEADER, "alg": "none"}).encode()) + "." + GOOD.split(".")[1] + ".", "PacketForm")
packet("alg HS256", token(header={**HEADER, "alg": "HS256"}), "PacketHeader")
packet("alg eddsa", token(header={**HEADER, "alg": "eddsa"}), "PacketHeader")
packet("alg Ed25519", token(header={**HEADER, "alg": "Ed25519"}), "PacketHeader")
packet("typ JWT", token(header={**HEADER, "typ": "JWT"}), "PacketHeader")
packet("header with crit", token(header={**HEADER, "crit": []}), "PacketHeader")
packet("header with jwk", token(header={**HEADER, "jwk": "x"}), "PacketHeader")
packet("header without kid", token(header={"alg": "EdDSA", "typ": "wfldb-kp+jwt"}), "PacketHeader")
packet("header without typ", token(header={"alg": "EdDSA", "kid": ROOT_ID}), "PacketHeader")
packet("header with a member twice", token(header=compact(HEADER)[:-1] + ',"alg":"EdDSA"}'), "PacketJson")
packet("header is a list", token(header="[]"), "PacketJson")
for old, new, what in [('"exp":1767326645', '"exp":1767326645.0', "float"), ('"exp":1767326645', '"exp":1767326645e0', "exponent"),
                       ('"iat":1767323045', '"iat":-1', "negative number"), ('"iat":1767323045', '"iat":01767323045', "leading zero"),
                       ('"exp":1767326645', '"exp":18446744073709551616', "number over 64 bits"), ('"dlg":0', '"dlg":null', "null"),
                       ('"dlg":0', '"dlg":0,"dlg":0', "repeated member"), ('"dlg":0', '"dlg":0,"\\u0064lg":0', "repeated member, escaped"),
                       ('"dlg":0}', '"dlg":0,}', "trailing comma"), ('"dlg":0}', '"dlg":0}x', "text after the claims"), ('{"iss"', '\ufeff{"iss"', "byte order mark"),
                       ('"p":""', '"p":"\\ud800"', "lone surrogate"), ('"p":""', '"p":"\t"', "raw control character"), ('"b":"*"', '"b":"*","b":"*"', "repeated member of a grant"),
                       ('"cap":[', '"cap":[[[[[', "too deep")]:
    packet(what, text_claims(old, new), "PacketJson")
for name in CLAIMS:
    packet("without " + name, token(**{name: ...}), "PacketClaim")
    packet(name + " of a wrong type", token(**{name: 5 if isinstance(CLAIMS[name], (str, list)) else "5"}), "PacketClaim")
packet("unknown claim", token(nonce="x"), "PacketClaim")
packet("signed by a root, with prf", token(prf=GOOD), "PacketClaim")
packet("with prf of a wrong type", token(prf=1), "PacketClaim")
packet("signed by an issuer, without prf", token(header={**HEADER, "kid": checked("wi1", ROOT.pub)}, iss=checked("wi1", ROOT.pub)), "PacketClaim")
packet("signed by a node", token(header={**HEADER, "kid": checked("wn1", ROOT.pub)}, iss=checked("wn1", ROOT.pub)), "PacketClaim")
packet("sub is a root", token(sub=checked("wr1", CLIENT.pub)), "PacketClaim")
packet("sub is weak", token(sub=checked("wc1", weak[1])), "PacketClaim")
packet("kid is weak", token(header={**HEADER, "kid": checked("wr1", weak[0])}), "PacketHeader")
packet("iat after nbf", token(iat=IAT + 1), "PacketClaim")
packet("nbf is exp", token(exp=IAT), "PacketClaim")
packet("jti too short", token(jti=JTI[:-1]), "PacketClaim")
packet("jti with trailing bits", token(jti=JTI[:-1] + "x"), "PacketClaim")
packet("dlg 4", token(dlg=4), "PacketClaim")
packet("dlg 256", token(dlg=256), "PacketClaim")
packet("33 grants", token(cap=[EVERYTHING] * 33), "PacketClaim")
packet("too large", token(cap=[{**EVERYTHING, "p": "k" * 300}] * 32), "PacketTooLarge")
packet("grant is a text", token(cap=["get"]), "PacketClaim")
for name in ("b", "p", "ops"):
    packet("grant without " + name, grant(**{name: ...}), "PacketClaim")
for changed in [{"b": "Photos"}, {"b": ""}, {"p": "a/../"}, {"p": "\u007f"}, {"ops": ["read"]}, {"ops": ["GET"]}, {"ops": ["get", "get"]}, {"ops": "get"}, {"ops": [1]},
                {"ops": ["admin"]}, {"unknown": 1}, {"max_bytes": "1"}, {"max_bytes": True}, {"rate": []}, {"quota_bytes": "x"}, {"create_only": 1}, {"create_only": "true"},
                {"cidr": "10.0.0.0/8"}, {"cidr": ["10.0.0.1/8"]}, {"cidr": ["10.0.0.0"]}, {"cidr": ["10.0.0.0/33"]}, {"cidr": [1]}, {"cidr": ["::ffff:10.0.0.0/104"]},
                {"content_type": "image/jpeg"}, {"content_type": ["image/jpeg;q=1"]}, {"content_type": ["jpeg"]}, {"content_type": [""]}]:
    packet("grant with " + compact(changed), grant(**changed), "PacketClaim")
head, body, sig = GOOD.split(".")
packet("empty", "", "PacketForm")
packet("two parts", head + "." + body, "PacketForm")
packet("four parts", GOOD + ".", "PacketForm")
packet("padding", head + "." + body + "=." + sig, "PacketForm")
packet("space", " " + GOOD, "PacketForm")
packet("line break", GOOD + "\n", "PacketForm")
packet("signature too short", GOOD[:-1], "PacketForm")
packet("standard base64", head + "." + body + "." + "+" + sig[1:], "PacketForm")
packet("signature with trailing bits", GOOD[:-1] + chr(ord(GOOD[-1]) + 1), "PacketForm")
long_head = next(h for n in range(3) for h in [b64((compact(HEADER) + " " * n).encode())] if len(h) % 4)
packet("header with trailing bits", long_head[:-1] + chr(ord(long_head[-1]) + 1) + "." + body + "." + sig, "PacketForm")
packet("changed claims", head + "." + b64(compact({**CLAIMS, "dlg": 3}).encode()) + "." + sig, "PacketSignature")
packet("changed header order", b64(compact(dict(reversed(list(HEADER.items())))).encode()) + "." + body + "." + sig, "PacketSignature")
for form in ("small-order-r", "cofactored", "malleable"):
    packet("signature " + form, token(form=form), "PacketSignature")
# --- chains: later links, each signed by the holder of the link before -----------------------------
MID = [Key(bytes([n]) * 32) for n in (10, 11, 12)]
MID_ID = [checked("wi1", MID[0].pub), checked("wc1", MID[1].pub), checked("wc1", MID[2].pub)]
EARLY = dict(iat=IAT - 1000, nbf=IAT - 1000)


def child(parent, key, kid=None, form="good", header=None, signer=None, **changed):
    """The next link: claims of key (an issuer's id unless kid says otherwise), held by the client unless changed."""
    kid = kid or checked("wi1", key.pub)
    return token(header={**HEADER, "kid": kid, **(header or {})}, key=signer or key, form=form, **{"iss": kid, "prf": parent, **changed})


START = token(sub=MID_ID[0], dlg=3, **EARLY)  # link 0: the root's, for the first of MID
FOUR = [START, child(START, MID[0], sub=MID_ID[1], dlg=2, **EARLY)]
FOUR += [child(FOUR[1], MID[1], MID_ID[1], sub=MID_ID[2], dlg=1, iat=IAT - 500, nbf=IAT - 500)]
FOUR += [child(FOUR[2], MID[2], MID_ID[2], dlg=0)]
packet("two links", child(START, MID[0]))
for n in (2, 3, 4):
    packet(f"{n} links of four", FOUR[n - 1])
packet("two links, the first holder a client", child(token(sub=MID_ID[1], dlg=1), MID[1], MID_ID[1]))
packet("two links, the last holder a node", child(START, MID[0], sub=checked("wn1", CLIENT.pub)))
packet("two links, passed on to itself", child(START, MID[0], sub=MID_ID[0], dlg=2))
packet("three links, passed back", child(FOUR[1], MID[1], MID_ID[1], sub=MID_ID[0], dlg=1))
packet("two links of one term", child(START, MID[0], **EARLY))
packet("a later link may name more than it has, and an empty list", child(child(token(sub=MID_ID[0], dlg=3, cap=[]), MID[0], sub=MID_ID[1], dlg=1), MID[1], MID_ID[1], cap=[]))
packet("two links, last valid second of the last", child(START, MID[0], exp=IAT + 10), now="2026-01-02T03:05:14.999Z")
packet("two links, the last expired", child(START, MID[0], exp=IAT + 10), "PacketExpired", now="2026-01-02T03:05:15.000Z")
packet("two links, both expired", child(START, MID[0]), "PacketExpired", now="2026-01-02T04:05:05.000Z")
packet("two links, the last not yet valid", child(START, MID[0], nbf=IAT + 61), "PacketNotYetValid")
packet("two links, the last without prf", child(START, MID[0], prf=...), "PacketClaim")
for value, reason in [(1, "PacketClaim"), (True, "PacketClaim"), ([], "PacketClaim"), ([START], "PacketClaim"), ({}, "PacketClaim"), ("", "PacketForm"), ("a.b.c", "PacketForm"),
                      (START + "\n", "PacketForm"), (START + "=", "PacketForm"), (START + "." + START, "PacketForm"), (START[:-1], "PacketForm"), (START.replace(".", ",", 1), "PacketForm")]:
    packet("prf " + json.dumps(value)[:12], child(value, MID[0]), reason)
packet("prf null", child(START, MID[0]).split(".")[0] + "." + b64(compact({**CLAIMS, "iss": MID_ID[0], "prf": None}).encode()) + "." + "A" * 86, "PacketJson")
packet("prf twice", token(compact({**CLAIMS, "iss": MID_ID[0], "prf": START})[:-1] + ',"prf":' + compact(START) + "}", {**HEADER, "kid": MID_ID[0]}, MID[0]), "PacketJson")
packet("last link signed by another key", child(START, MID[0], signer=OTHER), "PacketSignature")
packet("last link signed by the root", child(START, MID[0], signer=ROOT), "PacketSignature")
packet("last link signed by its own holder", child(START, MID[0], signer=CLIENT), "PacketSignature")
packet("last link names another signer", child(START, MID[1], MID_ID[1]), "PacketChain")
packet("last link names the holder in another role", child(START, MID[0], checked("wc1", MID[0].pub)), "PacketChain")
packet("last link names the holder as a root", child(START, MID[0], checked("wr1", MID[0].pub)), "PacketClaim")
packet("kid is not iss in the last link", child(START, MID[0], header={"kid": MID_ID[1]}), "PacketClaim")
packet("a node passes on", child(token(sub=checked("wn1", MID[0].pub), dlg=3), MID[0], checked("wn1", MID[0].pub)), "PacketClaim")
packet("a link is left out", child(START, MID[1], MID_ID[1], sub=MID_ID[2]), "PacketChain")
packet("a link is exchanged", child(token(sub=CLIENT_ID, dlg=3), MID[0]), "PacketChain")
packet("signed in the middle by another key", child(child(START, MID[0], sub=MID_ID[1], dlg=1, signer=OTHER), MID[1], MID_ID[1]), "PacketSignature")
packet("link 0 signed by another key", child(token(sub=MID_ID[0], dlg=3, key=OTHER), MID[0]), "PacketSignature")
packet("link 0 of an unknown root", child(token(sub=MID_ID[0], dlg=3, key=OTHER, iss=checked("wr1", OTHER.pub), header={**HEADER, "kid": checked("wr1", OTHER.pub)}), MID[0]), "PacketUntrusted")
packet("link 0 of the root's key as an issuer", child(token(sub=MID_ID[0], dlg=3, iss=checked("wi1", ROOT.pub), header={**HEADER, "kid": checked("wi1", ROOT.pub)}), MID[0]), "PacketClaim")
for form in ("small-order-r", "cofactored", "malleable"):
    packet(f"last link's signature {form}", child(START, MID[0], form=form), "PacketSignature")
    packet(f"link 0's signature {form}", child(token(sub=MID_ID[0], dlg=3, form=form), MID[0]), "PacketSignature")
packet("last link ends later", child(START, MID[0], exp=IAT + 3601), "PacketChain")
packet("last link begins earlier", child(token(sub=MID_ID[0], dlg=3, iat=IAT - 20, nbf=IAT - 5), MID[0], iat=IAT - 10, nbf=IAT - 6), "PacketChain")
packet("last link was issued earlier", child(token(sub=MID_ID[0], dlg=3), MID[0], iat=IAT - 1), "PacketChain")
packet("a link in the middle ends later", child(child(START, MID[0], sub=MID_ID[1], dlg=1, exp=IAT + 3601), MID[1], MID_ID[1]), "PacketChain")
packet("last link for another audience", child(START, MID[0], aud="wfldb:other"), "PacketChain")
packet("link 0 for another audience", child(token(sub=MID_ID[0], dlg=3, aud="wfldb:other"), MID[0]), "PacketChain")
packet("all links for another audience", child(token(sub=MID_ID[0], dlg=3, aud="wfldb:other"), MID[0], aud="wfldb:other"), "PacketAudience")
packet("may not be passed on", child(token(sub=MID_ID[0], dlg=0), MID[0]), "PacketChain")
packet("dlg stays the same", child(START, MID[0], dlg=3), "PacketChain")
packet("dlg grows", child(token(sub=MID_ID[0], dlg=1), MID[0], dlg=2), "PacketChain")
packet("dlg is used up in the middle", child(child(START, MID[0], sub=MID_ID[1], dlg=0), MID[1], MID_ID[1]), "PacketChain")
packet("five links", child(FOUR[3], CLIENT, CLIENT_ID), "PacketLinks")
packet("link 0 with an unknown claim", child(token(sub=MID_ID[0], dlg=3, x=1), MID[0]), "PacketClaim")
packet("link 0 with alg none", child(token(sub=MID_ID[0], dlg=3, header={**HEADER, "alg": "none"}), MID[0]), "PacketHeader")
packet("link 0 with a float", child(text_claims('"dlg":0', '"dlg":3.0'), MID[0]), "PacketJson")
packet("last link with alg none", child(START, MID[0], header={"alg": "none"}), "PacketHeader")
packet("last link with an unknown op", child(START, MID[0], cap=[{**EVERYTHING, "ops": ["fly"]}]), "PacketClaim")
BULK = [{**EVERYTHING, "p": "k" * 140}] * 10
packet("large, still fits", child(token(sub=MID_ID[0], dlg=3, cap=BULK), MID[0], cap=BULK))
packet("together too large", child(child(token(sub=MID_ID[0], dlg=3, cap=BULK), MID[0], sub=MID_ID[1], dlg=1, cap=BULK), MID[1], MID_ID[1], cap=BULK), "PacketTooLarge")
write("packets.json", "Key packets of section 3, for the audience %s and the root %s. hash: BLAKE3 of a valid one." % (AUD, ROOT_ID), packets)

# --- links in URLs ------------------------------------------------------------------------------
PARENT = token(dlg=1)
LINK_HEADER = {"alg": "EdDSA", "kid": CLIENT_ID, "typ": "wfldb-link+jwt"}
LINK = {"iss": CLIENT_ID, "aud": AUD, "iat": IAT, "exp": IAT + 600, "jti": JTI, "m": "GET", "b": "photos", "k": "a b/cat.jpg", "prf": PARENT}
links = []


def url_link(claims=None, header=None, key=CLIENT, form="good", **changed):
    if claims is None:
        claims = {k: v for k, v in {**LINK, **changed}.items() if v is not ...}
    return token(claims if isinstance(claims, str) else compact(claims), {**LINK_HEADER, **(header or {})}, key, form)


def link(name, tok, reason=None, now=NOW):
    v = {"name": name, "token": tok, "now": now}
    links.append(v | ({"code": "Unauthenticated", "reason": reason} if reason else {"hash": blake3(tok.encode()).hex()}))


link("to read a key", url_link())
link("to read below a prefix", url_link(k=..., p="a/"))
link("to write a key, once, a little", url_link(m="PUT", uses=1, max_bytes=11))
link("of seven days", url_link(iat=IAT, exp=IAT + 3600, prf=token(dlg=1, exp=IAT + 604800)))
link("last valid millisecond", url_link(), now="2026-01-02T03:14:04.999Z")
link("over, without tolerance", url_link(), "PacketExpired", now="2026-01-02T03:14:05.000Z")
link("made ahead of the clock", url_link(iat=IAT + 61), "PacketNotYetValid")
link("of more than seven days", url_link(exp=IAT + 604801, prf=token(dlg=1, exp=IAT + 700000)), "PacketClaim")
link("ends with its beginning", url_link(exp=IAT), "PacketClaim")
link("ends after its packet", url_link(exp=IAT + 3601), "PacketChain")
link("made before its packet", url_link(iat=IAT - 1), "PacketChain")
link("of a packet that may not be passed on", url_link(prf=token()), "PacketChain")
link("of another's packet", url_link(prf=token(dlg=1, sub=checked("wc1", OTHER.pub))), "PacketChain")
link("for another store", url_link(aud="wfldb:other"), "PacketChain")
link("of a packet of an unknown root", url_link(prf=token(dlg=1, key=OTHER, iss=checked("wr1", OTHER.pub), header={**HEADER, "kid": checked("wr1", OTHER.pub)})), "PacketUntrusted")
link("signed by another key", url_link(key=OTHER), "PacketSignature")
link("signer is not the one of the header", url_link(header={"kid": checked("wc1", OTHER.pub)}), "PacketClaim")
link("typ of a packet", url_link(header={"typ": "wfldb-kp+jwt"}), "PacketHeader")
link("alg none", url_link(header={"alg": "none"}), "PacketHeader")
link("a member more in the header", url_link(header={"x": 1}), "PacketHeader")
link("to delete", url_link(m="DELETE"), "PacketClaim")
link("for a key and a prefix", url_link(p="a/"), "PacketClaim")
link("for neither", url_link(k=...), "PacketClaim")
link("for all keys", url_link(k=..., p=""), "PacketClaim")
link("to write below a prefix", url_link(m="PUT", k=..., p="a/"), "PacketClaim")
link("a longest body, to read", url_link(max_bytes=1), "PacketClaim")
link("no use at all", url_link(uses=0), "PacketClaim")
link("too many uses", url_link(uses=1000000001), "PacketClaim")
link("a claim more", url_link(nbf=IAT), "PacketClaim")
link("without prf", url_link(prf=...), "PacketClaim")
link("a packet in its place", PARENT, "PacketHeader")
write("links.json", "Links of section 4, for the audience %s and the root %s. hash: BLAKE3 of a valid one." % (AUD, ROOT_ID), links)

# --- what is revoked ----------------------------------------------------------------------------
of_packet = lambda tok: "packet:" + blake3(tok.encode()).hex()
of_key = lambda key: "key:" + key.pub.hex()
below = lambda tok, key: "below:%s:%s" % (blake3(tok.encode()).hex(), key.pub.hex())
TWO = child(START, MID[0], sub=MID_ID[1], dlg=1)
THREE = child(TWO, MID[1], MID_ID[1])
GET_LINK = url_link()
revocations = []


def revoked(name, covered, what, token=None, link=None, until=IAT):
    """until: the iat up to which a key is revoked."""
    v = {"name": name, "revoked": [[text, until] for text in what], "covered": covered}
    revocations.append(v | ({"link": link} if link else {"token": token}))


for covered, name, what in [
    (False, "nothing", []),
    (True, "the packet itself", [of_packet(THREE)]),
    (True, "a packet that it goes on from", [of_packet(TWO)]),
    (True, "link 0's packet", [of_packet(START)]),
    (False, "another packet of the same link", [of_packet(child(START, MID[0], sub=MID_ID[1], dlg=0))]),
    (True, "its holder", [of_key(CLIENT)]),
    (True, "a holder before", [of_key(MID[0])]),
    (True, "the root", [of_key(ROOT)]),
    (False, "another key", [of_key(OTHER)]),
    (True, "its holder, below a link that it contains", [below(START, CLIENT)]),
    (True, "its holder, below its own last link", [below(THREE, CLIENT)]),
    (False, "a holder above the link", [below(TWO, MID[0])]),
    (False, "its holder, below a link that it does not contain", [below(token(sub=MID_ID[1], dlg=3), CLIENT)]),
    (True, "one of several", [of_key(OTHER), of_packet(GOOD), of_packet(TWO)]),
]:
    revoked(name, covered, what, token=THREE)
revoked("its holder, up to the second before", False, [of_key(CLIENT)], token=THREE, until=IAT - 1)
revoked("the root, whatever the time", True, [of_key(ROOT)], token=THREE, until=0)
revoked("a link", True, [of_packet(GET_LINK)], link=GET_LINK)
revoked("the packet of a link", True, [of_packet(PARENT)], link=GET_LINK)
revoked("the signer of a link", True, [of_key(CLIENT)], link=GET_LINK)
revoked("another link of the same packet", False, [of_packet(url_link(k="b"))], link=GET_LINK)
revoked("a link of the packet", False, [of_packet(GET_LINK)], token=PARENT)
write("revocations.json", "What is revoked (section 3), by its text, each with the iat up to which a key is covered; and whether a packet or link is ended by it.", revocations)

# --- requests -----------------------------------------------------------------------------------
requests = []
SIX = ["authorization", "x-wfldb-timestamp", "x-wfldb-nonce", "x-wfldb-content", "x-wfldb-signed-headers", "x-wfldb-signature"]


def request(name, code=None, reason=None, hint=None, method="GET", target="/v1/photos/cat.jpg", signed=(), extra=(), content="none 0 -", packet=None,
            timestamp=NOW, nonce=JTI, now=NOW, aud=AUD, key=CLIENT, form="good", names=None, drop=(), replace={}, times=1, after=None, sign_as={}):
    packet = packet or GOOD
    signed = sorted(signed)
    names = ";".join(n for n, _ in signed) if names is None else names
    path, _, query = target.partition("?")
    part = lambda k, v: sign_as.get(k, v)
    lines = ["WFLDB-ED25519-1", part("aud", aud), part("method", method), part("path", path), part("query", query), part("timestamp", timestamp), part("nonce", nonce),
             part("hash", blake3(packet.encode()).hex()), part("content", content), part("names", names)]
    canonical = "".join(line + "\n" for line in lines + [f"{n}:{v}" for n, v in part("signed", signed)]).encode()
    signature = key.sign(canonical, form)
    values = ["Bearer " + packet, timestamp, nonce, content, names, b64(signature)]
    headers = [[n, replace.get(n, v)] for n, v in zip(SIX, values) if n not in drop] + [list(h) for h in signed] + [list(h) for h in extra]
    v = {"name": name, "method": method, "target": target, "headers": headers, "now": now}
    if times != 1:
        v["times"] = times
    if code:
        v |= {"code": code, "reason": reason or code}
        if hint:
            v["hint"] = hint
    else:
        v |= {"canonical_bytes": len(canonical), "canonical_blake3": blake3(canonical).hex()}
    requests.append(v)


NC = "NotCanonical"
UA = "Unauthenticated"
B3 = "b3 11 " + H
PUT = dict(method="PUT", content=B3)
request("get")
request("head", method="HEAD")
request("the list of buckets", target="/v1")
request("put with headers", signed=[("content-type", "image/jpeg"), ("if-none-match", "*"), ("x-wfldb-meta-a", "b c")], extra=[["accept", "*/*"], ["content-length", "11"]], **PUT)
request("put of nothing", method="PUT", extra=[["content-length", "0"]])
request("sha256", method="PUT", content="sha256 11 " + S)
request("header names in any case", extra=[["Accept", "*/*"]], replace={})
request("encoded path", target="/v1/photos/" + pct("a b/\u00fc~!*'()", b"/"))
request("key that is a slash", target="/v1/photos//")
request("query", target="/v1/photos/scan?delimiter=%2F&limit=10&prefix=a%20b&tag=")
request("an unlisted header may be signed", signed=[("accept", "*/*")])
request("empty value of a signed header", signed=[("x-wfldb-meta-a", "")], **PUT)
request("oldest timestamp", timestamp="2026-01-02T03:03:05.006Z")
request("newest timestamp", timestamp="2026-01-02T03:04:10.006Z")
request("too old", UA, "ClockSkew", "ClockSkew", timestamp="2026-01-02T03:03:05.005Z")
request("too new", UA, "ClockSkew", "ClockSkew", timestamp="2026-01-02T03:04:10.007Z")
for target in ["/v1/photos/a%2fb", "/v1/photos/a%2Fb", "/v1/photos/%61", "/v1/photos/a b", "/v1/photos/a+b%2b", "/v1/photos/%", "/v1/photos/%4", "/v1/photos/%GG",
               "/v1/photos/a!", "/v1/photos/a'b", "/v1/photos/\u00fc", "/v1/photos/%FF", "/v1/photos/%ED%A0%80", "/v1/photos/a#b", "/v1/photos/", "v1/photos/a", "",
               "http://h/v1/photos/a", "*", "/v1/photos/a%7E", "/v1/photos/a:b", "/v1/photos/a\\b"]:
    request("path " + target, NC, target=target)
for query in ["", "a", "a=1&", "&a=1", "b=1&a=1", "a=1&a=1", "a=1&a=2", "a=/", "a=+", "a=%2f", "a=%41", "a=b=c", "=1", "a=1?", "a=1;b=2", "A=%", "a=%FF"]:
    request("query " + query, NC, target="/v1/photos/scan?" + query)
for header in SIX:
    request("without " + header, UA, "MissingHeader", drop=[header])
    request(header + " twice", NC, extra=[[header, "x"]])
    request(header + " in the signed list", NC, names=header)
request("authorization of another scheme", UA, "BadAuthorization", replace={"authorization": "Basic " + GOOD})
request("authorization in lower case", UA, "BadAuthorization", replace={"authorization": "bearer " + GOOD})
request("no packet", UA, "BadAuthorization", replace={"authorization": "Bearer x=y"})
request("packet too large", UA, "BadAuthorization", replace={"authorization": "Bearer " + "a" * 12289})
for value in ["2026-01-02T03:04:05Z", "2026-02-30T03:04:05.006Z"]:
    request("timestamp " + value, NC, timestamp=value)
for value in ["AAAA", JTI + "==", JTI[:-1] + "x"]:
    request("nonce " + value, NC, nonce=value)
for value in ["b3 0 " + H, "none 0", "b3 011 " + H, "sha1 11 " + H, "UNSIGNED-PAYLOAD"]:
    request("content " + value, NC, method="PUT", content=value)
request("signature too short", NC, replace={"x-wfldb-signature": "AAAA"})
for names in ["b;a", "a;a", ";", "a;", ";a", "A", "a,b", "a b", "missing"]:
    request("signed list " + names, NC, names=names, extra=[["a", "1"], ["b", "2"]])
request("signed header twice", NC, signed=[("x-wfldb-meta-a", "1")], extra=[["x-wfldb-meta-a", "2"]])
for value in [" a", "a ", "a  b", "a\tb", "\u00e9", "a\u007f", "a\nb"]:
    request("signed value " + json.dumps(value), NC, signed=[("x-wfldb-meta-a", value)])
for header in ["x-wfldb-meta-a", "x-wfldb-anything", "content-type", "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
               "cache-control", "expires", "last-event-id", "X-WflDB-Tags", "Content-Type"]:
    request("unsigned " + header, "UnsignedHeader", extra=[[header, "x"]])
request("content-length differs", "LengthMismatch", extra=[["content-length", "12"]], **PUT)
request("content-length without a body", "LengthMismatch", extra=[["content-length", "1"]])
request("content-encoding", "ContentEncodingNotSupported", extra=[["content-encoding", "gzip"]], **PUT)
request("get with a body", "BodyNotAllowed", content=B3)
request("head with a body", "BodyNotAllowed", method="HEAD", content=B3)
for method in ["LINK", "OPTIONS", "get", "TRACE", ""]:
    request("method " + method, "MethodNotAllowed", method=method)
request("path too long", "UriTooLong", target="/v1/photos/" + "k" * 8192)
request("too many headers", "HeadersTooLarge", extra=[["accept", "x"]] * 59)
request("headers too large", "HeadersTooLarge", extra=[["accept", "x" * 8000]] * 3)
for what, value in {"aud": "wfldb:other", "method": "HEAD", "path": "/v1/photos/dog.jpg", "query": "versions=true", "timestamp": "2026-01-02T03:04:05.007Z", "nonce": "A" * 22,
                    "hash": "0" * 64, "content": B3, "names": "accept", "signed": [("accept", "x")]}.items():
    request("signed with another " + what, UA, "RequestSignature", sign_as={what: value})
request("signed value changed", UA, "RequestSignature", signed=[("x-wfldb-meta-a", "1")], sign_as={"signed": [("x-wfldb-meta-a", "2")]}, **PUT)
request("signed by another key", UA, "RequestSignature", key=OTHER)
request("signed by the root", UA, "RequestSignature", key=ROOT)
for form in ("small-order-r", "cofactored", "malleable"):
    request("signature " + form, UA, "RequestSignature", form=form)
request("packet for another holder", UA, "RequestSignature", packet=token(sub=checked("wc1", OTHER.pub)))
request("packet for another audience", UA, "PacketAudience", packet=token(aud="wfldb:other"))
request("expired packet", UA, "PacketExpired", "Expired", packet=token(iat=IAT - 999, nbf=IAT - 999, exp=IAT - 60))
request("expired packet and a bad signature", UA, "RequestSignature", packet=token(iat=IAT - 999, nbf=IAT - 999, exp=IAT - 60), key=OTHER)
request("packet of a root with prf", UA, "PacketClaim", packet=token(prf=GOOD))
request("packet of four links", packet=FOUR[-1])
request("packet of two links, signed by the holder of the first", UA, "RequestSignature", packet=FOUR[1])
request("link 0 alone, signed by the holder of the last", UA, "RequestSignature", packet=FOUR[0])
request("expired last link", UA, "PacketExpired", "Expired", packet=child(START, MID[0], iat=IAT - 999, nbf=IAT - 999, exp=IAT - 60))
request("replayed", UA, "Replayed", "Replayed", times=2)
write("requests.json", "Signed requests of section 4, for the audience %s and the root %s. The canonical string of a valid one by length and BLAKE3. "
      "times: how often it is sent; the verdict is the last one's." % (AUD, ROOT_ID), requests)

# --- sessions -----------------------------------------------------------------------------------
def x25519(scalar, u):
    """RFC 7748, 5: the Montgomery ladder."""
    k = int.from_bytes(scalar, "little") & ((1 << 254) - 8) | (1 << 254)
    x1 = int.from_bytes(u, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for t in reversed(range(255)):
        if k >> t & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        x3, z3 = (d * a + c * b) ** 2 % P, x1 * (d * a - c * b) ** 2 % P
        x2, z2 = a * a * b * b % P, (a * a - b * b) * (a * a + 121665 * (a * a - b * b)) % P
        if k >> t & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def hkdf_sha256(salt, ikm, info):
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


NINE = (9).to_bytes(32, "little")
# RFC 7748, 5.2, so that a slip in the ladder is noticed here.
assert x25519(NINE, NINE).hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"

sessions = []
NODE = Key(bytes([4]) * 32)
NODE_ID = checked("wn1", NODE.pub)
CLIENT_X, SERVER_X = bytes([5]) * 32, bytes([6]) * 32
SESSION = b64(bytes(range(16)))
ENDS = "2026-01-02T03:19:05.006Z"
MS = 1767323045006  # NOW


def exchange(name, client_x=CLIENT_X, server_x=SERVER_X, session=SESSION, expires=ENDS, packet=GOOD, node=NODE, client_key=None):
    client_pub = client_key or x25519(client_x, NINE)
    server_pub = x25519(server_x, NINE)
    v = {"kind": "exchange", "name": name, "aud": AUD, "packet_hash": blake3(packet.encode()).hex(), "client_secret": client_x.hex(), "server_secret": server_x.hex(),
         "client_key": b64(client_pub), "session": session, "expires": expires, "node_seed": node.seed.hex()}
    sessions.append(v)
    shared = x25519(server_x, client_pub)
    if not any(shared):
        v["code"] = "WeakKey"
        return None
    node_id = checked("wn1", node.pub)
    transcript = "".join(line + "\n" for line in ["WFLDB-SESSION-1", AUD, v["packet_hash"], v["client_key"], b64(server_pub), session, expires, node_id]).encode()
    key = hkdf_sha256(hashlib.sha256(transcript).digest(), shared, b"WFLDB-SESSION-1 request tag")
    message = b"WFLDB-B3MAC-1\n" + AUD.encode() + b"\nGET\n/v1\n\n%d\n1\n" % MS + session.encode() + b"\nnone 0 -\n\n"
    v |= {"server_key": b64(server_pub), "node": node_id, "transcript_bytes": len(transcript), "transcript_blake3": blake3(transcript).hex(), "signature": b64(node.sign(transcript)),
          "request_key": key.hex(), "tag_of_first": b64(blake3(message, key)[:16])}
    return key


REQUEST_KEY = exchange("plain")
OTHER_KEY = exchange("another packet", packet=token(dlg=1))
exchange("another id", session=b64(bytes([255]) * 16))
exchange("another end", expires="2026-01-02T03:04:06.000Z")
exchange("another node", node=OTHER)
exchange("other halves", client_x=bytes([7]) * 32, server_x=bytes([8]) * 32)
# Every point of small order, on the curve and its twist (RFC 7748, 7), one of them with its unused bit set.
for u in [0, 1, P - 1, P, P + 1, 1 << 255, 325606250916557431795983626356110631294008115727848805560023387167927233504,
          39382357235489614581723060781553021112529911719440698176882885853963445705823]:
    exchange("a weak key", client_key=u.to_bytes(32, "little"))


def session_request(name, code=None, reason=None, hint=None, method="GET", target="/v1/photos/cat.jpg", signed=(), extra=(), content="none 0 -", session=SESSION, ms=MS, counter=1,
                    now=NOW, aud=AUD, key=REQUEST_KEY, names=None, scheme="WFLDB-B3MAC-1", credential=None, tag=None, times=1, sign_as={}):
    signed = sorted(signed)
    names = ";".join(n for n, _ in signed) if names is None else names
    path, _, query = target.partition("?")
    part = lambda k, v: sign_as.get(k, v)
    lines = [part("scheme", "WFLDB-B3MAC-1"), part("aud", aud), part("method", method), part("path", path), part("query", query), str(part("ms", ms)), str(part("counter", counter)),
             part("session", session), part("content", content), part("names", names)]
    canonical = "".join(line + "\n" for line in lines + [f"{n}:{v}" for n, v in part("signed", signed)]).encode()
    tag = tag or b64(blake3(canonical, key)[:16])
    credential = credential or f"{scheme} {session}.{ms}.{counter}.{{tag}}"
    headers = [["authorization", credential.replace("{tag}", tag)]]
    if content != "none 0 -":
        headers.append(["x-wfldb-content", content])
    if names:
        headers.append(["x-wfldb-signed-headers", names])
    v = {"kind": "request", "name": name, "method": method, "target": target, "headers": headers + [list(h) for h in signed] + [list(h) for h in extra], "now": now}
    if times != 1:
        v["times"] = times
    if code:
        v |= {"code": code, "reason": reason or code} | ({"hint": hint} if hint else {})
    sessions.append(v)


SR = session_request
SR("get")
SR("head", method="HEAD")
SR("the list of buckets", target="/v1")
SR("query", target="/v1/photos/scan?limit=10&prefix=a%20b")
SR("signed headers", signed=[("range", "bytes=0-9"), ("if-match", "*")], extra=[["accept", "*/*"]])
SR("a body", method="POST", target="/v1/photos/_find", content=B3, signed=[("content-type", "application/json")])
SR("the largest counter", counter=2**64 - 1)
SR("oldest timestamp", ms=MS - 60000)
SR("newest timestamp", ms=MS + 5000)
SR("too old", UA, "ClockSkew", "ClockSkew", ms=MS - 60001)
SR("too new", UA, "ClockSkew", "ClockSkew", ms=MS + 5001)
SR("last moment", ms=MS + 899999, now="2026-01-02T03:19:05.005Z")
SR("ended", "SessionUnknown", "SessionEnded", ms=MS + 900000, now=ENDS)
SR("used twice", UA, "Replayed", "Replayed", times=2)
SR("counter 0", UA, "CounterTooOld", "Replayed", counter=0)
for what, value in {"scheme": "WFLDB-ED25519-1", "aud": "wfldb:other", "method": "HEAD", "path": "/v1/photos/dog.jpg", "query": "versions=true", "ms": MS + 1, "counter": 2,
                    "session": b64(bytes(16)), "content": B3, "names": "accept", "signed": [("accept", "x")]}.items():
    SR("tagged with another " + what, UA, "RequestTag", sign_as={what: value})
SR("tagged value changed", UA, "RequestTag", signed=[("range", "bytes=0-1")], sign_as={"signed": [("range", "bytes=0-2")]})
SR("tagged with the key of another session", UA, "RequestTag", key=OTHER_KEY)
SR("tagged with no key", UA, "RequestTag", key=bytes(32))
SR("tag of zeros", UA, "RequestTag", tag="A" * 22)
for bad in ["{s}.{m}.{c}", "{s}.{m}.{c}.{t}.", "{s}.{m}.{c}.{t}.x", "{s}.{m}.0{c}.{t}", "{s}.{m}.+{c}.{t}", "{s}.0{m}.{c}.{t}", "{s}..{c}.{t}", "{s}.2026-01-02T03:04:05Z.{c}.{t}", "{s}.{m}.18446744073709551616.{t}",
            "{s}=.{m}.{c}.{t}", "A.{m}.{c}.{t}", "{s}.{m}.{c}.{t}=", "{s}.{m}.{c}.AAAA", "{s}.{m}.{c}." + "A" * 43]:
    SR("credential " + bad, UA, "BadAuthorization", credential=("WFLDB-B3MAC-1 " + bad).replace("{s}", SESSION).replace("{m}", str(MS)).replace("{c}", "1").replace("{t}", "{tag}"))
SR("no credential", UA, "MissingHeader", credential="WFLDB-B3MAC-1")
SR("scheme in lower case", UA, "MissingHeader", scheme="wfldb-b3mac-1")
SR("scheme of signatures", UA, "MissingHeader", scheme="Bearer")
SR("two credentials", NC, extra=[["authorization", "Bearer x"]])
for header in ("x-wfldb-timestamp", "x-wfldb-nonce", "x-wfldb-signature"):
    SR("with " + header, NC, extra=[[header, "x"]])
    SR(header + " in the signed list", NC, signed=[(header, "x")])
SR("content that says nothing", NC, extra=[["x-wfldb-content", "none 0 -"]])
SR("an empty signed list", NC, extra=[["x-wfldb-signed-headers", ""]])
SR("unsigned range", "UnsignedHeader", extra=[["range", "bytes=0-1"]])
SR("get with a body", "BodyNotAllowed", content=B3)
SR("query not in order", NC, target="/v1/photos/scan?b=1&a=1")
write("sessions.json", "Sessions of section 4, for the audience %s. exchange: both halves, and what comes of them. request: of the session of the first exchange, opened with the packet "
      "`plain` of packets.json; times as in requests.json." % AUD, sessions)

# --- authorization ------------------------------------------------------------------------------
grants = []


def ask(name, cap, method, route, bucket=None, key=None, peer="127.0.0.1", put=None, **expected):
    v = {"name": name, "cap": cap, "method": method, "route": route, "peer": peer}
    v |= {k: x for k, x in {"bucket": bucket, "key": key, "put": put}.items() if x is not None}
    grants.append(v | (expected if expected else {"code": "Forbidden"}))


def g(b, p, ops, **limits):
    return {"b": b, "p": p, "ops": ops.split(), **limits}


OBJ = dict(bucket="photos", key="a/b")
ask("get", [g("photos", "", "get")], "GET", "object", **OBJ, op="get", charged=[0])
ask("head is get", [g("photos", "a", "get")], "HEAD", "object", **OBJ, op="get", charged=[0])
ask("any bucket", [g("*", "a/", "get")], "GET", "object", **OBJ, op="get", charged=[0])
ask("a byte prefix", [g("photos", "a", "get")], "GET", "object", bucket="photos", key="ab", op="get", charged=[0])
ask("another bucket", [g("photo", "", "get"), g("photos2", "", "get")], "GET", "object", **OBJ)
ask("another prefix", [g("photos", "b", "get"), g("photos", "a/b/", "get")], "GET", "object", **OBJ)
ask("another op", [g("photos", "", "list put delete erase query watch manage audit")], "GET", "object", **OBJ)
ask("no grants", [], "GET", "object", **OBJ)
ask("no ops", [g("*", "", "")], "GET", "object", **OBJ)
ask("grants never combine", [g("photos", "a/", "list"), g("photos", "b/", "get"), g("other", "a/", "get")], "GET", "object", **OBJ)
ask("the first that allows is charged", [g("photos", "b", "get"), g("photos", "a", "get", rate=5), g("*", "", "get")], "GET", "object", **OBJ, op="get", charged=[1])
for method, route, op in [("GET", "object", "get"), ("PUT", "object", "put"), ("DELETE", "object", "delete"), ("GET", "version", "get"), ("HEAD", "version", "get"),
                          ("GET", "versions", "get"), ("DELETE", "version", "erase"), ("POST", "undelete", "put")]:
    put = {"len": 1} if method == "PUT" else None
    ask(f"{method} {route} with {op} alone", [g("photos", "a", op)], method, route, **OBJ, put=put, op=op, charged=[0])
    others = " ".join(o for o in "get list put delete erase query watch manage audit".split() if o != op)
    ask(f"{method} {route} with all but {op}", [g("photos", "", others)], method, route, **OBJ, put=put)
ask("create only limits erasures", [g("photos", "", "erase", create_only=True)], "DELETE", "version", **OBJ, op="erase", charged=[0], create_only=True)
ask("scan", [g("photos", "a/", "list"), g("photos", "a/b", "list get"), g("*", "c", "list"), g("photos", "d", "get")], "GET", "scan", bucket="photos", op="list", charged=[0], prefixes=["a/", "c"])
ask("scan of all", [g("photos", "a/", "list"), g("photos", "", "list")], "GET", "scan", bucket="photos", op="list", charged=[0], prefixes=None)
ask("scan without list", [g("photos", "", "get")], "GET", "scan", bucket="photos")
ask("scan of another bucket", [g("photo", "", "list")], "GET", "scan", bucket="photos")
ask("manage", [g("photos", "", "manage")], "PUT", "bucket", bucket="photos", op="manage", charged=[0])
ask("manage needs the whole bucket", [g("photos", "a", "manage")], "PUT", "bucket", bucket="photos")
ask("reading a bucket is manage", [g("photos", "", "get list")], "GET", "bucket", bucket="photos")
ask("force needs erase too", [g("photos", "", "manage")], "DELETE", "force", bucket="photos")
ask("force needs erase of the whole bucket", [g("photos", "", "manage"), g("photos", "a", "erase")], "DELETE", "force", bucket="photos")
ask("force", [g("photos", "", "manage", rate=1), g("*", "", "erase")], "DELETE", "force", bucket="photos", op="manage", charged=[0, 1])
ask("buckets with any grant", [g("photos", "a", "get"), g("docs", "", "put")], "GET", "buckets", op="list", charged=[0], buckets=["docs", "photos"])
ask("all buckets", [g("photos", "a", "get"), g("*", "z", "watch")], "GET", "buckets", op="list", charged=[0], buckets=None)
ask("no bucket", [], "GET", "buckets")
ask("no bucket without ops", [g("photos", "", "")], "GET", "buckets")
PUTS = dict(method="PUT", route="object", **OBJ)
ask("size at the limit", [g("photos", "", "put", max_bytes=10)], put={"len": 10}, **PUTS, op="put", charged=[0], object_bytes_max=10)
ask("size over the limit", [g("photos", "", "put", max_bytes=10)], put={"len": 11}, **PUTS)
ask("a larger grant follows", [g("photos", "", "put", max_bytes=10), g("photos", "a", "put", max_bytes=20)], put={"len": 11}, **PUTS, op="put", charged=[1], object_bytes_max=20)
ask("type", [g("photos", "", "put", content_type=["image/png", "image/jpeg"])], put={"len": 1, "content_type": "image/jpeg"}, **PUTS, op="put", charged=[0])
ask("type with parameters", [g("photos", "", "put", content_type=["text/plain"])], put={"len": 1, "content_type": "text/plain; charset=utf-8"}, **PUTS, op="put", charged=[0])
ask("another type", [g("photos", "", "put", content_type=["image/png"])], put={"len": 1, "content_type": "image/pngx"}, **PUTS)
ask("type is exact", [g("photos", "", "put", content_type=["image/png"])], put={"len": 1, "content_type": "Image/PNG"}, **PUTS)
ask("no type", [g("photos", "", "put", content_type=["image/png"])], put={"len": 1}, **PUTS)
ask("an empty list of types allows nothing", [g("photos", "", "put", content_type=[])], put={"len": 1}, **PUTS)
ask("limits do not combine", [g("photos", "", "put", max_bytes=10), g("photos", "", "put", content_type=["a/b"])], put={"len": 11, "content_type": "c/d"}, **PUTS)
ask("limits of writing do not limit reading", [g("photos", "", "get", max_bytes=0, content_type=[], create_only=True)], "GET", "object", **OBJ, op="get", charged=[0])
ask("what is restored is asked about later", [g("photos", "", "put", max_bytes=10)], "POST", "undelete", **OBJ, op="put", charged=[0], object_bytes_max=10)
ask("create only", [g("photos", "", "put", create_only=True)], put={"len": 1}, **PUTS, op="put", charged=[0], create_only=True)
ask("create only before a plain grant", [g("photos", "", "put", create_only=True), g("photos", "a", "put")], put={"len": 1}, **PUTS, op="put", charged=[1])
ask("create only limits deletes", [g("photos", "", "delete", create_only=True)], "DELETE", "object", **OBJ, op="delete", charged=[0], create_only=True)
ask("peer in range", [g("photos", "", "get", cidr=["10.0.0.0/8", "127.0.0.0/8"])], "GET", "object", **OBJ, op="get", charged=[0])
ask("peer out of range", [g("photos", "", "get", cidr=["10.0.0.0/8"])], "GET", "object", **OBJ)
ask("mapped peer", [g("photos", "", "get", cidr=["10.0.0.0/8"])], "GET", "object", **OBJ, peer="::ffff:10.1.2.3", op="get", charged=[0])
ask("no ranges allow nothing", [g("photos", "", "get", cidr=[])], "GET", "object", **OBJ)
ask("a range hides prefixes", [g("photos", "a", "list"), g("photos", "b", "list", cidr=["10.0.0.0/8"])], "GET", "scan", bucket="photos", op="list", charged=[0], prefixes=["a"])
ask("a range hides buckets", [g("photos", "", "get"), g("docs", "", "get", cidr=["10.0.0.0/8"])], "GET", "buckets", op="list", charged=[0], buckets=["photos"])
ask("quota and rate are carried", [g("photos", "", "put", quota_bytes=0, rate=0)], put={"len": 1}, **PUTS, op="put", charged=[0])
for method, route in [("POST", "object"), ("HEAD", "bucket"), ("POST", "bucket"), ("PUT", "buckets"), ("PUT", "scan"), ("HEAD", "scan"), ("PUT", "version"), ("POST", "version"),
                      ("HEAD", "versions"), ("DELETE", "versions"), ("GET", "undelete"), ("GET", "force"), ("PUT", "force")]:
    where = {} if route == "buckets" else dict(bucket="photos") if route in ("bucket", "force", "scan") else OBJ
    ask(f"{method} {route} has no row", [EVERYTHING], method, route, **where)
# Chains: the same rule for each link, decided a second time here.
def decide(caps, op, bucket, key, peer_in, put):
    """The grant of each link that is charged, or None."""
    chosen = []
    for cap in caps:
        fits = [n for n, gr in enumerate(cap)
                if gr["b"] in ("*", bucket) and op in gr["ops"] and key.startswith(gr["p"])
                and ("cidr" not in gr or any(r in peer_in for r in gr["cidr"]))
                and (put is None or (put["len"] <= gr.get("max_bytes", put["len"]) and ("content_type" not in gr or put.get("content_type") in gr["content_type"])))]
        fits.sort(key=lambda n: bool(cap[n].get("create_only")) and op in ("put", "delete", "erase"))
        if not fits:
            return None
        chosen.append(fits[0])
    return chosen


def ask_chain(name, caps, method, key, put=None):
    op = {"GET": "get", "PUT": "put", "DELETE": "delete"}[method]
    chosen = decide(caps, op, "photos", key, ["127.0.0.0/8", "0.0.0.0/0"], put)
    v = {"name": name, "chain": caps, "method": method, "route": "object", "peer": "127.0.0.1", "bucket": "photos", "key": key}
    if put is not None:
        v["put"] = put
    if chosen is None:
        grants.append(v | {"code": "Forbidden"})
        return
    used = [cap[n] for cap, n in zip(caps, chosen)]
    v |= {"op": op, "charged": chosen}
    if op in ("put", "delete") and any(gr.get("create_only") for gr in used):
        v["create_only"] = True
    if op == "put" and any("max_bytes" in gr for gr in used):
        v["object_bytes_max"] = min(gr["max_bytes"] for gr in used if "max_bytes" in gr)
    grants.append(v)


LINKS = {
    "everything": [EVERYTHING], "nothing": [], "no ops": [g("*", "", "")], "all of photos": [g("photos", "", "get put delete")], "a": [g("photos", "a", "get put")],
    "ab": [g("photos", "ab", "get put")], "a/": [g("*", "a/", "get put delete")], "another bucket": [g("photo", "", "get put delete")], "reading": [g("*", "", "get list")],
    "here": [g("*", "", "get put", cidr=["127.0.0.0/8"])], "elsewhere": [g("*", "", "get put", cidr=["10.0.0.0/8"])], "nowhere": [g("*", "", "get put", cidr=[])],
    "small": [g("*", "", "get put", max_bytes=3)], "typed": [g("*", "", "get put", content_type=["a/b"])], "new only": [g("photos", "", "put delete", create_only=True)],
    "two": [g("photos", "b", "get"), g("photos", "ab", "put", max_bytes=9), g("photos", "a", "put", create_only=True)],
}
for first in LINKS:
    for second in LINKS:
        for method, key in (("GET", "ab"), ("GET", "a/b"), ("PUT", "ab")):
            ask_chain(f"{first}, then {second}: {method} {key}", [LINKS[first], LINKS[second]], method, key, {"len": 4} if method == "PUT" else None)
for names in (("everything", "all of photos", "a", "ab"), ("ab", "a", "all of photos", "everything"), ("everything", "a", "nothing", "everything"), ("small", "typed", "new only", "two"), ("here", "reading", "a", "elsewhere")):
    for method, key, put in (("GET", "ab", None), ("GET", "a", None), ("PUT", "abc", {"len": 3, "content_type": "a/b"}), ("DELETE", "abc", None)):
        ask_chain(" then ".join(names) + f": {method} {key}", [LINKS[n] for n in names], method, key, put)
write("grants.json", "Authorization of section 3. cap: the grants of a packet of one link; chain: those of each link of a longer one, from link 0. charged: the grants by their index in cap, "
      "for a chain the one of each link. prefixes, buckets: what is visible, null for all.", grants)
