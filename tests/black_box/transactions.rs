//! Transactions of the SDK against the running server: closures that run into each other, and a server that dies.

use wfldb_client::{Client, Error, GetOptions, PutOptions, Steps};
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Server, bucket, key};

async fn number(client: &Client, place: &str) -> i64 {
    let object = client
        .get(&bucket(place), &key("n"), GetOptions::default())
        .await
        .unwrap();
    let bytes = object.bytes(100).await.unwrap();
    std::str::from_utf8(&bytes).unwrap().parse().unwrap()
}

/// Each moves one from one bucket to the other.
async fn moves(client: &Client, times: u32) -> Result<(), Error> {
    let (from, to, name) = (&bucket("from"), &bucket("goal"), &key("n"));
    for _ in 0..times {
        client
            .transaction(|tx| {
                Steps::new(async move {
                    for (place, by) in [(from, -1), (to, 1)] {
                        let found = tx.get(place, name).await?.unwrap_or_default();
                        let number: i64 = String::from_utf8_lossy(&found).parse().unwrap_or(0);
                        tx.put(place, name, (number + by).to_string()).await?;
                    }
                    Ok(())
                })
            })
            .await?;
    }
    Ok(())
}

/// Defects it catches: a closure that is not run again; one that is run again after a commit that nobody answered; half a
/// transaction after `kill -9`; a lock that outlives a transaction that was dropped.
#[tokio::test(flavor = "multi_thread")]
async fn closures_lose_no_update_and_a_crash_leaves_whole_transactions() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    let client = server.client();
    for (place, start) in [("from", "100"), ("goal", "0")] {
        client
            .create_bucket(&bucket(place), &BucketConfig::default())
            .await
            .unwrap();
        client
            .put(&bucket(place), &key("n"), start, PutOptions::default())
            .await
            .unwrap();
    }
    let (one, other) = tokio::join!(moves(&client, 10), moves(&client, 10));
    one.unwrap();
    other.unwrap();
    assert_eq!(
        (number(&client, "from").await, number(&client, "goal").await),
        (80, 20)
    );

    let mut dropped = client.begin().await.unwrap();
    dropped.lock(&bucket("goal"), &key("n"), true).await.unwrap();
    drop(dropped);
    let mut next = client.begin().await.unwrap();
    next.lock(&bucket("goal"), &key("n"), true).await.unwrap();
    next.abort().await;

    let busy = tokio::spawn({
        let client = client.clone();
        async move { moves(&client, 1000).await }
    });
    while number(&client, "goal").await < 25 {
        tokio::task::yield_now().await;
    }
    server.kill();
    let failed = busy.await.unwrap();
    assert!(failed.is_err(), "the server is gone");
    drop(server);
    let server = Server::start(&data);
    let client = server.client();
    let (from, to) = (number(&client, "from").await, number(&client, "goal").await);
    assert_eq!(from + to, 100);
    assert!(to >= 25);
}
