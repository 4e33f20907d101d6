//! Bad input over both HTTP versions: the right problem, nothing stored, the server stays up.

use wfldb_client::PutOptions;
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Answer, Request, Server, bucket, key, send_raw};

struct Case {
    what: &'static str,
    request: Request,
    status: u16,
    code: Option<&'static str>,
}

#[expect(clippy::too_many_lines, reason = "a table, one line a case")]
fn cases(server: &Server) -> Vec<Case> {
    let profile = server.profile();
    let signed = |method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]| {
        Request::signed(&profile, method, target, headers, body)
    };
    let put = || signed("PUT", "/v1/bad/k", &[], b"body");
    let change = |mut request: Request, change: &dyn Fn(&mut Request)| {
        change(&mut request);
        request
    };
    let header = |name: &'static str, value: &str| {
        let value = value.to_owned();
        change(put(), &move |request: &mut Request| {
            for (found, old) in &mut request.headers {
                if found.eq_ignore_ascii_case(name) {
                    old.clone_from(&value);
                }
            }
        })
    };
    let long_key = format!("/v1/bad/{}", "k".repeat(1025));
    let case = |what, request, status, code| Case {
        what,
        request,
        status,
        code,
    };
    vec![
        case(
            "no signature at all",
            change(put(), &|r| r.headers.clear()),
            401,
            Some("Unauthenticated"),
        ),
        case(
            "a body that was changed",
            change(put(), &|r| r.body = b"b0dy".to_vec()),
            400,
            Some("HashMismatch"),
        ),
        case(
            "a longer body",
            change(put(), &|r| r.body = b"body and more".to_vec()),
            400,
            None,
        ),
        case(
            "a method that was changed",
            change(put(), &|r| "POST".clone_into(&mut r.method)),
            405,
            None,
        ),
        case(
            "a path that was changed",
            change(put(), &|r| "/v1/bad/other".clone_into(&mut r.target)),
            401,
            None,
        ),
        case(
            "a malformed nonce",
            header("x-wfldb-nonce", "short"),
            400,
            Some("NotCanonical"),
        ),
        case(
            "a malformed time",
            header("x-wfldb-timestamp", "yesterday"),
            400,
            Some("NotCanonical"),
        ),
        case(
            "a malformed signature",
            header("x-wfldb-signature", "AAAA"),
            400,
            Some("NotCanonical"),
        ),
        case(
            "a malformed packet",
            header("authorization", "Bearer a.b.c"),
            401,
            Some("Unauthenticated"),
        ),
        case(
            "an oversized packet",
            header("authorization", &format!("Bearer {}", "a".repeat(12_289))),
            401,
            None,
        ),
        case(
            "an unsigned header",
            change(put(), &|r| r.headers.push(("x-wfldb-meta-a".into(), "1".into()))),
            400,
            Some("UnsignedHeader"),
        ),
        case(
            "a reserved key",
            signed("PUT", "/v1/bad/_find", &[], b"x"),
            400,
            None,
        ),
        case(
            "a key that is too long",
            signed("PUT", &long_key, &[], b"x"),
            400,
            None,
        ),
        case(
            "a path that is not canonical",
            change(put(), &|r| "/v1/bad/a%2fb".clone_into(&mut r.target)),
            400,
            Some("NotCanonical"),
        ),
        case(
            "a bucket name that cannot be",
            signed("PUT", "/v1/No", &[], b""),
            400,
            None,
        ),
        case("an unknown route", signed("GET", "/v2/bad", &[], b""), 404, None),
        case(
            "an unknown parameter",
            signed("GET", "/v1/bad/scan?colour=blue", &[], b""),
            400,
            Some("BadParameter"),
        ),
        case(
            "a limit out of range",
            signed("GET", "/v1/bad/scan?limit=1001", &[], b""),
            400,
            Some("BadParameter"),
        ),
        case(
            "a limit with a leading zero",
            signed("GET", "/v1/bad/scan?limit=01", &[], b""),
            400,
            Some("BadParameter"),
        ),
        case(
            "a method that is not there",
            signed("POST", "/v1/bad", &[], b""),
            405,
            None,
        ),
        case(
            "a condition in a list",
            signed("PUT", "/v1/bad/k", &[("if-match", "\"a\", \"b\"")], b"x"),
            400,
            None,
        ),
        case(
            "a configuration that is not JSON",
            signed("PUT", "/v1/other", &[("content-type", "application/json")], b"{"),
            400,
            None,
        ),
        case(
            "an unknown setting",
            signed(
                "PUT",
                "/v1/other",
                &[("content-type", "application/json")],
                b"{\"colour\":1}",
            ),
            400,
            None,
        ),
        case(
            "a tile in another spelling",
            signed("GET", "/v1/_audit/tile/00/000", &[], b""),
            404,
            Some("NoSuchRoute"),
        ),
        case(
            "a tile that is not there",
            signed("GET", "/v1/_audit/tile/7/000", &[], b""),
            404,
            Some("OutsideTree"),
        ),
        case(
            "a receipt of no version",
            signed("GET", "/v1/_audit/receipt", &[], b""),
            400,
            Some("BadParameter"),
        ),
        case(
            "a ttl of nothing",
            signed("PUT", "/v1/bad/k", &[("x-wfldb-ttl", "0")], b"x"),
            400,
            Some("BadTtl"),
        ),
        case(
            "an encoded body",
            change(put(), &|r| {
                r.headers.push(("content-encoding".into(), "gzip".into()));
            }),
            415,
            None,
        ),
        case(
            "a bucket that is not there",
            signed("GET", "/v1/absent/k", &[], b""),
            404,
            Some("NoSuchBucket"),
        ),
        case(
            "a key that is not there",
            signed("GET", "/v1/bad/absent", &[], b""),
            404,
            Some("NoSuchKey"),
        ),
    ]
}

/// What is wrong with the answer to a case.
fn faults(case: &Case, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    if answer.status != case.status {
        faults.push(format!("status {} instead of {}", answer.status, case.status));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        faults.push("no problem+json".to_owned());
    }
    let code = answer.code();
    if code.is_none()
        || case
            .code
            .is_some_and(|expected| code.as_deref() != Some(expected))
    {
        faults.push(format!("code {code:?} instead of {:?}", case.code));
    }
    if answer.header("x-wfldb-request-id").is_none() {
        faults.push("no request id".to_owned());
    }
    faults
}

#[test]
fn bad_input_gets_the_right_problem_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(&dir.path().join("data"), &[], &[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = server.client();
    runtime.block_on(async {
        client
            .create_bucket(&bucket("bad"), &BucketConfig::default())
            .await
            .unwrap();
    });
    let mut wrong = Vec::new();
    for case in cases(&server) {
        let answer = case.request.send(&server.listen);
        for fault in faults(&case, &answer) {
            wrong.push(format!(
                "{}: {fault}: {}",
                case.what,
                String::from_utf8_lossy(&answer.body)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let usage = runtime.block_on(async { client.bucket(&bucket("bad")).await.unwrap().usage.unwrap() });
    assert_eq!((usage.objects, usage.versions), (0, 0), "nothing was stored");
    let buckets = runtime.block_on(async { client.buckets().await.unwrap() });
    assert_eq!(buckets.len(), 1);
}

#[test]
fn heads_that_are_no_requests_are_refused_and_the_server_stays_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let many: String = ["x-a: 1\r\n"; 70].concat();
    let long = "a".repeat(30_000);
    let path = "p".repeat(9_000);
    let heads = [
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), vec![400, 505]),
        ("GET http://x/v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), vec![400]),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), vec![400, 405]),
        (format!("GET /v1 HTTP/1.1\r\nhost: x\r\n{many}connection: close\r\n\r\n"), vec![431]),
        (format!("GET /v1 HTTP/1.1\r\nhost: x\r\nx-a: {long}\r\nconnection: close\r\n\r\n"), vec![431]),
        (format!("GET /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), vec![414]),
        ("PUT /v1/b HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), vec![400]),
        ("nonsense\r\n\r\n".to_owned(), vec![400]),
    ];
    for (head, statuses) in heads {
        let shown = head.get(..60).unwrap_or(&head);
        match send_raw(&server.listen, head.as_bytes()) {
            Some(answer) => assert!(statuses.contains(&answer.status), "{shown}: {}", answer.status),
            None => panic!("{shown}: no answer"),
        }
    }
    let profile = server.profile();
    assert_eq!(
        Request::signed(&profile, "GET", "/v1", &[], b"")
            .send(&server.listen)
            .status,
        200
    );
}

/// The same client calls over HTTP/2, where the SDK has no way to send what is malformed.
#[test]
fn refusals_over_http_2_are_typed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = server.client();
        let refused = client
            .put(&bucket("absent"), &key("k"), "v", PutOptions::default())
            .await
            .unwrap_err();
        assert_eq!(
            (refused.status(), refused.code()),
            (Some(404), Some("NoSuchBucket"))
        );
        client
            .create_bucket(&bucket("bad"), &BucketConfig::default())
            .await
            .unwrap();
        let refused = client
            .put(&bucket("bad"), &key("_find"), "v", PutOptions::default())
            .await
            .unwrap_err();
        assert_eq!(
            (refused.status(), refused.code()),
            (Some(400), Some("ReservedKey"))
        );
        let refused = client.delete_bucket(&bucket("absent"), false).await.unwrap_err();
        assert!(refused.is_not_found());
    });
}

/// A defect it catches: a floor that is looked at only when the disk refuses.
#[test]
fn below_the_free_space_floor_nothing_is_stored_and_deletes_go_through() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let profile = server.profile();
    let signed = |method, target, body: &[u8]| Request::signed(&profile, method, target, &[], body);
    assert_eq!(signed("PUT", "/v1/floor", b"").send(&server.listen).status, 201);
    assert_eq!(
        signed("PUT", "/v1/floor/k", b"v").send(&server.listen).status,
        201
    );
    assert!(server.terminate().success());
    let server = Server::start_with(&data, &["--min-free", "1000000000000000"], &[]);
    let large = vec![1; 100_000];
    for body in [b"w".as_slice(), &large] {
        let full = signed("PUT", "/v1/floor/new", body).send(&server.listen);
        assert_eq!((full.status, full.code().as_deref()), (507, Some("StorageFull")));
    }
    assert_eq!(signed("GET", "/v1/floor/k", b"").send(&server.listen).status, 200);
    assert_eq!(
        signed("DELETE", "/v1/floor/k", b"").send(&server.listen).status,
        204
    );
    assert_eq!(
        signed("GET", "/v1/floor/new", b"").send(&server.listen).status,
        404
    );
}
