//! Files that rot while or before the server runs: a read fails cleanly or is right, and all else goes on.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use wfldb_client::{GetOptions, Profile};
use wfldb_tests::{
    Answer, Request, Server, bucket, chunk_files, copy_dir, files, is_verified_sound, key, noise,
};

fn send(server: &Server, profile: &Profile, method: &str, target: &str, body: &[u8]) -> Answer {
    Request::signed(profile, method, target, &[], body).send(&server.listen)
}

/// The right bytes, a refusal with a word, or an answer that visibly breaks off, right as far as it goes.
#[track_caller]
fn is_right_or_fails(got: &Answer, body: &[u8], about: &str) -> bool {
    match got.status {
        200 if got.is_complete() => assert!(got.body == body, "{about}: a wrong byte"),
        200 => assert!(body.starts_with(&got.body), "{about}: a wrong byte"),
        500 => assert!(
            matches!(got.code().as_deref(), Some("Corrupt" | "ReadFailed")),
            "{about}: {:?}",
            got.code()
        ),
        status => panic!("{about}: {status}"),
    }
    got.status == 200 && got.is_complete()
}

/// INVARIANT 3. A defect it catches: a group of a chunk sent before it was compared with its value.
#[test]
fn a_damaged_or_missing_chunk_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let profile = server.profile();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = server.client();
    assert_eq!(send(&server, &profile, "PUT", "/v1/rot", b"").status, 201);
    let raw = noise(1, 10_000_000);
    let packed: Vec<u8> = noise(2, 1000).repeat(9_000);
    let other = noise(3, 5_000_000);
    assert_eq!(
        send(&server, &profile, "PUT", "/v1/rot/other", &other).status,
        201
    );
    let others = chunk_files(&data);
    for (name, body) in [("raw", &raw), ("packed", &packed)] {
        let before = chunk_files(&data);
        let target = format!("/v1/rot/{name}");
        assert_eq!(send(&server, &profile, "PUT", &target, body).status, 201);
        let chunks: Vec<PathBuf> = chunk_files(&data)
            .into_keys()
            .filter(|path| !before.contains_key(path))
            .collect();
        assert_eq!(chunks.len(), 3, "{name}");
        let mut failed = 0;
        for (n, path) in chunks.iter().cycle().take(30).enumerate() {
            let good = fs::read(path).unwrap();
            let at = usize::try_from(u64::from_le_bytes(*noise(n as u64, 8).first_chunk().unwrap())).unwrap();
            let at = at % good.len();
            match n % 10 {
                0 => fs::remove_file(path).unwrap(),
                1 => fs::write(path, good.get(..at).unwrap()).unwrap(),
                2 => fs::write(path, b"").unwrap(),
                // Another chunk's file under this name.
                3 => fs::write(path, fs::read(others.keys().next().unwrap()).unwrap()).unwrap(),
                // In place, under whatever the server has open.
                n => {
                    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                    let bit = 1 << (n % 8);
                    file.write_all_at(&[good.get(at).unwrap() ^ bit], at as u64)
                        .unwrap();
                }
            }
            let about = format!("{name}, case {n}, at {at}");
            let got = send(&server, &profile, "GET", &target, b"");
            if !is_right_or_fails(&got, body, &about) {
                failed += 1;
            }
            // The same over HTTP/2: the client compares nothing here that the server did not promise.
            let over_two = runtime.block_on(async {
                let object = client
                    .get(&bucket("rot"), &key(name), GetOptions::default())
                    .await
                    .ok()?;
                object.bytes(20_000_000).await.ok()
            });
            assert!(over_two.is_none_or(|bytes| bytes == *body), "{about}");
            let got = send(&server, &profile, "GET", "/v1/rot/other", b"");
            assert!(got.status == 200 && got.body == other, "{about}");
            // Storing the same bytes again under another key never takes the damaged file for them.
            if n % 10 == 7 {
                let twice = format!("/v1/rot/{name}-{n}");
                assert_eq!(send(&server, &profile, "PUT", &twice, body).status, 201);
                let got = send(&server, &profile, "GET", &twice, b"");
                assert!(got.status == 200 && got.body == *body, "{about}: {}", got.status);
            }
            fs::write(path, &good).unwrap();
        }
        assert!(failed >= 25, "{name}: {failed} of 30 were felt");
        let got = send(&server, &profile, "GET", &target, b"");
        assert!(got.status == 200 && got.body == *body);
    }
    is_verified_sound(&server);
}

/// Files of the storage by kind.
fn of_kind(data: &Path, kind: &str) -> Vec<PathBuf> {
    let all = files(&data.join("db")).into_iter();
    all.filter(|(path, len)| *len > 0 && path.to_str().unwrap().contains(kind))
        .map(|(path, _)| path)
        .collect()
}

/// Damage in what the storage keeps: the server does not start and says why, is read-only, or has everything.
#[test]
fn a_damaged_storage_never_gives_wrong_answers() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let profile = server.profile();
    assert_eq!(send(&server, &profile, "PUT", "/v1/rot", b"").status, 201);
    let body = |n: u64| noise(n, if n.is_multiple_of(3) { 30_000 } else { 100 });
    let put = |server: &Server, profile: &Profile, n: u64| {
        let put = send(server, profile, "PUT", &format!("/v1/rot/k{n}"), &body(n));
        assert_eq!(put.status, 201);
    };
    (0..30).for_each(|n| put(&server, &profile, n));
    let compacted = send(&server, &profile, "POST", "/v1/_admin", br#"{"do":"compact"}"#);
    assert_eq!(compacted.status, 200);
    (30..40).for_each(|n| put(&server, &profile, n));
    assert!(server.terminate().success());

    let mut named = 0;
    for kind in ["/tables/", "/blobs/", ".jnl"] {
        let paths = of_kind(&data, kind);
        assert!(!paths.is_empty(), "no file of kind {kind}");
        for case in 0..5u64 {
            let copy = dir.path().join(format!("{}{case}", kind.replace(['/', '.'], "")));
            copy_dir(&data, &copy);
            let random = |n: u64| {
                usize::try_from(u64::from_le_bytes(*noise(case * 7 + n, 8).first_chunk().unwrap())).unwrap()
            };
            let path = paths.get(random(1) % paths.len()).unwrap();
            let path = copy.join(path.strip_prefix(&data).unwrap());
            let mut bytes = fs::read(&path).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            if case == 0 {
                fs::write(&path, bytes.get(..used / 2).unwrap()).unwrap();
            } else {
                *bytes.get_mut(random(2) % used).unwrap() ^= 0x10;
                fs::write(&path, &bytes).unwrap();
            }
            let about = format!("{kind}, case {case}");
            let server = match Server::try_start_with(&copy, &[], &[]) {
                Ok(server) => server,
                Err(log) => {
                    assert!(!log.contains("panicked"), "{about}: {log}");
                    assert!(
                        log.to_lowercase().contains("damaged") || log.contains("does not open"),
                        "{about}: {log}"
                    );
                    named += 1;
                    continue;
                }
            };
            let profile = server.profile();
            let read_only = server.log().contains("read-only");
            // SECURITY: whoever cannot tell what is revoked lets nobody in.
            if server.log().contains("every request is refused") {
                let got = send(&server, &profile, "GET", "/v1/rot/k0", b"");
                assert_eq!((got.status, read_only), (401, true), "{about}");
                named += 1;
                continue;
            }
            let mut wrong = 0;
            for n in 0..40 {
                let mut got = send(&server, &profile, "GET", &format!("/v1/rot/k{n}"), b"");
                wfldb_tests::wait_until(
                    std::time::Duration::from_secs(15),
                    "the replay mark to pass",
                    || {
                        if got.status == 401 {
                            got = send(&server, &profile, "GET", &format!("/v1/rot/k{n}"), b"");
                        }
                        got.status != 401
                    },
                );
                match got.status {
                    // What the storage lost is lost in a store that says so.
                    404 => assert!(read_only, "{about}: k{n} is not there"),
                    _ => {
                        is_right_or_fails(&got, &body(n), &format!("{about}, k{n}"));
                    }
                }
                wrong += u32::from(got.status != 200);
            }
            named += u32::from(read_only || wrong > 0);
        }
    }
    assert!(
        named >= 5,
        "most damage is in something that matters, here {named} of 15"
    );
}
