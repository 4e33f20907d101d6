//! The guard that reads HTTP/1.1 heads before the HTTP library does. The first byte says how the rest is cut into reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_net::framing::{HeadGuard, Verdict};

fuzz_target!(|input: &[u8]| {
    let Some((cut, wire)) = input.split_first() else { return };
    let whole = verdicts(wire, wire.len().max(1));
    assert_eq!(whole, verdicts(wire, usize::from(*cut) + 1), "the verdict depends on how the bytes arrive");
    assert_eq!(whole, verdicts(wire, 1), "the verdict depends on how the bytes arrive");
    // A reader of its own for one whole head: what it sees in the first, the guard has seen.
    let Some(end) = wire.windows(4).position(|four| four == b"\r\n\r\n") else { return };
    let head = &wire[..end];
    let plain = head.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\r' || *byte == b'\n');
    let Some(head) = std::str::from_utf8(head).ok().filter(|_| plain) else { return };
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let lines: Vec<&str> = lines.collect();
    let broken = first.contains(['\r', '\n']) || lines.iter().any(|line| line.contains(['\r', '\n']) || line.is_empty());
    if broken || first.is_empty() || first.starts_with("PRI ") {
        return;
    }
    let has = |name: &str| lines.iter().any(|line| {
        line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name))
    });
    let (length, encoding) = (has("content-length"), has("transfer-encoding"));
    let verdict = whole.first().copied().unwrap_or_default();
    if first.contains('#') {
        assert!(verdict.fragment, "a fragment was not seen");
    }
    if length && encoding {
        assert!(verdict.two_lengths, "two lengths were not seen");
    }
});

fn verdicts(wire: &[u8], step: usize) -> Vec<Verdict> {
    let mut guard = HeadGuard::new();
    let mut verdicts = Vec::new();
    for part in wire.chunks(step) {
        guard.observe(part, |verdict| verdicts.push(verdict));
    }
    verdicts
}
