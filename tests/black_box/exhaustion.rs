//! No descriptors left: what needs one fails with a word, and everything is well again when the load goes.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wfldb_tests::{Answer, Request, Server, is_verified_sound, noise, send_on, wait_until};

const DESCRIPTORS: usize = 120;
const IDLE: usize = 300;

fn open_descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .unwrap()
        .count()
}

/// A connection that the server has accepted.
fn accepted(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(&server.listen).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok") {
        let mut some = [0; 512];
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0);
        answer.extend_from_slice(some.get(..read).unwrap());
    }
    stream
}

/// It succeeded, or says in a word of its own that the server cannot do it now.
fn is_clear(answer: &Answer) -> bool {
    let refused = matches!(answer.status, 500 | 503 | 507);
    answer.is_success() || (refused && answer.code().is_some_and(|code| !code.is_empty()))
}

/// A defect it catches: an accept loop that ends with the first error.
#[test]
fn without_descriptors_requests_fail_clearly_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
    let server = Server::start_with(&data, &[], &["sh", "-c", &limited, "sh"]);
    let profile = server.profile();
    let ask = |method: &str, target: &str, body: &[u8]| Request::signed(&profile, method, target, &[], body);
    let (small, large) = (noise(1, 1000), noise(2, 6_000_000));
    assert_eq!(ask("PUT", "/v1/fds", b"").send(&server.listen).status, 201);
    for (target, body) in [("/v1/fds/small", &small), ("/v1/fds/large", &large)] {
        assert_eq!(ask("PUT", target, body).send(&server.listen).status, 201);
    }
    let mut refused = 0;
    let mut stored = Vec::new();
    for round in 0..3 {
        let waiting: Vec<_> = (0..8).map(|_| accepted(&server)).collect();
        let idle: Vec<_> = (0..IDLE)
            .filter_map(|_| TcpStream::connect(&server.listen).ok())
            .collect();
        wait_until(Duration::from_secs(20), "the last descriptor to be taken", || {
            open_descriptors(&server) >= DESCRIPTORS
        });
        for (n, stream) in waiting.into_iter().enumerate() {
            let target = format!("/v1/fds/{round}-{n}");
            match n % 4 {
                0 | 1 => {
                    let body = if n % 2 == 0 {
                        noise(3, 900)
                    } else {
                        noise(round * 10 + 4, 6_000_000)
                    };
                    let put = send_on(stream, &ask("PUT", &target, &body).bytes()).unwrap();
                    assert!(is_clear(&put), "{put:?}");
                    if put.is_success() {
                        stored.push((target, body));
                    } else {
                        refused += 1;
                    }
                }
                n => {
                    let (target, body) = if n == 2 {
                        ("small", &small)
                    } else {
                        ("large", &large)
                    };
                    let target = format!("/v1/fds/{target}");
                    let got = send_on(stream, &ask("GET", &target, b"").bytes()).unwrap();
                    assert!(is_clear(&got), "{:?}", got.code());
                    if !got.is_success() {
                        refused += 1;
                    } else if got.is_complete() {
                        assert!(got.body == *body, "wrong bytes of {target}");
                    }
                }
            }
        }
        drop(idle);
        let target = format!("/v1/fds/after-{round}");
        let body = noise(round * 10 + 5, 6_000_000);
        wait_until(
            Duration::from_secs(30),
            "the server to take large objects again",
            || {
                let put = ask("PUT", &target, &body).try_send(&server.listen);
                put.is_some_and(|put| put.is_success())
            },
        );
        stored.push((target, body));
    }
    assert!(refused > 0, "the limit was never felt");
    assert!(server.log().contains("could not be accepted"), "{}", server.log());
    is_verified_sound(&server);
    assert!(server.terminate().success());
    let server = Server::start(&data);
    for (target, body) in &stored {
        let got = ask("GET", target, b"").send(&server.listen);
        assert!(got.status == 200 && got.body == *body, "{target}: {}", got.status);
    }
    is_verified_sound(&server);
}
