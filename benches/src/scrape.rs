//! What the server says of itself at `/metrics`: the latencies of each bucket, and single figures.

use std::collections::BTreeMap;

use http::Request;
use serde::Serialize;

use crate::Failure;
use crate::body::Outgoing;
use crate::http_client::{HttpClient, Keep, Version};

/// The histogram's name, with the suffix of its cumulative counts.
const NAME: &str = "wfldb_bucket_request_seconds_bucket{";

/// Cumulative counts by upper bound in seconds (as text), for each bucket.
pub(crate) type Buckets = BTreeMap<String, BTreeMap<String, u64>>;

/// One bucket's requests between two scrapes.
#[derive(Debug, Serialize)]
pub(crate) struct ServerView {
    /// The short random id that the server calls it by.
    pub(crate) bucket: String,
    pub(crate) count: u64,
    /// The upper bound below which 99 of 100 requests were; absent when that is above all bounds.
    pub(crate) p99_ms_at_most: Option<f64>,
}

/// Asks the listener for metrics at `address`.
pub(crate) async fn buckets(address: &str) -> Result<Buckets, Failure> {
    Ok(parse(&text(address).await?))
}

/// The figure without labels called `name`; `None` where the server does not have it.
pub(crate) async fn figure(address: &str, name: &str) -> Result<Option<f64>, Failure> {
    Ok(parse_figure(&text(address).await?, name))
}

fn parse_figure(text: &str, name: &str) -> Option<f64> {
    let figure = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(figure)
}

async fn text(address: &str) -> Result<String, Failure> {
    let http = HttpClient::new(address, Version::Http1, 1);
    let request = Request::get("/metrics")
        .header("host", address)
        .body(Outgoing::empty())?;
    let answer = http.send(0, request, Keep::Bytes).await?.success("/metrics")?;
    Ok(String::from_utf8_lossy(&answer.kept).into_owned())
}

/// Sums over all labels but the bucket and the bound.
fn parse(text: &str) -> Buckets {
    let mut buckets = Buckets::new();
    for line in text.lines() {
        let Some((labels, count)) = line.strip_prefix(NAME).and_then(|line| line.split_once("} ")) else {
            continue;
        };
        let label = |name: &str| {
            labels
                .split(',')
                .filter_map(|pair| pair.split_once('='))
                .find(|(label, _)| *label == name)
                .map(|(_, value)| value.trim_matches('"').to_owned())
        };
        let count = count
            .split_whitespace()
            .next()
            .and_then(|count| count.parse::<u64>().ok());
        if let (Some(bucket), Some(bound), Some(count)) = (label("bucket"), label("le"), count) {
            *buckets.entry(bucket).or_default().entry(bound).or_default() += count;
        }
    }
    buckets
}

/// What happened between two scrapes.
pub(crate) fn between(before: &Buckets, after: &Buckets) -> Vec<ServerView> {
    let view = |(bucket, bounds): (&String, &BTreeMap<String, u64>)| {
        let was = |bound: &String| before.get(bucket).and_then(|bounds| bounds.get(bound)).copied();
        let mut counts: Vec<(f64, u64)> = bounds
            .iter()
            .filter_map(|(bound, count)| {
                let seconds = bound.replace("+Inf", "inf").parse().ok()?;
                Some((seconds, count.saturating_sub(was(bound).unwrap_or(0))))
            })
            .collect();
        counts.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        let count = counts.last().map_or(0, |(_, count)| *count);
        let p99 = counts.iter().find(|(_, below)| below * 100 >= count * 99);
        ServerView {
            bucket: bucket.clone(),
            count,
            p99_ms_at_most: p99.map(|(seconds, _)| seconds * 1e3).filter(|ms| ms.is_finite()),
        }
    };
    after.iter().map(view).filter(|view| view.count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fast: u64, slow: u64) -> String {
        format!(
            "# TYPE wfldb_bucket_request_seconds histogram\n\
             wfldb_bucket_request_seconds_bucket{{bucket=\"b1\",le=\"0.001\"}} {fast}\n\
             wfldb_bucket_request_seconds_bucket{{bucket=\"b1\",le=\"0.01\"}} {slow}\n\
             wfldb_bucket_request_seconds_bucket{{bucket=\"b1\",le=\"+Inf\"}} {slow}\n\
             wfldb_bucket_request_seconds_count{{bucket=\"b1\"}} {slow}\n"
        )
    }

    #[test]
    fn the_difference_of_two_scrapes_is_what_counts() {
        let (before, after) = (parse(&text(1000, 1000)), parse(&text(1098, 1100)));
        let [view] = &between(&before, &after)[..] else {
            panic!("one bucket")
        };
        assert_eq!((view.bucket.as_str(), view.count), ("b1", 100));
        // 98 of 100 were below a millisecond.
        assert_eq!(view.p99_ms_at_most, Some(10.0));
        assert!(between(&after, &after).is_empty());
        assert!(parse("wfldb_requests_total{route=\"object\"} 7\n").is_empty());
    }
    #[test]
    fn a_figure_is_found_by_its_whole_name() {
        let text = "# TYPE wfldb_mirror_changes_behind gauge\nwfldb_mirror_changes_behind_all 7\n\
            wfldb_mirror_changes_behind 12\n";
        assert_eq!(parse_figure(text, "wfldb_mirror_changes_behind"), Some(12.0));
        assert_eq!(parse_figure(text, "wfldb_mirror"), None);
    }
}
