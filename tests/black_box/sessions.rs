//! Sessions between the running server and the SDK, across restarts.

use std::fs;

use wfldb_client::{Client, GetOptions, Profile, PutOptions};
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Proxy, Server, bucket, key};

async fn read(client: &Client, expected: &str) {
    let (place, name) = (bucket("photos"), key("cat"));
    let object = client.get(&place, &name, GetOptions::default()).await.unwrap();
    assert_eq!(object.bytes(100).await.unwrap(), expected);
}

/// Defects it catches: a refused session handed to the caller; a client that goes on signing after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_on_through_restarts_and_reads_are_small() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    let proxy = Proxy::start(&server.listen);
    let profile = |server: &Server| {
        let text = server.profile().to_text().unwrap();
        Profile::parse(&text.replace(&server.listen, &proxy.listen)).unwrap()
    };
    let client = Client::from_profile(profile(&server));
    let place = bucket("photos");
    client
        .create_bucket(&place, &BucketConfig::default())
        .await
        .unwrap();
    client
        .put(&place, &key("cat"), "meow", PutOptions::default())
        .await
        .unwrap();
    let bytes_of_100 = async |client: &Client| {
        for _ in 0..3 {
            read(client, "meow").await;
        }
        let before = proxy.sent();
        for _ in 0..100 {
            read(client, "meow").await;
        }
        proxy.sent() - before
    };
    let with_session = bytes_of_100(&client).await;
    let signing = wfldb_client::ClientOptions {
        sessions: false,
        ..Default::default()
    };
    let signed = bytes_of_100(&Client::with_options(profile(&server), signing)).await;
    println!("100 reads send {with_session} bytes over a session, {signed} signed");
    assert!(
        with_session * 2 < signed,
        "{with_session} against {signed}: no session was used"
    );

    let node = fs::read(data.join("keys/node.key")).unwrap();
    for _ in 0..2 {
        server.kill();
        server = Server::start(&data);
        proxy.retarget(&server.listen);
        proxy.cut();
        let again = bytes_of_100(&client).await;
        assert!(
            again * 2 < signed,
            "{again} against {signed}: no new session was opened"
        );
    }
    assert_eq!(fs::read(data.join("keys/node.key")).unwrap(), node);

    let strict = BucketConfig {
        require_signature: true,
        ..BucketConfig::default()
    };
    client.create_bucket(&place, &strict).await.unwrap();
    for _ in 0..5 {
        read(&client, "meow").await;
    }
    let log = server.log();
    let secret = String::from_utf8(node).unwrap();
    assert!(!log.contains(secret.trim()) && !log.contains("WFLDB-B3MAC-1"));
}
