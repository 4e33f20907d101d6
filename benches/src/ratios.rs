//! The ratios that the project asks of itself. Figures of one run only are compared.

use crate::measure::Measured;
use crate::report::{Ratio, Row, Wanted};

const SMALL: u64 = 4 << 10;
const LARGE: u64 = 64 << 20;
const HUGE: u64 = 1 << 30;

/// Finds measurements among rows.
struct Rows<'a>(&'a [Row]);

impl Rows<'_> {
    fn get(&self, target: &str, operation: &str, size: u64, clients: usize) -> Option<&Measured> {
        let is_wanted = |row: &&Row| {
            row.target == target
                && row.operation == operation
                && row.size_bytes == size
                && row.clients == clients
        };
        self.0.iter().find(is_wanted)?.measured()
    }

    fn cpu(&self, target: &str, operation: &str, clients: usize) -> Option<f64> {
        Some(self.get(target, operation, SMALL, clients)?.cpu_us_per_op)
    }

    /// Bytes per second with one client and 1 GiB.
    fn huge(&self, target: &str, operation: &str) -> Option<f64> {
        Some(self.get(target, operation, HUGE, 1)?.bytes_per_s)
    }
}

/// All ratios, those without a value too, so that nobody takes them for met.
pub(crate) fn of(rows: &[Row], clients: &[usize], verify_strict_us: f64) -> Vec<Ratio> {
    let found = Rows(rows);
    let mut ratios = Vec::new();
    for clients in clients.iter().copied() {
        let empty = found.cpu("empty handler", "get", clients);
        ratios.push(Ratio {
            of: format!("server CPU of a 4 KiB GET, {clients} clients"),
            to: "(empty handler + verify_strict)",
            value: over(
                found.cpu("wfldb", "get", clients),
                empty.map(|empty| empty + verify_strict_us),
            ),
            wanted: Some(Wanted::AtMost(1.3)),
        });
        ratios.push(Ratio {
            of: format!("server CPU of a 4 KiB GET over a session, {clients} clients"),
            to: "the same without authentication",
            value: over(
                found.cpu("wfldb session", "get", clients),
                found.cpu("open handler", "get", clients),
            ),
            wanted: Some(Wanted::AtMost(1.15)),
        });
    }
    for clients in clients.iter().copied() {
        let limits =
            found
                .cpu("empty handler", "put", clients)
                .zip(found.cpu("fjall merged", "put", clients));
        ratios.push(Ratio {
            of: format!("server CPU of a durable 4 KiB PUT, {clients} clients"),
            to: "(empty handler + verify_strict + a write of a merged fjall batch)",
            value: over(
                found.cpu("wfldb", "put", clients),
                limits.map(|(empty, fjall)| empty + fjall + verify_strict_us),
            ),
            // Few clients share no batch, so nothing is asked of them.
            wanted: (clients == 64).then_some(Wanted::AtMost(1.4)),
        });
    }
    ratios.push(Ratio {
        of: "bytes per second of a 1 GiB PUT".to_owned(),
        to: "a file written and synced",
        value: over(found.huge("wfldb", "put"), found.huge("file, fsync", "put")),
        wanted: Some(Wanted::AtLeast(0.7)),
    });
    ratios.push(Ratio {
        of: "bytes per second of a 1 GiB GET".to_owned(),
        to: "nginx over HTTP/2, a file of the same size",
        value: over(found.huge("wfldb", "get"), found.huge("nginx h2", "get")),
        wanted: Some(Wanted::AtLeast(0.8)),
    });
    for (size, name) in [(LARGE, "64 MiB"), (HUGE, "1 GiB")] {
        for clients in clients.iter().copied() {
            let put = found.get("wfldb", "put", size, clients);
            if put.is_none() && clients != 1 {
                continue;
            }
            ratios.push(Ratio {
                of: format!("bytes written to disk for {name} PUTs, {clients} clients"),
                to: "their bytes",
                value: put.and_then(|put| put.written_per_body_byte),
                wanted: Some(Wanted::AtMost(1.1)),
            });
        }
    }
    ratios
}

fn over(value: Option<f64>, base: Option<f64>) -> Option<f64> {
    let (value, base) = value.zip(base)?;
    (base > 0.0).then_some(value / base)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Seen;
    use crate::process::Spent;
    use crate::report::Outcome;

    fn row(target: &str, operation: &'static str, clients: usize, cpu_us: u64) -> Row {
        let mut counts = crate::histogram::Histogram::default();
        counts.record(Duration::from_millis(1));
        let seen = Seen {
            parts: vec![crate::measure::Part {
                of: operation,
                counts,
            }],
            bytes: SMALL,
            stored_bytes: SMALL,
            wall: Duration::from_secs(1),
        };
        let spent = Spent {
            cpu: Duration::from_micros(cpu_us),
            rss_peak_bytes: None,
            written_bytes: Some(SMALL * 3),
            stolen_share: 0.0,
        };
        Row {
            target: target.to_owned(),
            operation,
            size_bytes: SMALL,
            clients,
            outcome: Outcome::Measured(Box::new(Measured::new(seen, &spent, None))),
        }
    }

    #[test]
    fn cpu_is_compared_with_the_sum_of_its_limits() {
        let rows = [
            row("wfldb", "put", 64, 260),
            row("empty handler", "put", 64, 20),
            row("fjall merged", "put", 64, 30),
            row("wfldb", "get", 64, 140),
        ];
        let ratios = of(&rows, &[64], 50.0);
        let value = |start: &str| ratios.iter().find(|r| r.of.starts_with(start)).unwrap().value;
        assert_eq!(value("server CPU of a durable 4 KiB PUT"), Some(2.6));
        // Its empty handler was not measured.
        assert_eq!(value("server CPU of a 4 KiB GET"), None);
        assert_eq!(value("bytes per second of a 1 GiB PUT"), None);
    }
}
