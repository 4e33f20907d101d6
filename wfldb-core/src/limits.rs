//! Every limit of the wire and of the store, in one place, with the relations between them checked
//! at compile time. Not here: what is configured per bucket or per grant.

/// Longest object key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;
/// Shortest bucket name.
pub const BUCKET_BYTES_MIN: usize = 3;
/// Longest bucket name.
pub const BUCKET_BYTES_MAX: usize = 63;
/// Longest realm.
pub const REALM_BYTES_MAX: usize = 63;

/// Largest key packet as sent, everything nested in it included.
pub const PACKET_BYTES_MAX: usize = 12 * 1024;
/// Most grants in one link.
pub const GRANTS_MAX: usize = 32;
/// Most links in a chain: link 0 and three more.
pub const LINKS_MAX: usize = 4;
/// Largest `dlg` claim: how many more links may follow.
pub const DELEGATION_MAX: u8 = 3;
/// Most entries in a grant's `cidr` or `content_type` list.
pub const GRANT_LIST_MAX: usize = 64;
/// Deepest nesting of the JSON inside a packet (object, `cap`, grant, list).
pub const PACKET_JSON_DEPTH_MAX: usize = 6;
/// Tolerance for a packet's `iat`, `nbf` and `exp`, in seconds.
pub const PACKET_SKEW_SECONDS: u64 = 60;

/// How long a link in a URL is valid at most, in seconds: seven days.
pub const LINK_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// Most uses that a link can be made for.
pub const LINK_USES_MAX: u64 = 1_000_000_000;
/// Links that a store counts the uses of at once.
pub const LINKS_COUNTED_MAX: u64 = 1_000_000;
/// Those of them below one holder of a root key's packet: half.
pub const LINKS_COUNTED_OF_ONE_KEY: u64 = LINKS_COUNTED_MAX / 2;

/// Longest path with query, in bytes, as sent.
pub const PATH_BYTES_MAX: usize = 8 * 1024;
/// Largest header list: the sum of name, value and 32 bytes for each field, as HTTP/2 counts.
pub const HEADER_LIST_BYTES_MAX: usize = 24 * 1024;
/// Most header fields in a request.
pub const HEADER_FIELDS_MAX: usize = 64;
/// What HTTP/2 (RFC 9113, 6.5.2) adds for each field when it counts a header list.
pub const HEADER_FIELD_OVERHEAD_BYTES: usize = 32;

/// Most `x-wfldb-meta-*` headers of an object.
pub const META_NAMES_MAX: usize = 32;
/// Names and values of all `x-wfldb-meta-*` headers of an object together, in bytes.
pub const META_BYTES_MAX: usize = 8 * 1024;
/// Longest kept header value (`content-type`, `cache-control`, `expires`), in bytes.
pub const HEADER_TEXT_BYTES_MAX: usize = 1024;
/// Most tags of an object.
pub const TAGS_MAX: usize = 16;
/// Longest name of a tag, in bytes of UTF-8.
pub const TAG_NAME_BYTES_MAX: usize = 128;
/// Longest value of a tag, in bytes of UTF-8.
pub const TAG_VALUE_BYTES_MAX: usize = 256;
/// Longest time to live: one hundred years.
pub const TTL_SECONDS_MAX: u64 = 100 * 366 * 24 * 3600;
/// Largest JSON body of a bucket configuration, in bytes.
pub const BUCKET_CONFIG_BYTES_MAX: usize = 16 * 1024;

/// Most items on one page of a listing.
pub const SCAN_LIMIT_MAX: usize = 1000;

/// Most changes on one page of a bucket's changes.
pub const CHANGES_LIMIT_MAX: usize = 1000;
/// Feeds of changes of a server that wait for changes at once.
pub const FEEDS_MAX: usize = 1024;
/// Those of them of one public key.
pub const FEEDS_OF_ONE_KEY: usize = 16;
/// How long a feed waits or lasts at most where its request says a time, in milliseconds: a day.
pub const FEED_MS_MAX: u64 = 24 * 3600 * 1000;
/// Shortest time between two signs of life of a feed that a request can ask for, in milliseconds.
pub const HEARTBEAT_MS_MIN: u64 = 100;
/// Longest, in milliseconds.
pub const HEARTBEAT_MS_MAX: u64 = 60 * 1000;
/// How long `feed=longpoll` waits at most, in milliseconds.
pub const LONGPOLL_MS_MAX: u64 = 5 * 60 * 1000;

/// Bodies up to this size ride the commit itself; larger ones become chunk files.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Size of a chunk; only the last of an object is shorter.
pub const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Size of a group, the smallest range of a chunk that can be checked on its own.
pub const GROUP_BYTES: usize = 64 * 1024;
/// Most groups in a chunk.
pub const CHUNK_GROUPS_MAX: usize = CHUNK_BYTES / GROUP_BYTES;
/// Largest object.
pub const OBJECT_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// Most entries of a batch.
pub const BATCH_ENTRIES_MAX: usize = 1000;
/// Largest batch as sent, and most bytes of all its bodies together.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most keys that a transaction reads by name.
pub const TX_KEYS_READ_MAX: usize = 4096;
/// Most ranges of keys that a transaction reads.
pub const TX_RANGES_MAX: usize = 128;
/// Most keys in all ranges that a transaction reads: its commit walks them again.
pub const TX_KEYS_SCANNED_MAX: usize = 10_000;
/// Most keys that a transaction writes.
pub const TX_WRITES_MAX: usize = 1000;
/// Most bytes that a transaction holds: what it is to write, and what was to be written before its savepoints.
pub const TX_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most buckets that a transaction reads or writes.
pub const TX_BUCKETS_MAX: usize = 16;
/// Most savepoints of a transaction at once, and deepest nesting.
pub const TX_SAVEPOINTS_MAX: usize = 64;
/// How long a transaction may lie idle where its caller says nothing, in milliseconds.
pub const TX_IDLE_MS: u64 = 30_000;
/// How short that can be asked to be.
pub const TX_IDLE_MS_MIN: u64 = 1_000;
/// How long that can be asked to be.
pub const TX_IDLE_MS_MAX: u64 = 300_000;
/// How long a transaction lasts at most over the wire, in milliseconds: it keeps a state of the store.
pub const TX_MS_MAX: u64 = 600_000;
/// How long a request waits for a lock where its caller says nothing, in milliseconds.
pub const TX_LOCK_MS: u64 = 10_000;
/// How long it can be asked to wait.
pub const TX_LOCK_MS_MAX: u64 = 60_000;
/// Most operations in one request to a transaction.
pub const TX_OPS_MAX: usize = 1000;
/// Longest name of a savepoint, in bytes.
pub const TX_SAVEPOINT_BYTES_MAX: usize = 64;
/// Transactions of one public key at once, over the wire.
pub const TX_OF_ONE_KEY: usize = 16;
/// Transactions of a server at once.
pub const TX_OPEN_MAX: usize = 1024;
/// Bytes of what all of them are to write.
pub const TX_OPEN_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most locks of a transaction.
pub const TX_LOCKS_MAX: usize = 1000;

/// Largest document, in its canonical form with its envelope. One is whole in memory while it is planned.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// How often a write of a document is planned at most, while others of the same key come first.
pub const DOCUMENT_PLANS_MAX: usize = 64;
/// Versions of a document, the newest first, among which the one that an edit began with is looked for.
pub const EDIT_VERSIONS_MAX: usize = 1000;
/// About how many bytes of documents a page of a history holds at most.
pub const HISTORY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest JSON Schema of a bucket, as sent.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Most schemas within a schema, each counted wherever a reference leads to it.
pub const SCHEMA_PARTS_MAX: usize = 1000;
/// How deep schemas within a schema are nested, references followed.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// Most operations of a JSON Patch.
pub const PATCH_OPS_MAX: usize = 1000;
/// Deepest nesting of JSON in documents and requests about them.
pub const JSON_DEPTH_MAX: usize = 64;
/// Largest whole number, and its negative, that every reader of JSON reads exactly: 2^53 − 1.
pub const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;
/// Longest name of a field, in bytes.
pub const FIELD_PATH_BYTES_MAX: usize = 1024;

/// Most indexes of a bucket.
pub const INDEXES_MAX: usize = 64;
/// Most of them that were made because a query would gain.
pub const INDEXES_AUTOMATIC_MAX: usize = 8;
/// Most fields of an index.
pub const INDEX_FIELDS_MAX: usize = 8;
/// Longest name of an index, in bytes.
pub const INDEX_NAME_BYTES_MAX: usize = 128;
/// Bytes of a field's value in an index; what is longer is cut, and a hash follows.
pub const INDEX_FIELD_BYTES_MAX: usize = 1024;
/// Most rows of one document in one index: an array has one for each element.
pub const INDEX_ENTRIES_MAX: usize = 1000;
/// What the groups of one aggregation take in memory at most, in bytes.
pub const AGGREGATE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Documents that one aggregation looks at.
pub const AGGREGATE_DOCUMENTS_MAX: u64 = 20_000_000;
/// Bytes of documents that one aggregation reads.
pub const AGGREGATE_READ_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// How long one aggregation takes at most, in milliseconds.
pub const AGGREGATE_MS_MAX: u64 = 60_000;
/// Threads that work on one aggregation at most.
pub const AGGREGATE_THREADS_MAX: usize = 8;
/// Most stages of a pipeline.
pub const AGGREGATE_STAGES_MAX: usize = 32;
/// Most fields that documents are grouped by.
pub const AGGREGATE_BY_MAX: usize = 8;
/// Most functions of a group.
pub const AGGREGATE_FIELDS_MAX: usize = 32;
/// Most percentiles of one field.
pub const AGGREGATE_PERCENTILES_MAX: usize = 16;
/// Percentiles of so many numbers are exact.
pub const AGGREGATE_EXACT_NUMBERS_MAX: usize = 1024;
/// Longest bucket of time, in days: a hundred years.
pub const AGGREGATE_STEP_DAYS_MAX: u32 = 36_525;
/// Largest body that asks a question about documents, as sent.
pub const QUERY_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of conditions in a selector.
pub const SELECTOR_DEPTH_MAX: usize = 32;
/// Most conditions in a selector.
pub const SELECTOR_CLAUSES_MAX: usize = 512;
/// Most values that the lists of a selector (`$in` and its like) have together.
pub const SELECTOR_VALUES_MAX: usize = 4096;
/// Most regular expressions in a selector.
pub const SELECTOR_PATTERNS_MAX: usize = 8;
/// Longest regular expression, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Largest compiled regular expression, in bytes.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 512 * 1024;
/// Deepest nesting of groups in a regular expression.
pub const PATTERN_DEPTH_MAX: u32 = 32;
/// Documents that a question is answered with when it does not say how many.
pub const FIND_LIMIT: usize = 25;
/// Most documents of one answer.
pub const FIND_LIMIT_MAX: usize = 1000;
/// Most documents that a question can pass over. A bookmark goes further, and costs less.
pub const FIND_SKIP_MAX: usize = 100_000;
/// Most fields that a question names.
pub const FIND_FIELDS_MAX: usize = 64;
/// Most fields that a question sorts by.
pub const FIND_SORT_MAX: usize = 8;
/// Rows of heads and indexes that a question looks at, at most.
pub const FIND_KEYS_MAX: u64 = 2_000_000;
/// Documents that a question reads, at most.
pub const FIND_DOCUMENTS_MAX: u64 = 500_000;
/// Bytes of documents that a question reads, at most.
pub const FIND_READ_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long a question is worked on, in milliseconds.
pub const FIND_MS_MAX: u64 = 20_000;
/// Bytes of what documents are sorted by that are held at once.
pub const FIND_SORT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of documents after which an answer ends; the first is answered whatever it has.
pub const FIND_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest position that a bookmark can hold, in bytes: it comes back in a body.
pub const BOOKMARK_POSITION_BYTES_MAX: usize = 32 * 1024;
/// Most ranges that a question is answered from.
pub const FIND_RANGES_MAX: usize = 1024;
/// Most fields that a full-text index keeps apart.
pub const TEXT_FIELDS_MAX: usize = 16;
/// Longest word of a document that is found, in bytes; a longer one is left out.
pub const TEXT_WORD_BYTES_MAX: usize = 128;
/// Text of one document that is indexed at most, in bytes of its strings.
pub const TEXT_DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Longest search, in bytes.
pub const TEXT_QUERY_BYTES_MAX: usize = 4096;
/// Most words, phrases and beginnings of a search together.
pub const TEXT_CLAUSES_MAX: usize = 64;
/// Most words of a phrase.
pub const TEXT_PHRASE_WORDS_MAX: usize = 32;
/// Those of a search that stand for several words of the index: fuzzy ones and beginnings.
pub const TEXT_OPEN_CLAUSES_MAX: usize = 8;
/// Words of the index that one of them may stand for, in each part of it.
pub const TEXT_EXPANSIONS_MAX: usize = 1000;
/// Deepest nesting of a search.
pub const TEXT_DEPTH_MAX: usize = 16;
/// Largest distance of a fuzzy word.
pub const TEXT_DISTANCE_MAX: u8 = 2;
/// Fewest characters of a beginning.
pub const TEXT_PREFIX_CHARS_MIN: usize = 2;
/// Most hits on one page.
pub const TEXT_LIMIT_MAX: usize = 1000;
/// Most hits that are passed over before a page.
pub const TEXT_SKIP_MAX: usize = 10_000;
/// Most hits of the index that one search looks at.
pub const TEXT_HITS_MAX: usize = 20_000;
/// Largest body that searches, as sent.
pub const TEXT_BODY_BYTES_MAX: usize = 64 * 1024;
/// Documents that one answer carries, in bytes of their stored form.
pub const TEXT_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a search waits for the index at most, in milliseconds.
pub const TEXT_WAIT_MS_MAX: u64 = 10_000;

/// Smallest size of the parts of an upload.
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// Largest size of the parts of an upload.
pub const PART_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The size of parts is a multiple of this.
pub const PART_BYTES_STEP: u64 = 1024 * 1024;
/// Most parts of an upload, numbered from 1.
pub const PARTS_MAX: u16 = 10_000;
/// How long an upload is kept, unfinished or completed, in milliseconds: seven days.
pub const UPLOAD_MS: u64 = 7 * 24 * 3600 * 1000;
/// Largest list of parts that completes an upload, as sent.
pub const PART_LIST_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How old a request's timestamp may be, in milliseconds.
pub const SKEW_PAST_MS: u64 = 60_000;
/// How far ahead a request's timestamp may be, in milliseconds.
pub const SKEW_FUTURE_MS: u64 = 5_000;
/// Largest value either of the two can be configured to, in milliseconds.
pub const SKEW_MS_MAX: u64 = 300_000;

/// How long a session lasts at most, in milliseconds: fifteen minutes.
pub const SESSION_MS_MAX: u64 = 15 * 60 * 1000;
/// How far behind the largest counter of a session another may still come: requests that are in flight at once, over
/// all connections.
pub const SESSION_WINDOW: u64 = 8192;
/// Sessions of one public key at once.
pub const SESSIONS_OF_ONE_KEY: usize = 16;
/// Sessions of a server at once.
pub const SESSIONS_MAX: usize = 8192;
/// Largest body that opens a session, as sent.
pub const SESSION_BODY_BYTES_MAX: usize = 1024;

/// Revocations of a store at once.
pub const REVOCATIONS_MAX: usize = 100_000;
/// Revocations of a store that others than administrators made.
pub const REVOCATIONS_SHARED_MAX: usize = REVOCATIONS_MAX / 2;
/// Revocations of one holder of a link 0 and of all that it passed its packet on to.
pub const REVOCATIONS_OF_ONE_KEY: usize = 1000;
/// Refusals of one key in a bucket that are logged in a second, where the bucket asks for that.
pub const AUDIT_REFUSALS_OF_KEY: u64 = 2;
/// Refusals in a bucket that are logged in a second.
pub const AUDIT_REFUSALS_OF_BUCKET: u64 = 10;
/// Largest body that revokes, as sent: a packet and a key.
pub const REVOKE_BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a packet's revocation is kept after the packet is over, in seconds: a day, for clocks that are set back.
pub const REVOCATION_SLACK_SECONDS: u64 = 24 * 3600;
/// Largest entry of the audit log, in bytes.
pub const AUDIT_ENTRY_BYTES_MAX: usize = 4 * 1024;
/// Most leaves of the audit log. Every leaf index below it is an exact number in the JSON of any language.
pub const AUDIT_LEAVES_MAX: u64 = 1 << 53;
/// Hashes in a full tile of the audit log, and entries in a full bundle (C2SP tlog-tiles: tile height 8).
pub const AUDIT_TILE_WIDTH: u16 = 256;
/// Longest `actor` of an audit entry, in bytes.
pub const AUDIT_ACTOR_BYTES_MAX: usize = 128;
/// Largest receipt as JSON, in bytes. One of a batch names all its effects.
pub const RECEIPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest signed note that is read, in bytes, and with it the largest checkpoint.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signatures of a note that are read.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// Longest name of a note's key, in bytes.
pub const NOTE_NAME_BYTES_MAX: usize = 255;
/// Largest commit object of a mirror's history that is read, in bytes. Each author has a line of up to 150.
pub const MIRROR_COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;

const _: () = {
    // A bookmark in base64 leaves room for its question.
    assert!(BOOKMARK_POSITION_BYTES_MAX * 4 / 3 + 16 * 1024 < QUERY_BYTES_MAX);
    // The longest key of a row in an index is far from what the storage refuses, and one bit stands for each field.
    assert!(64 + INDEX_FIELDS_MAX * (INDEX_FIELD_BYTES_MAX + 32) + KEY_BYTES_MAX < 32 * 1024);
    assert!(INDEX_FIELDS_MAX <= 8 && INDEXES_AUTOMATIC_MAX < INDEXES_MAX);
    // A transaction in one bucket is a batch, in size too.
    assert!(TX_WRITES_MAX <= BATCH_ENTRIES_MAX && TX_BYTES_MAX <= BATCH_BYTES_MAX);
    // A bundle gives the length of an entry in 16 bits.
    assert!(AUDIT_ENTRY_BYTES_MAX <= u16::MAX as usize);
    // A receipt of a batch that writes the most effects with the longest keys, and its packet.
    assert!(BATCH_ENTRIES_MAX * (2 * KEY_BYTES_MAX + 256) + 4 * PACKET_BYTES_MAX < RECEIPT_BYTES_MAX);
    // The name of a store's log: `wfldb/`, the realm, `/`, the store's id.
    assert!(6 + REALM_BYTES_MAX + 1 + 32 <= NOTE_NAME_BYTES_MAX);
    assert!(LINKS_MAX == DELEGATION_MAX as usize + 1);
    assert!(CHUNK_BYTES.is_multiple_of(GROUP_BYTES));
    // BLAKE3 subtrees are powers of two of its 1 KiB chunks; a group has to be a whole one.
    assert!(GROUP_BYTES.is_power_of_two() && GROUP_BYTES >= 1024);
    assert!(CHUNK_BYTES.is_power_of_two());
    assert!(INLINE_BYTES_MAX <= CHUNK_BYTES);
    assert!(OBJECT_BYTES_MAX.is_multiple_of(CHUNK_BYTES as u64));
    // A packet and a full set of metadata fit one header list together.
    assert!(PACKET_BYTES_MAX + META_BYTES_MAX < HEADER_LIST_BYTES_MAX);
    // A key in its longest encoding (three bytes for one) fits the path.
    assert!(3 * KEY_BYTES_MAX + BUCKET_BYTES_MAX + 64 < PATH_BYTES_MAX);
    assert!(META_NAMES_MAX < HEADER_FIELDS_MAX);
    assert!(SKEW_PAST_MS <= SKEW_MS_MAX && SKEW_FUTURE_MS <= SKEW_MS_MAX);
    // The window's bits come in whole words.
    assert!(SESSION_WINDOW.is_multiple_of(64));
    assert!(SESSIONS_OF_ONE_KEY < SESSIONS_MAX);
    assert!(PACKET_BYTES_MAX + 1024 < REVOKE_BODY_BYTES_MAX);
    // Others cannot take the room that an administrator needs.
    // A page behind the most that can be passed over is within what a search looks at.
    assert!(TEXT_SKIP_MAX + TEXT_LIMIT_MAX <= TEXT_HITS_MAX);
    assert!(TEXT_QUERY_BYTES_MAX < TEXT_BODY_BYTES_MAX);
    assert!(REVOCATIONS_OF_ONE_KEY < REVOCATIONS_SHARED_MAX && REVOCATIONS_SHARED_MAX < REVOCATIONS_MAX);
};
