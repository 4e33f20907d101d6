//! Clients that go away in the middle of a body: afterwards it is as if they had never been.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use wfldb_client::Profile;
use wfldb_tests::{Request, Server, chunk_files, is_verified_sound, noise, wait_until};

const CUTS: u64 = 40;
const PART: usize = 5 << 20;

fn usage(server: &Server, profile: &Profile) -> serde_json::Value {
    let answer = Request::signed(profile, "GET", "/v1/cut", &[], b"").send(&server.listen);
    assert_eq!(answer.status, 200);
    answer.json().get("usage").unwrap().clone()
}

/// Sends the first `len` bytes of the request and goes away, without reading anything.
fn cut(server: &Server, request: &Request, len: usize) {
    let bytes = request.bytes();
    assert!(len < bytes.len());
    let mut stream = TcpStream::connect(&server.listen).unwrap();
    // The server may close first.
    let _ = stream.write_all(bytes.get(..len).unwrap());
}

/// A defect it catches: a chunk that lost its last pin left on disk; the pins of a body that was cut kept for ever.
#[test]
fn bodies_that_are_cut_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let profile = server.profile();
    let ask = |method: &str, target: &str, body: &[u8]| Request::signed(&profile, method, target, &[], body);
    let send = |method: &str, target: &str, body: &[u8]| ask(method, target, body).send(&server.listen);
    assert_eq!(send("PUT", "/v1/cut", b"").status, 201);
    let kept = noise(1, 9_000_000);
    assert_eq!(send("PUT", "/v1/cut/kept", &kept).status, 201);
    let started = send(
        "POST",
        &format!("/v1/cut/parts?multipart=start&part_bytes={PART}"),
        b"",
    );
    let upload = started.json().get("upload").unwrap().as_str().unwrap().to_owned();
    let part = |number: u64| format!("/v1/cut/parts?multipart={upload}&part={number}");
    let whole_part = noise(2, PART);
    assert_eq!(send("PUT", &part(1), &whole_part).status, 200);
    // Freed chunks of the requests before are gone.
    let (before, files) = (usage(&server, &profile), chunk_files(&data));

    for n in 0..CUTS {
        let len = match n % 4 {
            // Small bodies stay in memory, larger ones are one or several chunks.
            0 => 40_000,
            1 => 300_000,
            2 => 4 << 20,
            _ => 9_000_000,
        };
        // Every few the bytes of what is there already: its chunks are pinned and named at once.
        let body = if n % 8 == 7 {
            kept.clone()
        } else {
            noise(100 + n, len)
        };
        let request = ask("PUT", &format!("/v1/cut/new{n}"), &body);
        let head = request.bytes().len() - body.len();
        let place = usize::try_from(u64::from_le_bytes(*noise(n, 8).first_chunk().unwrap())).unwrap();
        // One in five at the very last byte.
        let cut_at = if n % 5 == 4 {
            body.len() - 1
        } else {
            place % body.len()
        };
        cut(&server, &request, head + cut_at);
        // A part, and the replacement of a part.
        let body = if n % 8 == 3 {
            whole_part.clone()
        } else {
            noise(200 + n, PART)
        };
        let request = ask("PUT", &part(1 + n % 3), &body);
        cut(&server, &request, head + cut_at % body.len());
    }
    wait_until(Duration::from_secs(30), "the chunks of cut bodies to go", || {
        chunk_files(&data) == files
    });
    assert_eq!(usage(&server, &profile), before);
    let got = send("GET", "/v1/cut/kept", b"");
    assert!(got.status == 200 && got.body == kept);
    let listed = send("GET", &format!("/v1/cut/parts?multipart={upload}"), b"").json();
    let listed = listed.get("parts").unwrap().as_array().unwrap();
    assert_eq!(listed.len(), 1);
    let etag = listed.first().unwrap().get("etag").unwrap().as_str().unwrap();
    let list = format!(r#"[{{"part":1,"etag":"{etag}"}}]"#);
    let completed = send(
        "POST",
        &format!("/v1/cut/parts?multipart={upload}"),
        list.as_bytes(),
    );
    assert_eq!(completed.status, 201);
    let got = send("GET", "/v1/cut/parts", b"");
    assert!(got.status == 200 && got.body == whole_part);
    is_verified_sound(&server);
    assert!(server.terminate().success());
}
