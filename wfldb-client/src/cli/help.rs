//! Long help texts.

/// What the program's long help begins with.
pub(super) const ABOUT: &str = "\
Stores, lists and reads objects in a wflDB server.

A TARGET is BUCKET or BUCKET/KEY. In `cp`, remote places are spelled wfldb://BUCKET/KEY, since everything else is a \
local path; the other commands take that spelling too.

The profile says where the server is and holds key and packet: --profile FILE, else the environment variable \
WFLDB_PROFILE, else $XDG_CONFIG_HOME/wfldb/profile.json, else ~/.config/wfldb/profile.json. The file must be readable \
by its owner only (mode 0600).";

/// The rules of `aggregate`, as its long help states them.
pub(super) const AGGREGATE_RULES: &str = "\
Group the documents of a bucket and compute over the groups; one line of JSON for each group.

  wfldb aggregate sales '[{\"match\":{\"kind\":\"sale\"}},
    {\"group\":{\"by\":[\"city\",{\"field\":\"at\",\"bucket\":\"day\"}],
     \"fields\":{\"n\":{\"count\":true},\"total\":{\"sum\":\"price\"}}}},
    {\"sort\":[{\"total\":\"desc\"}]},{\"limit\":10}]'

Stages: any number of `match` (selectors), one `group`, then `match`, `sort`, `skip`, `limit` of its rows. Functions: \
count sum avg min max distinct percentiles first last. docs/PROTOCOL.md has all of it.";

/// The rules of `cp`, as its long help states them.
pub(super) const COPY_RULES: &str = "\
Copy files up, down, or from key to key; with -r whole directory trees.

  wfldb cp FILE wfldb://BUCKET/KEY       up; the file's name is added to a KEY that ends with /
  wfldb cp wfldb://BUCKET/KEY FILE       down; into FILE, or into it if it is a directory
  wfldb cp wfldb://A/KEY wfldb://B/KEY   from key to key, by the server itself
  wfldb cp -r DIR wfldb://BUCKET/PREFIX  what is in DIR goes below PREFIX/
  wfldb cp -r wfldb://BUCKET/PREFIX DIR  what is below PREFIX/ goes into DIR

Interrupted? Run the same command again. What is there already with the same size and the same BLAKE3 hash is \
skipped, so a second run only moves what is missing. Skipping compares contents only, not times and modes.

A file over 64 MiB goes up in parts of 16 MiB, two at a time. What an interrupted upload sent stays on the server for \
seven days, and the next run sends the rest: which upload to go on with is noted in $XDG_STATE_HOME/wfldb/uploads, else \
~/.local/state/wfldb/uploads, while it lasts. Every part is hashed again and sent when the server's is another one. \
After a refusal for good (no right, too large, over a quota), or when the file changed, the upload is ended instead.

A file that \
comes down is written as `.NAME.wfldb-part` and renamed when it is whole and its hash is right; what is left of a \
file over 8 MiB is gone on with, a smaller one is started over. Such names are not copied in either direction.

Symbolic links are not followed: they are skipped with a warning. With --follow they are copied as what they point \
at, unless that lies outside of DIR, or is a directory above the link, or is not there: then they are skipped.

Empty directories are kept as objects of zero bytes whose key ends with `/`. Other directories exist through their \
files; their own times and modes are not kept.

Times and modes: the modification time and the nine permission bits travel as x-wfldb-meta-mtime \
(SECONDS.NANOSECONDS) and x-wfldb-meta-mode (four octal digits), and are set again on the way down unless \
--no-preserve is given. Set-user-id and similar bits, owners, access lists and extended attributes do not travel.

Names: bytes that are not valid UTF-8 and control characters are written %XX in the key (upper-case hexadecimal); a % \
before two upper-case hexadecimal digits is written %25; where the whole key would be reserved (`scan`, `batch`, a \
first segment like `_find`), its first byte is written %XX. On the way down the rule is undone, and only where it gives \
that very key again: other keys with a % are taken literally. A name too long for a key (1024 bytes) is reported.

On the way down nothing is written outside of DIR: keys with empty, `.` or `..` segments are reported, symbolic \
links inside DIR are neither followed nor replaced, and of keys that cannot all be files (`a` and `a/b`) one is \
reported, not overwritten. Existing files with other contents are replaced.

Special files (sockets, pipes, devices) are skipped with a warning. The content-type is guessed from the name's \
ending, or left out.

Warnings do not change the exit code. Failures of single files are listed at the end, with exit code 1; when the server \
goes away for longer than about 10 seconds the copy stops, with exit code 6.";

/// The forms of a batch, as its long help states them.
pub(super) const BATCH_RULES: &str = "\
Change many objects of a bucket in one commit, or none of them.

The entries come from FILE or standard input: either the protocol's JSON,

  {\"ops\":[{\"op\":\"put\",\"key\":\"a\",\"body\":\"text\"},{\"op\":\"delete\",\"key\":\"b\"}]}

or one entry per line:

  {\"op\":\"put\",\"key\":\"a\",\"body\":\"text\",\"content_type\":\"text/plain\",\"tags\":{\"colour\":\"red\"},\"if_none_match\":\"*\"}
  {\"op\":\"put\",\"key\":\"b\",\"body_base64\":\"AAEC\"}
  {\"op\":\"delete\",\"key\":\"c\",\"if_version\":\"01JGFJJZ00AAAAAAAAAAAAAAAA\"}
  {\"op\":\"check\",\"key\":\"d\",\"if_match\":\"ETAG\"}

At most 1000 entries and 8 MiB, each key once; more than that is refused, never split. `if_match` is an etag or *, \
`if_none_match` is *; every condition of every entry must hold, or nothing happens, and the entry that was refused is \
named, counted from 0.";

/// What `tag` does, as its long help states it.
pub(super) const TAG_RULES: &str = "\
Show the tags of an object, or set some of them.

Without NAME=VALUE the tags are shown. With it they are set, and the object's other tags stay; --replace sets exactly \
those that are given. The object is copied onto itself by the server, so no bytes move and a new version begins; type, \
metadata and what is left of its time to live stay. If the object changes meanwhile, nothing happens (exit code 5).

The last tag of an object cannot be taken away: in the protocol a copy without tags takes those of its source. Store the \
object again without tags (`wfldb get`, `wfldb put`) where that is needed.";

/// The rules of `import`, as its long help states them.
pub(super) const IMPORT_RULES: &str = "\
Store the documents of a file in a bucket of kind `documents`: JSON Lines, one JSON array, or BSON as mongodump writes \
it. A file of any length: it is read once, in batches of up to 1000 documents, each batch one commit, several on their \
way at once.

The key of a document is its `_id`, or the member that --id names: a text, a whole number or an object id. What an \
export of wflDB has beside the document is left out. What BSON has and JSON lacks is stored as extended JSON, and \
exported to BSON as what it was: dates, object ids, decimals, binary, long integers.

A document that cannot be stored ends it, and is named with its line and the reason; what was stored before stays. \
With --keep-going each of them is named and the rest is stored (exit code 1). Interrupted or done, it can be run again: \
the same keys are stored anew, as new versions; with --new-only what is there stays as it is.";

/// The rules of `export`, as its long help states them.
pub(super) const EXPORT_RULES: &str = "\
Write the documents of a bucket, in the order of their keys, to a file or to standard output: JSON Lines, one JSON \
array, or BSON. Each is as it was when it was read; it is no snapshot of the bucket. JSON is in canonical form, so two \
exports can be compared. The file appears when it is whole.

With version, time, writer, hash and signature, as `wfldb get` has them, or with --plain without. Both can be imported.";

/// The rules of `watch`, as its long help states them.
pub(super) const WATCH_RULES: &str = "\
Print the changes of a bucket as they come, in the order of their commits and each once, until it is interrupted. A \
broken connection or a server that restarts is no end: it goes on where it was, and gives up after five minutes without \
the server.

Each line says the seq, when it was committed, what was done, how many bytes were stored, and the key. What was done: \
put, delete, restore; and of versions that are gone for good erase (somebody's doing), prune (the bucket's retention) \
and expire (the time to live). Lines with the same seq were committed together; with --json they are one object.

To go on later, give the last seq that was seen: --since 17. It needs the operation `watch`; keys that the packet does \
not let you watch do not appear.";

/// What `delegate` does, as its long help states it.
pub(super) const DELEGATE_RULES: &str = "\
Pass this profile's packet on to another key, narrowed: less of its buckets, keys and operations, tighter limits, a \
shorter time. Nothing is asked of the server, which believes the new packet because it carries this one.

  wfldb delegate --grant 'b=photos,p=2024/,ops=get+list,cidr=10.0.0.0/8' --for 8h --new-key --out reader.json
  wfldb delegate --grant 'b=photos,ops=put,max_bytes=1000000,rate=5' --sub wc1… > packet

What asks for more than this packet allows is refused (exit code 3), and nothing is written. A limit that is not given \
stays what it is: rate, quota and the number of requests at once are counted at every link, so whoever a packet is \
passed on to shares them with its holder. In a value %2C, %2B and %25 stand for a comma, a plus and a percent sign.

The packet must allow it (`dlg` when it was issued), and a chain has four links at most. `wfldb-admin inspect` shows \
the chain and what it comes to.";

/// What `link` does, as its long help states it.
pub(super) const LINK_RULES: &str = "\
Make a URL that reads or writes one key, or reads all keys with a prefix, without a key and without any header: for a \
browser, or plain curl. Nothing is asked of the server.

  wfldb link get photos/cat.jpg --expires 1d --uses 3
  wfldb link put inbox/report.pdf --expires 2h --uses 1 --max-size 10000000    # then: curl -T report.pdf URL
  wfldb link get photos/2024/ --prefix --expires 7d

Whoever has the URL has the right, so pass it on like a password. It gives never more than this profile's packet allows \
at the time, and ends with it; the packet must allow to be passed on (`dlg` when it was issued). Each answer with the \
object, ranges and HEAD included, is one use of --uses; what fails costs none.";

/// What `patch` does, as its long help states it.
pub(super) const PATCH_RULES: &str = "\
Change a part of a document. An object is a JSON Merge Patch (RFC 7396): its members take the place of the document's, \
null takes one away. A list is a JSON Patch (RFC 6902): all of its steps, or none.

  wfldb patch notes/fox '{\"title\": \"A fox\", \"draft\": null}'
  wfldb patch notes/fox '[{\"op\": \"test\", \"path\": \"/n\", \"value\": 1}, {\"op\": \"replace\", \"path\": \"/n\", \"value\": 2}]'
  wfldb patch notes/fox @change.json --if-version 01J…";

/// What `search` does, as its long help states it.
pub(super) const SEARCH_RULES: &str = "\
Search the documents of a bucket by their words, best first. The bucket needs an index: `wfldb mb --configure BUCKET \
--text title,body --language english`, and a server that was built with it.

  wfldb search notes 'red fox'                        # any of the words; --all for all of them
  wfldb search notes '\"red fox\" +den -hound'          # side by side; needed; excluded
  wfldb search notes 'title:fox AND (den OR ho*)'      # in a field; a beginning
  wfldb search notes 'foks~1' --highlight              # one letter away; with the places that match

The index follows the documents within a second or so; --wait SEQ waits for a change of which the answer to a write \
gave the number. What was deleted or replaced is never shown.";

/// What `agent` does, as its long help states it.
pub(super) const AGENT_RULES: &str = "\
Sign requests of curl and other programs of this machine, and pass them on to the server. It runs until it is ended, \
and prints the beginning of the curl command to use:

  curl --path-as-is --unix-socket /run/user/1000/wfldb-agent-…/agent.sock http://wfldb/v1/photos/cat.jpg

Whoever can reach it acts with this profile. The socket is yours alone; with --tcp every program of this machine can \
reach the port, and needs the secret of this run in a header, which curl reads from a file. Requests of browsers are \
refused. With --bucket it signs with a packet that is passed on to a key of this run, narrowed and short, which the \
profile's packet must allow (`dlg`); the profile's own key is forgotten then.

Content type, conditions, ranges and x-wfldb-* headers are signed and passed on; headers that are not known are left \
out. Paths have to be in the protocol's one spelling. Bodies are gathered, over 256 KiB in a temporary file without a \
name, since their hash is signed. Answers are passed back as they are.";
