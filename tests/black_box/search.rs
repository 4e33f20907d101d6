//! Full text of the running server: its index after `kill -9` at any moment and after its files were lost, and the
//! command line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wfldb_client::{Client, Error, PutOptions, SearchAnswer, SearchRequest};
use wfldb_core::id::Seq;
use wfldb_core::object::BucketConfig;
use wfldb_core::text::TextConfig;
use wfldb_tests::{Server, binary, bucket, key};

const ROUNDS: usize = 6;
/// Documents that are written in a round, at most.
const WRITES: usize = 120;

fn config() -> BucketConfig {
    BucketConfig {
        text: Some(TextConfig::default()),
        ..BucketConfig::default()
    }
}

/// Searches once the index has come to a `seq`.
async fn search(client: &Client, text: &str, seq: Seq) -> SearchAnswer {
    let request = SearchRequest {
        limit: 1000,
        ..SearchRequest::new(text)
    };
    let start = Instant::now();
    loop {
        match client.search(&bucket("notes"), &request, Some(seq)).await {
            Ok(answer) => return answer,
            Err(Error::Api(error)) if error.status == 503 => {}
            Err(error) => panic!("{error:?}"),
        }
        assert!(start.elapsed() < Duration::from_mins(1), "it never caught up");
    }
}

async fn put(client: &Client, number: usize) -> Result<Seq, Error> {
    let document = format!(r#"{{"text":"fox word{number}"}}"#);
    let name = key(&format!("k{number:05}"));
    let options = PutOptions::default();
    let stored = client.put(&bucket("notes"), &name, document, options).await?;
    Ok(stored.seq)
}

fn index_of(data: &Path) -> PathBuf {
    let mut all = std::fs::read_dir(data.join("views/text")).unwrap();
    all.next().unwrap().unwrap().path()
}

/// Defects it catches: an acknowledged document that the index never finds after a kill in the midst of its catching
/// up; a lock or a half-written step that keeps the index from being opened; an index that is believed after its files
/// are gone.
#[test]
fn the_index_finds_every_acknowledged_document_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (mut written, mut last) = (0, Seq::default());
    for round in 0..ROUNDS {
        let mut server = Server::start(&data);
        let client = server.client();
        runtime.block_on(async {
            if round == 0 {
                client.create_bucket(&bucket("notes"), &config()).await.unwrap();
            }
            // Killed at another moment each time: with few documents behind the last commit, or many.
            for _ in 0..WRITES / (round + 1) {
                last = put(&client, written).await.unwrap();
                written += 1;
            }
        });
        server.kill();
        if round == ROUNDS / 2 {
            std::fs::remove_dir_all(index_of(&data)).unwrap();
        }
    }
    let server = Server::start(&data);
    let client = server.client();
    runtime.block_on(async {
        let found = search(&client, "fox", last).await;
        assert_eq!(found.items.len(), written);
        let each = search(&client, &format!("word{} word0", written - 1), last).await;
        assert_eq!(each.items.len(), 2);
        let status = client.search_status(&bucket("notes")).await.unwrap();
        assert_eq!(
            (status.behind, status.documents),
            (0, u64::try_from(written).unwrap())
        );
    });
    assert!(server.terminate().success());
}

#[test]
fn the_command_line_searches() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let profile = server.profile_file();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = server.client();
    let last = runtime.block_on(async {
        client.create_bucket(&bucket("notes"), &config()).await.unwrap();
        put(&client, 0).await.unwrap();
        put(&client, 1).await.unwrap()
    });
    runtime.block_on(search(&client, "fox", last));
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(binary(program));
        // The operator's program takes it behind its verb.
        let (verb, rest) = arguments.split_at(usize::from(program == "wfldb-admin"));
        command.args(verb).arg("--profile").arg(&profile).args(rest);
        let output = command.output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), words)
    };
    let (code, words) = run(
        "wfldb",
        &["search", "notes", "word1 fox", "--highlight", "--limit", "1"],
    );
    assert!(
        code == 0 && words.contains("k00001") && words.contains("*: [fox] [word1]"),
        "{words}"
    );
    assert!(words.contains("--skip 1"), "{words}");
    let (_, json) = run("wfldb", &["--json", "search", "notes", "word0", "--documents"]);
    let line: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        line.pointer("/document/text").and_then(|text| text.as_str()),
        Some("fox word0")
    );
    let (code, words) = run("wfldb", &["search", "notes", "(fox"]);
    assert!(code != 0 && words.contains("character 1"), "{words}");
    let (code, words) = run("wfldb", &["search", "notes", "--status"]);
    assert!(code == 0 && words.contains("ready"), "{words}");
    let (code, words) = run("wfldb-admin", &["verify"]);
    assert!(code == 0 && words.contains("view text of bucket"), "{words}");
    assert_eq!(run("wfldb", &["search", "notes", "--rebuild"]).0, 0);
    runtime.block_on(search(&client, "fox", last));
    assert!(server.terminate().success());
}
