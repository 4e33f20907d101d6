//! A body is never whole in the server's memory (INVARIANT 5).

use std::io::Write;
use std::time::Duration;

use wfldb_client::{GetOptions, Prepared, PutOptions};
use wfldb_core::object::BucketConfig;
use wfldb_tests::{Server, bucket, key, noise};

/// Large enough to stand out from everything else; the 2 GiB of the acceptance run take too long here.
const FILE_BYTES: usize = 256 * 1024 * 1024;
/// By one request and in parts, of which the client sends two at once.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[test]
fn a_large_file_goes_up_and_down_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let file = dir.path().join("large");
    let mut out = std::fs::File::create(&file).unwrap();
    for block in 0..FILE_BYTES / (1 << 20) {
        out.write_all(&noise(block as u64, 1 << 20)).unwrap();
    }
    drop(out);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = server.client();
        client.create_bucket(&bucket("large"), &BucketConfig::default()).await.unwrap();
        client.put(&bucket("large"), &key("warm"), "up", PutOptions::default()).await.unwrap();
        let before = server.resident_bytes();
        let mut peak = before;
        for in_parts in [false, true] {
            let (bucket, key) = (bucket("large"), key("file"));
            let put = async {
                if in_parts {
                    return client.put_file(&bucket, &key, &file, PutOptions::default()).await;
                }
                let prepared = Prepared::file(&file).await?;
                client.put_prepared(&bucket, &key, &prepared, PutOptions::default()).await
            };
            tokio::pin!(put);
            loop {
                tokio::select! {
                    stored = &mut put => { stored.unwrap(); break; }
                    () = tokio::time::sleep(Duration::from_millis(20)) => peak = peak.max(server.resident_bytes()),
                }
            }
            let mut object = client.get(&bucket, &key, GetOptions::default()).await.unwrap();
            let mut len = 0;
            // `chunk` checks the whole against the etag at the end.
            while let Some(piece) = object.chunk().await.unwrap() {
                len += piece.len();
                peak = peak.max(server.resident_bytes());
            }
            assert_eq!(len, FILE_BYTES);
            let growth = peak.saturating_sub(before);
            assert!(growth < GROWTH_BYTES_MAX, "in parts {in_parts}: memory grew by {} MiB", growth >> 20);
        }
    });
}
