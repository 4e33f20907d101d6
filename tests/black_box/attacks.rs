//! Attacks on connections, mounted over raw sockets. After each the server answers somebody else quickly.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use wfldb_client::Profile;
use wfldb_tests::http2::{END_HEADERS, END_STREAM, Http2, block, frame, kind, request_block};
use wfldb_tests::{Request, Server, noise, read_answer, wait_until};

/// An answer later than this is not quick, on a machine that is busy with tests.
const QUICK: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(20);
/// Memory that an attack may cost.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

struct Target {
    server: Server,
    profile: Profile,
    at_rest_bytes: u64,
    _dir: tempfile::TempDir,
}

impl Target {
    fn new(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start_with(&dir.path().join("data"), flags, &[]);
        let profile = server.profile();
        let target = Self {
            at_rest_bytes: server.resident_bytes(),
            profile,
            server,
            _dir: dir,
        };
        assert_eq!(
            target
                .ask("PUT", "/v1/attacked", b"")
                .send(&target.server.listen)
                .status,
            201
        );
        target
    }

    fn ask(&self, method: &str, target: &str, body: &[u8]) -> Request {
        Request::signed(&self.profile, method, target, &[], body)
    }

    /// A connection that has brought a request: one that never does is closed after a while, attack or not.
    fn attacker(&self) -> Http2 {
        let mut attacker = Http2::connect(&self.server.listen, &[]);
        let health = request_block("GET", "/healthz", &[]);
        assert!(attacker.send(&frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &health)));
        assert!(attacker.wait_for(kind::HEADERS, SOON).is_some());
        attacker
    }

    /// Somebody else is served, at once.
    fn is_well(&self) {
        let asked = Instant::now();
        let answer = self.ask("GET", "/v1/attacked", b"").send(&self.server.listen);
        assert_eq!(answer.status, 200);
        assert!(asked.elapsed() < QUICK, "answered after {:?}", asked.elapsed());
        let grown = self.server.resident_bytes().saturating_sub(self.at_rest_bytes);
        assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");
    }

    /// Sends `piece` up to so often; whether the server ended the connection over it.
    fn ends_over(&self, mut attacker: Http2, times: u32, mut piece: impl FnMut(u32) -> Vec<u8>) -> bool {
        let taken = (0..times).take_while(|n| attacker.send(&piece(*n))).count();
        self.is_well();
        let ended = attacker.ends(SOON);
        assert!(ended || taken == usize::try_from(times).unwrap());
        ended
    }
}

/// A stream of the attacker, from 0; the first of the connection is used already.
fn stream(n: u32) -> u32 {
    2 * n + 3
}

/// CVE-2023-44487. A defect it catches: requests that are begun, and cancelled, without an end.
#[test]
fn rapid_reset() {
    let target = Target::new(&[]);
    let head = request_block("GET", "/healthz", &[]);
    let reset = |n| {
        let mut both = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream(n), &head);
        both.extend(frame(kind::RST_STREAM, 0, stream(n), &[0, 0, 0, 8]));
        both
    };
    assert!(
        target.ends_over(target.attacker(), 20_000, reset),
        "20,000 resets were taken"
    );
}

/// CVE-2025-8671: the client has the server do the resetting, by frames that no open stream may have.
#[test]
fn resets_that_the_server_is_made_to_send() {
    let target = Target::new(&[]);
    let head = request_block("GET", "/healthz", &[]);
    let offend = |n| {
        let mut both = frame(kind::HEADERS, END_HEADERS, stream(n), &head);
        both.extend(frame(kind::WINDOW_UPDATE, 0, stream(n), &[0, 0, 0, 0]));
        both
    };
    assert!(
        target.ends_over(target.attacker(), 20_000, offend),
        "20,000 offences were taken"
    );
}

/// CVE-2024-27316. Defects it catches: a header block that is collected without a bound, or frames that add nothing to
/// it and are taken for ever.
#[test]
fn continuation_flood() {
    let target = Target::new(&[]);
    for (times, piece) in [
        (20_000, block(&[("x-a", &"a".repeat(16_000))])),
        (20_000, block(&[("x-a", "")])),
        (200_000, Vec::new()),
    ] {
        let mut attacker = target.attacker();
        let begun = request_block("GET", "/healthz", &[]);
        assert!(attacker.send(&frame(kind::HEADERS, END_STREAM, stream(0), &begun)));
        let more = |_| frame(kind::CONTINUATION, 0, stream(0), &piece);
        let bytes = piece.len();
        assert!(
            target.ends_over(attacker, times, more),
            "{times} of {bytes} bytes were taken"
        );
    }
}

/// CVE-2019-9512, CVE-2019-9515, and their like: frames that cost an answer or some work each.
#[test]
fn floods_of_control_frames() {
    let target = Target::new(&[]);
    for (name, kind, stream, payload) in [
        ("SETTINGS", kind::SETTINGS, 0, &[][..]),
        ("PING", kind::PING, 0, &[7; 8]),
        ("PRIORITY", kind::PRIORITY, 1, &[0, 0, 0, 3, 7]),
    ] {
        let flood = |_| frame(kind, 0, stream, payload);
        assert!(
            target.ends_over(target.attacker(), 50_000, flood),
            "50,000 {name} were taken"
        );
    }
    // Cheap ones need not end the connection, but must not slow down anybody.
    let update = |_| frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    target.ends_over(target.attacker(), 200_000, update);
}

/// CVE-2019-9518: a body of nothing.
#[test]
fn flood_of_empty_data() {
    let target = Target::new(&[]);
    let mut attacker = target.attacker();
    assert!(attacker.begin(
        stream(0),
        &target.ask("PUT", "/v1/attacked/k", &noise(1, 1000)),
        0
    ));
    target.ends_over(attacker, 200_000, |_| frame(kind::DATA, 0, stream(0), &[]));
    let stored = target
        .ask("GET", "/v1/attacked/k", b"")
        .send(&target.server.listen);
    assert_eq!(stored.status, 404);
}

/// A defect it catches: streams beyond the limit that are queued, each with its head in memory.
#[test]
fn more_streams_than_allowed() {
    let target = Target::new(&[]);
    let mut attacker = target.attacker();
    // Each waits for a body that does not come.
    for n in 0..200 {
        assert!(attacker.begin(stream(n), &target.ask("PUT", "/v1/attacked/k", b"body"), 0));
    }
    let reset = attacker.wait_for(kind::RST_STREAM, SOON);
    assert_eq!(reset.as_deref(), Some(&[0, 0, 0, 7][..]), "REFUSED_STREAM");
    target.is_well();
}

/// A defect it catches: one address that takes every connection there is.
#[test]
fn an_address_has_a_share_of_the_connections() {
    let target = Target::new(&[
        "--listen",
        "0.0.0.0:0",
        "--danger-plaintext",
        "--connections-per-address",
        "8",
    ]);
    let port = target.server.listen.rsplit_once(':').unwrap().1.to_owned();
    let is_served = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        asked.is_ok() && read_answer(stream).is_some_and(|answer| answer.status == 200)
    };
    let from = |address: &str| connect_from(address, &format!("127.0.0.1:{port}"));
    let mut held: Vec<_> = (0..8).map(|_| from("127.0.0.2")).collect();
    assert!(held.iter_mut().all(is_served));
    assert!(!is_served(&mut from("127.0.0.2")), "a ninth connection was taken");
    assert!(
        is_served(&mut from("127.0.0.3")),
        "another address has its own share"
    );
    let refused = metric(
        &target.server,
        "wfldb_connections_refused_total{limit=\"address\"}",
    );
    assert_eq!(refused, Some(1));
    held.pop();
    wait_until(SOON, "the place to be free again", || {
        is_served(&mut from("127.0.0.2"))
    });
    assert!(held.iter_mut().all(is_served));
}

fn connect_from(from: &str, to: &str) -> TcpStream {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket
            .connect(to.parse().unwrap())
            .await
            .unwrap()
            .into_std()
            .unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

fn metric(server: &Server, name: &str) -> Option<u64> {
    let answer = wfldb_tests::send_raw(
        &server.metrics,
        b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )?;
    let text = String::from_utf8(answer.body).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Sends `bytes` one by one, two a second, until the server has enough of it: what it said, and after what time.
fn drip(mut stream: TcpStream, bytes: impl Iterator<Item = u8>) -> (Vec<u8>, Duration) {
    let begun = Instant::now();
    let mut said = Vec::new();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    for byte in bytes {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        let mut some = [0; 1024];
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(read) => said.extend_from_slice(some.get(..read).unwrap()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "the server still waits"
        );
    }
    (said, begun.elapsed())
}

fn between(least: u64, most: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "seconds of a test")]
    let fits = seconds >= least as f64 && seconds <= most as f64;
    assert!(fits, "{seconds} s, not {least} to {most}");
}

/// Each of them holds something of the server's for as long as it is let. A defect it catches: waiting for any of them
/// without an end.
#[test]
fn the_slow_are_cut_off() {
    let target = Target::new(&[]);
    let large = noise(1, 24 << 20);
    assert_eq!(
        target
            .ask("PUT", "/v1/attacked/large", &large)
            .send(&target.server.listen)
            .status,
        201
    );
    let address = target.server.listen.as_str();
    let connect = || TcpStream::connect(address).unwrap();
    let head = || {
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: "
            .iter()
            .copied()
            .chain(std::iter::repeat(b'a'))
    };
    std::thread::scope(|scope| {
        let runs = [
            // Slowloris: a head that does not end, of the first request and of the second.
            scope.spawn(|| between(9, 20, drip(connect(), head()).1)),
            scope.spawn(|| {
                let mut stream = connect();
                stream
                    .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                    .unwrap();
                assert_eq!(read_answer(&mut stream).unwrap().status, 200);
                between(25, 45, drip(stream, head()).1);
            }),
            // HTTP/2 that never gets to a request.
            scope.spawn(|| {
                let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
                between(9, 20, drip(connect(), preface.iter().copied().cycle()).1);
            }),
            scope.spawn(|| {
                let begun = Instant::now();
                let mut attacker = Http2::connect(address, &[]);
                attacker.send(&frame(
                    kind::HEADERS,
                    0,
                    1,
                    &request_block("GET", "/healthz", &[]),
                ));
                assert!(attacker.ends(Duration::from_mins(1)));
                between(9, 20, begun.elapsed());
            }),
            // A slow sender.
            scope.spawn(|| {
                let body = noise(2, 100_000);
                let bytes = target.ask("PUT", "/v1/attacked/slow", &body).bytes();
                let mut stream = connect();
                let (first, rest) = bytes.split_at(bytes.len() - body.len());
                stream.write_all(first).unwrap();
                let (said, took) = drip(stream, rest.iter().copied());
                let said = String::from_utf8_lossy(&said);
                assert!(said.contains(" 408 ") && said.contains("BodyTimeout"), "{said}");
                between(25, 45, took);
            }),
            // A slow reader: the object never comes whole, however long it is read from then on.
            scope.spawn(|| {
                let mut stream = connect();
                stream
                    .write_all(&target.ask("GET", "/v1/attacked/large", b"").bytes())
                    .unwrap();
                std::thread::park_timeout(Duration::from_secs(50));
                let mut received = Vec::new();
                stream.set_read_timeout(Some(SOON)).unwrap();
                let ended = stream.read_to_end(&mut received);
                let waiting = ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
                assert!(
                    !waiting && received.len() < large.len(),
                    "{} bytes",
                    received.len()
                );
            }),
            // Readers that give no window: for an object, and for an answer that needs no key.
            scope.spawn(|| windowless(&target, &target.ask("GET", "/v1/attacked/large", b""))),
            scope.spawn(|| {
                let mut health = target.ask("GET", "/v1", b"");
                health.headers.clear();
                "/healthz".clone_into(&mut health.target);
                windowless(&target, &health);
            }),
        ];
        while runs.iter().any(|run| !run.is_finished()) {
            target.is_well();
            std::thread::park_timeout(Duration::from_millis(500));
        }
    });
    target.is_well();
    let slow = target.ask("GET", "/v1/attacked/slow", b"").send(address);
    assert_eq!(slow.status, 404);
}

/// A reader over HTTP/2 that takes the head of an answer and nothing of its body, and answers every PING.
fn windowless(target: &Target, request: &Request) {
    let begun = Instant::now();
    let initial_window_size_0 = [0, 4, 0, 0, 0, 0];
    let mut attacker = Http2::connect(&target.server.listen, &initial_window_size_0);
    assert!(attacker.begin(1, request, END_STREAM));
    assert!(attacker.wait_for(kind::HEADERS, SOON).is_some());
    assert!(
        attacker.ends(Duration::from_secs(90)),
        "the answer is still held for its reader"
    );
    between(60, 90, begun.elapsed());
}
