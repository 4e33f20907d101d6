//! TLS as clients meet it: who is trusted, who is turned away and how they are told, certificates that change.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustls::HandshakeKind;
use wfldb_client::{
    Client, ClientOptions, Endpoint, Error, GetOptions, Pin, PutOptions, TlsFailure, TlsOptions,
};
use wfldb_core::object::BucketConfig;
use wfldb_net::tls::{ALPN_HTTP1, ALPN_HTTP2};
use wfldb_tests::{
    Authority, Request, Server, TlsCaller, Validity, bucket, key, noise, read_answer, send_over, send_raw,
    tls_wire, wait_until, write_pair,
};

const HOST: &str = "127.0.0.1";

fn start(dir: &Path, pair: &wfldb_admin::Certificate, more: &[&str]) -> Server {
    let (cert, key) = write_pair(dir, pair);
    let mut flags = vec![
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    flags.extend(more);
    Server::start_with(&dir.join("data"), &flags, &[])
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// What a write of such a client ends with.
fn refusal(server: &Server, tls: TlsOptions) -> TlsFailure {
    refusal_of(&server.client_with(tls))
}

fn refusal_of(client: &Client) -> TlsFailure {
    let asked = Instant::now();
    let error = block_on(client.put(&bucket("tls"), &key("k"), "v", PutOptions::default())).unwrap_err();
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "a refusal is not tried again"
    );
    match error {
        Error::Tls { failure, .. } => failure,
        other => panic!("{other:?}"),
    }
}

fn is_served(server: &Server, tls: TlsOptions) -> bool {
    block_on(server.client_with(tls).buckets()).is_ok()
}

#[test]
fn objects_go_in_and_out_over_both_versions_of_http() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(dir.path(), &authority.server(HOST, Validity::Now), &[]);
    let made = fs::read_to_string(dir.path().join("data/bootstrap/admin.json")).unwrap();
    assert!(
        made.contains("\"https://127.0.0.1:"),
        "the first profile asks for TLS"
    );

    let large = noise(1, 6_000_000);
    let client = server.client_with(authority.trusted());
    block_on(async {
        client
            .create_bucket(&bucket("tls"), &BucketConfig::default())
            .await
            .unwrap();
        let (bucket, key) = (bucket("tls"), key("large"));
        let put = client.put(&bucket, &key, large.clone(), PutOptions::default());
        put.await.unwrap();
        let got = client.get(&bucket, &key, GetOptions::default()).await.unwrap();
        assert!(got.bytes(10_000_000).await.unwrap() == large);
    });

    let profile = server.profile();
    let ask = |method: &str, target: &str, body: &[u8]| {
        let mut wire = tls_wire(&server.listen, &authority, Some(ALPN_HTTP1)).unwrap();
        let request = Request::signed(&profile, method, target, &[], body);
        send_over(&mut wire, &request.bytes()).unwrap()
    };
    assert_eq!(ask("PUT", "/v1/tls/one", b"over HTTP/1.1").status, 201);
    assert_eq!(ask("GET", "/v1/tls/one", b"").body, b"over HTTP/1.1");
    let got = ask("GET", "/v1/tls/large", b"");
    assert!(got.status == 200 && got.body == large);
    // Without a protocol in the handshake, the first bytes say it.
    let mut unnamed = tls_wire(&server.listen, &authority, None).unwrap();
    let request = Request::signed(&profile, "GET", "/v1/tls/one", &[], b"");
    assert_eq!(send_over(&mut unnamed, &request.bytes()).unwrap().status, 200);
}

/// A defect it catches: guards that look at what is encrypted, and see nothing.
#[test]
fn heads_in_doubt_and_floods_are_seen_inside_of_tls() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(dir.path(), &authority.server(HOST, Validity::Now), &[]);
    let mut wire = tls_wire(&server.listen, &authority, Some(ALPN_HTTP1)).unwrap();
    let smuggling = "POST /v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\
                     GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = send_over(&mut wire, smuggling.as_bytes()).unwrap();
    assert_eq!(
        (answer.status, answer.code().as_deref()),
        (400, Some("TwoLengths"))
    );
    assert_eq!(answer.header("connection"), Some("close"));

    let mut wire = tls_wire(&server.listen, &authority, Some(ALPN_HTTP2)).unwrap();
    wire.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let ping = b"\0\0\x08\x06\0\0\0\0\0abcdefgh".repeat(100);
    let _ = (0..200).take_while(|_| wire.write_all(&ping).is_ok()).count();
    let mut answered = Vec::new();
    let _ = wire.read_to_end(&mut answered);
    let pongs = answered.windows(8).filter(|bytes| bytes == b"abcdefgh").count();
    assert!(pongs <= 1000, "{pongs} of 20,000 pings were answered");
    assert!(is_served(&server, authority.trusted()));
}

/// Defects it catches: a check that is left out; a refusal that is tried again or called an unknown outcome.
#[test]
fn a_server_that_is_not_trusted_is_told_apart_and_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let pair = ours.server(HOST, Validity::Now);
    let server = start(dir.path(), &pair, &[]);
    let (pin, wrong) = (
        Pin::parse(&pair.pin).unwrap(),
        Pin::parse(&"0".repeat(64)).unwrap(),
    );

    assert_eq!(refusal(&server, other.trusted()), TlsFailure::Untrusted);
    assert_eq!(
        refusal(&server, TlsOptions::default().pinning(wrong)),
        TlsFailure::PinMismatch { found: pin }
    );
    assert_eq!(
        refusal(&server, ours.trusted().pinning(wrong)),
        TlsFailure::PinMismatch { found: pin }
    );
    assert_eq!(
        refusal(&server, other.trusted().pinning(pin)),
        TlsFailure::Untrusted
    );
    for trusting in [
        ours.trusted(),
        ours.trusted().pinning(pin),
        TlsOptions::default().pinning(wrong).pinning(pin),
    ] {
        assert!(is_served(&server, trusting));
    }
    // Nothing but handshakes and our own reads arrived.
    assert!(!server.log().contains("\"method\":\"PUT\""), "{}", server.log());
}

#[test]
fn a_certificate_counts_for_its_name_and_its_time_only() {
    let authority = Authority::new();
    for (name, validity, expected) in [
        ("elsewhere.example", Validity::Now, TlsFailure::WrongName),
        (HOST, Validity::Past, TlsFailure::Expired),
        (HOST, Validity::Future, TlsFailure::NotYetValid),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let pair = authority.server(name, validity);
        let server = start(dir.path(), &pair, &[]);
        assert_eq!(refusal(&server, authority.trusted()), expected);
        let pin = Pin::parse(&pair.pin).unwrap();
        assert_eq!(refusal(&server, authority.trusted().pinning(pin)), expected);
        // A pin alone asks for the key, not for what the certificate says.
        assert!(is_served(&server, TlsOptions::default().pinning(pin)));
    }
}

#[test]
fn plaintext_to_a_tls_port_and_tls_to_a_plaintext_port_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(dir.path(), &authority.server(HOST, Validity::Now), &[]);
    let at = |scheme: &str, server: &Server, tls| {
        let mut profile = server.profile();
        profile.endpoint = Endpoint::parse(&format!("{scheme}://{}", server.listen)).unwrap();
        Client::with_options(
            profile,
            ClientOptions {
                tls,
                ..ClientOptions::default()
            },
        )
    };
    assert_eq!(
        refusal_of(&at("http", &server, TlsOptions::default())),
        TlsFailure::SpeaksTls
    );
    let plain = Request::signed(&server.profile(), "GET", "/v1", &[], b"");
    assert!(
        send_raw(&server.listen, &plain.bytes()).is_none(),
        "answered in the clear"
    );
    assert!(is_served(&server, authority.trusted()));

    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    assert_eq!(
        refusal_of(&at("https", &server, authority.trusted())),
        TlsFailure::NotTls
    );
    assert!(block_on(server.client().buckets()).is_ok());
}

/// TLS 1.2 has no version extension; this is its hello as old clients send it.
#[test]
fn tls_1_2_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(dir.path(), &authority.server(HOST, Validity::Now), &[]);
    let extensions = b"\x00\x0d\x00\x04\x00\x02\x04\x03\x00\x0a\x00\x04\x00\x02\x00\x17";
    let mut hello = b"\x03\x03".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\x00\x02\xc0\x2b\x01\x00\x00\x10");
    hello.extend(extensions);
    let mut record = b"\x16\x03\x01\x00".to_vec();
    record.push(u8::try_from(hello.len() + 4).unwrap());
    record.extend(b"\x01\x00\x00");
    record.push(u8::try_from(hello.len()).unwrap());
    record.extend(hello);
    let mut wire = TcpStream::connect(&server.listen).unwrap();
    wire.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    wire.write_all(&record).unwrap();
    let mut alert = Vec::new();
    let _ = wire.read_to_end(&mut alert);
    assert_eq!(
        alert, b"\x15\x03\x03\x00\x02\x02\x46",
        "a fatal alert: protocol_version"
    );
}

/// Defects it catches: connections that are cut by new certificates; a broken pair that takes the port down; new
/// certificates that need a signal.
#[test]
fn new_certificates_are_taken_while_connections_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    let server = start(dir.path(), &old.server(HOST, Validity::Now), &[]);
    let mut open = tls_wire(&server.listen, &old, Some(ALPN_HTTP1)).unwrap();
    let mut still_served = || {
        open.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        read_answer(&mut open).unwrap().status == 200
    };
    assert!(still_served());

    let _ = write_pair(dir.path(), &new.server(HOST, Validity::Now));
    server.hangup();
    wait_until(Duration::from_secs(20), "the new certificate", || {
        tls_wire(&server.listen, &new, Some(ALPN_HTTP1)).is_ok()
    });
    assert_eq!(refusal(&server, old.trusted()), TlsFailure::Untrusted);
    assert!(still_served());

    fs::write(
        dir.path().join("server.key"),
        &*old.server(HOST, Validity::Now).key,
    )
    .unwrap();
    server.hangup();
    wait_until(Duration::from_secs(20), "the broken pair to be noticed", || {
        server
            .log()
            .contains("the private key does not belong to the certificate")
    });
    assert!(is_served(&server, new.trusted()));

    // Nobody tells the server this time.
    let _ = write_pair(dir.path(), &old.server(HOST, Validity::Now));
    wait_until(Duration::from_secs(30), "the files to be looked at", || {
        tls_wire(&server.listen, &old, Some(ALPN_HTTP1)).is_ok()
    });
    assert!(still_served());
    assert!(server.terminate().success());
}

#[test]
fn a_client_certificate_that_is_demanded_is_demanded_of_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let (servers, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let ca = clients.file(dir.path());
    let server = start(
        dir.path(),
        &servers.server(HOST, Validity::Now),
        &["--tls-client-ca", ca.to_str().unwrap()],
    );
    let showing = |shown: &wfldb_admin::Certificate| {
        servers
            .trusted()
            .showing(shown.certificate.as_bytes(), shown.key.as_bytes())
            .unwrap()
    };
    assert!(is_served(&server, showing(&clients.client(Validity::Now))));
    assert_eq!(
        refusal(&server, servers.trusted()),
        TlsFailure::CertificateRequired
    );
    for wrong in [
        others.client(Validity::Now),
        clients.client(Validity::Past),
        clients.client(Validity::Future),
        // Of the right authority, but for servers.
        clients.server("tester", Validity::Now),
    ] {
        let refused = refusal(&server, showing(&wrong));
        assert!(
            matches!(refused, TlsFailure::CertificateRefused(_)),
            "{refused:?}"
        );
    }
    let mut bare = tls_wire(&server.listen, &servers, Some(ALPN_HTTP1)).unwrap();
    let health = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(
        send_over(&mut bare, health).is_none(),
        "served without a certificate"
    );
}

/// A defect it catches: a session from before that is resumed although nobody would let its holder in any more.
#[test]
fn a_session_ends_with_the_authority_that_let_it_in() {
    let dir = tempfile::tempdir().unwrap();
    let (servers, clients) = (Authority::new(), Authority::new());
    let ca = clients.file(dir.path());
    let server = start(
        dir.path(),
        &servers.server(HOST, Validity::Now),
        &["--tls-client-ca", ca.to_str().unwrap()],
    );
    let shown = clients.client(Validity::Now);
    let caller = TlsCaller::new(&servers, Some(ALPN_HTTP1), Some(&shown));
    let ask = || {
        let mut wire = caller.connect(&server.listen).ok()?;
        let health = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let status = send_over(&mut wire, health)?.status;
        Some((status, wire.conn.handshake_kind()))
    };
    assert_eq!(ask(), Some((200, Some(HandshakeKind::Full))));
    assert_eq!(ask(), Some((200, Some(HandshakeKind::Resumed))));
    fs::write(&ca, Authority::new().pem()).unwrap();
    server.hangup();
    wait_until(Duration::from_secs(20), "the other authority", || ask().is_none());
}

/// Defects it catches: a handshake without an end; one address whose hanging handshakes take every turn.
#[test]
fn a_slow_handshake_is_cut_and_holds_up_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = start(
        dir.path(),
        &authority.server(HOST, Validity::Now),
        &["--listen", "0.0.0.0:0"],
    );
    let port = server.listen.rsplit_once(':').unwrap().1;
    let begun = Instant::now();
    // From another address of this machine, more than its turns: some say nothing, some stop in the first record.
    let mut slow: Vec<_> = (0..300)
        .map(|_| connect_from("127.0.0.2", &format!("127.0.0.1:{port}")))
        .collect();
    for stream in slow.iter_mut().step_by(2) {
        stream.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    }
    let asked = Instant::now();
    drop(tls_wire(&format!("127.0.0.1:{port}"), &authority, Some(ALPN_HTTP1)).unwrap());
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "took {:?}",
        asked.elapsed()
    );
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let mut some = [0; 16];
        // An end, with an alert or without, or a reset; never silence.
        while stream.read(&mut some).unwrap_or_else(|error| {
            assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "{error}");
            0
        }) > 0
        {}
    }
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(4) && took < Duration::from_secs(15),
        "{took:?}"
    );
}

fn connect_from(from: &str, to: &str) -> TcpStream {
    let stream = block_on(async {
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

#[test]
fn files_that_cannot_be_used_keep_the_server_from_starting() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (cert, key) = write_pair(dir.path(), &authority.server(HOST, Validity::Now));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let refused = |flags: &[&str]| {
        let started = Server::try_start_with(&dir.path().join("data"), flags, &[]);
        started.map(|_| ()).unwrap_err()
    };
    assert!(refused(&["--tls-cert", cert]).contains("--tls-key"));
    assert!(refused(&["--tls-cert", key, "--tls-key", key]).contains("holds no certificate"));
    assert!(refused(&["--tls-cert", cert, "--tls-key", "/nonexistent"]).contains("/nonexistent"));
    fs::set_permissions(key, fs::Permissions::from_mode(0o604)).unwrap();
    assert!(refused(&["--tls-cert", cert, "--tls-key", key]).contains("chmod"));
    assert!(
        !dir.path().join("data/STORE").exists(),
        "refused before anything was made"
    );
    assert!(refused(&["--listen", "0.0.0.0:0"]).contains("no TLS"));
}

/// The way of the README: an authority and certificates by `wfldb-admin tls`, then the command line.
#[test]
fn the_command_lines_make_and_use_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        std::process::Command::new(wfldb_tests::binary(program))
            .args(arguments)
            .env_remove("WFLDB_TLS_CA")
            .env_remove("WFLDB_TLS_PIN")
            .output()
            .unwrap()
    };
    let files = dir.path().join("tls");
    let file = |name: &str| -> PathBuf { files.join(name) };
    let at = files.to_str().unwrap();
    let admin = |arguments: &[&str]| {
        let output = run("wfldb-admin", &[&["tls", "--dir", at], arguments].concat());
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(!admin(&["server", "--name", HOST]).0, "there is no authority yet");
    assert!(admin(&["ca"]).0);
    assert!(!admin(&["ca"]).0, "an authority is never replaced");
    let (made, words) = admin(&["server", "--name", HOST, "--name", "localhost"]);
    assert!(made);
    let pin = words.trim().rsplit_once(' ').unwrap().1.to_owned();
    assert!(admin(&["client", "--name", "alice"]).0);
    assert!(!admin(&["client", "--name", "ca"]).0 && !admin(&["client", "--name", "../x"]).0);
    for name in ["ca.key", "server.key", "alice.key"] {
        let bits = std::os::unix::fs::MetadataExt::mode(&fs::metadata(file(name)).unwrap());
        assert_eq!(bits & 0o777, 0o600, "{name}");
    }

    let path = |name: &str| file(name).to_str().unwrap().to_owned();
    let (cert, key, ca) = (path("server.pem"), path("server.key"), path("ca.pem"));
    let server = Server::start_with(
        &dir.path().join("data"),
        &["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &ca],
        &[],
    );
    let profile = server.profile_file();
    let profile = profile.to_str().unwrap();
    let (mine, my_key) = (path("alice.pem"), path("alice.key"));
    let shown = [
        "--profile",
        profile,
        "--tls-client-cert",
        &mine,
        "--tls-client-key",
        &my_key,
    ];
    let ls = |more: &[&str]| run("wfldb", &[&shown, more, &["--json", "ls"]].concat());
    assert_eq!(ls(&["--tls-ca", &ca]).status.code(), Some(0));
    assert_eq!(ls(&["--tls-pin", &pin]).status.code(), Some(0));
    let refused = ls(&[]);
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(
        refused.status.code() == Some(8) && words.contains("\"tls\":\"Untrusted\""),
        "{words}"
    );
    let half = run("wfldb", &["--profile", profile, "--tls-client-cert", &mine, "ls"]);
    assert_eq!(half.status.code(), Some(2));
    let verify = [&["verify"][..], &shown, &["--tls-ca", &ca]].concat();
    assert!(run("wfldb-admin", &verify).status.success());

    assert!(!admin(&["server", "--name", HOST]).0 && admin(&["server", "--name", HOST, "--replace"]).0);
    server.hangup();
    wait_until(Duration::from_secs(20), "the new certificate", || {
        ls(&["--tls-pin", &pin]).status.code() == Some(8)
    });
    assert_eq!(ls(&["--tls-ca", &ca]).status.code(), Some(0));
}
