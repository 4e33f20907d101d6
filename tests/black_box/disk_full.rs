//! A disk that is full: a clear refusal, reads that go on, nothing acknowledged lost, and writes again when there is space.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use wfldb_client::Profile;
use wfldb_tests::{Answer, Request, Server, chunk_files, is_verified_sound, noise, wait_until};

const MIB: usize = 1 << 20;

/// What was acknowledged, and what was tried without an answer that settles it.
#[derive(Default)]
struct Record {
    stored: Vec<(String, Vec<u8>)>,
    unknown: Vec<(String, Vec<u8>)>,
}

struct Caller {
    profile: Profile,
    listen: String,
}

impl Caller {
    fn of(server: &Server) -> Self {
        Self {
            profile: server.profile(),
            listen: server.listen.clone(),
        }
    }

    fn send(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        Request::signed(&self.profile, method, target, &[], body).send(&self.listen)
    }

    /// Puts, and notes what became of it. A refusal is 507, 500 or 503 with a word.
    fn put(&self, record: &mut Record, target: String, body: Vec<u8>) -> Result<(), String> {
        let put = Request::signed(&self.profile, "PUT", &target, &[], &body).try_send(&self.listen);
        let Some(put) = put else {
            // Refused before all of the body was sent: closing takes the answer along.
            assert_eq!(self.send("GET", &target, b"").status, 404, "{target}");
            return Err("closed".to_owned());
        };
        if put.is_success() {
            record.stored.push((target, body));
            return Ok(());
        }
        let code = put.code().unwrap();
        match (put.status, code.as_str()) {
            (507, "StorageFull") | (503, "ReadOnly") => {
                // Surely not there, as far as it can be seen.
                assert_eq!(self.send("GET", &target, b"").status, 404, "{target}");
            }
            (500, "OutcomeUnknown") => record.unknown.push((target, body)),
            other => panic!("{other:?}"),
        }
        Err(code)
    }

    fn has(&self, record: &Record) {
        for (target, body) in &record.stored {
            let got = self.send("GET", target, b"");
            assert!(got.status == 200 && got.body == *body, "{target}: {}", got.status);
        }
        for (target, body) in &record.unknown {
            let got = self.send("GET", target, b"");
            assert!(
                got.status == 404 || (got.status == 200 && got.body == *body),
                "{target}: {}",
                got.status
            );
        }
    }
}

/// A small file system of its own, gone with this value.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    #[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
    fn new(dir: &'a Path, mib: usize, test: &str) -> Option<Self> {
        fs::create_dir_all(dir).unwrap();
        let size = format!("size={mib}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "wfldb-test"])
            .arg(dir)
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            Some(Self(dir))
        } else {
            eprintln!("SKIPPED {test}: it needs to mount a file system");
            None
        }
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn the_floor_refuses_before_the_disk_is_full_and_lets_go_when_versions_went() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let test = "the_floor_refuses_before_the_disk_is_full_and_lets_go_when_versions_went";
    let Some(_mounted) = Mounted::new(&data, 64, test) else {
        return;
    };
    let floor = (16 * MIB).to_string();
    let server = Server::start_with(&data, &["--min-free", &floor], &[]);
    let caller = Caller::of(&server);
    assert_eq!(caller.send("PUT", "/v1/full", b"").status, 201);
    let mut record = Record::default();
    // The server looks at the file system twice a second: full is what stays refused for longer than that.
    let mut refused_since: Option<Instant> = None;
    let mut n = 0;
    wait_until(Duration::from_secs(30), "the floor to be reached", || {
        n += 1;
        assert!(record.stored.len() < 40, "the floor is never reached");
        let put = caller.put(&mut record, format!("/v1/full/large{n}"), noise(n, 2 * MIB));
        let Err(code) = put else {
            refused_since = None;
            return false;
        };
        assert_eq!(code, "StorageFull");
        refused_since.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(1)
    });
    // Small ones and new uploads are refused too; deletes are not.
    for (method, target) in [
        ("PUT", "/v1/full/small"),
        ("PUT", "/v1/other"),
        ("POST", "/v1/full/k?multipart=start&part_bytes=5242880"),
        ("POST", "/v1/full/k?copy=%2Ffull%2Flarge1"),
    ] {
        let refused = caller.send(method, target, b"");
        assert_eq!(
            (refused.status, refused.code().as_deref()),
            (507, Some("StorageFull")),
            "{method} {target}"
        );
    }
    caller.has(&record);
    let files = chunk_files(&data).len();
    let mut erased = 0;
    wait_until(Duration::from_mins(1), "writes to go on", || {
        let put = caller.put(&mut record, "/v1/full/again".to_owned(), noise(99, 2 * MIB));
        if put.is_err() && chunk_files(&data).len() + erased <= files && record.stored.len() > 2 {
            // What was erased before is gone from disk: erase another.
            let (target, _) = record.stored.remove(0);
            let head = caller.send("GET", &target, b"");
            let version = head.header("x-wfldb-version").unwrap().to_owned();
            let answer = caller.send("DELETE", &format!("{target}?version={version}"), b"");
            assert_eq!(answer.status, 204);
            erased += 1;
        }
        put.is_ok()
    });
    assert!(erased > 0);
    caller.has(&record);
    is_verified_sound(&server);
    assert!(server.terminate().success());
}

/// INVARIANT 8. A defect it catches: a commit that failed for want of space answered as if it had been done.
#[test]
fn a_disk_that_is_really_full_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let test = "a_disk_that_is_really_full_loses_nothing_that_was_acknowledged";
    let Some(_mounted) = Mounted::new(&data, 48, test) else {
        return;
    };
    let ballast = data.join("ballast");
    fs::write(&ballast, noise(1, 12 * MIB)).unwrap();
    let mut server = Server::start(&data);
    let mut record = Record::default();
    assert_eq!(Caller::of(&server).send("PUT", "/v1/full", b"").status, 201);
    for round in 0..2 {
        let caller = Caller::of(&server);
        let mut full = 0;
        for n in 0.. {
            let target = format!("/v1/full/{round}/large{n}");
            if caller
                .put(&mut record, target, noise(round << 32 | n, MIB))
                .is_err()
            {
                full += 1;
            }
            if full == 3 {
                break;
            }
        }
        caller.has(&record);
        // The chunks that did not fit are gone; small objects take the last pages, until the journal itself cannot grow.
        let mut refused = Vec::new();
        for n in 0..20_000 {
            let target = format!("/v1/full/{round}/small{n}");
            if let Err(code) = caller.put(&mut record, target, noise(round << 32 | n, 30_000)) {
                refused.push(code);
            }
            if refused.len() == 5 {
                break;
            }
        }
        assert_eq!(refused.len(), 5, "the journal never felt it");
        caller.has(&record);
        // Space comes back, the store is opened again, and goes on.
        if ballast.exists() {
            fs::remove_file(&ballast).unwrap();
        } else {
            // What a caller can do: nothing was lost, so let go of something.
            assert_eq!(round, 1);
            server.kill();
            return;
        }
        server.kill();
        server = Server::start(&data);
        let caller = Caller::of(&server);
        caller.has(&record);
        let put = caller.put(&mut record, format!("/v1/full/{round}/after"), noise(7, MIB));
        assert_eq!(put, Ok(()));
        is_verified_sound(&server);
    }
}

/// A defect it catches: the log's library left to report its own failures, which panics in the middle of a request.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wrapper = ["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"];
    let server = Server::start_with(&dir.path().join("data"), &[], &wrapper);
    let caller = Caller::of(&server);
    // Refusals are logged.
    for _ in 0..3 {
        let refused = caller.send("GET", "/v1/none-such", b"");
        assert_eq!(
            (refused.status, refused.code().as_deref()),
            (404, Some("NoSuchBucket"))
        );
    }
    assert_eq!(caller.send("PUT", "/v1/full", b"").status, 201);
    assert_eq!(caller.send("PUT", "/v1/full/k", b"x").status, 201);
    assert!(server.terminate().success());
}

/// The longest file that the server may write from now on.
fn limit_files(server: &Server, bytes: u64) {
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(bytes).filter(|bytes| *bytes < u64::MAX),
        maximum: getrlimit(Resource::Fsize).maximum,
    };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

/// Without a file system of its own: writes behind a place in a file fail. INVARIANT 8.
/// A defect it catches: a failed commit that does not stop writes.
#[test]
fn writes_that_fail_are_told_and_stop_at_the_right_place() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // Such a write fails instead of ending the process.
    let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let server = Server::start_with(&data, &[], &wrapper);
    let mut caller = Caller::of(&server);
    let mut record = Record::default();
    assert_eq!(caller.send("PUT", "/v1/full", b"").status, 201);
    let put = |caller: &Caller, record: &mut Record, name: &str, len| {
        let seed = name.bytes().map(u64::from).sum();
        caller.put(record, format!("/v1/full/{name}"), noise(seed, len))
    };
    for (name, len) in [("small", 1000), ("large", 3 * MIB)] {
        put(&caller, &mut record, name, len).unwrap();
    }
    let files = chunk_files(&data);
    limit_files(&server, MIB as u64);
    // The journal's end is before the limit, a chunk's is not.
    for (name, len) in [("large2", 2 * MIB), ("large3", 9 * MIB)] {
        let refused = put(&caller, &mut record, name, len).unwrap_err();
        let many_chunks = len > 4 * MIB;
        assert!(
            refused == "StorageFull" || (many_chunks && refused == "closed"),
            "{refused}"
        );
    }
    for (name, len) in [("small2", 1000), ("chunk", 500_000)] {
        put(&caller, &mut record, name, len).unwrap();
    }
    caller.has(&record);
    let started = caller.send("POST", "/v1/full/parts?multipart=start&part_bytes=5242880", b"");
    let upload = started.json().get("upload").unwrap().as_str().unwrap().to_owned();
    let part = format!("/v1/full/parts?multipart={upload}&part=1");
    let refused = caller.send("PUT", &part, &noise(3, 2 * MIB));
    assert_eq!(
        (refused.status, refused.code().as_deref()),
        (507, Some("StorageFull"))
    );
    // What was begun is taken back.
    wait_until(Duration::from_secs(20), "half-written chunks to go", || {
        chunk_files(&data).len() == files.len() + 1
    });
    limit_files(&server, u64::MAX);
    put(&caller, &mut record, "large4", 2 * MIB).unwrap();
    is_verified_sound(&server);

    // Now the journal too.
    limit_files(&server, 5000);
    let refused: Vec<_> = (0..3)
        .map(|n| put(&caller, &mut record, &format!("last{n}"), 1000).unwrap_err())
        .collect();
    assert_eq!(refused, ["OutcomeUnknown", "ReadOnly", "ReadOnly"]);
    caller.has(&record);
    let deleted = caller.send("DELETE", "/v1/full/small", b"");
    assert_eq!(
        (deleted.status, deleted.code().as_deref()),
        (503, Some("ReadOnly"))
    );
    // It stays so, whatever the disk says, until the store is opened again.
    limit_files(&server, u64::MAX);
    assert_eq!(put(&caller, &mut record, "later", 10), Err("ReadOnly".to_owned()));
    drop(server);
    let server = Server::start(&data);
    caller = Caller::of(&server);
    caller.has(&record);
    put(&caller, &mut record, "after", 3 * MIB).unwrap();
    is_verified_sound(&server);
    assert!(server.terminate().success());
}
